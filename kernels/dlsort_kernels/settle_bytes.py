"""One round over runs of rows that tie on the first bytes of their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Offsets, Places, Rows, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.prefix import load_prefix, shared_bytes
from dlsort_kernels.unaligned import prefetch

__all__ = ["STEP", "settle_bytes"]

# Bytes of value in a word; the last byte counts them.
STEP = 7
# Longest run sorted by insertion with whole comparisons.
SHORT = 4
# Rows ahead of which memory is asked for: 350 ms → 230 for 1 M strings of 37 bytes.
AHEAD = 24

# Bytes that a run's values are first compared over.
STRIDE = 64

U0 = np.uint64(0)


@inlined
def _compare(offsets: Offsets, data: Bytes, left: Any, right: Any, depth: Any) -> int:
    """Return −1, 0 or 1: how the values of two rows compare from byte ``depth`` on."""
    left_at = np.int64(offsets[left]) + depth
    right_at = np.int64(offsets[right]) + depth
    left_n = np.int64(offsets[left + 1]) - left_at
    right_n = np.int64(offsets[right + 1]) - right_at
    n = max(min(left_n, right_n), 0)
    j = shared_bytes(data, left_at, right_at, n)
    if j < n:
        return -1 if data[left_at + j] < data[right_at + j] else 1
    if left_n == right_n:
        return 0
    return -1 if left_n < right_n else 1


@inlined
def _fetch(order: Rows, i: Any, offsets: Offsets, data: Bytes, depth: Any) -> None:
    """Ask for what the rows further on will need; they most likely have the same depth."""
    ahead = i + AHEAD
    if ahead + AHEAD < len(order):
        prefetch(offsets, np.int64(order[ahead + AHEAD]))
        prefetch(data, np.int64(offsets[order[ahead]]) + depth)


@inlined
def _word(offsets: Offsets, data: Bytes, row: Any, depth: Any) -> np.uint64:
    """Return 7 bytes of a row's value from ``depth`` on, and how many of them it has."""
    at = np.int64(offsets[row]) + depth
    # Down to −8: values may end before the depth.
    size = min(max(np.int64(offsets[row + 1]) - at, -8), STEP)
    return load_prefix(data, at, size) | np.uint64(size + 8)


@inlined
def _common(
    order: Rows, start: Any, end: Any, offsets: Offsets, data: Bytes, depth: Any, most: Any
) -> tuple[Any, Any]:
    """Return how many bytes, up to ``most``, a run's values share from ``depth`` on.

    And whether the values are equal, as far as these bytes tell.
    """
    first = np.int64(order[start])
    at = np.int64(offsets[first]) + depth
    size = np.int64(offsets[first + 1]) - at
    shared = min(size, most)
    alike: Any = True
    for i in range(start + 1, end):
        row = np.int64(order[i])
        row_at = np.int64(offsets[row]) + depth
        row_size = np.int64(offsets[row + 1]) - row_at
        alike &= row_size == size
        shared = shared_bytes(data, at, row_at, min(shared, row_size))
    return shared, alike and shared == size


@kernel(
    *(
        types.UniTuple(types.int64, 3)(
            writes(types.uint32),
            reads(types.int64),
            reads(types.int64),
            writes(types.int64),
            each,
            reads(types.uint8),
            types.uint64,
            writes(types.int64),
            writes(types.int64),
            writes(types.int64),
            writes(types.uint64),
        )
        for each in (reads(types.int32), reads(types.int64))
    )
)
def settle_bytes(
    order: Rows,
    starts: Places,
    ends: Places,
    depths: Places,
    offsets: Offsets,
    data: Bytes,
    turn: np.uint64,
    out_starts: Places,
    out_ends: Places,
    left: Places,
    words: Words,
) -> tuple[int, int, int]:
    """Sort short runs, list runs of equal values, and find the others' next words.

    Where a run's rows have a word in common, its depth moves on past all they share.
    Words are turned round by ``turn``: all ones for descending order.
    Returns how many runs of equal values and how many runs to go on with were written,
    and the rows of the latter.
    """
    n_out = 0
    n_left = 0
    n_rows = 0
    above = -1 if turn else 1
    for run in range(len(starts)):
        start = starts[run]
        end = ends[run]
        n = end - start
        depth = depths[run]
        if n > SHORT:
            while True:
                first = _word(offsets, data, np.int64(order[start]), depth)
                differs = U0
                for i in range(n):
                    _fetch(order, start + i, offsets, data, depth)
                    word = _word(offsets, data, np.int64(order[start + i]), depth)
                    differs |= word ^ first
                    words[n_rows + i] = word ^ turn
                if differs != U0:
                    alike: Any = False
                    break
                alike = (first & np.uint64(255)) < np.uint64(STEP + 8)
                depth += STEP
                # Twice as far each time: one value that differs early does not make the
                # others be read to their ends round after round.
                most = STRIDE
                while not alike:
                    shared, alike = _common(order, start, end, offsets, data, depth, most)
                    depth += shared
                    if shared < most:
                        break
                    most *= 2
                if alike:
                    break
            if alike:
                out_starts[n_out] = start
                out_ends[n_out] = end
                n_out += 1
            else:
                depths[run] = depth
                left[n_left] = run
                n_left += 1
                n_rows += n
            continue
        for i in range(start, end):
            _fetch(order, i, offsets, data, depth)
        for i in range(start + 1, end):
            row = order[i]
            j = i
            while j > start and _compare(offsets, data, order[j - 1], row, depth) == above:
                order[j] = order[j - 1]
                j -= 1
            order[j] = row
        tied = False
        for i in range(start + 1, end):
            ties = _compare(offsets, data, order[i - 1], order[i], depth) == 0
            if ties and not tied:
                out_starts[n_out] = i - 1
            if tied and not ties:
                out_ends[n_out] = i
                n_out += 1
            tied = ties
        if tied:
            out_ends[n_out] = end
            n_out += 1
    return n_out, n_left, n_rows
