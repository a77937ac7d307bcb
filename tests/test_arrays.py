"""The local doors for arrays: row numbers, ranks, and whether there is anything to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column, oracle, same_as_before
from dlsort import argsort, is_sorted, rank
from dlsort.keys import SortKey
from dlsort.tuning import TUNING, OrderTuning
from dlsort_kernels import learned_groups as groups
from dlsort_kernels import threads as kernel_threads

BOTH = [True, False]
PLACES = ["first", "last"]


@pytest.fixture
def few_rows_take_every_path(monkeypatch):
    return shrink(monkeypatch)


def shrink(patch: pytest.MonkeyPatch) -> OrderTuning:
    """Make groups, blocks and the work of a thread so small that a few rows fill many."""
    patch.setattr(groups, "GROUP_ROWS", 32)
    patch.setattr(kernel_threads, "THREAD_ROWS", 100)
    return OrderTuning(block_rows=150, numpy_rows=0, arrow_rows=0)


# ---------------------------------------------------------------- missing values and limits


LIMITS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5, 1e300, 5e-324]


@pytest.mark.parametrize("na_position", PLACES)
@pytest.mark.parametrize("ascending", BOTH)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_at_their_limits(kind, ascending, na_position, few_rows_take_every_path):
    rng = np.random.default_rng(11)
    with np.errstate(over="ignore"):
        limits = np.array(LIMITS).astype(kind)
    how = {
        "ascending": ascending,
        "na_position": na_position,
        "_tuning": few_rows_take_every_path,
    }
    for n, share in ((40, 1.0), (3_000, 1.0), (3_000, 0.05), (3_000, 0.0)):
        values = rng.normal(size=n).astype(kind)
        values = np.where(rng.random(n) < share, rng.choice(limits, n), values)
        # pandas has no float16.
        series = pd.Series(values.astype(np.float64))
        want = series.sort_values(ascending=ascending, kind="stable", na_position=na_position)
        for threads in (1, 2):
            assert argsort(values, threads=threads, **how).tolist() == want.index.tolist()
        assert not is_sorted(values, **how)
        assert is_sorted(values[want.index], **how)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_nan_counts_as_null(kind):
    whole = np.dtype(f"u{np.dtype(kind).itemsize}")
    infinity = np.array(np.inf, kind).view(whole)
    sign = whole.type(1) << whole.type(8 * whole.itemsize - 1)
    # The first NaN and the last, of either sign: quiet ones and signalling ones.
    nans = [infinity + whole.type(1), infinity | (sign - whole.type(1))]
    bits = [*nans, *(nan | sign for nan in nans), infinity, infinity | sign]
    values = np.array(bits, whole).view(kind)
    assert argsort(values).tolist() == [5, 4, 0, 1, 2, 3]
    assert argsort(values, ascending=False, na_position="first").tolist() == [0, 1, 2, 3, 4, 5]
    assert rank(values).tolist() == [2, 2, 2, 2, 1, 0]
    assert argsort([values, np.arange(6, 0, -1)]).tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("kind", ["int8", "int64", "uint64", "double", "string", "timestamp"])
def test_many_nulls(kind, share, few_rows_take_every_path):
    values = column(np.random.default_rng(12), kind, 2_000, nulls=share)
    for ascending, na_position in ((True, "first"), (False, "last"), (True, "last")):
        key = SortKey("k", not ascending, na_position == "first")
        want = oracle(pa.table({"k": values}), [key])
        how = {
            "ascending": ascending,
            "na_position": na_position,
            "_tuning": few_rows_take_every_path,
        }
        for threads in (1, 3):
            assert argsort(values, threads=threads, **how).tolist() == want


@pytest.mark.parametrize("na_position", PLACES)
@pytest.mark.parametrize("ascending", BOTH)
@pytest.mark.parametrize("unit", ["M8[Y]", "M8[W]", "M8[h]", "M8[as]", "m8", "m8[M]", ">m8[h]"])
def test_units_that_only_numpy_has(unit, ascending, na_position, few_rows_take_every_path):
    rng = np.random.default_rng(13)
    numbers = rng.integers(-(2**62), 2**62, 700) >> rng.integers(0, 60, 700)
    values = numbers.astype(np.dtype(unit))
    values[::7] = "NaT"
    values[:2] = np.array([2**63 - 1, -(2**63) + 1]).astype(values.dtype)
    integers = values.astype(values.dtype.newbyteorder("=")).view(np.int64)
    present = np.where(np.isnat(values), 0, integers if ascending else -integers)
    at_end = np.isnat(values) == (na_position == "last")
    want = np.lexsort((present, at_end)).tolist()
    how = {
        "ascending": ascending,
        "na_position": na_position,
        "_tuning": few_rows_take_every_path,
    }
    assert argsort(values, **how).tolist() == want
    assert argsort([values, np.zeros(700)], **how).tolist() == want
    assert is_sorted(values[want], **how)


# ---------------------------------------------------------------- any key columns


def columns_of(data: st.DataObject, n: int, most: int = 4) -> tuple[pa.Table, list[SortKey]]:
    """Draw key columns of any types, and the direction and null place of each."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=most))
    distinct = data.draw(st.sampled_from([None, 1, 2, 6, 60]))
    nulls = data.draw(st.sampled_from([0.0, 0.2, 0.9]))
    table = pa.table(
        {
            f"k{i}": column(rng, kind, n, nulls=nulls, distinct=distinct)
            for i, kind in enumerate(kinds)
        }
    )
    names = table.column_names
    return table, [
        SortKey(n, data.draw(st.booleans()), data.draw(st.booleans())) for n in names
    ]


