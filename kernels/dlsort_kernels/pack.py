"""Codes and rows packed into one integer each: the loops around ``np.sort``."""

from __future__ import annotations

import numpy as np
from numba import types

from dlsort_kernels.arrays import Mask, Places, Rows, Words
from dlsort_kernels.jit import kernel, reads, writes

__all__ = ["list_equal", "list_ties", "pack", "scan", "take_words", "unpack"]

U0 = np.uint64(0)
U1 = np.uint64(1)

# Rows that `list_ties` looks at together.
BLOCK = np.uint64(32)

# What `scan` finds.
UNSORTED = 0
SORTED = 1
REVERSED = 2


@kernel(types.UniTuple(types.uint64, 3)(reads(types.uint64)))
def scan(words: Words) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Return (UNSORTED | SORTED | REVERSED, lowest word, highest word) of one or more words.

    REVERSED is strictly decreasing: only then is turning the rows round stable.
    """
    n = len(words)
    i = 1
    while i < n and words[i - 1] <= words[i]:
        i += 1
    if i == n:
        return np.uint64(SORTED), words[0], words[n - 1]
    if i == 1:
        while i < n and words[i - 1] > words[i]:
            i += 1
        if i == n:
            return np.uint64(REVERSED), words[n - 1], words[0]
    lo = words[0]
    hi = words[0]
    for i in range(n):
        lo = min(lo, words[i])
        hi = max(hi, words[i])
    return np.uint64(UNSORTED), lo, hi


@kernel(
    types.void(
        reads(types.uint64), types.uint64, types.uint64, types.uint64, writes(types.uint64)
    )
)
def pack(
    words: Words, lo: np.uint64, shift: np.uint64, row_bits: np.uint64, packed: Words
) -> None:
    """Write ``(word - lo) >> shift`` above each row's number."""
    for i in range(len(words)):
        packed[i] = (((words[i] - lo) >> shift) << row_bits) | np.uint64(i)


@kernel(
    types.UniTuple(types.uint64, 2)(reads(types.uint64), types.uint64, writes(types.uint32))
)
def unpack(packed: Words, row_bits: np.uint64, order: Rows) -> tuple[np.uint64, np.uint64]:
    """Write the rows of sorted ``packed``; return (runs of tied codes, rows in them)."""
    mask = (U1 << row_bits) - U1
    n = np.uint64(len(packed))
    n_runs = U0
    n_pairs = U0
    for i in range(min(n, np.uint64(2))):
        order[i] = packed[i] & mask
    if n > U1 and (packed[0] ^ packed[1]) <= mask:
        n_runs = U1
        n_pairs = U1
    # All in uint64, which LLVM vectorises: 0.4 ns a row against 1.6 with booleans.
    for i in range(np.uint64(2), n):
        order[i] = packed[i] & mask
        # Equal codes differ in the row's bits only.
        ties = np.uint64((packed[i] ^ packed[i - U1]) <= mask)
        tied = np.uint64((packed[i - U1] ^ packed[i - np.uint64(2)]) <= mask)
        n_pairs += ties
        n_runs += ties & (tied ^ U1)
    return n_runs, n_runs + n_pairs


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        writes(types.int64),
        writes(types.int64),
        writes(types.boolean),
    )
)
def list_ties(
    packed: Words, row_bits: np.uint64, starts: Places, ends: Places, inexact: Mask
) -> None:
    """Write where the runs of tied codes lie, and the lowest bit of each run's code.

    The three arrays have one place more than there are runs, as scratch.
    """
    mask = (U1 << row_bits) - U1
    n = np.uint64(len(packed))
    n_starts = U0
    n_ends = U0
    tied = U0
    i = U1
    while i < n:
        block = min(i + BLOCK, n)
        if not tied:
            # Most blocks of most inputs have no ties at all; this loop is vectorised.
            found = U0
            for j in range(i, block):
                found |= np.uint64((packed[j] ^ packed[j - U1]) <= mask)
            if not found:
                i = block
                continue
        for j in range(i, block):
            ties = np.uint64((packed[j] ^ packed[j - U1]) <= mask)
            # Written always, counted only if it is so: no branch to mispredict.
            starts[n_starts] = j - U1
            inexact[n_starts] = (packed[j] >> row_bits) & U1
            ends[n_ends] = j
            n_starts += ties & (tied ^ U1)
            n_ends += tied & (ties ^ U1)
            tied = ties
        i = block
    if tied:
        ends[n_ends] = n


@kernel(types.int64(reads(types.uint64), writes(types.int64), writes(types.int64)))
def list_equal(words: Words, starts: Places, ends: Places) -> int:
    """Write where runs of equal words lie, as far as there is room; return how many."""
    n_runs = 0
    i = 1
    n = len(words)
    while i < n:
        if words[i] != words[i - 1]:
            i += 1
            continue
        first = i - 1
        while i < n and words[i] == words[i - 1]:
            i += 1
        if n_runs < len(starts):
            starts[n_runs] = first
            ends[n_runs] = i
        n_runs += 1
    return n_runs


@kernel(types.void(reads(types.uint64), reads(types.uint32), writes(types.uint64)))
def take_words(words: Words, rows: Rows, out: Words) -> None:
    """Write the words of the rows."""
    for i in range(len(rows)):
        out[i] = words[rows[i]]
