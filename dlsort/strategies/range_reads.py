"""Range reads: which part reads which pieces, where each piece spans a narrow range.

Sorted datasets that are put together, or time-ordered files with late rows, have pieces
whose ranges of the first key column are narrow but overlap. Then a part needs few of them:

    piece 0   ├────────┤                      footers' ranges
    piece 1                ├────────┤
    piece 2        ├────────┤
    piece 3                     ├────────┤
              part 0  │  part 1   │ part 2    cut by the model
              0, 2      0, 1, 2, 3  1, 3      pieces that it reads

The client guesses from the ranges alone how much would be read, and what that costs. The model
decides which rows a part keeps, so a range that is not so can only lose rows, which the
proof's count shows; the exchange is done then.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.io.parquet.statistics import rank_raw, raw_values
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Piece, Range, Source, cut_pieces
from dlsort.keys import SortKey
from dlsort.model.model import Model
from dlsort.model.partition import find_bands
from dlsort.model.reuse import Reuse, plan_reuse, rows_of_reuse
from dlsort.model.sample_plan import plan_sample
from dlsort.order.bands import write_starts
from dlsort.planner.work import Shape
from dlsort.proof.checksum import prove, total
from dlsort.proof.outcome import Outcome
from dlsort.proof.stats import Clock, InputStats, PieceEnds
from dlsort.strategies.part import Moved, find_moved, lay_parts, write_partition
from dlsort.strategies.reader import Reader, model_tasks
from dlsort.strategies.strategy import Job, usual_balance
from dlsort.tuning import StrategyTuning
from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.exchange import Layer, Shards, Slot
from dlsort_cluster.tasks import call, ref

__all__ = [
    "RangeReading",
    "RangeReads",
    "Readers",
    "Span",
    "find_readers",
    "plan_range_reads",
]

Places = npt.NDArray[np.int64]


class Span(NamedTuple):
    """Rows of a piece between two raw values of the first key column; None: its nulls."""

    input_id: int
    low: Any
    high: Any
    n_rows: int


@dataclass(frozen=True)
class RangeReads:
    """The pieces, and where their rows are.

    Parameters
    ----------
    pieces : tuple of Piece
        The input partitions, in order; each is read whole.
    spans : tuple of Span
        At least one for each piece that has rows.
    key : SortKey
        The first key column.
    is_whole_key : bool
        There is no other one: equal values differ by their input partition.
    """

    pieces: tuple[Piece, ...]
    spans: tuple[Span, ...]
    key: SortKey
    is_whole_key: bool

    def places(
        self, values: Sequence[Any] = (), input_ids: Places | None = None
    ) -> tuple[Places, Places, Places]:
        """Return where the spans' first and last rows, and other values, are in the order.

        Parameters
        ----------
        values : (m) sequence
            Raw values of the first key column.
        input_ids : (m,) int64
            The input partition of each.

        Returns
        -------
        first, last : (spans,) int64
        others : (m,) int64
            All three compare as the rows do, as far as first key columns show.
        """
        low, high = [s.low for s in self.spans], [s.high for s in self.spans]
        ranks = rank_raw([*low, *high, *values], self.key)
        if self.is_whole_key:
            of_spans = np.array([s.input_id for s in self.spans], np.int64)
            others = np.empty(0, np.int64) if input_ids is None else input_ids
            ranks = ranks * len(self.pieces) + np.concatenate([of_spans, of_spans, others])
        n = len(self.spans)
        ends = ranks[: 2 * n].reshape(2, n)
        return ends.min(axis=0), ends.max(axis=0), ranks[2 * n :]


@dataclass(frozen=True)
class Readers:
    """Which parts read which pieces.

    Parameters
    ----------
    pieces : tuple of Piece
        The input partitions, in order.
    input_id : (spans,) int64
        The piece of each span.
    first, last : (spans,) int64
        The parts that may have rows of it.
    owner : (pieces,) int64
        The first part that reads each piece.
    """

    pieces: tuple[Piece, ...]
    input_id: Places
    first: Places
    last: Places
    owner: Places

    def pieces_of(self, part: int) -> list[int]:
        """Return the numbers of the pieces that a part reads, ascending."""
        here = (self.first <= part) & (part <= self.last)
        found: list[int] = np.unique(self.input_id[here]).tolist()
        return found


def plan_range_reads(
    source: Source, keys: Sequence[SortKey], n_parts: int, tuning: StrategyTuning
) -> RangeReads | None:
    """Return the pieces that parts can read by range, or None where none is told.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions, at least 2.
    tuning : StrategyTuning
        How small pieces are.
    """
    ranges = source.exact_ranges(keys[0].column)
    if not ranges:
        return None
    pieces = cut_pieces(source, source.arrow_bytes // (n_parts * tuning.range_pieces) + 1)
    spans = tuple(span for i, piece in enumerate(pieces) for span in _spans(i, piece, ranges))
    return RangeReads(tuple(pieces), spans, keys[0], len(keys) == 1)


def _spans(input_id: int, piece: Piece, ranges: Mapping[int, Range]) -> list[Span]:
    """Return the span of a piece's values and that of its nulls, as far as there are any."""
    found = [ranges[g] for g in piece.groups if g in ranges]
    n_nulls = sum(r.n_nulls or 0 for r in found)
    lows = [r.low for r in found if r.low is not None]
    highs = [r.high for r in found if r.high is not None]
    spans = []
    if lows:
        spans.append(Span(input_id, min(lows), max(highs), piece.n_rows - n_nulls))
    if n_nulls:
        spans.append(Span(input_id, None, None, n_nulls))
    return spans


