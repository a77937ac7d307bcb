"""The stable order of rows by their key, and where rows are out of order.

All of dlsort's sorting meets here: the lead decides most rows, words after it
are read only for rows that tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.buffers import combine
from dlsort.keys import SortKey
from dlsort.lead import fit_lead
from dlsort.word_source import ColumnWords, LeadWords
from dlsort.words import BytesColumn, Column, FixedColumn, Words, key_columns
from dlsort_kernels import (
    Spread,
    WordSource,
    batches,
    compare_bytes,
    compare_words,
    empty,
    encode_bytes,
    estimate_distinct,
    first_descent,
    gather_fixed,
    lowest_rows,
    pool,
    refine,
    refine_bytes,
    run_rows,
    sort_source,
)

__all__ = [
    "Order",
    "Runs",
    "argsort",
    "argsort_runs",
    "first_disorder",
    "first_disorder_of",
    "first_rows",
    "order_columns",
    "rank_dictionaries",
    "rank_values",
]

# Rows up to which NumPy's stable argsort is quicker, by the bytes of a value: one and two
# bytes it counts, in a pass each; of others it has sorted 4,000 when we have set up.
SMALL = {1: 1 << 16, 2: 1 << 19}
SMALL_WIDE = 1 << 12

# A string column of at least so many rows is sorted by the ranks of its values if it has up
# to this share of different ones: hashing costs about 30 ns a row, each further word of a
# string that ties as much.
RANKED_FROM = 1 << 16
RANKED_SHARE = 1 / 16

# Tied rows that are sorted by a further column at once.
REFINED_ROWS = 1 << 19

# Rows from which leads are made once, in memory of their own.
WHOLE_FROM = 1 << 16

# From this share of the rows on, the first of them are found by sorting all.
MOST_TOP = 0.25

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


def argsort(table: pa.Table, keys: Sequence[SortKey], *, threads: int = 1) -> Rows:
    """Return the stable order of the rows of a table of key columns.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order (:func:`dlsort.words.key_table`).
    keys : sequence of SortKey
        Direction and null place of each.
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
    columns = key_columns(rank_dictionaries(table))
    return order_columns(columns, keys, runs=False, threads=threads).rows


def argsort_runs(
    table: pa.Table, keys: Sequence[SortKey], *, threads: int = 1
) -> tuple[Rows, Runs]:
    """Return the stable order, and the runs of rows with equal keys in it.

    Returns
    -------
    order : (n,) uint32
    runs : tuple of (k,) int64
        Starts and ends, as positions in ``order``, of runs of two rows or more.
    """
    columns = key_columns(rank_dictionaries(table))
    order = order_columns(columns, keys, runs=True, threads=threads)
    return order.rows, order.runs


