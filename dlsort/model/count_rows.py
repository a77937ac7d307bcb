"""How many rows stand before a key, exactly: a model with that key as its splitters.

A row's partition is what a binary search over the splitters gives. So with the key twice, as it
stands before and behind all rows that tie with it, three partitions have the rows before it,
those that tie, and those behind, for every type and place of nulls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes
from dlsort.arrow.made import array_of
from dlsort.arrow.transport import concat_rows
from dlsort.keys import SortKey
from dlsort.model.model import model_at
from dlsort.model.partition import find_bands
from dlsort.order.words import key_table
from dlsort.tuning import OrderTuning

__all__ = ["count_before", "plain_keys", "rows_between"]

_BEHIND = 2**62  # further than any input partition


def plain_keys(table: pa.Table, keys: Sequence[SortKey], kinds: pa.Schema) -> pa.Table:
    """Return the key columns of a table in given types, without dictionaries."""
    found = key_table(table, tuple(keys))
    columns = []
    for column, field in zip(found.columns, kinds, strict=True):
        kind = column.type
        plain = column
        if isinstance(kind, pa.BaseExtensionType):
            chunks = [chunk.storage for chunk in column.chunks]
            plain = pa.chunked_array(chunks, kind.storage_type)
        if pt.is_dictionary(plain.type):
            plain = plain.cast(plain.type.value_type)
        is_same = plain.type == field.type or (is_bytes(plain.type) and is_bytes(field.type))
        columns.append(plain if is_same else plain.cast(field.type))
    names = [key.column for key in keys]
    return pa.Table.from_arrays(columns, names=names)


def count_before(
    table: pa.Table, key: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning
) -> tuple[int, int]:
    """Return how many rows of a table stand before a key, and how many of them or tie with it.

    Parameters
    ----------
    table : pyarrow.Table
        (n) rows: the key columns, in order and of the types of ``key``.
    key : pyarrow.Table
        One row: all of the key columns, or the first.
    keys : sequence of SortKey
        The key.
    tuning : OrderTuning
        As for a sort.

    Notes
    -----
    Expected time O(n).
    """
    side = _sides(table, key, keys, tuning)
    left, tied, _ = np.bincount(side, minlength=3)[:3].tolist()
    return left, left + tied


def _sides(
    table: pa.Table, key: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Return of each row whether it is before a key (0), ties with it (1) or is behind (2)."""
    n_columns = key.num_columns
    splitters = concat_rows([key, key])
    part = np.array([-1, _BEHIND])
    row = np.zeros(2, np.int64)
    model = model_at(splitters, part, row, keys[:n_columns], 3, tuning)
    return find_bands(table.select(range(n_columns)), model, 0)


def rows_between(
    table: pa.Table,
    low: pa.Table | None,
    high: pa.Table | None,
    keys: Sequence[SortKey],
    tuning: OrderTuning,
) -> tuple[int, pa.Table]:
    """Return how many rows stand before ``low``, and the keys from there up to ``high``.

    None: there is no such bound.
    """
    wanted = np.ones(table.num_rows, np.bool_)
    n_before = 0
    if low is not None:
        is_before = _sides(table, low, keys, tuning) == 0
        n_before = int(is_before.sum())
        wanted &= ~is_before
    if high is not None:
        wanted &= _sides(table, high, keys, tuning) < 2
    return n_before, table.take(array_of(np.flatnonzero(wanted)))
