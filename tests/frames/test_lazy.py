"""A sort of a Dask frame is lazy, reads apart, and behaves as Dask's own expressions do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import dlsort
import frame_data as data

CALLS: Counter[int] = Counter()
META = pd.DataFrame({"k": np.zeros(0, int), "v": np.zeros(0, int)})


def make(i: int) -> pd.DataFrame:
    CALLS[i] += 1
    rng = np.random.default_rng(i)
    return pd.DataFrame({"k": rng.integers(0, 9, 50), "v": np.arange(50) + 50 * i})


def double(part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(v=2 * part["v"])


@pytest.fixture
def ddf():
    CALLS.clear()
    return dd.from_map(make, range(6), meta=META)


@pytest.fixture(scope="module")
def client():
    with data.two_workers() as client:
        yield client


def whole() -> pd.DataFrame:
    return pd.concat([make(i) for i in range(6)])


def run(result: dd.DataFrame) -> pd.DataFrame:
    return pd.concat(data.run_locally("sync")(result))


# ---------------------------------------------------------------- lazy


def test_building_and_looking_reads_nothing(ddf):
    result = dlsort.sort_values(ddf, ["k", "v"], ascending=[False, True])
    assert "SortValues" in repr(result)
    assert "k" in result._repr_html_()
    assert "SortValues" in result.expr.tree_repr()
    assert result.npartitions == 6
    assert result.divisions == (None,) * 7
    assert result.columns.tolist() == ["k", "v"]
    assert result.dtypes.tolist() == META.dtypes.tolist()
    assert result.index.dtype == META.index.dtype
    assert result.optimize().npartitions == 6
    result.to_delayed()
    assert not CALLS


def test_each_partition_is_read_for_the_sample_and_again_for_the_exchange(ddf):
    """Read once, it would have to wait in memory, all of it, until the model is there."""
    for frame, by in ((ddf, "k"), (ddf, ["k", "v"]), (ddf.map_partitions(double), ["v", "k"])):
        CALLS.clear()
        run(dlsort.sort_values(frame, by))
        assert Counter(dict.fromkeys(range(6), 2)) == CALLS


def test_no_task_gives_an_input_partition(ddf):
    """Reading and splitting are one task, so that no partition lies about in between."""
    graph = dlsort.sort_values(ddf.map_partitions(double), "k").optimize().__dask_graph__()
    names = Counter(name if isinstance(name, str) else name[0] for name in graph)
    assert len(names) == 6
    kinds = {name.rpartition("-")[0]: n for name, n in names.items()}
    assert sum("split" in kind for kind in kinds) == 1
    assert sorted(kinds.values()) == [1, 1, 6, 6, 6, 6]


def test_a_persisted_frame_is_not_made_again(ddf):
    kept = ddf.persist(scheduler="sync")
    CALLS.clear()
    result = run(dlsort.sort_values(kept.map_partitions(double), "k"))
    assert not CALLS
    pd.testing.assert_frame_equal(result, double(whole().sort_values("k", kind="stable")))


def test_the_sample_reads_the_key_columns_only(tmp_path):
    pd.DataFrame({"k": [3, 1], "v": [1, 2]}).to_parquet(tmp_path / "x.parquet")
    result = dlsort.sort_values(dd.read_parquet(tmp_path), "k")
    assert sorted(data.columns_read(result)) == [["k"], ["k", "v"]]


def test_the_number_of_partitions_holds_where_dask_reads_several_files_as_one(tmp_path):
    for i in range(6):
        make(i).assign(**{f"x{j}": 0.0 for j in range(20)}).to_parquet(
            tmp_path / f"{i}.parquet"
        )
    ddf = dd.read_parquet(tmp_path)[["k", "v"]]
    result = dlsort.sort_values(ddf, "k")
    parts = data.run_locally("sync")(result)
    assert len(parts) == result.npartitions == 6
    expected = whole().sort_values("k", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), expected)


# ---------------------------------------------------------------- as Dask's own


def test_tokens_depend_on_what_is_sorted_and_how(ddf):
    def name(*args, **kwargs):
        return dlsort.sort_values(*args, **kwargs).optimize()._name

    assert name(ddf, "k") == name(ddf, "k") == name(ddf, ["k"], ascending=[True])
    others = [
        name(ddf, "k"),
        name(ddf, "v"),
        name(ddf, ["k", "v"]),
        name(ddf, "k", ascending=False),
        name(ddf, "k", na_position="first"),
        name(ddf, "k", npartitions=2),
        name(ddf, "k", ignore_index=True),
        name(ddf.map_partitions(double), "k"),
    ]
    assert len(set(others)) == len(others)


def test_expressions_survive_pickling(ddf):
    result = dlsort.sort_values(ddf, "k")
    for collection in (result, result.optimize()):
        again = pickle.loads(pickle.dumps(collection))
        assert again._name == collection._name
        expected = whole().sort_values("k", kind="stable")
        pd.testing.assert_frame_equal(run(again), expected)


def test_what_follows_a_sort_sees_it_sorted(ddf, client):
    result = dlsort.sort_values(ddf, "k", ascending=False)
    expected = whole().sort_values("k", ascending=False, kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)
    pd.testing.assert_frame_equal(result.head(7), expected.head(7))
    pd.testing.assert_frame_equal(result.tail(7), expected.tail(7))
    pd.testing.assert_frame_equal(result.head(120, npartitions=3), expected.head(120))
    pd.testing.assert_series_equal(result["v"].compute(), expected["v"])
    pd.testing.assert_frame_equal(result[result["k"] > 3].compute(), expected.query("k > 3"))
    pd.testing.assert_frame_equal(result.map_partitions(double).compute(), double(expected))
    assert len(result) == len(expected)
    assert result["v"].sum().compute() == expected["v"].sum()


def test_some_partitions_in_any_order(ddf, client):
    result = dlsort.sort_values(ddf, "k")
    parts = data.run_on_cluster(result)
    got = data.run_on_cluster(result.partitions[[4, 1]])
    for part, index in zip(got, (4, 1), strict=True):
        pd.testing.assert_frame_equal(part, parts[index])
    got = data.run_locally("sync")(result.partitions[[2, 2]])
    for part in got:
        pd.testing.assert_frame_equal(part, parts[2])


def test_two_sorts_of_one_frame_at_once(ddf, client):
    up, down = dask.compute(
        dlsort.sort_values(ddf, "k"), dlsort.sort_values(ddf, "k", ascending=False)
    )
    pd.testing.assert_frame_equal(up, whole().sort_values("k", kind="stable"))
    expected = whole().sort_values("k", kind="stable", ascending=False)
    pd.testing.assert_frame_equal(down, expected)


def test_a_sort_of_a_sort(ddf, client):
    result = dlsort.sort_values(dlsort.sort_values(ddf, "v", ascending=False), "k")
    expected = whole().sort_values("v", ascending=False).sort_values("k", kind="stable")
    pd.testing.assert_frame_equal(pd.concat(data.run_on_cluster(result)), expected)


def test_a_sort_of_a_join(ddf, client):
    other = ddf.rename(columns={"v": "w"})
    result = dlsort.sort_values(ddf.merge(other, on="k"), ["v", "w"], npartitions=4)
    expected = whole().merge(whole().rename(columns={"v": "w"}), on="k")
    got = pd.concat(data.run_on_cluster(result), ignore_index=True)
    expected = expected.sort_values(["v", "w"], ignore_index=True)
    pd.testing.assert_frame_equal(got, expected)


@pytest.mark.parametrize("name", ["map_overlap", "rolling", "diff", "ffill"])
def test_what_needs_neighbouring_rows_can_be_sorted(name):
    """Dask can't choose columns of the first two; of the second it makes a series."""
    frame = whole().reset_index(drop=True).assign(w=1.5)
    ddf = dd.from_pandas(frame, npartitions=4)
    result, expected = {
        "map_overlap": lambda: (ddf.map_overlap(double, 1, 0, meta=frame[:0]), double(frame)),
        "rolling": lambda: (ddf.rolling(3).sum(), frame.rolling(3).sum()),
        "diff": lambda: (ddf.diff(), frame.diff()),
        "ffill": lambda: (ddf.ffill(), frame),
    }[name]()
    expected = expected.sort_values("k", kind="stable")
    for columns in (["k", "v", "w"], ["k", "v"], ["v"]):
        got = run(dlsort.sort_values(result, "k")[columns])
        pd.testing.assert_frame_equal(got, expected[columns])
    for columns in (["v", "w"], ["w"]):
        got = run(dlsort.set_index(result, "k")[columns])
        pd.testing.assert_frame_equal(got, expected.set_index("k")[columns])


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's writer
def test_to_parquet(ddf, client, tmp_path):
    dlsort.sort_values(ddf, "k").to_parquet(tmp_path)
    expected = whole().sort_values("k", kind="stable")
    got = dd.read_parquet(tmp_path).compute()
    pd.testing.assert_frame_equal(got, expected, check_index_type=False)


