"""Key columns to words: unsigned 64-bit integers that sort as the key part does.

A :class:`Column` is one key column of one piece of rows. It has a *first word*
a row, by which most rows are told apart, and it can go on to *refine* runs of
rows that still tie. Three kinds cover every type:

- :class:`FixedColumn`: numbers, booleans, dates, times, decimals and the ranks
  of a dictionary. One word a row, or a few for wide decimals.
- :class:`BytesColumn`: strings and binary. Eight big-endian bytes after a
  prefix, then exact comparison.

A null never has a value: a mask goes beside the words. NaN counts as null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.buffers import bytes_views, combine, fixed_view, nulls, to_transport
from dlsort.errors import KeyTypeError
from dlsort.keys import SortKey, check_columns
from dlsort_kernels import decimal_words, float_words, int_words, limb_words

__all__ = [
    "BytesColumn",
    "Column",
    "FixedColumn",
    "check_key_types",
    "key_columns",
    "key_table",
]

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass
class FixedColumn:
    """A key column of one or a few words a row.

    Parameters
    ----------
    first : (n,) uint64
        Word of each row; of a null row, anything.
    outside : (n,) int8 or None
        −1 or +1 where the value is below or above what a word can hold.
    null : (n,) bool or None
        Which rows are null or NaN.
    limbs : (n, k) uint64 or None
        The whole value of a wide decimal, little-endian limbs.
    """

    first: Words
    outside: npt.NDArray[np.int8] | None
    null: Mask | None
    limbs: npt.NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.first)

    @property
    def plain(self) -> bool:
        """Whether the first word says all there is about every row."""
        return self.null is None and self.outside is None

    def levels(self) -> list[Words]:
        """Return the words that tell any two values apart, most significant first."""
        if self.outside is None or self.limbs is None:
            return [self.first]
        return list(limb_words(self.limbs))


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


Column = FixedColumn | BytesColumn


def key_table(table: pa.Table, keys: tuple[SortKey, ...]) -> pa.Table:
    """Return the key columns of a table, in key order, ready for :func:`key_columns`."""
    return to_transport(table.select([key.column for key in keys]))


def key_columns(table: pa.Table) -> list[Column]:
    """Return each column of a table of key columns as words.

    Parameters
    ----------
    table : pyarrow.Table
        Key columns only, from :func:`key_table`, with dictionaries replaced by
        ranks (:func:`dlsort.order.rank_dictionaries`).

    Returns
    -------
    list of Column
    """
    return [_column(combine(column)) for column in table.columns]


def _column(array: pa.Array) -> Column:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _column(array.storage)
    null = nulls(array)
    if pt.is_null(kind):
        return FixedColumn(np.zeros(len(array), np.uint64), None, null)
    if is_bytes(kind):
        return BytesColumn(*bytes_views(array), null)
    values = fixed_view(array)
    if pt.is_floating(kind):
        words, nan = float_words(values)
        if nan is not None:
            null = nan if null is None else null | nan
        return FixedColumn(words, None, null)
    if values.ndim == 2:
        words, outside = decimal_words(values)
        if null is not None and outside is not None:
            outside[null] = 0
        return FixedColumn(words, outside, null, values)
    return FixedColumn(int_words(values), None, null)


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether values of a type compare as byte strings."""
    return (
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_fixed_size_binary(kind)
        or kind in (pa.string_view(), pa.binary_view())
    )


def _is_key_type(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _is_key_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return not pt.is_dictionary(kind.value_type) and _is_key_type(kind.value_type)
    return (
        pt.is_null(kind)
        or pt.is_boolean(kind)
        or pt.is_integer(kind)
        or pt.is_floating(kind)
        or pt.is_decimal(kind)
        or pt.is_date(kind)
        or pt.is_time(kind)
        or pt.is_timestamp(kind)
        or pt.is_duration(kind)
        or is_bytes(kind)
    )


def check_key_types(schema: pa.Schema, keys: tuple[SortKey, ...]) -> None:
    """Raise unless each key column is there and has a type that can be a key.

    Raises
    ------
    UnknownColumnError
        If a column is missing.
    KeyTypeError
        If a column is nested, an interval or of another type without order.
    """
    check_columns(keys, schema.names)
    for key in keys:
        kind = schema.field(key.column).type
        if not _is_key_type(kind):
            usable = [f.name for f in schema if _is_key_type(f.type)]
            msg = (
                f"cannot sort by {key.column!r}: its type is {kind}. Keys can be numbers, "
                "booleans, dates and times, decimals, strings, binary or dictionaries of these"
                f" (here: {', '.join(usable) or 'none'})."
            )
            raise KeyTypeError(msg)
