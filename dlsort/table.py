"""The local doors for tables: sorted rows, or the first of them, with no cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from dlsort.arrow.layouts import recast, without_views
from dlsort.arrow.paths import field_of_series, fields_of_frame, find_path
from dlsort.arrow.take import take_array
from dlsort.arrow.transport import combine
from dlsort.errors import KeyTypeError, type_of
from dlsort.key_expressions.computed import names_of, with_computed, with_kinds
from dlsort.key_expressions.flags import KeyFlags, order_of, read_flags
from dlsort.key_parts import expression_of
from dlsort.keys import By, SortKey, parse_by
from dlsort.options.other_options import K
from dlsort.order.argsort import first_rows, order_columns
from dlsort.order.key_arrays import (
    as_arrow,
    check_here,
    check_row_count,
    check_threads,
    read_key,
)
from dlsort.order.key_types import check_key_types
from dlsort.order.sort_rows import first_of, sort_rows
from dlsort.order.words import Column
from dlsort.tuning import TUNING, OrderTuning
from dlsort_cluster.pages import cheap_pages

__all__ = ["sort_table", "top_k"]

T = TypeVar("T")

# About what a value takes.
_VALUE_BYTES = 8

# What a table's rows are made into, by a key.
Make = Callable[[pa.Table, tuple[SortKey, ...]], pa.Table]


def sort_table(
    table: T,
    by: By,
    *,
    ignore_case: bool = False,
    natural: bool = False,
    numeric: bool = False,
    collate: str | None = None,
    reverse: bool = False,
    nan_first: bool = False,
    nan_last: bool = False,
    threads: int | None = None,
    _tuning: OrderTuning = TUNING.order,
) -> T | pa.Table:
    """Return a table's rows in stable sorted order.

    Parameters
    ----------
    table : object
        A pyarrow table or record batch, a Polars or pandas data frame, or anything else
        with the Arrow C stream or array interface (a DuckDB result, …).
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``. A column's exact name is
        that column; else :func:`dlsort.keys.parse_by` has the form. ``"lower(name)"`` and
        expressions of pyarrow are computed.
    ignore_case, natural, numeric : bool
        Text compares without regard to case; with the numbers in it by their value
        (``file2`` before ``file10``); or as the number that it begins with.
    collate : str, optional
        Text in the order of a language, as in ``"de_DE"``; needs PyICU.
    reverse : bool
        The whole order turned round, but for rows with equal keys.
    nan_first, nan_last : bool
        Where NaN goes among the floats of a key column that has no place for it.
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
    flags = read_flags(locals())
    count = check_threads(threads)
    if _is_pandas(table):
        keys, columns = _pandas_columns(table, by, flags, _tuning)
        with cheap_pages(_VALUE_BYTES * len(columns[0]) * len(table.columns)):  # type: ignore[attr-defined]
            order = order_columns(columns, keys, _tuning, runs=False, wide=True, threads=count)
            return _take_frame(table, order.rows)
    return _like(
        table, by, flags, lambda rows, keys: sort_rows(rows, keys, _tuning, threads=count)
    )


def top_k(
    table: T,
    k: int,
    by: By,
    *,
    ignore_case: bool = False,
    natural: bool = False,
    numeric: bool = False,
    collate: str | None = None,
    reverse: bool = False,
    nan_first: bool = False,
    nan_last: bool = False,
    threads: int | None = None,
    _tuning: OrderTuning = TUNING.order,
) -> T | pa.Table:
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
    ignore_case, natural, numeric : bool
        Text compares without regard to case; with the numbers in it by their value
        (``file2`` before ``file10``); or as the number that it begins with.
    collate : str, optional
        Text in the order of a language, as in ``"de_DE"``; needs PyICU.
    reverse : bool
        The whole order turned round, but for rows with equal keys.
    nan_first, nan_last : bool
        Where NaN goes among the floats of a key column that has no place for it.
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
    flags = read_flags(locals())
    count = check_threads(threads)
    k = K.read(k)
    if _is_pandas(table):
        keys, columns = _pandas_columns(table, by, flags, _tuning)
        rows = first_rows(columns, keys, k, _tuning, threads=count)
        return _take_frame(table, rows.astype(np.int64))
    return _like(
        table, by, flags, lambda rows, keys: first_of(rows, keys, k, _tuning, threads=count)
    )


def _like(table: Any, by: By, flags: KeyFlags, make: Make) -> Any:
    """Return what is made of a table's rows, as the kind of table that was given."""
    check_here(table)
    rows = _as_table(table)
    keys, computed = order_of(by, rows.schema, flags)
    check_key_types(with_kinds(rows.schema, computed), keys)
    check_row_count(rows.num_rows)
    with cheap_pages(_VALUE_BYTES * rows.num_rows * rows.num_columns):
        laid_out = _in_layouts(rows)
        result = make(with_computed(laid_out, computed) if computed else laid_out, keys)
        result = result.select(range(rows.num_columns)) if computed else result
        result = _with_types(result, rows.schema)
    if isinstance(table, pa.RecordBatch):
        batches = result.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], rows.schema)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(table, polars.DataFrame):
        return polars.from_arrow(result, rechunk=False)
    return result


