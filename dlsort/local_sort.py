"""Local sort: the shards of one output partition, joined and put in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dlsort.buffers import concat_rows
from dlsort.keys import SortKey
from dlsort.order import argsort
from dlsort.take import take_table
from dlsort.words import key_table

__all__ = ["sort_rows", "sort_shards"]


def sort_shards(shards: Sequence[pa.Table], keys: tuple[SortKey, ...]) -> pa.Table:
    """Return the stable sort of shards that follow one another in input order.

    Parameters
    ----------
    shards : sequence of pyarrow.Table
        At least one; in (input partition, row) order.
    keys : tuple of SortKey
        The key.

    Returns
    -------
    pyarrow.Table
        All rows, each column one chunk.

    Notes
    -----
    Expected time O(n); see :func:`dlsort.order.argsort`.
    """
    return sort_rows(concat_rows(shards), keys)


def sort_rows(table: pa.Table, keys: tuple[SortKey, ...]) -> pa.Table:
    """Return the stable sort of a table; the table itself if it is in order already."""
    order = argsort(key_table(table, keys), keys)
    if np.array_equal(order, np.arange(len(order), dtype=np.uint32)):
        return table
    return take_table(table, order)
