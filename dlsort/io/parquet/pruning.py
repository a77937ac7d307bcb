"""Pruning: row groups of which footers, or folders, show that a predicate keeps no row.

What is told of a row group's columns is written as a condition that all of its rows meet, as in
``4 <= x and x <= 7``. Arrow simplifies the predicate by it: where nothing is left, no row is
kept. So any expression may be pruned by, and what Arrow makes nothing of is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from itertools import product
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.evaluate import plain_schema, plain_type
from dlsort.arrow.kinds import is_text
from dlsort.io.parquet.footers import Footer
from dlsort.io.parquet.source import ParquetSource, top_columns
from dlsort.io.parquet.statistics import compare_raw
from dlsort.io.source import Range

__all__ = ["may_be_kept"]

# Each may double the conditions of a row group.
_MOST_COLUMNS = 6
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}


def may_be_kept(source: ParquetSource, predicate: Any, columns: Sequence[str]) -> list[bool]:
    """Return which row groups of a source may have a row that a predicate keeps.

    Parameters
    ----------
    source : ParquetSource
        The dataset, its row groups whole.
    predicate : pyarrow.compute.Expression
        Of columns in plain types.
    columns : sequence of str
        Those that it needs.

    Notes
    -----
    Time O(row groups · columns). Minima and maxima of floats are not used: NaN is not in them.
    """
    n_groups = len(source.row_groups)
    told = [_conditions(source, name) for name in columns[:_MOST_COLUMNS]]
    if not any(told):
        return [True] * n_groups
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    numbers, guarantees = [], []
    for g in range(n_groups):
        for one in product(*(each[g] for each in told if g in each)):
            numbers.append(g)
            guarantees.append(reduce(and_, one) if one else ds.scalar(True))
    # Nothing is opened by these paths: they are the row groups' numbers.
    dataset = ds.FileSystemDataset.from_paths(
        [f"{g}/{i}" for i, g in enumerate(numbers)],
        schema=plain_schema(pa.schema([source.schema.field(name) for name in columns])),
        format=ds.ParquetFileFormat(),
        filesystem=LocalFileSystem(),
        partitions=guarantees,
    )
    fragments = dataset.get_fragments(filter=predicate)
    kept = {int(fragment.path.partition("/")[0]) for fragment in fragments}
    return [g in kept for g in range(n_groups)]


def _conditions(source: ParquetSource, column: str) -> Mapping[int, list[Any]]:
    """Return what is told of a column's values, by row group: each meets one of the conditions.

    Nulls have one of their own, by which Arrow simplifies more than by both in one.
    """
    kind = plain_type(source.schema.field(column).type)
    has_ends = _has_ends(source, column, kind)
    field = pc.field(column)
    found = {}
    for g, told in source.ranges(column).items():
        ends = _ends(told, kind) if has_ends else None
        if told.n_nulls == source.row_groups[g].n_rows:
            found[g] = [field.is_null()]
        elif ends is not None:
            within = (field >= ends[0]) & (field <= ends[1])
            found[g] = [within] if told.n_nulls == 0 else [within, field.is_null()]
        elif told.n_nulls == 0:
            found[g] = [field.is_valid()]
    return found


def _has_ends(source: ParquetSource, column: str, kind: pa.DataType) -> bool:
    """Return whether minima and maxima are values of a type, and compare as they do."""
    if pt.is_date64(kind) or pt.is_time(kind) or pt.is_duration(kind):
        return False  # stored in another unit, or hardly asked for
    stored = set()
    for footer in {id(footer.leaves): footer for footer in source.footers}.values():
        place = top_columns(footer).get(column)
        if place is not None:
            stored.add(footer.leaves[place].kind)
            if pt.is_timestamp(kind) and not _has_own_unit(footer, column, place):
                return False
    return compare_raw(kind, stored)


def _has_own_unit(footer: Footer, column: str, place: int) -> bool:
    """Return whether a file's timestamps have the unit that Arrow gives them."""
    try:
        told = json.loads(footer.metadata.schema.column(place).logical_type.to_json())
        unit = footer.schema.field(column).type.unit
    except (ValueError, AttributeError, KeyError):
        return False
    return bool(_UNITS.get(told.get("timeUnit")) == unit)


def _ends(told: Range, kind: pa.DataType) -> tuple[Any, Any] | None:
    if told.low is None or told.high is None:
        return None
    try:
        return _value(told.low, kind), _value(told.high, kind)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return None  # text may be cut inside of a character


def _value(raw: Any, kind: pa.DataType) -> pa.Scalar:
    if pt.is_decimal(kind):
        return pa.scalar(Decimal(raw).scaleb(-kind.scale), kind)
    if pt.is_date(kind):
        return pa.scalar(raw, pa.int32()).cast(kind)
    if pt.is_timestamp(kind):
        return pa.scalar(raw, pa.int64()).cast(kind)
    return pa.scalar(raw.decode() if is_text(kind) else raw, kind)
