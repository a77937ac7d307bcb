"""Sorts of Dask frames by their index, or into one: ``sort_index`` and ``set_index``."""

# ruff: noqa: FBT001, FBT002 - flags as pandas and Dask have them.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dask._collections import new_collection
from dask.dataframe.dask_expr import DataFrame, Series

from dlsort.errors import BadOptionError
from dlsort.frame_tasks.plan import check_key_dtypes, dtype_at
from dlsort.frames import added_columns, arguments
from dlsort.frames.added_columns import as_series
from dlsort.frames.options import (
    as_flags,
    check_plain,
    parse_flag,
    parse_na_position,
    take_hints,
)
from dlsort.frames.partitions import (
    parse_divisions,
    parse_n_parts,
    parse_shuffle_method,
    parse_upsample,
)
from dlsort.frames.set_index import SetIndex, lazy_divisions, sort_partition_by_index
from dlsort.frames.sort_values import SortValues
from dlsort.tuning import TUNING

__all__ = ["set_index", "sort_index"]


def sort_index(
    ddf: DataFrame | Series,
    axis: int | str = 0,
    level: Any = None,
    ascending: bool | Sequence[bool] = True,
    inplace: bool = False,
    kind: str | None = None,
    na_position: str = "last",
    sort_remaining: bool = True,
    ignore_index: bool = False,
    key: Callable[[Any], Any] | None = None,
    *,
    npartitions: int | str | None = None,
    partition_size: float = TUNING.frames.partition_bytes,
    shuffle_method: str | None = None,
    **options: Any,
) -> DataFrame | Series:
    """Sort a Dask DataFrame or Series by its index.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame or Series
    axis, ascending, inplace, kind, na_position, ignore_index, key
        As for :func:`sort_values`; ``key`` is applied to the index.
    level : int or label, or list of these, optional
        Levels of the index, by name or number; all by default.
    sort_remaining : bool
        By the levels that were not named too, after those that were.
    npartitions, partition_size, shuffle_method, **options
        As for :func:`sort_values`.

    Returns
    -------
    dask.dataframe.DataFrame or Series
        Sorted upwards, without ``key`` and ``ignore_index``, it knows its divisions, as after
        :func:`set_index`; where the input knows its own, each partition is sorted by itself.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd
    >>> df = pd.DataFrame({"x": [3, 1, 2]}, index=[5, 1, 3])
    >>> sort_index(dd.from_pandas(df, npartitions=2, sort=False)).compute().index.tolist()
    [1, 3, 5]
    """
    check_plain(axis=axis, inplace=inplace, kind=kind)
    take_hints(options, sort_index)
    ignore_index = parse_flag("ignore_index", ignore_index)
    sort_remaining = parse_flag("sort_remaining", sort_remaining)
    ascending = as_flags(ascending)
    if isinstance(ddf, Series):
        frame, name = added_columns.series_as_frame(ddf)
        found = sort_index(
            frame,
            level=level,
            ascending=ascending,
            na_position=na_position,
            sort_remaining=sort_remaining,
            ignore_index=ignore_index,
            key=key,
            npartitions=npartitions,
            partition_size=partition_size,
            shuffle_method=shuffle_method,
        )
        return as_series(found, name)
    like = arguments.check_frame(ddf)
    by, descending, n_named = arguments.parse_levels(
        like, level, ascending, sort_remaining=sort_remaining
    )
    nulls_first = parse_na_position(na_position)
    n_parts = parse_n_parts(npartitions, ddf, partition_size, TUNING)
    engine = parse_shuffle_method(shuffle_method)
    n_added = 0
    if key is not None:
        ddf = added_columns.with_keys(ddf, by[:n_named], key)
        n_added = n_named
        by = (*(len(like.columns) + i for i in range(n_added)), *by[n_named:])
    check_key_dtypes(ddf._meta, by)
    plain = key is None and not (descending[0] or nulls_first or ignore_index)
    made: Any
    if plain and like.index.nlevels == 1:
        if ddf.known_divisions and n_parts in (None, ddf.npartitions):
            return ddf.map_partitions(sort_partition_by_index, meta=ddf._meta)
        made = SetIndex
        expr = made(
            ddf.expr, by[0], True, like.index.name, n_parts, engine=engine, tuning=TUNING
        )
        return lazy_divisions(expr)
    made = SortValues
    operands = [ddf.expr, by, descending, nulls_first, ignore_index, n_parts, n_added]
    return new_collection(made(*operands, engine=engine, tuning=TUNING))


