"""Learned codes: a piecewise-linear CDF that spreads words over the code space.

::

    words   |.....:|::|##|::|..|  |..|: ............|      : outliers in the tails
            min    lo    cells of one width     top    max
    codes   |--|---|------|---|-|||-|---|-----|            many codes where words are many

The map is made of shifts and additions of integers, so it is monotone whatever the sample
said; a bad sample makes more codes tie, never a wrong order. Where a cell needs no shift
its codes are exact: tied codes mean equal words there, and the lowest bit of the code says
so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from dlsort_kernels.arrays import Words
from dlsort_kernels.jit import kernel, reads, writes

__all__ = ["Curve", "draw", "fit_curve", "pack_learned", "worth_learning"]

# Base and shift of 1,024 cells take 16 KB: they stay in the first-level cache.
CELL_BITS = 10
# Enough for about four words in a cell, and to sort in 20 µs.
SAMPLE = 4096
# Share of the sample on each side that counts as tail.
TAIL = 64
# What a row costs, in ns, measured on 4 M rows: a learned code over a plain one; a touch-up
# of tied codes whose words differ.
LEARNED_NS, TOUCH_UP_NS = 2.0, 13.0

U0 = np.uint64(0)
U1 = np.uint64(1)


class Curve(NamedTuple):
    """A monotone map from words to codes.

    Cell 0 is the tail below ``lo``, the last cell the tail from ``top`` on.
    """

    lowest: np.uint64
    lo: np.uint64
    top: np.uint64
    cell_bits: np.uint64
    base: Words
    shift: Words


def draw(words: Words) -> Words:
    """Return a sorted sample of the words. Drawn at random: strides miss periodic data."""
    rows = np.random.default_rng(len(words)).integers(0, len(words), SAMPLE)
    sample = words[rows]
    sample.sort()
    return sample


def worth_learning(sample: Words, n: int, shift: int) -> bool:
    """Return whether codes by a plain shift would tie so often that a curve pays.

    Only ties of unequal words count: equal ones are merely looked at.
    """
    codes = sample >> np.uint64(shift)
    unequal = sample[1:] != sample[:-1]
    apart = np.diff(codes)
    # Sampled words that share a code with another word: so do all the rows they stand for.
    group = np.concatenate([[0], np.cumsum(apart > 0)])
    mixed = np.bincount(group[1:], weights=unequal & (apart == 0)) > 0
    # The others, by how many rows there are to a code between two of them.
    crowded = np.minimum(1.0, n / len(sample) / np.maximum(apart.astype(np.float64), 1.0))
    crowded[~unequal] = 0.0
    tied = np.where(mixed[group[1:]], 1.0, crowded)
    return float(tied.mean()) * TOUCH_UP_NS > LEARNED_NS


def fit_curve(sample: Words, lowest: int, highest: int, code_bits: int) -> Curve:
    """Return the map that gives cells codes by their share of the sample.

    Parameters
    ----------
    sample : (m,) uint64
        Sorted.
    lowest, highest : int
        The range of all words.
    code_bits : int
        Every code is below ``2**code_bits``. At least 2 × CELL_BITS.
    """
    lo = int(sample[len(sample) // TAIL])
    hi = int(sample[-1 - len(sample) // TAIL])
    cell_bits = max(0, (hi - lo).bit_length() - CELL_BITS)
    n_cells = (hi - lo >> cell_bits) + 1
    # Beyond the last cell's end, or the highest word of all.
    top = min(lo + (n_cells << cell_bits), highest + 1)

    inside = (sample >= lo) & (sample < top)
    cells = (sample[inside] - np.uint64(lo)) >> np.uint64(cell_bits)
    n_below = int(np.searchsorted(sample, np.uint64(lo)))
    counts = np.zeros(n_cells + 2)
    counts[1:-1] = np.bincount(cells.astype(np.int64), minlength=n_cells)
    counts[0] = n_below
    counts[-1] = len(sample) - n_below - len(cells)
    # A quarter is dealt out evenly, for what the sample missed.
    share = 0.75 * counts / len(sample) + 0.25 / len(counts)
    # One bit of the code says whether it is exact; rounding down keeps the sum below.
    bits = np.floor(np.log2(share)).astype(np.int64) + code_bits - 1
    widths = [max(lo - lowest, 1), *[1 << cell_bits] * n_cells, max(highest + 1 - top, 1)]
    shifts, base = [], []
    total = 0
    for cell, (width, b) in enumerate(zip(widths, bits.tolist(), strict=True)):
        shift = max(0, (width - 1).bit_length() - b)
        # Inner cells shift the distance from lo, not from their own start.
        skipped = max(cell - 1, 0) << cell_bits >> shift if cell <= n_cells else 0
        shifts.append(shift)
        base.append((2 * (total - skipped) + (shift > 0)) % 2**64)
        total += ((width - 1) >> shift) + 1
    return Curve(
        np.uint64(lowest),
        np.uint64(lo),
        # No tail above: no word is beyond the highest, so its start is never used.
        np.uint64(min(top, 2**64 - 1)),
        np.uint64(cell_bits),
        np.array(base, dtype=np.uint64),
        np.array(shifts, dtype=np.uint64),
    )


def pack_learned(words: Words, curve: Curve, row_bits: int, packed: Words) -> None:
    """Write each word's learned code above its row's number."""
    _pack_learned(words, *curve, np.uint64(row_bits), packed)


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        types.uint64,
        types.uint64,
        types.uint64,
        reads(types.uint64),
        reads(types.uint64),
        types.uint64,
        writes(types.uint64),
    )
)
def _pack_learned(
    words: Words,
    lowest: np.uint64,
    lo: np.uint64,
    top: np.uint64,
    cell_bits: np.uint64,
    base: Words,
    shift: Words,
    row_bits: np.uint64,
    packed: Words,
) -> None:
    n_inner = np.uint64(len(base)) - np.uint64(2)
    for i in range(len(words)):
        word = words[i]
        from_lo = word - lo
        cell = from_lo >> cell_bits
        if word < lo:
            code = base[0] + (((word - lowest) >> shift[0]) << U1)
        elif cell < n_inner:
            cell += U1
            code = base[cell] + ((from_lo >> shift[cell]) << U1)
        else:
            cell = n_inner + U1
            code = base[cell] + (((word - top) >> shift[cell]) << U1)
        packed[i] = (code << row_bits) | np.uint64(i)
