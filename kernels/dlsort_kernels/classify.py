"""Classification: how many splitters lie below each word.

The model makes this O(1) a row. A word is scaled to one of some thousand cells::

    words       0 ........ lo |.|.|.|.|.|.|.|.|.|.|........... 2^64
    cells                     0 1 2 3 4 ...      last
    splitters                  |   |||    | |   |

and the search begins at the number of splitters that lie in lower cells. It takes as many
halvings as the fullest cell needs, without a branch. Cells of one width suit most keys;
cells that widen in proportion to the distance from ``lo`` suit heavy tails: prices, sizes,
counts. Either way a higher word never falls into a lower cell, so whatever cells are
chosen, the answer is that of a binary search: the choice decides the time only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Groups, Places, Rows, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["Cells", "Search", "build_cells", "classify"]

U0 = np.uint64(0)
U1 = np.uint64(1)
ONES = 2**64 - 1
# The bits of 1.0: what a widening cell's number is counted from.
BITS_OF_ONE = np.uint64(1023 << 52)

# Tables tried, from 16 KB to 256 KB. The first stays in the first-level cache, the others
# in the second, which costs 0.2 ns a row more.
CELL_COUNT_BITS = (12, 14, 16)
MOST_CELLS = 1 << 16
# ns a row, measured on 4 M rows: one halving; scaling to a widening cell; a larger table.
HALVING_NS, WIDENING_NS, TABLE_NS = 1.0, 0.9, 0.1


class Cells(NamedTuple):
    """Where a search among splitters begins.

    Word ``w`` falls into cell ``x >> cell_bits``, where ``x`` is ``w - lo``, or the bits
    of ``float64(w - lo)``, less those of 1.0, if the cells are ``widening``; below ``lo``
    it falls into the first cell.
    """

    lo: int
    cell_bits: int
    widening: bool


def build_cells(splitters: Words) -> Cells:
    """Choose the cells among which the splitters are found quickest.

    Splitters stand at equal depths, so there are many of them where there are many words,
    and they say all that the choice needs.

    Parameters
    ----------
    splitters : (s,) uint64
        Non-decreasing.

    Returns
    -------
    Cells

    Notes
    -----
    Time O(s + 2^16), under a millisecond.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import build_cells, classify
    >>> splitters = np.array([10, 20, 30], dtype=np.uint64)
    >>> cells = build_cells(splitters)
    >>> part, n_tied = classify(np.array([5, 10, 11, 99], np.uint64), splitters, cells)
    >>> part.tolist(), n_tied
    ([0, 0, 1, 3], 1)
    """
    if not len(splitters):
        return Cells(0, 0, widening=False)
    distinct = np.unique(splitters)
    lo = int(distinct[0])
    best, least = None, np.inf
    for widening in (False, True):
        highest = int(_scaled(distinct[-1:], lo, widening=widening)[0])
        for place, count_bits in enumerate(CELL_COUNT_BITS):
            cells = Cells(lo, max(0, highest.bit_length() - count_bits), widening)
            halvings = int(np.bincount(_cells_of(distinct, cells)).max()).bit_length()
            cost = halvings * HALVING_NS + widening * WIDENING_NS + place * TABLE_NS
            if cost < least:
                best, least = cells, cost
    assert best is not None
    return best


def _scaled(words: Words, lo: int, *, widening: bool) -> Words:
    """Return what cell numbers are the high bits of. As in `_classify`."""
    scaled = np.maximum(words, np.uint64(lo)) - np.uint64(lo)
    if widening:
        scaled = np.maximum(scaled.astype(np.float64).view(np.uint64), BITS_OF_ONE)
        scaled -= BITS_OF_ONE
    return scaled


def _cells_of(words: Words, cells: Cells) -> Places:
    scaled = _scaled(words, cells.lo, widening=cells.widening)
    scaled >>= np.uint64(min(cells.cell_bits, 63))
    # Cells that fit badly may be too many for a table: the last one takes the rest.
    return np.minimum(scaled, np.uint64(MOST_CELLS - 1)).astype(np.int64)


class Search:
    """A search among given splitters, prepared once for any number of rows.

    Parameters
    ----------
    splitters : (s,) uint64
        Non-decreasing, one at the least.
    cells : Cells
        Best those that `build_cells` chose for these splitters.
    """

    def __init__(self, splitters: Words, cells: Cells) -> None:
        distinct, at = np.unique(splitters, return_index=True)
        self._part_of = np.append(at, len(splitters)).astype(np.uint32)
        self._cells = cells
        cell = _cells_of(distinct, cells)
        counts = np.bincount(cell)
        # Words beyond the splitters fall into one more cell, with nothing left to search.
        below = np.append(np.cumsum(counts) - counts, len(distinct)).astype(np.uint32)
        self._below = below[:MOST_CELLS]
        self._halvings = int(counts.max()).bit_length()
        # The search may look past the end, at words that are below none.
        beyond = np.full(1 << self._halvings, ONES, np.uint64)
        self._padded = np.append(distinct, beyond)

    def find(self, words: Words, part: Rows | Groups) -> int:
        """Write how many splitters lie below each word; return how many words equal one.

        ``part`` is (n,) uint32 or uint16.
        """
        n_tied = _classify(
            words,
            self._padded,
            self._part_of,
            np.uint64(self._cells.lo),
            np.uint64(min(self._cells.cell_bits, 63)),
            self._cells.widening,
            self._below,
            np.uint64(self._halvings),
            part,
        )
        return int(n_tied)


def classify(lead: Words, splitters: Words, cells: Cells) -> tuple[Rows, int]:
    """Return how many splitters lie below each word.

    Parameters
    ----------
    lead : (n,) uint64
    splitters : (s,) uint64
        Non-decreasing.
    cells : Cells
        Best those that `build_cells` chose for these splitters.

    Returns
    -------
    part : (n,) uint32
        ``np.searchsorted(splitters, lead)``, exactly.
    n_tied : int
        Rows whose word equals a splitter.

    Notes
    -----
    Time O(n log s) with any cells; with those that fit, 2 to 4 ns a row.
    """
    part = np.zeros(len(lead), np.uint32)
    if not len(splitters):
        return part, 0
    return part, Search(splitters, cells).find(lead, part)


@kernel(
    *(
        types.uint64(
            reads(types.uint64),
            reads(types.uint64),
            reads(types.uint32),
            types.uint64,
            types.uint64,
            types.boolean,
            reads(types.uint32),
            types.uint64,
            writes(part),
        )
        for part in (types.uint32, types.uint16)
    )
)
def _classify(
    lead: Words,
    splitters: Words,
    part_of: Rows,
    lo: np.uint64,
    cell_bits: np.uint64,
    widening: Any,
    below: Rows,
    halvings: np.uint64,
    part: Rows | Groups,
) -> np.uint64:
    n_splitters = np.uint64(len(part_of)) - U1
    last = np.uint64(len(below)) - U1
    n_tied = U0
    for i in range(len(lead)):
        word = lead[i]
        scaled = max(word, lo) - lo
        if widening:
            # Rounding to a float is monotone too.
            scaled = max(np.float64(scaled).view(np.uint64), BITS_OF_ONE) - BITS_OF_ONE
        at = np.uint64(below[min(scaled >> cell_bits, last)])
        left = halvings
        while left > U0:
            left -= U1
            # A sum, not a branch, which would be mispredicted half of the time.
            at += np.uint64(splitters[at + (U1 << left) - U1] < word) << left
        part[i] = part_of[at]
        n_tied += np.uint64(splitters[at] == word) & np.uint64(at < n_splitters)
    return n_tied
