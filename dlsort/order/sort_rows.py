"""Local sort: rows in one process, put in order, or the first of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes
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

# Types that Arrow sorts as we do.
_ARROWS = (
    pt.is_integer,
    is_bytes,
    pt.is_boolean,
    pt.is_timestamp,
    pt.is_date,
    pt.is_time,
    pt.is_decimal128,
)


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
    if table.num_rows <= tuning.arrow_rows and (rows := _by_arrow(table, keys)) is not None:
        return table.take(rows)
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


def _by_arrow(table: pa.Table, keys: Sequence[SortKey]) -> pa.Array | None:
    """Return the stable order of few rows by Arrow's own sort, or None where it is another."""
    kinds = table.schema.types
    if not all(
        pt.is_primitive(kind) or is_bytes(kind) or pt.is_decimal(kind) for kind in kinds
    ):
        return None
    places = []
    for key in keys:
        place = table.schema.get_field_index(key.column)
        if place < 0 or table.column(place).null_count:
            return None
        if pt.is_floating(kinds[place]):  # NaN goes last
            if kinds[place].bit_width < 32 or key.nulls_first or key.nan_first is not None:
                return None
        elif not any(is_kind(kinds[place]) for is_kind in _ARROWS):
            return None
        places.append((place, "descending" if key.descending else "ascending"))
    return pc.sort_indices(table, sort_keys=places)


def _in_place(rows: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> bool:
    return np.array_equal(rows, np.arange(len(rows), dtype=np.uint32))


def first_of(
    table: pa.Table, keys: tuple[SortKey, ...], k: int, tuning: OrderTuning, *, threads: int
) -> pa.Table:
    """Return the first ``k`` rows of the stable sort of a table; as :func:`sort_rows`."""
    if table.num_rows <= tuning.arrow_rows and (rows := _by_arrow(table, keys)) is not None:
        return table.take(rows[:k])
    columns = normal_keys(key_table(table, keys), keys, tuning).columns()
    return take_table(table, first_rows(columns, keys, k, tuning, threads=threads))
