"""Key columns to words: unsigned 64-bit integers that sort as the key part does.

A :class:`Column` is one key column of one piece of rows. It has a *first word*
a row, by which most rows differ, and it can then *refine* runs of
rows that still tie. Two kinds cover every type:

- :class:`FixedColumn`: numbers, booleans, dates, times, decimals and the ranks
  of a dictionary. One word a row, or a few for wide decimals.
- :class:`BytesColumn`: strings and binary. Eight big-endian bytes after a
  prefix, then exact comparison. Structs, lists and maps are such strings too
  (:mod:`dlsort.order.nested`).

A null never has a value: a mask goes beside the words. NaN counts as null, unless the key
gives it a place of its own: then floats are words from the start, of which NaN has the
highest or the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_nested
from dlsort.arrow.paths import select_columns
from dlsort.arrow.transport import combine, to_transport
from dlsort.arrow.views import bytes_views, fixed_view, nulls
from dlsort.keys import SortKey
from dlsort.order.nested import encode_nested
from dlsort_kernels import (
    decimal_words,
    float_words,
    gather_bytes,
    gather_fixed,
    int_words,
    limb_words,
)

__all__ = [
    "BytesColumn",
    "Column",
    "FixedColumn",
    "NormalKeys",
    "key_table",
    "with_place_of_nan",
]

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass
class FixedColumn:
    """A key column of one or a few words a row.

    Parameters
    ----------
    values : (n,) integer, floating or bool; or (n, k) uint64
        Values as they lie in memory. Those of two dimensions are integers in
        two's complement, little-endian limbs.
    mask : (n,) bool or None
        Which rows are null.
    missing : int or None
        An integer that stands for null too: NumPy's not-a-time.
    """

    values: npt.NDArray[Any]
    mask: Mask | None = None
    missing: int | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    @property
    def is_wide(self) -> bool:
        """Whether values have several limbs."""
        return self.values.ndim == 2

    @property
    def is_floating(self) -> bool:
        """Whether values are floats."""
        return self.values.dtype.kind == "f"

    @property
    def is_word(self) -> bool:
        """Whether a word holds every value: of one limb, or none beyond a word's range."""
        return not self.is_wide or self.outside is None

    @property
    def is_plain_integer(self) -> bool:
        """Whether values are integers of one limb, and none is null."""
        return self.is_integer and self.mask is None and self.missing is None

    def slice(self, start: int, stop: int) -> FixedColumn:
        """Return some rows, not copied."""
        mask = None if self.mask is None else self.mask[start:stop]
        return FixedColumn(self.values[start:stop], mask, self.missing)

    def take(self, rows: npt.NDArray[np.uint32]) -> FixedColumn:
        """Return rows by number."""
        mask = None if self.mask is None else self.mask[rows]
        return FixedColumn(gather_fixed(self.values, rows), mask, self.missing)

    @cached_property
    def _words(self) -> tuple[Words, npt.NDArray[np.int8] | None, Mask | None]:
        if self.is_wide:
            words, outside = decimal_words(self.values)
            if self.mask is not None and outside is not None:
                outside[self.mask] = 0
            return words, outside, self.mask
        if self.is_floating:
            words, nan = float_words(self.values)
            null = nan if self.mask is None or nan is None else nan | self.mask
            return words, None, self.mask if null is None else null
        return int_words(self.values), None, self._null_integers

    @cached_property
    def _null_integers(self) -> Mask | None:
        if self.missing is None:
            return self.mask
        absent = self.values == self.missing
        if not absent.any():
            return self.mask
        return absent if self.mask is None else self.mask | absent

    @property
    def first(self) -> Words:
        """The word of each row, (n,) uint64; of a null row, anything."""
        return self._words[0]

    @property
    def outside(self) -> npt.NDArray[np.int8] | None:
        """−1 or +1 where a value is below or above what a word holds, (n,) int8, or None."""
        return self._words[1]

    @property
    def null(self) -> Mask | None:
        """Which rows are null or NaN, (n,) bool, or None if none is."""
        return self._null_integers if self.is_integer else self._words[2]

    @property
    def is_integer(self) -> bool:
        """Whether values are integers of one limb."""
        return not (self.is_wide or self.is_floating)

    def levels(self) -> list[Words]:
        """Return the words by which any two values differ, most significant first."""
        if self.outside is None:
            return [self.first]
        return list(limb_words(self.values))


@dataclass
class BytesColumn:
    """A key column of strings or binary values.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    data : uint8
        The bytes.
    null : (n,) bool or None
        Which rows are null.
    """

    offsets: npt.NDArray[Any]
    data: npt.NDArray[np.uint8]
    null: Mask | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    def slice(self, start: int, stop: int) -> BytesColumn:
        """Return some rows, not copied."""
        null = None if self.null is None else self.null[start:stop]
        return BytesColumn(self.offsets[start : stop + 1], self.data, null)

    def take(self, rows: npt.NDArray[np.uint32]) -> BytesColumn:
        """Return rows by number."""
        null = None if self.null is None else self.null[rows]
        return BytesColumn(*gather_bytes(self.offsets, self.data, rows), null)


Column = FixedColumn | BytesColumn


def key_table(table: pa.Table, keys: tuple[SortKey, ...]) -> pa.Table:
    """Return the key columns of a table, in key order, in transport types, each one chunk."""
    return to_transport(select_columns(table, keys))


@dataclass(frozen=True)
class NormalKeys:
    """Key columns in the normal form that is sorted: only of these are there words.

    Made by :func:`dlsort.order.ranks.normal_keys`, or by :func:`dlsort.model.codebook.coded`
    where numbers must agree between inputs.

    Parameters
    ----------
    table : pyarrow.Table
        Key columns only, in key order and transport types (:func:`key_table`); numbers stand
        for what was in dictionaries.
    keys : tuple of SortKey
        Direction and places of nulls and NaN of each.

    Raises
    ------
    TypeError
        If a column is a dictionary still.
    """

    table: pa.Table
    keys: tuple[SortKey, ...]

    def __post_init__(self) -> None:
        """Make sure that it is in normal form."""
        for field in self.table.schema:
            if pt.is_dictionary(field.type):
                msg = f"column {field.name!r} is a dictionary; expected ranks or codes for it."
                raise TypeError(msg)

    def columns(self) -> list[Column]:
        """Return each column as words."""
        columns = zip(self.table.columns, self.keys, strict=True)
        return [_column(combine(column), key) for column, key in columns]


def _column(array: pa.Array, key: SortKey) -> Column:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _column(array.storage, key)
    null = nulls(array)
    if pt.is_null(kind):
        return FixedColumn(np.zeros(len(array), np.uint8), null)
    if is_bytes(kind):
        return BytesColumn(*bytes_views(array), null)
    if is_nested(kind):
        return BytesColumn(*encode_nested(array, key), null)
    return with_place_of_nan(FixedColumn(fixed_view(array), null), key)


def with_place_of_nan(column: FixedColumn, key: SortKey) -> FixedColumn:
    """Return floats as their words, if NaN has a place of its own; others as they are."""
    if key.nan_first is None or not column.is_floating:
        return column
    words, nan = float_words(column.values)  # that of NaN is the highest
    if nan is not None and key.nan_first != key.descending:
        words[nan] = 0
    return FixedColumn(words, column.mask)
