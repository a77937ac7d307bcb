"""Sorting packed rows that fit the cache: a few counting passes and a touch-up.

The passes take the highest bits in which the codes differ, 9 at a time. Two of them leave
most rows of a group in place, and what is still out of order is put right by insertion. If
that moves rows too far (the codes crowd in few places of their range), passes over all
bits finish the group: the cost of a row is bounded whatever the codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Mask, Places, RowNumbers, Words
from dlsort_kernels.bits import bit_length
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

Counts = npt.NDArray[np.uint32]

__all__ = ["COUNTS", "list_ties", "sort_groups", "sort_packed"]

# Bits of a pass: 512 counts and as many open cache lines fit the first-level cache.
# 10 M rows in 1,024 groups, two passes: 7 bits 67 ms, 8 bits 56, 9 bits 54.
DIGIT = np.uint64(9)
N_DIGITS = 1 << 9
# Passes before the touch-up.
FIRST_PASSES = 2
# Scratch that `sort_groups` wants for counts.
COUNTS = 2 * N_DIGITS
# Up to so many rows insertion is quicker than a pass.
SHORT = 32
# Moves a row, on average, that the touch-up may take before passes go on.
PATIENCE = 6

DIGIT_MASK = np.uint64(N_DIGITS - 1)
U0 = np.uint64(0)
U1 = np.uint64(1)


@inlined
def _starts(counts: Counts, base: Any) -> None:
    """Turn the counts of 512 digits from ``base`` on into where each digit's rows begin."""
    total = np.uint32(0)
    for d in range(base, base + N_DIGITS):
        count = counts[d]
        counts[d] = total
        total += count


@inlined
def _count(packed: Words, start: Any, n: Any, shift: Any, counts: Counts) -> None:
    for d in range(N_DIGITS):
        counts[d] = 0
    for i in range(np.uint64(start), np.uint64(start + n)):
        counts[(packed[i] >> shift) & DIGIT_MASK] += np.uint32(1)
    _starts(counts, 0)


@inlined
def _count_two(packed: Words, start: Any, n: Any, shift: Any, counts: Counts) -> None:
    """Count a digit, and the next one behind it: one look at the rows instead of two."""
    for d in range(2 * N_DIGITS):
        counts[d] = 0
    for i in range(np.uint64(start), np.uint64(start + n)):
        code = packed[i] >> shift
        counts[code & DIGIT_MASK] += np.uint32(1)
        counts[((code >> DIGIT) & DIGIT_MASK) + np.uint64(N_DIGITS)] += np.uint32(1)
    _starts(counts, 0)
    _starts(counts, N_DIGITS)


@inlined
def _move(
    packed: Words,
    start: Any,
    n: Any,
    out: Words,
    to: Any,
    shift: Any,
    counts: Counts,
    base: Any,
) -> None:
    """Bring ``packed[start:start + n]`` to ``out[to:]`` in the order of one digit."""
    # Unsigned places, which numba does not test for being negative.
    first = np.uint64(to)
    at = np.uint64(base)
    for i in range(np.uint64(start), np.uint64(start + n)):
        value = packed[i]
        digit = ((value >> shift) & DIGIT_MASK) + at
        place = counts[digit]
        out[first + np.uint64(place)] = value
        counts[digit] = place + np.uint32(1)


@inlined
def _radix(
    packed: Words, start: Any, n: Any, low: Any, high: Any, scratch: Words, counts: Counts
) -> None:
    """Sort by bits ``low`` to ``high`` with counting passes, from the lowest digit up."""
    shift = low
    while shift + DIGIT < high:
        _count_two(packed, start, n, shift, counts)
        _move(packed, start, n, scratch, 0, shift, counts, 0)
        _move(scratch, 0, n, packed, start, shift + DIGIT, counts, N_DIGITS)
        shift += DIGIT + DIGIT
    if shift < high:
        _count(packed, start, n, shift, counts)
        _move(packed, start, n, scratch, 0, shift, counts, 0)
        for i in range(n):
            packed[start + i] = scratch[i]


@inlined
def _insert(packed: Words, start: Any, n: Any, budget: Any) -> Any:
    """Sort by insertion; return whether no more than ``budget`` moves were needed."""
    moves = 0
    before = packed[start]
    for i in range(start + 1, start + n):
        value = packed[i]
        if value >= before:
            before = value
            continue
        j = i
        while j > start and packed[j - 1] > value:
            packed[j] = packed[j - 1]
            j -= 1
        packed[j] = value
        moves += i - j
        if moves > budget:
            return False
    return True


@inlined
def _sort_one(
    packed: Words, start: Any, n: Any, row_bits: Any, scratch: Words, counts: Counts
) -> None:
    """Sort ``packed[start:start + n]``."""
    differs = U0
    first = packed[start]
    descents = 0
    for i in range(start + 1, start + n):
        differs |= packed[i] ^ first
        descents += packed[i] < packed[i - 1]
    if descents == 0:
        return
    if n <= SHORT:
        _insert(packed, start, n, n * n)
        return
    # Rows are in order below: bits of the code alone decide.
    high = bit_length(differs)
    low = row_bits
    if descents * 8 < n and _insert(packed, start, n, n):
        return
    first_low = max(low, high - min(high, DIGIT * np.uint64(FIRST_PASSES)))
    if n < N_DIGITS // 2:
        first_low = max(low, high - min(high, DIGIT))
    _radix(packed, start, n, first_low, high, scratch, counts)
    if first_low > low and not _insert(packed, start, n, n * PATIENCE):
        _radix(packed, start, n, low, high, scratch, counts)


