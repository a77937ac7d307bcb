"""Input that is in order already, or is made of a few runs that are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.arrays import Places, RowNumbers, Rows, Words
from dlsort_kernels.jit import inlined, kernel, reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.source import WordSource

__all__ = [
    "MOST_RUNS",
    "WIDTH",
    "WINDOWS",
    "find_runs",
    "list_equal",
    "ordered",
    "worth_a_look",
]

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


@kernel(types.int64(reads(types.uint64), types.uint64, *[types.int64] * 7))
def _split(
    words: Words,
    flip: np.uint64,
    left: int,
    n_left: int,
    left_step: int,
    right: int,
    n_right: int,
    right_step: int,
    n_out: int,
) -> int:
    """Return how many of the first ``n_out`` merged rows are from the left run."""
    low = max(0, n_out - n_right)
    high = min(n_out, n_left)
    while low < high:
        middle = (low + high) // 2
        # The left row goes first if it ties with the right one.
        from_right = right + (n_out - middle - 1) * right_step
        if (words[left + middle * left_step] ^ flip) <= (words[from_right] ^ flip):
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _unsigned(number: int) -> np.uint64:
    """Return a number modulo 2^64."""
    return np.int64(number).view(np.uint64)


@inlined
def _step(
    words: Words, flip: Any, a: Any, b: Any, a_step: Any, b_step: Any, out: RowNumbers, at: Any
) -> tuple[Any, Any]:
    """Write the next merged row; return where both runs go on."""
    # Masks, not branches, which would be mispredicted half of the time.
    is_right = U0 - np.uint64((words[b] ^ flip) < (words[a] ^ flip))
    out[at] = (a & ~is_right) | (b & is_right)
    return a + (a_step & ~is_right), b + (b_step & is_right)


@inlined
def _finish(
    words: Words,
    flip: Any,
    a: Any,
    a_stop: Any,
    a_step: Any,
    b: Any,
    b_stop: Any,
    b_step: Any,
    out: RowNumbers,
    at: Any,
) -> None:
    """Merge what is left of two runs."""
    while a != a_stop and b != b_stop:
        a, b = _step(words, flip, a, b, a_step, b_step, out, at)
        at += U1
    while a != a_stop:
        out[at] = a
        a += a_step
        at += U1
    while b != b_stop:
        out[at] = b
        b += b_step
        at += U1


@kernel(
    *(
        types.void(
            reads(types.uint64),
            types.uint64,
            *[types.int64] * 7,
            writes(row),
        )
        for row in (types.uint32, types.int64)
    )
)
def _merge_two(
    words: Words,
    flip: np.uint64,
    left: int,
    n_left: int,
    left_step: int,
    right: int,
    n_right: int,
    right_step: int,
    cut: int,
    out: RowNumbers,
) -> None:
    """Merge two runs of rows, which go up or down from ``left`` and ``right``.

    In two halves at once, of which the first has ``cut`` rows of the left run: each row
    waits for the one before, so one half is merged while the other waits.
    """
    half = (n_left + n_right) // 2
    # Unsigned places, which numba does not test for being negative.
    a_step, b_step = _unsigned(left_step), _unsigned(right_step)
    a, b = _unsigned(left), _unsigned(right)
    c = _unsigned(left + cut * left_step)
    d = _unsigned(right + (half - cut) * right_step)
    a_stop, b_stop = c, d
    c_stop = _unsigned(left + n_left * left_step)
    d_stop = _unsigned(right + n_right * right_step)
    at = U0
    behind = np.uint64(half)
    while a != a_stop and b != b_stop and c != c_stop and d != d_stop:
        a, b = _step(words, flip, a, b, a_step, b_step, out, at)
        c, d = _step(words, flip, c, d, a_step, b_step, out, behind)
        at += U1
        behind += U1
    _finish(words, flip, a, a_stop, a_step, b, b_stop, b_step, out, at)
    _finish(words, flip, c, c_stop, a_step, d, d_stop, b_step, out, behind)


@kernel(
    *(
        types.int64(
            reads(types.uint64),
            types.uint64,
            reads(types.uint32),
            reads(types.uint32),
            writes(row),
        )
        for row in (types.uint32, types.int64)
    )
)
def _merge_rows(words: Words, flip: np.uint64, left: Rows, right: Rows, out: RowNumbers) -> int:
    """Merge two lists of rows that are in order of ``words ^ flip``; the left one first."""
    i = np.int64(0)
    j = np.int64(0)
    k = 0
    while i < len(left) and j < len(right):
        is_right = np.int64((words[right[j]] ^ flip) < (words[left[i]] ^ flip))
        out[k] = right[j] if is_right else left[i]
        j += is_right
        i += 1 - is_right
        k += 1
    while i < len(left):
        out[k] = left[i]
        i += 1
        k += 1
    while j < len(right):
        out[k] = right[j]
        j += 1
        k += 1
    return k


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


@kernel(
    *(types.void(types.int64, types.int64, writes(row)) for row in (types.uint32, types.int64))
)
def _number_rows(start: int, step: int, out: RowNumbers) -> None:
    """Write ``start``, ``start + step``, …"""
    row = start
    for i in range(len(out)):
        out[i] = row
        row += step


class Run(NamedTuple):
    """Rows ``start``, ``start + step``, … in order."""

    start: int
    n: int
    step: int

    def rows(self, kind: type) -> Any:
        """Return the row numbers."""
        rows = empty(self.n, kind)
        _number_rows(self.start, self.step, rows)
        return rows

    @property
    def last(self) -> int:
        """The last row."""
        return self.start + (self.n - 1) * self.step


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
    pairs = [runs[i : i + 2] for i in range(0, len(runs), 2)]
    lists = [_merged(words, source.flip, pair, np.uint32 if len(pairs) > 1 else kind)
             for pair in pairs]  # fmt: skip
    if len(lists) == 1:
        return lists[0]
    out: RowNumbers = empty(source.n, kind)
    left, right = lists
    _merge_rows(words, source.flip, left, right, out)
    return out


def _merged(words: Words, flip: np.uint64, pair: list[Run], kind: type) -> Any:
    if len(pair) == 1:
        return pair[0].rows(kind)
    out: RowNumbers = empty(pair[0].n + pair[1].n, kind)
    cut = _split(words, flip, *pair[0], *pair[1], len(out) // 2)
    _merge_two(words, flip, *pair[0], *pair[1], cut, out)
    return out
