"""Units on disk: files without a name, read back a partition at a time.

Spilled units are appended to a few files that lose their name as soon as they
are open. The kernel frees them with the last handle, so that nothing is left
behind even when a worker is killed. A unit is an Arrow IPC file inside such a
file; its batches hold the rows of one or more partitions, so that a partition
is read from few places. Reading maps the file (0.04 s a GB from the page cache
where a read into fresh memory takes 0.06); each read has a map of its own, so
that its pages leave the worker's resident memory with the shards.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dlsort_cluster.wire import Unit, count_bytes

__all__ = ["SpillFile", "Spilled", "read", "write"]

# Partitions share a batch until it has this many bytes, so that a batch's
# metadata (some KB) stays a small part of what is on disk.
_BATCH_BYTES = 256 * 2**10

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


class Spilled(NamedTuple):
    """A unit on disk, in ``file[begin:end]``.

    Batch ``b`` has the rows ``firsts[b]:firsts[b + 1]`` and lies in
    ``file[offsets[b]:offsets[b + 1]]``.
    """

    file: SpillFile
    starts: np.ndarray
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


def write(file: SpillFile, unit: Unit) -> Spilled:
    """Append a unit; on any error the file is as it was."""
    table = unit.table
    if any("dictionary" in str(kind) for kind in table.schema.types):
        # An IPC file holds one dictionary a column.
        table = table.combine_chunks()
    n_rows = table.num_rows
    step = max(1, n_rows * _BATCH_BYTES // max(1, count_bytes(table)))
    seams = unit.starts[np.searchsorted(unit.starts, np.arange(0, n_rows, step))]
    seams = np.unique(np.append(seams, n_rows))
    end = file.end
    try:
        file.append(memoryview(bytes(-end % _ALIGNMENT)))
        begin = file.end
        firsts, offsets = [0], [begin]
        with pa.ipc.new_file(pa.PythonFile(_Sink(file), mode="w"), table.schema) as writer:
            for first, last in pairwise(seams):
                piece = table.slice(first, last - first).combine_chunks()
                for batch in piece.to_batches():
                    writer.write_batch(batch)
                    firsts.append(firsts[-1] + batch.num_rows)
                    offsets.append(file.end)
    except BaseException:
        file.cut_back(end)
        raise
    return Spilled(file, unit.starts, begin, file.end, np.array(firsts), np.array(offsets))


def read(unit: Spilled, mapped: mmap.mmap, first: int, last: int) -> tuple[pa.Table, int]:
    """Return the rows ``first:last`` of a unit, and how many bytes they take on disk."""
    view = memoryview(mapped)[unit.begin : unit.end]
    reader = pa.ipc.open_file(pa.py_buffer(view))
    if not reader.num_record_batches:
        return reader.schema.empty_table(), 0
    # Batches low to high - 1 hold the rows; without rows, any batch knows the schema.
    low = int(np.searchsorted(unit.firsts, first, "right")) - 1
    low = min(low, reader.num_record_batches - 1)
    high = max(low + 1, int(np.searchsorted(unit.firsts, last, "left")))
    begin, end = int(unit.offsets[low]), int(unit.offsets[high])
    page = begin - begin % mmap.PAGESIZE
    mapped.madvise(mmap.MADV_WILLNEED, page, end - page)
    batches = [reader.get_batch(place) for place in range(low, high)]
    table = pa.Table.from_batches(batches, reader.schema)
    return table.slice(first - int(unit.firsts[low]), last - first), end - begin
