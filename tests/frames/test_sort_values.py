"""sort_values on a Dask frame gives what pandas gives, on every scheduler."""

from __future__ import annotations

from decimal import Decimal
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.frame_tasks import sample as frame_sample
from dlsort.tuning import TUNING
from tuning_kit import bands_of, tuned

KEYS = [name for name in data.KEYS if name not in data.VIEWS]
PAYLOADS = [name for name in data.PAYLOADS if name not in data.VIEWS]


@pytest.fixture(scope="module", params=["sync", "threads", "cluster"])
def run(request):
    if request.param == "cluster":
        with data.two_workers():
            yield data.run_on_cluster
    else:
        yield data.run_locally(request.param)


def check(run, parts, by, ascending=True, na_position="last", tuning=TUNING, **kwargs):
    ddf = data.frame_of(parts)
    result = dlsort.sort_values(ddf, by, ascending=ascending, na_position=na_position, **kwargs)
    got = run(tuned(result, tuning))
    n_parts = kwargs.get("npartitions") or len(parts)
    assert len(got) == result.npartitions == n_parts
    assert not result.known_divisions
    assert result.dtypes.tolist() == got[0].dtypes.tolist()
    labels = by if isinstance(by, list) else [by]
    ignore = kwargs.get("ignore_index", False)
    data.assert_sorted(got, parts, labels, ascending, na_position, ignore_index=ignore)
    return got


two_engines = pytest.mark.parametrize("run", ["sync", "cluster"], indirect=True, scope="module")


@two_engines
@pytest.mark.parametrize("name", KEYS)
def test_every_dtype_is_a_key(run, name):
    rng = np.random.default_rng(0)
    parts = data.partitions(rng, [name], [40, 0, 25, 1])
    check(run, parts, f"c0 {name}")
    check(run, parts, f"c0 {name}", ascending=False, na_position="first")


@two_engines
@pytest.mark.parametrize("name", PAYLOADS)
def test_every_dtype_is_carried(run, name):
    rng = np.random.default_rng(0)
    parts = data.partitions(rng, [name, "int64"], [30, 0, 20])
    check(run, parts, "c1 int64", npartitions=4)


@st.composite
def jobs(draw):
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    others = draw(st.lists(st.sampled_from(KEYS + PAYLOADS), max_size=2))
    lengths = draw(st.lists(st.integers(0, 30), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    index = draw(st.sampled_from(list(data.INDEXES)))
    parts = data.partitions(rng, keys + others, lengths, index)
    by = [f"c{i} {name}" for i, name in enumerate(keys)]
    flags = st.lists(st.booleans(), min_size=len(by), max_size=len(by))
    options = {
        "ascending": draw(st.booleans() | flags),
        "na_position": draw(st.sampled_from(["first", "last"])),
        "npartitions": draw(st.none() | st.integers(1, 7)),
        "ignore_index": draw(st.booleans()),
    }
    return parts, by, options


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    job=jobs(), n_sampled=st.sampled_from([1, 10, 1000]), n_rows=st.sampled_from([1, 8, 1000])
)
def test_no_difference_from_pandas(run, job, n_sampled, n_rows):
    parts, by, options = job
    sampled = patch.object(frame_sample, "rows_needed", lambda *_: n_sampled)
    with sampled:
        check(run, parts, by, tuning=bands_of(n_rows), **options)


@pytest.mark.parametrize("index", data.INDEXES)
def test_the_index_goes_along(run, index):
    parts = data.partitions(np.random.default_rng(0), ["int8"], [20, 0, 20], index)
    check(run, parts, "c0 int8", ascending=False)


def test_numbering_goes_on_through_all_partitions(run):
    parts = data.partitions(np.random.default_rng(0), ["int8"], [20, 0, 20], "named")
    got = check(run, parts, "c0 int8", ignore_index=True)
    whole = pd.concat(parts).sort_values("c0 int8", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(pd.concat(got), whole)
    assert [part.index[0] for part in got if len(part)] == [0, 13, 27]


def test_it_is_what_pandas_says_in_one_line(run):
    rng = np.random.default_rng(0)
    parts = data.partitions(rng, ["int8", "str", "category"], [30, 1, 50], "datetime")
    by = ["c1 str", "c2 category", "c0 int8"]
    got = check(run, parts, by, [True, False, True], "first", npartitions=2)
    whole = pd.concat(parts).sort_values(
        by, ascending=[True, False, True], na_position="first", kind="stable"
    )
    pd.testing.assert_frame_equal(pd.concat(got), whole)


@pytest.mark.parametrize("lengths", [[0], [1], [0, 0, 0], [0, 1, 0], [50]])
def test_few_rows_in_many_partitions(run, lengths):
    parts = data.partitions(np.random.default_rng(0), ["Int64", "object str"], lengths)
    for n_parts in (None, 1, 5):
        check(run, parts, ["c1 object str", "c0 Int64"], npartitions=n_parts)


def test_partitions_that_hold_only_nulls(run):
    rng = np.random.default_rng(0)
    for name in ("Int64", "object Decimal", "object str", "category", "string", "float64"):
        parts = data.partitions(rng, [name], [10, 10, 10])
        values = parts[1][f"c0 {name}"]
        parts[1] = parts[1].assign(**{f"c0 {name}": values.where(values.index < 0)})
        check(run, parts, f"c0 {name}", na_position="first")
        check(run, [parts[1], parts[1]], f"c0 {name}")


def test_labels_need_not_be_strings(run):
    parts = data.partitions(np.random.default_rng(0), ["int8", "str", "float64"], [20, 20])
    for labels in (
        [3, 1, 0, 2],
        [("a", 1), ("a", 2), ("b", 1), ("b", 2)],
        ["x", 1, None, ("t", 0)],
        pd.Index([1.5, 2.5, 3.5, 4.5], name="numbers"),
    ):
        for part in parts:
            part.columns = labels
        by = [parts[0].columns[1], parts[0].columns[0]]
        check(run, parts, by)
        check(run, parts, by[0])


def test_a_heavy_key_does_not_make_a_heavy_partition(run):
    rng = np.random.default_rng(0)
    n, n_parts = 20_000, 16
    parts = [
        pd.DataFrame({"k": np.where(rng.random(n) < 0.6, 7, rng.integers(0, 99, n)), "i": i})
        for i in range(n_parts)
    ]
    got = run(dlsort.sort_values(data.frame_of(parts), "k"))
    lengths = np.array([len(part) for part in got])
    assert lengths.max() / lengths.mean() <= 1.15
    whole = pd.concat(parts).sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(pd.concat(got), whole)


def test_uneven_inputs_give_even_partitions(run):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"k": rng.normal(i, 1, n)}) for i, n in enumerate([150_000, 9, 0, 9_991])
    ]
    got = run(dlsort.sort_values(data.frame_of(parts), "k", npartitions=8))
    lengths = np.array([len(part) for part in got])
    assert lengths.max() / lengths.mean() <= 1.15


