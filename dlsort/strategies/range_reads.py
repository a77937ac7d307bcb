"""Range reads: which part reads which pieces, where each piece spans a narrow range.

Sorted datasets that are put together, or time-ordered files with late rows, have pieces
whose ranges of the first key column are narrow but overlap. Then a part needs few of them:

    piece 0   ├────────┤                      footers' ranges
    piece 1                ├────────┤
    piece 2        ├────────┤
    piece 3                     ├────────┤
              part 0  │  part 1   │ part 2    cut by the model
              0, 2      0, 1, 2, 3  1, 3      pieces that it reads

The client guesses from the ranges alone how much would be read, and decides. The model
decides which rows a part keeps, so a range that is not so can only lose rows, which the
proof's count shows; the exchange is done then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.arrow.take import take_table
from dlsort.io.parquet.statistics import Range, rank_raw, raw_values, read_ranges
from dlsort.io.source import Piece, Source, cut_pieces
from dlsort.keys import SortKey
from dlsort.model.model import Model
from dlsort.tuning import TUNING

__all__ = ["RangeReads", "Readers", "Span", "find_readers", "plan_range_reads"]

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
        There is no other one: equal values are told apart by their input partition.
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
            All three compare as the rows do, as far as first key columns tell.
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
    source: Source, keys: Sequence[SortKey], n_parts: int
) -> RangeReads | None:
    """Return the pieces that parts can read by range, or None where that reads too much.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions, at least 2.
    """
    ranges = read_ranges(source, keys[0].column)
    if not ranges:
        return None
    pieces = cut_pieces(source, source.arrow_bytes // (n_parts * TUNING.range_pieces) + 1)
    spans = tuple(span for i, piece in enumerate(pieces) for span in _spans(i, piece, ranges))
    reads = RangeReads(tuple(pieces), spans, keys[0], len(keys) == 1)
    wanted = TUNING.most_range_rereads * source.n_rows
    return reads if _expected_rows(reads, n_parts) <= wanted else None


def _spans(input_id: int, piece: Piece, ranges: dict[int, Range]) -> list[Span]:
    """Return the span of a piece's values and that of its nulls, as far as there are any."""
    found = [ranges[g] for g in piece.groups if g in ranges]
    n_nulls = sum(r.n_nulls for r in found)
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
