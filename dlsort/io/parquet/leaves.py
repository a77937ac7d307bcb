"""Leaves: the columns of Parquet that a column of Arrow becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.types as pt

__all__ = ["first_leaf", "leaf_paths"]


def first_leaf(schema: pa.Schema, path: Sequence[int]) -> int:
    """Return the number of a field's first leaf."""
    number, fields = 0, list(schema)
    for i in path:
        number += sum(_n_leaves(field.type) for field in fields[:i])
        kind = fields[i].type
        fields = list(kind) if pt.is_struct(kind) else []
    return number


def leaf_paths(field: pa.Field, listed: str | None) -> Iterator[str]:
    """Yield the paths of a column's leaves, as its writer knows them.

    ``listed`` is what it calls the values of lists; None: what they are called.
    """
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pt.is_dictionary(kind) or not pt.is_nested(kind):
        yield field.name
        return
    between = ".key_value." if pt.is_map(kind) else "." if pt.is_struct(kind) else ".list."
    inside = [kind.field(i) for i in range(kind.num_fields)]
    if pt.is_map(kind):
        inside = [kind.key_field.with_name("key"), kind.item_field.with_name("value")]
    elif listed and not pt.is_struct(kind):
        inside = [each.with_name(listed) for each in inside]
    for each in inside:
        yield from (f"{field.name}{between}{path}" for path in leaf_paths(each, listed))


def _n_leaves(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _n_leaves(kind.storage_type)
    if pt.is_dictionary(kind) or not pt.is_nested(kind):
        return 1
    return sum(_n_leaves(kind.field(i).type) for i in range(kind.num_fields))
