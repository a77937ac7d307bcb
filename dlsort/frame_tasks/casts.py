"""Columns whose dtype is not the declared one: cast if no value changes, compared unboxed.

A frame's meta is Dask's guess of what its partitions are. :func:`cast_exactly` makes a
partition's column what the frame declares, if all values compare equal (1 and True do, 0.0 and
-0.0 too) and nulls stay nulls; a column of nulls alone fits all that have nulls. Where not,
:func:`differ_in_kind_only` tells whether the column can stay as it was found (another unit, a
time zone, more bits, the same values nullable), so that :func:`common_dtype` of all partitions
holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as pt
from dask.dataframe.utils import UNKNOWN_CATEGORIES

from dlsort.arrow.kinds import is_binary, is_text
from dlsort.arrow.transport import combine
from dlsort.frame_tasks.columns import codec_for
from dlsort.frame_tasks.nulls import are_of
from dlsort.frame_tasks.plan import MASKED, is_objects

__all__ = [
    "cast_exactly",
    "common_dtype",
    "differ_in_kind_only",
    "has_value",
    "is_number",
    "kind_of",
    "numpy_dtype",
]

Values = npt.NDArray[Any]
NAT = np.iinfo(np.int64).min
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NUMBERS = {"b": "boolean", "i": "integer", "u": "integer", "f": "floating"}
TIMES = {"datetime", "datetime with time zone", "timedelta"}
KNOWN = {*NUMBERS.values(), *TIMES, "text"}
# What was found, and what was declared, that differ in who holds them only.
ALIKE = {
    ("integer", "floating"),
    ("floating", "integer"),
    ("datetime", "datetime with time zone"),
    ("datetime with time zone", "datetime"),
}
# What pandas finds in objects, and makes the same values of without a loss.
INFERRED = {"string", "datetime", "datetime64", "timedelta", "timedelta64"}
# Objects that pandas knows, as our kinds.
KINDS_OF_OBJECTS = {
    **{name: name for name in ("boolean", "integer", "floating", "decimal")},
    "string": "text",
}


def cast_exactly(column: pd.Series[Any], dtype: Any) -> Any:
    """Return a column with another dtype, or None if a value or null would change.

    Parameters
    ----------
    column : pandas.Series
    dtype : numpy.dtype or pandas.api.extensions.ExtensionDtype

    Returns
    -------
    pandas.Series or None

    Notes
    -----
    Time O(n), of integers where both are numbers or times. Python compares the values only
    where they are objects already, or of dtypes without numbers beneath.
    """
    if not len(column):
        return pd.Series([], index=column.index, dtype=dtype)
    if column.dtype != dtype and not is_objects(dtype) and not has_value(column.array):
        return nulls_of(dtype, column.index)
    try:
        return _cast(column, dtype)
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException):
        return None


def nulls_of(dtype: Any, index: Any) -> Any:
    """Return a series of nulls, or None if the dtype has none; unknown categories stay so."""
    if isinstance(dtype, pd.CategoricalDtype) and not is_known(dtype):
        dtype = pd.CategoricalDtype([], ordered=dtype.ordered)
    made = pd.Series([], dtype=dtype).reindex(range(len(index)))
    return made.set_axis(index) if made.dtype == dtype else None


def _cast(column: pd.Series[Any], dtype: Any) -> Any:
    if column.dtype == dtype:
        return column
    if is_objects(dtype):
        return column.astype(object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _cast(_dense(column), dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return _as_categories(column, dtype)
    if is_objects(column.dtype) and pd.api.types.infer_dtype(column, skipna=True) in INFERRED:
        inferred = column.infer_objects()
        if not is_objects(inferred.dtype):
            return _cast(inferred, dtype)
    found, wanted = kind_of(column.dtype), kind_of(dtype)
    if found in NUMBERS.values() and wanted in NUMBERS.values():
        return _cast_numbers(column, dtype)
    if found in KNOWN and wanted in KNOWN and found != wanted:
        return None
    if found == wanted and found in TIMES:
        return _cast_times(column, dtype)
    if found == wanted == "text":
        return _keep_nulls(column, column.astype(dtype))
    return _cast_boxed(column, dtype)


def _cast_boxed(column: pd.Series[Any], dtype: Any) -> Any:
    """Cast, and compare the values one by one."""
    with np.errstate(invalid="ignore", over="ignore"):
        converted = _keep_nulls(column, column.astype(dtype))
    if converted is None:
        return None
    present = ~column.isna()
    same = converted.astype(object)[present] == column.astype(object)[present]
    return converted if same.all() else None


def _keep_nulls(column: pd.Series[Any], converted: pd.Series[Any]) -> pd.Series[Any] | None:
    return converted if converted.isna().equals(column.isna()) else None


def _dense(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the values of a categorical."""
    dtype = column.cat.categories.dtype
    if column.isna().any() and isinstance(dtype, np.dtype) and dtype.kind in "biu":
        return pd.Series(np.asarray(column), index=column.index)
    return column.astype(dtype)


