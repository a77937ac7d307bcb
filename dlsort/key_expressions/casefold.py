"""Text without regard to case: Unicode's full case folding, as ``str.casefold`` has it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["casefold"]


def casefold(text: Any) -> Any:
    """Return text without regard to case.

    Parameters
    ----------
    text : pyarrow.Array
        Text with offsets; null stays null.

    Returns
    -------
    pyarrow.Array
        Of the same type.

    Notes
    -----
    ASCII is Arrow's to fold, in one pass; each other value is folded by Python, once.

    Examples
    --------
    >>> casefold(pa.array(["Straße", "ABC", None])).to_pylist()
    ['strasse', 'abc', None]
    """
    lower = pc.ascii_lower(text)
    other = pc.fill_null(pc.invert(pc.string_is_ascii(text)), fill_value=False)
    if not pc.any(other, min_count=0).as_py():
        return lower
    found = text.filter(other).dictionary_encode()
    folded = pa.array([each.casefold() for each in found.dictionary.to_pylist()], text.type)
    return pc.replace_with_mask(lower, other, folded.take(found.indices))