def set_index(
    ddf: DataFrame,
    other: Any,
    drop: bool = True,
    sorted: bool = False,
    npartitions: int | str | None = None,
    divisions: Sequence[Any] | None = None,
    sort: bool = True,
    shuffle_method: str | None = None,
    upsample: float = 1.0,
    partition_size: float = TUNING.frames.partition_bytes,
    append: bool = False,
    *,
    inplace: bool = False,
    compute: bool | None = None,
    **options: Any,
) -> DataFrame:
    """Sort a Dask DataFrame by a column that becomes its index, with known divisions.

    Equal values of the index are in one partition, nulls in the last. Rows with equal values
    keep their order.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
    other : label or dask.dataframe.Series
        The column, or a series with the partitions of the frame.
    drop : bool
        The column is no longer a column then.
    sorted : bool
        The rows are in order already: nothing is sorted, Dask's own method does the rest.
    npartitions, shuffle_method, upsample, partition_size
        As for :func:`sort_values`. There are fewer partitions where there are fewer
        different values.
    divisions : sequence, optional
        The first value of each partition, and the last of all. Nothing need be learned then.
    sort : bool
        If not, the index is set partition by partition, by Dask's own method.
    append : bool
        Only with ``sort=False``: an index of several levels has no divisions.
    inplace : bool
        Refused: a Dask frame does not change.
    compute, **options
        As the options of :func:`sort_values`.

    Returns
    -------
    dask.dataframe.DataFrame
        Its divisions are learned from a sample of the column when something first asks for
        them; looking at the frame does not.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError, BadOptionError
        As for :func:`sort_values`.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd
    >>> df = pd.DataFrame({"x": [3, 1, 2, 1], "y": list("abcd")})
    >>> indexed = set_index(dd.from_pandas(df, npartitions=2), "x")
    >>> indexed.divisions
    (1, 2, 3)
    >>> indexed.loc[1].compute().y.tolist()
    ['b', 'd']
    """
    check_plain(axis=0, inplace=inplace, kind=None)
    take_hints({**options, "compute": compute}, set_index)
    flags = {"drop": drop, "sorted": sorted, "sort": sort, "append": append}
    drop, sorted, sort, append = (parse_flag(name, value) for name, value in flags.items())
    arguments.check_frame(ddf)
    if sorted or not sort:
        parse_shuffle_method(shuffle_method)
        parse_upsample(upsample)
        if not isinstance(other, Series) and added_columns.parse_other(ddf, other) is None:
            return ddf
        given = parse_divisions(divisions, None)
        return arguments.set_index_unsorted(
            ddf, other, npartitions, given, drop=drop, sorted=sorted, sort=sort, append=append
        )
    if append:
        msg = (
            "append=True gives an index of several levels, which can't be sorted by; "
            "use sort=False."
        )
        raise BadOptionError(msg)
    found = added_columns.parse_other(ddf, other)
    if found is None:
        return ddf
    ddf, position, name, n_added = found
    arguments.check_index_dtype(ddf._meta, position)
    given = parse_divisions(divisions, npartitions, dtype_at(ddf._meta, position))
    n_parts = parse_n_parts(None if given else npartitions, ddf, partition_size, TUNING)
    made: Any = SetIndex
    return lazy_divisions(
        made(
            ddf.expr,
            position,
            drop,
            name,
            n_parts,
            n_added,
            given,
            parse_upsample(upsample),
            parse_shuffle_method(shuffle_method),
            TUNING,
        )
    )
