"""Columns of a table's files: which of them are the table's, by name and by number."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.types as pt

from dlsort.errors import BadOptionError
from dlsort.io.tables.table import Snapshot

__all__ = ["NUMBER", "table_columns"]

NUMBER = b"PARQUET:field_id"


def table_columns(path: str, table: Snapshot | None, schema: pa.Schema) -> pa.Schema:
    """Return a file's columns without those that its table, if any, has no more.

    A file that numbers no column, as one that another writer made and the table took in, goes
    by the numbers that the table has for names.

    Raises
    ------
    BadOptionError
        If a column, or a field in one, has another name in the table: values would be taken
        for null, or for those of another column.
    """
    if table is None:
        return schema
    numbers = dict(_numbered(table.schema))
    names = {number: name for name, number in numbers.items() if number is not None}
    if names:
        own = dict(_numbered(schema))
        if all(number is None for number in own.values()):
            own = _by_names(path, table, own)
        _check_names(path, table, own, names)
    has = set(table.schema.names)
    kept = [field for field in schema if field.name in has]
    return pa.schema(kept, schema.metadata)


def _by_names(path: str, table: Snapshot, own: dict[str, int | None]) -> dict[str, int | None]:
    """Return the numbers that a table has for the names of a file that has none."""
    if own and table.numbers is None:
        msg = (
            f"{path} numbers none of its columns ({next(iter(own))!r}, …), and the "
            f"{table.folder.kind} table {table.folder.path} does not say by which names files "
            "have them. Set its property schema.name-mapping.default, or have the files "
            "rewritten first."
        )
        raise BadOptionError(msg)
    return {name: (table.numbers or {}).get(name) for name in own}


def _check_names(
    path: str, table: Snapshot, own: dict[str, int | None], names: dict[int, str]
) -> None:
    for name, number in own.items():
        if number is not None and names.get(number, name) != name:
            msg = (
                f"the {table.folder.kind} table {table.folder.path} has column "
                f"{names[number]!r}, which is {name!r} in {path}: it was renamed since, which "
                "dlsort does not follow. Have the files rewritten first."
            )
            raise BadOptionError(msg)
    current = {name: number for number, name in names.items()}
    for name, number in own.items():
        if name in current and current[name] != number:
            msg = (
                f"{path} has a column {name!r} that was dropped from its table, which has "
                "another of that name now. Have the files rewritten first."
            )
            raise BadOptionError(msg)


def _numbered(
    fields: pa.Schema | pa.StructType, above: str = ""
) -> Iterator[tuple[str, int | None]]:
    """Yield the path and the number, if any, of each column and field.

    Values of lists, and keys and values of maps, only stand in paths.
    """
    for field in fields:
        number = (field.metadata or {}).get(NUMBER)
        name = f"{above}{field.name}"
        yield name, None if number is None or int(number) < 0 else int(number)
        yield from _inside(field.type, name)


def _inside(kind: pa.DataType, name: str) -> Iterator[tuple[str, int | None]]:
    if pt.is_struct(kind):
        yield from _numbered(kind, f"{name}.")
    elif pt.is_map(kind):
        yield from _inside(kind.key_type, f"{name}.key")
        yield from _inside(kind.item_type, f"{name}.value")
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        yield from _inside(kind.value_type, f"{name}.element")