def _as_categories(column: pd.Series[Any], dtype: pd.CategoricalDtype) -> Any:
    """Return the values as categories, if all are among them."""
    if not is_known(dtype):
        return None
    if not (
        kind_of(column.dtype) == kind_of(dtype.categories.dtype)
        or is_objects(column.dtype)
        or is_objects(dtype.categories.dtype)
    ):
        return None
    if isinstance(dtype.categories, pd.IntervalIndex):
        return _cast_boxed(column, dtype)  # its look-up finds points too
    codes = dtype.categories.get_indexer(pd.Index(column))
    if ((codes < 0) & column.notna().to_numpy()).any():
        return None
    values = pd.Categorical.from_codes(codes, dtype=dtype)
    return pd.Series(values, index=column.index)


def is_known(dtype: pd.CategoricalDtype) -> bool:
    """Return whether Dask knows the categories."""
    categories: Any = dtype.categories
    return categories is not None and UNKNOWN_CATEGORIES not in categories


def kind_of(dtype: Any) -> str:
    """Return what the values of a dtype are, whoever holds them: NumPy, pandas or Arrow."""
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_kind(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.SparseDtype):
        return kind_of(dtype.subtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime with time zone"
    if isinstance(dtype, pd.StringDtype):
        return "text"
    if isinstance(dtype, MASKED):
        return NUMBERS[dtype.kind]
    if isinstance(dtype, np.dtype):
        others = {"M": "datetime", "m": "timedelta", "O": "object"}
        if dtype.kind in NUMBERS and dtype.itemsize <= 8:
            return NUMBERS[dtype.kind]
        return others.get(dtype.kind, str(dtype))
    return str(dtype)


def _arrow_kind(kind: pa.DataType) -> str:
    if pt.is_timestamp(kind):
        return "datetime" if kind.tz is None else "datetime with time zone"
    for is_one, name in (
        (pt.is_boolean, "boolean"),
        (pt.is_integer, "integer"),
        (pt.is_floating, "floating"),
        (pt.is_duration, "timedelta"),
        (pt.is_decimal, "decimal"),
        (is_text, "text"),
        (is_binary, "binary"),
    ):
        if is_one(kind):
            return name
    return str(kind)


# ---------------------------------------------------------------- numbers


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype of the numbers of another."""
    if isinstance(dtype, pd.SparseDtype):
        return np.dtype(dtype.subtype)
    return dtype if isinstance(dtype, np.dtype) else np.dtype(dtype.numpy_dtype)


def _cast_numbers(column: pd.Series[Any], dtype: Any) -> Any:
    """Return numbers with another dtype; pandas itself would round some beside nulls."""
    values, wanted = _present(column), numpy_dtype(dtype)
    if not _holds(values, wanted):
        return None
    if len(values) == len(column):
        return pd.Series(values, index=column.index).astype(dtype)
    if isinstance(dtype, np.dtype | pd.SparseDtype) and wanted.kind != "f":
        return None
    missing = column.isna().to_numpy(bool)
    numbers = np.full(len(column), np.nan if wanted.kind == "f" else 0, wanted)
    numbers[~missing] = values
    found: Any = numbers
    if isinstance(dtype, pd.ArrowDtype):
        found = pd.arrays.ArrowExtensionArray(pa.array(numbers, mask=missing))
    elif isinstance(dtype, MASKED):
        found = dtype.construct_array_type()(numbers, missing)
    return pd.Series(found, index=column.index, dtype=dtype)


def _present(column: pd.Series[Any]) -> Values:
    """Return the numbers that are not null."""
    dtype = numpy_dtype(column.dtype)
    if column.hasnans:
        column = column[column.notna()]
    return column.to_numpy(dtype)


def _holds(values: Values, dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype of numbers holds all values as they are."""
    found, wanted = values.dtype.kind, dtype.kind
    if found == "b" or not len(values):
        return True
    if wanted == "b":
        return bool(((values == 0) | (values == 1)).all())
    if found == "f" and wanted == "f":
        with np.errstate(over="ignore"):
            return dtype.itemsize >= values.dtype.itemsize or bool(
                (values.astype(dtype) == values).all()
            )
    if found == "f":
        return are_of(values, dtype)
    low, high = int(values.min()), int(values.max())
    if wanted in "iu":
        limits = np.iinfo(dtype)
        return limits.min <= low and high <= limits.max
    whole = 2 ** (np.finfo(dtype).nmant + 1)
    if -whole <= low and high <= whole and high < np.finfo(dtype).max:
        return True
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not are_of(rounded, values.dtype):
        return False
    return bool((rounded.astype(values.dtype) == values).all())


# ---------------------------------------------------------------- times


def _unit(dtype: Any) -> str:
    if isinstance(dtype, pd.ArrowDtype):
        return str(dtype.pyarrow_dtype.unit)
    return dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]


