"""Unique rows: one row of each key, the first or the last in the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.keys import SortKey
from dlsort.order.argsort import order_columns
from dlsort.order.ranks import begins_key, normal_keys
from dlsort.order.words import Column
from dlsort.tuning import OrderTuning

__all__ = ["KeyGroups", "group_keys", "starts_in_order"]

Rows = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]


class KeyGroups(NamedTuple):
    """Rows in stable order, and where each key begins among them.

    Attributes
    ----------
    order : (n,) uint32
        Row numbers in order.
    starts : (k,) int64
        Positions in ``order``.
    """

    order: Rows
    starts: Positions

    @property
    def ends(self) -> Positions:
        """Position of the last row of each key, (k,)."""
        return np.append(self.starts[1:], len(self.order))[: len(self.starts)] - 1

    def kept(self, keep: str) -> Rows:
        """Return the ``"first"`` or the ``"last"`` row of each key, (k,), keys in order."""
        return self.order[self.starts if keep == "first" else self.ends]


def group_keys(
    table: pa.Table, keys: Sequence[SortKey], n_columns: int, tuning: OrderTuning
) -> KeyGroups:
    """Return the stable order of rows by a key, and where its first columns change.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order (:func:`dlsort.order.words.key_table`).
    keys : sequence of SortKey
        Direction and null place of each.
    n_columns : int
        How many of them tell rows apart, at least 1.
    tuning : OrderTuning
        When another way is quicker; the rows do not depend on it.

    Notes
    -----
    Expected time O(n). Nulls are one key, and so is NaN, as the order has them.

    Examples
    --------
    >>> from dlsort.tuning import TUNING
    >>> table = pa.table({"id": [2, 1, 2, 1], "t": [5, 9, 4, 7]})
    >>> groups = group_keys(table, [SortKey("id"), SortKey("t")], 1, TUNING.order)
    >>> groups.kept("last").tolist()
    [1, 0]
    """
    columns = normal_keys(table, keys, tuning).columns()
    if n_columns == len(keys) or not table.num_rows:
        found = order_columns(columns, keys, tuning, runs=True)
        starts = np.flatnonzero(begins_key(table.num_rows, *found.runs))
        return KeyGroups(found.rows, starts)
    rows = order_columns(columns, keys, tuning, runs=False).rows
    some = [column.take(rows) for column in columns[:n_columns]]
    return KeyGroups(rows, _starts(some, keys[:n_columns], tuning))


def starts_in_order(table: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning) -> Positions:
    """Return where each key begins among rows that are in order.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order.
    keys, tuning
        As of :func:`group_keys`.
    """
    if not table.num_rows:
        return np.empty(0, np.int64)
    return _starts(normal_keys(table, keys, tuning).columns(), keys, tuning)


def _starts(
    columns: Sequence[Column], keys: Sequence[SortKey], tuning: OrderTuning
) -> Positions:
    runs = order_columns(columns, keys, tuning, runs=True).runs
    return np.flatnonzero(begins_key(len(columns[0]), *runs))