def test_a_scheduler_that_is_asked_for_in_the_configuration_is_used(ddf, client):
    with dask.config.set(scheduler="sync"):
        result = dlsort.sort_values(ddf, "k").compute()
    pd.testing.assert_frame_equal(result, whole().sort_values("k", kind="stable"))
    assert sum(CALLS.values()) == 12 + 6  # here, not on the cluster; and for the oracle


def test_worker_processes():
    parts = data.partitions(
        np.random.default_rng(0), ["Int64", "object anything", "category", "str"], [500] * 4
    )
    by = ["c0 Int64", "c2 category"]
    with data.two_workers(processes=True, memory_limit=0):
        got = data.run_on_cluster(dlsort.sort_values(data.frame_of(parts), by, npartitions=7))
    data.assert_sorted(got, parts, by)


def test_the_scheduler_needs_no_kernels():
    """Dask's scheduler unpickles the expression and lays its tasks."""
    script = """
import pickle, sys
expr = pickle.loads(bytes.fromhex(sys.stdin.read()))
assert len(expr.__dask_graph__()) > 6
assert "dlsort.frames.sort_values" in sys.modules
print("numba" in sys.modules or "dlsort_kernels" in sys.modules)
"""
    frame = dd.from_pandas(pd.DataFrame({"k": range(6)}), npartitions=3)
    expr = dlsort.sort_values(frame, "k").optimize().expr
    found = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(expr).hex(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"
