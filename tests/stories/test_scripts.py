"""What Dask's users write, unchanged, gives what pandas gives: with a client, and without."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from pandas import testing

import dlsort
import frame_data as data

rng = np.random.default_rng(0)
N = 600
FRAME = pd.DataFrame(
    {
        "id": rng.permutation(N) // 2,
        "name": pd.array(rng.choice(["ann", "bob", "cy", "dee"], N), dtype="string[pyarrow]"),
        "x": rng.integers(0, 99, N) / 4,
        "when": rng.permutation(pd.date_range("2024-01-01", periods=N, freq="h")),
    }
)
BY_ID = FRAME.set_index("id").sort_index(kind="stable")
BY_TIME = FRAME.set_index("when").sort_index()


@pytest.fixture(scope="module", autouse=True, params=["client", "no client", "threads"])
def scheduler(request):
    """Return what ``compute`` is asked for: another scheduler than the current, or nothing."""
    if request.param == "no client":
        yield {}
        return
    with data.two_workers():
        yield {"scheduler": "threads"} if request.param == "threads" else {}


@pytest.fixture(autouse=True)
def enabled():
    with dlsort.enabled():
        yield


@pytest.fixture
def ddf():
    return dd.from_pandas(FRAME, npartitions=6, sort=False)


def same(got, expected, **options):
    check = testing.assert_series_equal if got.ndim == 1 else testing.assert_frame_equal
    check(got, expected, check_freq=False, **options)


def test_sort_and_compute(ddf, scheduler):
    result = ddf.sort_values(["name", "x"], ascending=[True, False]).compute(**scheduler)
    same(result, FRAME.sort_values(["name", "x"], ascending=[True, False], kind="stable"))


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's writer
def test_sort_and_write(ddf, scheduler, tmp_path):
    ddf.sort_values("x").to_parquet(tmp_path / "out", compute_kwargs=scheduler)
    same(dd.read_parquet(tmp_path / "out").compute(), FRAME.sort_values("x", kind="stable"))
    ddf.sort_values("x").to_csv(tmp_path / "*.csv", index=False, compute_kwargs=scheduler)
    files = sorted(tmp_path.glob("*.csv"), key=lambda path: int(path.stem))
    assert len(files) == 6
    found = pd.concat(map(pd.read_csv, files))["x"].tolist()
    assert found == sorted(FRAME["x"])


def test_read_sort_and_write(scheduler, tmp_path):
    for i in range(3):
        FRAME.iloc[200 * i : 200 * i + 200].to_parquet(tmp_path / f"{i}.parquet")
    ddf = dd.read_parquet(tmp_path, columns=["id", "x"])
    result = ddf[ddf.x > 5].set_index("id").x.sum().compute(**scheduler)
    assert result == FRAME.x[FRAME.x > 5].sum()


def test_index_and_look_up(ddf, scheduler):
    indexed = ddf.set_index("id")
    assert indexed.known_divisions
    same(indexed.loc[100:120].compute(**scheduler), BY_ID.loc[100:120])
    same(indexed.loc[[7]].compute(**scheduler), BY_ID.loc[[7]])
    again = indexed.repartition(npartitions=2)
    assert again.npartitions == 2
    same(again.compute(**scheduler), BY_ID)
    divisions = [0, 100, 200, 299]
    again = indexed.repartition(divisions=divisions, force=True)
    assert again.divisions == tuple(divisions)
    same(again.compute(**scheduler), BY_ID)


def test_index_that_is_sorted(scheduler):
    ordered = FRAME.sort_values("when", ignore_index=True)
    ddf = dd.from_pandas(ordered, npartitions=6)
    indexed = ddf.set_index("when", sorted=True)
    assert indexed.known_divisions
    same(indexed.compute(**scheduler), BY_TIME)
    day = indexed.loc["2024-01-03"].compute(**scheduler)
    same(day, BY_TIME.loc["2024-01-03"])
    days = list(pd.date_range("2024-01-01", periods=26)[::5])
    indexed = ddf.set_index("when", divisions=days)
    assert indexed.divisions == tuple(days)
    same(indexed.compute(**scheduler), BY_TIME)


def test_group_after_index(ddf, scheduler):
    indexed = ddf.set_index("name")
    grouped = indexed.groupby("name").x.agg(["mean", "count"]).compute(**scheduler)
    same(grouped.sort_index(), FRAME.groupby("name").x.agg(["mean", "count"]))
    biggest = indexed.map_partitions(
        lambda part: part.groupby(level=0).x.max(), meta=("x", "f8")
    ).compute(**scheduler)
    same(biggest, FRAME.groupby("name").x.max(), check_index_type=False)


def test_neighbours_after_index(ddf, scheduler):
    indexed = ddf.set_index("when")[["id", "x"]]
    expected = BY_TIME[["id", "x"]]
    same(
        indexed.map_overlap(lambda part: part.diff(), 1, 0).compute(**scheduler),
        expected.diff(),
    )
    same(indexed.rolling("6h").mean().compute(**scheduler), expected.rolling("6h").mean())
    same(indexed.x.shift(1).compute(**scheduler), expected.x.shift(1))
    same(indexed.x.cumsum().compute(**scheduler), expected.x.cumsum())


def test_resample_after_index(ddf, scheduler):
    found = ddf.set_index("when").x.resample("1D").mean().compute(**scheduler)
    same(found, BY_TIME.x.resample("1D").mean())


def test_join_on_index(ddf, scheduler):
    other = FRAME[["id", "x"]].rename(columns={"x": "y"}).drop_duplicates("id")
    right = dd.from_pandas(other, npartitions=3, sort=False).set_index("id")
    found = ddf.set_index("id").merge(right, left_index=True, right_index=True)
    expected = BY_ID.merge(other.set_index("id"), left_index=True, right_index=True)
    by = ["id", "when"]
    found = found.compute(**scheduler).sort_values(by)
    same(found, expected.sort_values(by))
    found = ddf.set_index("id").join(right, how="left").compute(**scheduler)
    same(found.sort_values(by), expected.sort_values(by))


def test_distinct_rows_and_the_largest(ddf, scheduler):
    by_value = ddf.sort_values(["x", "id"])
    expected = FRAME.sort_values(["x", "id"], kind="stable")
    # Dask's own shuffle is then by peers, without a look at the scheduler that is asked for.
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        found = by_value.drop_duplicates("name").compute(**scheduler)
        assert sorted(found["name"]) == sorted(set(FRAME["name"]))
        assert by_value["name"].unique().compute(**scheduler).size == 4
        assert len(ddf.set_index("id").index.unique().compute(**scheduler)) == N // 2
    same(by_value.nlargest(5, "id").compute(**scheduler), expected.nlargest(5, "id"))
    same(by_value.nsmallest(5, "x").compute(**scheduler), expected.nsmallest(5, "x"))
    same(by_value.x.nlargest(3).compute(**scheduler), expected.x.nlargest(3))


def test_the_first_rows(ddf):
    by_value = ddf.sort_values("x", ascending=False)
    expected = FRAME.sort_values("x", ascending=False, kind="stable")
    same(by_value.head(150, npartitions=-1), expected.head(150))
    same(by_value.head(), expected.head())
    same(by_value.tail(), expected.tail())
    same(ddf.set_index("id").head(7, npartitions=2), BY_ID.head(7))
    same(by_value.head(3, compute=False).compute(), expected.head(3))


def test_persist_and_wait(ddf, scheduler):
    kept = ddf.sort_values("x").persist(**scheduler)
    dask.base.wait(kept)
    same(kept.compute(**scheduler), by_x())
    one, two = dask.compute(kept.x.sum(), ddf.set_index("id").x.max(), **scheduler)
    assert (one, two) == (FRAME.x.sum(), FRAME.x.max())
    one, two = dask.persist(ddf.sort_values("x"), ddf.set_index("id"), **scheduler)
    same(one.compute(**scheduler), by_x())
    same(two.compute(**scheduler), BY_ID)


def by_x() -> pd.DataFrame:
    return FRAME.sort_values("x", kind="stable")


@pytest.mark.parametrize("method", ["tasks", "p2p", "disk", None])
def test_a_shuffle_method_in_the_configuration(ddf, scheduler, method):
    with dask.config.set({"dataframe.shuffle.method": method}):
        same(ddf.sort_values("x").compute(**scheduler), by_x())
        same(ddf.set_index("id").compute(**scheduler), BY_ID)


def test_a_series(ddf, scheduler):
    same(ddf.x.sort_values().compute(**scheduler), by_x().x)
    same(ddf["x"].sort_values(ascending=False).head(4), FRAME.x.nlargest(4))


def test_rows_by_partition(ddf, scheduler):
    by_value = ddf.sort_values("x")
    lengths = by_value.map_partitions(len).compute(**scheduler)
    assert sum(lengths) == len(by_value) == N
    parts = dask.compute(*by_value.to_delayed(), **scheduler)
    same(pd.concat(parts), by_x())
    same(by_value.partitions[1].compute(**scheduler), parts[1])
    same(by_value.get_partition(2).compute(**scheduler), parts[2])


def test_columns_that_are_made_on_the_way(ddf, scheduler):
    ddf["y"] = ddf.x * 2
    ddf = ddf.assign(z=lambda each: each.y + each.id).rename(columns={"x": "X"})
    frame = FRAME.assign(y=FRAME.x * 2, z=FRAME.x * 2 + FRAME.id).rename(columns={"x": "X"})
    found = ddf.dropna().sort_values("z").reset_index(drop=True)[["z", "X"]]
    got = found.compute(**scheduler).reset_index(drop=True)
    same(got, frame.sort_values("z", kind="stable", ignore_index=True)[["z", "X"]])
    by_time = ddf.set_index(ddf.when.dt.floor("D")).y.compute(**scheduler)
    expected = frame.set_index(frame.when.dt.floor("D")).y.sort_index(kind="stable")
    same(by_time, expected)


def test_sort_then_sort_then_index(ddf, scheduler):
    found = ddf.sort_values("x").sort_values("name").set_index("id").reset_index()
    expected = FRAME.sort_values("x", kind="stable").sort_values("name", kind="stable")
    expected = expected.set_index("id").sort_index(kind="stable").reset_index()
    same(found.compute(**scheduler).reset_index(drop=True), expected)


def test_concat_and_to_array(ddf, scheduler):
    both = dd.concat([ddf, ddf]).sort_values("x")
    same(both.compute(**scheduler), pd.concat([FRAME] * 2).sort_values("x", kind="stable"))
    found = ddf.sort_values("x")["x"].to_dask_array(lengths=True)
    assert found.shape == (N,)
    assert found.compute(**scheduler).tolist() == sorted(FRAME.x)
