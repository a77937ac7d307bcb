"""A column gets another dtype only if no value changes, and no value is boxed to see it."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort.frame_tasks import casts as pandas_casts
from dlsort.frame_tasks.casts import cast_exactly, common_dtype, differ_in_kind_only

UNITS = ("s", "ms", "us", "ns")
NUMBERS = (
    *("int8", "int64", "uint8", "uint64", "float16", "float32", "float64", "bool"),
    *("Int8", "Int64", "UInt64", "Float32", "Float64", "boolean"),
    *(
        "int8[pyarrow]",
        "int64[pyarrow]",
        "uint64[pyarrow]",
        "float[pyarrow]",
        "double[pyarrow]",
    ),
)
TIMES = (
    *(f"datetime64[{unit}]" for unit in UNITS),
    *(f"datetime64[{unit}, Europe/Paris]" for unit in UNITS),
    *(f"timedelta64[{unit}]" for unit in UNITS),
    *("timestamp[ms][pyarrow]", "timestamp[ns][pyarrow]", "duration[us][pyarrow]"),
)
TEXT = ("str", "string", "string[pyarrow]", "large_string[pyarrow]", "object")
EDGES = (0, 1, 2, -1, 127, 128, 255, 2**53, 2**53 + 1, 2**60, 2**63 - 1, -(2**63), 2**63)


def made(values, dtype):
    """Return the values as a column, or None if pandas can't."""
    try:
        return pd.Series(pd.array(values, dtype=object)).astype(dtype)
    except (TypeError, ValueError, ArithmeticError, RuntimeWarning, pa.ArrowException):
        return None


def boxed(column):
    return [None if pd.isna(v) else v for v in column.astype(object)]


def is_same(left, right):
    return [v is None for v in left] == [v is None for v in right] and all(
        a is None or a == b for a, b in zip(left, right, strict=True)
    )


@st.composite
def pairs(draw):
    """Draw a column and a dtype of the same family."""
    family = draw(st.sampled_from([NUMBERS, TIMES, TEXT]))
    found, wanted = draw(st.sampled_from(family)), draw(st.sampled_from(family))
    if family is TEXT:
        one = st.one_of(st.none(), st.sampled_from(["", "a", "zoë", "1"]))
    elif "float" in found.lower() or "double" in found:
        one = st.one_of(st.none(), st.sampled_from([*map(float, EDGES), 0.5, np.inf, 1e-30]))
    elif "bool" in found:
        one = st.one_of(st.none(), st.booleans())
    elif family is NUMBERS:
        one = st.one_of(st.none(), st.sampled_from(EDGES))
    else:
        far = min(2**36 * pandas_casts.PER_SECOND[unit_of(found)], 2**62)
        ticks = [0, 1, 999, 1000, 10**9, -(10**9), far, -(far // 64)]
        drawn = draw(st.lists(st.one_of(st.none(), st.sampled_from(ticks)), min_size=1))
        return times(drawn, found), wanted
    return made(draw(st.lists(one, min_size=1, max_size=5)), found), wanted


def unit_of(dtype):
    return dtype[dtype.index("[") + 1 :].split("]")[0].split(",")[0]


def times(ticks, dtype):
    """Return times from ticks of the dtype's unit."""
    unit = unit_of(dtype)
    numbers = [np.iinfo(np.int64).min if t is None else t for t in ticks]
    plain = pd.Series(np.array(numbers, np.int64).view(f"M8[{unit}]"))
    if "timedelta" in dtype or "duration" in dtype:
        plain = pd.Series(np.array(numbers, np.int64).view(f"m8[{unit}]"))
    if ", " in dtype:
        plain = plain.dt.tz_localize("UTC")
    return plain.astype(dtype)


@settings(deadline=None, max_examples=200)
@given(pairs())
def test_no_value_changes_and_none_is_refused_that_fits(pair):
    column, dtype = pair[0], pd.Series([], dtype=pair[1]).dtype
    if column is None:
        return
    got = cast_exactly(column, dtype)
    if got is not None:
        assert got.dtype == dtype
        assert got.index.equals(column.index)
        assert is_same(boxed(got), boxed(column))
        return
    again = made(boxed(column), dtype)
    assert again is None or not is_same(boxed(again), boxed(column))


@pytest.mark.parametrize(
    ("values", "found", "wanted"),
    [
        ([2**53 + 1], "int64", "float64"),
        ([2**63 - 1], "int64", "float64"),
        ([2**64 - 1], "uint64", "float64"),
        ([2.0**63], "float64", "int64"),
        ([-1], "int64", "uint64"),
        ([2**63], "uint64", "int64"),
        ([0.1], "float64", "float32"),
        ([2], "int64", "bool"),
        ([10**9], "int64", "datetime64[ns]"),
        (["1"], "str", "int64"),
        ([1], "int64", "str"),
        ([1, None], "Int64", "int64"),
    ],
)
def test_what_looks_the_same_after_a_cast_and_back(values, found, wanted):
    assert (
        cast_exactly(pd.Series(values, dtype=found), pd.Series([], dtype=wanted).dtype) is None
    )


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("datetime64[s]", "datetime64[us]"),
        ("datetime64[us]", "datetime64[s]"),
        ("datetime64[ns, UTC]", "datetime64[us, Europe/Paris]"),
        ("datetime64[us]", "timestamp[ms][pyarrow]"),
        ("timedelta64[ns]", "timedelta64[s]"),
        ("Int64", "int64"),
        ("int64[pyarrow]", "Int64"),
        ("int64", "float64"),
        ("string", "str"),
    ],
)
def test_nothing_is_boxed(found, wanted):
    column = pd.Series([3, 1, 2])
    if "time" in found:
        column = times([3 * 10**9, 0, 10**9], found)
    column = column.astype(found)
    with (
        patch.object(pandas_casts, "_cast_boxed", side_effect=AssertionError),
        patch.object(pd.Series, "to_list", side_effect=AssertionError),
    ):
        got = cast_exactly(column, pd.Series([], dtype=wanted).dtype)
    assert got.dtype == wanted


