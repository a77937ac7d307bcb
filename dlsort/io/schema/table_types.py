"""Types of a table: what its files' columns become where the table says another type.

A table's files may be older than a change of its types: numbers became wider, and fields of
structs were dropped or added. The table's schema then says what values are, not its files'.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.layouts import recast
from dlsort.io.schema.differences import value_type

__all__ = ["table_types"]


def table_types(schema: pa.Schema, table: pa.Schema) -> pa.Schema:
    """Return a file's schema in the types of its table.

    Layouts stay the file's, and so do types whose values can't become the table's, such as
    times without a zone where the table has one.

    Examples
    --------
    >>> old = pa.schema([("n", "int32"), ("s", pa.struct([("gone", "int8"), ("a", "utf8")]))])
    >>> new = pa.schema([("n", "int64"), ("s", pa.struct([("a", "large_utf8")]))])
    >>> table_types(old, new).types
    [DataType(int64), StructType(struct<a: string>)]
    """
    wanted = {field.name: field for field in table}
    fields = [_typed(field, wanted.get(field.name, field)) for field in schema]
    return pa.schema(fields, schema.metadata)


def _typed(field: pa.Field, wanted: pa.Field) -> pa.Field:
    made = _type(field.type, wanted.type)
    return field if made == field.type else field.with_type(made)


def _type(kind: pa.DataType, wanted: pa.DataType) -> pa.DataType:
    """Return what a type becomes, at any depth."""
    if pt.is_struct(kind) and pt.is_struct(wanted):
        own = {field.name: field for field in kind}
        return pa.struct([_typed(own[f.name], f) if f.name in own else f for f in wanted])
    if pt.is_map(kind) and pt.is_map(wanted):
        key = _typed(kind.key_field, wanted.key_field)
        item = _typed(kind.item_field, wanted.item_field)
        return pa.map_(key, item, kind.keys_sorted)
    if _is_list(kind) and _is_list(wanted):
        make = pa.large_list if pt.is_large_list(kind) else pa.list_
        return make(_typed(kind.value_field, wanted.value_field))
    if value_type(kind) == value_type(wanted):
        return kind
    try:
        recast(pa.array([], kind), wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return kind
    return wanted


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind))
