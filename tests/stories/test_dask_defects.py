"""What Dask's own sort_values gets wrong, one story each, on partitions of a cluster.

Never by a bare ``compute()`` of Dask's: that asks for one partition, which is one pandas sort.
"""

from __future__ import annotations

import inspect
import itertools
from decimal import Decimal

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import dlsort
import frame_data as data
from dlsort.errors import BadOptionError


@pytest.fixture(scope="module", autouse=True)
def client():
    with data.two_workers() as client:
        yield client


def sort(parts, by, **kwargs):
    """Return the output partitions, as they lie on the workers."""
    result = dlsort.sort_values(data.frame_of(parts), by, **kwargs)
    got = data.run_on_cluster(result)
    assert len(got) == result.npartitions
    return got


def check(parts, by, **kwargs):
    got = sort(parts, by, **kwargs)
    expected = pd.concat(parts).sort_values(by, kind="stable", **kwargs)
    pd.testing.assert_frame_equal(pd.concat(got), expected)
    return got


def cut(frame, n_parts):
    edges = np.linspace(0, len(frame), n_parts + 1).astype(int)
    return [frame.iloc[a:b] for a, b in itertools.pairwise(edges)]


# ---------------------------------------------------------------- nulls and types


@pytest.mark.parametrize("method", [None, "p2p", "tasks", "disk"])
def test_nulls_that_go_first_go_to_the_first_partition(method):
    keys = np.where(np.arange(80) % 4 == 0, np.nan, np.arange(80) * 7 % 11)
    parts = cut(pd.DataFrame({"k": keys, "v": range(80)}), 4)
    got = sort(parts, "k", na_position="first", shuffle_method=method)
    assert got[0]["k"].isna().all()
    assert not got[-1]["k"].isna().any()
    expected = pd.concat(parts).sort_values("k", kind="stable", na_position="first")
    pd.testing.assert_frame_equal(pd.concat(got), expected)


def test_strings_with_nulls_are_a_key():
    words = pd.array(["b", None, "a", "c", None, "a"] * 5, dtype="str")
    check(cut(pd.DataFrame({"k": words}), 3), "k")
    check(cut(pd.DataFrame({"k": words.astype("string[pyarrow]")}), 3), "k")


def test_a_partition_that_is_all_null_is_sorted():
    values = pd.array([3, 1, 2, None, None, None, 5, 4, 0], dtype="Int64")
    check(cut(pd.DataFrame({"k": values}), 3), "k")


def test_decimals_are_compared_as_numbers():
    values = [Decimal(text) for text in ("10", "9", "2.5", "-1", "100", "0.30")]
    check(cut(pd.DataFrame({"k": pd.Series(values, dtype=object)}), 2), "k")


def test_bytes_are_a_key():
    values = pd.Series([b"\xff", b"a", b"", b"\x00", b"b", b"a\x00"], dtype=object)
    check(cut(pd.DataFrame({"k": values}), 2), "k")


def test_half_precision_floats_are_a_key():
    rng = np.random.default_rng(0)
    check(cut(pd.DataFrame({"k": rng.normal(size=60).astype("float16")}), 3), "k")


def test_columns_may_be_named_by_integers():
    rng = np.random.default_rng(0)
    check(cut(pd.DataFrame(rng.integers(0, 9, (60, 2))), 3), 1)
    check(cut(pd.DataFrame(rng.integers(0, 9, (60, 2))), 3), [1, 0])


# ---------------------------------------------------------------- partitions


def lengths(parts):
    return np.array([len(part) for part in parts])


def test_three_first_keys_fill_sixteen_partitions():
    rng = np.random.default_rng(0)
    n = 160_000
    frame = pd.DataFrame({"a": rng.integers(0, 3, n), "b": rng.integers(0, n, n)})
    got = check(cut(frame, 16), ["a", "b"])
    assert len(got) == 16
    assert lengths(got).max() <= 1.15 * lengths(got).mean()


def test_a_heavy_value_is_split():
    rng = np.random.default_rng(0)
    n = 160_000
    frame = pd.DataFrame({"k": np.where(rng.random(n) < 0.7, 500, rng.integers(0, 1000, n))})
    got = check(cut(frame, 8), "k")
    assert lengths(got).max() <= 1.15 * lengths(got).mean()