def test_categories_take_what_is_among_them():
    dtype = pd.CategoricalDtype(["b", "a"])
    for found in ("str", "object", "string"):
        got = cast_exactly(pd.Series(["a", None, "b"], dtype=found), dtype)
        assert got.cat.codes.tolist() == [1, -1, 0]
    assert cast_exactly(pd.Series(["a", "c"]), dtype) is None
    assert cast_exactly(pd.Series([True]), pd.CategoricalDtype([1, 2])) is None
    points = pd.CategoricalDtype(pd.interval_range(0, 2))
    assert cast_exactly(pd.Series([1], dtype=object), points) is None


def test_what_differs_in_kind_only():
    def differ(values, found, wanted):
        column = pd.Series(values, dtype=found)
        return differ_in_kind_only(column, pd.Series([], dtype=wanted).dtype)

    assert differ(["2020"], "datetime64[us]", "datetime64[s]")
    assert differ(["2020"], "datetime64[us, UTC]", "datetime64[us]")
    assert differ([300], "int64", "int8")
    assert differ([1, None], "Int64", "int64[pyarrow]")
    assert differ(["\ud800"], "object", "str")
    assert differ(["a"], "category", "str")
    assert differ(["a"], "str", "category")
    assert differ([2**53 + 1], "int64", "float64")
    assert differ([2**70], "object", "int64")
    assert differ([1.5], "float64", "int64")
    assert not differ([1.5], "object", "int64")
    assert not differ([1], "int64", "datetime64[s]")
    assert not differ([1], "object", "str")
    assert not differ([1], "category", "str")


def test_the_common_dtype_is_that_of_pandas():
    found = [np.dtype("M8[s]"), np.dtype("M8[ns]"), np.dtype("M8[s]")]
    assert common_dtype(found) == "datetime64[ns]"
    assert common_dtype([np.dtype("int64"), pd.Int64Dtype()]) == pd.Int64Dtype()


@pytest.mark.parametrize(
    ("found", "wanted"),
    [("uint64[pyarrow]", "UInt64"), ("UInt64", "uint64[pyarrow]"), ("Int64", "int64[pyarrow]")],
)
def test_numbers_beside_nulls_are_not_rounded(found, wanted):
    column = pd.Series([2**63 - 1, None, 2**53 + 1], dtype=found)
    got = cast_exactly(column, pd.Series([], dtype=wanted).dtype)
    assert got.dtype == wanted
    assert boxed(got) == [2**63 - 1, None, 2**53 + 1]


def test_small_floats_are_compared_with_the_limits_of_integers():
    for value, fits in ((np.inf, False), (-np.inf, False), (65504.0, True)):
        got = cast_exactly(pd.Series([value], dtype="float16"), np.dtype("int64"))
        assert (got is not None) is fits
