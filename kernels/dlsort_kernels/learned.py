"""The learned map of the local sort: which group of the order a word belongs to.

::

    words   |.....:|::|##|::|..|  |..|: ............|      : outliers in the tails
            min    lo    cells of one width            max
    groups  |  0   | 1 | 2 | 3 |   4    |     5      |     about as many rows in each

A word is scaled to a cell, and a table says which group the cell is in. Cells come in
three scales (`Scaling`); the sample says under which its words lie most evenly. Each
group is a run of whole cells with about the same share of the sample, so rows are placed
by one multiplication or shift and one load, and a group fits the second-level cache.
After Balanced Learned Sort (2025): many cells of one width, merged into balanced groups.

Every scale is monotone whatever the sample said: a bad sample makes groups uneven, never
an order wrong.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Groups, Words
from dlsort_kernels.bits import bit_length, float_of
from dlsort_kernels.classify import Search, build_cells
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["GroupMap", "OneGroup", "Placer", "SplitterGroups"]

# 8 KB of uint16: they stay in the first-level cache.
CELL_BITS = 12
N_CELLS = 1 << CELL_BITS
# Cells of the logarithmic scale in each power of two: 64 powers fill the table.
LOG_BITS = 6
# Share of the sample on each side that the linear scales leave to the outermost cells.
TAIL = 256
# A scale must beat the one before it by this factor: it costs more a row.
BETTER = 0.8

# Heavy words that get groups of their own: so many open places slow the spreading by half.
MOST_HEAVY = 1 << 13
# Words flipped at once.
FLIPPED = 1 << 15

# The scales: linear in the word; in the highest bits of (word − lo), for long tails;
# linear in the float that the word stands for.
LINEAR, LOG, FLOAT = 0, 1, 2

U0 = np.uint64(0)
U1 = np.uint64(1)
SIGN = np.uint64(1 << 63)
LAST_CELL = np.uint64(N_CELLS - 1)
LAST_CELL_AT = float(N_CELLS - 1)
EVERY_CELL = np.arange(N_CELLS, dtype=np.uint16)
EVERY_CELL.flags.writeable = False
# The words of −∞ and +∞.
LOWEST_FLOAT, HIGHEST_FLOAT = np.uint64(0x000FFFFFFFFFFFFF), np.uint64(0xFFF0000000000000)


class Scaling(NamedTuple):
    """How a word becomes a cell.

    Parameters
    ----------
    scale : int
        LINEAR, LOG or FLOAT.
    lo : uint64
        Words up to this one are in cell 0.
    shift : uint64
        LINEAR: cells are ``2**shift`` words wide.
    origin, factor : float64
        FLOAT: the cell is ``(value - origin) * factor``.
    turn : uint64
        FLOAT: all ones if the words are those of descending order.
    """

    scale: int
    lo: np.uint64
    shift: np.uint64
    origin: np.float64
    factor: np.float64
    turn: np.uint64


@inlined
def _linear_cell(word: np.uint64, lo: np.uint64, shift: np.uint64) -> np.uint64:
    return min((max(word, lo) - lo) >> shift, LAST_CELL)


@inlined
def _log_cell(word: np.uint64, lo: np.uint64) -> np.uint64:
    """Return the number of bits of ``word - lo``, then the bits below the highest."""
    above = max(word, lo) - lo
    n_bits = bit_length(above)
    # Two shifts, because a shift by 64 is undefined; small numbers have no bits below.
    spare = np.uint64(64) - n_bits
    below = ((above << (spare >> U1)) << (spare - (spare >> U1))) << U1
    return min((n_bits << np.uint64(LOG_BITS)) | (below >> np.uint64(64 - LOG_BITS)), LAST_CELL)


@inlined
def _float_cell(
    word: np.uint64, turn: np.uint64, origin: np.float64, factor: np.float64
) -> np.uint64:
    # What stands for no number joins the infinities.
    word = min(max(word ^ turn, LOWEST_FLOAT), HIGHEST_FLOAT)
    # All ones for negative values, whose bits are all turned, else the sign alone.
    value = float_of(word ^ (SIGN | ((word >> np.uint64(63)) - U1)))
    at = (value - origin) * factor
    # Through a signed integer: the machine has no instruction for the other one.
    return np.uint64(np.int64(min(max(at, 0.0), LAST_CELL_AT)))


_SCALAR = (types.uint64, types.uint64, types.float64, types.float64, types.uint64)


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        types.int64,
        *_SCALAR,
        reads(types.uint16),
        writes(types.uint16),
    )
)
def _find_groups(
    words: Words,
    flip: np.uint64,
    scale: int,
    lo: np.uint64,
    shift: np.uint64,
    origin: np.float64,
    factor: np.float64,
    turn: np.uint64,
    group: Groups,
    out: Groups,
) -> None:
    if scale == LINEAR:
        for i in range(len(words)):
            out[i] = group[_linear_cell(words[i] ^ flip, lo, shift)]
    elif scale == LOG:
        for i in range(len(words)):
            out[i] = group[_log_cell(words[i] ^ flip, lo)]
    else:
        for i in range(len(words)):
            out[i] = group[_float_cell(words[i] ^ flip, turn, origin, factor)]


class Placer(Protocol):
    """A monotone map from words to groups."""

    n_groups: int

    def find(self, words: Words, flip: np.uint64, out: Groups) -> None:
        """Write the group of each ``word ^ flip``."""
        ...

    def bounds(self, lo: int, hi: int) -> tuple[Words, Words]:
        """Return between which words each group's lie, if all lie from ``lo`` to ``hi``."""
        ...


