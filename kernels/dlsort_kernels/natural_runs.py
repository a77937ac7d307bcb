"""Input that is in order already, or is made of a few runs that are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Places, RowNumbers, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.merge_runs import Run, merge
from dlsort_kernels.word_source import WordSource, blocks, scratch_for

__all__ = ["equal_runs", "few_runs"]

Directions = npt.NDArray[np.int8]

# Rows looked at together.
BLOCK = np.uint64(1024)

U0 = np.uint64(0)
U1 = np.uint64(1)

# Runs looked for. More are merged no quicker than they are sorted, unless they lie apart.
MOST_RUNS = 64
# Windows of rows that are looked at first, and rows of a window. A window of shuffled rows
# is in order once in 12 times.
WINDOWS, WIDTH = 24, 4
# Runs that are merged though they lie over one another.
MOST_MERGED = 4
# Least bytes of a row's key for that.
MERGED_BYTES = 4


def worth_a_look(windows: Words) -> bool:
    """Return whether (w, WIDTH) words, of neighbours at random places, are mostly in order."""
    up = (windows[:, 1:] >= windows[:, :-1]).all(axis=1)
    down = (windows[:, 1:] < windows[:, :-1]).all(axis=1)
    return int((up | down).sum()) >= len(windows) - 2


@inlined
def _run_end(words: Words, flip: np.uint64, i: Any, direction: Any) -> Any:
    """Return the first place from ``i`` on that does not go on in a direction."""
    n = np.uint64(len(words))
    at = np.uint64(i)
    is_up = np.uint64(direction > 0)
    while at < n:
        # Blocks in which all goes on are found without a branch: this loop is vectorised.
        end = min(at + BLOCK, n)
        against = U0
        for j in range(at, end):
            against += np.uint64((words[j - U1] ^ flip) <= (words[j] ^ flip)) ^ is_up
        if against != U0:
            while np.uint64((words[at - U1] ^ flip) <= (words[at] ^ flip)) == is_up:
                at += U1
            return np.int64(at)
        at = end
    return np.int64(n)


@kernel(
    types.UniTuple(types.int64, 2)(
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
    directions: Directions,
) -> tuple[int, int]:
    """Go on splitting rows into runs that never decrease or always decrease.

    The first word is that of the row before the block, if there is one: blocks overlap by
    a row. ``direction`` is that of the open run: 0 if it has one row yet, else 1 or −1.

    Returns
    -------
    n_runs : int
        Runs begun so far; −1 if they are more than there is room for.
    direction : int
        Of the last run.
    """
    n = len(words)
    i = 1
    while i < n:
        if direction == 0:
            direction = 1 if (words[i - 1] ^ flip) <= (words[i] ^ flip) else -1
            directions[n_runs - 1] = direction
            i += 1
            continue
        i = _run_end(words, flip, i, direction)
        if i == n:
            break
        if n_runs == len(starts):
            return -1, direction
        starts[n_runs] = first_row + i
        directions[n_runs] = 0
        n_runs += 1
        direction = 0
        i += 1
    return n_runs, direction


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


def ordered(
    source: WordSource, starts: Places, directions: Directions, kind: type
) -> Any | None:
    """Return the stable order of input that is made of runs, if merging them is quick.

    Parameters
    ----------
    source : WordSource
    starts : (k,) int64
        First row of each run.
    directions : (k,) int8
        −1 where the run always decreases, else it never does.
    kind : type
        Of the row numbers.

    Returns
    -------
    (n,) array of ``kind``, or None
        None where so many runs lie over one another that sorting is quicker.
    """
    bounds = zip(starts.tolist(), [*starts[1:].tolist(), source.n], strict=True)
    runs = [
        Run(stop - 1, stop - start, -1) if direction < 0 else Run(start, stop - start, 1)
        for (start, stop), direction in zip(bounds, directions.tolist(), strict=True)
    ]
    if len(runs) == 1:
        return runs[0].rows(kind)
    firsts = source.take(np.array([run.start for run in runs], np.uint32))
    lasts = source.take(np.array([run.last for run in runs], np.uint32))
    # Runs of equal first words keep their order, if the words before are no larger.
    along = np.lexsort((lasts, firsts))
    apart = (lasts[along[:-1]] < firsts[along[1:]]) | (
        (lasts[along[:-1]] == firsts[along[1:]]) & (along[:-1] < along[1:])
    )
    if apart.all():
        return np.concatenate([runs[i].rows(kind) for i in along])
    # Merging wants all words in memory: not beside narrow keys that are made into words.
    if len(runs) > MOST_MERGED or source.row_bytes < MERGED_BYTES:
        return None
    words, _ = source.block(0, source.n, np.empty(source.n, np.uint64))
    return merge(words, source.flip, runs, kind)


def few_runs(source: WordSource, kind: type) -> RowNumbers | None:
    """Return the order of input that is a few runs which are in order, or None."""
    n = source.n
    if n > 1024:
        rng = np.random.default_rng(n)
        at = rng.integers(0, n - WIDTH, WINDOWS, dtype=np.uint32)
        rows: Any = at[:, None] + np.arange(WIDTH, dtype=np.uint32)
        if not worth_a_look(source.take(rows.ravel()).reshape(rows.shape)):
            return None
    starts = np.zeros(MOST_RUNS, np.int64)
    directions = np.zeros(MOST_RUNS, np.int8)
    n_runs, direction = 1, 0
    scratch = scratch_for(source)
    for start, stop in blocks(source, 0, n):
        before = max(start - 1, 0)
        words, null = source.block(before, stop, scratch)
        if null is not None and null.any():
            return None
        n_runs, direction = find_runs(
            words, source.flip, before, n_runs, direction, starts, directions
        )
        if n_runs < 0:
            return None
    return ordered(source, starts[:n_runs], directions[:n_runs], kind)


def equal_runs(source: WordSource, order: RowNumbers) -> tuple[Places, Places]:
    """Return where runs of equal words start and end in a finished order."""
    words = source.take(order.astype(np.uint32, copy=False))
    none = np.empty(0, np.int64)
    n_runs = list_equal(words, none, none)
    starts, ends = np.empty(n_runs, np.int64), np.empty(n_runs, np.int64)
    list_equal(words, starts, ends)
    return starts, ends
