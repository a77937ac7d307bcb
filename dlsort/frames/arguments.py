"""The arguments of the interactive door: read, checked, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from dask.base import is_dask_collection
from dask.dataframe.dask_expr import DataFrame

from dlsort.errors import (
    BadKeyError,
    BadOptionError,
    KeyTypeError,
    UnknownColumnError,
    shown,
    type_of,
)
from dlsort.frame_tasks.plan import check_key_dtypes, dtype_at, is_nested, label_at
from dlsort.keys import parse_by as parse_by_text
from dlsort.wording import did_you_mean

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
            f"the divisions make {len(divisions) - 1} of partitions, of which the frame has "
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
        msg = f"cannot sort {type_of(ddf)}; expected a Dask DataFrame or Series."
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
        found.setdefault(position_of(like, label, "by holds"), parse_direction(flag))
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


def position_of(like: pd.DataFrame, label: Any, found: str) -> int:
    """Return the position of a column; what was found instead is named by ``found``."""
    msg = f"{found} {type_of(label)}; expected the label of a column."
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
    if not names:
        raise UnknownColumnError(
            f"there is no column {shown(label)}: the frame has no columns."
        )
    hint = _hint(label, [*names, *map(str, filter(None, like.index.names))])
    listed = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    there = f"The columns are: {listed}." if names else "The frame has no columns."
    msg = f"there is no column {shown(label)}.{hint} {there}"
    raise UnknownColumnError(msg)


def _hint(label: Any, names: list[str]) -> str:
    """Return what was probably meant by a label that no column has, as a sentence."""
    if not isinstance(label, str):
        return ""
    with suppress(BadKeyError):
        keys = parse_by_text(label)
        columns = [key.column for key in keys]
        if columns != [label] and set(columns) <= set(names):
            by = repr(columns) if len(columns) > 1 else repr(columns[0])
            up = [not key.descending for key in keys]
            hint = f" On frames by is a column or a list: by={by}"
            hint += "" if all(up) else f", ascending={up if len(up) > 1 else up[0]}"
            is_first = all(key.nulls_first for key in keys)
            return hint + (", na_position='first'." if is_first else ".")
    return did_you_mean(label, names)


def parse_level(like: pd.DataFrame, level: Any) -> int:
    """Return the position of an index level given by name or number."""
    names = list(like.index.names)
    if isinstance(level, Hashable) and level is not None and level in names:
        return -1 - names.index(level)
    is_number = isinstance(level, int | np.integer) and not isinstance(level, bool)
    if is_number and -len(names) <= level < len(names):
        return -1 - int(level) % len(names)
    msg = (
        f"level is {shown(level)}; expected the name or number of one of the index's: "
        f"{', '.join(shown(i if name is None else name) for i, name in enumerate(names))}."
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


def check_index_dtype(like: pd.DataFrame, position: int) -> None:
    """Raise unless a column can be a key, and the index of a pandas frame."""
    check_key_dtypes(like, (position,))
    if is_nested(dtype_at(like, position)):
        msg = (
            f"cannot make an index of {shown(label_at(like, position))}: pandas looks nothing "
            f"up in {dtype_at(like, position)}. Sort by it with sort_values."
        )
        raise KeyTypeError(msg)
    if dtype_at(like, position) == np.float16:
        msg = "pandas has no index of float16; convert the column to float32 first."
        raise KeyTypeError(msg)