@inlined
def _ties(packed: Words, start: Any, n: Any, mask: Any, least: Any) -> tuple[Any, Any]:
    """Return the runs of tied codes, and the neighbours that tie."""
    n_runs = U0
    n_pairs = U0
    if n > 1 and packed[start] >= least and (packed[start] ^ packed[start + 1]) <= mask:
        n_runs = U1
        n_pairs = U1
    # All in uint64, which LLVM vectorises: 0.4 ns a row against 1.6 with booleans.
    for i in range(start + 2, start + n):
        ties = np.uint64((packed[i] ^ packed[i - 1]) <= mask)
        ties &= np.uint64(packed[i - 1] >= least)
        tied = np.uint64((packed[i - 1] ^ packed[i - 2]) <= mask)
        n_pairs += ties
        n_runs += ties & (tied ^ U1)
    return np.int64(n_runs), np.int64(n_pairs)


@kernel(
    types.void(writes(types.uint64), types.uint64, writes(types.uint64), writes(types.uint32))
)
def sort_packed(packed: Words, row_bits: np.uint64, scratch: Words, counts: Counts) -> None:
    """Sort packed rows, in place; those of one code stand in row order before."""
    if len(packed) > 1:
        _sort_one(packed, 0, len(packed), row_bits, scratch, counts)


@kernel(
    *(
        types.void(
            writes(types.uint64),
            reads(types.int64),
            types.int64,
            types.int64,
            types.uint64,
            reads(types.boolean),
            reads(types.uint64),
            writes(types.uint64),
            writes(types.uint32),
            writes(row),
            writes(types.int64),
            writes(types.int64),
        )
        for row in (types.uint32, types.int64)
    )
)
def sort_groups(
    packed: Words,
    starts: Places,
    first: int,
    last: int,
    row_bits: np.uint64,
    look: Mask,
    least: Words,
    scratch: Words,
    counts: Counts,
    order: RowNumbers,
    n_runs: Places,
    n_tied: Places,
) -> None:
    """Sort groups ``first`` to ``last``, each in the cache, and write their rows.

    Parameters
    ----------
    packed : (n,) uint64
        Sorted in place.
    starts : (groups + 1,) int64
        Group ``g`` is ``packed[starts[g]:starts[g + 1]]``.
    row_bits : int
    look : (groups,) bool
        Groups in which tied codes matter.
    least : (groups,) uint64
        Of packed rows whose ties matter: where 0 is exact, ``1 << row_bits``.
    scratch : (largest group,) uint64
    counts : (COUNTS,) uint32
        Scratch too.
    order : (n,) uint32 or int64
        Takes the rows of the groups that have no ties that matter; the others stay
        packed. May be the memory of ``packed``.
    n_runs, n_tied : (groups,) int64
        Take the number of runs of tied codes that matter, and of the rows in them.
    """
    mask = (U1 << row_bits) - U1
    for g in range(first, last):
        start = starts[g]
        n = starts[g + 1] - start
        if n == 0:
            continue
        _sort_one(packed, start, n, row_bits, scratch, counts)
        if look[g]:
            runs, pairs = _ties(packed, start, n, mask, least[g])
            n_runs[g] = runs
            n_tied[g] = runs + pairs
            if runs:
                continue
        for i in range(start, start + n):
            order[i] = packed[i] & mask


@kernel(
    *(
        types.void(
            reads(types.uint64),
            reads(types.int64),
            reads(types.int64),
            types.uint64,
            types.uint64,
            writes(row),
            writes(types.int64),
            writes(types.int64),
            writes(types.boolean),
        )
        for row in (types.uint32, types.int64)
    )
)
def list_ties(
    packed: Words,
    starts: Places,
    groups: Places,
    row_bits: np.uint64,
    least: np.uint64,
    order: RowNumbers,
    run_starts: Places,
    run_ends: Places,
    lowest: Mask,
) -> None:
    """Write the rows of sorted groups that stayed packed, and where their codes tie.

    Packed rows below ``least`` are passed over. Of each run ``lowest`` says whether its
    code is 0. The three arrays have one place more than there are runs, as scratch.
    """
    mask = (U1 << row_bits) - U1
    n_starts = np.int64(0)
    n_ends = np.int64(0)
    for k in range(len(groups)):
        start = starts[groups[k]]
        end = starts[groups[k] + 1]
        before = packed[start]
        order[start] = before & mask
        tied = np.int64(0)
        for i in range(start + 1, end):
            value = packed[i]
            ties = np.int64((value ^ before) <= mask) & np.int64(before >= least)
            # Written always, counted only if it is so: no branch to mispredict.
            run_starts[n_starts] = i - 1
            lowest[n_starts] = value <= mask
            run_ends[n_ends] = i
            n_starts += ties & (tied ^ 1)
            n_ends += tied & (ties ^ 1)
            tied = ties
            before = value
            order[i] = value & mask
        run_ends[n_ends] = end
        n_ends += tied
