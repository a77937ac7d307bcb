"""Sorting runs of tied rows by variable-length values, to their last byte.

Rounds of three steps, over all runs at once: take the next 7 bytes, and how many of them
the value has, as a word; if a whole run ties on it, skip all the bytes that the run shares
and take the next; refine by it. A value that ends is below one that goes on, and the count
says so, so embedded zero bytes need no special case. A round splits every run that is not
all equal, so there are no more rounds than rows in a run, and no value is read much more
than once.
"""

from __future__ import annotations

import numpy as np

from dlsort_kernels.arrays import Bytes, Offsets, Places, Rows
from dlsort_kernels.refine import refine
from dlsort_kernels.settle_bytes import STEP, settle_bytes

__all__ = ["refine_bytes"]


def refine_bytes(
    order: Rows,
    starts: Places,
    ends: Places,
    offsets: Offsets,
    data: Bytes,
    *,
    depth: int = 0,
    descending: bool = False,
) -> tuple[Places, Places]:
    """Sort runs of tied rows by their binary values, in place and stably.

    Parameters
    ----------
    order : (n,) uint32
        Rows; those of each run are put in order.
    starts, ends : (k,) int64
        Run ``r`` is ``order[starts[r]:ends[r]]``; the runs lie apart and in order.
    offsets : (rows + 1,) int32 or int64
    data : (bytes,) uint8
        Row ``i``'s value is ``data[offsets[i]:offsets[i + 1]]``.
    depth : int
        Bytes that the values of each run are known to share. A value may end up to 8
        bytes before, if zero bytes in its place compared equal (`prefix_words`).
    descending : bool
        Highest value first. Equal values keep their order in both directions.

    Returns
    -------
    starts, ends : (j,) int64
        The runs of two rows or more whose values are equal.

    Notes
    -----
    Time O(m log m + bytes) for m rows in runs, with 16 bytes a row of scratch.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import refine_bytes
    >>> order = np.array([0, 1, 2], dtype=np.uint32)
    >>> data = np.frombuffer(b"owlantowl", dtype=np.uint8)
    >>> offsets = np.array([0, 3, 6, 9], dtype=np.int32)
    >>> refine_bytes(order, np.array([0]), np.array([3]), offsets, data)
    (array([1]), array([3]))
    >>> order.tolist()
    [1, 0, 2]
    """
    depths = np.full(len(starts), depth, np.int64)
    turn = np.uint64(2**64 - 1 if descending else 0)
    equal_starts, equal_ends = [], []
    while len(starts):
        n_rows = int((ends - starts).sum())
        equal = np.empty(n_rows // 2, np.int64), np.empty(n_rows // 2, np.int64)
        left = np.empty(len(starts), np.int64)
        words = np.empty(n_rows, np.uint64)
        n_equal, n_left, n_rows = settle_bytes(
            order, starts, ends, depths, offsets, data, turn, *equal, left, words
        )
        equal_starts.append(equal[0][:n_equal].copy())
        equal_ends.append(equal[1][:n_equal].copy())
        left = left[:n_left]
        parents, depths = starts[left], depths[left]
        starts, ends = refine(order, parents, ends[left], words[:n_rows])
        depths = depths[np.searchsorted(parents, starts, side="right") - 1] + STEP
    if not equal_starts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts, ends = np.concatenate(equal_starts), np.concatenate(equal_ends)
    # Runs lie apart, so the sorted ends belong to the sorted starts.
    starts.sort()
    ends.sort()
    return starts, ends
