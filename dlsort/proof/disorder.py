"""Where rows are out of order: the proof that a sort sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.keys import SortKey
from dlsort.order.lead import fit_lead
from dlsort.order.ranks import normal_keys
from dlsort.order.words import BytesColumn, Column, FixedColumn, Words
from dlsort.tuning import OrderTuning
from dlsort_kernels import compare_bytes, compare_words, first_descent

__all__ = ["Disorder", "Place", "first_disorder", "first_disorder_of"]

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """Where a row stands, and its key.

    Parameters
    ----------
    file : str
        Path of the file.
    row_group, row : int
        Row group in the file, and row in the row group; both counted from 0,
        as :meth:`pyarrow.parquet.ParquetFile.read_row_group` counts.
    key : str
        The row's key for people, as in ``day=1996-03-13, id=7``.
    """

    file: str
    row_group: int
    row: int
    key: str

    def __str__(self) -> str:
        """Return file, row group and row."""
        return f"{self.file}, row group {self.row_group}, row {self.row}"


@dataclass(frozen=True)
class Disorder:
    """The first row that sorts before the row above it, and that row.

    ``has_nan`` tells whether one of the two keys holds NaN.
    """

    row: Place
    above: Place
    has_nan: bool = False

    def __str__(self) -> str:
        """Return the sentence that names both rows."""
        row, above = self.row, self.above
        where = f"row {above.row}"
        if above.row_group != row.row_group:
            where = f"row group {above.row_group}, {where}"
        if above.file != row.file:
            where = f"{above.file}, row group {above.row_group}, row {above.row}"
        return (
            f"not in order: {row} ({row.key}) sorts before the row above it, "
            f"{where} ({above.key}). Row groups and rows are counted from 0."
        )


def first_disorder(table: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning) -> int:
    """Return the first row that sorts after the row below it, or −1 if there is none.

    Parameters
    ----------
    table : pyarrow.Table
        Exactly the key columns, in key order.
    keys : sequence of SortKey
        Direction and null place of each.
    tuning : OrderTuning
        As for a sort.

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
    return first_disorder_of(normal_keys(table, keys, tuning).columns(), keys, tuning)


def first_disorder_of(
    columns: Sequence[Column], keys: Sequence[SortKey], tuning: OrderTuning
) -> int:
    """Return what :func:`first_disorder` does, of two rows or more as key columns."""
    lead, complete = _lead(columns, keys, tuning)
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


def _lead(
    columns: Sequence[Column], keys: Sequence[SortKey], tuning: OrderTuning
) -> tuple[Words, int]:
    """Return the lead of the rows by their own range, and how many columns it holds whole."""
    column = columns[0]
    alone = column if len(columns) == 1 and isinstance(column, FixedColumn) else None
    if alone is not None and alone.is_word and alone.null is None:
        return (~alone.first if keys[0].descending else alone.first), 1
    code = fit_lead(columns, keys, tuning)
    return code.lead(columns), code.complete
