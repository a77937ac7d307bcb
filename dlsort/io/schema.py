"""Schemas of the files of a dataset: one for all of them, and how that of another differs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import narrow
from dlsort.errors import SchemaMismatchError
from dlsort.io.parts import MANIFEST

__all__ = ["agreed_schema", "find_differences", "without_manifest"]


def without_manifest(schema: pa.Schema) -> pa.Schema:
    """Return the schema without the manifest of a part."""
    metadata = {k: v for k, v in (schema.metadata or {}).items() if k != MANIFEST}
    return schema.with_metadata(metadata or None)


def agreed_schema(schema: pa.Schema, path: str, other: pa.Schema, other_path: str) -> pa.Schema:
    """Return the schema, nullable where either is; raise if types differ."""
    if len(set(other.names)) < len(other.names):
        name = next(n for n in other.names if other.names.count(n) > 1)
        msg = (
            f"{other_path} has several columns named {name!r}; each name may stand there once."
        )
        raise SchemaMismatchError(msg)
    if other.equals(schema):
        return schema
    for name in [*schema.names, *(n for n in other.names if n not in schema.names)]:
        left = schema.field(name).type if name in schema.names else "missing"
        right = other.field(name).type if name in other.names else "missing"
        if left != right:
            msg = (
                f"the files disagree on column {name!r}: it is {left} in {path} "
                f"and {right} in {other_path}; expected the same schema in every file."
            )
            raise SchemaMismatchError(msg)
    for i, field in enumerate(schema):
        if not field.nullable and other.field(field.name).nullable:
            schema = schema.set(i, field.with_nullable(True))
    return schema


def find_differences(schema: pa.Schema, src: str, other: pa.Schema, against: str) -> list[str]:
    """Return how columns differ, whatever their layout, one sentence a difference."""
    found = []
    for name in dict.fromkeys([*schema.names, *other.names]):
        here, there = _column_type(schema, name), _column_type(other, name)
        if here != there:
            found.append(
                f"not the same columns: {name!r} is {here or 'missing'} in {src} "
                f"and {there or 'missing'} in {against}."
            )
    return found


def _column_type(schema: pa.Schema, name: str) -> pa.DataType | None:
    return _value_type(schema.field(name).type) if name in schema.names else None


def _value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, whatever their layout."""
    if isinstance(kind, pa.BaseExtensionType):
        return _value_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return _value_type(kind.value_type)
    if pt.is_struct(kind):
        return pa.struct([(f.name, _value_type(f.type)) for f in kind])
    if pt.is_map(kind):
        return pa.map_(_value_type(kind.key_type), _value_type(kind.item_type))
    if pt.is_fixed_size_list(kind):
        return pa.list_(_value_type(kind.value_type), kind.list_size)
    if pt.is_list(kind) or pt.is_large_list(kind):
        return pa.list_(_value_type(kind.value_type))
    return narrow(kind)
