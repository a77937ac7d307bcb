"""Units on disk: files without a name, read back a partition at a time.

Spilled units are appended to a few files that lose their name as soon as they
are open. The kernel frees them with the last handle, so that nothing is left
behind even when a worker is killed. What is written at once is a *run*: one
large unit, or several small ones joined by partition, as an Arrow IPC stream: a
head (the types, and one dictionary a column), and batches that hold the rows of
one or more partitions, or some of a large one. Any of them can be read with the head alone,
into memory of its own: a map of the file would take 0.04 s a GB instead of 0.06, but the
kernel maps up to 2 MiB for each byte that is touched, and all of it is resident.

The checksums of head and batches stay in memory; what is read back is compared.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from xxhash import xxh3_64, xxh3_64_intdigest

from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.wire import Unit

__all__ = ["BATCH_BYTES", "Run", "SpillFile", "can_join", "read", "read_rows", "write"]

# Partitions share a batch until it has this many bytes, so that a batch's
# metadata (some KB) stays a small part of what is on disk.
BATCH_BYTES = 64 * 2**10
# The rows that a unit has for one partition, if they take more than the first, are in batches
# of the second: a part that does not fit the memory is read a little at a time.
_LARGE_BYTES, _PIECE_BYTES = 4 * 2**20, 2**18
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"

# Where a run begins: as in memory that Arrow itself asks for.
_ALIGNMENT = 64


class SpillFile:
    """A file without a name, written by one thread at a time.

    It is closed with its last reference, never sooner, so that no reader can
    meet a descriptor that stands for another file by now.
    """

    def __init__(self, temp_dir: str) -> None:
        self._raw = tempfile.TemporaryFile(dir=temp_dir, buffering=0)  # noqa: SIM115
        self._fd = self._raw.fileno()
        self.end = 0

    def append(self, data: memoryview) -> None:
        """Write all of ``data``: one system call may write less."""
        while data:
            n_written = os.pwrite(self._fd, data, self.end)
            self.end += n_written
            data = data[n_written:]

    def cut_back(self, end: int) -> None:
        """Give the space after ``end`` back."""
        os.ftruncate(self._fd, end)
        self.end = end

    def read_into(self, buffer: memoryview, begin: int) -> None:
        """Fill ``buffer`` from ``begin`` on: one system call may read less."""
        while buffer:
            n_read = os.preadv(self._fd, [buffer], begin)
            if not n_read:
                msg = f"the spill file ends {len(buffer):,} bytes too soon"
                raise OSError(msg)
            begin += n_read
            buffer = buffer[n_read:]

    def __del__(self) -> None:
        if hasattr(self, "_raw"):
            self._raw.close()


class Run(NamedTuple):
    """Units on disk, in ``file[begin:end]``: by partition, then by unit.

    The head of the stream is ``file[begin:offsets[0]]``.

    Attributes
    ----------
    counts : (n_units, k) int64
        Rows that each unit has for each of the worker's partitions.
    starts : (k + 1,) int64
        Where each of these begins.
    schemas : list of pyarrow.Schema
        The units' own.
    firsts, offsets : (n_batches + 1,) int64
        Batch ``b`` has the rows ``firsts[b]:firsts[b + 1]`` and lies in
        ``file[offsets[b]:offsets[b + 1]]``.
    checksums : (n_batches + 1,) uint64
        Of the head, and of each batch.
    n_bytes : int
        What the rows take in memory.
    """

    file: SpillFile
    counts: np.ndarray
    starts: np.ndarray
    schemas: list[pa.Schema]
    begin: int
    end: int
    firsts: np.ndarray
    offsets: np.ndarray
    checksums: np.ndarray
    n_bytes: int


class _Sink:
    """The end of a spill file, as a file of its own that Arrow can write to."""

    closed = False

    def __init__(self, file: SpillFile) -> None:
        self._file = file
        self._begin = file.end
        self._checksum = xxh3_64()

    def write(self, data: pa.Buffer) -> int:
        view = memoryview(data).cast("B")
        self._checksum.update(view)
        self._file.append(view)
        return len(data)

    def checksum(self) -> int:
        """Return that of what was written since the last time."""
        found: int = self._checksum.intdigest()
        self._checksum.reset()
        return found

    def tell(self) -> int:
        return self._file.end - self._begin

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def close(self) -> None:
        """Do nothing: more units follow."""


def can_join(units: Sequence[Unit]) -> bool:
    """Return whether :func:`write` can write several units at once."""
    if len(units) > 1:
        schema = units[0].table.schema
        if not all(unit.table.schema.equals(schema) for unit in units):
            return False
        try:
            _one_dictionary([unit.table.slice(0, 0) for unit in units])
        except pa.ArrowException:  # nested ones, or such as hold a null
            return False
    return True


def write(file: SpillFile, units: Sequence[Unit], codec: str | None = None) -> Run:
    """Append units, in input order; on any error the file is as it was.

    They must have the same types, and dictionaries that can be joined (:func:`can_join`).
    ``codec`` names what compresses them, if it is to be done.
    """
    tables = _one_dictionary([unit.table for unit in units])
    counts = np.stack([np.diff(unit.starts) for unit in units])
    starts = np.append(0, np.cumsum(counts.sum(axis=0)))
    n_bytes = sum(count_bytes(table) for table in tables)
    end = file.end
    try:
        file.append(memoryview(bytes(-end % _ALIGNMENT)))
        begin = file.end
        firsts, offsets, checksums = [0], [], []
        sink = _Sink(file)
        how = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        to = pa.PythonFile(sink, mode="w")
        with pa.ipc.new_stream(to, tables[0].schema, options=how) as writer:
            # So that the types and the dictionaries are in the head.
            writer.write_batch(_without_rows(tables[0]))
            offsets.append(file.end)
            checksums.append(sink.checksum())
            for piece in _batches(units, tables, starts, n_bytes):
                for batch in piece.combine_chunks().to_batches():
                    writer.write_batch(batch)
                    firsts.append(firsts[-1] + batch.num_rows)
                    offsets.append(file.end)
                    checksums.append(sink.checksum())
    except BaseException:
        file.cut_back(end)
        raise
    schemas = [unit.table.schema for unit in units]
    places = np.array(firsts), np.array(offsets), np.array(checksums, np.uint64)
    return Run(file, counts, starts, schemas, begin, file.end, *places, n_bytes)


def _one_dictionary(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the tables with one dictionary a column: a stream's head holds no more."""
    if not any(map(_has_dictionary, tables[0].schema.types)):
        return list(tables)
    if len(tables) == 1:
        return [tables[0].combine_chunks()]
    whole = pa.concat_tables(tables).unify_dictionaries()
    ends = np.cumsum([table.num_rows for table in tables])
    return [
        whole.slice(end - table.num_rows, table.num_rows)
        for end, table in zip(ends.tolist(), tables, strict=True)
    ]


