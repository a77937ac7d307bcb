"""Units on disk: files without a name, read back a partition at a time.

Spilled units are appended to a few files that lose their name as soon as they
are open. The kernel frees them with the last handle, so that nothing is left
behind even when a worker is killed. What is written at once is a *run*: one
large unit, or several small ones joined by partition, as an Arrow IPC file inside
such a file. Its batches hold the rows of one or more partitions, so that a partition
is read from few places. Reading maps the file (0.04 s a GB from the page cache
where a read into fresh memory takes 0.06); each read has a map of its own, so
that its pages leave the worker's resident memory with the shards.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dlsort_cluster.wire import Unit, count_bytes

__all__ = ["BATCH_BYTES", "Run", "SpillFile", "can_join", "read", "write"]

# Partitions share a batch until it has this many bytes, so that a batch's
# metadata (some KB) stays a small part of what is on disk.
BATCH_BYTES = 64 * 2**10

# Where a unit begins: as in memory that Arrow itself asks for.
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

    def map(self) -> mmap.mmap:
        """Map the file as it is now."""
        return mmap.mmap(self._fd, self.end, prot=mmap.PROT_READ)

    def __del__(self) -> None:
        if hasattr(self, "_raw"):
            self._raw.close()


class Run(NamedTuple):
    """Units on disk, in ``file[begin:end]``: by partition, then by unit.

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
    """

    file: SpillFile
    counts: np.ndarray
    starts: np.ndarray
    schemas: list[pa.Schema]
    begin: int
    end: int
    firsts: np.ndarray
    offsets: np.ndarray


class _Sink:
    """The end of a spill file, as the file from 0 on that Arrow expects."""

    closed = False

    def __init__(self, file: SpillFile) -> None:
        self._file = file
        self._begin = file.end

    def write(self, data: pa.Buffer) -> int:
        self._file.append(memoryview(data).cast("B"))
        return len(data)

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


def write(file: SpillFile, units: Sequence[Unit]) -> Run:
    """Append units, in input order; on any error the file is as it was.

    They must have the same types, and dictionaries that can be joined (:func:`can_join`).
    """
    tables = _one_dictionary([unit.table for unit in units])
    counts = np.stack([np.diff(unit.starts) for unit in units])
    starts = np.append(0, np.cumsum(counts.sum(axis=0)))
    n_bytes = sum(count_bytes(table) for table in tables)
    end = file.end
    try:
        file.append(memoryview(bytes(-end % _ALIGNMENT)))
        begin = file.end
        firsts, offsets = [0], [begin]
        with pa.ipc.new_file(pa.PythonFile(_Sink(file), mode="w"), tables[0].schema) as writer:
            for piece in _batches(units, tables, starts, n_bytes):
                for batch in piece.combine_chunks().to_batches():
                    writer.write_batch(batch)
                    firsts.append(firsts[-1] + batch.num_rows)
                    offsets.append(file.end)
    except BaseException:
        file.cut_back(end)
        raise
    schemas = [unit.table.schema for unit in units]
    places = np.array(firsts), np.array(offsets)
    return Run(file, counts, starts, schemas, begin, file.end, *places)


def _one_dictionary(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the tables with one dictionary a column: an IPC file holds no more."""
    if not any("dictionary" in str(kind) for kind in tables[0].schema.types):
        return list(tables)
    if len(tables) == 1:
        return [tables[0].combine_chunks()]
    whole = pa.concat_tables(tables).unify_dictionaries()
    ends = np.cumsum([table.num_rows for table in tables])
    return [
        whole.slice(end - table.num_rows, table.num_rows)
        for end, table in zip(ends.tolist(), tables, strict=True)
    ]


def _batches(
    units: Sequence[Unit], tables: Sequence[pa.Table], starts: np.ndarray, n_bytes: int
) -> Iterator[pa.Table]:
    """Yield the rows by partition, then by unit, several small partitions together."""
    n_rows = int(starts[-1])
    step = max(1, n_rows * BATCH_BYTES // max(1, n_bytes))
    # No seam after the last row: empty partitions that follow are in no batch.
    seams = np.searchsorted(starts, np.append(np.arange(0, n_rows, step), n_rows))
    for first, last in pairwise(np.unique(seams).tolist()):
        if len(units) == 1:
            yield tables[0].slice(starts[first], starts[last] - starts[first])
            continue
        rows = [
            table.slice(unit.starts[place], unit.starts[place + 1] - unit.starts[place])
            for place in range(first, last)
            for unit, table in zip(units, tables, strict=True)
        ]
        yield pa.concat_tables([some for some in rows if some.num_rows])


def read(run: Run, mapped: mmap.mmap, place: int) -> tuple[list[pa.Table], int]:
    """Return each unit's rows of the ``place``-th partition, and their bytes on disk."""
    first, last = int(run.starts[place]), int(run.starts[place + 1])
    reader = pa.ipc.open_file(pa.py_buffer(memoryview(mapped)[run.begin : run.end]))
    if not reader.num_record_batches:
        return [schema.empty_table() for schema in run.schemas], 0
    # Batches low to high - 1 hold the rows; without rows, any batch knows the types.
    low = int(np.searchsorted(run.firsts, first, "right")) - 1
    low = min(low, reader.num_record_batches - 1)
    high = max(low + 1, int(np.searchsorted(run.firsts, last, "left")))
    begin, end = int(run.offsets[low]), int(run.offsets[high])
    page = begin - begin % mmap.PAGESIZE
    mapped.madvise(mmap.MADV_WILLNEED, page, end - page)
    batches = [reader.get_batch(number) for number in range(low, high)]
    table = pa.Table.from_batches(batches, reader.schema)
    at = first - int(run.firsts[low])
    found = []
    for schema, count in zip(run.schemas, run.counts[:, place].tolist(), strict=True):
        found.append(table.slice(at, count).replace_schema_metadata(schema.metadata))
        at += count
    return found, end - begin
