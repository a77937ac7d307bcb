"""What follows a sort and can come before it does; the first rows need no sort at all."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data

KEYS = [name for name in data.KEYS if name not in data.VIEWS]


@pytest.fixture(autouse=True)
def sync():
    with dask.config.set(scheduler="sync"):
        yield


def frame(n=60, n_parts=4):
    rng = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "k": rng.integers(0, 9, n),
            "j": rng.choice(list("abc"), n),
            "v": np.arange(n) * 1.0,
            "w": rng.normal(size=n),
        }
    )
    return made, dd.from_pandas(made, npartitions=n_parts, sort=False)


def kinds(collection):
    expressions = {e._name: e for e in data.walk(collection)}
    return [type(each).__name__ for each in expressions.values()]


def is_sorted_first(collection):
    """Return whether a sort is the last thing that is done."""
    return kinds(collection)[0] == "Exchanged"


# ---------------------------------------------------------------- columns and filters


def test_columns_are_chosen_before_the_sort(tmp_path):
    made, _ = frame()
    made.to_parquet(tmp_path / "x.parquet")
    result = dlsort.sort_values(dd.read_parquet(tmp_path), ["k", "j"])["v"]
    assert sorted(data.columns_read(result)) == [["k", "j"], ["k", "j", "v"]]
    expected = made.sort_values(["k", "j"], kind="stable")["v"]
    pd.testing.assert_series_equal(result.compute(), expected, check_index_type=False)


@pytest.mark.parametrize("columns", [["w", "k"], ["v"], ["k"], [], ["j", "v", "w", "k"]])
@pytest.mark.parametrize("by", [["k"], ["j", "k"]])
def test_any_columns_after_the_sort(columns, by):
    made, ddf = frame()
    result = dlsort.sort_values(ddf, by, ascending=False)[columns]
    expected = made.sort_values(by, ascending=False, kind="stable")[columns]
    pd.testing.assert_frame_equal(result.compute(), expected, check_dtype=False)


def test_filters_go_before_the_sort():
    made, ddf = frame()
    result = dlsort.sort_values(ddf, "k")
    found = result[(result["v"] > 9) & (result["j"] != "b")]
    assert is_sorted_first(found)
    chosen = (made["v"] > 9) & (made["j"] != "b")
    expected = made[chosen].sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(found.compute(), expected, check_dtype=False)


def test_what_depends_on_the_order_stays_behind_the_sort():
    made, ddf = frame()
    result = dlsort.sort_values(ddf, "k")
    expected = made.sort_values("k", kind="stable")
    for found, wanted in (
        (result[result["w"].cumsum() > 1], expected[expected["w"].cumsum() > 1]),
        (
            result[result["v"].map_partitions(lambda s: s > s.iloc[0], meta=("v", bool))],
            None,
        ),
    ):
        assert not is_sorted_first(found)
        if wanted is not None:
            pd.testing.assert_frame_equal(found.compute(), wanted, check_dtype=False)


def test_numbers_of_rows_are_given_before_a_filter():
    made, ddf = frame()
    result = dlsort.sort_values(ddf, "k", ignore_index=True)
    found = result[result["v"] > 9]
    assert not is_sorted_first(found)
    expected = made.sort_values("k", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(found.compute(), expected.query("v > 9"), check_dtype=False)


def test_counting_rows_needs_no_sort():
    made, ddf = frame()
    result = dlsort.sort_values(ddf, "k")
    assert "Transfer" not in kinds(result.index.size)
    assert len(result) == len(made)
    assert len(dlsort.set_index(ddf, "k")) == len(made)


# ---------------------------------------------------------------- sorted already


def test_what_is_sorted_already_is_not_sorted_again():
    made, ddf = frame()
    once = dlsort.sort_values(ddf, ["k", "j"])
    for twice in (
        dlsort.sort_values(once, ["k", "j"]),
        dlsort.sort_values(once, "k"),
        dlsort.sort_values(once[once["v"] > 9], "k"),
        dlsort.sort_values(once[["k", "v"]], ["k"]),
        dlsort.sort_values(once, "k", npartitions=2),
        dlsort.sort_values(once, "k", ignore_index=True),
    ):
        assert kinds(twice).count("Transfer") == 1
    found = dlsort.sort_values(once, "k", npartitions=2, ignore_index=True)
    expected = made.sort_values(["k", "j"], kind="stable", ignore_index=True)
    assert len(dask.compute(*found.to_delayed())) == 2
    pd.testing.assert_frame_equal(found.compute(), expected, check_dtype=False)


def test_another_order_is_another_sort():
    made, ddf = frame()
    once = dlsort.sort_values(ddf, ["k", "j"])
    for by, kwargs in (
        ("j", {}),
        (["k", "v"], {}),
        ("k", {"ascending": False}),
        ("k", {"na_position": "first"}),
    ):
        twice = dlsort.sort_values(once, by, **kwargs)
        assert kinds(twice).count("Transfer") == 2
        expected = made.sort_values(["k", "j"], kind="stable")
        expected = expected.sort_values(by, kind="stable", **kwargs)
        pd.testing.assert_frame_equal(twice.compute(), expected, check_dtype=False)


# ---------------------------------------------------------------- the first and last rows


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(st.sampled_from(KEYS), min_size=1, max_size=2),
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
    n=st.integers(0, 30),
    last=st.booleans(),
    ascending=st.booleans(),
    na_position=st.sampled_from(["first", "last"]),
)
def test_head_and_tail_are_those_of_pandas(
    names, lengths, seed, n, last, ascending, na_position
):
    parts = data.partitions(np.random.default_rng(seed), names, lengths)
    by = [f"c{i} {name}" for i, name in enumerate(names)]
    result = dlsort.sort_values(
        data.frame_of(parts), by, ascending=ascending, na_position=na_position
    )
    lazy = result.tail(n, compute=False) if last else result.head(n, compute=False)
    assert "Transfer" not in kinds(lazy)
    found = lazy.compute()
    whole = pd.concat(parts)
    order = data.order_of(whole, by, ascending, na_position)
    wanted = (order[len(order) - n :] if n else []) if last else order[:n]
    if len(order) < n:
        wanted = order
    expected = whole.iloc[wanted]
    assert found["row"].tolist() == expected["row"].tolist()
    assert found.dtypes.tolist() == whole.dtypes.tolist()
    assert found.index.tolist() == expected.index.tolist()


def test_the_first_rows_are_numbered():
    made, ddf = frame()
    result = dlsort.sort_values(ddf, "k", ignore_index=True)
    expected = made.sort_values("k", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(result.head(3), expected.head(3), check_dtype=False)
    pd.testing.assert_frame_equal(result.tail(3), expected.tail(3), check_dtype=False)


def test_head_of_a_series_and_of_a_column():
    made, ddf = frame()
    found = dlsort.sort_values(ddf["w"]).head(3, compute=False)
    assert "Transfer" not in kinds(found)
    pd.testing.assert_series_equal(found.compute(), made["w"].sort_values().head(3))
    found = dlsort.sort_values(ddf, "w")["v"].head(3)
    pd.testing.assert_series_equal(found, made.sort_values("w")["v"].head(3))


def test_smallest_and_largest_of_a_sorted_frame():
    made, ddf = frame()
    up, down = (
        dlsort.sort_values(ddf, ["k", "w"]),
        dlsort.sort_values(ddf, "k", ascending=False),
    )
    ordered = made.sort_values(["k", "w"], kind="stable")
    for lazy, expected in (
        (up.nsmallest(5, ["k", "w"]), ordered.nsmallest(5, ["k", "w"])),
        (up.nsmallest(5, "k"), ordered.nsmallest(5, "k")),
        (up.nsmallest(np.int64(5), "k"), ordered.nsmallest(5, "k")),
        (up.nsmallest(-1, "k"), ordered.nsmallest(-1, "k")),
        (down.nlargest(5, "k"), made.sort_values("k", ascending=False).nlargest(5, "k")),
        (up.nlargest(5, "k"), ordered.nlargest(5, "k")),
        (up.nsmallest(5, "v"), ordered.nsmallest(5, "v")),
    ):
        found = lazy.compute()
        pd.testing.assert_series_equal(found["k"], expected["k"], check_index=False)
    assert "FirstRows" in str(up.nsmallest(5, "k").simplify().expr.tree_repr())
    assert "FirstRows" not in str(up.nlargest(5, "k").simplify().expr.tree_repr())


def test_objects_of_several_types_are_refused_for_the_first_rows_too():
    parts = [pd.DataFrame({"k": pd.Series([1], dtype=object)}) for _ in range(2)]
    parts[1]["k"] = pd.Series(["a"], dtype=object)
    with pytest.raises(dlsort.DlsortError, match="several types"):
        dlsort.sort_values(data.frame_of(parts), "k").head(2)


def test_categories_that_differ_are_united_for_the_first_rows_too():
    one = pd.DataFrame({"k": pd.Categorical(["b"], ["b", "a"])})
    two = pd.DataFrame({"k": pd.Categorical(["c", "a"], ["c", "a"])})
    first = dlsort.sort_values(data.frame_of([one, two]), "k").head(2)
    assert first["k"].tolist() == ["a", "b"]
    of_order = [f.assign(k=f["k"].cat.as_ordered()) for f in (one, two)]
    with pytest.raises(dlsort.DlsortError, match="categories differ"):
        dlsort.sort_values(data.frame_of(of_order), "k").head(2)
