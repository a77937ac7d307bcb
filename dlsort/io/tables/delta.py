"""Delta: the files and partition values that a table's log tells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from dlsort.arrow.kinds import is_binary
from dlsort.errors import BadOptionError, CorruptSourceError
from dlsort.io.storage import filesystem, is_store, join, without_scheme
from dlsort.io.tables.table import Snapshot, TableFile, TableFolder
from dlsort.wording import count

__all__ = ["read_delta"]


def read_delta(table: TableFolder) -> Snapshot:
    """Return the current snapshot of a Delta table.

    A store is read through fsspec, as all else there: its log is copied, which is small.

    Raises
    ------
    CorruptSourceError
        If the log can't be read.
    BadOptionError
        If rows are deleted by vectors, or columns have other names in the files.
    """
    with ExitStack() as stack:
        where = table.path
        if is_store(where):
            where = stack.enter_context(tempfile.TemporaryDirectory(prefix="dlsort-delta-"))
            _copy_log(table, Path(where))
        try:
            log = DeltaTable(where)
            n_deleted = _count_vectors(log)
            schema = pa.schema(log.schema())
            added = pa.table(log.get_add_actions())
            values = _partition_values(added)
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            msg = f"the log of the Delta table {table.path} can't be read: {first[0]}."
            raise CorruptSourceError(msg) from error
        _refuse_features(table, log, n_deleted)
        _refuse_binary(table, schema, values)
        version = str(log.version())
    files = []
    for i, path in enumerate(map(unquote, added.column("path").to_pylist())):
        is_whole = "://" in path or path.startswith("/")
        whole = str(without_scheme(path)) if is_whole else join(table.path, path)
        files.append(TableFile(whole, tuple((name, of[i]) for name, of in values.items())))
    newest = join(table.path, f"_delta_log/{log.version():020}.json")
    return Snapshot(table, version, schema, tuple(files), newest)


def _partition_values(added: pa.Table) -> dict[str, list[str | None]]:
    """Return each partition column's values as text, one a file."""
    if "partition" not in added.column_names:
        return {}
    column = added.column("partition").combine_chunks()
    return {
        field.name: column.field(field.name).cast(pa.string()).to_pylist()
        for field in column.type
    }


def _refuse_binary(table: TableFolder, schema: pa.Schema, names: Iterable[str]) -> None:
    for name in names:
        if is_binary(schema.field(name).type):
            msg = (
                f"the Delta table {table.path} is partitioned by {name!r}, which is binary: "
                "what its log says of values, readers understand in several ways. Write its "
                "current rows to Parquet files first."
            )
            raise BadOptionError(msg)


def _count_vectors(log: DeltaTable) -> int:
    """Return how many files have rows that are deleted by vectors; 1 if that can't be read."""
    if "deletionVectors" not in (log.protocol().reader_features or ()):
        return 0
    try:
        return pa.table(log.deletion_vectors().read_all()).num_rows
    except (DeltaError, OSError):  # of a store, where they lie beside the log
        return 1


def _refuse_features(table: TableFolder, log: DeltaTable, n_deleted: int) -> None:
    """Raise for what makes files say other than the table does."""
    mode = log.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mode != "none":
        msg = (
            f"the Delta table {table.path} has columns that are named otherwise in its files "
            f"(column mapping by {mode}), which dlsort does not read. Write its current rows "
            "to Parquet files first."
        )
        raise BadOptionError(msg)
    if n_deleted:
        msg = (
            f"the Delta table {table.path} has rows that are deleted by deletion vectors "
            f"(in {count(n_deleted, 'file')} or more), which dlsort does not apply. Have them "
            "taken out of the files first, as by REORG TABLE … APPLY (PURGE) in Spark."
        )
        raise BadOptionError(msg)


def _copy_log(table: TableFolder, into: Path) -> None:
    """Copy what a log has from its last checkpoint on."""
    fs, path = filesystem(join(table.path, "_delta_log"))
    for name in fs.find(path):
        to = into / "_delta_log" / name[len(path) :].strip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(fs.cat_file(name))