def _in_layouts(table: pa.Table) -> pa.Table:
    """Return a table in layouts that have kernels, each column one chunk."""
    columns = []
    for column in table.columns:
        array = combine(column)
        kind = without_views(array.type)
        try:
            columns.append(recast(array, kind))
        except pa.ArrowInvalid:  # views of more bytes than 32-bit offsets reach
            wide = pa.large_binary() if kind == pa.binary() else pa.large_string()
            columns.append(array.cast(wide))
    fields = [f.with_type(c.type) for f, c in zip(table.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _with_types(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the types of a schema again, where its values still fit them."""
    columns, fields = [], []
    for field, column in zip(schema, table.columns, strict=True):
        chunks = _in_chunks(combine(column), field.type)
        columns.append(pa.chunked_array(chunks))
        fields.append(field.with_type(chunks[0].type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))


def _in_chunks(array: pa.Array, kind: pa.DataType) -> list[pa.Array]:
    """Return values in a type, in as many arrays as its offsets need."""
    try:
        return [recast(array, kind)]
    except pa.ArrowInvalid:
        # Chunks' dictionaries joined have more values than narrow indices count.
        if pa.types.is_dictionary(kind):
            return [array]
        if len(array) < 2:
            raise
    # Copies, as Arrow's cast looks at where a slice lies.
    halves = (
        take_array(array, rows)
        for rows in np.array_split(np.arange(len(array), dtype=np.uint32), 2)
    )
    return [chunk for half in halves for chunk in _in_chunks(half, kind)]


def _is_pandas(table: object) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def _take_frame(frame: Any, rows: Any) -> Any:
    """Return a pandas frame at row numbers; views are cast, as Arrow can't take them."""
    kinds = [getattr(kind, "pyarrow_dtype", None) for kind in frame.dtypes]
    views = [i for i, kind in enumerate(kinds) if kind in (pa.string_view(), pa.binary_view())]
    if not views:
        return frame.take(rows)
    import pandas as pd

    pieces = []
    for i in range(frame.shape[1]):
        series = frame.iloc[:, i]
        if i not in views:
            pieces.append(series.take(rows))
            continue
        array = combine(pa.chunked_array([series.array.__arrow_array__()]))
        taken = take_array(recast(array, without_views(kinds[i])), rows.astype(np.uint32))
        values = pd.arrays.ArrowExtensionArray(recast(taken, kinds[i]))
        pieces.append(pd.Series(values, index=frame.index.take(rows), name=series.name))
    out = pd.concat(pieces, axis=1)
    out.columns = frame.columns
    out.attrs = frame.attrs
    return out


def _pandas_columns(
    frame: Any, by: By, flags: KeyFlags, tuning: OrderTuning
) -> tuple[tuple[SortKey, ...], list[Column]]:
    """Return the key, and its columns of a pandas frame or fields of their structs."""
    names = [name if isinstance(name, str) else None for name in frame.columns]
    keys = parse_by(by, [name for name in names if name is not None])
    computed: dict[str, Any] = {}
    if flags.is_set or any(expression_of(key.column) for key in keys):
        rows = _needed_of_frame(frame, keys)
        keys, made = order_of(keys, rows.schema, flags)
        computed = {each.name: each.of(rows) for each in made}
    arrays = [
        computed[key.column] if key.column in computed else _pandas_column(frame, names, key)
        for key in keys
    ]
    return keys, [read_key(a, key, tuning) for a, key in zip(arrays, keys, strict=True)]


def _needed_of_frame(frame: Any, keys: Sequence[SortKey]) -> pa.Table:
    """Return the columns of a pandas frame that a key is made of, perhaps more, as Arrow's."""
    schema, named = fields_of_frame(frame)
    places = dict.fromkeys(find_path(schema, name)[0] for name in names_of(keys, schema.names))
    arrays = [as_arrow(frame.iloc[:, named[place]]) for place in places]
    return pa.Table.from_arrays(arrays, names=[schema.names[place] for place in places])


def _pandas_column(frame: Any, names: Sequence[str | None], key: SortKey) -> Any:
    if names.count(key.column) == 1:
        return frame.iloc[:, names.index(key.column)]
    schema, named = fields_of_frame(frame)
    first, *rest = find_path(schema, key.column)
    return field_of_series(frame.iloc[:, named[first]], rest)


def _refuse_objects(frame: Any, polars: Any) -> None:
    """Raise for Python objects, of which Arrow gets the addresses."""
    for name, kind in frame.schema.items():
        if kind == polars.Object:
            msg = f"cannot sort a frame with Python objects: column {name!r} is {kind}."
            raise KeyTypeError(msg)


def _as_table(table: Any) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    is_arrow = hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__")
    if is_arrow and not isinstance(table, type):
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(table, polars.DataFrame):
            _refuse_objects(table, polars)
        try:
            return pa.table(table)
        except (pa.ArrowException, TypeError, ValueError) as error:
            if "struct" not in str(error):  # not a single column, but one Arrow can't hold
                why = (str(error).splitlines() or [""])[0].rstrip(".")
                msg = f"cannot sort this {type(table).__name__}: {why}."
                raise KeyTypeError(msg) from error
    msg = (
        f"cannot sort {type_of(table)}; expected a table with the Arrow C stream "
        "or array interface, such as a pyarrow, Polars or pandas one."
    )
    raise KeyTypeError(msg)
