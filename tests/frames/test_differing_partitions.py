"""Frames whose partitions differ, and keys that Arrow's dtypes hold: pandas is the oracle."""

from __future__ import annotations

from decimal import Decimal
from functools import cmp_to_key

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from arrow_data import oracle
from dlsort.errors import BadOptionError, KeyTypeError, SchemaMismatchError, UnknownColumnError
from dlsort.frame_tasks.objects import number_bytes
from dlsort.keys import SortKey

NAN = float("nan")


local = data.run_locally("sync")


def compute(parts, by, **how) -> pd.DataFrame:
    """Return all sorted partitions together."""
    ddf = data.frame_of(parts)
    return pd.concat(local(dlsort.sort_values(ddf, by, **how)))


# ---------------------------------------------------------------- categories


def categorical(values, of=None, *, ordered=False) -> pd.DataFrame:
    column = pd.Categorical(list(values), categories=of, ordered=ordered)
    return pd.DataFrame({"c": column, "v": range(len(values))})


UNITED = {
    "text": [categorical(list("cab")), categorical(list("adz"))],
    "nulls and none": [categorical([None, "b"]), categorical([], []), categorical(["a", None])],
    "numbers": [categorical([3, 1]), categorical([2, 10, 3])],
    "numbers held otherwise": [categorical([3, 1]), categorical([2.5, 3.0])],
    "dates": [
        categorical(pd.to_datetime(["2020-01-02"])),
        categorical(pd.to_datetime(["1999-01-01", "2020-01-02"])),
    ],
    "text held otherwise": [
        categorical(["b", "a"]),
        categorical(np.array(["c", "a"], dtype=object)),
    ],
}


@pytest.mark.parametrize("parts", UNITED.values(), ids=UNITED)
@pytest.mark.parametrize("down", [False, True])
def test_categories_that_differ_are_united_in_the_order_of_their_values(parts, down):
    values = [v for part in parts for v in part["c"].tolist()]
    want = pd.DataFrame({"c": values, "row": range(len(values))})
    want = want.sort_values("c", kind="stable", ascending=not down)
    ddf = data.frame_of(parts)
    got = local(dlsort.sort_values(ddf, "c", ascending=not down))
    assert len({tuple(part["c"].cat.categories) for part in got}) == 1
    assert got[0]["c"].cat.categories.is_monotonic_increasing
    joined = pd.concat(got)
    pd.testing.assert_series_equal(
        joined["c"].astype(object).reset_index(drop=True),
        want["c"].astype(object).reset_index(drop=True),
        check_dtype=False,
    )
    first = dlsort.sort_values(ddf, "c", ascending=not down).head(2, npartitions=-1)
    assert first["c"].astype(object).tolist() == joined["c"].astype(object).tolist()[:2]


def test_one_set_of_categories_keeps_its_order():
    parts = [categorical(["a", "b"], ["b", "a"]), categorical(["a", "b"], ["a", "b"])]
    assert compute(parts, "c")["c"].tolist() == ["b", "b", "a", "a"]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            [
                categorical("a", ["a", "b"], ordered=True),
                categorical("a", ["b", "a"], ordered=True),
            ],
            "its ordered categories differ between partitions 0 and 1",
        ),
        (
            [categorical("a", ["a"], ordered=True), categorical("a", ["a", "b"])],
            "its ordered categories differ",
        ),
        (
            [categorical("a"), categorical([1])],
            "its categories differ between .* have no order together",
        ),
    ],
)
def test_ordered_categories_that_differ_are_refused(parts, says):
    with pytest.raises(KeyTypeError, match=f"cannot sort by 'c': {says}"):
        compute(parts, "c")


def test_set_index_by_categories_that_differ_has_divisions():
    ddf = data.frame_of([categorical(list("cab")), categorical(list("adz"))])
    found = dlsort.set_index(ddf, "c")
    assert pd.concat(local(found)).index.tolist() == list("aabcdz")
    assert found.divisions[0] == "a"


# ---------------------------------------------------------------- columns