def order_columns(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
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
    runs : bool
        Whether the runs are wanted.
    wide : bool
        Row numbers as int64 rather than uint32.
    by_place : bool
        Places instead of row numbers will do, and save a gather.
    threads : int
        At most so many.
    """
    quick = _small(columns, keys) if wide and not runs else None
    if quick is not None:
        return Order(quick, NO_RUNS, None)
    columns = [_ranked(column, threads) for column in columns]
    source, complete = _source(columns, keys)
    done = complete == len(columns)
    if isinstance(source, LeadWords) and source.n >= WHOLE_FROM:
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
        starts, ends = _refine_column(order, (starts, ends), column, key, threads, keep=keep)
    rows = order
    if wide and order.dtype != np.int64:
        rows = empty(len(order), np.int64)
        rows[:] = order
    return Order(rows, (starts, ends), spread, by_place and done and spread is not None)


def _ranked(column: Column, threads: int) -> Column:
    """Return a column of few different strings as their ranks, any other as it is."""
    n = len(column)
    if not isinstance(column, BytesColumn) or n < RANKED_FROM:
        return column
    if estimate_distinct(column.offsets, column.data, column.null) > n * RANKED_SHARE:
        return column
    with pool(threads) as workers:
        most = max(1, int(n * RANKED_SHARE))
        found = encode_bytes(column.offsets, column.data, column.null, most, workers=workers)
        if found is None:
            return column
        values = column.take(np.concatenate(found.first_rows))
        of_value = _dense_ranks([BytesColumn(values.offsets, values.data, None)])
        ranks = empty(n, np.uint32)
        ends = np.cumsum([len(rows) for rows in found.first_rows]).tolist()
        starts = [0, *ends[:-1]]

        def look_up(bounds: tuple[int, int], first: int, last: int) -> None:
            if first < last:
                codes = found.codes[slice(*bounds)]
                ranks[slice(*bounds)] = gather_fixed(of_value[first:last], codes)

        workers.run(look_up, found.parts, starts, ends)
    return FixedColumn(ranks, column.null)


def _dense_ranks(columns: Sequence[Column]) -> npt.NDArray[np.uint32]:
    """Return how many different smaller keys each row has, (n,) uint32."""
    keys = [SortKey("v")] * len(columns)
    order, (starts, ends), *_ = order_columns(columns, keys, runs=True)
    new = np.ones(len(order), np.uint32)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        new[start + 1 : end] = 0
    ranks = np.empty(len(order), np.uint32)
    ranks[order] = np.cumsum(new, dtype=np.uint32)
    return ranks


def first_rows(
    columns: Sequence[Column], keys: Sequence[SortKey], k: int, *, threads: int = 1
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

    Returns
    -------
    (min(k, n),) uint32

    Notes
    -----
    Expected time O(n + k).
    """
    n = len(columns[0])
    if 0 < k <= n * MOST_TOP:
        source, _ = _source(columns, keys)
        rows = lowest_rows(source, k, nulls_first=keys[0].nulls_first)
        if rows is not None:
            some = [column.take(rows) for column in columns]
            order = order_columns(some, keys, runs=False, threads=threads).rows
            return rows[order[:k]]
    return order_columns(columns, keys, runs=False, threads=threads).rows[:k]


def _small(columns: Sequence[Column], keys: Sequence[SortKey]) -> Any | None:
    """Return the stable order of few numbers by NumPy's own sort, or None for others.

    It has no set-up, and counts narrow integers as well as we do up to some size.
    """
    column, key = columns[0], keys[0]
    if len(columns) > 1 or not isinstance(column, FixedColumn) or column.is_wide:
        return None
    values = column.values
    if column.mask is not None or column.missing is not None:
        return None
    if len(values) > SMALL.get(values.dtype.itemsize, SMALL_WIDE):
        return None
    if column.is_floating:
        if key.nulls_first:
            return None
        values = -values if key.descending else values
    elif key.descending:
        values = ~values
    return np.argsort(values, kind="stable")


def _source(columns: Sequence[Column], keys: Sequence[SortKey]) -> tuple[WordSource, int]:
    """Return the words to sort by first, and how many columns they hold whole."""
    column = columns[0]
    if len(columns) == 1 and isinstance(column, FixedColumn) and column.is_word:
        return ColumnWords(column, keys[0]), 1
    code = fit_lead(columns, keys)
    return LeadWords(columns, code), code.complete


def _lead(columns: Sequence[Column], keys: Sequence[SortKey]) -> tuple[Words, int]:
    """Return the lead of the rows by their own range, and how many columns it holds whole."""
    column = columns[0]
    alone = column if len(columns) == 1 and isinstance(column, FixedColumn) else None
    if alone is not None and alone.is_word and alone.null is None:
        return (~alone.first if keys[0].descending else alone.first), 1
    code = fit_lead(columns, keys)
    return code.lead(columns), code.complete


def _refine_column(
    order: Rows, runs: Runs, column: Column, key: SortKey, threads: int, *, keep: bool
) -> Runs:
    """Sort tied runs by one more column, in place; return what still ties, if kept.

    Some runs at a time: that bounds the memory, and is work for several threads.
    """
    some_runs = batches(runs[1] - runs[0], REFINED_ROWS)

    def refine_some(first: int, last: int) -> Runs:
        some = runs[0][first:last], runs[1][first:last]
        left = _refine_runs(order, some, column, key)
        return left if keep else NO_RUNS

    with pool(min(threads, len(some_runs))) as workers:
        found = workers.run(refine_some, *zip(*some_runs, strict=True))
    # In order, as the runs of each batch lie behind those of the one before.
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


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


def first_disorder(table: pa.Table, keys: Sequence[SortKey]) -> int:
    """Return the first row that sorts after the row below it, or −1 if there is none.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order.
    keys : sequence of SortKey
        Direction and null place of each.

    Returns
    -------
    int
        ``i`` such that row ``i + 1`` should come before row ``i``.

    Notes
    -----
    Time O(n) a word; later columns are read only for neighbours that tie.
    """
    if table.num_rows < 2:
        return -1
    return first_disorder_of(key_columns(rank_dictionaries(table)), keys)


def first_disorder_of(columns: Sequence[Column], keys: Sequence[SortKey]) -> int:
    """Return what :func:`first_disorder` does, of two rows or more as key columns."""
    lead, complete = _lead(columns, keys)
    bad, ties = first_descent(lead)
    for column, key in zip(columns[complete:], keys[complete:], strict=True):
        if not len(ties):
            break
        sign = _compare_neighbours(column, key, ties)
        after = ties[sign > 0]
        if len(after):
            bad = int(after[0])  # ties lie below an earlier find
        ties = ties[sign == 0]
        ties = ties[ties < bad] if bad >= 0 else ties
    return bad


def _compare_neighbours(column: Column, key: SortKey, rows: Positions) -> npt.NDArray[np.int8]:
    """Return the sign of row ``i`` against row ``i + 1`` for each given ``i``."""
    if isinstance(column, BytesColumn):
        sign = compare_bytes(column.offsets, column.data, rows, rows + 1)
    else:
        sign = np.zeros(len(rows), np.int8)
        for level in column.levels():
            np.copyto(sign, compare_words(level[rows], level[rows + 1]), where=sign == 0)
    if key.descending:
        sign = -sign
    if column.null is not None:
        left = column.null[rows].astype(np.int8)
        right = column.null[rows + 1].astype(np.int8)
        with_null = (left | right).astype(bool)
        sign[with_null] = ((right - left) if key.nulls_first else (left - right))[with_null]
    return sign


def rank_dictionaries(table: pa.Table) -> pa.Table:
    """Return the table with each dictionary column replaced by its values' ranks.

    Equal values of one dictionary get one rank. An ordered dictionary's own
    order is the order; otherwise values are ranked by value.
    """
    for i, field in enumerate(table.schema):
        if pt.is_dictionary(field.type):
            array = combine(table.column(i))
            ranks = rank_values(array.dictionary, ordered=field.type.ordered)
            table = table.set_column(i, field.name, look_up(ranks, array))
    return table


def rank_values(values: pa.Array, *, ordered: bool) -> pa.Array:
    """Return the rank of each value of a dictionary, (d,) uint32; null for a null."""
    columns = key_columns(pa.table({"v": values}))
    if ordered:
        ranks = np.arange(len(values), dtype=np.uint32)
    else:
        ranks = _dense_ranks(columns)
    return pa.array(ranks, mask=columns[0].null)  # NaN among the values counts as null


def look_up(ranks: pa.Array, array: pa.DictionaryArray) -> pa.Array:
    """Return ``ranks`` at a dictionary array's indices; null where either is null."""
    return ranks.take(array.indices)
