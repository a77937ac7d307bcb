"""Move: rows are read where they lie, where the source's order makes an exchange unnecessary.

Two kinds of sources need none, by what their footers say:

- all of it is in order already: every row group claims the wanted order in its
  ``sorting_columns``, and their ranges follow one another. It is cut anywhere.
- the ranges of some row groups are apart from those of all others (each file has its
  own day): a part takes whole row groups, if that leaves parts even.

Footers may lie. What is made from moves is sorted and proved as any other part, and
where two parts turn out to touch or overlap the exchange is done after all.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from dlsort.errors import OutOfOrderError
from dlsort.io.parquet.statistics import rank_raw
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Piece, Range, Source, cut_groups
from dlsort.keys import SortKey
from dlsort.planner.work import Shape
from dlsort.proof.checksum import prove, total
from dlsort.proof.outcome import Outcome, check_keys_apart, check_outcome
from dlsort.proof.stats import Clock, InputStats
from dlsort.sizes import UNBOUNDED
from dlsort.strategies.part import Moved, find_moved, lay_parts, write_partition
from dlsort.strategies.reader import Reader
from dlsort.strategies.strategy import Job
from dlsort.tuning import Tuning
from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.exchange import Layer, Shards, Slot

__all__ = ["Move", "Moves", "Slice", "move_part", "plan_moves", "rows_between"]


@dataclass(frozen=True)
class Slice:
    """Rows ``first : first + n_rows`` of a piece."""

    piece: Piece
    first: int
    n_rows: int


@dataclass(frozen=True)
class Moves:
    """The rows of each part, as slices in the source's order.

    Parameters
    ----------
    parts : tuple of tuple of Slice
        One a part, in sort order.
    is_sorted : bool
        The source claims to be in order as it is; else parts have been put in
        order, and no key may be in two of them.
    """

    parts: tuple[tuple[Slice, ...], ...]
    is_sorted: bool


def plan_moves(
    source: Source,
    keys: Sequence[SortKey],
    n_parts: int,
    tuning: Tuning,
    *,
    is_merge: bool = False,
) -> Moves | None:
    """Return which rows make which part, or None where an exchange is needed.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions, at least 2.
    tuning : Tuning
        How much may be read, and how uneven parts may be.
    is_merge : bool
        Each file is said to be in order, whatever its footer claims.
    """
    ranges = source.exact_ranges(keys[0].column)
    if not ranges or any(r.n_nulls for r in ranges.values()):
        return None
    filled = list(ranges)
    low, high = _ranked(list(ranges.values()), keys[0])
    rows = np.array([source.row_groups[g].n_rows for g in filled])
    if rows.sum() < n_parts:
        return None
    is_claimed = is_merge or source.claims_order(keys)
    if is_claimed and (low[1:] >= high[:-1]).all():
        return Moves(_cut_rows(source, filled, rows, n_parts), is_sorted=True)
    chosen = _cut_ranges(low, high, rows, n_parts, tuning.sample.balance)
    if chosen is None:
        return None
    groups = (np.sort(np.array(filled)[part]).tolist() for part in chosen)
    return Moves(tuple(_whole(source, part) for part in groups), is_sorted=False)


def _ranked(
    ranges: Sequence[Range], key: SortKey
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first and last key of each row group, as ranks in the wanted order."""
    ranks = rank_raw([end for r in ranges for end in (r.low, r.high)], key).reshape(-1, 2)
    return ranks.min(axis=1), ranks.max(axis=1)


def _cut_rows(
    source: Source, filled: Sequence[int], rows: npt.NDArray[np.int64], n_parts: int
) -> tuple[tuple[Slice, ...], ...]:
    """Cut the source as it is into parts of equal rows."""
    edges = rows.sum() * np.arange(n_parts + 1) // n_parts
    return tuple(
        rows_between(source, filled, rows, begin, end)
        for begin, end in pairwise(edges.tolist())
    )


def rows_between(
    source: Source,
    groups: Sequence[int],
    rows: npt.NDArray[np.int64],
    begin: int,
    end: int,
) -> tuple[Slice, ...]:
    """Return rows ``begin : end`` of some row groups, taken as one after the other.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    groups : (g) sequence of int
        Numbers of row groups that have rows, ascending.
    rows : (g,) int64
        Rows of each.
    begin, end : int
        The first row, and the one behind the last.
    """
    first_row = np.concatenate([[0], np.cumsum(rows)])
    inside = np.flatnonzero((first_row[1:] > begin) & (first_row[:-1] < end))
    if not len(inside):
        return ()
    slices: list[Slice] = []
    at = int(first_row[inside[0]])
    for whole in _whole(source, [groups[i] for i in inside.tolist()]):
        first, last = max(begin, at), min(end, at + whole.n_rows)
        slices.append(Slice(whole.piece, first - at, last - first))
        at += whole.n_rows
    return tuple(slices)


