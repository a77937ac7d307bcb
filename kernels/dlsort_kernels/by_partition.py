"""Grouping rows by partition."""

from __future__ import annotations

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Places, Rows
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["group_rows"]


def group_rows(part: Rows, n_parts: int) -> tuple[Rows, Places]:
    """Return the row order that groups rows by partition, and each partition's start.

    Counting sort: rows keep their order inside a partition.

    Parameters
    ----------
    part : (n,) uint32
        Partition of each row, each below ``n_parts``; not checked here.
    n_parts : int

    Returns
    -------
    order : (n,) uint32
        ``part[order]`` is non-decreasing.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``order[starts[p]:starts[p + 1]]``.

    Notes
    -----
    Time O(n + n_parts).

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import group_rows
    >>> order, starts = group_rows(np.array([1, 0, 1], dtype=np.uint32), 2)
    >>> order.tolist(), starts.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    counts = np.zeros(n_parts, np.int64)
    _count(part, counts)
    starts = np.zeros(n_parts + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    order = np.empty(len(part), np.uint32)
    _group(part, starts[:-1].copy(), order)
    return order, starts


@kernel(types.void(reads(types.uint32), writes(types.int64)))
def _count(part: Rows, counts: Places) -> None:
    for i in range(len(part)):
        counts[part[i]] += 1


@kernel(types.void(reads(types.uint32), writes(types.int64), writes(types.uint32)))
def _group(part: Rows, at: Places, order: Rows) -> None:
    for i in range(len(part)):
        place = at[part[i]]
        order[place] = i
        at[part[i]] = place + 1
