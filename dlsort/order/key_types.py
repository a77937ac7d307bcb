"""Key types: which types of columns have an order, and so can be keys.

A new key type is recognized here first; :mod:`dlsort.order.words` makes its words.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_nested
from dlsort.arrow.paths import check_paths, field_at
from dlsort.errors import KeyTypeError
from dlsort.key_parts import shown_name
from dlsort.keys import SortKey

__all__ = ["check_compared_by_value", "check_key_types"]


def _is_key_type(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _is_key_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return not pt.is_dictionary(kind.value_type) and _is_key_type(kind.value_type)
    if is_nested(kind):
        inside = [kind.field(i).type for i in range(kind.num_fields)]
        return all(_is_key_type(each) and not _is_ordered(each) for each in inside)
    return (
        pt.is_null(kind)
        or pt.is_boolean(kind)
        or pt.is_integer(kind)
        or pt.is_floating(kind)
        or pt.is_decimal(kind)
        or pt.is_date(kind)
        or pt.is_time(kind)
        or pt.is_timestamp(kind)
        or pt.is_duration(kind)
        or is_bytes(kind)
    )


def _is_ordered(kind: pa.DataType) -> bool:
    """Return whether values have an order that only their dictionary tells."""
    return bool(pt.is_dictionary(kind) and kind.ordered)


def check_key_types(schema: pa.Schema, keys: tuple[SortKey, ...]) -> None:
    """Raise unless each key column is there and has a type that can be a key.

    Raises
    ------
    UnknownColumnError
        If a column is missing.
    KeyTypeError
        If a column is an interval, or of another type without order.
    """
    check_paths(schema, keys)
    for key in keys:
        kind = field_at(schema, key.column).type
        if not _is_key_type(kind):
            usable = [f.name for f in schema if _is_key_type(f.type)]
            here = f" (here: {', '.join(usable)})" if usable else ""
            msg = (
                f"cannot sort by {shown_name(key.column)!r}: its type is {kind}. Keys can be "
                "numbers, booleans, dates and times, decimals, strings, binary, dictionaries "
                f"of these, structs, lists and maps{here}."
            )
            raise KeyTypeError(msg)


def check_compared_by_value(schema: pa.Schema, keys: tuple[SortKey, ...]) -> None:
    """Raise if a key column has an order that its values do not tell.

    Raises
    ------
    KeyTypeError
        If one is an ordered dictionary.
    """
    for key in keys:
        if _is_ordered(field_at(schema, key.column).type):
            msg = (
                f"the categories of {key.column!r} have an order of their own, which values do "
                "not tell; expected an unordered dictionary, or another column."
            )
            raise KeyTypeError(msg)