def test_a_category_that_is_not_everywhere_in_the_same_place_sorts_as_in_the_first(run):
    one = pd.DataFrame({"k": pd.Categorical(["b", "a", "c", None], ["b", "a", "c"])})
    two = pd.DataFrame({"k": pd.Categorical(["c", "b", "a", "b"], ["a", "c", "b"])})
    ddf = data.frame_of([one, two])
    got = pd.concat(run(dlsort.sort_values(ddf, "k")))
    whole = pd.concat([one, two]).sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(got, whole)


def test_categories_that_differ_are_united_where_they_are_carried(run):
    one = pd.DataFrame({"k": [3, 1], "c": pd.Categorical(["b", "a"], ["b", "a"])})
    two = pd.DataFrame({"k": [2, 0], "c": pd.Categorical(["a", None], ["z", "a"])})
    (got,) = run(dlsort.sort_values(data.frame_of([one, two]), "k", npartitions=1))
    assert got["c"].astype(object).tolist()[1:] == ["a", "a", "b"]
    assert got["c"].cat.categories.tolist() == ["b", "a", "z"]


def test_decimals_of_any_scale_are_compared_as_numbers(run):
    parts = [
        pd.DataFrame({"k": pd.Series([Decimal(text) for text in texts], dtype=object)})
        for texts in (["1.10", "-2"], ["1E+9", "1.1", "0.000000001"], ["10"])
    ]
    got = pd.concat(run(dlsort.sort_values(data.frame_of(parts), "k")))
    assert list(map(str, got["k"])) == ["-2", "1E-9", "1.10", "1.1", "10", "1E+9"]


def test_dtypes_are_those_that_the_frame_declares(run):
    one = pd.DataFrame({"k": [1.5, 0.5], "t": np.array([1, 2], "M8[ns]")})
    two = pd.DataFrame({"k": [1, 0], "t": np.array([1, 2], "M8[s]")})  # as pandas gives them
    three = pd.DataFrame({"k": [], "t": []}, dtype=object)
    got = run(dlsort.sort_values(data.frame_of([one, two, three]), "k"))
    assert [part.dtypes.tolist() for part in got] == [one.dtypes.tolist()] * 3
    assert pd.concat(got)["k"].tolist() == [0.0, 0.5, 1.0, 1.5]


def test_attributes_are_kept(run):
    parts = data.partitions(np.random.default_rng(0), ["int8"], [5, 5])
    for part in parts:
        part.attrs = {"unit": "mm", "scale": np.array([1, 2])}
    for part in run(dlsort.sort_values(data.frame_of(parts), "row")):
        assert part.attrs["unit"] == "mm"
        assert part.attrs["scale"].tolist() == [1, 2]
