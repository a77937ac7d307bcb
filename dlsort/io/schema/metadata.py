"""Metadata of files: what stays true of the rows of all of them, and what would lie.

==========================  ================================================================
key                         of several files
==========================  ================================================================
``geo``                     united: boxes that hold all shapes; other coordinate systems are
                            refused
``pandas``                  united: types, index
Spark's calendar marks      kept if all files have them; else left out, and dates for which
                            they make a difference are refused
Hudi's ranges and filters   left out, of one file too: they are of its own rows
schemas of Spark, Avro,     kept if all files have the same, and the dataset's columns and
Iceberg, Hugging Face       types, none of them told by a folder or a table
any other                   kept if all files have the same
==========================  ================================================================

What is left out is told in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from dlsort.io.parts import MANIFEST
from dlsort.io.schema.geo import GEO, chosen_geo, unite_geo
from dlsort.io.schema.labels import PANDAS, chosen_pandas
from dlsort.io.schema.table_types import table_types
from dlsort.io.schema.told_types import ARROW

__all__ = ["FileSchema", "calendar_of", "chosen_metadata", "is_julian", "unite_metadata"]

_HUDI = (b"hoodie_", b"org.apache.hudi.", b"com.uber.hoodie.")
_SPARK = b"org.apache.spark."
_CALENDARS = tuple(_SPARK + name for name in (b"legacyDateTime", b"legacyINT96", b"timeZone"))
_VERSION = _SPARK + b"version"
_OF_TYPES = frozenset(
    (
        _SPARK + b"sql.parquet.row.metadata",
        b"parquet.avro.schema",
        b"avro.schema",
        b"iceberg.schema",
        b"huggingface",
    )
)


@dataclass(frozen=True)
class FileSchema:
    """What a file tells of itself.

    Parameters
    ----------
    path : str
        The file.
    schema : pyarrow.Schema
        Its schema, with its metadata.
    n_rows : int
        Its rows.
    table : pyarrow.Schema, optional
        That of the table that it is of.
    """

    path: str
    schema: pa.Schema
    n_rows: int
    table: pa.Schema | None = None

    @cached_property
    def fields(self) -> dict[str, pa.Field]:
        """Its columns by name."""
        return {field.name: field for field in self.schema}

    @cached_property
    def metadata(self) -> dict[bytes, bytes]:
        """What it has beside its columns."""
        return self.schema.metadata or {}

    @cached_property
    def meant(self) -> pa.Schema:
        """Its schema in the types of its table."""
        return self.schema if self.table is None else table_types(self.schema, self.table)


def calendar_of(file: FileSchema) -> tuple[bytes | None, ...]:
    """Return what decides how Spark understands a file's dates of long ago."""
    is_old = file.metadata.get(_VERSION, b"3")[:1] < b"3"
    return b"old" if is_old else None, *(file.metadata.get(key) for key in _CALENDARS)


def is_julian(file: FileSchema) -> bool:
    """Return whether a file's dates of long ago are of the Julian calendar."""
    return any(mark is not None for mark in calendar_of(file)[:-1])


def unite_metadata(
    files: Sequence[FileSchema], pandas: bytes | None, *, is_of_types: bool
) -> tuple[dict[bytes, bytes], list[str]]:
    """Return what is true of the rows of all files, and the keys that are left out.

    Parameters
    ----------
    files : sequence of FileSchema
        Those that have rows, or all.
    pandas : bytes or None
        What pandas is told of all of them.
    is_of_types : bool
        All of them are of the dataset's types.

    Raises
    ------
    SchemaMismatchError
        If shapes of two files are in other coordinate systems.
    """
    has_one_calendar = len({calendar_of(file) for file in files}) == 1
    kept: dict[bytes, bytes] = {}
    dropped: list[str] = []
    for key in dict.fromkeys(key for file in files for key in file.metadata):
        if key in (ARROW, MANIFEST) or (key == PANDAS and pandas is not None):
            continue
        told = [file.metadata.get(key) for file in files]
        value = told[0] if all(one == told[0] for one in told) else None
        lies = key.startswith(_HUDI)
        lies |= key in _OF_TYPES and not is_of_types
        lies |= key in _CALENDARS and not has_one_calendar
        if lies:
            value = None
        elif key == GEO and value is None:
            value = unite_geo(
                [(file.path, file.metadata.get(key), file.schema.names) for file in files]
            )
        if value is None:
            dropped.append(key.decode("utf-8", "replace"))
        else:
            kept[key] = value
    if pandas is not None:
        kept[PANDAS] = pandas
    return kept, dropped


def chosen_metadata(
    schema: pa.Schema, names: Mapping[str, str]
) -> tuple[dict[bytes, bytes], list[str]]:
    """Return what is true of a result of some columns, and the keys that are left out.

    Parameters
    ----------
    schema : pyarrow.Schema
        The source's, with its metadata.
    names : mapping of str to str
        What the columns are called in the result, in order, by the source's names.
    """
    told = schema.metadata or {}
    if list(names.items()) == [(name, name) for name in schema.names]:
        return dict(told), []
    kept: dict[bytes, bytes] = {}
    dropped = []
    for key, value in told.items():
        found: bytes | None = value
        if key == PANDAS:
            found = chosen_pandas(value, names)
        elif key == GEO:
            found = chosen_geo(value, names)
        elif key in _OF_TYPES or key == ARROW:
            found = None
        if found is not None:
            kept[key] = found
        elif key != ARROW:
            dropped.append(key.decode("utf-8", "replace"))
    return kept, dropped
