"""The arguments of the interactive door: read, checked, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from dask._collections import new_collection
from dask.base import is_dask_collection
from dask.dataframe.dask_expr import DataFrame, Index, Series
from dask.dataframe.dispatch import meta_nonempty

from dlsort.errors import (
    BadKeyError,
    BadOptionError,
    KeyTypeError,
    UnknownColumnError,
    UnsupportedError,
    shown,
)
from dlsort.frame_tasks.plan import check_key_dtypes, dtype_at
from dlsort.frames.set_index import WithColumn

OF_SERIES = "__dlsort_series__"
ADDED = "__dlsort_key_{}__"

# Dask's own, before anybody routes it through dlsort.
_DASK_SET_INDEX = DataFrame.set_index


def set_index_unsorted(
    ddf: DataFrame,
    other: Any,
    npartitions: Any,
    divisions: tuple[Any, ...] | None,
    **flags: bool,
) -> DataFrame:
    """Set an index by Dask's own method, where nothing is to be sorted."""
    if npartitions is not None:
        msg = (
            "Specifying npartitions with sort=False or sorted=True is not supported. "
            "Call `repartition` afterwards."
        )
        raise BadOptionError(msg)
    if flags["sorted"] and divisions and len(divisions) - 1 != ddf.npartitions:
        msg = (
            f"the divisions are those of {len(divisions) - 1} partitions and the frame has "
            f"{ddf.npartitions}; with sorted=True they must be the same length. Leave them "
            "out, and call `repartition` afterwards."
        )
        raise BadOptionError(msg)
    try:
        return _DASK_SET_INDEX(ddf, other, divisions=divisions, **flags)
    except ValueError as error:
        # Dask's own words, for what it found when it looked.
        if "not sorted ascending" not in str(error):
            raise
        msg = (
            f"sorted=True, but the partitions are not in order by {shown(other)}; leave it "
            f"out, and the frame is sorted. {error.args[-1]}"
        )
        raise BadOptionError(msg) from error


# ---------------------------------------------------------------- the frame


def check_frame(ddf: Any) -> pd.DataFrame:
    """Return an empty partition of a Dask DataFrame that can be sorted.

    Raises
    ------
    BadOptionError
        If it is none, or its partitions are not pandas'.
    BadKeyError
        If several columns have one name.
    """
    if not isinstance(ddf, DataFrame):
        msg = f"cannot sort a {type(ddf).__name__}; expected a Dask DataFrame or Series."
        if isinstance(ddf, pd.DataFrame | pd.Series):
            msg += " Make it one with dask.dataframe.from_pandas(…), or use dlsort.sort_table."
        elif hasattr(ddf, "__arrow_c_stream__"):
            msg += " dlsort.sort_table takes it as it is."
        raise BadOptionError(msg)
    like: Any = ddf._meta
    if type(like) is not pd.DataFrame:
        msg = f"the partitions are {type(like).__name__} objects; expected pandas DataFrames."
        raise BadOptionError(msg)
    if not like.columns.is_unique:
        twice = list(like.columns[like.columns.duplicated()].unique())
        msg = f"several columns are named {shown(twice)}; rename them so that each is unique."
        raise BadKeyError(msg)
    return like


def series_as_frame(series: Series) -> tuple[DataFrame, Any]:
    """Return a series as a frame of one column, and the name it had."""
    if isinstance(series, Index):
        msg = "cannot sort an Index by itself; sort the frame with sort_index."
        raise BadOptionError(msg)
    name = series.name
    taken = name is None or name in series._meta.index.names
    return series.to_frame(OF_SERIES if taken else name), name


def refuse_sort_function(function: Any, kwargs: Any) -> None:
    """Raise if a series is to be sorted by a function of frames."""
    if function is not None or kwargs is not None:
        msg = "sort_function is for a DataFrame; a Series has none."
        raise BadOptionError(msg)


def check_series_by(by: Any) -> None:
    """Raise if a series is to be sorted by a column."""
    if by is not None:
        msg = f"by is {shown(by)}; a Series is sorted by its values and takes no by."
        raise BadKeyError(msg)


def check_series_ascending(ascending: Any) -> None:
    """Raise if there are several directions for the one column."""
    if isinstance(ascending, list | tuple) and len(ascending) != 1:
        msg = f"Length of ascending ({len(ascending)}) must be 1 for Series"
        raise BadKeyError(msg)


# ---------------------------------------------------------------- the key


