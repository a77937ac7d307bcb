"""Asked: a schema that the caller gives, beside what the files have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_list
from dlsort.arrow.layouts import recast, with_names_of
from dlsort.arrow.same_names import given_name, named
from dlsort.arrow.unite import meanings, spelled
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
    wanted = {field.name: field for field in schema}
    for kind in kinds:
        for field in kind.schema:
            _check_column(field, kind.path, wanted)
        names = set(kind.schema.names)
        for field in schema:
            if field.name not in names and not field.nullable and kind.n_rows:
                msg = (
                    f"column {named(field.name)} is missing in {kind.path} and "
                    f"{spelled(field)} in {ASKED}; its values would be null."
                )
                raise SchemaMismatchError(msg)


def _check_column(field: pa.Field, path: str, schema: Mapping[str, pa.Field]) -> None:
    if field.name not in schema:
        msg = (
            f"column {named(field.name)} of {path} is not in {ASKED}, and would be lost; add "
            f"it there as {field.type}."
        )
        raise SchemaMismatchError(msg)
    wanted = schema[field.name]
    both = (
        f"column {named(field.name)} is {spelled(field)} in {path} and {spelled(wanted)} in "
        f"{ASKED}"
    )
    try:
        recast(pa.array([], field.type), wanted.type)
    except pa.ArrowException as error:
        raise SchemaMismatchError(f"{both}; values can't become that.") from error
    for where, one, other in _pairs(field, wanted, (given_name(field.name),)):
        place = ".".join(where)
        if other is None:
            msg = (
                f"field {place!r} of {path} is not in {ASKED}, and would be lost; add it there "
                f"as {one.type}."
            )
            raise SchemaMismatchError(msg)
        inside = f" ({place})" if len(where) > 1 else ""
        for key, mine, its in meanings(one, other):
            msg = (
                f"the {key} of column {named(field.name)}{inside} is {mine!r} in {path} and "
                f"{its!r} in {ASKED}. Convert the values of the file; if both mean the same, "
                f"leave the {key} out of the schema."
            )
            raise SchemaMismatchError(msg)
        kinds = [_stored(each.type) for each in (one, other)]
        if any(map(pt.is_temporal, kinds)) and any(map(_is_number, kinds)):
            msg = (
                f"{both}{inside}; a number says nothing of its unit, so times become none, "
                "and numbers no times. Give a type of times or of numbers, as the files have."
            )
            raise SchemaMismatchError(msg)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _pairs(
    one: pa.Field, other: pa.Field, where: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], pa.Field, pa.Field | None]]:
    """Yield a field and those inside, each with what it becomes, None if it is lost."""
    yield where, one, other
    mine, wanted = _stored(one.type), _stored(other.type)
    if pt.is_struct(mine) and pt.is_struct(wanted):
        left = list(wanted)
        for field in mine:
            place = next((i for i, each in enumerate(left) if each.name == field.name), None)
            if place is None:
                yield (*where, field.name), field, None
            else:
                yield from _pairs(field, left.pop(place), (*where, field.name))
    elif pt.is_map(mine) and pt.is_map(wanted):
        yield from _pairs(mine.key_field, wanted.key_field, (*where, "key"))
        yield from _pairs(mine.item_field, wanted.item_field, (*where, "value"))
    elif is_list(mine) and is_list(wanted):
        yield from _pairs(mine.value_field, wanted.value_field, (*where, "element"))


def _stored(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, without extensions and dictionaries."""
    while isinstance(kind, pa.BaseExtensionType) or pt.is_dictionary(kind):
        kind = kind.value_type if pt.is_dictionary(kind) else kind.storage_type
    return kind
