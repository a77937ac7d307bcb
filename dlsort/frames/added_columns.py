"""Columns that a frame gets to be sorted by: computed keys, and series that are not in it."""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from dask._collections import new_collection
from dask.base import is_dask_collection
from dask.dataframe.dask_expr import DataFrame, Index, Series
from dask.dataframe.dask_expr._expr import Blockwise, Elemwise, Projection
from dask.dataframe.dispatch import meta_nonempty

from dlsort.arrow.paths import field_of_series, fields_of_frame, find_path
from dlsort.errors import (
    BadKeyError,
    BadOptionError,
    KeyTypeError,
    UnknownColumnError,
    UnsupportedError,
    shown,
    type_of,
)
from dlsort.frames.arguments import position_of
from dlsort_cluster.frames.singleton import Singleton

__all__ = [
    "ADDED",
    "OF_SERIES",
    "WithColumn",
    "add_keys",
    "added_label",
    "as_series",
    "parse_other",
    "series_as_frame",
    "with_fields",
    "with_keys",
]

OF_SERIES = "__dlsort_series__"
ADDED = "__dlsort_key_{}__"


def series_as_frame(series: Series) -> tuple[DataFrame, Any]:
    """Return a series as a frame of one column, and the name it had."""
    if isinstance(series, Index):
        msg = "cannot sort an Index by itself; sort the frame with sort_index."
        raise BadOptionError(msg)
    name = series.name
    taken = name is None or name in series._meta.index.names
    return series.to_frame(OF_SERIES if taken else name), name


def with_keys(ddf: DataFrame, positions: Sequence[int], key: Any) -> DataFrame:
    """Return a frame with more columns at its end: the key columns, through a function."""
    if not callable(key):
        msg = f"key is {shown(key)}; expected a function of a key column."
        raise BadOptionError(msg)
    positions, as_objects = tuple(positions), False
    try:
        meta = add_keys(meta_nonempty(ddf._meta), positions, key)
    except BadKeyError:
        raise
    except Exception:
        # Made-up values are none that it knows. What it returns will show, as objects.
        as_objects = True
        meta = add_keys(ddf._meta.iloc[:0], positions, _same, as_objects=True)
    return ddf.map_partitions(
        add_keys, positions, key, as_objects=as_objects, meta=meta.iloc[:0]
    )


def _same(column: Any) -> Any:
    return column


def add_keys(
    frame: pd.DataFrame,
    positions: tuple[int, ...],
    key: Callable[[Any], Any],
    *,
    as_objects: bool = False,
) -> pd.DataFrame:
    """Return a partition with a column more for each key column, of objects if asked for.

    Raises
    ------
    BadKeyError
        If the function changes the number of rows.
    """
    found = frame.copy(deep=False)
    for i, position in enumerate(positions):
        old: Any = frame.iloc[:, position] if position >= 0 else frame.index
        if position < -1 or frame.index.nlevels > 1:
            old = frame.index.get_level_values(-1 - position) if position < 0 else old
        new = key(old)
        if np.ndim(new) != 1 or len(new) != len(frame):
            msg = (
                f"key gave {np.shape(new)} for a column of {len(frame):,} rows; "
                "User-provided `key` function must not change the shape of the array."
            )
            raise BadKeyError(msg)
        values: Any = new.array if isinstance(new, pd.Series | pd.Index) else np.asarray(new)
        if as_objects:
            values = np.asarray(values, dtype=object)
            values = pd.Series(values, index=frame.index, dtype=object)
        found.insert(len(found.columns), added_label(frame.columns, i), values)
    return found


def with_fields(ddf: DataFrame, by: Any) -> tuple[DataFrame, Any, int]:
    """Return a frame with a column more for each key that is a field of a struct.

    Beside it ``by`` with those columns' labels, and how many they are.
    """
    like = ddf._meta
    labels = list(by) if isinstance(by, list) else [by]
    paths = {}
    for i, label in enumerate(labels):
        is_path = isinstance(label, str) and "." in label
        if not is_path or label in like.columns or label in like.index.names:
            continue
        schema, named = fields_of_frame(like)
        with suppress(UnknownColumnError):  # told where labels are looked up
            first, *rest = find_path(schema, label)
            labels[i] = added_label(like.columns, i)
            paths[labels[i]] = named[first], rest
    if not paths:
        return ddf, by, 0
    meta = add_fields(like, paths)
    return ddf.map_partitions(add_fields, paths, meta=meta), labels, len(paths)


