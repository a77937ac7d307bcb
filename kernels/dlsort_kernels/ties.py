"""Rows that tie with a splitter, told apart by where they stand."""

from __future__ import annotations

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Places, Rows, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["settle_ties", "tied_rows"]


def tied_rows(lead: Words, splitters: Words, part: Rows) -> Rows:
    """Return the rows whose word equals a splitter, in order.

    Parameters
    ----------
    lead : (n,) uint64
    splitters : (s,) uint64
    part : (n,) uint32
        From `classify`.

    Returns
    -------
    (m,) uint32

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import tied_rows
    >>> lead, splitters = np.array([5, 10, 11], np.uint64), np.array([10], np.uint64)
    >>> tied_rows(lead, splitters, np.array([0, 0, 1], np.uint32))
    array([1], dtype=uint32)
    """
    if not len(splitters):
        return np.empty(0, np.uint32)
    rows = np.empty(len(lead), np.uint32)
    return rows[: _tied_rows(lead, splitters, part, rows)].copy()


@kernel(
    types.int64(
        reads(types.uint64), reads(types.uint64), reads(types.uint32), writes(types.uint32)
    )
)
def _tied_rows(lead: Words, splitters: Words, part: Rows, rows: Rows) -> int:
    n = 0
    last = np.uint32(len(splitters) - 1)
    for i in range(len(lead)):
        at = min(part[i], last)
        # Written always, counted only if it ties: no branch to mispredict.
        rows[n] = i
        n += splitters[at] == lead[i]
    return n


def settle_ties(
    part: Rows,
    rows: Rows,
    splitters: Words,
    splitter_part: Places,
    splitter_row: Places,
    input_id: int,
    lead: Words,
) -> None:
    """Place rows that tie with splitters by their input partition and row, in place.

    For leads that hold the whole key: rows of one key are told apart by where they stand,
    so that even a single heavy key is split evenly.

    Parameters
    ----------
    part : (n,) uint32
        From `classify`. For each of ``rows`` it becomes the number of splitters that are
        not above ``(lead, input_id, row)``: a row equal to a splitter goes right of it.
    rows : (m,) uint32
        From `tied_rows`.
    splitters : (s,) uint64
    splitter_part, splitter_row : (s,) int64
        Where each splitter's row stands. Splitters with one lead are in this order.
    input_id : int
        The input partition of ``lead``.
    lead : (n,) uint64

    Notes
    -----
    Time O(m + s) for rows in order.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import settle_ties
    >>> lead, part = np.full(4, 7, np.uint64), np.zeros(4, np.uint32)
    >>> splitters = np.array([7, 7], np.uint64)
    >>> rows = np.arange(4, dtype=np.uint32)
    >>> settle_ties(part, rows, splitters, np.array([0, 3]), np.array([9, 2]), 3, lead)
    >>> part.tolist()
    [1, 1, 2, 2]
    """
    reached = np.full(len(splitters), -1, np.int64)
    _settle_ties(part, rows, splitters, splitter_part, splitter_row, input_id, lead, reached)


@kernel(
    types.void(
        writes(types.uint32),
        reads(types.uint32),
        reads(types.uint64),
        reads(types.int64),
        reads(types.int64),
        types.int64,
        reads(types.uint64),
        writes(types.int64),
    )
)
def _settle_ties(
    part: Rows,
    rows: Rows,
    splitters: Words,
    splitter_part: Places,
    splitter_row: Places,
    input_id: int,
    lead: Words,
    reached: Places,
) -> None:
    n_splitters = len(splitters)
    for k in range(len(rows)):
        row = np.int64(rows[k])
        word = lead[row]
        first = np.int64(part[row])
        if first >= n_splitters or splitters[first] != word:
            continue
        # Rows come in order, so the search goes on where the last one of this key ended.
        at = max(reached[first], first)
        if at > first and splitter_part[at - 1] == input_id and splitter_row[at - 1] > row:
            at = first
        while at < n_splitters and splitters[at] == word:
            if splitter_part[at] > input_id:
                break
            if splitter_part[at] == input_id and splitter_row[at] > row:
                break
            at += 1
        reached[first] = at
        part[row] = at
