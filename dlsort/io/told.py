"""Told columns: what folders or a table's log tell of a file, attached when its rows are read.

One value stands for all rows of a file. Where the file has the column too, it must hold that
value in every row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.errors import BadOptionError, SchemaMismatchError
from dlsort.io.find import SourceFile
from dlsort.io.listing.hive import HiveTypes, cast_text, column_types
from dlsort.io.source import FileGroups, Range, Source, Told
from dlsort.io.tables.columns import NUMBER

__all__ = [
    "attach_told",
    "check_all_told",
    "find_told",
    "in_table_order",
    "told_ranges",
    "told_value",
    "with_told",
]


def find_told(
    files: Sequence[SourceFile], schemas: Sequence[pa.Schema], given: HiveTypes
) -> tuple[list[tuple[Told, ...]], dict[str, pa.DataType]]:
    """Return what is told of each file, and the types of the columns.

    Parameters
    ----------
    files : sequence of SourceFile
        The files.
    schemas : sequence of pyarrow.Schema
        What each has itself.
    given : mapping of str to pyarrow.DataType
        Types that the caller wants.

    Raises
    ------
    SchemaMismatchError
        If files lie in folders that tell other columns.
    BadOptionError
        If a value is not of its type.
    """
    plain = [(file.path, file.values) for file in files if file.table is None]
    types = column_types(plain, given)
    if not types and all(file.table is None for file in files):
        return [], {}
    for table in {id(file.table): file.table for file in files if file.table}.values():
        named = {name for file in files if file.table is table for name, _ in file.values}
        for column in table.schema:
            if (
                types.setdefault(column.name, column.type) != column.type
                and column.name in named
            ):
                msg = (
                    f"column {column.name!r} is {column.type} in {table.folder.path} and "
                    f"{types[column.name]} by the folders of other files; expected one type."
                )
                raise SchemaMismatchError(msg)
    for file, schema in zip(files, schemas, strict=True):
        for name, text in file.values:
            if name in schema.names:
                types[name] = _stored_type(file, schema.field(name).type, given.get(name))
                cast_text(text, types[name], name, file.path)
    told = []
    for file, schema in zip(files, schemas, strict=True):
        of_file, by = dict(file.values), ""
        if file.table is not None:
            by = f"{file.table.folder.kind} table {file.table.folder.path}"
            lacked = (c.name for c in file.table.schema if c.name not in schema.names)
            of_file |= {name: None for name in lacked if name not in of_file}
        told.append(tuple(Told(n, text, n in schema.names, by) for n, text in of_file.items()))
    return told, {
        name: kind
        for name, kind in types.items()
        if any(t.column == name for f in told for t in f)
    }


def check_all_told(given: HiveTypes, *sources: Source) -> None:
    """Raise if a type is given for a column that no folder tells; tables tell types too.

    Raises
    ------
    BadOptionError
    """
    told = {one for source in sources for of_file in source.told for one in of_file}
    there = {one.column for one in told if not one.table}
    for name in given:
        if name not in there:
            table = next((one.table for one in told if one.column == name), "")
            if table:
                msg = (
                    f"hive_types (--hive-types) names {name!r}, a column of the {table}, which "
                    "tells its type. Leave it out; schema (--schema FILE) gives another type."
                )
                raise BadOptionError(msg)
            known = ", ".join(sorted(there)) or "none"
            msg = (
                f"hive_types (--hive-types) names {name!r}; columns that folders tell: {known}."
            )
            raise BadOptionError(msg)


def _stored_type(
    file: SourceFile, stored: pa.DataType, wanted: pa.DataType | None
) -> pa.DataType:
    """Return the type of a column that a file has too."""
    kind = stored.value_type if pt.is_dictionary(stored) else stored
    if wanted is not None and wanted != kind:
        msg = (
            f"hive_types (--hive-types) says {wanted}, but {file.path} has the column itself, "
            f"as {kind}; leave it out there."
        )
        raise BadOptionError(msg)
    return kind


def with_told(
    schemas: Sequence[pa.Schema],
    told: Sequence[tuple[Told, ...]],
    types: Mapping[str, pa.DataType],
) -> list[pa.Schema]:
    """Return what files have, with what is told of them behind it.

    Columns that a file lacks are what the first file has that has them, else as told.
    """
    lacked = {one.column for of_file in told for one in of_file if not one.is_stored}
    if not lacked:
        return list(schemas)
    behind = {}
    for name in types:
        if name in lacked:
            stored = next((s.field(name) for s in schemas if name in s.names), None)
            field = pa.field(name, types[name]) if stored is None else stored
            behind[name] = field.with_nullable(True)
    made: dict[tuple[int, frozenset[str]], pa.Schema] = {}
    found = []
    for schema, of_file in zip(schemas, told, strict=True):
        there = {one.column for one in of_file}.union(schema.names)
        names = frozenset(there.intersection(behind))
        key = id(schema), names
        if key not in made:
            fields = [field for field in schema if field.name not in names]
            for name in filter(names.__contains__, behind):
                is_stored = name in schema.names
                fields.append(schema.field(name) if is_stored else behind[name])
            made[key] = pa.schema(fields, schema.metadata)
        found.append(made[key])
    return found


def in_table_order(
    schema: pa.Schema, files: Sequence[SourceFile], told: Sequence[tuple[Told, ...]]
) -> pa.Schema:
    """Return a schema in the order of the files' table, if they are all of one.

    Columns that no file has yet get their number from the table; others have their files'.
    """
    first = files[0].table
    if first is None or any(file.table is not first for file in files):
        return schema
    order = [name for name in first.schema.names if name in schema.names]
    rest = [name for name in schema.names if name not in order]
    lacked = [{one.column for one in of_file if not one.is_stored} for of_file in told]
    fields = []
    for name in order + rest:
        field = schema.field(name)
        if lacked and all(name in of_file for of_file in lacked):
            number = (first.schema.field(name).metadata or {}).get(NUMBER)
            field = field if number is None else field.with_metadata({NUMBER: number})
        fields.append(field)
    return pa.schema(fields, schema.metadata)


def told_value(told: Told, kind: pa.DataType, path: str) -> pa.Array:
    """Return the value that is told of a file, as an array of one."""
    flat = kind.value_type if pt.is_dictionary(kind) else kind
    if told.text is None:  # of a type that no text becomes, such as a struct
        return pa.nulls(1, flat)
    return cast_text(told.text, flat, told.column, path)


def told_ranges(
    source: Source, column: str, raw: Callable[[pa.ChunkedArray], list[Any]]
) -> dict[int, Range] | None:
    """Return the ranges of a column that is told of every file; None of others.

    Parameters
    ----------
    source : Source
        The dataset.
    column : str
        Its name.
    raw : callable
        Returns values as the format stores them.
    """
    told = [one for of_file in source.told for one in of_file if one.column == column]
    if not told or len(told) < len(source.files):
        return None
    kind = source.schema.field(column).type
    ends: dict[Told, Any] = {}
    for one, path in zip(told, source.files, strict=True):
        if one not in ends:
            value = pa.chunked_array([told_value(one, kind, path)])
            ends[one] = None if one.text is None else raw(value)[0]
    found = {}
    for g, group in enumerate(source.row_groups):
        end = ends[told[group.file]]
        if group.n_rows:
            found[g] = Range(end, end, group.n_rows if end is None else 0)
    return found


def attach_told(
    table: pa.Table | None,
    files: Sequence[FileGroups],
    schema: pa.Schema,
    columns: Sequence[str],
    as_dictionary: Sequence[str],
) -> pa.Table:
    """Return the rows of some files with the columns that are told of them.

    Parameters
    ----------
    table : pyarrow.Table or None
        The rows as the files have them, with all other columns; None where there are none.
    files : sequence of FileGroups
        The files, in order.
    schema : pyarrow.Schema
        The dataset's.
    columns : sequence of str
        Which columns, in this order.
    as_dictionary : sequence of str
        Columns of text that stay dictionaries.

    Raises
    ------
    SchemaMismatchError
        If a file has another value than is told of it.
    """
    starts = [0, *accumulate(file.n_rows for file in files)]
    made = {}
    for name in columns:
        field = schema.field(name)
        own = table.column(name) if table is not None and name in table.column_names else None
        parts: list[pa.ChunkedArray] = []
        for file, start in zip(files, starts, strict=False):
            one = next((told for told in file.told if told.column == name), None)
            stored = None if own is None else own.slice(start, file.n_rows)
            if one is None:
                parts.append(stored)
                continue
            value = told_value(one, field.type, file.path)
            if stored is not None:
                _check_same(stored, value, one, file)
            keep = name in as_dictionary
            parts.append(_repeat(value, file.n_rows, field.type, keep=keep))
        chunks = [chunk for part in parts for chunk in part.chunks]
        made[name] = pa.chunked_array(chunks, parts[0].type)
    fields = [pa.field(n, a.type, schema.field(n).nullable) for n, a in made.items()]
    return pa.Table.from_arrays(list(made.values()), schema=pa.schema(fields))


def _repeat(value: pa.Array, n_rows: int, kind: pa.DataType, *, keep: bool) -> pa.ChunkedArray:
    """Return a value as often as there are rows; as a dictionary of it if that is kept."""
    codes = pa.array(np.zeros(n_rows, np.int32), mask=np.full(n_rows, value.null_count > 0))
    if not keep and not pt.is_dictionary(kind):
        return pa.chunked_array([value.take(codes)])
    made = pa.DictionaryArray.from_arrays(codes, value.drop_null())
    return pa.chunked_array([made if keep else made.cast(kind)])


def _check_same(stored: pa.ChunkedArray, value: pa.Array, told: Told, file: FileGroups) -> None:
    found = stored.cast(value.type) if pt.is_dictionary(stored.type) else stored
    found = found.unique()
    other = [
        v
        for v in found.cast(pa.string()).to_pylist()
        if v != value.cast(pa.string())[0].as_py()
    ]
    if other:
        shown = "null" if other[0] is None else repr(other[0])
        msg = (
            f"{file.path} has {shown} in column {told.column!r}, and lies in a folder that "
            f"tells {'null' if told.text is None else repr(told.text)}; expected the same in "
            "all rows. Rename the folder or the column."
        )
        raise SchemaMismatchError(msg)
