"""What each task of a sort of records does: words and model, then one of two ways to the parts.

What travels is either whole records, or of each its key and its place, 16 bytes, by which its
part fetches it from the source. Both are parted by the same model and put in the same order,
by (key, place), which no two records share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.transport import combine
from dlsort.arrow.views import fixed_view
from dlsort.errors import OutOfOrderError
from dlsort.io.storage import write_error
from dlsort.keys import SortKey
from dlsort.model.model import Model, fit_model
from dlsort.model.partition import find_bands, group
from dlsort.proof.checksum import NOTHING, Proof
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.records.format import RECORD_BYTES
from dlsort.records.source import BLOCK_RECORDS, Looked, RecordPiece, RecordSource
from dlsort.strategies.oversized import sort_in_pieces
from dlsort.tuning import Tuning
from dlsort_cluster.exchange import Shards, Slot, Split
from dlsort_kernels import empty, gather_records, read_records

__all__ = ["KEYS", "KEY_ROW_BYTES", "RecordParts", "RecordReader", "fit_records"]

KEYS = (SortKey("key"), SortKey("place"))
# Of what travels for a record that stays where it is.
KEY_ROW_BYTES = 16

_RECORD = pa.binary(RECORD_BYTES)

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


def _table(word: Words, tail: Words) -> pa.Table:
    return pa.table([pa.array(word), pa.array(tail)], [key.column for key in KEYS])


def fit_records(looked: Looked, n_rows: int, n_parts: int, tuning: Tuning) -> Model:
    """Return the model of records, from those that were looked at."""
    n = len(looked.word)
    number = np.arange(n)
    weight = np.full(n, n_rows / max(n, 1))
    keys = _table(looked.word, looked.tail)
    return fit_model(keys, np.zeros_like(number), number, weight, KEYS, n_parts, tuning.order)


@dataclass(frozen=True)
class RecordReader:
    """How input partitions are read, proved and parted.

    Parameters
    ----------
    source : RecordSource
        The records.
    tuning : Tuning
        Of the order.
    whole : bool
        Whole records travel, not their keys and places.
    """

    source: RecordSource
    tuning: Tuning
    whole: bool

    def split(self, piece: RecordPiece, model: Model, input_id: int) -> Split:
        """Return the records of a piece, or their keys and places, grouped by partition."""
        clock = Clock()
        n = piece.n_records
        word, tail = empty(n, np.uint64), empty(n, np.uint64)
        kept = empty(n * RECORD_BYTES, np.uint8) if self.whole else None
        place = self.source.places[piece.file] + piece.first * RECORD_BYTES
        proof, at = NOTHING, 0
        blocks = self.source.blocks(piece, kept)
        while True:
            with clock.step("read"):
                block = next(blocks, None)
            if block is None:
                break
            m = len(block) // RECORD_BYTES
            with clock.step("prove"):
                first = place + at * RECORD_BYTES
                words = word[at : at + m], tail[at : at + m]
                found = read_records(block, *words, first, RECORD_BYTES)
            proof += Proof(m, found.low, found.high)
            at += m
        keys = _table(word, tail)
        with clock.step("classify"):
            band = find_bands(keys, model, input_id)
        with clock.step("split"):
            table = keys if kept is None else _of_records(kept)
            grouped, starts = group(table, band, model.n_parts, model.n_bands)
        self.source.check_unchanged(piece.file)
        return Split(grouped, starts, InputStats(proof, _measured(clock)))


@dataclass(frozen=True)
class RecordParts:
    """How output partitions are put in order, proved and written.

    Parameters
    ----------
    reader : RecordReader
        What was read.
    paths : tuple of str
        A file for each part; or one, in which each part has its place.
    part_bytes : int
        What fits of a partition, as it travels.
    """

    reader: RecordReader
    paths: tuple[str, ...]
    part_bytes: int

    def merge(self, shards: Shards, _: Any, slot: Slot) -> OutputStats:
        """Write a part; the same bytes to the same place, however often it is done.

        Raises
        ------
        OutOfOrderError
            If the records are not in order after the sort.
        DestinationError
            If they can't be written.
        """
        clock = Clock()
        is_one = len(self.paths) < slot.n_parts
        path = self.paths[0 if is_one else slot.part]
        written = _Written(path, slot.first_row if is_one else 0, clock, slot.part)
        whole = self.reader.whole
        if whole:
            shards = _with_keys(shards)
        how = KEYS, slot.part, slot.n_parts, self.part_bytes, self.reader.tuning
        pieces = sort_in_pieces(shards, *how)
        with written:
            while True:
                with clock.step("sort"):
                    table = next(pieces, None)
                if table is None:
                    break
                if whole:
                    records = fixed_view(combine(table.column("record")))
                    for block in _cut(records.reshape(-1)):
                        written.add(block)
                else:
                    self._fetch(combine(table.column("place")), written)
                del table  # before there is another
        edges = _table(*(np.array(each, np.uint64) for each in written.edges))
        n_bytes = written.proof.rows * RECORD_BYTES
        return OutputStats(slot.part, written.proof, n_bytes, edges, _measured(clock))

    def _fetch(self, tails: pa.Array, written: _Written) -> None:
        """Write the records at some places of the source."""
        source, tail = self.reader.source.mapped(), fixed_view(tails)
        memory = empty(BLOCK_RECORDS * RECORD_BYTES, np.uint8)
        for first in range(0, len(tail), BLOCK_RECORDS):
            some = tail[first : first + BLOCK_RECORDS]
            block = memory[: len(some) * RECORD_BYTES]
            with written.clock.step("gather"):
                gather_records(source, some, block)
            written.add(block)


@dataclass
class _Written:
    """Records of a part as they are checked, proved and written, block by block."""

    path: str
    first: int
    clock: Clock
    part: int
    proof: Proof = NOTHING
    edges: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))

    def __enter__(self) -> _Written:
        self._words = np.empty((2, BLOCK_RECORDS), np.uint64)
        with _writing(self.path):
            self._number = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *failure: object) -> None:
        os.close(self._number)

    def add(self, block: Bytes) -> None:
        n = len(block) // RECORD_BYTES
        if not n:
            return
        word, tail = self._words[0, :n], self._words[1, :n]
        with self.clock.step("prove"):
            found = read_records(block, word, tail)
        self._check(found.first_unordered, word, tail)
        at = (self.first + self.proof.rows) * RECORD_BYTES
        with self.clock.step("write"), _writing(self.path):
            left = block.data
            while left:
                n_bytes = os.pwrite(self._number, left, at)
                left, at = left[n_bytes:], at + n_bytes
        self.proof += Proof(n, found.low, found.high)

    def _check(self, bad: int, word: Words, tail: Words) -> None:
        n, (words, tails) = len(word), self.edges
        first, last = (int(word[0]), int(tail[0])), (int(word[-1]), int(tail[-1]))
        if words and (words[-1], tails[-1]) > first:
            bad = 0
        if bad < n:
            row = self.proof.rows + bad
            msg = (
                f"partition {self.part}: record {row + 1:,} sorts before record {row:,}. "
                "Nothing was published. This is a bug: please report it."
            )
            raise OutOfOrderError(msg)
        kept = [first, last] if not words else [(words[0], tails[0]), last]
        self.edges = [key for key, _ in kept], [rest for _, rest in kept]


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Tell in a sentence what can't be written."""
    try:
        yield
    except OSError as error:
        raise write_error(error, path) from error


