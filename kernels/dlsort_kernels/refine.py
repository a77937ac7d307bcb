"""Sorting what earlier words left tied."""

from __future__ import annotations

import numpy as np

from dlsort_kernels.arrays import Places, Rows, Words
from dlsort_kernels.sort import Runs, refine_runs
from dlsort_kernels.touch_up import copy_rows

__all__ = ["refine", "run_rows"]


def refine(
    order: Rows,
    starts: Places,
    ends: Places,
    words: Words,
) -> tuple[Places, Places]:
    """Sort runs of tied rows by their next word, in place and stably.

    Parameters
    ----------
    order : (n,) uint32
        Rows; those of each run are put in order.
    starts, ends : (k,) int64
        Run ``r`` is ``order[starts[r]:ends[r]]``; the runs lie apart and in order.
    words : (m,) uint64
        The next word of the rows of all runs, run after run (`run_rows`).

    Returns
    -------
    starts, ends : (j,) int64
        The runs of two rows or more that still tie.

    Notes
    -----
    Time O(m log m), with a few ns a row in runs of two.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import refine
    >>> order = np.array([4, 0, 1, 2], dtype=np.uint32)
    >>> refine(order, np.array([1]), np.array([4]), np.array([9, 8, 9], dtype=np.uint64))
    (array([2]), array([4]))
    >>> order.tolist()
    [4, 1, 0, 2]
    """
    lengths = ends - starts
    tied = refine_runs(order, Runs(starts, ends), np.cumsum(lengths) - lengths, words)
    return tied.starts, tied.ends


def run_rows(order: Rows, starts: Places, ends: Places) -> Rows:
    """Return the rows of all runs, run after run.

    Parameters
    ----------
    order : (n,) uint32
    starts, ends : (k,) int64

    Returns
    -------
    (m,) uint32

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import run_rows
    >>> order = np.array([5, 4, 3, 2, 1], dtype=np.uint32)
    >>> run_rows(order, np.array([0, 3]), np.array([2, 5])).tolist()
    [5, 4, 2, 1]
    """
    rows = np.empty(int((ends - starts).sum()), np.uint32)
    copy_rows(order, starts, ends, rows)
    return rows
