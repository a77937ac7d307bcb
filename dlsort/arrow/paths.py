"""Paths: columns, and fields of structs in them, by the names that a key gives.

A name is itself: a column that has it exactly is meant, whatever dots it holds. Only where
there is none, dots lead into structs, and each name on the way may hold dots of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.same_names import given_name
from dlsort.errors import UnknownColumnError, shown
from dlsort.keys import SortKey, check_columns

__all__ = [
    "check_paths",
    "column_at",
    "field_at",
    "field_of_series",
    "fields_of_frame",
    "find_path",
    "select_columns",
    "top_columns_of",
]

Path = tuple[int, ...]
MOST_NAMED = 1000


def _is_text(name: str) -> bool:
    """Return whether a name can be a field's: half a character can't."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _paths(fields: pa.Schema | pa.StructType, name: str) -> list[Path]:
    """Return where fields of a name are, each by its numbers from the top."""
    if not name.isascii() and not _is_text(name):
        return []
    exact = fields.get_all_field_indices(name)
    if exact or "." not in name:
        return [(i,) for i in exact]
    found: list[Path] = []
    at = name.find(".")
    while at >= 0:
        for i in fields.get_all_field_indices(name[:at]):
            kind = fields.field(i).type
            if pt.is_struct(kind):
                found += [(i, *path) for path in _paths(kind, name[at + 1 :])]
        at = name.find(".", at + 1)
    return found


def find_path(schema: pa.Schema, name: str) -> Path:
    """Return where the one field of a name is: its numbers, from the top.

    Raises
    ------
    UnknownColumnError
        If there is none, or several.
    """
    found = _paths(schema, name)
    if len(found) == 1:
        return found[0]
    if not found or len(found[0]) == 1:
        names = [*map(given_name, schema.names), *_names_inside(schema)]
        check_columns([SortKey(name)], names)
    msg = (
        f"{len(found)} fields are named {shown(name)}, as names may hold dots; a key column "
        "must be the only one. Rename one of them."
    )
    raise UnknownColumnError(msg)


def _names_inside(schema: pa.Schema) -> list[str]:
    """Return the paths of structs' fields, to name what was perhaps meant."""

    def walk(fields: Iterable[pa.Field], above: str) -> Iterator[str]:
        for field in fields:
            if above:
                yield above + field.name
            if pt.is_struct(field.type):
                yield from walk(field.type, f"{above}{given_name(field.name)}.")

    return list(islice(walk(schema, ""), MOST_NAMED))


def check_paths(schema: pa.Schema, keys: Iterable[SortKey]) -> None:
    """Raise unless each key column is in the data exactly once.

    Raises
    ------
    UnknownColumnError
        If a column is missing, or several have its name.
    """
    for key in keys:
        find_path(schema, key.column)


def field_at(schema: pa.Schema, name: str) -> pa.Field:
    """Return the field of a column or of a struct's field, by the name a key has for it.

    Examples
    --------
    >>> field_at(pa.schema([("ev", pa.struct([("ts", pa.int8())]))]), "ev.ts")
    pyarrow.Field<ev.ts: int8>
    """
    first, *rest = find_path(schema, name)
    field = schema.field(first)
    nullable = field.nullable
    for i in rest:
        field = field.type.field(i)
        nullable |= field.nullable
    return field if not rest else pa.field(name, field.type, nullable)


def column_at(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column, or a struct's field, null where the struct is."""
    first, *rest = find_path(table.schema, name)
    column = table.column(first)
    return pc.struct_field(column, rest) if rest else column


def fields_of_frame(frame: Any) -> tuple[pa.Schema, list[int]]:
    """Return the columns of a pandas frame that text names, and their positions.

    They have types where these are Arrow's: the others have no fields.
    """
    named = [i for i, label in enumerate(frame.columns) if isinstance(label, str)]
    kinds = [getattr(frame.dtypes.iloc[i], "pyarrow_dtype", pa.null()) for i in named]
    labels = [frame.columns[i] for i in named]
    return pa.schema(list(zip(labels, kinds, strict=True))), named


def field_of_series(series: Any, path: Sequence[int]) -> pa.ChunkedArray:
    """Return a field of the structs of a pandas series, null where the struct is."""
    return pc.struct_field(series.array.__arrow_array__(), path)


def select_columns(table: pa.Table, keys: Sequence[SortKey]) -> pa.Table:
    """Return the key columns of a table, in key order, under the names that the keys give."""
    fields = [field_at(table.schema, key.column) for key in keys]
    columns = [column_at(table, key.column) for key in keys]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def top_columns_of(schema: pa.Schema, keys: Iterable[SortKey]) -> list[str]:
    """Return the names of the columns that hold the key columns, each once."""
    places = [find_path(schema, key.column)[0] for key in keys]
    return [schema.names[i] for i in dict.fromkeys(places)]
