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

from dlsort.frame_tasks.plan import check_key_dtypes
from dlsort.frame_tasks.tasks import call_sort_function
from dlsort.frames import added_columns, arguments
from dlsort.frames.added_columns import as_series
from dlsort.frames.options import (
    as_flags,
    check_plain,
    parse_flag,
    parse_na_position,
    parse_nan_position,
    parse_sort_function,
    take_hints,
)
from dlsort.frames.partitions import (
    parse_n_parts,
    parse_shuffle_method,
    parse_upsample,
)
from dlsort.frames.sort_values import SortValues
from dlsort.tuning import TUNING

__all__ = ["sort_values"]


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
    nan_position: str | None = None,
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
        of their categories. Structs and lists of Arrow's dtypes too, field by field and
        element by element, and ``"column.field"`` is a field of a struct, where no column has
        that label. Objects must be of one type, or numbers. Left out for a Series.
    npartitions : int or "auto", optional
        Number of output partitions; the input's by default. "auto": as many as partitions
        of ``partition_size`` take, if the source tells its size, and at most the input's.
    ascending : bool, or list or array of bool
        Smallest first; one for all key columns or one each.
    na_position : {"last", "first"}
        Where rows go whose key is null, in either direction; NaN too, unless it has a place.
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
    nan_position : {"last", "first"}, optional
        Where NaN goes among the numbers: after all or before all of them, in either
        direction. NumPy's floats have no other null, so all of theirs go there; in Arrow's
        and nullable floats NaN stands apart from null, which ``na_position`` places. By
        default NaN goes with the nulls, as in pandas.
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
            nan_position=nan_position,
        )
        return as_series(found, name)
    like = arguments.check_frame(ddf)
    sort_function = parse_sort_function(sort_function, sort_function_kwargs)
    if isinstance(by, list) and not by and not ignore_index:
        return ddf  # as pandas has it
    ddf, labels, n_added = added_columns.with_fields(ddf, by)
    like = ddf._meta
    positions, descending = arguments.parse_by(like, labels, ascending)
    nulls_first = parse_na_position(na_position)
    nan_first = parse_nan_position(nan_position)
    n_parts = parse_n_parts(npartitions, ddf, partition_size, TUNING)
    if key is not None:
        ddf = added_columns.with_keys(ddf, positions, key)
        n_added += len(positions)
        positions = tuple(len(like.columns) + i for i in range(len(positions)))
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
        TUNING,
        nan_first,
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
    return found.map_partitions(call_sort_function, sort_function, meta=found._meta, **kwargs)
