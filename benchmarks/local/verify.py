"""Is the result of a local sort an order of all rows, and a stable one?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.local.inputs import Case

__all__ = ["verdict"]


def verdict(case: Case, result: Any) -> str:
    """Return "stable", "sorted", "values" (no row numbers to check) or "wrong"."""
    if result is None:
        return "values"
    if case.group == "table":
        return _table_verdict(case, result)
    rows = np.asarray(result)
    if len(rows) != case.n_rows or not (np.bincount(rows, minlength=case.n_rows) == 1).all():
        return "wrong"
    # Equal keys are in order if their rows are.
    stable: Any = pa.array(rows[:-1] < rows[1:])
    is_sorted: Any = pa.scalar(True)
    for name in reversed(case.by):
        less, equal = _neighbours(case.columns[name], rows, descending=case.by[name])
        stable = pc.or_(less, pc.and_(equal, stable))
        is_sorted = pc.or_(less, pc.and_(equal, is_sorted))
    if pc.all(stable, min_count=0).as_py():
        return "stable"
    return "sorted" if pc.all(is_sorted, min_count=0).as_py() else "wrong"


def _neighbours(
    values: Any, rows: npt.NDArray[Any], *, descending: bool
) -> tuple[pa.Array, pa.Array]:
    """Return which neighbours in an order are increasing, and which equal; nulls last."""
    array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if array.type == pa.float16():
        array = array.cast(pa.float32())
    array = array.take(pa.array(rows))
    left, right = array[:-1], array[1:]
    less = pc.greater(left, right) if descending else pc.less(left, right)
    # Of two values; a value stands before a null, and nulls are equal.
    less = pc.or_(less.fill_null(False), pc.and_(left.is_valid(), right.is_null()))
    equal = pc.or_(
        pc.equal(left, right).fill_null(False), pc.and_(left.is_null(), right.is_null())
    )
    return less, equal


def _table_verdict(case: Case, result: Any) -> str:
    key, value = (_numbers(result, name) for name in ("key", "value"))
    rows = np.argsort(case.columns["key"], kind="stable")
    if np.array_equal(value, np.asarray(case.columns["value"])[rows]):
        return "stable"
    same = np.array_equal(np.sort(value), np.sort(case.columns["value"]))
    return "sorted" if same and (key[1:] >= key[:-1]).all() else "wrong"


def _numbers(table: Any, name: str) -> npt.NDArray[Any]:
    return np.asarray(table[name].to_numpy())
