"""The interactive door: sort a Dask DataFrame, lazily.

:class:`SortValues` stands for the sort until Dask lowers it, where the user's
client lives; then :func:`dlsort_cluster.expression.exchange_frame` lays it out.
The phases are imported by the tasks: Dask's scheduler reads this module too,
and has no use for the kernels.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from dask._collections import new_collection
from dask.dataframe.dask_expr import DataFrame
from dask.dataframe.dask_expr._expr import Expr

from dlsort.errors import BadKeyError, BadOptionError, KeyTypeError, UnknownColumnError
from dlsort.frame_plan import FramePlan, check_key_dtypes
from dlsort_cluster.expression import exchange_frame

if TYPE_CHECKING:
    from dlsort_cluster.exchange import Slot, Split

__all__ = ["SortValues", "sort_values"]

NULL_PLACES = {"first": True, "last": False}


def sort_values(
    ddf: DataFrame,
    by: Any,
    ascending: bool | Sequence[bool] = True,  # noqa: FBT001, FBT002 - as pandas has it
    na_position: str = "last",
    npartitions: int | None = None,
    ignore_index: bool = False,  # noqa: FBT001, FBT002 - as pandas has it
) -> DataFrame:
    """Sort a Dask DataFrame by one or more columns.

    Nothing is read until the result is computed. The sort is stable: the
    result is what ``pandas.concat(partitions).sort_values(by, kind="stable",
    …)`` gives, in partitions of nearly equal length, equal keys being parted
    where they have to be.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
        The frame; each partition must have the dtypes that it declares.
    by : label or list of labels
        The key columns, most significant first: numbers, booleans, dates and
        times, decimals, strings, bytes, or categories, which sort in the order
        of their categories. Objects must be of one type.
    ascending : bool or list of bool
        Smallest first; one for all key columns or one each.
    na_position : {"last", "first"}
        Where rows go whose key is null or NaN, in either direction.
    npartitions : int, optional
        Number of output partitions; the input's by default.
    ignore_index : bool
        Number the rows 0 … n − 1, through all partitions, instead of keeping
        the index.

    Returns
    -------
    dask.dataframe.DataFrame
        Same columns, dtypes and index; divisions unknown.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If the key can't be read, isn't there, or can't be sorted by. What an
        object column holds, and whether the partitions' categories agree,
        shows when the result is computed.
    BadOptionError
        If another argument has a value that can't be used.

    Notes
    -----
    The key columns are read twice, first for a sample. Rows cross the cluster
    once, on Dask's peer-to-peer engine where a client is current; else in
    memory, by a plain task graph.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd
    >>> df = pd.DataFrame({"x": [3, 1, 2, 1], "y": list("abcd")})
    >>> ddf = dd.from_pandas(df, npartitions=2)
    >>> sort_values(ddf, "x", ascending=False).compute()
       x  y
    0  3  a
    2  2  c
    1  1  b
    3  1  d
    """
    found: Any = ddf
    if not isinstance(found, DataFrame):
        msg = f"cannot sort a {type(found).__name__}; expected a Dask DataFrame."
        raise BadOptionError(msg)
    like: Any = ddf._meta
    if type(like) is not pd.DataFrame:
        msg = f"the partitions are {type(like).__name__} objects; expected pandas DataFrames."
        raise BadOptionError(msg)
    if not like.columns.is_unique:
        twice = list(like.columns[like.columns.duplicated()].unique())
        msg = f"several columns are named {twice}; rename them so that each name is unique."
        raise BadKeyError(msg)
    positions, descending = _parse_by(like, by, ascending)
    check_key_dtypes(like, positions)
    if na_position not in NULL_PLACES:
        msg = f"na_position is {na_position!r}; expected 'first' or 'last'."
        raise BadOptionError(msg)
    if npartitions is not None and (not _is_whole(npartitions) or npartitions < 1):
        msg = f"npartitions is {npartitions!r}; expected a whole number of at least 1."
        raise BadOptionError(msg)
    operands: list[Any] = [ddf.expr, positions, descending, NULL_PLACES[na_position]]
    made: Any = SortValues
    return new_collection(made(*operands, bool(ignore_index), npartitions))


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _parse_by(
    like: pd.DataFrame, by: Any, ascending: Any
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return the key columns' positions, and which of them are descending.

    A column that is named again changes nothing, and is left out.
    """
    labels = by if isinstance(by, list) else [by]
    if not labels:
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
    for flag in flags:
        if not isinstance(flag, (bool, np.bool_)):
            msg = f"ascending is {flag!r}; expected True or False, or a list of these."
            raise BadOptionError(msg)
    found: dict[int, bool] = {}
    for label, flag in zip(labels, flags, strict=True):
        found.setdefault(_position(like, label), not flag)
    return tuple(found), tuple(found.values())


