"""sort_index, and all that sort_values takes besides columns of the frame."""

from __future__ import annotations

import itertools

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.errors import BadKeyError, BadOptionError

OF_ONE_TYPE = [name for name in data.INDEXES if name not in {"object", "multi"}]


@pytest.fixture(scope="module", params=["sync", "cluster"])
def run(request):
    if request.param == "cluster":
        with data.two_workers():
            yield data.run_on_cluster
    else:
        with dask.config.set(scheduler="sync"):
            yield data.run_locally("sync")


def shuffled(index, n=50, n_parts=4):
    whole = pd.DataFrame({"v": np.arange(n)}, index=data.INDEXES[index](n))
    whole = whole.sample(frac=1, random_state=0)
    edges = np.linspace(0, n, n_parts + 1).astype(int)
    return whole, [whole.iloc[a:b] for a, b in itertools.pairwise(edges)]


def joined(run, ddf):
    return pd.concat(run(ddf))


@pytest.mark.parametrize("index", OF_ONE_TYPE)
@pytest.mark.parametrize("ascending", [True, False])
def test_every_index(run, index, ascending):
    whole, parts = shuffled(index)
    result = dlsort.sort_index(data.frame_of(parts), ascending=ascending)
    expected = whole.sort_index(ascending=ascending, kind="stable")
    pd.testing.assert_frame_equal(joined(run, result), expected)
    # Categories are in another order here than Dask would look them up in.
    assert result.known_divisions == (ascending and index != "category")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    index=st.sampled_from(OF_ONE_TYPE),
    n=st.integers(0, 40),
    n_parts=st.integers(1, 5),
    npartitions=st.none() | st.integers(1, 6),
    ascending=st.booleans(),
    na_position=st.sampled_from(["first", "last"]),
    ignore_index=st.booleans(),
    holes=st.booleans(),
)
def test_no_difference_from_pandas(
    run, index, n, n_parts, npartitions, ascending, na_position, ignore_index, holes
):
    whole, parts = shuffled(index, n, n_parts)
    if holes and index == "datetime":
        whole.index = whole.index.where(whole["v"] % 3 != 0)
        edges = np.linspace(0, n, n_parts + 1).astype(int)
        parts = [whole.iloc[a:b] for a, b in itertools.pairwise(edges)]
    options = {
        "ascending": ascending,
        "na_position": na_position,
        "ignore_index": ignore_index,
    }
    result = dlsort.sort_index(data.frame_of(parts), npartitions=npartitions, **options)
    expected = whole.sort_index(kind="stable", **options)
    found = joined(run, result)
    pd.testing.assert_frame_equal(found, expected, check_freq=False)


def test_a_frame_with_divisions_is_sorted_partition_by_partition(run):
    made = pd.DataFrame({"v": range(20)}, index=np.arange(20) // 3)
    ddf = dd.from_pandas(made, npartitions=3).map_partitions(lambda f: f.iloc[::-1])
    result = dlsort.sort_index(ddf)
    assert result.divisions == ddf.divisions
    assert not any("split" in str(key) for key in result.optimize().__dask_graph__())
    assert joined(run, result).index.is_monotonic_increasing
    down = dlsort.sort_index(ddf, ascending=False)
    assert joined(run, down).index.is_monotonic_decreasing


def test_a_level_by_name_or_number(run):
    whole, parts = shuffled("named")
    ddf = data.frame_of(parts)
    expected = whole.sort_index(kind="stable")
    for level in ("id", 0, -1, ["id"]):
        pd.testing.assert_frame_equal(
            joined(run, dlsort.sort_index(ddf, level=level)), expected
        )
    for level in ("x", 1, True):
        with pytest.raises(BadKeyError, match="level is"):
            dlsort.sort_index(ddf, level=level)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"ascending": False},
        {"level": 1},
        {"level": 1, "sort_remaining": False},
        {"level": ["a"], "ascending": False},
        {"level": [1, "a"], "ascending": [False, True]},
        {"level": "a", "key": lambda i: -i},
        {"ignore_index": True},
    ],
)
def test_an_index_of_several_levels(run, kwargs):
    whole, parts = shuffled("multi")
    result = dlsort.sort_index(data.frame_of(parts), **kwargs)
    expected = whole.sort_index(kind="stable", **kwargs)
    pd.testing.assert_frame_equal(joined(run, result), expected)
    with pytest.raises(BadKeyError, match="same length as ascending"):
        dlsort.sort_index(data.frame_of(parts), level=1, ascending=[True, False])


