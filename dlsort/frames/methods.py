"""The interactive door: sort a Dask DataFrame or Series, lazily.

What is asked for is checked here (:mod:`dlsort.frames.arguments`) and becomes an expression
(:mod:`dlsort.frames.sort_values`). The parameters are those of Dask's own methods, with what
pandas has beyond them.
"""

# ruff: noqa: FBT001, FBT002 - flags as pandas and Dask have them.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
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
    parse_sort_function,
    take_hints,
)
from dlsort.frames.partitions import (
    parse_divisions,
    parse_n_parts,
    parse_shuffle_method,
    parse_upsample,
)
from dlsort.frames.set_index import (
    SetIndex,
    lazy_divisions,
    sort_partition_by_index,
)
from dlsort.frames.sort_values import SortValues
from dlsort.tuning import TUNING

__all__ = ["set_index", "sort_index", "sort_values"]


def sort_values(
    ddf: DataFrame | Series,
    by: Any = None,
    npartitions: int | str | None = None,
    ascending: bool | Sequence[bool] = True,
    na_position: str = "last",
    partition_size: float = TUNING.frames.partition_bytes,
    sort_function: Callable[..., pd.DataFrame] | None = None,
    sort_function_kwargs: Mapping[str, Any] | None = None,
    upsample: float = 1.0,
    ignore_index: bool = False,
    shuffle_method: str | None = None,
    *,
    axis: int | str = 0,
    inplace: bool = False,
    kind: str | None = None,
    key: Callable[[Any], Any] | None = None,
    **options: Any,
) -> DataFrame | Series:
    """Sort a Dask DataFrame by one or more columns, or a Dask Series by its values.

    Nothing is read until the result is computed. The sort is stable: the
    result is what ``pandas.concat(partitions).sort_values(by, kind="stable",
    …)`` gives, in partitions of nearly equal length, equal keys being parted
    where they have to be.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame or Series
        What to sort. Where partitions have other dtypes than it declares, they are cast
        if all values of all partitions compare equal then (1 and True do); nulls alone fit
        any dtype that has nulls. Where they don't and only the kind differs (a unit, a time
        zone, bits, NumPy or nullable or Arrow), the result has the declared dtype's nullable
        form or the dtype that ``pandas.concat`` gives; anything else is refused by name.
    by : label or list of labels
        The key columns or levels of the index, most significant first: numbers, booleans,
        dates and times, decimals, strings, bytes, or categories, which sort in the order
        of their categories. Objects must be of one type. Left out for a Series.
    npartitions : int or "auto", optional
        Number of output partitions; the input's by default. "auto": as many as partitions
        of ``partition_size`` take, if the source tells its size, and at most the input's.
    ascending : bool, or list or array of bool
        Smallest first; one for all key columns or one each.
    na_position : {"last", "first"}
        Where rows go whose key is null or NaN, in either direction.
    partition_size : float
        Bytes of a partition, for ``npartitions="auto"``.
    sort_function : callable, optional
        Called with every output partition and ``by``, ``ascending``, ``na_position`` and
        ``ignore_index`` as keywords, to sort it in another way. Rows with equal values in
        the first key column are then in one partition.
    sort_function_kwargs : mapping, optional
        More keywords for it.
    upsample : float
        How many times the usual sample to take: it evens the partitions' lengths.
    ignore_index : bool
        Number the rows 0 … n − 1, through all partitions, instead of keeping
        the index.
    shuffle_method : {"p2p", "tasks", "disk"}, optional
        How rows change partitions: by Dask's peer-to-peer engine, or by a plain task graph
        ("disk" too: it is for one machine). By default what the scheduler can.
    axis : {0, "index"}
        Rows are sorted.
    inplace : bool
        Refused: a Dask frame does not change.
    kind : {"quicksort", "mergesort", "heapsort", "stable"}, optional
        All are met: the sort is always stable.
    key : callable, optional
        Applied to the key columns before they are compared, partition by partition: it must
        give the same for a value wherever that is.
    **options
        What Dask takes here and means nothing to this sort (``max_branch``, ``compute``,
        ``shuffle``) is ignored, with a :class:`dlsort.OptionIgnoredWarning`, once each.
        Others are refused.

    Returns
    -------
    dask.dataframe.DataFrame or Series
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
    The key columns are read twice, first for a sample: of Parquet files a few row groups of
    every partition, of anything else the whole columns. Where that computes the input twice,
    a :class:`dlsort.ComputedTwiceWarning` says so, once; persist it. Rows
    cross the cluster once, on Dask's peer-to-peer engine where a client is current; else in
    memory, by a plain task graph. ``head`` and ``tail`` of the result take the first rows
    of every partition and sort those alone.

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
    check_plain(axis=axis, inplace=inplace, kind=kind)
    take_hints(options, sort_values)
    ascending = as_flags(ascending)
    ignore_index = parse_flag("ignore_index", ignore_index)
    if isinstance(ddf, Series):
        arguments.refuse_sort_function(sort_function, sort_function_kwargs)
        arguments.check_series_by(by)
        arguments.check_series_ascending(ascending)
        frame, name = added_columns.series_as_frame(ddf)
        found = sort_values(
            frame,
            list(frame.columns),
            npartitions,
            ascending,
            na_position,
            partition_size,
            upsample=upsample,
            ignore_index=ignore_index,
            shuffle_method=shuffle_method,
            key=key,
        )
        return as_series(found, name)
    like = arguments.check_frame(ddf)
    sort_function = parse_sort_function(sort_function, sort_function_kwargs)
    positions, descending = arguments.parse_by(like, by, ascending)
    nulls_first = parse_na_position(na_position)
    n_parts = parse_n_parts(npartitions, ddf, partition_size, TUNING)
    n_added = 0
    if key is not None:
        ddf = added_columns.with_keys(ddf, positions, key)
        n_added = len(positions)
        positions = tuple(len(like.columns) + i for i in range(n_added))
        like = ddf._meta
    check_key_dtypes(like, positions)
    together = sort_function is not None
    made: Any = SortValues
    operands = [
        ddf.expr,
        positions[:1] if together else positions,
        descending[:1] if together else descending,
        nulls_first,
        ignore_index,
        n_parts,
        n_added,
        together,
        parse_upsample(upsample),
        parse_shuffle_method(shuffle_method),
    ]
    found = new_collection(made(*operands))
    if sort_function is None:
        return found
    kwargs = {
        "by": by if isinstance(by, list) else [by],
        "ascending": ascending,
        "na_position": na_position,
        "ignore_index": ignore_index,
        **(sort_function_kwargs or {}),
    }
    return found.map_partitions(sort_function, meta=found._meta, **kwargs)


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
        expr = made(ddf.expr, by[0], True, like.index.name, n_parts, engine=engine)
        return lazy_divisions(expr)
    made = SortValues
    operands = [ddf.expr, by, descending, nulls_first, ignore_index, n_parts, n_added]
    return new_collection(made(*operands, engine=engine))


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
        )
    )
