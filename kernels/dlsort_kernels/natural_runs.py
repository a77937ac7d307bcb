"""Input that is in order already, or is made of a few runs that are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.arrays import Places, Rows, Words
from dlsort_kernels.jit import kernel, reads, writes
from dlsort_kernels.source import WordSource

__all__ = ["MOST_RUNS", "WIDTH", "WINDOWS", "find_runs", "ordered", "worth_a_look"]

# Runs looked for. More are merged no quicker than they are sorted, unless they lie apart.
MOST_RUNS = 64
# Windows of rows that are looked at first, and rows of a window. A window of shuffled rows
# is in order once in 12 times.
WINDOWS, WIDTH = 24, 4
# Runs that are merged though they lie over one another.
MOST_MERGED = 4


def worth_a_look(windows: Words) -> bool:
    """Return whether (w, WIDTH) words, of neighbours at random places, are mostly in order."""
    up = (windows[:, 1:] >= windows[:, :-1]).all(axis=1)
    down = (windows[:, 1:] < windows[:, :-1]).all(axis=1)
    return int((up | down).sum()) >= len(windows) - 2


@kernel(
    types.UniTuple(types.int64, 3)(
        reads(types.uint64),
        types.uint64,
        types.int64,
        types.int64,
        types.int64,
        writes(types.int64),
        writes(types.int8),
    )
)
def find_runs(
    words: Words,
    flip: np.uint64,
    first_row: int,
    n_runs: int,
    direction: int,
    starts: Places,
    directions: Rows,
) -> tuple[int, int, int]:
    """Go on splitting rows into runs that never decrease or always decrease.

    The first word is that of the row before the block, if there is one: blocks overlap by
    a row. ``direction`` is that of the open run: 0 if it has one row yet, else 1 or −1.

    Returns
    -------
    n_runs : int
        Runs begun so far; −1 if they are more than there is room for.
    direction : int
        Of the last run.
    rows : int
        Rows looked at, beyond the first word's.
    """
    n = len(words)
    i = 1
    while i < n:
        if direction > 0:
            while i < n and (words[i - 1] ^ flip) <= (words[i] ^ flip):
                i += 1
        elif direction < 0:
            while i < n and (words[i - 1] ^ flip) > (words[i] ^ flip):
                i += 1
        if i == n:
            break
        if direction == 0:
            direction = 1 if (words[i - 1] ^ flip) <= (words[i] ^ flip) else -1
            directions[n_runs - 1] = direction
        else:
            if n_runs == len(starts):
                return -1, direction, i
            starts[n_runs] = first_row + i
            directions[n_runs] = 0
            n_runs += 1
            direction = 0
        i += 1
    return n_runs, direction, n - 1


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        reads(types.uint32),
        reads(types.uint32),
        writes(types.uint32),
    )
)
def merge_rows(words: Words, flip: np.uint64, left: Rows, right: Rows, out: Rows) -> None:
    """Merge two lists of rows that are in order of ``words ^ flip``; the left one first."""
    i = 0
    j = 0
    k = 0
    n_left = len(left)
    n_right = len(right)
    if n_left and n_right:
        a = words[left[0]] ^ flip
        b = words[right[0]] ^ flip
        while True:
            if b < a:
                out[k] = right[j]
                k += 1
                j += 1
                if j == n_right:
                    break
                b = words[right[j]] ^ flip
            else:
                out[k] = left[i]
                k += 1
                i += 1
                if i == n_left:
                    break
                a = words[left[i]] ^ flip
    while i < n_left:
        out[k] = left[i]
        i += 1
        k += 1
    while j < n_right:
        out[k] = right[j]
        j += 1
        k += 1


def ordered(source: WordSource, starts: Places, directions: npt.NDArray[np.int8]) -> Rows | None:
    """Return the stable order of input that is made of runs, if merging them is quick.

    Parameters
    ----------
    source : WordSource
    starts : (k,) int64
        First row of each run.
    directions : (k,) int8
        −1 where the run always decreases, else it never does.

    Returns
    -------
    (n,) uint32 or None
        None where so many runs lie over one another that sorting is quicker.
    """
    bounds = zip(starts.tolist(), [*starts[1:].tolist(), source.n], strict=True)
    pieces = []
    for (start, stop), direction in zip(bounds, directions.tolist(), strict=True):
        rows = np.arange(start, stop, dtype=np.uint32)
        pieces.append(rows[::-1] if direction < 0 else rows)
    firsts = source.take(np.array([piece[0] for piece in pieces], np.uint32))
    lasts = source.take(np.array([piece[-1] for piece in pieces], np.uint32))
    # Runs of equal first words keep their order, if the words before are no larger.
    along = np.lexsort((lasts, firsts)) if len(pieces) > 1 else np.zeros(1, np.int64)
    apart = (lasts[along[:-1]] < firsts[along[1:]]) | (
        (lasts[along[:-1]] == firsts[along[1:]]) & (along[:-1] < along[1:])
    )
    if apart.all():
        return np.concatenate([pieces[i] for i in along])
    if len(pieces) > MOST_MERGED:
        return None
    words, _ = source.block(0, source.n)
    while len(pieces) > 1:
        merged = []
        for i in range(0, len(pieces) - 1, 2):
            left, right = map(np.ascontiguousarray, pieces[i : i + 2])
            out = np.empty(len(left) + len(right), np.uint32)
            merge_rows(words, source.flip, left, right, out)
            merged.append(out)
        pieces = merged + pieces[len(merged) * 2 :]
    return pieces[0]
