"""What the local doors accept as keys: arrays of any library, as key columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dlsort.arrow.transport import to_transport
from dlsort.errors import BadOptionError, KeyTypeError, type_of
from dlsort.keys import SortKey
from dlsort.options.arguments import data_name, is_dasks
from dlsort.options.other_options import ASCENDING, NA_POSITION, NAN_POSITION
from dlsort.options.sort_options import THREADS
from dlsort.order.key_types import check_key_types
from dlsort.order.ranks import normal_keys
from dlsort.order.words import Column, FixedColumn, with_place_of_nan
from dlsort.tuning import OrderTuning
from dlsort_cluster.machine import machine_cores

__all__ = [
    "as_arrow",
    "check_here",
    "check_row_count",
    "check_threads",
    "read_key",
    "read_keys",
]

NOT_A_TIME = -(2**63)


def check_row_count(n_rows: int) -> None:
    """Raise if there are more rows than row numbers of 32 bits can count.

    Raises
    ------
    KeyTypeError
        From 2^32 rows on.
    """
    if n_rows >= 2**32:
        msg = (
            f"cannot sort {n_rows:,} rows at once: the most is {2**32 - 1:,}. Sort a Parquet "
            "dataset of them with sort_dataset."
        )
        raise KeyTypeError(msg)


def check_here(values: object) -> None:
    """Raise if something is Dask's: its values are not in this process.

    Raises
    ------
    KeyTypeError
    """
    if is_dasks(values):
        is_frame = hasattr(type(values), "divisions")
        how = "sort it on its cluster with dlsort.sort_values, or " if is_frame else ""
        msg = f"cannot sort {data_name(values)} in this process; {how}call .compute() first."
        raise KeyTypeError(msg)


def check_threads(threads: int | None) -> int:
    """Return how many threads to use: as given, or one a core that this process may use.

    Raises
    ------
    BadOptionError
        If it is not a whole number of at least 1.
    """
    return THREADS.read(threads) or machine_cores()


def read_keys(
    keys: Any,
    tuning: OrderTuning,
    *,
    ascending: bool | Sequence[bool],
    na_position: str | Sequence[str],
    nan_position: str | Sequence[str | None] | None = None,
) -> tuple[list[Column], list[SortKey]]:
    """Return key columns, and the direction and null place of each.

    Parameters
    ----------
    keys : array-like, or a sequence or table of them
        One key column, or several, most significant first.
    tuning : OrderTuning
        How dictionaries are ranked.
    ascending, na_position, nan_position
        One for all key columns, or one for each.

    Raises
    ------
    KeyTypeError
        If a column has no order, or columns have different lengths.
    BadOptionError
        If one of these is something else.
    """
    arrays = _arrays(keys)
    up = _each(ascending, len(arrays), "ascending", "True or False")
    places = _each(na_position, len(arrays), "na_position", "'first' or 'last'")
    nans = _each(nan_position, len(arrays), "nan_position", "'first', 'last' or None")
    sort_keys = []
    for i, (is_up, place, nan) in enumerate(zip(up, places, nans, strict=True)):
        is_descending = not ASCENDING.read(is_up)
        nulls_first = NA_POSITION.read(place) == "first"
        of_nan = NAN_POSITION.read(nan)
        nan_first = None if of_nan is None else of_nan == "first"
        sort_keys.append(SortKey(f"key {i}", is_descending, nulls_first, nan_first))
    columns = [read_key(a, key, tuning) for a, key in zip(arrays, sort_keys, strict=True)]
    check_row_count(len(columns[0]))
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        found = ", ".join(f"{len(column):,}" for column in columns)
        msg = f"cannot sort by key columns of different lengths: {found} rows."
        raise KeyTypeError(msg)
    return columns, sort_keys


def _each(given: Any, count: int, name: str, expected: str) -> list[Any]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    if not is_list and not (isinstance(given, np.ndarray) and given.ndim):
        return [given] * count
    if len(given) != count:
        msg = f"{name} has {len(given)} entries for {count} key columns; expected {expected}."
        raise BadOptionError(msg)
    return list(given)


def _arrays(keys: Any) -> list[Any]:
    """Return the key columns given: a list of arrays is several, a list of values is one."""
    for each in keys if isinstance(keys, list | tuple) else [keys]:
        check_here(each)
    if isinstance(keys, pa.Table | pa.RecordBatch):
        return _some(list(keys.columns))
    if isinstance(keys, list | tuple) and any(map(_is_array, keys)):
        return list(keys)
    keys = _unwrapped(keys)
    if isinstance(keys, str | bytes | dict | set | frozenset) or not _is_filled(keys):
        msg = f"cannot sort {type_of(keys)}; expected an array or several (keys)."
        raise KeyTypeError(msg)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(keys, pandas.DataFrame):
        return _some([keys.iloc[:, i] for i in range(keys.shape[1])])
    if _is_only_a_stream(keys):
        try:
            stream = pa.chunked_array(keys)
        except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
            raise _unsortable(error) from error
        if pa.types.is_struct(stream.type):  # a table, as a stream has it
            return _some(list(pa.Table.from_struct_array(stream).columns))
        return [stream]
    return [keys]


def _is_filled(keys: Any) -> bool:
    """Return whether something may hold values; a class only has the methods for it."""
    return not isinstance(keys, type) and (
        hasattr(keys, "__iter__") or hasattr(keys, "__array__") or _is_array(keys)
    )


def _unsortable(error: Exception) -> KeyTypeError:
    lines = str(error).splitlines() or [type(error).__name__]
    return KeyTypeError(f"cannot sort these values: {lines[0].rstrip('.')}.")


def _is_only_a_stream(keys: Any) -> bool:
    return hasattr(keys, "__arrow_c_stream__") and not isinstance(
        keys, pa.Array | pa.ChunkedArray
    )


def _some(columns: list[Any]) -> list[Any]:
    if not columns:
        msg = "cannot sort by a table without columns."
        raise KeyTypeError(msg)
    return columns


def _is_array(item: Any) -> bool:
    return (
        isinstance(item, np.ndarray | pa.Array | pa.ChunkedArray)
        or hasattr(item, "__arrow_c_array__")
        or hasattr(item, "__arrow_c_stream__")
        or (hasattr(item, "__array__") and hasattr(item, "__len__") and not np.isscalar(item))
    )


def read_key(array: Any, key: SortKey, tuning: OrderTuning) -> Column:
    """Return one array as a key column.

    Raises
    ------
    KeyTypeError
        If it has no order; the message calls it by the key's name.
    """
    array = _unwrapped(array)
    found = _numpy_column(array) if isinstance(array, np.ndarray) else None
    if found is not None:
        return with_place_of_nan(found, key)
    table = pa.Table.from_arrays([as_arrow(array)], names=[key.column])
    check_key_types(table.schema, (key,))
    return normal_keys(to_transport(table), [key], tuning).columns()[0]


def _unwrapped(array: Any) -> Any:
    """Return the NumPy array that a pandas series or index of numbers is made of."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(array, pandas.Series | pandas.Index):
        dtype = array.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "iubfmM":
            return array.to_numpy()
    return array