def test_columns_in_another_order_are_aligned_by_name():
    one = pd.DataFrame({"k": [2, 1], "v": [0, 1], "w": list("ab")})
    parts = [one, one[["w", "v", "k"]] + one[["w", "v", "k"]], one[["v", "k", "w"]]]
    want = pd.concat(parts).sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(compute(parts, "k"), want)
    want = pd.concat(parts).sort_values(["w", "v"], kind="stable")
    pd.testing.assert_frame_equal(compute(parts, ["w", "v"]), want)
    first = dlsort.sort_values(data.frame_of(parts), "k").head(3, npartitions=-1)
    assert first["k"].tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"k": [1]}, r"partition 1 has not the columns .* \('k', 'v'\): it lacks 'v'\."),
        ({"k": [1], "v": [1], "x": [1]}, "it has also 'x'"),
        ({"k": [1], "V": [1]}, "it lacks 'v' and has also 'V'"),
    ],
)
def test_missing_and_extra_columns_are_named(other, says):
    with pytest.raises(SchemaMismatchError, match=says):
        compute([pd.DataFrame({"k": [2], "v": [3]}), pd.DataFrame(other)], "k")


def test_a_column_that_is_there_twice_is_named():
    twice = pd.DataFrame([[1, 2, 3]], columns=["k", "v", "v"])
    with pytest.raises(SchemaMismatchError, match="it has twice 'v'"):
        compute([pd.DataFrame({"k": [2], "v": [3]}), twice], "v")


@pytest.mark.parametrize(
    "empty",
    [
        pd.DataFrame({"k": pd.Series([], dtype=object), "v": pd.Series([], dtype="str")}),
        pd.DataFrame({"v": [], "k": []}),
        pd.DataFrame({"k": pd.to_datetime([])}),
        pd.DataFrame({"k": [1.5], "v": ["x"], "x": [2]}).iloc[:0],
    ],
)
def test_partitions_without_rows_may_be_anything(empty):
    full = pd.DataFrame({"k": [2, 1], "v": [0, 1]})
    empty.index = empty.index.astype("int64")
    got = compute([full, empty, full], "k")
    assert got["k"].tolist() == [1, 1, 2, 2]
    assert got.dtypes.tolist() == full.dtypes.tolist()


# ---------------------------------------------------------------- numbers


def numbers(dtype, values):
    return pd.DataFrame({"k": pd.Series(values, dtype=dtype), "v": range(len(values))})


@pytest.mark.parametrize(
    "parts",
    [
        [numbers("int64", [3, 1]), numbers("float64", [2.5, None, -1.0])],
        [numbers("int32", [3, 1]), numbers("float32", [2.5, -1.0])],
        [numbers("int64", [2**53, 1]), numbers("float64", [2.0**63])],
        [numbers("uint8", [255, 1]), numbers("int8", [0]), numbers("float16", [0.5])],
        [numbers("Int64", [3, None]), numbers("Float64", [2.5])],
    ],
)
def test_floats_beside_integers_are_what_pandas_makes_of_them(parts):
    whole = pd.concat(parts)
    want = whole.sort_values("k", kind="stable")
    got = compute(parts, "k")
    assert got["k"].dtype == want["k"].dtype
    pd.testing.assert_frame_equal(got, want)
    carried = compute(parts, "v")
    pd.testing.assert_frame_equal(carried, whole.sort_values("v", kind="stable"))


def test_integers_that_a_float_rounds_are_refused():
    parts = [numbers("int64", [2**53 + 1]), numbers("float64", [0.5])]
    with pytest.raises(KeyTypeError, match="int64 and float64, and none of these holds all"):
        compute(parts, "k")
    with pytest.raises(SchemaMismatchError, match="'k' are int64, float64"):
        compute(parts, "v", npartitions=1)


NUMBERS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.floats(-2, 2, width=16).map(np.float16),
    st.decimals(allow_nan=False),
    st.sampled_from([2**53, 2**53 + 1, float(2**53), Decimal("0.1"), 0.1, np.int64(7), -0.0]),
)


def by_value(a, b) -> int:
    a, b = (v.item() if isinstance(v, np.generic) else v for v in (a, b))
    return (a > b) - (a < b)


@given(NUMBERS, NUMBERS)
def test_bytes_of_numbers_compare_as_python_compares_them(a, b):
    one, two = number_bytes(a), number_bytes(b)
    assert (one > two) - (one < two) == by_value(a, b)