def _expected_rows(reads: RangeReads, n_parts: int) -> float:
    """Return how many rows parts of equal length read, if rows are even in their spans.

    Even by rank among the spans' ends, so that outliers and types don't matter.
    """
    first, last, _ = reads.places()
    ends, ranks = np.unique(np.concatenate([first, last]), return_inverse=True)
    first, last = ranks.reshape(2, -1)
    rows = np.array([s.n_rows for s in reads.spans], np.float64)
    wide = last > first
    at = np.bincount(first[~wide], rows[~wide], len(ends))  # rows at each end
    share = rows[wide] / (last - first)[wide]
    begun = np.bincount(first[wide], share, len(ends))
    between = np.cumsum(begun - np.bincount(last[wide], share, len(ends)))  # and after it
    through = np.cumsum(at + np.concatenate([[0.0], between[:-1]]))
    depth = np.column_stack([through - at, through]).ravel()
    targets = rows.sum() * np.arange(1, n_parts) / n_parts
    cuts = np.interp(targets, depth, np.repeat(np.arange(len(ends)), 2))
    n_reads = 1 + np.searchsorted(cuts, last, "right") - np.searchsorted(cuts, first, "left")
    whole = np.array([reads.pieces[s.input_id].n_rows for s in reads.spans])
    return float((n_reads * whole).sum())


def find_readers(reads: RangeReads, model: Model) -> Readers:
    """Return which parts may have rows of which pieces.

    Parameters
    ----------
    reads : RangeReads
        The pieces and their spans.
    model : Model
        Fitted to rows whose input partitions are the pieces.

    Notes
    -----
    Time O((spans + parts) log spans).
    """
    begins = np.arange(1, model.n_parts) * model.n_bands - 1
    begins = begins[begins < model.splitters.num_rows].astype(np.uint32)
    values = raw_values(take_table(model.splitters, begins).column(0))
    low, high, cuts = reads.places(values, model.splitter_part[begins])
    # a row is in the part of the last splitter that is not after it
    first = np.searchsorted(cuts, low, "left")
    last = np.searchsorted(cuts, high, "right")
    input_id = np.array([s.input_id for s in reads.spans], np.int64)
    owner = np.full(len(reads.pieces), model.n_parts)
    np.minimum.at(owner, input_id, first)
    return Readers(reads.pieces, input_id, first, last, owner)


class RangeReading:
    """Parts of the pieces that their ranges of the key meet."""

    name = "range"
    trusts_footers = True
    cuts_by_model = True
    moves_rows = True

    def plan(self, job: Job) -> RangePlan | None:
        """Return the tasks, or None where footers tell no ranges that compare."""
        reads = plan_range_reads(job.source, job.keys, job.n_parts, job.tuning.strategies)
        return None if reads is None else RangePlan(job, reads)


