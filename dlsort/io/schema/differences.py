"""Differences between the schemas of two datasets."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import narrow
from dlsort.arrow.same_names import given_name

__all__ = ["find_differences", "value_type"]


def find_differences(schema: pa.Schema, src: str, other: pa.Schema, against: str) -> list[str]:
    """Return how columns differ, whatever their layout, one sentence a difference."""
    found = []
    for name in dict.fromkeys([*schema.names, *other.names]):
        here, there = _column_type(schema, name), _column_type(other, name)
        if here != there:
            found.append(
                f"not the same columns: {given_name(name)!r} is {here or 'missing'} in {src} "
                f"and {there or 'missing'} in {against}."
            )
    return found


def _column_type(schema: pa.Schema, name: str) -> pa.DataType | None:
    return value_type(schema.field(name).type) if name in schema.names else None


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, whatever their layout."""
    if isinstance(kind, pa.BaseExtensionType):
        return value_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return value_type(kind.value_type)
    if pt.is_struct(kind):
        return pa.struct([(f.name, value_type(f.type)) for f in kind])
    if pt.is_map(kind):
        return pa.map_(value_type(kind.key_type), value_type(kind.item_type))
    if pt.is_fixed_size_list(kind):
        return pa.list_(value_type(kind.value_type), kind.list_size)
    if pt.is_list(kind) or pt.is_large_list(kind):
        return pa.list_(value_type(kind.value_type))
    return narrow(kind)
