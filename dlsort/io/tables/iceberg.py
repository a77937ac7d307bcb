"""Iceberg: the files and columns that a table's newest metadata tell, without a catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec
import pyarrow as pa
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFileContent, FileFormat, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StaticTable
from pyiceberg.table.name_mapping import MappedField
from pyiceberg.transforms import IdentityTransform

from dlsort.errors import BadOptionError, CorruptSourceError, DlsortError
from dlsort.io.storage import join, names_in, read_bytes, size_of, without_scheme
from dlsort.io.tables.table import Snapshot, TableFile, TableFolder

__all__ = ["read_iceberg"]

_NUMBER = re.compile(r"v?(\d+)")
_DELETES = {
    DataFileContent.POSITION_DELETES: "by position",
    DataFileContent.EQUALITY_DELETES: "by equality",
}


class _Input(InputFile):  # type: ignore[misc]
    """A file of a table, read as all files of sources are."""

    def __len__(self) -> int:
        """Return its size in bytes."""
        return size_of(str(without_scheme(self.location)))

    def exists(self) -> bool:
        """Return whether it is there."""
        fs, path = fsspec.core.url_to_fs(self.location)
        return bool(fs.exists(path))

    def open(self, seekable: bool = True) -> Any:  # noqa: FBT001, FBT002 - as pyiceberg has it
        """Open it to read."""
        return fsspec.open(self.location, "rb").open()


class _Files(FileIO):  # type: ignore[misc]
    """Reads files through fsspec, and writes none."""

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return _Input(location)

    def new_output(self, location: str) -> OutputFile:
        """Refuse: a source is left as it is."""
        raise NotImplementedError(location)

    def delete(self, location: Any) -> None:
        """Refuse: a source is left as it is."""
        raise NotImplementedError(location)


def read_iceberg(table: TableFolder) -> Snapshot:
    """Return the current snapshot of an Iceberg table.

    Raises
    ------
    CorruptSourceError
        If the metadata can't be read.
    BadOptionError
        If rows are deleted by files of their own, or columns are not in the files as such.
    """
    newest = _newest(table)
    try:
        io = _Files()
        metadata = FromInputFile.table_metadata(io.new_input(newest))
        found = StaticTable(("table",), metadata, newest, io, NoopCatalog("none"))
        _refuse_deletes_by_equality(table, found)
        tasks = list(found.scan().plan_files())
        schema = found.schema()
        files = tuple(_file(table, found, task) for task in tasks)
        columns = schema_to_pyarrow(schema, include_field_ids=True)
        mapping = found.name_mapping()
        numbers = None if mapping is None else dict(_numbers(mapping))
    except DlsortError:
        raise
    except Exception as error:  # whatever metadata of strangers make of it
        first = str(error).strip().splitlines() or [type(error).__name__]
        msg = f"the metadata of the Iceberg table {table.path} can't be read: {first[0]}."
        raise CorruptSourceError(msg) from error
    _refuse_defaults(table, schema)
    snapshot = metadata.current_snapshot_id
    return Snapshot(table, str(snapshot), _narrow(columns), files, newest, numbers)


def _newest(table: TableFolder) -> str:
    """Return where the newest metadata are: as the hint says, or of the highest number."""
    folder = join(table.path, "metadata")
    names = names_in(folder)
    if "version-hint.text" in names:
        hint = read_bytes(join(folder, "version-hint.text")).decode("utf-8", "replace").strip()
        for name in (f"v{hint}.metadata.json", f"{hint}.metadata.json", hint):
            if name in names:
                return join(folder, name)
    numbered = [
        (int(found[1]), name)
        for name in names
        if name.endswith(".metadata.json") and (found := _NUMBER.match(name))
    ]
    if not numbered:
        msg = f"{folder} has no metadata.json that dlsort reads; is it packed?"
        raise CorruptSourceError(msg)
    highest = max(number for number, _ in numbered)
    newest = [name for number, name in numbered if number == highest]
    if len(newest) > 1:
        msg = (
            f"{folder} has {len(newest)} metadata of number {highest} "
            f"({', '.join(sorted(newest)[:2])}), of writers at once; which of them the catalog "
            "knows, the folder does not tell. Write the table's current rows to Parquet files "
            "first."
        )
        raise BadOptionError(msg)
    return join(folder, newest[0])


def _refuse_deletes_by_equality(table: TableFolder, found: StaticTable) -> None:
    """Refuse what pyiceberg would refuse in words of its own."""
    snapshot = found.current_snapshot()
    for manifest in snapshot.manifests(found.io) if snapshot else ():
        if manifest.content == ManifestContent.DELETES:
            for entry in manifest.fetch_manifest_entry(found.io):
                if entry.data_file.content == DataFileContent.EQUALITY_DELETES:
                    raise _deletes(table, entry.data_file)


def _deletes(table: TableFolder, file: Any) -> BadOptionError:
    how = _DELETES.get(file.content, "by vectors")
    msg = (
        f"the Iceberg table {table.path} has rows that are deleted {how} "
        f"({file.file_path}), which dlsort does not apply. Have the files rewritten "
        "first, as by rewrite_data_files in Spark."
    )
    return BadOptionError(msg)


def _file(table: TableFolder, found: StaticTable, task: Any) -> TableFile:
    file = task.file
    for delete in task.delete_files:
        raise _deletes(table, delete)
    path = str(without_scheme(file.file_path))
    if file.file_format != FileFormat.PARQUET:
        kind = file.file_format.value
        msg = f"{path}, of the Iceberg table {table.path}, is {kind}; expected Parquet."
        raise BadOptionError(msg)
    return TableFile(path, tuple(_told(found, file)))


def _told(found: StaticTable, file: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the columns that a file is partitioned by as they are: it may not have them."""
    spec = found.specs()[file.spec_id]
    schema = found.schema()
    for i, field in enumerate(spec.fields):
        name = schema.find_column_name(field.source_id)
        if isinstance(field.transform, IdentityTransform) and name and "." not in name:
            kind = schema_to_pyarrow(Schema(schema.find_field(field.source_id))).field(0).type
            value = pa.array([file.partition[i]], kind)  # dates and times are numbers there
            yield name, value.cast(pa.string())[0].as_py()


def _numbers(mapped: Iterable[MappedField], above: str = "") -> Iterator[tuple[str, int]]:
    """Yield the names that files without numbers have for columns and fields."""
    for field in mapped:
        for name in field.names:
            if field.field_id is not None:
                yield f"{above}{name}", field.field_id
            yield from _numbers(field.fields, f"{above}{name}.")


def _refuse_defaults(table: TableFolder, schema: Schema) -> None:
    for field in schema.fields:
        if getattr(field, "initial_default", None) is not None:
            msg = (
                f"column {field.name!r} of the Iceberg table {table.path} has a default for "
                "files that lack it, which dlsort does not fill in. Have the files rewritten."
            )
            raise BadOptionError(msg)


def _narrow(schema: pa.Schema) -> pa.Schema:
    """Return a schema with text as files have it; pyiceberg says that all of it is large."""
    fields = []
    for field in schema:
        kind = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(field.type)
        fields.append(field.with_type(kind) if kind else field)
    return pa.schema(fields)
