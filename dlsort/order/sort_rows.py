"""Local sort: rows in one process, put in order, or the first of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import Picked, take_table
from dlsort.arrow.transport import concat_rows
from dlsort.keys import SortKey
from dlsort.order.argsort import first_rows, order_columns
from dlsort.order.bands import join_bands, without_starts
from dlsort.order.ranks import normal_keys
from dlsort.order.shard_order import order_shards
from dlsort.order.words import key_table
from dlsort.tuning import OrderTuning
from dlsort_kernels import pool, threads_for

__all__ = ["first_of", "sort_rows", "sort_shards"]

Starts = npt.NDArray[np.int64]


def sort_shards(
    shards: Sequence[pa.Table],
    starts: Sequence[Starts],
    keys: tuple[SortKey, ...],
    tuning: OrderTuning,
) -> pa.Table:
    """Return the stable sort of the shards of a partition, which follow one another in order.

    Parameters
    ----------
    shards : sequence of pyarrow.Table
        At least one; in (input partition, row) order.
    starts : sequence of (bands + 1,) int64
        Where each band begins in each shard (:func:`dlsort.order.bands.read_starts`).
    keys : tuple of SortKey
        The key.
    tuning : OrderTuning
        When another way is quicker; the rows do not depend on it.

    Returns
    -------
    pyarrow.Table
        All rows, each column one chunk.

    Notes
    -----
    Expected time O(n); see :func:`dlsort.order.argsort.argsort`.
    """
    starts = join_bands(starts, tuning)
    if len(starts[0]) == 2:
        table = concat_rows(shards)
        schema = without_starts(table.schema)
        return sort_rows(table.replace_schema_metadata(schema.metadata), keys, tuning)
    tables = [key_table(shard, keys) for shard in shards]
    order = order_shards(tables, keys, starts, tuning)
    return order.take_table(shards)


def sort_rows(
    table: pa.Table, keys: tuple[SortKey, ...], tuning: OrderTuning, *, threads: int = 1
) -> pa.Table:
    """Return the stable sort of a table; the table itself if it is in order already.

    Parameters
    ----------
    table : pyarrow.Table
        In transport types, each column one chunk (:func:`dlsort.arrow.transport.to_transport`).
    keys : tuple of SortKey
        The key.
    tuning : OrderTuning
        When another way is quicker; the rows do not depend on it.
    threads : int
        At most so many; the rows do not depend on it.
    """
    columns = normal_keys(key_table(table, keys), keys, tuning).columns()
    order = order_columns(columns, keys, tuning, runs=False, by_place=True, threads=threads)
    if order.spread is None and _in_place(order.rows):
        return table
    with pool(threads_for(table.num_rows, threads)) as workers:
        picked = Picked(
            order.rows,
            workers=workers,
            spread=order.spread,
            by_place=order.by_place,
            spread_bytes=tuning.spread_bytes,
        )
        return take_table(table, picked)


def _in_place(rows: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> bool:
    return np.array_equal(rows, np.arange(len(rows), dtype=np.uint32))


def first_of(
    table: pa.Table, keys: tuple[SortKey, ...], k: int, tuning: OrderTuning, *, threads: int
) -> pa.Table:
    """Return the first ``k`` rows of the stable sort of a table; as :func:`sort_rows`."""
    columns = normal_keys(key_table(table, keys), keys, tuning).columns()
    return take_table(table, first_rows(columns, keys, k, tuning, threads=threads))