@settings(max_examples=15, deadline=None)
@given(st.lists(NUMBERS | st.none(), min_size=1, max_size=20), st.booleans())
def test_objects_of_several_types_of_numbers_are_compared_as_numbers(values, down):
    values = [*values, 1, 0.5, Decimal("0.25"), True]
    whole = pd.DataFrame({"k": pd.Series(values, dtype=object)})
    cut = len(values) // 2
    got = compute([whole[:cut], whole[cut:]], "k", ascending=not down)
    present = [i for i, v in enumerate(values) if v is not None]
    present.sort(key=lambda i: cmp_to_key(by_value)(values[i]), reverse=down)
    order = present + [i for i, v in enumerate(values) if v is None]
    assert got.index.tolist() == order
    assert [type(v) for v in got["k"]] == [type(values[i]) for i in order]


@pytest.mark.parametrize("values", [[1, "a"], [1.5, b"x"], [Decimal(1), "a"], [True, [1]]])
def test_text_beside_numbers_stays_refused(values):
    frame = pd.DataFrame({"k": pd.Series(values, dtype=object)})
    with pytest.raises(KeyTypeError, match=r"several types .* or numbers"):
        compute([frame[:1], frame[1:]], "k")


# ---------------------------------------------------------------- Arrow's dtypes


def arrow_parts(table: pa.Table) -> list[pd.DataFrame]:
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame["row"] = range(len(frame))
    return [frame[:2], frame[2:2], frame[2:5], frame[5:]]


STRUCTS = [
    {"f": 2.0, "w": "b"},
    {"f": NAN, "w": None},
    None,
    {"f": None, "w": "a"},
    {"f": 2.0, "w": "a"},
    {"f": -1.0, "w": "z"},
    {"f": NAN, "w": "b"},
]
LISTS = [[1, 2], [1], [], None, [1, None], [0, 9], [1, 2]]
MORE = pa.table({"s": pa.array(STRUCTS), "l": pa.array(LISTS)})


@pytest.mark.parametrize("by", ["s", "l", "s.f", "s.w"])
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("nan", [None, "first", "last"])
def test_structs_lists_and_fields_are_keys(by, down, nan):
    parts = arrow_parts(MORE)
    got = compute(parts, [by, "row"], ascending=[not down, True], nan_position=nan)
    key = SortKey(by, descending=down, nan_first=None if nan is None else nan == "first")
    assert got["row"].tolist() == oracle(MORE, [key])
    assert list(got.columns) == ["s", "l", "row"]
    assert got.dtypes.tolist() == parts[0].dtypes.tolist()


def test_a_field_that_is_not_there_is_told_as_any_column():
    with pytest.raises(UnknownColumnError, match=r"no column 's\.x'"):
        compute(arrow_parts(MORE), "s.x")
    with pytest.raises(KeyTypeError, match="cannot make an index of 'l'"):
        dlsort.set_index(data.frame_of(arrow_parts(MORE)), "l")


@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64", "double[pyarrow]"])
@pytest.mark.parametrize("na", ["first", "last"])
@pytest.mark.parametrize("nan", ["first", "last"])
def test_nan_has_a_place_beside_that_of_nulls(dtype, na, nan):
    values = [1.0, NAN, None, -1.0, np.inf]
    if dtype == "double[pyarrow]":
        array = pd.arrays.ArrowExtensionArray(pa.array(values, pa.float64()))
        column, nulls = pd.Series(array), [2]
    else:  # NumPy's have no other null; pandas' nullable ones make nulls of NaN
        column, nulls = pd.Series(values, dtype=dtype), [1, 2] if dtype == "Float64" else []
    frame = pd.DataFrame({"k": column})
    got = compute([frame[:2], frame[2:]], "k", na_position=na, nan_position=nan)
    nans = [i for i in (1, 2) if i not in nulls]
    order = [*nans, 3, 0, 4] if nan == "first" else [3, 0, 4, *nans]
    assert got.index.tolist() == (nulls + order if na == "first" else order + nulls)


def test_a_place_of_nan_is_one_of_two_words():
    ddf = data.frame_of([pd.DataFrame({"k": [1.0]})])
    with pytest.raises(BadOptionError, match="nan_position is 'middle'; expected 'first'"):
        dlsort.sort_values(ddf, "k", nan_position="middle")
