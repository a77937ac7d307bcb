"""Find what is out of order, and compare neighbours: the proof that a sort sorted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.unaligned import load8

__all__ = ["compare_bytes", "compare_words", "first_descent"]

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

# Words checked before a descent among them is looked for: a loop without a way out is SIMD.
_BLOCK = 4096


def first_descent(words: Words) -> tuple[int, Positions]:
    """Return where words first decrease, and which neighbours tie before that.

    Parameters
    ----------
    words : (n,) uint64
        Words that should be non-decreasing.

    Returns
    -------
    bad : int
        First ``i`` with ``words[i] > words[i + 1]``; −1 if there is none.
    ties : (k,) int64
        Every ``i`` (below ``bad``, if there is one) with ``words[i] == words[i + 1]``.

    Notes
    -----
    Time O(n), memory O(k).

    Examples
    --------
    >>> import numpy as np
    >>> first_descent(np.array([1, 2, 2, 5, 4, 4], np.uint64))
    (3, array([1]))
    """
    bad, n_ties = map(int, _scan(words))
    # One more than the ties: a row that does not tie is written too, and then overwritten.
    ties = np.empty(n_ties + 1, np.int64)
    if n_ties:
        _note_ties(ties, words, len(words) - 1 if bad < 0 else bad)
    return bad, ties[:n_ties]


@kernel(types.UniTuple(types.int64, 2)(reads(types.uint64)))
def _scan(words: Words) -> tuple[np.int64, np.int64]:
    """Return the first descent (−1 if none) and the number of ties before it."""
    n_pairs = words.size - 1
    n_ties = np.int64(0)
    for first in range(0, n_pairs, _BLOCK):
        end = min(first + _BLOCK, n_pairs)
        n_down = np.int64(0)
        n_equal = np.int64(0)
        for i in range(first, end):
            n_down += np.int64(words[i] > words[i + 1])
            n_equal += np.int64(words[i] == words[i + 1])
        if n_down:
            for i in range(first, end):
                if words[i] > words[i + 1]:
                    return np.int64(i), n_ties
                n_ties += np.int64(words[i] == words[i + 1])
        n_ties += n_equal
    return np.int64(-1), n_ties


@kernel(types.void(writes(types.int64), reads(types.uint64), types.int64))
def _note_ties(ties: Positions, words: Words, end: int) -> None:
    """Write every ``i`` below ``end`` whose word equals the next."""
    k = np.int64(0)
    for i in range(end):
        ties[k] = i
        k += np.int64(words[i] == words[i + 1])


def compare_words(left: Words, right: Words) -> npt.NDArray[np.int8]:
    """Compare words pair by pair.

    Parameters
    ----------
    left, right : (k,) uint64
        Words.

    Returns
    -------
    (k,) int8
        −1, 0 or 1, as ``left`` is less than, equal to or greater than ``right``.

    Examples
    --------
    >>> import numpy as np
    >>> compare_words(np.array([1, 2, 3], np.uint64), np.array([2, 2, 2], np.uint64))
    array([-1,  0,  1], dtype=int8)
    """
    signs = np.empty(len(left), np.int8)
    _compare_words(signs, left, right)
    return signs


@kernel(types.void(writes(types.int8), reads(types.uint64), reads(types.uint64)))
def _compare_words(signs: npt.NDArray[np.int8], left: Words, right: Words) -> None:
    """Write the sign of each comparison."""
    for i in range(signs.size):
        signs[i] = np.int8(left[i] > right[i]) - np.int8(left[i] < right[i])


def compare_bytes(
    offsets: npt.NDArray[np.int32] | npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    left: Positions,
    right: Positions,
) -> npt.NDArray[np.int8]:
    """Compare variable-length values pair by pair, byte by byte, a prefix before the longer.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    data : (b,) uint8
        The values' bytes.
    left, right : (k,) int64
        Rows to compare.

    Returns
    -------
    (k,) int8
        −1, 0 or 1, as the left value sorts before, equals or sorts after the right one.

    Notes
    -----
    Time O(k + bytes up to the first difference of each pair).

    Examples
    --------
    >>> import numpy as np
    >>> offsets, data = np.array([0, 2, 3]), np.frombuffer(b"aba", np.uint8)
    >>> compare_bytes(offsets, data, np.array([0, 1]), np.array([1, 1]))
    array([1, 0], dtype=int8)
    """
    signs = np.empty(len(left), np.int8)
    # Widened, so that the kernel is compiled for one offset type.
    bounds = [
        offsets[rows].astype(np.int64, copy=False)
        for rows in (left, left + 1, right, right + 1)
    ]
    _compare_bytes(signs, data, *bounds)
    return signs


@kernel(types.void(writes(types.int8), reads(types.uint8), *[reads(types.int64)] * 4))
def _compare_bytes(
    signs: npt.NDArray[np.int8],
    data: npt.NDArray[np.uint8],
    left: Positions,
    left_end: Positions,
    right: Positions,
    right_end: Positions,
) -> None:
    """Write the sign of each comparison of ``data[left:left_end]`` and its right."""
    for i in range(signs.size):
        a = left[i]
        b = right[i]
        longer = (left_end[i] - a) - (right_end[i] - b)
        n = min(left_end[i] - a, right_end[i] - b)
        k = 0
        while k + 8 <= n and load8(data, a + k) == load8(data, b + k):
            k += 8
        while k < n and data[a + k] == data[b + k]:
            k += 1
        if k < n:
            signs[i] = 1 if data[a + k] > data[b + k] else -1
        else:
            signs[i] = np.int8(longer > 0) - np.int8(longer < 0)
