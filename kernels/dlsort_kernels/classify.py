"""Classification: which partition each row belongs to.

The model makes this O(1) a row: a word is scaled to one of some thousand cells, and the
search begins at the cell's first splitter. What the model thinks decides the time only;
the answer is always that of a binary search over the splitters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.jit import kernel, reads, writes

__all__ = ["Cells", "build_cells", "classify", "group_rows", "settle_ties", "tied_rows"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

U0 = np.uint64(0)
U1 = np.uint64(1)
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)

# The table of 4,096 cells takes 16 KB: it stays in the first-level cache.
CELL_BITS = 12
# Splitters in a cell up to which going through them all, without a branch, is cheapest.
FEW = 3


class Cells(NamedTuple):
    """An O(1) start for the search among splitters.

    Inner cells have equal width and cover ``[lo, top)``; cell 0 is all below, the last
    cell all above.
    """

    lo: int
    top: int
    cell_bits: int
    first: U32
    """(cells + 1,) Splitters below each cell's least word, and the number of all."""
    steps: int
    """Most splitters of a cell that are looked at one by one; above FEW, by bisection."""


def build_cells(splitters: U64, sample: U64) -> Cells:
    """Choose the cells that find the sample's splitters in the fewest steps.

    Tried are cells over the splitters' whole range, over inner quantiles with the tails
    apart, and a single cell, which is a plain binary search.

    Parameters
    ----------
    splitters : (s,) uint64
        Non-decreasing.
    sample : (m,) uint64
        Words like those to be classified.

    Returns
    -------
    Cells

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import build_cells, classify
    >>> splitters = np.array([10, 20, 30], dtype=np.uint64)
    >>> cells = build_cells(splitters, np.arange(40, dtype=np.uint64))
    >>> classify(np.array([5, 10, 11, 99], dtype=np.uint64), splitters, cells)
    (array([0, 0, 1, 3], dtype=uint32), 1)
    """
    if not len(splitters):
        return Cells(0, 0, 0, np.zeros(3, np.uint32), 0)
    sample = np.sort(sample) if len(sample) else splitters
    best, least = None, np.inf
    for share in (0, 64, 16, 4):
        tail = len(splitters) // share if share else 0
        cells = _cells_over(splitters, int(splitters[tail]), int(splitters[-1 - tail]))
        n_words = np.diff(_cell_counts(sample, cells))
        n_splitters = np.diff(cells.first.astype(np.int64))
        # A mispredicted branch and the steps of a bisection, where there are many.
        steps = np.where(n_splitters > FEW, 4 + 2 * np.log2(n_splitters + 1), n_splitters)
        cost = float(n_words @ steps) / max(n_words.sum(), 1)
        if cost < least:
            best, least = cells, cost
    assert best is not None
    return best


def _cells_over(splitters: U64, lo: int, hi: int) -> Cells:
    """Return cells of equal width over ``[lo, hi]``."""
    cell_bits = max(0, (hi - lo).bit_length() - CELL_BITS)
    n_cells = (hi - lo >> cell_bits) + 1
    # At the very end of the range the last cell may be cut short by one word: a tail.
    top = min(lo + (n_cells << cell_bits), 2**64 - 1)
    edges = np.uint64(lo) + (np.arange(n_cells, dtype=np.uint64) << np.uint64(cell_bits))
    edges = np.append(edges, np.uint64(top))
    first = np.empty(n_cells + 3, np.uint32)
    first[0] = 0
    first[1:-1] = np.searchsorted(splitters, edges)
    first[-1] = len(splitters)
    return Cells(lo, top, cell_bits, first, int(np.diff(first.astype(np.int64)).max()))


def _cell_counts(sample: U64, cells: Cells) -> I64:
    """Return how many words of a sorted sample lie below each cell, and in all."""
    n_cells = len(cells.first) - 3
    starts = np.arange(n_cells, dtype=np.uint64) << np.uint64(cells.cell_bits)
    edges = np.append(np.uint64(cells.lo) + starts, np.uint64(cells.top))
    below = np.searchsorted(sample, edges)
    return np.concatenate([[0], below, [len(sample)]]).astype(np.int64)


def classify(lead: U64, splitters: U64, cells: Cells) -> tuple[U32, int]:
    """Return how many splitters lie below each word.

    Parameters
    ----------
    lead : (n,) uint64
    splitters : (s,) uint64
        Those that ``cells`` was built for.
    cells : Cells

    Returns
    -------
    part : (n,) uint32
        ``np.searchsorted(splitters, lead)``, exactly.
    n_tied : int
        Rows whose word equals a splitter.

    Notes
    -----
    Time O(n) for cells that fit, O(n log s) for any: 1 to 3 ns a row.
    """
    part = np.empty(len(lead), np.uint32)
    # Never below a word, so the search needs no check for the end.
    padded = np.append(splitters, ONES)
    n_tied = _classify(
        lead,
        padded,
        np.uint64(cells.lo),
        np.uint64(cells.top),
        np.uint64(cells.cell_bits),
        cells.first,
        cells.steps,
        part,
    )
    return part, int(n_tied)


@kernel(
    types.int64(
        reads(types.uint64),
        reads(types.uint64),
        types.uint64,
        types.uint64,
        types.uint64,
        reads(types.uint32),
        types.int64,
        writes(types.uint32),
    )
)
def _classify(lead, splitters, lo, top, cell_bits, first, steps, part):  # type: ignore[no-untyped-def]
    n_splitters = np.uint64(len(splitters)) - U1
    last = np.uint64(len(first)) - np.uint64(2)
    n_tied = 0
    for i in range(len(lead)):
        word = lead[i]
        cell = min(((word - lo) >> cell_bits) + U1, last)
        cell = U0 if word < lo else (last if word >= top else cell)
        at = np.uint64(first[cell])
        end = np.uint64(first[cell + U1])
        while end - at > np.uint64(FEW):
            middle = (at + end) >> U1
            if splitters[middle] < word:
                at = middle + U1
            else:
                end = middle
        while splitters[at] < word:
            at += U1
        part[i] = at
        n_tied += (splitters[at] == word) & (at < n_splitters)
    return n_tied


