"""Who computes a sorted frame may ask for another scheduler than the one that is current."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import worker_client

import dlsort
import frame_data as data

FRAME = pd.DataFrame({"k": np.arange(300) * 7 % 50, "v": range(300)})
BY_VALUE = FRAME.sort_values("k", kind="stable")
BY_INDEX = FRAME.set_index("k").sort_index(kind="stable")

pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture(scope="module")
def client():
    with data.two_workers() as client:
        yield client


@pytest.fixture(params=["threads", "sync", "processes"])
def scheduler(request):
    return request.param


def frame():
    return dd.from_pandas(FRAME, npartitions=5, sort=False)


def values():
    return dlsort.sort_values(frame(), "k")


def indexed():
    return dlsort.set_index(frame(), "k")


def same(got, expected):
    pd.testing.assert_frame_equal(got, expected)


def test_compute(scheduler):
    same(values().compute(scheduler=scheduler), BY_VALUE)
    same(indexed().compute(scheduler=scheduler), BY_INDEX)


def test_compute_as_it_is(scheduler):
    same(values().compute(scheduler=scheduler, optimize_graph=False), BY_VALUE)


def test_compute_what_was_optimized_before(scheduler):
    same(values().optimize().compute(scheduler=scheduler), BY_VALUE)


def test_several_at_once(scheduler):
    one, two = dask.compute(values(), indexed(), scheduler=scheduler)
    same(one, BY_VALUE)
    same(two, BY_INDEX)


def test_persist(scheduler):
    kept = values().persist(scheduler=scheduler)
    same(kept.compute(scheduler=scheduler), BY_VALUE)


def test_some_partitions(scheduler):
    parts = dask.compute(*values().to_delayed(), scheduler=scheduler)
    (got,) = dask.compute(values().partitions[[3, 1]], scheduler=scheduler)
    same(got, pd.concat([parts[3], parts[1]]))


def test_what_follows(scheduler):
    got = values().map_partitions(len, meta=(None, int)).compute(scheduler=scheduler)
    assert sum(got) == 300
    summed = indexed().groupby("k").v.sum().compute(scheduler=scheduler)
    assert summed.sort_index().tolist() == BY_INDEX.groupby("k").v.sum().tolist()


def test_the_configuration(scheduler):
    with dask.config.set(scheduler=scheduler):
        same(values().compute(), BY_VALUE)


def test_a_client_that_is_named(client):
    same(values().compute(scheduler=client), BY_VALUE)
    same(client.compute(values()).result(), BY_VALUE)


def compute_in_a_task(scheduler):
    return values().compute(scheduler=scheduler)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_task_that_computes_by_itself(client, scheduler):
    """It finds the worker that it runs on, which has no part in this graph."""
    same(client.submit(compute_in_a_task, scheduler, pure=False).result(60), BY_VALUE)


def compute_with_the_cluster():
    with worker_client():
        return values().compute()


def test_a_task_that_computes_with_its_cluster(client):
    same(client.submit(compute_with_the_cluster, pure=False).result(60), BY_VALUE)


@pytest.mark.parametrize("columns", [["k", "v", "w"], ["k"]], ids=["all", "some"])
def test_a_worker_that_does_not_see_a_file_is_named(tmp_path, columns):
    for i in range(3):
        FRAME.assign(w=1).to_parquet(tmp_path / f"{i}.parquet")
    ordered = dlsort.sort_values(dd.read_parquet(tmp_path), "k")[columns]
    first, last = ordered.head(3, compute=False), ordered.tail(3, compute=False)
    (tmp_path / "2.parquet").unlink()
    said = r"worker tcp://.* does not see .*2\.parquet"
    with data.two_workers(protocol="tcp://"):
        for asked in (ordered, first, last):
            with pytest.raises(FileNotFoundError, match=said):
                asked.compute()


def test_a_graph_outlives_its_client():
    with data.two_workers():
        result = values().optimize()
    same(result.compute(scheduler="threads"), BY_VALUE)