def assert_doors_agree(
    table: pa.Table,
    keys: list[SortKey],
    threads: Sequence[int],
    tuning: OrderTuning = TUNING.order,
) -> None:
    """Compare every door with Python's own sort."""
    how = {
        "ascending": [not key.descending for key in keys],
        "na_position": ["first" if key.nulls_first else "last" for key in keys],
        "_tuning": tuning,
    }
    want = oracle(table, keys)
    again = same_as_before(table, want)
    firsts = [i for i, same in enumerate(again) if not same]
    number = np.cumsum(np.logical_not(again)) - 1
    places = {
        "first": np.arange(len(want)),
        "dense": number,
        "min": np.array(firsts, np.int64)[number],
    }
    for count in threads:
        order = argsort(table, threads=count, **how)
        assert order.dtype == np.int64
        assert order.tolist() == want
        for method, place in places.items():
            ranks = rank(table, method=method, threads=count, **how)
            assert ranks.dtype == np.int64
            assert ranks[want].tolist() == place.tolist()
    in_rows = np.empty(len(want), np.int64)
    in_rows[want] = places["min"]
    assert is_sorted(table, **how) == (np.diff(in_rows) >= 0).all()


@settings(max_examples=150)
@given(st.data())
def test_any_key_columns_sort_like_pythons_stable_sort(data):
    table, keys = columns_of(data, data.draw(st.integers(0, 60)))
    assert_doors_agree(table, keys, [1])


@settings(max_examples=50)
@given(data=st.data())
def test_any_key_columns_over_many_groups_blocks_and_threads(data):
    table, keys = columns_of(data, data.draw(st.integers(300, 1_500)), most=3)
    with pytest.MonkeyPatch.context() as patch:
        assert_doors_agree(table, keys, [1, 3], shrink(patch))


@pytest.mark.parametrize(
    "kind", ["int8", "int32", "int64", "float", "double", "bool", "string"]
)
def test_the_number_of_threads_changes_nothing(kind, few_rows_take_every_path):
    rng = np.random.default_rng(15)
    how = {"_tuning": few_rows_take_every_path}
    values = column(rng, kind, 500, nulls=0.1).take(rng.integers(0, 500, 6_000))
    for keys in (values, [values, np.arange(6_000) % 7]):
        want = argsort(keys, threads=1, **how)
        for threads in (2, 5, None, np.int64(3)):
            assert (argsort(keys, threads=threads, **how) == want).all()
            ranks = rank(keys, threads=threads, **how)
            assert (ranks[want] == rank(keys, **how)[want]).all()


# ---------------------------------------------------------------- rank and is_sorted


@pytest.mark.parametrize("n", [1, 2, 5, 300, 40_000])
def test_ranks_are_what_numpy_and_pandas_find(n):
    rng = np.random.default_rng(n)
    for values in (rng.integers(0, n, n), rng.normal(size=n).round(1), np.zeros(n)):
        series = pd.Series(values)
        assert (rank(values) == np.searchsorted(np.sort(values), values)).all()
        for method in ("min", "dense", "first"):
            assert (rank(values, method=method) == series.rank(method=method) - 1).all()
            # pandas turns the order of equal values round with the direction.
            if method != "first":
                down = series.rank(method=method, ascending=False) - 1
                assert (rank(values, method=method, ascending=False) == down).all()


@pytest.mark.parametrize("method", ["min", "dense"])
@pytest.mark.parametrize(("na_position", "option"), [("first", "top"), ("last", "bottom")])
def test_missing_values_are_ranked_as_equals(na_position, option, method):
    values = pd.Series([2.0, None, 1.0, None, 2.0])
    want = values.rank(method=method, na_option=option) - 1
    assert (rank(values, method=method, na_position=na_position) == want).all()


@given(
    st.lists(st.one_of(st.none(), st.integers(-2, 2)), max_size=6), st.booleans(), st.booleans()
)
def test_is_sorted_is_a_comparison_of_neighbours(values, ascending, first):
    def place(value):
        if value is None:
            return (not first, 0)
        return (first, value if ascending else -value)

    places = [place(value) for value in values]
    how = {"ascending": ascending, "na_position": "first" if first else "last"}
    assert is_sorted(pa.array(values, pa.int64()), **how) == (places == sorted(places))