@dataclass(frozen=True)
class RangePlan:
    """The tasks of a job whose parts read the pieces that their ranges meet.

    Parameters
    ----------
    job : Job
        The job.
    reads : RangeReads
        The pieces and their ranges.
    """

    job: Job
    reads: RangeReads

    @property
    def n_inputs(self) -> int:
        """Number of pieces."""
        return len(self.reads.pieces)

    @cached_property
    def rereads(self) -> float:
        """Rows that parts of equal length read for each row, as far as ranges tell."""
        rows = _expected_rows(self.reads, self.job.n_parts)
        return rows / max(1, self.job.source.n_rows)

    @cached_property
    def reuse(self) -> Reuse | None:
        """How a known model may serve, if there is one."""
        job, pieces = self.job, self.reads.pieces
        return plan_reuse(job.source, pieces, job.keys, job.n_parts, job.known, job.tuning)

    def shape(self, sized: Shape) -> Shape:
        """Return what its cost depends on."""
        job = self.job
        return replace(
            sized,
            strategy=RangeReading.name,
            n_pieces=self.n_inputs,
            rereads=self.rereads,
            balance=usual_balance(job.source.n_rows, job.n_parts, job.tuning.sample),
            known_rows=rows_of_reuse(self.reuse),
        )

    def row_bytes(self, number: int) -> float:
        """Return what a row is planned to take: which pieces a part owns is not known."""
        return self.job.source.arrow_bytes / max(1, self.job.source.n_rows)

    def layer(self, writer: Writer) -> Layer:
        """Return sample → model → who reads what → read, keep, sort and write, as tasks."""
        job, token = self.job, uuid.uuid4().hex
        model, readers = f"dlsort-model-{token}", f"dlsort-readers-{token}"
        reader = Reader.of(job.source, job.keys, job.tuning).checking(job)
        samples = plan_sample(job.source, self.reads.pieces, job.keys, job.n_parts, job.tuning)
        graph = model_tasks(
            model,
            token,
            reader,
            writer.folder,
            samples,
            job.n_parts,
            job.n_threads,
            reuse=self.reuse,
        )
        graph[readers] = call(readers, find_readers, self.reads, ref(model))
        calls = [
            (_read_and_keep, reader, writer, ref(model), ref(readers), part)
            for part in range(job.n_parts)
        ]
        return lay_parts(token, calls, graph)

    def holds(self, outcome: Outcome) -> bool:
        """Return whether every row was in some part's range.

        Rows are kept by the model, so a range that is not so leaves rows out, and no more.
        """
        return sum(s.proof.rows for s in outcome.outputs) >= self.job.source.n_rows


def _read_and_keep(
    reader: Reader, writer: Writer, model: Model, readers: Readers, part: int
) -> Moved:
    """Read the pieces that a part may have rows of, one by one, and make it of its rows.

    Nothing is read if it is finished. Pieces are proved by the part that owns them, all of
    their rows.
    """
    if (found := find_moved(writer, part)) is not None:
        return found
    clock = Clock()
    proofs = []
    shards = []
    ends: list[PieceEnds] = []
    n_bytes = 0
    for input_id in readers.pieces_of(part):
        with clock.step("read"):
            table = reader.read(readers.pieces[input_id])
        if readers.owner[input_id] == part:
            ends += reader.ends(table, readers.pieces[input_id])
            n_bytes += count_bytes(table)
            with clock.step("prove"):
                proofs.append(prove(table, reader.tuning.proof))
        with clock.step("classify"):
            band = find_bands(table, model, input_id)
        with clock.step("split"):
            shard = _keep(table, band, part, model)
        if shard.num_rows:
            shards.append(shard)
        del table
    if not shards:  # the columns as they are read, without a row
        shards.append(reader.read(readers.pieces[0].without_rows()))
    slot = Slot(part, model.n_parts, 0, sum(shard.num_rows for shard in shards))
    read = total(proofs)
    written = write_partition(writer, Shards.of(shards), slot, read)
    return Moved(InputStats(read, clock, 0, tuple(ends), part, n_bytes), written)


def _keep(table: pa.Table, band: npt.NDArray[np.uint32], part: int, model: Model) -> pa.Table:
    """Return the rows of a piece that a part keeps, grouped by band.

    They are a copy if they are not all of them, so that the others can go.
    """
    rows = np.flatnonzero(band // model.n_bands == part).astype(np.uint32)
    bands = (band[rows] - part * model.n_bands).astype(np.uint16)
    if (bands[1:] < bands[:-1]).any():
        order = np.argsort(bands, kind="stable")
        rows, bands = rows[order], bands[order]
        table = take_table(table, rows)
    elif len(rows) < table.num_rows:
        table = take_table(table, rows)
    if model.n_bands == 1:
        return table
    of_all = np.arange(model.n_parts * model.n_bands + 1) - part * model.n_bands
    starts = np.searchsorted(bands, of_all)
    return write_starts(table, starts)
