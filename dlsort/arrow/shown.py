"""Values as messages show them, and as Python has them."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_text, is_variable, is_wide

__all__ = ["next_text", "shown_value", "values_at"]

LONGEST_VALUE = 60  # characters of a key value that a message shows


def shown_value(column: pa.ChunkedArray) -> str:
    """Return a key value for people: short, and quoted where it is text."""
    if column[0].is_valid:
        text = _text(column)
        return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
    return "null"


def _text(column: pa.ChunkedArray) -> str:
    """Return a value as text, also one that Python's own types don't hold, or that is none.

    A file may have bytes where text should be, days past all years, time zones of no place.
    """
    kind = column.type
    plainer = [kind]
    if pt.is_timestamp(kind):
        plainer.append(pa.timestamp(kind.unit))
    elif is_variable(kind) and is_text(kind):
        plainer.append(pa.large_binary() if is_wide(kind) else pa.binary())
    for plain in plainer:
        shown = column.cast(plain)
        with suppress(ValueError, OverflowError, ImportError, LookupError):
            value: Any = shown[0].as_py()
            return repr(value) if isinstance(value, str | bytes) else str(value)
        with suppress(ValueError, LookupError, pa.ArrowException):
            return str(shown.cast(pa.string())[0].as_py())
    return "a value that can't be shown"


def values_at(
    table: pa.Table, row: int, kinds: pa.Schema, *, is_cut: bool = False
) -> tuple[Any, ...]:
    """Return a row as objects of Python's, or as scalars of pyarrow's where Python has none.

    Text may be there as bytes, and, if it is cut, end inside of a character, which is left
    out. Bytes that are no text are half characters, as of Python's "surrogateescape".
    """
    kinds_of = kinds.types[: table.num_columns]
    columns = zip(table.columns, kinds_of, strict=True)
    return tuple(_value(column[row], kind, is_cut=is_cut) for column, kind in columns)


def _value(value: pa.Scalar, kind: pa.DataType, *, is_cut: bool) -> Any:
    if is_text(kind) and value.is_valid:
        data = value.as_buffer().to_pybytes()
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        return decoder.decode(data, final=not is_cut)
    try:
        return value.as_py()
    except (ValueError, OverflowError, ImportError, LookupError):
        return value


def next_text(value: str | bytes) -> str | bytes | None:
    """Return what is greater than all that begins with a text or bytes; None if nothing is.

    Examples
    --------
    >>> next_text("ab"), next_text(b"ab")
    ('ac', b'ac')
    """
    greatest: Any = b"\xff" if isinstance(value, bytes) else "\U0010ffff"
    kept = value.rstrip(greatest)
    if not kept:
        return None
    if isinstance(kept, bytes):
        return kept[:-1] + bytes([kept[-1] + 1])
    after = ord(kept[-1]) + 1
    if 0xD800 < after <= 0xE000:  # bytes that are no text: how they go on is not told
        return None
    return kept[:-1] + chr(0xE000 if after == 0xD800 else after)