def _cut_ranges(
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    n_parts: int,
    balance: float,
) -> list[npt.NDArray[np.int64]] | None:
    """Return the row groups of each part, none of whose ranges meets another part's.

    None if there are too few gaps between the ranges, or they leave parts uneven.
    """
    order = np.lexsort((high, low))
    reach = np.maximum.accumulate(high[order])
    gaps = np.flatnonzero(low[order][1:] > reach[:-1]) + 1  # in places of ``order``
    passed = np.concatenate([[0], np.cumsum(rows[order])])
    wanted = passed[-1] * np.arange(1, n_parts) / n_parts
    if len(gaps) < n_parts - 1:
        return None
    after = np.minimum(np.searchsorted(passed[gaps], wanted), len(gaps) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(passed[gaps[before]] - wanted) <= np.abs(passed[gaps[after]] - wanted)
    cuts = gaps[np.where(nearer, before, after)]
    parts = np.split(order, cuts)
    sizes = np.array([rows[part].sum() for part in parts])
    return parts if sizes.max() <= balance * sizes.mean() and sizes.min() else None


def _whole(source: Source, groups: Sequence[int]) -> tuple[Slice, ...]:
    """Return row groups, ascending, as slices of as few pieces as can be."""
    slices = []
    for _, run in groupby(enumerate(groups), lambda item: item[1] - item[0]):
        first = next(run)[1]
        chosen = [source.row_groups[g] for g in (first, *(g for _, g in run))]
        for begin, end in cut_groups(source, chosen, UNBOUNDED):
            piece = source.piece(first + begin, first + end)
            slices.append(Slice(piece, 0, piece.n_rows))
    return tuple(slices)


class Move:
    """Parts of whole row groups, or of a sorted source that is cut anywhere."""

    name = "move"
    trusts_footers = True
    cuts_by_model = False
    moves_rows = True

    def plan(self, job: Job) -> MovePlan | None:
        """Return the tasks, or None where the footers don't claim such an order."""
        moves = plan_moves(job.source, job.keys, job.n_parts, job.tuning, is_merge=job.is_merge)
        return None if moves is None else MovePlan(job, moves)


@dataclass(frozen=True)
class MovePlan:
    """The tasks of a job whose parts are slices of the source.

    Parameters
    ----------
    job : Job
        The job.
    moves : Moves
        Which rows make which part.
    """

    job: Job
    moves: Moves

    @property
    def n_inputs(self) -> int:
        """Number of pieces that are read."""
        return sum(len(slices) for slices in self.moves.parts)

    @property
    def rereads(self) -> float:
        """Rows that are read for each row: a row group that is cut is read for each part."""
        read = sum(s.piece.n_rows for part in self.moves.parts for s in part)
        return read / max(1, self.job.source.n_rows)

    @property
    def balance(self) -> float:
        """Largest part over the mean, which is known."""
        rows = [sum(s.n_rows for s in part) for part in self.moves.parts]
        return max(rows) * len(rows) / max(1, sum(rows))

    def shape(self, sized: Shape) -> Shape:
        """Return what its cost depends on."""
        sized = replace(sized, rereads=self.rereads, balance=self.balance)
        return replace(sized, strategy=Move.name, n_pieces=self.n_inputs)

    def row_bytes(self, number: int) -> float:
        """Return what a row of a part is planned to take."""
        pieces = [s.piece for s in self.moves.parts[number]]
        return sum(p.arrow_bytes for p in pieces) / max(1, sum(p.n_rows for p in pieces))

    def layer(self, writer: Writer) -> Layer:
        """Return read → sort → write of each part, as tasks."""
        reader = Reader.of(self.job.source, self.job.keys, self.job.tuning)
        reader = reader.checking(self.job)
        n_parts = len(self.moves.parts)
        calls = [
            (move_part, reader, writer, slices, part, n_parts)
            for part, slices in enumerate(self.moves.parts)
        ]
        return lay_parts(uuid.uuid4().hex, calls, {})

    def holds(self, outcome: Outcome) -> bool:
        """Return whether the parts are in order, and no key is in two of them."""
        try:
            job = self.job
            check_outcome(job.source.n_rows, job.keys, outcome, job.tuning.order)
            if not self.moves.is_sorted:
                check_keys_apart(outcome.outputs)
        except OutOfOrderError:
            return False
        return True


def move_part(
    reader: Reader, writer: Writer, slices: Sequence[Slice], part: int, n_parts: int
) -> Moved:
    """Read, sort, check, prove and write the rows of one part, unless it is finished."""
    if (finished := find_moved(writer, part)) is not None:
        return finished
    clock = Clock()
    with clock.step("read"):
        read = [reader.read(s.piece) for s in slices]
    ends = tuple(
        end
        for s, table in zip(slices, read, strict=True)
        for end in reader.ends(table, s.piece)
    )
    tables = [t.slice(s.first, s.n_rows) for s, t in zip(slices, read, strict=True)]
    with clock.step("prove"):
        proof = total(prove(table, reader.tuning.proof) for table in tables)
    slot = Slot(part, n_parts, 0, proof.rows)
    written = write_partition(writer, Shards.of(tables), slot, proof)
    n_bytes = sum(map(count_bytes, tables))
    return Moved(InputStats(proof, clock, 0, ends, part, n_bytes), written)
