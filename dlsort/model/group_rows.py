"""Exact answers of a dataset: the row groups that a key may lie in are read, and no others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol, TypeVar

import pyarrow as pa

from dlsort.arrow.made import array_of, empty_table
from dlsort.arrow.paths import top_columns_of
from dlsort.arrow.transport import concat_rows
from dlsort.io.source import Source
from dlsort.keys import SortKey
from dlsort.model.count_rows import count_before, plain_keys, rows_between
from dlsort.model.known_ranks import is_before, may_be_before
from dlsort.order.argsort import argsort
from dlsort.tuning import TUNING
from dlsort_cluster.machine import machine_cores

__all__ = ["ExactRows", "GroupRows", "pick_row"]

T = TypeVar("T")
Found = tuple[int, pa.Table]


class ExactRows(Protocol):
    """Where exact answers come from."""

    def rank(self, key: pa.Table, code: bytes, known: tuple[int, int], *, right: bool) -> int:
        """Return how many rows stand before a key, known to lie between two ranks."""

    def key_at(self, row: int, low: pa.Table | None, high: pa.Table | None) -> pa.Table:
        """Return the key of a row of the sorted order, known to lie between two keys."""


def pick_row(found: Sequence[Found], row: int, keys: Sequence[SortKey]) -> pa.Table:
    """Return the key of a row of the sorted order, from what :func:`rows_between` gave."""
    row -= sum(n for n, _ in found)
    table = concat_rows([rows for _, rows in found])
    order = argsort(table, keys, TUNING.order, threads=machine_cores())
    return table.take(array_of(order[row : row + 1]))


@dataclass(frozen=True)
class GroupRows:
    """The row groups of a dataset, of which few are read.

    Parameters
    ----------
    source : Source
        The dataset.
    keys : tuple of SortKey
        The key.
    kinds : pyarrow.Schema
        The key columns' types.
    spans : dict of int to (bytes, bytes), or None
        First and last key of row groups, or what these begin with, where they are known; those
        of others may be any. None: the dataset is sorted by the key.
    """

    source: Source
    keys: tuple[SortKey, ...]
    kinds: pa.Schema
    spans: Mapping[int, tuple[bytes, bytes]] | None

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((g.n_rows for g in self.source.row_groups), initial=0))

    def rank(self, key: pa.Table, code: bytes, known: tuple[int, int], *, right: bool) -> int:
        """Return how many rows stand before a key, known to lie between two ranks."""
        if known[0] == known[1]:
            return known[0]
        n_before, groups = self._met(code, known, right=right)
        found = self._each(groups, lambda t: count_before(t, key, self.keys, TUNING.order))
        return n_before + sum(both[right] for both in found)

    def _met(
        self, code: bytes, known: tuple[int, int], *, right: bool
    ) -> tuple[int, Sequence[int]]:
        """Return how many rows are in row groups before a key, and those it may lie in."""
        if self.spans is None:
            low, high = known
            groups = range(self._at(low), self._at(high - 1) + 1)
            return self._starts[groups[0]], groups
        n_before, met = 0, []
        for g, group in enumerate(self.source.row_groups):
            first, last = self.spans.get(g, (b"", b""))
            if g in self.spans and is_before(last, code, right=right):
                n_before += group.n_rows
            elif may_be_before(first, code, right=right):
                met.append(g)
        return n_before, met

    def _at(self, row: int) -> int:
        """Return the row group that a row is in."""
        return bisect_right(self._starts, row) - 1

    def key_at(self, row: int, low: pa.Table | None, high: pa.Table | None) -> pa.Table:
        """Return the key of a row of the sorted order, known to lie between two keys."""
        if self.spans is None:
            group = self._at(row)
            (key,) = self._each([group], lambda t: t.slice(row - self._starts[group], 1))
            return key
        # Row groups that lie apart from the two are read too: once, and little of them is kept.
        every = range(len(self.source.row_groups))
        cut = self._each(every, lambda t: rows_between(t, low, high, self.keys, TUNING.order))
        return pick_row(cut or [(0, empty_table(self.kinds))], row, self.keys)

    def _each(self, groups: Sequence[int], look: Callable[[pa.Table], T]) -> list[T]:
        """Return what is found in each of some row groups' keys."""
        columns = top_columns_of(self.source.schema, self.keys)

        def read(g: int) -> T:
            table = self.source.read(self.source.piece(g, g + 1), columns)
            return look(plain_keys(table, self.keys, self.kinds))

        if len(groups) < 2:
            return [read(g) for g in groups]
        with ThreadPoolExecutor(machine_cores(), thread_name_prefix="dlsort-stats") as pool:
            return list(pool.map(read, groups))
