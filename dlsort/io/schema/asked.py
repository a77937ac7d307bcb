"""Asked: a schema that the caller gives, beside what the files have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_list
from dlsort.arrow.layouts import recast, with_names_of
from dlsort.arrow.same_names import given_name, named
from dlsort.arrow.unite import spelled
from dlsort.errors import SchemaMismatchError
from dlsort.io.schema.fit import ASKED
from dlsort.io.schema.metadata import FileSchema

__all__ = ["check_asked", "with_file_names"]


def with_file_names(schema: pa.Schema, kinds: Sequence[FileSchema]) -> pa.Schema:
    """Return the wanted schema, with what files call the values of lists."""
    fields: dict[str, pa.Field] = {}
    for kind in reversed(kinds):
        fields |= {field.name: field for field in kind.schema}
    named_fields = [
        field.with_type(with_names_of(field.type, fields.get(field.name, field).type))
        for field in schema
    ]
    return pa.schema(named_fields, schema.metadata)


def check_asked(kinds: Sequence[FileSchema], schema: pa.Schema) -> None:
    """Raise if files have columns, fields or types that the wanted schema can't hold.

    Raises
    ------
    SchemaMismatchError
        If so; the message names the file, the column, and both types.
    """
    for kind in kinds:
        for field in kind.schema:
            _check_column(field, kind.path, schema)
        for field in schema:
            if field.name not in kind.schema.names and not field.nullable and kind.n_rows:
                msg = (
                    f"column {named(field.name)} is missing in {kind.path} and "
                    f"{spelled(field)} in {ASKED}; its values would be null."
                )
                raise SchemaMismatchError(msg)


def _check_column(field: pa.Field, path: str, schema: pa.Schema) -> None:
    if field.name not in schema.names:
        msg = (
            f"column {named(field.name)} of {path} is not in {ASKED}, and would be lost; add "
            f"it there as {field.type}."
        )
        raise SchemaMismatchError(msg)
    wanted = schema.field(field.name)
    both = (
        f"column {named(field.name)} is {spelled(field)} in {path} and {spelled(wanted)} in "
        f"{ASKED}"
    )
    try:
        recast(pa.array([], field.type), wanted.type)
    except pa.ArrowException as error:
        raise SchemaMismatchError(f"{both}; values can't become that.") from error
    for where, one, other in _pairs(field.type, wanted.type, (given_name(field.name),)):
        if other is None:
            msg = (
                f"field {'.'.join(where)!r} of {path} is not in {ASKED}, and would be lost; "
                f"add it there as {one}."
            )
            raise SchemaMismatchError(msg)
        if pt.is_temporal(one) != pt.is_temporal(other) and (_is_number(one, other)):
            inside = f" ({'.'.join(where)})" if len(where) > 1 else ""
            msg = (
                f"{both}{inside}; a number says nothing of its unit, so times become none, "
                "and numbers no times. Give a type of times or of numbers, as the files have."
            )
            raise SchemaMismatchError(msg)


def _is_number(*kinds: pa.DataType) -> bool:
    return any(
        pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) for kind in kinds
    )


def _pairs(
    one: pa.DataType, other: pa.DataType, where: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], pa.DataType, pa.DataType | None]]:
    """Yield the types inside of one type and those that they become, None if they are lost."""
    one, other = _stored(one), _stored(other)
    if pt.is_struct(one) and pt.is_struct(other):
        kinds = {field.name: field.type for field in other}
        times = Counter(field.name for field in other)
        for name, n in Counter(field.name for field in one).items():
            inner = next(field.type for field in one if field.name == name)
            if times[name] < n:
                yield (*where, name), inner, None
            elif n == 1:
                yield from _pairs(inner, kinds[name], (*where, name))
    elif pt.is_map(one) and pt.is_map(other):
        yield from _pairs(one.key_type, other.key_type, (*where, "key"))
        yield from _pairs(one.item_type, other.item_type, (*where, "value"))
    elif is_list(one) and is_list(other):
        yield from _pairs(one.value_type, other.value_type, (*where, "element"))
    else:
        yield where, one, other


def _stored(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, without extensions and dictionaries."""
    while isinstance(kind, pa.BaseExtensionType) or pt.is_dictionary(kind):
        kind = kind.value_type if pt.is_dictionary(kind) else kind.storage_type
    return kind
