"""Columns of a table's files: which of them are the table's, by name and by number."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.types as pt

from dlsort.errors import BadOptionError
from dlsort.io.tables.table import Snapshot

__all__ = ["table_columns"]

_NUMBER = b"PARQUET:field_id"


def table_columns(path: str, table: Snapshot | None, schema: pa.Schema) -> pa.Schema:
    """Return a file's columns without those that its table, if any, has no more.

    Raises
    ------
    BadOptionError
        If a column, or a field in one, has another name in the table: values would be taken
        for null.
    """
    if table is None:
        return schema
    wanted = table.schema
    names = dict(_numbered(wanted))
    for number, name in _numbered(schema):
        if names and names.get(number, name) != name:
            msg = (
                f"the {table.folder.kind} table {table.folder.path} has column "
                f"{names[number]!r}, which is {name!r} in {path}: it was renamed since, which "
                "dlsort does not follow. Have the files rewritten first."
            )
            raise BadOptionError(msg)
    numbers = {name: number for number, name in names.items()}
    for number, name in _numbered(schema):
        if numbers.get(name, number) != number:
            msg = (
                f"{path} has a column {name!r} that was dropped from its table, which has "
                "another of that name now. Have the files rewritten first."
            )
            raise BadOptionError(msg)
    kept = [field for field in schema if field.name in wanted.names]
    return pa.schema(kept, schema.metadata)


def _numbered(fields: pa.Schema | pa.StructType, above: str = "") -> Iterator[tuple[int, str]]:
    """Yield the number and the path of each column and field that has one."""
    for field in fields:
        number = (field.metadata or {}).get(_NUMBER)
        name = f"{above}{field.name}"
        if number is not None and int(number) >= 0:
            yield int(number), name
        kind = field.type
        while pt.is_list(kind) or pt.is_large_list(kind):
            kind, name = kind.value_type, f"{name}[]"
        if pt.is_struct(kind):
            yield from _numbered(kind, f"{name}.")
