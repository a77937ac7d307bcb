"""The order of rows by the words of their key columns.

The first word decides most rows; further words and columns are read only for
rows that tie on those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.keys import SortKey
from dlsort.order.lead import fit_lead
from dlsort.order.word_blocks import ColumnWords, LeadWords
from dlsort.order.words import BytesColumn, Column, FixedColumn, Words
from dlsort.tuning import OrderTuning
from dlsort_kernels import (
    Spread,
    WordSource,
    batches,
    empty,
    pool,
    refine,
    refine_bytes,
    run_rows,
    sort_source,
    threads_for,
)

__all__ = ["Order", "Runs", "first_words", "order_by_words"]

Rows = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
Runs = tuple[Positions, Positions]
NO_RUNS: Runs = (np.empty(0, np.int64), np.empty(0, np.int64))


class Order(NamedTuple):
    """The stable order of rows.

    Parameters
    ----------
    rows : (n,) uint32 or int64
        Row numbers in sorted order.
    runs : tuple of (k,) int64
        Starts and ends, as positions in ``rows``, of runs of equal keys, if wanted.
    spread : Spread or None
        How the sort brought rows to groups of the order, if it did.
    by_place : bool
        ``rows`` are places in ``spread`` instead.
    """

    rows: Any
    runs: Runs
    spread: Spread | None
    by_place: bool = False


def order_by_words(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
    tuning: OrderTuning,
    *,
    runs: bool,
    wide: bool = False,
    by_place: bool = False,
    threads: int = 1,
) -> Order:
    """Return the stable order of rows by the words of their key columns, as they are.

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
    quick = _small(columns, keys, tuning, runs=runs, wide=wide)
    if quick is not None:
        rows, tied = quick
        return Order(rows if wide else rows.astype(np.uint32), tied, None)
    source, complete = first_words(columns, keys, tuning, threads)
    done = complete == len(columns)
    if isinstance(source, LeadWords):
        source = source.whole(threads)
    order: Any
    order, tied, spread = sort_source(
        source,
        runs=runs or not done,
        wide=wide and done,
        nulls_first=keys[0].nulls_first,
        by_place=by_place and done,
        threads=threads,
    )
    del source  # its words may be in memory, and are done with
    starts, ends = tied
    rest = list(zip(columns[complete:], keys[complete:], strict=True))
    for i, (column, key) in enumerate(rest):
        if not len(starts):
            break
        keep = runs or i + 1 < len(rest)
        starts, ends = _refine_column(
            order, (starts, ends), column, key, tuning.refined_rows, threads, keep=keep
        )
    rows = order
    if wide and order.dtype != np.int64:
        rows = empty(len(order), np.int64)
        rows[:] = order
    return Order(rows, (starts, ends), spread, by_place and done and spread is not None)


def _small(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
    tuning: OrderTuning,
    *,
    runs: bool,
    wide: bool,
) -> tuple[Any, Runs] | None:
    """Return the stable order of few numbers by NumPy's own sort, or None for others.

    It has no set-up, and counts narrow integers as well as we do up to some size.
    """
    column, key = columns[0], keys[0]
    if len(columns) > 1 or not isinstance(column, FixedColumn) or column.is_wide:
        return None
    values = column.values
    if column.mask is not None or column.missing is not None:
        return None
    few = {1: tuning.numpy_rows_of_1_byte, 2: tuning.numpy_rows_of_2_bytes} if wide else {}
    if len(values) > few.get(values.dtype.itemsize, tuning.numpy_rows):
        return None
    if column.is_floating:
        if key.nulls_first or runs:  # NaN is unlike itself
            return None
        values = -values if key.descending else values
    elif key.descending:
        values = ~values
    order = values.argsort(kind="stable")
    return order, _equal_in(values[order]) if runs else NO_RUNS


def _equal_in(values: npt.NDArray[Any]) -> Runs:
    """Return the runs of equal values, of two or more, among values in order."""
    begins = np.concatenate([[True], values[1:] != values[:-1], [True]])
    edges = np.flatnonzero(begins[: len(values) + 1])
    several = np.flatnonzero(np.diff(edges) > 1)
    return edges[several], edges[several + 1]


def first_words(
    columns: Sequence[Column], keys: Sequence[SortKey], tuning: OrderTuning, threads: int
) -> tuple[WordSource, int]:
    """Return the words to sort by first, and how many columns they hold whole."""
    column = columns[0]
    if len(columns) == 1 and isinstance(column, FixedColumn) and column.is_word:
        return ColumnWords(column, keys[0], tuning), 1
    with pool(threads_for(len(column), threads)) as workers:
        code = fit_lead(columns, keys, tuning, to_sort=True, workers=workers)
    return LeadWords(columns, code, tuning), code.complete


def _refine_column(
    order: Rows,
    runs: Runs,
    column: Column,
    key: SortKey,
    most_rows: int,
    threads: int,
    *,
    keep: bool,
) -> Runs:
    """Sort tied runs by one more column, in place; return what still ties, if kept.

    Some runs at a time: that bounds the memory, and is work for several threads.
    """
    some_runs = batches(runs[1] - runs[0], most_rows)

    def refine_some(first: int, last: int) -> Runs:
        some = runs[0][first:last], runs[1][first:last]
        left = _refine_runs(order, some, column, key)
        return left if keep else NO_RUNS

    with pool(min(threads, len(some_runs))) as workers:
        refined = workers.run(refine_some, *zip(*some_runs, strict=True))
    # In order, as the runs of each batch lie behind those of the one before.
    return np.concatenate([f[0] for f in refined]), np.concatenate([f[1] for f in refined])


def _refine_runs(order: Rows, runs: Runs, column: Column, key: SortKey) -> Runs:
    of_null = NO_RUNS
    if column.null is not None:
        flags = _null_flags(column.null[run_rows(order, *runs)], key)
        runs = refine(order, *runs, flags)
        first_null = column.null[order[runs[0]]]
        of_null = (runs[0][first_null], runs[1][first_null])
        runs = (runs[0][~first_null], runs[1][~first_null])
    if isinstance(column, BytesColumn):
        runs = refine_bytes(
            order, *runs, column.offsets, column.data, descending=key.descending
        )
    else:
        for level in column.levels():
            if not len(runs[0]):
                break
            words = level[run_rows(order, *runs)]
            runs = refine(order, *runs, ~words if key.descending else words)
    if not len(of_null[0]):
        return runs
    starts = np.concatenate([runs[0], of_null[0]])
    ends = np.concatenate([runs[1], of_null[1]])
    in_place = np.argsort(starts)
    return starts[in_place], ends[in_place]


def _null_flags(null: npt.NDArray[np.bool_], key: SortKey) -> Words:
    return (null ^ key.nulls_first).astype(np.uint64)
