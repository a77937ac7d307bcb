from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column, is_missing, oracle
from dlsort.arrow.take import take_table
from dlsort.keys import SortKey
from dlsort.order.argsort import argsort, order_columns
from dlsort.order.ranks import normal_keys
from dlsort.order.words import key_table
from dlsort.proof.disorder import first_disorder
from dlsort.tuning import TUNING


def argsort_runs(table: pa.Table, keys: tuple[SortKey, ...]) -> tuple:
    """Return the order of a table's rows, and its runs of equal keys."""
    columns = normal_keys(key_table(table, keys), keys, TUNING.order).columns()
    order = order_columns(columns, keys, TUNING.order, runs=True)
    return order.rows, order.runs


def sort_keys(names: list[str]) -> st.SearchStrategy[tuple[SortKey, ...]]:
    return st.tuples(
        *(st.builds(SortKey, st.just(n), st.booleans(), st.booleans()) for n in names)
    )


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
def test_each_type_sorts_like_pythons_stable_sort(kind, descending, nulls_first):
    rng = np.random.default_rng(len(kind) + 2 * descending + nulls_first)
    for n, nulls in itertools.product((0, 1, 2, 50, 700), (0.0, 0.3, 1.0)):
        table = pa.table({"k": column(rng, kind, n, nulls=nulls)})
        keys = (SortKey("k", descending, nulls_first),)
        assert argsort(key_table(table, keys), keys, TUNING.order).tolist() == oracle(
            table, keys
        )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_several_keys_of_any_types_sort_like_pythons_stable_sort(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=4))
    n = data.draw(st.integers(0, 120))
    distinct = data.draw(st.sampled_from([None, 1, 2, 5]))
    nulls = data.draw(st.sampled_from([0.0, 0.2, 0.9]))
    names = [f"k{i}" for i in range(len(kinds))]
    table = pa.table(
        {
            n_: column(rng, k, n, nulls=nulls, distinct=distinct)
            for n_, k in zip(names, kinds, strict=True)
        }
    )
    keys = data.draw(sort_keys(names))
    got = argsort(key_table(table, keys), keys, TUNING.order).tolist()
    want = oracle(table, keys)
    assert got == want
    in_order = take_table(key_table(table, keys), np.array(want, np.uint32))
    assert first_disorder(in_order, keys, TUNING.order) == -1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_disorder_is_found_at_the_first_place(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    names = [f"k{i}" for i in range(len(kinds))]
    table = pa.table(
        {n: column(rng, k, 12, distinct=4) for n, k in zip(names, kinds, strict=True)}
    )
    keys = data.draw(sort_keys(names))
    rank = {row: place for place, row in enumerate(oracle(table, keys))}
    runs = argsort_runs(table, keys)
    same = {}
    for number, (start, end) in enumerate(zip(*runs[1], strict=True)):
        same.update(dict.fromkeys(runs[0][start:end].tolist(), number))
    want = -1
    for i in range(11):
        tied = i in same and same[i] == same.get(i + 1)
        if rank[i] > rank[i + 1] and not tied:
            want = i
            break
    assert first_disorder(key_table(table, keys), keys, TUNING.order) == want


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_runs_are_the_rows_with_equal_keys(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(sorted(KEY_TYPES)))
    table = pa.table({"k": column(rng, kind, 40, distinct=6)})
    keys = (SortKey("k", descending=data.draw(st.booleans())),)
    order, (starts, ends) = argsort_runs(table, keys)
    values = [None if is_missing(v) else v for v in table["k"].to_pylist()]
    tied = [values[i] for i in order]
    want = []
    for _, run in itertools.groupby(range(40), key=lambda i: (tied[i] is None, tied[i])):
        rows = list(run)
        if len(rows) > 1:
            want.append((rows[0], rows[-1] + 1))
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == want


@pytest.mark.parametrize("by", [["a"], ["a", "b"], ["b", "a"], ["c", "a", "b"]])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("na_position", ["first", "last"])
def test_pandas_stable_sort_agrees(by, ascending, na_position):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 20, 3000).astype(float),
            "b": rng.choice(["x", "yy", "", None], 3000),
            "c": pd.array(rng.integers(0, 3, 3000), "Int64"),
        }
    )
    frame.loc[rng.random(3000) < 0.1, "a"] = np.nan
    frame.loc[rng.random(3000) < 0.1, "c"] = pd.NA
    want = frame.sort_values(
        by, ascending=ascending, na_position=na_position, kind="stable"
    ).index
    keys = tuple(SortKey(c, not ascending, na_position == "first") for c in by)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    assert argsort(key_table(table, keys), keys, TUNING.order).tolist() == want.tolist()


def test_ordered_dictionary_sorts_by_its_own_order():
    sizes = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, 1, None, 0], pa.int8()),
        pa.array(["small", "medium", "big"]),
        ordered=True,
    )
    keys = (SortKey("s"),)
    assert argsort(pa.table({"s": sizes}), keys, TUNING.order).tolist() == [1, 4, 2, 0, 3]


def test_repeated_and_null_dictionary_values_tie():
    doubled = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, 3, 0]), pa.array(["b", "b", None, "a"])
    )
    keys = (SortKey("s"),)
    assert argsort(pa.table({"s": doubled}), keys, TUNING.order).tolist() == [3, 0, 1, 4, 2]
    nan = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array([float("nan"), 1.0]))
    assert argsort(
        pa.table({"s": nan}), (SortKey("s", descending=True),), TUNING.order
    ).tolist() == [1, 0, 2]


def test_long_strings_with_one_prefix_and_zero_bytes():
    base = "x" * 100_000
    values = [base + "b", base, base + "\0", base + "a", base, None, base[:-1]]
    table = pa.table({"s": values})
    keys = (SortKey("s"),)
    assert argsort(table, keys, TUNING.order).tolist() == oracle(table, keys)
