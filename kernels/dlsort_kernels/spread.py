"""Spreading rows over groups: a pass that counts and a pass that places.

What is placed is a *packed* row: a code, which is the word's distance from the lowest of its
group, less as many low bits as don't fit, above the row's number. No two are equal, so any
way of sorting them is stable. In most groups the code is exact, and in all of them the code
0 is: it stands for the lowest word alone.
"""

from __future__ import annotations

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Groups, Mask, Places, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["count_groups", "pack_all", "place_rows", "set_nulls", "word_range"]

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
U0 = np.uint64(0)


@inlined
def _code(above: np.uint64, shift: np.uint64) -> np.uint64:
    """Return ``above / 2**shift``, rounded up: 0 stands for the lowest word and no other."""
    code = above >> shift
    return code + np.uint64((code << shift) != above)


@kernel(types.UniTuple(types.uint64, 3)(reads(types.uint64), types.uint64))
def word_range(words: Words, flip: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Return the lowest and highest ``word ^ flip``, and in which bits any two differ.

    (2^64 − 1, 0, 0) of none.
    """
    lo = ONES
    hi = U0
    differs = U0
    for i in range(len(words)):
        word = words[i] ^ flip
        lo = min(lo, word)
        hi = max(hi, word)
        differs |= words[i] ^ words[0]
    return lo, hi, differs


@kernel(types.void(writes(types.uint16), reads(types.boolean), types.uint16))
def set_nulls(group: Groups, null: Mask, of_null: np.uint16) -> None:
    """Write ``of_null`` as the group of each null row."""
    for i in range(len(group)):
        group[i] = of_null if null[i] else group[i]


@kernel(types.void(reads(types.uint16), writes(types.int64)))
def count_groups(group: Groups, counts: Places) -> None:
    """Add each row to its group's count."""
    for i in range(np.uint64(len(group))):
        counts[np.uint64(group[i])] += 1


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        reads(types.uint16),
        types.uint64,
        types.uint64,
        types.uint64,
        reads(types.uint64),
        reads(types.uint64),
        types.uint64,
        writes(types.uint64),
        writes(types.uint64),
    )
)
def place_rows(
    words: Words,
    flip: np.uint64,
    group: Groups,
    of_null: np.uint64,
    first_row: np.uint64,
    by_place: np.uint64,
    lowest: Words,
    shift: Words,
    row_bits: np.uint64,
    at: Words,
    packed: Words,
) -> None:
    """Write each row, packed, at its group's next place.

    Parameters
    ----------
    words : (n,) uint64
        Words are ``words ^ flip``.
    group : (n,) uint16
    of_null : int
        Rows of this group have no word: their code is 0.
    first_row : int
        Number of the first row.
    by_place : int
        1 to pack a row's place instead of its number; else 0.
    lowest, shift : (groups + 1,) uint64
        What is taken from a word, and how many of its low bits are left out.
    at : (groups + 1,) uint64
        Each group's next place; moved on.
    """
    # Unsigned places, which numba does not test for being negative.
    for i in range(np.uint64(len(words))):
        g = np.uint64(group[i])
        place = at[g]
        code = _code((words[i] ^ flip) - lowest[g], shift[g])
        code = U0 if g == of_null else code
        number = place if by_place else first_row + i
        packed[place] = (code << row_bits) | number
        at[g] = place + np.uint64(1)


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        types.uint64,
        types.uint64,
        types.uint64,
        types.uint64,
        writes(types.uint64),
    )
)
def pack_all(
    words: Words,
    flip: np.uint64,
    first_row: np.uint64,
    lowest: np.uint64,
    shift: np.uint64,
    row_bits: np.uint64,
    packed: Words,
) -> None:
    """Write each row, packed, in its place: one group of all."""
    for i in range(len(words)):
        code = _code((words[i] ^ flip) - lowest, shift)
        packed[i] = (code << row_bits) | (first_row + np.uint64(i))