def test_levels_of_an_index_are_keys_like_columns(run):
    whole, parts = shuffled("named")
    result = dlsort.sort_values(data.frame_of(parts), ["id", "v"], ascending=[False, True])
    expected = whole.sort_values(["id", "v"], ascending=[False, True], kind="stable")
    pd.testing.assert_frame_equal(joined(run, result), expected)
    whole, parts = shuffled("multi")
    result = dlsort.sort_values(data.frame_of(parts), "a")
    pd.testing.assert_frame_equal(joined(run, result), whole.sort_values("a", kind="stable"))
    both = parts[0].rename_axis(["v", None])
    with pytest.raises(BadKeyError, match="ambiguous"):
        dlsort.sort_values(data.frame_of([both]), "v")


# ---------------------------------------------------------------- key=


def words():
    values = ["b", "A", "c", "B", None, "a", "C", "d", "D"] * 5
    whole = pd.DataFrame({"t": pd.array(values, dtype="str"), "n": np.arange(45) % 7 - 3})
    return whole, [whole.iloc[:20], whole.iloc[20:20], whole.iloc[20:]]


def lower(column):
    return column.str.lower()


def test_a_function_of_the_key(run):
    whole, parts = words()
    ddf = data.frame_of(parts)
    for by, key in (
        ("t", lower),
        ("n", abs),
        ("n", lambda c: -c),
        (["n"], lambda c: c % 2 == 0),
    ):
        expected = whole.sort_values(by, key=key, kind="stable")
        result = dlsort.sort_values(ddf, by, key=key)
        assert result.columns.tolist() == ["t", "n"]
        pd.testing.assert_frame_equal(joined(run, result), expected)
        pd.testing.assert_frame_equal(result.head(4), expected.head(4))
        pd.testing.assert_series_equal(result["n"].compute(), expected["n"])
    key = {"t": lower, "n": abs}
    result = dlsort.sort_values(
        ddf, ["n", "t"], key=lambda c: key[c.name](c), ascending=[True, False]
    )
    expected = whole.sort_values(
        ["n", "t"], key=lambda c: key[c.name](c), ascending=[True, False], kind="stable"
    )
    pd.testing.assert_frame_equal(joined(run, result), expected)


def test_a_function_of_the_index(run):
    whole, parts = words()
    expected = whole.sort_index(key=lambda i: i % 5, kind="stable")
    result = dlsort.sort_index(data.frame_of(parts), key=lambda i: i % 5)
    pd.testing.assert_frame_equal(joined(run, result), expected)


def test_a_function_that_changes_the_length_is_refused():
    _, parts = words()
    for frames in (parts, [part[:1] for part in parts]):
        with pytest.raises(BadKeyError, match="must not change the shape"):
            dlsort.sort_values(data.frame_of(frames), "n", key=lambda c: [1]).compute()


def test_a_function_that_knows_only_real_values(run):
    whole = pd.DataFrame({"s": pd.array([f"k{i * 7 % 37}" for i in range(60)], dtype="str")})
    ddf = data.frame_of([whole[:30], whole[30:]])
    for key in (lambda c: c.str[1:].astype(int), lambda c: c.apply(lambda v: int(v[1:]))):
        expected = whole.sort_values("s", key=key, kind="stable")
        result = dlsort.sort_values(ddf, "s", key=key)
        assert joined(run, result)["s"].tolist() == expected["s"].tolist()


def test_no_key_changes_nothing():
    ddf = data.frame_of(words()[1])
    assert dlsort.sort_values(ddf, []) is ddf


def test_labels_that_are_no_strings_stay_what_they_are(run):
    whole = pd.DataFrame(np.arange(12).reshape(6, 2) % 5, columns=[7, 8])
    result = dlsort.sort_values(data.frame_of([whole[:3], whole[3:]]), 8, key=lambda c: -c)
    expected = whole.sort_values(8, key=lambda c: -c, kind="stable")
    pd.testing.assert_frame_equal(joined(run, result), expected)


# ---------------------------------------------------------------- series


