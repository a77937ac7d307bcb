"""Whole numbers and booleans of which some are missing, under a dtype that has no nulls.

Where a Parquet file has nulls in such a column, pandas reads it as floats or objects, and
Dask goes on to declare integers or booleans: it has seen the schema alone. Here they are
nullable on the way, and in each output partition again what pandas would read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["are_of", "as_nullable", "as_pandas_reads", "is_nullable"]

NULLABLE_ARRAYS = (pd.arrays.BooleanArray, pd.arrays.IntegerArray)


def is_nullable(values: Any) -> bool:
    """Return whether an array is one of pandas' nullable ones of integers or booleans."""
    return isinstance(values, NULLABLE_ARRAYS)


def as_nullable(column: pd.Series[Any], dtype: Any) -> Any:
    """Return a column with nulls as a nullable array, if none of its values changes.

    Parameters
    ----------
    column : pandas.Series
        Floats, objects, or what this returned before.
    dtype : numpy.dtype
        Of integers or booleans; for others there is nothing to do.

    Returns
    -------
    pandas.api.extensions.ExtensionArray or None
    """
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iub":
        return None
    missing = column.isna().to_numpy()
    if not missing.any():
        return None
    array: Any = column.array
    if is_nullable(array):
        return array if array.dtype.type == dtype.type else None
    values = column[~missing].to_numpy()
    if not are_of(values, dtype):
        return None
    found = np.zeros(len(column), dtype)
    found[~missing] = values.astype(dtype)
    made: Any = pd.arrays.BooleanArray if dtype.kind == "b" else pd.arrays.IntegerArray
    return made(found, missing)


def are_of(values: Any, dtype: Any) -> bool:
    """Return whether all values are integers that the dtype holds, or all are booleans."""
    if not len(values):
        return bool(values.dtype.kind not in "iub")  # who has such nulls keeps them
    if values.dtype.kind == "O":
        kinds = set(map(type, values))
        if dtype.kind == "b":
            return kinds <= {bool, np.bool_}
        limits = np.iinfo(dtype)
        return all(
            issubclass(kind, int | np.integer) and kind is not bool for kind in kinds
        ) and (limits.min <= min(values) and max(values) <= limits.max)
    if values.dtype.kind != "f" or dtype.kind == "b":
        return False
    if values.dtype.itemsize < 4:
        values = values.astype(np.float32)  # which has the limits of all integers
    bits = 8 * dtype.itemsize - (dtype.kind == "i")
    low = -(2.0**bits) if dtype.kind == "i" else 0.0
    return bool(((values >= low) & (values < 2.0**bits) & (values == np.trunc(values))).all())


def as_pandas_reads(values: Any) -> Any:
    """Return a nullable array as pandas reads it from a file: floats or objects if need be.

    It stays as it is where floats would round it.
    """
    if not values.isna().any():
        return values.to_numpy(values.dtype.numpy_dtype)
    if values.dtype.kind == "b":
        return values.to_numpy(object, na_value=None)
    found = values.to_numpy(np.float64, na_value=np.nan)
    present = values.dropna().to_numpy(values.dtype.numpy_dtype)
    rounded = found[~values.isna()]
    dtype = present.dtype
    if are_of(rounded, dtype) and (rounded.astype(dtype) == present).all():
        return found
    return values