def _cast_times(column: pd.Series[Any], dtype: Any) -> Any:
    """Return times in another unit, by the integers beneath."""
    array: Any = column.array
    if isinstance(column.dtype, pd.ArrowDtype):
        ticks = combine(pa.array(array)).cast(pa.int64())
        missing = ticks.is_null().to_numpy(zero_copy_only=False)
        numbers = ticks.fill_null(NAT).to_numpy()
    else:
        native = column.to_numpy() if isinstance(column.dtype, np.dtype) else array
        numbers = native.view(np.int64) if isinstance(native, np.ndarray) else native.asi8
        missing = numbers == NAT
    found, wanted = PER_SECOND[_unit(column.dtype)], PER_SECOND[_unit(dtype)]
    ticks = _rescale(numbers, missing, found, wanted)
    if ticks is None:
        return None
    if isinstance(dtype, np.dtype):
        if missing.any():
            ticks = np.where(missing, NAT, ticks)
        return pd.Series(ticks.view(dtype), index=column.index, copy=False)
    made = pa.array(ticks, mask=missing if missing.any() else None)
    if isinstance(dtype, pd.ArrowDtype):
        values: Any = pd.arrays.ArrowExtensionArray(made.cast(dtype.pyarrow_dtype))
    else:
        values = codec_for(dtype).restore(made)
    return pd.Series(values, index=column.index, copy=False)


def _rescale(
    numbers: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], found: int, wanted: int
) -> npt.NDArray[np.int64] | None:
    """Return ticks as those of another unit, if all are whole and in its range."""
    if found == wanted:
        return numbers
    if wanted > found:
        factor = wanted // found
        limit = (2**63 - 1) // factor
        fits = (np.abs(numbers) <= limit) | missing
        return numbers * factor if fits.all() else None
    factor = found // wanted
    ticks = numbers // factor
    return ticks if ((ticks * factor == numbers) | missing).all() else None


# ---------------------------------------------------------------- of all partitions


def differ_in_kind_only(column: pd.Series[Any], dtype: Any) -> bool:
    """Return whether a column is of the same sort of values as the dtype that can't hold it."""
    found = column.dtype
    if column.isna().all():
        return True
    if isinstance(dtype, pd.CategoricalDtype):
        if not is_known(dtype):
            return True
        return differ_in_kind_only(column, dtype.categories.dtype)
    if isinstance(found, pd.CategoricalDtype):
        return differ_in_kind_only(_dense(column), dtype)
    left, right = kind_of(found), kind_of(dtype)
    if right == "object":
        return True
    if left == "object":
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        if inferred in INFERRED - {"string"}:
            made = column.infer_objects()
            return not is_objects(made.dtype) and differ_in_kind_only(made, dtype)
        left = KINDS_OF_OBJECTS.get(inferred, left)
        if (left, right) == ("floating", "integer"):
            return False  # pandas would make objects of both
    return left == right or (left, right) in ALIKE


def is_number(dtype: Any) -> bool:
    """Return whether a dtype holds numbers or booleans."""
    return kind_of(dtype) in {*NUMBERS.values(), "decimal"}


def has_value(values: Any) -> bool:
    """Return whether an array, not empty, holds anything but nulls."""
    return not (pd.isna(values[:1]).all() and pd.isna(values).all())


def common_dtype(dtypes: Sequence[Any]) -> Any:
    """Return the dtype of what pandas joins of columns with these dtypes.

    None stands for a column of nulls alone: any dtype will do that has nulls.
    """
    filled = [dtype for dtype in dict.fromkeys(dtypes) if dtype is not None]
    found: Any = pd.concat([pd.Series([], dtype=dtype) for dtype in filled]).dtype
    if None in dtypes and nulls_of(found, range(1)) is None:
        found = pd.Series([], dtype=found).convert_dtypes().dtype
    return found
