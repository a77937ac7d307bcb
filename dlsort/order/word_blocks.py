"""The words of key columns, made block by block as a sort asks for them.

A column of 64-bit integers is sorted where it lies. Whatever else becomes words does so
some thousand rows at a time, in the cache, so that a sort needs no second copy of its keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dlsort.keys import SortKey
from dlsort.order.lead import LeadCode
from dlsort.order.words import Column, FixedColumn, Mask, Words
from dlsort.tuning import OrderTuning
from dlsort_kernels import (
    ArrayWords,
    WordSource,
    chunks,
    empty,
    float_words_into,
    gather_fixed,
    pool,
)

__all__ = ["ColumnWords", "LeadWords"]

Rows = npt.NDArray[np.uint32]

ONES = np.uint64(2**64 - 1)
SIGN = np.uint64(2**63)
U0 = np.uint64(0)


class ColumnWords:
    """The words of one fixed-width column; its nulls have none.

    Parameters
    ----------
    column : FixedColumn
        Of one limb, or with every value inside a word's range.
    key : SortKey
        Its direction.
    tuning : OrderTuning
        How many rows' words are made at once.
    """

    def __init__(self, column: FixedColumn, key: SortKey, tuning: OrderTuning) -> None:
        turn = ONES if key.descending else U0
        values = column.values
        self._column = column
        # Integers of 64 bits are sorted where they lie.
        self._in_place = values.ndim == 1 and values.dtype in (np.int64, np.uint64)
        self.n = len(column)
        # A signed integer is a word but for its sign; of other widths, once widened.
        self.flip = turn ^ SIGN if values.dtype.kind == "i" else turn
        self.floats = column.is_floating
        self.turn = turn
        narrow = values.ndim == 1 and not self.floats
        self.bits = 8 * values.dtype.itemsize if narrow else 64
        signed = narrow and values.dtype.kind == "i"
        self.row_bytes = _row_bytes(column)
        self.low_flip = turn ^ np.uint64(1 << self.bits - 1) if signed else turn
        self.block_rows = max(self.n, 1) if self._in_place else tuning.block_rows

    def block(self, start: int, stop: int, scratch: Words) -> tuple[Words, Mask | None]:
        """Return the words of some rows, before ``flip``, and which rows have none."""
        block = self._column.slice(start, stop)
        values = block.values
        if block.is_wide:
            return block.first, block.null
        if self._in_place:
            words, null = values.view(np.uint64), block.mask
        elif self.floats:
            words, null = scratch[: len(block)], block.mask
            if float_words_into(_float64_bits(values, words), words):
                nan = words == ONES
                null = nan if null is None else null | nan
        else:
            words, null = scratch[: len(block)], block.mask
            words.view(np.int64)[:] = values  # its sign is flipped with the direction
        if block.missing is not None:
            absent = values == block.missing
            null = absent if null is None else null | absent
        return words, null if null is not None and null.any() else None

    def take(self, rows: Rows) -> Words:
        """Return the words of rows by number."""
        if self._in_place:
            return gather_fixed(self._column.values, rows).view(np.uint64) ^ self.flip
        return self._column.take(rows).first ^ self.turn


class LeadWords:
    """The leads of several columns, or of one that a word alone can't hold."""

    flip = U0
    floats = False
    turn = U0
    bits = 64
    low_flip = U0

    def __init__(self, columns: Sequence[Column], code: LeadCode, tuning: OrderTuning) -> None:
        self._columns = columns
        self._code = code
        self._tuning = tuning
        self.block_rows = tuning.block_rows
        self.n = len(columns[0])
        self.row_bytes = sum(map(_row_bytes, columns))

    def block(self, start: int, stop: int, scratch: Words) -> tuple[Words, Mask | None]:
        """Return the leads of some rows; every row has one."""
        columns = [each.slice(start, stop) for each in self._columns]
        return self._code.lead(columns, scratch[: stop - start]), None

    def take(self, rows: Rows) -> Words:
        """Return the leads of rows by number."""
        used = self._columns[: len(self._code.codes)]
        return self._code.lead([each.take(rows) for each in used])

    def whole(self, threads: int) -> WordSource:
        """Return all leads in memory, if they are many and that is little beside the columns.

        A sort asks for every block twice, and making it costs some ns a column and row.
        """
        if self.n < self._tuning.lead_rows or self.row_bytes < self._tuning.lead_row_bytes:
            return self
        words = empty(self.n, np.uint64)

        def fill(start: int, stop: int) -> None:
            for first in range(start, stop, self.block_rows):
                last = min(first + self.block_rows, stop)
                self.block(first, last, words[first:last])

        with pool(threads) as workers:
            workers.run(fill, *zip(*chunks(self.n, threads), strict=True))
        return ArrayWords(words)


def _float64_bits(values: npt.NDArray[np.floating], scratch: Words) -> Words:
    """Return the bits of floats as float64; of narrower ones in ``scratch``."""
    if values.dtype == np.float64:
        return values.view(np.uint64)
    with np.errstate(invalid="ignore"):  # a signalling NaN is no news
        scratch.view(np.float64)[:] = values
    return scratch


def _row_bytes(column: Column) -> float:
    """Return the bytes a row of a key column."""
    if isinstance(column, FixedColumn):
        return column.values.nbytes / max(len(column), 1)
    n_bytes = int(column.offsets[-1]) - int(column.offsets[0])
    return (n_bytes + column.offsets.nbytes) / max(len(column), 1)