def _position(like: pd.DataFrame, label: Any) -> int:
    try:
        is_column = label in like.columns
        is_level = label is not None and label in like.index.names
    except (TypeError, ValueError):  # unhashable, or compared value by value
        msg = f"by holds a {type(label).__name__}; expected column labels."
        raise BadKeyError(msg) from None
    if is_column:
        place = like.columns.get_loc(label)
        if isinstance(place, int):
            return place
        msg = f"{label!r} names several columns; give the whole label of one."
        raise BadKeyError(msg)
    if is_level:
        msg = (
            f"{label!r} is a level of the index, which can't be sorted by yet; make it a "
            "column with reset_index()."
        )
        raise KeyTypeError(msg)
    names = [str(column) for column in like.columns]
    close = get_close_matches(str(label), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    msg = f"there is no column {label!r}.{hint} The columns are: {shown}."
    raise UnknownColumnError(msg)


class SortValues(Expr):
    """A sort, before it is laid out."""

    _parameters = [
        "frame",
        "key_positions",
        "descending",
        "nulls_first",
        "ignore_index",
        "n_parts",
    ]
    _defaults = {"ignore_index": False, "n_parts": None}
    _is_length_preserving = True

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_sort_values-{self.deterministic_token}"

    def __str__(self) -> str:
        labels = [self.frame.columns[position] for position in self.key_positions]
        return f"SortValues({self.frame}, by={labels!r})"

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        like: pd.DataFrame = self.frame._meta.iloc[:0]
        return like.reset_index(drop=True) if self.ignore_index else like

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * ((self.n_parts or self.frame.npartitions) + 1)

    def _simplify_down(self) -> Any:
        """Fix the number of output partitions: Dask may yet read the input in fewer."""
        if self.n_parts is None:
            return type(self)(*self.operands[:5], self.frame.npartitions)
        return None

    def _lower(self) -> Any:
        frame = self.frame
        plan = FramePlan(
            frame._meta.iloc[:0],
            self.key_positions,
            self.descending,
            self.nulls_first,
            frame.npartitions,
            self.n_parts or frame.npartitions,
            self.ignore_index,
        )
        return exchange_frame(
            frame,
            frame[plan.labels],
            each=partial(_sample_keys, plan),
            together=partial(_fit, plan),
            split=partial(_split, plan),
            merge=partial(_merge, plan),
            n_parts=plan.n_parts,
            meta=self._meta,
        )


def _sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> Any:
    from dlsort.frame_tasks import sample_keys

    return sample_keys(plan, frame, input_id)


def _fit(plan: FramePlan, samples: list[Any]) -> Any:
    from dlsort.frame_tasks import fit

    return fit(plan, samples)


def _split(plan: FramePlan, frame: pd.DataFrame, context: Any, input_id: int) -> Split:
    from dlsort.frame_tasks import split

    return split(plan, frame, context, input_id)


def _merge(plan: FramePlan, shards: list[Any], context: Any, slot: Slot) -> pd.DataFrame:
    from dlsort.frame_tasks import merge

    return merge(plan, shards, context, slot)