def add_fields(frame: pd.DataFrame, paths: Mapping[Any, tuple[int, list[int]]]) -> pd.DataFrame:
    """Return a partition with fields of structs as columns: label to position and path."""
    found = frame.copy(deep=False)
    for label, (position, path) in paths.items():
        values: Any = pd.arrays.ArrowExtensionArray(
            field_of_series(frame.iloc[:, position], path)
        )
        found.insert(len(found.columns), label, pd.Series(values, index=frame.index))
    return found


def added_label(columns: pd.Index[Any], i: int) -> Any:
    """Return the label of an added column."""
    label = ADDED.format(i)
    while label in columns.get_level_values(0):
        label = f"_{label}"
    return label if columns.nlevels == 1 else (label, *[""] * (columns.nlevels - 1))


def parse_other(ddf: DataFrame, other: Any) -> tuple[DataFrame, int, Any, int] | None:
    """Return a frame with the new index in a column, its position and name, and columns added.

    None if it is the index already.
    """
    if isinstance(other, list) and len(other) == 1:
        (other,) = other
    if isinstance(other, list | DataFrame):
        if isinstance(other, list) and any(isinstance(c, DataFrame | Series) for c in other):
            msg = "List[FrameBase] not supported by set_index: give one column."
            raise KeyTypeError(msg)
        found = list(other.columns) if isinstance(other, DataFrame) else other
        msg = (
            "Dask dataframe does not yet support multi-indexes, and one has no divisions; "
            f"other is {shown(found)}, expected one column."
        )
        raise UnsupportedError(msg)
    if isinstance(other, Series):
        if other._name == ddf.index._name:
            return None
        label = added_label(ddf._meta.columns, 0)
        n = len(ddf.columns)
        return _assigned(ddf, label, other), n, other.name, 1
    like = ddf._meta
    if not isinstance(other, Hashable) or is_dask_collection(other):
        msg = f"other is {type_of(other)}; expected a column's label or a Dask Series."
        raise BadKeyError(msg)
    if other is not None and other == like.index.name and other not in like.columns:
        return None
    return ddf, position_of(like, other, "other is"), other, 0


def _assigned(ddf: DataFrame, label: Any, series: Series) -> DataFrame:
    """Return a frame with a series as its last column."""
    if ddf.npartitions == series.npartitions and series._meta.ndim == 1:
        made: Any = WithColumn
        return new_collection(made(ddf.expr, label, series.expr))
    msg = (
        f"the series has other partitions ({series.npartitions}) than the frame "
        f"({ddf.npartitions}); expected a series of the frame's own."
    )
    raise BadKeyError(msg)


class AsSeries(Singleton, Elemwise):
    """The only column of a frame, as a series of some name."""

    _parameters = ["frame", "name_of_series"]

    @staticmethod
    def operation(frame: pd.DataFrame, name: Any) -> pd.Series[Any]:
        """Return the column."""
        return frame.iloc[:, 0].rename(name)


def as_series(frame: Any, name: Any) -> Series:
    """Return the only column of a frame, as a series of some name."""
    made: Any = AsSeries
    return new_collection(made(frame.expr, name))


class WithColumn(Singleton, Blockwise):
    """A frame with a series, row by row whatever its index, as its last column."""

    _parameters = ["frame", "label", "series"]
    _is_length_preserving = True

    def _divisions(self) -> Any:
        return self.frame.divisions

    @staticmethod
    def operation(frame: pd.DataFrame, label: Any, series: Any) -> pd.DataFrame:
        """Return a partition with the column."""
        found = frame.copy(deep=False)
        found.insert(len(found.columns), label, series.array)
        return found

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if not isinstance(parent, Projection) or not isinstance(parent.columns, list):
            return None
        kept = [c for c in self.frame.columns if c in parent.columns]
        if self.label not in parent.columns:
            return type(parent)(self.frame, *parent.operands[1:])
        if kept == list(self.frame.columns):
            return None
        made: Any = type(self)
        return type(parent)(
            made(self.frame[kept], self.label, self.series), *parent.operands[1:]
        )