def tied_rows(lead: U64, splitters: U64, part: U32) -> U32:
    """Return the rows whose word equals a splitter, in order.

    Parameters
    ----------
    lead : (n,) uint64
    splitters : (s,) uint64
    part : (n,) uint32
        From `classify`.

    Returns
    -------
    (m,) uint32

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import tied_rows
    >>> lead, splitters = np.array([5, 10, 11], np.uint64), np.array([10], np.uint64)
    >>> tied_rows(lead, splitters, np.array([0, 0, 1], np.uint32))
    array([1], dtype=uint32)
    """
    if not len(splitters):
        return np.empty(0, np.uint32)
    rows = np.empty(len(lead), np.uint32)
    return rows[: _tied_rows(lead, splitters, part, rows)].copy()


@kernel(
    types.int64(
        reads(types.uint64), reads(types.uint64), reads(types.uint32), writes(types.uint32)
    )
)
def _tied_rows(lead, splitters, part, rows):  # type: ignore[no-untyped-def]
    n = 0
    last = np.uint32(len(splitters) - 1)
    for i in range(len(lead)):
        at = min(part[i], last)
        # Written always, counted only if it ties: no branch to mispredict.
        rows[n] = i
        n += splitters[at] == lead[i]
    return n


def settle_ties(
    part: U32,
    rows: U32,
    splitters: U64,
    splitter_part: I64,
    splitter_row: I64,
    input_id: int,
    lead: U64,
) -> None:
    """Place rows that tie with splitters by their input partition and row, in place.

    For leads that hold the whole key: rows of one key are told apart by where they stand,
    so that even a single heavy key is split evenly.

    Parameters
    ----------
    part : (n,) uint32
        From `classify`. For each of ``rows`` it becomes the number of splitters that are
        not above ``(lead, input_id, row)``: a row equal to a splitter goes right of it.
    rows : (m,) uint32
        From `tied_rows`.
    splitters : (s,) uint64
    splitter_part, splitter_row : (s,) int64
        Where each splitter's row stands. Splitters with one lead are in this order.
    input_id : int
        The input partition of ``lead``.
    lead : (n,) uint64

    Notes
    -----
    Time O(m + s) for rows in order.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import settle_ties
    >>> lead, part = np.full(4, 7, np.uint64), np.zeros(4, np.uint32)
    >>> splitters = np.array([7, 7], np.uint64)
    >>> rows = np.arange(4, dtype=np.uint32)
    >>> settle_ties(part, rows, splitters, np.array([0, 3]), np.array([9, 2]), 3, lead)
    >>> part.tolist()
    [1, 1, 2, 2]
    """
    reached = np.full(len(splitters), -1, np.int64)
    _settle_ties(part, rows, splitters, splitter_part, splitter_row, input_id, lead, reached)


@kernel(
    types.void(
        writes(types.uint32),
        reads(types.uint32),
        reads(types.uint64),
        reads(types.int64),
        reads(types.int64),
        types.int64,
        reads(types.uint64),
        writes(types.int64),
    )
)
def _settle_ties(  # type: ignore[no-untyped-def]
    part, rows, splitters, splitter_part, splitter_row, input_id, lead, reached
):
    n_splitters = len(splitters)
    for k in range(len(rows)):
        row = np.int64(rows[k])
        word = lead[row]
        first = np.int64(part[row])
        if first >= n_splitters or splitters[first] != word:
            continue
        # Rows come in order, so the search goes on where the last one of this key ended.
        at = max(reached[first], first)
        if at > first and splitter_part[at - 1] == input_id and splitter_row[at - 1] > row:
            at = first
        while at < n_splitters and splitters[at] == word:
            if splitter_part[at] > input_id:
                break
            if splitter_part[at] == input_id and splitter_row[at] > row:
                break
            at += 1
        reached[first] = at
        part[row] = at


def group_rows(part: U32, n_parts: int) -> tuple[U32, I64]:
    """Return the row order that groups rows by partition, and each partition's start.

    Counting sort: rows keep their order inside a partition.

    Parameters
    ----------
    part : (n,) uint32
        Partition of each row, each below ``n_parts``; not checked here.
    n_parts : int

    Returns
    -------
    order : (n,) uint32
        ``part[order]`` is non-decreasing.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``order[starts[p]:starts[p + 1]]``.

    Notes
    -----
    Time O(n + n_parts).

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import group_rows
    >>> order, starts = group_rows(np.array([1, 0, 1], dtype=np.uint32), 2)
    >>> order.tolist(), starts.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    counts = np.zeros(n_parts, np.int64)
    _count(part, counts)
    starts = np.zeros(n_parts + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    order = np.empty(len(part), np.uint32)
    _group(part, starts[:-1].copy(), order)
    return order, starts


@kernel(types.void(reads(types.uint32), writes(types.int64)))
def _count(part, counts):  # type: ignore[no-untyped-def]
    for i in range(len(part)):
        counts[part[i]] += 1


@kernel(types.void(reads(types.uint32), writes(types.int64), writes(types.uint32)))
def _group(part, at, order):  # type: ignore[no-untyped-def]
    for i in range(len(part)):
        place = at[part[i]]
        order[place] = i
        at[part[i]] = place + 1