def parse_by(
    like: pd.DataFrame, by: Any, ascending: Any
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return the key columns' positions, and which of them are descending.

    A column that is named again changes nothing, and is left out.
    """
    labels = by if isinstance(by, list) else [by]
    if (by is None and None not in like.columns) or not labels:
        msg = "by names no column; give at least one."
        raise BadKeyError(msg)
    flags = (
        list(ascending) if isinstance(ascending, (list, tuple)) else [ascending] * len(labels)
    )
    if len(flags) != len(labels):
        msg = (
            f"Length of ascending ({len(flags)}) != length of by ({len(labels)}); "
            "give one for all columns or one each."
        )
        raise BadKeyError(msg)
    found: dict[int, bool] = {}
    for label, flag in zip(labels, flags, strict=True):
        found.setdefault(_position(like, label, "by holds"), parse_direction(flag))
    return tuple(found), tuple(found.values())


def parse_direction(ascending: Any) -> bool:
    """Return whether rows are to descend."""
    if isinstance(ascending, list | tuple) and len(ascending) == 1:
        (ascending,) = ascending
    is_number = isinstance(ascending, int | np.integer) and ascending in (0, 1)
    if not (isinstance(ascending, bool | np.bool_) or is_number):
        msg = (
            'For argument "ascending" expected type bool, received type '
            f"{type(ascending).__name__}."
        )
        raise BadOptionError(msg)
    return not ascending


def _position(like: pd.DataFrame, label: Any, found: str) -> int:
    msg = f"{found} a {type(label).__name__}; expected the label of a column."
    if is_dask_collection(label):
        raise BadKeyError(msg)
    try:
        is_column = label in like.columns
        is_level = label is not None and label in like.index.names
    except (TypeError, ValueError):  # unhashable, or compared value by value
        raise BadKeyError(msg) from None
    if is_column and is_level:
        msg = f"{shown(label)} is both an index level and a column label, which is ambiguous."
        raise BadKeyError(msg)
    if is_column:
        place = like.columns.get_loc(label)
        if isinstance(place, int):
            return place
        msg = f"{shown(label)} names several columns; give the whole label of one."
        raise BadKeyError(msg)
    if is_level:
        return parse_level(like, label)
    names = [str(column) for column in like.columns]
    close = get_close_matches(label, names, n=1) if isinstance(label, str) else []
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    msg = f"there is no column {shown(label)}.{hint} The columns are: {listed}."
    raise UnknownColumnError(msg)


def parse_level(like: pd.DataFrame, level: Any) -> int:
    """Return the position of an index level given by name or number."""
    names = list(like.index.names)
    if isinstance(level, Hashable) and level is not None and level in names:
        return -1 - names.index(level)
    is_number = isinstance(level, int | np.integer) and not isinstance(level, bool)
    if is_number and -len(names) <= level < len(names):
        return -1 - int(level) % len(names)
    msg = (
        f"level is {shown(level)}; expected one of the index's: {', '.join(map(shown, names))}."
    )
    raise BadKeyError(msg)


def parse_levels(
    like: pd.DataFrame, level: Any, ascending: Any, *, sort_remaining: bool
) -> tuple[tuple[int, ...], tuple[bool, ...], int]:
    """Return the positions of index levels to sort by, which descend, and how many were named.

    Levels that were not named follow those that were, if ``sort_remaining``, and one direction
    was given for all.
    """
    every = range(like.index.nlevels)
    given = level if isinstance(level, list | tuple) else [level]
    if level is None:
        positions = [-1 - i for i in every]
    else:
        positions = [parse_level(like, each) for each in given]
    if isinstance(ascending, list | tuple):
        directions = tuple(map(parse_direction, ascending))
        if len(ascending) != len(positions):
            msg = (
                "level must have same length as ascending: "
                f"{len(positions)} levels, {len(ascending)} directions."
            )
            raise BadKeyError(msg)
        return tuple(positions), directions, len(positions)
    descending = parse_direction(ascending)
    rest = [-1 - i for i in every if sort_remaining and -1 - i not in positions]
    every_one = (*positions, *rest)
    return every_one, (descending,) * len(every_one), len(positions)


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
        msg = f"other is a {type(other).__name__}; expected a column's label or a Dask Series."
        raise BadKeyError(msg)
    if other is not None and other == like.index.name and other not in like.columns:
        return None
    return ddf, _position(like, other, "other is"), other, 0


def check_index_dtype(like: pd.DataFrame, position: int) -> None:
    """Raise unless a column can be a key, and the index of a pandas frame."""
    check_key_dtypes(like, (position,))
    if dtype_at(like, position) == np.float16:
        msg = "pandas has no index of float16; convert the column to float32 first."
        raise KeyTypeError(msg)


def _assigned(ddf: DataFrame, label: Any, series: Series) -> DataFrame:
    """Return a frame with a series as its last column."""
    if ddf.npartitions == series.npartitions and series._meta.ndim == 1:
        made: Any = WithColumn
        return new_collection(made(ddf.expr, label, series.expr))
    msg = (
        f"the series has {series.npartitions} partitions and the frame {ddf.npartitions}; "
        "expected a series of the frame's own partitions."
    )
    raise BadKeyError(msg)