def _numpy_column(array: np.ndarray[Any, Any]) -> FixedColumn | None:
    """Return a NumPy array as it lies in memory, or None if it has to become Arrow first."""
    if isinstance(array, np.ma.MaskedArray) or array.ndim != 1:
        return None
    kind, width = array.dtype.kind, array.dtype.itemsize
    if kind not in "iubfmM" or width > 8:
        return None
    # Dates of NumPy's own units have no Arrow type, but sort as integers all the same.
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if kind in "mM":
        return FixedColumn(native.view(np.int64), None, NOT_A_TIME)
    return FixedColumn(native.view(np.uint8) if kind == "b" else native)


def as_arrow(array: Any) -> pa.Array | pa.ChunkedArray:
    """Return an array of any library as one of Arrow's.

    Raises
    ------
    KeyTypeError
        If it holds what Arrow has no type for.
    """
    try:
        return _as_arrow(_unwrapped(array))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _unsortable(error) from error


def _as_arrow(array: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(array, pa.Array | pa.ChunkedArray):
        return array
    if isinstance(array, np.ndarray):
        if array.ndim != 1:
            msg = f"expected one dimension, found {array.ndim}"
            raise TypeError(msg)
        if array.dtype.kind in "iufcmMU":
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
        elif array.dtype.kind == "T":
            array = array.astype(object)
        return pa.array(array, from_pandas=True)
    if hasattr(array, "__arrow_c_stream__"):
        return pa.chunked_array(array)
    if hasattr(array, "__arrow_c_array__"):
        return pa.array(array)
    return pa.array(array, from_pandas=True)