class OneGroup:
    """All words in one group."""

    n_groups = 1

    def find(self, words: Words, flip: np.uint64, out: Groups) -> None:
        """Write zeros."""
        out[:] = 0

    def bounds(self, lo: int, hi: int) -> tuple[Words, Words]:
        """Return the bounds given."""
        return np.array([lo], np.uint64), np.array([hi], np.uint64)


class GroupMap:
    """Groups by cell.

    Parameters
    ----------
    scaling : Scaling
        The cells.
    group : (N_CELLS,) uint16
        The group of each cell, non-decreasing.
    """

    def __init__(self, scaling: Scaling, group: Groups) -> None:
        self.scaling = scaling
        self.group = group
        self.n_groups = int(group[-1]) + 1

    @classmethod
    def fit(
        cls, sample: Words, n_groups: int, *, floats: bool = False, turn: np.uint64 = U0
    ) -> GroupMap:
        """Return the map that spreads a sample most evenly.

        Parameters
        ----------
        sample : (m,) uint64
            Sorted words; a few for each group at the least.
        n_groups : int
            At most so many groups, up to 2^16.
        floats : bool
            The words, turned by ``turn``, are those of float64 values.
        turn : uint64
            All ones if the words are those of descending order.

        Notes
        -----
        Time O(m + N_CELLS).
        """
        best, least = None, np.inf
        for scaling in _scalings(sample, floats=floats, turn=turn):
            cells = np.empty(len(sample), np.uint16)
            _find_groups(sample, U0, *scaling, EVERY_CELL, cells)
            counts = np.bincount(cells, minlength=N_CELLS)
            # What sorting costs beyond the even case goes with the rows that share a cell.
            cost = float((counts.astype(np.float64) ** 2).sum())
            if cost < least * BETTER:
                best, least = cls(scaling, _balanced(counts, n_groups)), cost
        assert best is not None
        return best

    def find(self, words: Words, flip: np.uint64, out: Groups) -> None:
        """Write the group of each ``word ^ flip``: 0.5 to 1 ns a row."""
        _find_groups(words, flip, *self.scaling, self.group, out)

    def bounds(self, lo: int, hi: int) -> tuple[Words, Words]:
        """Return between which words each group's lie, if all lie from ``lo`` to ``hi``."""
        edges = np.empty(self.n_groups + 1, np.uint64)
        _lowest_words(*self.scaling, self.group, edges)
        edges = np.clip(edges, np.uint64(lo), np.uint64(hi))
        return edges[:-1], edges[1:]


