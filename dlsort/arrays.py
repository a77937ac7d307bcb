"""The local doors for arrays: row numbers out of one key column or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort.options.other_options import METHOD
from dlsort.order.argsort import order_columns
from dlsort.order.key_arrays import check_threads, read_keys
from dlsort.order.ranks import begins_key
from dlsort.proof.disorder import first_disorder_of
from dlsort.tuning import TUNING, OrderTuning
from dlsort_cluster.pages import cheap_pages

__all__ = ["argsort", "is_sorted", "rank"]

# Of a key's code, and of a row's number.
_ROW_BYTES = 16


def argsort(
    keys: Any,
    *,
    ascending: bool | Sequence[bool] = True,
    na_position: str | Sequence[str] = "last",
    nan_position: str | Sequence[str | None] | None = None,
    threads: int | None = None,
    _tuning: OrderTuning = TUNING.order,
) -> npt.NDArray[np.int64]:
    """Return the row numbers that sort an array, or several; stable.

    Parameters
    ----------
    keys : array-like, or a list, tuple or table of them
        (n,) values: numbers, booleans, dates and times, decimals, strings, binary or
        dictionaries, and structs and lists of these, of NumPy, Arrow, pandas, Polars or
        anything with the Arrow PyCapsule interface. Of several key columns the first matters
        most.
    ascending : bool or sequence of bool
        Smallest first; for all key columns or for each. Equal keys keep their order in
        either direction.
    na_position : {"last", "first"} or a sequence of them
        Where nulls go, in either direction.
    nan_position : {"last", "first"} or a sequence of them, optional
        Where NaN goes among the numbers: after all, or before all of them, in either
        direction. By default with the nulls, as one of them.
    threads : int, optional
        At most so many; by default one a core. The result does not depend on it.

    Returns
    -------
    (n,) int64
        Row numbers.

    Raises
    ------
    KeyTypeError
        If the values can't be sorted by, or columns have different lengths.
    BadOptionError
        If an option is something else.

    Notes
    -----
    Expected time O(n): a map learned from a sample says where each value belongs, one
    pass brings every row there, and what lies together is put in order in the cache.
    After Kristo et al., "The Case for a Learned Sorting Algorithm" (SIGMOD 2020).
    Memory beside the keys and the result: at most 3 times the size of the key columns
    (booleans counted as bytes), and usually 2 bytes a row; values that are not NumPy
    arrays or Arrow arrays of one chunk are copied first.

    Examples
    --------
    >>> argsort([2.5, None, -1.0], na_position="first")
    array([1, 2, 0])
    >>> argsort((np.array([1, 0, 1]), np.array(["b", "c", "a"])), ascending=[False, True])
    array([2, 0, 1])
    """
    rows: npt.NDArray[np.int64]
    is_plain = isinstance(na_position, str) and na_position == "last" and threads is None
    if is_plain and ascending is True and nan_position is None and _is_numpys(keys, _tuning):
        rows = keys.argsort(kind="stable")
        return rows
    columns, sort_keys = read_keys(
        keys, _tuning, ascending=ascending, na_position=na_position, nan_position=nan_position
    )
    count = check_threads(threads)
    with cheap_pages(_ROW_BYTES * len(columns[0])):
        rows = order_columns(
            columns, sort_keys, _tuning, runs=False, wide=True, threads=count
        ).rows
    return rows


def _is_numpys(keys: Any, tuning: OrderTuning) -> bool:
    """Return whether NumPy sorts something as it is, and as quickly as can be."""
    return (
        type(keys) is np.ndarray
        and keys.ndim == 1
        and keys.size <= tuning.numpy_rows
        and keys.dtype.kind in "biufmM"
        and keys.itemsize <= 8
    )


def is_sorted(
    keys: Any,
    *,
    ascending: bool | Sequence[bool] = True,
    na_position: str | Sequence[str] = "last",
    nan_position: str | Sequence[str | None] | None = None,
    _tuning: OrderTuning = TUNING.order,
) -> bool:
    """Return whether an array, or several as one key, are in order.

    Parameters
    ----------
    keys, ascending, na_position, nan_position
        As for :func:`argsort`.

    Returns
    -------
    bool
        Whether no row sorts after the one below it. Equal neighbours are in order.

    Notes
    -----
    Time O(n), memory O(n) for what is not a NumPy array.

    Examples
    --------
    >>> is_sorted([1, 1, 2, None]), is_sorted([1, 1, 2, None], na_position="first")
    (True, False)
    """
    columns, sort_keys = read_keys(
        keys, _tuning, ascending=ascending, na_position=na_position, nan_position=nan_position
    )
    return len(columns[0]) < 2 or first_disorder_of(columns, sort_keys, _tuning) < 0


def rank(
    keys: Any,
    *,
    method: str = "min",
    ascending: bool | Sequence[bool] = True,
    na_position: str | Sequence[str] = "last",
    nan_position: str | Sequence[str | None] | None = None,
    threads: int | None = None,
    _tuning: OrderTuning = TUNING.order,
) -> npt.NDArray[np.int64]:
    """Return where each row stands in the sorted order, from 0.

    Parameters
    ----------
    keys, ascending, na_position, nan_position, threads
        As for :func:`argsort`. Nulls are ranked too: they are equal to each other.
    method : {"min", "dense", "first"}
        ``min``: how many rows have a smaller key, which is what
        ``numpy.searchsorted`` finds in the sorted values. ``dense``: how many different
        keys are smaller. ``first``: the row's own place in the stable order.

    Returns
    -------
    (n,) int64
        Add 1 for the RANK, DENSE_RANK and ROW_NUMBER of SQL.

    Raises
    ------
    KeyTypeError, BadOptionError
        As :func:`argsort`.

    Notes
    -----
    Expected time O(n); memory 24 bytes a row beside the result.

    Examples
    --------
    >>> rank([30, 10, 30, 20]), rank([30, 10, 30, 20], method="dense")
    (array([2, 0, 2, 1]), array([2, 0, 2, 1]))
    >>> rank(["b", "a", "b", "b"], method="first")
    array([1, 0, 2, 3])
    """
    method = METHOD.read(method)
    columns, sort_keys = read_keys(
        keys, _tuning, ascending=ascending, na_position=na_position, nan_position=nan_position
    )
    order, (starts, ends), *_ = order_columns(
        columns,
        sort_keys,
        _tuning,
        runs=method != "first",
        threads=check_threads(threads),
    )
    n = len(order)
    if method == "first":
        place = np.arange(n, dtype=np.int64)
    elif method == "dense":
        place = np.cumsum(begins_key(n, starts, ends)) - 1
    else:
        # A row of a run has the place of the run's first one.
        place = np.where(begins_key(n, starts, ends), np.arange(n), 0)
        np.maximum.accumulate(place, out=place)
    ranks = np.empty(n, np.int64)
    ranks[order] = place
    return ranks
