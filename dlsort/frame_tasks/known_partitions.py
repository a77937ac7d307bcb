"""Known partitions: what the partitions of a frame tell of a key's ranks, in one pass.

A worker sorts its partition's keys and sends some of them, evenly spaced, as the footers of
sorted parts have them. An exact answer is another pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa
from dask.base import compute
from dask.delayed import delayed

from dlsort.arrow.made import array_of
from dlsort.errors import KeyTypeError, UnknownColumnError, shown
from dlsort.keys import SortKey
from dlsort.model.count_rows import count_before, plain_keys, rows_between
from dlsort.model.group_rows import pick_row
from dlsort.model.known_ranks import KnownKeys, KnownRanks
from dlsort.order.argsort import argsort
from dlsort.order.key_types import check_compared_by_value, check_key_types
from dlsort.order.words import key_table
from dlsort.publish.manifest import quantile_rows, value_type
from dlsort.tuning import TUNING

__all__ = ["FrameRows", "look_at_frame"]

Keys = tuple[SortKey, ...]


def key_columns(frame: pd.DataFrame, keys: Keys) -> pa.Table:
    """Return the key columns of a partition, in Arrow; NaN as null."""
    names = [key.column for key in keys]
    if any(name not in frame.columns for name in names):
        frame = frame.reset_index()
    try:
        return pa.Table.from_pandas(
            frame[names], preserve_index=False
        ).replace_schema_metadata()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        msg = f"a key column can't be compared: {lines[0].rstrip('.')}."
        raise KeyTypeError(msg) from error


def look_at(frame: pd.DataFrame, keys: Keys) -> tuple[int, pa.Table]:
    """Return the rows of a partition, and some of its keys in order."""
    table = key_columns(frame, keys)
    check_key_types(table.schema, keys)
    check_compared_by_value(table.schema, keys)
    table = key_table(table, keys)
    order = argsort(table, keys, TUNING.order)
    return table.num_rows, table.take(array_of(order[quantile_rows(table.num_rows)]))


def _look_in(frame: pd.DataFrame, keys: Keys, kinds: pa.Schema, look: Any) -> Any:
    return look(plain_keys(key_columns(frame, keys), keys, kinds))


def _count(table: pa.Table, key: pa.Table, keys: Keys) -> tuple[int, int]:
    return count_before(table, key, keys, TUNING.order)


def _between(
    table: pa.Table, low: pa.Table | None, high: pa.Table | None, keys: Keys
) -> tuple[int, pa.Table]:
    return rows_between(table, low, high, keys, TUNING.order)


@dataclass(frozen=True)
class FrameRows:
    """The partitions of a frame, all of which an exact answer passes over."""

    frame: Any
    keys: Keys
    kinds: pa.Schema

    def rank(self, key: pa.Table, code: bytes, known: tuple[int, int], *, right: bool) -> int:
        """Return how many rows stand before a key, known to lie between two ranks."""
        del code
        if known[0] == known[1]:
            return known[0]
        return sum(both[right] for both in self._each(partial(_count, key=key, keys=self.keys)))

    def key_at(self, row: int, low: pa.Table | None, high: pa.Table | None) -> pa.Table:
        """Return the key of a row of the sorted order, known to lie between two keys."""
        found = self._each(partial(_between, low=low, high=high, keys=self.keys))
        return pick_row(found, row, self.keys)

    def _each(self, look: Any) -> list[Any]:
        look_in = delayed(_look_in, pure=False)
        parts = self.frame.to_delayed()
        return list(compute(*(look_in(p, self.keys, self.kinds, look) for p in parts)))


def look_at_frame(frame: Any, keys: Keys) -> tuple[KnownRanks, FrameRows]:
    """Return what the partitions of a Dask frame tell of a key's ranks.

    Raises
    ------
    UnknownColumnError, KeyTypeError
        If the frame has no such column, or one that can't be compared.
    """
    names = [key.column for key in keys]
    columns = list(frame.columns)
    for name in names:
        if name not in (*columns, frame.index.name) or columns.count(name) > 1:
            msg = (
                f"there is no one column {shown(name)} in the frame; the columns are: "
                f"{', '.join(map(str, columns[:40]))}."
            )
            raise UnknownColumnError(msg)
    wanted = [name for name in names if name in columns]
    frame = frame[wanted]
    look = delayed(look_at, pure=False)
    looked = [look(part, keys) for part in frame.to_delayed()]
    told: Sequence[tuple[int, pa.Table]] = compute(*looked)
    whole = pa.concat_tables([keys_of for _, keys_of in told], promote_options="permissive")
    kinds = pa.schema([(f.name, value_type(f.type)) for f in whole.schema])
    table = plain_keys(whole, keys, kinds)
    runs = [(quantile_rows(n_rows), n_rows) for n_rows, _ in told]
    return KnownRanks.of_runs(KnownKeys.of(table, keys), runs), FrameRows(frame, keys, kinds)
