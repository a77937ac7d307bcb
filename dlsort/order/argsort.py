"""The stable order of rows by their key: where all of dlsort's sorting meets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.keys import SortKey
from dlsort.order.by_words import Order, first_words, order_by_words
from dlsort.order.ranks import normal_keys, rank_strings
from dlsort.order.words import Column
from dlsort.tuning import OrderTuning
from dlsort_kernels import lowest_rows

__all__ = ["argsort", "first_rows", "order_columns"]

Rows = npt.NDArray[np.uint32]


def argsort(
    table: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning, *, threads: int = 1
) -> Rows:
    """Return the stable order of the rows of a table of key columns.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order (:func:`dlsort.order.words.key_table`).
    keys : sequence of SortKey
        Direction and null place of each.
    tuning : OrderTuning
        When another way is quicker.
    threads : int
        At most so many; the order does not depend on it.

    Returns
    -------
    (n,) uint32
        Row numbers in sorted order; rows with equal keys keep their order.

    Notes
    -----
    Expected time O(n) for one word a key; each further word is read for tied
    rows only.
    """
    columns = normal_keys(table, keys, tuning).columns()
    return order_columns(columns, keys, tuning, runs=False, threads=threads).rows


def order_columns(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
    tuning: OrderTuning,
    *,
    runs: bool,
    wide: bool = False,
    by_place: bool = False,
    threads: int = 1,
) -> Order:
    """Return the stable order of rows by their key columns, and the runs of equal keys.

    Parameters
    ----------
    columns : sequence of Column
        No dictionaries.
    keys : sequence of SortKey
        Direction and null place of each.
    tuning : OrderTuning
        When another way is quicker; the order does not depend on it.
    runs : bool
        Whether the runs are wanted.
    wide : bool
        Row numbers as int64 rather than uint32.
    by_place : bool
        Places instead of row numbers will do, and save a gather.
    threads : int
        At most so many.
    """
    ranked = [rank_strings(column, tuning, threads) for column in columns]
    return order_by_words(
        ranked, keys, tuning, runs=runs, wide=wide, by_place=by_place, threads=threads
    )


def first_rows(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
    k: int,
    tuning: OrderTuning,
    *,
    threads: int = 1,
) -> Rows:
    """Return the first ``k`` row numbers of the stable order of rows.

    Parameters
    ----------
    columns : sequence of Column
        No dictionaries.
    keys : sequence of SortKey
        Direction and null place of each.
    k : int
        At least 0.
    tuning : OrderTuning
        When another way is quicker; the rows do not depend on it.

    Returns
    -------
    (min(k, n),) uint32

    Notes
    -----
    Expected time O(n + k).
    """
    n = len(columns[0])
    if 0 < k <= n * tuning.top_share:
        source, _ = first_words(columns, keys, tuning, threads)
        rows = lowest_rows(source, k, nulls_first=keys[0].nulls_first)
        if rows is not None:
            some = [column.take(rows) for column in columns]
            order = order_columns(some, keys, tuning, runs=False, threads=threads).rows
            return rows[order[:k]]
    return order_columns(columns, keys, tuning, runs=False, threads=threads).rows[:k]
