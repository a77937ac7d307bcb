"""Values as ranks: dictionaries, and strings of few kinds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import array_of
from dlsort.arrow.transport import combine
from dlsort.keys import SortKey
from dlsort.order.by_words import order_by_words
from dlsort.order.words import BytesColumn, Column, FixedColumn, NormalKeys
from dlsort.tuning import OrderTuning
from dlsort_kernels import empty, encode_bytes, estimate_distinct, gather_fixed, pool

__all__ = ["begins_key", "look_up", "normal_keys", "rank_strings", "rank_values"]


def normal_keys(table: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning) -> NormalKeys:
    """Return key columns with each dictionary replaced by its values' ranks.

    Equal values of one dictionary get one rank. An ordered dictionary's own
    order is the order; otherwise values are ranked by value.
    """
    for i, (field, key) in enumerate(zip(table.schema, keys, strict=True)):
        if pt.is_dictionary(field.type):
            array = combine(table.column(i))
            ranks = rank_values(array.dictionary, key, tuning, ordered=field.type.ordered)
            table = table.set_column(i, field.name, look_up(ranks, array))
    return NormalKeys(table, tuple(keys))


def rank_values(
    values: pa.Array, key: SortKey, tuning: OrderTuning, *, ordered: bool
) -> pa.Array:
    """Return the rank of each value of a dictionary, (d,) uint32; null for a null.

    NaN among the values counts as null, unless the key has a place for it.
    """
    columns = NormalKeys(pa.table({"v": values}), (key,)).columns()
    if ordered:
        ranks = np.arange(len(values), dtype=np.uint32)
    else:
        ranks = _dense_ranks(columns, tuning)
    return array_of(ranks, columns[0].null)


def look_up(ranks: pa.Array, array: pa.DictionaryArray) -> pa.Array:
    """Return ``ranks`` at a dictionary array's indices; null where either is null."""
    return ranks.take(array.indices)


def rank_strings(column: Column, tuning: OrderTuning, threads: int) -> Column:
    """Return a column of few different strings as their ranks, any other as it is."""
    n = len(column)
    if not isinstance(column, BytesColumn) or n < tuning.ranked_rows:
        return column
    if estimate_distinct(column.offsets, column.data, column.null) > n * tuning.ranked_share:
        return column
    with pool(threads) as workers:
        most = max(1, int(n * tuning.ranked_share))
        encoded = encode_bytes(column.offsets, column.data, column.null, most, workers=workers)
        if encoded is None:
            return column
        values = column.take(np.concatenate(encoded.first_rows))
        of_value = _dense_ranks([BytesColumn(values.offsets, values.data, None)], tuning)
        ranks = empty(n, np.uint32)
        ends = np.cumsum([len(rows) for rows in encoded.first_rows]).tolist()
        starts = [0, *ends[:-1]]

        def look_up(bounds: tuple[int, int], first: int, last: int) -> None:
            if first < last:
                codes = encoded.codes[slice(*bounds)]
                ranks[slice(*bounds)] = gather_fixed(of_value[first:last], codes)

        workers.run(look_up, encoded.parts, starts, ends)
    return FixedColumn(ranks, column.null)


def _dense_ranks(columns: Sequence[Column], tuning: OrderTuning) -> npt.NDArray[np.uint32]:
    """Return how many different smaller keys each row has, (n,) uint32."""
    keys = [SortKey("v")] * len(columns)  # ascending: who asks turns the ranks
    order, (starts, ends), *_ = order_by_words(columns, keys, tuning, runs=True)
    ranks = np.empty(len(order), np.uint32)
    ranks[order] = np.cumsum(begins_key(len(order), starts, ends), dtype=np.uint32) - 1
    return ranks


def begins_key(
    n: int, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return which places of an order hold the first row of its key, (n,) bool.

    Parameters
    ----------
    n : int
        Rows in the order.
    starts, ends : (k,) int64
        Its runs of equal keys, of two rows or more.

    Examples
    --------
    >>> begins_key(5, np.array([1]), np.array([4])).tolist()
    [True, True, False, False, True]
    """
    step = np.zeros(n + 1, np.int8)
    step[starts + 1] = 1
    step[ends] = -1
    return np.cumsum(step[:n], dtype=np.int8) == 0