def _without_rows(table: pa.Table) -> pa.RecordBatch:
    """Return the types and dictionaries."""
    return pa.RecordBatch.from_arrays(
        [_nothing_of(column) for column in table.columns], schema=table.schema
    )


def _nothing_of(column: pa.ChunkedArray) -> pa.Array:
    """Return no values of a column; of text, a slice of none would bring all its offsets."""
    if not (column.num_chunks and _has_dictionary(column.type)):
        try:
            return pa.schema([("", column.type)]).empty_table().column(0).chunk(0)
        except pa.ArrowNotImplementedError:  # unions
            pass
    return column.chunk(0).slice(0, 0)


def _has_dictionary(kind: pa.DataType) -> bool:
    """Return whether values of a type, or parts of them, lie in dictionaries."""
    if isinstance(kind, pa.BaseExtensionType):
        return _has_dictionary(kind.storage_type)
    inner = (kind.field(i).type for i in range(kind.num_fields))
    return pt.is_dictionary(kind) or any(map(_has_dictionary, inner))


def _batches(
    units: Sequence[Unit], tables: Sequence[pa.Table], starts: np.ndarray, n_bytes: int
) -> Iterator[pa.Table]:
    """Yield the rows by partition, then by unit, several small partitions together."""
    n_rows = int(starts[-1])
    step = max(1, n_rows * BATCH_BYTES // max(1, n_bytes))
    # No seam after the last row: empty partitions that follow are in no batch.
    seams = np.searchsorted(starts, np.append(np.arange(0, n_rows, step), n_rows))
    row_bytes = n_bytes / max(1, n_rows)
    for first, last in pairwise(np.unique(seams).tolist()):
        if len(units) == 1:
            rows = tables[0].slice(starts[first], starts[last] - starts[first])
            size = rows.num_rows
            if size * row_bytes > _LARGE_BYTES:
                size = max(1, int(_PIECE_BYTES / row_bytes))
            for at in range(0, rows.num_rows, size):
                yield rows.slice(at, size)
            continue
        pieces = [
            table.slice(unit.starts[place], unit.starts[place + 1] - unit.starts[place])
            for place in range(first, last)
            for unit, table in zip(units, tables, strict=True)
        ]
        yield pa.concat_tables([piece for piece in pieces if piece.num_rows])


def read(run: Run, place: int) -> tuple[list[pa.Table], int]:
    """Return each unit's rows of the ``place``-th partition, and their bytes on disk."""
    first, last = int(run.starts[place]), int(run.starts[place + 1])
    table, n_read = _read_rows(run, first, last)
    found = []
    at = 0
    for schema, count in zip(run.schemas, run.counts[:, place].tolist(), strict=True):
        found.append(table.slice(at, count).replace_schema_metadata(schema.metadata))
        at += count
    return found, n_read


def read_rows(run: Run, place: int, member: int, first: int, last: int) -> tuple[pa.Table, int]:
    """Return some of the rows that one unit has for the ``place``-th partition."""
    begin = int(run.starts[place]) + int(run.counts[:member, place].sum())
    table, n_read = _read_rows(run, begin + first, begin + last)
    return table.replace_schema_metadata(run.schemas[member].metadata), n_read


def _read_rows(run: Run, first: int, last: int) -> tuple[pa.Table, int]:
    """Return rows of a run by number."""
    low = high = 0
    if first < last:  # batches low to high - 1 hold the rows
        low = int(np.searchsorted(run.firsts, first, "right")) - 1
        high = int(np.searchsorted(run.firsts, last, "left"))
    head = int(run.offsets[0]) - run.begin
    size = int(run.offsets[high] - run.offsets[low])
    buffer = pa.allocate_buffer(head + size + len(_END_OF_STREAM))
    view = memoryview(buffer).cast("B")
    _read_checked(run.file, view[:head], [run.begin, int(run.offsets[0])], run.checksums[:1])
    begins = run.offsets[low : high + 1].tolist()
    _read_checked(run.file, view[head : head + size], begins, run.checksums[low + 1 :])
    view[head + size :] = _END_OF_STREAM
    table = pa.ipc.open_stream(buffer).read_all()
    rows = table.slice(first - int(run.firsts[low]), last - first)
    if rows.num_rows < last - first:
        msg = f"{rows.num_rows:,} rows where {last - first:,} were written"
        raise OSError(msg)
    return rows, head + size


def _read_checked(
    file: SpillFile, buffer: memoryview, begins: Sequence[int], checksums: np.ndarray
) -> None:
    """Fill ``buffer`` from ``begins[0]``; what begins at each has the checksum it had.

    Raises
    ------
    OSError
        If it doesn't, twice.
    """
    file.read_into(buffer, begins[0])
    for (begin, end), checksum in zip(pairwise(begins), checksums.tolist(), strict=False):
        part = buffer[begin - begins[0] : end - begins[0]]
        if xxh3_64_intdigest(part) != checksum:
            file.read_into(part, begin)  # perhaps only what was read is damaged
            if xxh3_64_intdigest(part) != checksum:
                msg = "what is there is not what was written; the disk or the memory fails"
                raise OSError(msg)
