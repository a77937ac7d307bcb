"""Units on disk: files without a name, read back a partition at a time.

Spilled units are appended to a few files that lose their name as soon as they
are open. The kernel frees them with the last handle, so that nothing is left
behind even when a worker is killed. A unit on disk is::

    [ schema, dictionaries, empty batch ][ batch ][ batch ] ...
      head                                 rows of one or more partitions

Head and a range of batches, read together, are an IPC stream. They are read
with plain reads rather than mapped: the pages of a map stay in the worker's
resident memory as long as the map, outside of every budget.
"""

from __future__ import annotations

import errno
import os
import tempfile
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dlsort_cluster.wire import Unit, read_stream

__all__ = ["SpillFile", "Spilled", "read", "write"]

# Partitions share a batch until it has this many bytes, so that a batch's
# metadata (some KB) stays a small part of what is on disk.
_BATCH_BYTES = 256 * 2**10


class SpillFile:
    """A file without a name, written by one thread at a time.

    It is closed with its last reference, never sooner, so that no reader can
    meet a descriptor that stands for another file by now.
    """

    def __init__(self, temp_dir: str) -> None:
        self._raw = tempfile.TemporaryFile(dir=temp_dir, buffering=0)  # noqa: SIM115
        self.fd = self._raw.fileno()
        self.end = 0
        self.closed = False

    def write(self, data: pa.Buffer) -> int:
        """Append all of ``data``: one system call may write less."""
        view = memoryview(data).cast("B")
        n_bytes = len(view)
        while view:
            n_written = os.pwrite(self.fd, view, self.end)
            self.end += n_written
            view = view[n_written:]
        return n_bytes

    def tell(self) -> int:
        """Return where the next byte goes."""
        return self.end

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def close(self) -> None:
        """Do nothing: Arrow closes what it wrote to, but more units follow."""

    def cut_back(self, end: int) -> None:
        """Give the space after ``end`` back."""
        os.ftruncate(self.fd, end)
        self.end = end

    def __del__(self) -> None:
        if hasattr(self, "_raw"):
            self._raw.close()


class Spilled(NamedTuple):
    """A unit on disk: batch ``b`` has the rows ``firsts[b]:firsts[b + 1]``.

    Its bytes are ``offsets[b + 1]:offsets[b + 2]``; the head's are
    ``offsets[0]:offsets[1]``.
    """

    file: SpillFile
    starts: np.ndarray
    firsts: np.ndarray
    offsets: np.ndarray


def write(file: SpillFile, unit: Unit, n_bytes: int) -> Spilled:
    """Append a unit; on any error the file is as it was."""
    table = unit.table
    if table.num_columns and any("dictionary" in str(kind) for kind in table.schema.types):
        # One dictionary a column, so that the head holds all of them.
        table = table.combine_chunks()
    n_rows = table.num_rows
    step = max(1, n_rows * _BATCH_BYTES // max(1, n_bytes))
    seams = unit.starts[np.searchsorted(unit.starts, np.arange(0, n_rows, step))]
    seams = np.unique(np.append(seams, n_rows))
    start = file.end
    firsts, offsets = [0], [start]
    try:
        with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), table.schema) as writer:
            writer.write_batch(_empty_batch(table))
            offsets.append(file.end)
            for first, last in pairwise(seams):
                piece = table.slice(first, last - first).combine_chunks()
                for batch in piece.to_batches():
                    writer.write_batch(batch)
                    firsts.append(firsts[-1] + batch.num_rows)
                    offsets.append(file.end)
    except BaseException:
        file.cut_back(start)
        raise
    return Spilled(file, unit.starts, np.array(firsts), np.array(offsets))


def read(unit: Spilled, first: int, last: int) -> tuple[pa.Table, int]:
    """Read the rows ``first:last`` of a unit, and say how many bytes that took."""
    head, body = int(unit.offsets[0]), int(unit.offsets[1])
    # Batches low to high - 1 hold the rows.
    low = int(np.searchsorted(unit.firsts, first, "right")) - 1
    high = max(low, int(np.searchsorted(unit.firsts, last, "left")))
    if first == last:
        low = high = 0
    begin, end = int(unit.offsets[low + 1]), int(unit.offsets[high + 1])
    buffer = pa.allocate_buffer(body - head + end - begin)
    view = memoryview(buffer).cast("B")
    _read_into(unit.file.fd, view[: body - head], head)
    _read_into(unit.file.fd, view[body - head :], begin)
    table = read_stream(buffer).slice(first - int(unit.firsts[low]), last - first)
    return table, len(view)


def _read_into(fd: int, view: memoryview, offset: int) -> None:
    while view:
        n_read = os.preadv(fd, [view], offset)
        if not n_read:
            raise OSError(errno.EIO, "the file ends too soon")
        view = view[n_read:]
        offset += n_read


def _empty_batch(table: pa.Table) -> pa.RecordBatch:
    """Return no rows with the table's schema and dictionaries."""
    columns = [
        column.chunk(0).slice(0, 0) if column.num_chunks else pa.array([], column.type)
        for column in table.columns
    ]
    return pa.record_batch(columns, schema=table.schema)