def _cut(records: Bytes) -> Iterator[Bytes]:
    n_bytes = BLOCK_RECORDS * RECORD_BYTES
    for at in range(0, len(records), n_bytes):
        yield records[at : at + n_bytes]


def _of_records(records: Bytes) -> pa.Table:
    """Return records in memory as a column, not copied."""
    n = len(records) // RECORD_BYTES
    column = pa.Array.from_buffers(_RECORD, n, [None, pa.py_buffer(records)])
    return pa.table([column], ["record"])


def _with_keys(shards: Shards) -> Shards:
    """Return shards of records that have their keys too, made as they are read."""

    def keyed(table: pa.Table) -> pa.Table:
        records = fixed_view(combine(table.column("record"))).reshape(-1)
        n = table.num_rows
        word, tail = empty(n, np.uint64), empty(n, np.uint64)
        read_records(np.ascontiguousarray(records), word, tail)
        columns = [pa.array(word), pa.array(tail), table.column("record")]
        names = [*(key.column for key in KEYS), "record"]
        return pa.table(columns, names).replace_schema_metadata(table.schema.metadata)

    def read(shard: int, first: int, last: int) -> pa.Table:
        return keyed(shards.read(shard, first, last))

    def schema_of(schema: pa.Schema) -> pa.Schema:
        return keyed(schema.empty_table()).schema

    return Shards(
        [schema_of(schema) for schema in shards.schemas],
        shards.lengths,
        shards.n_bytes + KEY_ROW_BYTES * shards.n_rows,
        read,
        lambda: [keyed(table) for table in shards.read_all()],
    )


def _measured(clock: Clock) -> Clock:
    """Have a clock tell the memory that is this process's own.

    Mapped pages of files are the system's cache, which it may drop; so they are left out.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                clock.peak_bytes = int(line.split()[1]) * 1024
    return clock