@pytest.mark.parametrize("values", ["one", "two", "many"])
def test_the_number_of_partitions_does_not_depend_on_the_data(values):
    n = 90
    keys = {"one": np.zeros(n), "two": np.arange(n) % 2, "many": np.arange(n) * 1.0}[values]
    parts = cut(pd.DataFrame({"k": keys, "v": range(n)}), 9)
    assert len(check(parts, "k")) == 9
    assert len(sort(parts, "k", npartitions=4)) == 4


def test_partitions_of_automatic_number():
    frame = pd.DataFrame({"k": np.arange(10_000)[::-1] * 1.0})
    ddf = dd.from_pandas(frame, npartitions=10, sort=False)
    result = dlsort.sort_values(ddf, "k", npartitions="auto", partition_size=30_000)
    got = data.run_on_cluster(result)
    assert 2 < len(got) < 10
    pd.testing.assert_frame_equal(pd.concat(got), frame.sort_values("k"))


# ---------------------------------------------------------------- what is asked for


def test_nothing_is_read_by_looking():
    read = []

    def make(i):
        read.append(i)
        return pd.DataFrame({"k": [i]})

    ddf = dd.from_map(make, range(3), meta=pd.DataFrame({"k": [0]}).iloc[:0])
    result = dlsort.sort_values(ddf, "k")
    repr(result), result._repr_html_(), result.npartitions, result.divisions, result.columns
    assert not read


def test_equal_keys_keep_their_order():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.integers(0, 5, 3000), "v": range(3000)})
    got = pd.concat(sort(cut(frame, 6), "k"))
    assert all(part["v"].is_monotonic_increasing for _, part in got.groupby("k"))


def test_rows_are_numbered_through_all_partitions():
    parts = cut(pd.DataFrame({"k": np.arange(60) * 7 % 60}, index=list("abcdef") * 10), 5)
    got = sort(parts, "k", ignore_index=True)
    assert [number for part in got for number in part.index] == list(range(60))


def test_a_key_function_is_called():
    parts = cut(pd.DataFrame({"k": [3, -1, 2, -5, 0, 4]}), 2)
    check(parts, "k", key=abs)


def test_in_place_is_refused_and_not_swallowed():
    ddf = data.frame_of([pd.DataFrame({"k": [1]})])
    for wrong in ({"inplace": True}, {"kind": "bubble"}, {"axis": 1}, {"no_such": 1}):
        with pytest.raises(BadOptionError):
            dlsort.sort_values(ddf, "k", **wrong)


def test_no_parameter_of_dasks_or_pandas_is_missing():
    ours = set(inspect.signature(dlsort.sort_values).parameters)
    for method in (dd.DataFrame.sort_values, pd.DataFrame.sort_values):
        assert set(inspect.signature(method).parameters) - {"self"} <= ours
    ours = set(inspect.signature(dlsort.set_index).parameters)
    assert set(inspect.signature(dd.DataFrame.set_index).parameters) - {"self"} <= ours
    ours = set(inspect.signature(dlsort.sort_index).parameters)
    assert set(inspect.signature(pd.DataFrame.sort_index).parameters) - {"self"} <= ours


def test_one_partition_is_sorted_by_the_same_exchange():
    """Dask's ``compute()`` puts all rows into one partition first, and sorts there."""
    parts = cut(pd.DataFrame({"k": np.arange(60) * 7 % 11, "v": range(60)}), 4)
    result = dlsort.sort_values(data.frame_of(parts), "k")
    graph = result.repartition(npartitions=1).optimize().__dask_graph__()
    assert sum("split" in str(key) for key in graph) >= 4
    expected = pd.concat(parts).sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's writer
def test_order_survives_a_round_trip_through_parquet(tmp_path):
    parts = cut(pd.DataFrame({"k": np.arange(120) * 7 % 120}), 12)
    dlsort.sort_values(data.frame_of(parts), "k").to_parquet(tmp_path)
    again = dd.read_parquet(tmp_path, aggregate_files=False, split_row_groups=False)
    assert again["k"].compute().is_monotonic_increasing


def test_sorted_input_is_sorted_and_stays_even():
    got = check(cut(pd.DataFrame({"k": np.arange(40_000)}), 8), "k")
    assert lengths(got).max() <= 1.15 * lengths(got).mean()