class SplitterGroups:
    """Groups by a search among splitters: exact quantiles, and each heavy word begins one.

    Twice as slow a row as a table of cells, but even whatever the words, and where words
    repeat, most rows of a group are equal to its lowest word.

    Parameters
    ----------
    sample : (m,) uint64
        Sorted.
    n_groups : int
        How many groups there should be. Words that repeat in the sample add more.
    """

    def __init__(self, sample: Words, n_groups: int) -> None:
        even = sample[:: max(1, len(sample) // n_groups)]
        heavy = np.unique(sample[1:][sample[1:] == sample[:-1]])
        if len(heavy) > MOST_HEAVY:
            heavy = heavy[:0]
        self._splitters = np.unique(np.concatenate([even, heavy]))
        self._splitters = self._splitters[self._splitters > U0]
        # How many splitters are at or below a word is how many are below it, one less each.
        below = self._splitters - U1
        self._search = Search(below, build_cells(below)) if len(below) else None
        self.n_groups = len(self._splitters) + 1

    def find(self, words: Words, flip: np.uint64, out: Groups) -> None:
        """Write the group of each ``word ^ flip``: 2 to 4 ns a row."""
        if self._search is None:
            out[:] = 0
            return
        for start in range(0, len(words), FLIPPED):
            some = words[start : start + FLIPPED]
            self._search.find(some ^ flip if flip else some, out[start : start + FLIPPED])

    def bounds(self, lo: int, hi: int) -> tuple[Words, Words]:
        """Return between which words each group's lie, if all lie from ``lo`` to ``hi``."""
        edges = np.concatenate([[U0], self._splitters, [~U0]]).astype(np.uint64)
        last = edges[1:] - U1
        last[-1] = ~U0
        ends = np.uint64(lo), np.uint64(hi)
        return np.clip(edges[:-1], *ends), np.clip(last, *ends)


def _scalings(sample: Words, *, floats: bool, turn: np.uint64) -> list[Scaling]:
    """Return the scales to choose from, each fitted to the sample's inner quantiles."""
    tail = len(sample) // TAIL
    lo, hi = int(sample[tail]), int(sample[-1 - tail])
    width = max(0, (hi - lo).bit_length() - CELL_BITS)
    zero = np.float64(0)
    linear = Scaling(LINEAR, np.uint64(lo), np.uint64(width), zero, zero, turn)
    scales = [linear]
    if floats:
        ends = [int(word) for word in (np.uint64(lo) ^ turn, np.uint64(hi) ^ turn)]
        values = [float(float_of(np.uint64(e ^ 2**63 if e >= 2**63 else e ^ (2**64 - 1))))
                  for e in ends]  # fmt: skip
        with np.errstate(all="ignore"):
            factor = np.float64(N_CELLS - 1) / (np.float64(values[1]) - np.float64(values[0]))
        if np.isfinite(factor) and factor != 0 and all(np.isfinite(values)):
            scales.append(
                linear._replace(scale=FLOAT, origin=np.float64(values[0]), factor=factor)
            )
    scales.append(linear._replace(scale=LOG, lo=sample[0]))
    return scales


def _balanced(counts: npt.NDArray[np.int64], n_groups: int) -> Groups:
    """Return the group of each cell: at most ``n_groups`` runs of cells with even counts."""
    # A quarter is dealt out evenly, for what the sample missed.
    share = 0.75 * counts / max(counts.sum(), 1) + 0.25 / len(counts)
    middle = np.cumsum(share) - share / 2
    return np.minimum(middle * n_groups, n_groups - 1).astype(np.uint16)


@kernel(types.void(types.int64, *_SCALAR, reads(types.uint16), writes(types.uint64)))
def _lowest_words(
    scale: int,
    lo: np.uint64,
    shift: np.uint64,
    origin: np.float64,
    factor: np.float64,
    turn: np.uint64,
    group: Groups,
    out: Words,
) -> None:
    """Write the lowest word of each group, and 2^64 − 1 after the last.

    A group without cells has the word of the next one.
    """
    n = len(out) - 1
    out[0] = U0
    out[n] = ~U0
    for g in range(1, n):
        # The least word whose group is not below g: the map never decreases.
        below = U0
        bit = SIGN
        while bit != U0:
            word = below | bit
            # All words up to `word - 1` are below the group?
            last = word - U1
            if scale == LINEAR:
                cell = _linear_cell(last, lo, shift)
            elif scale == LOG:
                cell = _log_cell(last, lo)
            else:
                cell = _float_cell(last, turn, origin, factor)
            if group[cell] < g:
                below = word
            bit >>= U1
        out[g] = below
