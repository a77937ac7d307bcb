"""Ranges: what the footers say about the first key column of each row group.

Minima and maxima are taken raw, as integers or bytes: a date may be one that Python
has no date for. Types whose raw values don't compare as the values do have no ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text, is_wide
from dlsort.arrow.transport import combine
from dlsort.arrow.views import fixed_view, nulls
from dlsort.io.source import Source, column_chunks
from dlsort.keys import SortKey

__all__ = ["Range", "rank_raw", "raw_values", "read_ranges"]

_ORDERED_STORAGE = ("INT32", "INT64", "BYTE_ARRAY")


class Range(NamedTuple):
    """A row group's raw minimum and maximum, None where all is null, and its nulls."""

    low: Any
    high: Any
    n_nulls: int


def read_ranges(source: Source, column: str) -> dict[int, Range] | None:
    """Return the range of each row group that has rows, by its number.

    None if the footers don't tell all of them.
    """
    kind = source.schema.field(column).type
    if not _has_ordered_statistics(kind):
        return None
    # Other decimals are stored as bytes, which don't compare as their values do.
    storage = ("INT32", "INT64") if pt.is_decimal(kind) else _ORDERED_STORAGE
    found: dict[int, Range] = {}
    for g, chunk in column_chunks(source, column):
        if source.row_groups[g].n_rows:
            told = _statistics(chunk, storage)
            if told is None:
                return None
            found[g] = told
    n_filled = sum(group.n_rows > 0 for group in source.row_groups)
    return found if len(found) == n_filled else None


def _has_ordered_statistics(kind: pa.DataType) -> bool:
    """Return whether raw minima and maxima of a type compare as its values do."""
    times = pt.is_date(kind) or pt.is_timestamp(kind) or pt.is_time(kind)
    numbers = pt.is_signed_integer(kind) or pt.is_decimal(kind) or pt.is_duration(kind)
    return bool(is_text(kind) or is_binary(kind) or times or numbers)


def _statistics(chunk: pq.ColumnChunkMetaData, storage: Sequence[str]) -> Range | None:
    statistics = chunk.statistics
    if statistics is None or not statistics.has_null_count:
        return None
    if chunk.physical_type not in storage:
        return None
    if statistics.null_count == chunk.num_values:
        return Range(None, None, statistics.null_count)
    if not statistics.has_min_max:
        return None
    return Range(statistics.min_raw, statistics.max_raw, statistics.null_count)


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
