"""The local doors for tables: sorted rows, or the first of them, with no cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from dlsort.buffers import from_transport, to_transport
from dlsort.errors import BadOptionError, KeyTypeError
from dlsort.keys import By, SortKey, check_columns, parse_by
from dlsort.local_keys import check_threads, read_key
from dlsort.local_sort import first_of, sort_rows
from dlsort.order import first_rows, order_columns
from dlsort.words import check_key_types

__all__ = ["sort_table", "top_k"]

T = TypeVar("T")

# What a table's rows are made into, by a key; and a data frame's row numbers.
Make = Callable[[pa.Table, tuple[SortKey, ...]], pa.Table]


def sort_table(table: T, by: By, *, threads: int | None = None) -> T | pa.Table:
    """Return a table's rows in stable sorted order.

    Parameters
    ----------
    table : object
        A pyarrow table or record batch, a Polars or pandas data frame, or anything else
        with the Arrow C stream or array interface (a DuckDB result, …).
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``.
    threads : int, optional
        At most so many; by default one a core. The result does not depend on it.

    Returns
    -------
    object
        The same rows, columns and types. A pyarrow table or record batch, a Polars or a
        pandas data frame (with its index) is returned for one of its kind, else a pyarrow
        table. Rows with equal keys keep their order.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If the key can't be read, isn't there, or can't be sorted by.
    BadOptionError
        If ``threads`` is no number.

    Notes
    -----
    Expected time O(n) for the order and O(n) a column for the gather; memory one copy of
    the table, twice the largest column and 16 bytes a row. Columns in several chunks are
    joined first, which is another copy.

    Examples
    --------
    >>> import pyarrow as pa
    >>> t = pa.table({"x": [2, 1, None, 2], "y": ["a", "b", "c", "d"]})
    >>> sort_table(t, "x:desc:nulls_first")["y"].to_pylist()
    ['c', 'a', 'd', 'b']
    """
    keys = parse_by(by)
    count = check_threads(threads)
    if _is_pandas(table):
        columns = _pandas_columns(table, keys)
        rows = order_columns(columns, keys, runs=False, wide=True, threads=count).rows
        return _take_frame(table, rows)
    return _like(table, keys, lambda rows, keys: sort_rows(rows, keys, threads=count))


def top_k(table: T, k: int, by: By, *, threads: int | None = None) -> T | pa.Table:
    """Return the first ``k`` rows of a table's stable sorted order.

    The same as ``sort_table(table, by)[:k]``, without sorting the others.

    Parameters
    ----------
    table : object
        As for :func:`sort_table`.
    k : int
        Rows wanted; all of them, if the table has fewer.
    by : str, SortKey or a sequence of these
        The key. Largest first is ``"price:desc"``.
    threads : int, optional
        At most so many; by default one a core. The result does not depend on it.

    Returns
    -------
    object
        As :func:`sort_table`.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If the key can't be read, isn't there, or can't be sorted by.
    BadOptionError
        If ``k`` or ``threads`` is no number.

    Notes
    -----
    Expected time O(n + k): a sample says above which key no row can be among the first,
    one pass over the key columns leaves the others out, and what is left is sorted.

    Examples
    --------
    >>> import pyarrow as pa
    >>> t = pa.table({"x": [2, 1, None, 2], "y": ["a", "b", "c", "d"]})
    >>> top_k(t, 2, "x:desc")["y"].to_pylist()
    ['a', 'd']
    """
    keys = parse_by(by)
    count = check_threads(threads)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        msg = f"k is {k!r}; expected a whole number of at least 0."
        raise BadOptionError(msg)
    if _is_pandas(table):
        columns = _pandas_columns(table, keys)
        rows = first_rows(columns, keys, int(k), threads=count)
        return _take_frame(table, rows.astype(np.int64))
    return _like(table, keys, lambda rows, keys: first_of(rows, keys, int(k), threads=count))


def _like(table: Any, keys: tuple[SortKey, ...], make: Make) -> Any:
    """Return what is made of a table's rows, as the kind of table that was given."""
    rows = _as_table(table)
    check_key_types(rows.schema, keys)
    made = from_transport(make(to_transport(rows), keys), rows.schema)
    if isinstance(table, pa.RecordBatch):
        batches = made.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], rows.schema)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(table, polars.DataFrame):
        return polars.from_arrow(made, rechunk=False)
    return made


def _is_pandas(table: object) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def _take_frame(frame: Any, rows: Any) -> Any:
    """Return a pandas frame at row numbers. Arrow has no way to take views, so they are cast."""
    views = {
        name: kind
        for name, kind in frame.dtypes.items()
        if getattr(kind, "pyarrow_dtype", None) in (pa.string_view(), pa.binary_view())
    }
    if not views:
        return frame.take(rows)
    plain = {
        name: type(kind)(pa.string() if kind.pyarrow_dtype == pa.string_view() else pa.binary())
        for name, kind in views.items()
    }
    return frame.astype(plain).take(rows).astype(views)


def _pandas_columns(frame: Any, keys: tuple[SortKey, ...]) -> list[Any]:
    check_columns(keys, [name for name in frame.columns if isinstance(name, str)])
    return [read_key(frame[key.column], key) for key in keys]


def _as_table(table: Any) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        try:
            return pa.table(table)
        except pa.ArrowInvalid:
            pass  # a single column: no table
    msg = (
        f"cannot sort a {type(table).__name__}; expected a table with the Arrow C stream "
        "or array interface, such as a pyarrow, Polars or pandas one."
    )
    raise KeyTypeError(msg)
