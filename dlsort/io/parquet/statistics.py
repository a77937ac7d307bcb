"""Statistics: minima and maxima in footers, which are read here alone.

They are taken raw, as integers or bytes: a date may be one that Python has no date for. Of some
types raw values don't compare as the values do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text, is_wide
from dlsort.arrow.transport import combine
from dlsort.arrow.views import fixed_view, nulls
from dlsort.io.parquet.stored_schema import FIXED
from dlsort.io.source import Range
from dlsort.keys import SortKey

__all__ = ["compare_raw", "range_of", "rank_raw", "raw_factor", "raw_values"]

_ORDERED_STORAGE = {"INT32", "INT64", "BYTE_ARRAY"}


def range_of(chunk: pq.ColumnChunkMetaData) -> Range | None:
    """Return what a footer tells of a column chunk's values; None if nothing.

    Writers may cut the minima and maxima of long values of a fixed width: nobody asks for them.
    """
    if chunk.physical_type == FIXED:
        return None
    statistics = chunk.statistics
    if statistics is None:
        return None
    n_nulls = statistics.null_count if statistics.has_null_count else None
    if not statistics.has_min_max:
        return Range(None, None, n_nulls)
    return Range(statistics.min_raw, statistics.max_raw, n_nulls)


def compare_raw(kind: pa.DataType, stored: Collection[str]) -> bool:
    """Return whether raw minima and maxima compare as a type's values do.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.
    stored : collection of str
        Parquet's types that it is stored as, such as ``INT64``.
    """
    times = pt.is_date(kind) or pt.is_timestamp(kind) or pt.is_time(kind)
    numbers = pt.is_signed_integer(kind) or pt.is_decimal(kind) or pt.is_duration(kind)
    if not (is_text(kind) or is_binary(kind) or times or numbers):
        return False
    # Other decimals are stored as bytes, which don't compare as their values do.
    ordered = {"INT32", "INT64"} if pt.is_decimal(kind) else _ORDERED_STORAGE
    return ordered.issuperset(stored)


def raw_factor(stored: pa.DataType, kind: pa.DataType) -> int | None:
    """Return how many times as large raw values of one type are as another; None if neither.

    Examples
    --------
    >>> raw_factor(pa.timestamp("ms"), pa.timestamp("us")), raw_factor(pa.int8(), pa.int64())
    (1000, 1)
    """
    if pt.is_dictionary(stored):
        stored = stored.value_type
    if pt.is_dictionary(kind):
        kind = kind.value_type
    if stored == kind or (pt.is_signed_integer(stored) and pt.is_signed_integer(kind)):
        return 1
    if (is_text(stored) and is_text(kind)) or (is_binary(stored) and is_binary(kind)):
        return 1
    if pt.is_decimal(kind) and (pt.is_decimal(stored) or pt.is_signed_integer(stored)):
        more = kind.scale - getattr(stored, "scale", 0)
        return 10**more if more >= 0 else None
    is_one = (pt.is_timestamp, pt.is_time, pt.is_duration)
    if any(is_kind(stored) and is_kind(kind) for is_kind in is_one):
        # Seconds are not stored as such.
        units = {"ms": 10**6, "us": 10**3, "ns": 1}
        mine, other = units.get(stored.unit), units.get(kind.unit)
        return mine // other if mine and other and mine >= other else None
    return None


def raw_values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values as footers have them, None where null.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Read from a column that has ranges: text may be a dictionary or not.
    """
    array = combine(column)
    if pt.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pt.is_decimal(array.type):
        scale = array.type.scale
        return [None if v is None else int(v.scaleb(scale)) for v in array.to_pylist()]
    if not pt.is_primitive(array.type):
        found: list[Any] = array.cast(
            pa.large_binary() if is_wide(array.type) else pa.binary()
        ).to_pylist()
        return found
    null = nulls(array)
    values = fixed_view(array).tolist()
    return (
        values
        if null is None
        else [None if n else v for v, n in zip(values, null, strict=True)]
    )


def rank_raw(values: Iterable[Any], key: SortKey) -> npt.NDArray[np.int64]:
    """Return the rank of each raw value in the order of a key column, None as null.

    Examples
    --------
    >>> rank_raw([5, None, 3, 5], SortKey("x", descending=True))
    array([0, 2, 1, 0])
    """
    listed = list(values)
    distinct = sorted({value for value in listed if value is not None}, reverse=key.descending)
    rank = {value: place for place, value in enumerate(distinct)}
    rank[None] = -1 if key.nulls_first else len(distinct)
    return np.array([rank[value] for value in listed], np.int64)