@pytest.mark.parametrize("name", ["x", None, ("a", 1), 0])
def test_a_series(run, name):
    whole = pd.Series([3.0, np.nan, 1.0, 2.0, 1.0], name=name, index=list("edcba"))
    ddf = dd.from_pandas(whole, npartitions=2, sort=False)
    for kwargs in (
        {},
        {"ascending": False, "na_position": "first"},
        {"ignore_index": True},
        {"key": lambda s: -s},
    ):
        found = joined(run, dlsort.sort_values(ddf, **kwargs))
        expected = whole.sort_values(kind="stable", **kwargs)
        pd.testing.assert_series_equal(found, expected, check_index_type=False)
    found = joined(run, dlsort.sort_index(ddf))
    pd.testing.assert_series_equal(found, whole.sort_index(), check_index_type=False)
    with pytest.raises(BadOptionError, match="cannot sort an Index"):
        dlsort.sort_values(ddf.index)


def test_a_series_named_as_its_index(run):
    whole = pd.Series([3, 1, 2], name="x", index=pd.Index([5, 6, 7], name="x"))
    found = joined(run, dlsort.sort_values(dd.from_pandas(whole, npartitions=2)))
    pd.testing.assert_series_equal(found, whole.sort_values())


# ---------------------------------------------------------------- as Dask has it


def test_a_sort_function_of_ones_own(run):
    rng = np.random.default_rng(0)
    whole = pd.DataFrame({"k": rng.integers(0, 4, 80), "v": rng.permutation(80)})
    parts = [whole[:30], whole[30:]]

    def backwards(part, by, ascending, na_position, ignore_index, *, then):
        assert (by, ascending, na_position, ignore_index) == (["k"], True, "last", False)
        return part.sort_values([*by, then], ascending=[ascending, False])

    result = dlsort.sort_values(
        data.frame_of(parts),
        "k",
        npartitions=8,
        sort_function=backwards,
        sort_function_kwargs={"then": "v"},
    )
    expected = whole.sort_values(["k", "v"], ascending=[True, False])
    pd.testing.assert_frame_equal(joined(run, result), expected)


def test_a_sort_function_has_to_return_a_frame(run):
    ddf = data.frame_of([pd.DataFrame({"k": [2, 1]})])
    result = dlsort.sort_values(ddf, "k", sort_function=lambda part, **_: len(part))
    with pytest.raises(BadOptionError, match="sort_function returned 2; expected"):
        joined(run, result)


@pytest.mark.parametrize("kind", ["quicksort", "mergesort", "heapsort", "stable"])
@pytest.mark.parametrize("method", [None, "tasks", "disk"])
def test_every_kind_is_stable(run, kind, method):
    whole = pd.DataFrame({"k": np.arange(90) % 3, "v": range(90)})
    ddf = data.frame_of([whole[:50], whole[50:]])
    result = dlsort.sort_values(ddf, "k", kind=kind, shuffle_method=method, axis="index")
    pd.testing.assert_frame_equal(joined(run, result), whole.sort_values("k", kind="stable"))


def test_a_method_that_can_not_run_is_refused():
    ddf = data.frame_of([pd.DataFrame({"k": [1]})])
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(RuntimeError, match=r"needs a distributed\.Client"),
    ):
        dlsort.sort_values(ddf, "k", shuffle_method="p2p").compute()


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's writer
@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_partitions_of_a_size(tmp_path, filesystem):
    whole = pd.DataFrame({"k": np.arange(10_000), "v": 1.0})
    ddf = dd.from_pandas(whole, npartitions=10)
    assert dlsort.sort_values(ddf, "k", npartitions="auto").npartitions == 1
    small = {"npartitions": "auto", "partition_size": 40_000}
    assert dlsort.sort_values(ddf, "k", **small).npartitions == 5
    assert dlsort.set_index(ddf, "k", **small).npartitions == 5
    assert dlsort.sort_values(ddf, "k", npartitions="auto", partition_size=9).npartitions == 10
    ddf.to_parquet(tmp_path, write_index=False)
    again = dd.read_parquet(tmp_path, filesystem=filesystem)
    assert dlsort.sort_values(again, "k", npartitions="auto").npartitions == 1
    assert 1 < dlsort.sort_values(again, "k", **small).npartitions <= 10
    made = dd.from_map(lambda i: whole, range(3), meta=whole.iloc[:0])
    assert dlsort.sort_values(made, "k", npartitions="auto").npartitions == 3


def test_a_larger_sample_makes_partitions_more_even():
    rng = np.random.default_rng(0)
    ddf = dd.from_pandas(pd.DataFrame({"k": rng.normal(size=40_000)}), npartitions=4)

    def unevenness(upsample):
        with dask.config.set(scheduler="sync"):
            result = dlsort.sort_values(ddf, "k", npartitions=20, upsample=upsample)
            lengths = result.map_partitions(len).compute()
        return lengths.std()

    assert unevenness(0.01) > unevenness(10)
