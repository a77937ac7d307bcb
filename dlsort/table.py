"""The local doors: sort a table or an array, with no cluster and no Dask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.buffers import from_transport, to_transport
from dlsort.errors import BadOptionError, KeyTypeError
from dlsort.keys import By, SortKey, parse_by
from dlsort.local_sort import sort_rows
from dlsort.order import argsort as argsort_rows
from dlsort.words import check_key_types

__all__ = ["argsort", "sort_table"]

NULL_PLACES = {"first": True, "last": False}


def sort_table(table: Any, by: By) -> pa.Table:
    """Return a table's rows in stable sorted order.

    Parameters
    ----------
    table : object
        A pyarrow table or record batch, or anything with the Arrow C stream or
        array interface (Polars, pandas, DuckDB results, …).
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``.

    Returns
    -------
    pyarrow.Table
        The same rows and schema. Rows with equal keys keep their order.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If the key can't be read, isn't there, or can't be sorted by.

    Notes
    -----
    Expected time O(n) for the order and O(n) a column for the gather; memory
    one copy of the table.

    Examples
    --------
    >>> import pyarrow as pa
    >>> t = pa.table({"x": [2, 1, None, 2], "y": ["a", "b", "c", "d"]})
    >>> sort_table(t, "x:desc:nulls_first")["y"].to_pylist()
    ['c', 'a', 'd', 'b']
    """
    rows = _as_table(table)
    keys = parse_by(by)
    check_key_types(rows.schema, keys)
    return from_transport(sort_rows(to_transport(rows), keys), rows.schema)


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


def argsort(
    array: Any, *, ascending: bool = True, na_position: str = "last"
) -> npt.NDArray[np.int64]:
    """Return the row numbers that sort an array; stable.

    Parameters
    ----------
    array : array-like
        (n,) NumPy, Arrow or pandas values: numbers, booleans, dates and times,
        decimals, strings or binary.
    ascending : bool
        Smallest first. Equal values keep their order in either direction.
    na_position : {"last", "first"}
        Where nulls and NaN go, in either direction.

    Returns
    -------
    (n,) int64
        Row numbers.

    Raises
    ------
    KeyTypeError
        If the values can't be sorted by.
    BadOptionError
        If ``na_position`` is another word.

    Notes
    -----
    Expected time O(n): values become integer codes, packed with their row into
    one word and sorted by NumPy's SIMD sort. After Kristo et al., "The Case
    for a Learned Sorting Algorithm" (SIGMOD 2020), with the placement done by
    the SIMD sort. Memory about 3 × 8 bytes a row beside the result.

    Examples
    --------
    >>> argsort([2.5, None, -1.0], na_position="first")
    array([1, 2, 0])
    """
    if str(na_position) not in NULL_PLACES:
        msg = f"na_position is {na_position!r}; expected 'first' or 'last'."
        raise BadOptionError(msg)
    try:
        values = _as_array(array)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        msg = f"cannot sort these values: {error}"
        raise KeyTypeError(msg) from error
    key = SortKey("values", not ascending, NULL_PLACES[na_position])
    table = pa.Table.from_arrays([values], names=["values"])
    check_key_types(table.schema, (key,))
    return argsort_rows(to_transport(table), (key,)).astype(np.int64)


def _as_array(array: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(array, (pa.Array, pa.ChunkedArray)):
        return array
    if isinstance(array, np.ndarray):
        if array.ndim != 1:
            msg = f"expected one dimension, found {array.ndim}"
            raise TypeError(msg)
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return pa.array(native, from_pandas=True)
    if hasattr(array, "__arrow_c_stream__"):
        return pa.chunked_array(array)
    if hasattr(array, "__arrow_c_array__"):
        return pa.array(array)
    return pa.array(array, from_pandas=True)
