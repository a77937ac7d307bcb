"""What follows an exchange partition by partition, done by the tasks that make its outputs."""

from __future__ import annotations

import threading
from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask._collections import new_collection
from distributed import Client, LocalCluster

from dlsort_cluster.exchange import Split
from dlsort_cluster.frames.expression import exchange_frame
from dlsort_cluster.frames.followed import Followed
from dlsort_cluster.frames.learn import known

N_PARTS = 6
META = pd.DataFrame({"k": np.zeros(0, int)})


class Outputs:
    """Counts outputs that were merged, and those that still wait for what follows."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        self.merged = Counter()
        self.waiting = self.most_waiting = 0

    def __dask_tokenize__(self):
        return "Outputs"

    def made(self, part):
        with self.lock:
            self.merged[part] += 1
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)

    def taken(self):
        with self.lock:
            self.waiting -= 1


OUTPUTS = Outputs()


@pytest.fixture(autouse=True)
def _fresh():
    OUTPUTS.clear()


def split(part, context, input_id):
    where = part["k"].to_numpy() % N_PARTS
    order = np.argsort(where, kind="stable")
    starts = np.searchsorted(where[order], np.arange(N_PARTS + 1))
    return Split(pa.table({"k": part["k"].to_numpy()[order]}), starts)


def merge(shards, context, slot):
    OUTPUTS.made(slot.part)
    return pa.concat_tables(shards.read_all()).to_pandas()


def take(part):
    OUTPUTS.taken()
    return part + 1


def double(part):
    return part * 2


def make(i):
    return pd.DataFrame({"k": np.arange(10 * i, 10 * i + 10)})


def exchanged(n_inputs=4):
    ddf = dd.from_map(make, range(n_inputs), meta=META)
    expr = exchange_frame(
        ddf.expr, known(None, "none"), split=split, merge=merge, n_parts=N_PARTS, meta=META
    )
    return new_collection(expr)


def of_part(p, change=lambda k: k, n_inputs=4):
    return [change(k) for k in range(10 * n_inputs) if k % N_PARTS == p]


def kinds(collection):
    return {type(expr).__name__ for expr in collection.optimize(fuse=False).expr.walk()}


@pytest.fixture(scope="module", params=["sync", "client"])
def scheduler(request):
    if request.param == "sync":
        with dask.config.set(scheduler="sync"):
            yield
        return
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster),
    ):
        yield


def test_no_output_waits_for_what_follows(scheduler):
    """Else they pile up: Dask hears of each, and a worker begins the next meanwhile."""
    result = exchanged().map_partitions(take, meta=META)
    parts = dask.compute(*result.to_delayed())
    assert [part["k"].tolist() for part in parts] == [
        of_part(p, lambda k: k + 1) for p in range(N_PARTS)
    ]
    assert OUTPUTS.merged == dict.fromkeys(range(N_PARTS), 1)
    assert OUTPUTS.most_waiting <= 2  # a thread each of two workers


def test_files_are_written_by_the_tasks_that_merge(scheduler, tmp_path):
    written = exchanged().to_parquet(tmp_path / "out", write_index=False, compute=False)
    assert not {"Exchanged", "ToParquetData"} & kinds(written)
    graph = written.optimize(fuse=False).__dask_graph__()
    makers = {key[0] for key in graph if "toparquetdata" in str(key)}
    assert len(makers) == 1
    dask.compute(written)
    for p in range(N_PARTS):
        found = pd.read_parquet(tmp_path / "out" / f"part.{p}.parquet")
        assert found["k"].tolist() == of_part(p)


def test_steps_are_done_in_their_order(scheduler):
    result = exchanged().map_partitions(take, meta=META).map_partitions(double, meta=META)
    result = result["k"] - 1
    assert kinds(result).isdisjoint({"Exchanged", "MapPartitions", "Sub"})
    parts = dask.compute(*result.to_delayed())
    assert [part.tolist() for part in parts] == [
        of_part(p, lambda k: 2 * (k + 1) - 1) for p in range(N_PARTS)
    ]
    assert result.sum().compute() == sum(2 * (k + 1) - 1 for k in range(40))


def test_some_partitions_are_followed_too(scheduler):
    result = exchanged().map_partitions(double, meta=META).partitions[[5, 0, 5]]
    assert "Followed" in kinds(result)
    parts = dask.compute(*result.to_delayed())
    assert [part["k"].tolist() for part in parts] == [
        of_part(p, lambda k: 2 * k) for p in (5, 0, 5)
    ]
    assert OUTPUTS.merged.keys() == {5, 0}
    optimized = exchanged().map_partitions(double, meta=META).optimize()
    (part,) = dask.compute(*optimized.partitions[[3]].to_delayed())
    assert part["k"].tolist() == of_part(3, lambda k: 2 * k)


def test_an_output_that_two_take_is_made_once(scheduler):
    frame = exchanged()
    both = frame.map_partitions(double, meta=META)["k"].sum() - frame["k"].max()
    assert "Followed" not in kinds(both)
    assert both.compute() == 2 * sum(range(40)) - 39
    assert OUTPUTS.merged == dict.fromkeys(range(N_PARTS), 1)


def test_what_takes_two_frames_is_a_task_of_its_own(scheduler):
    frame = exchanged(6)
    other = dd.from_map(lambda p: pd.DataFrame({"k": of_part(p, n_inputs=6)}), range(N_PARTS))
    same = frame.map_partitions(pd.DataFrame.eq, other, meta=META, align_dataframes=False)
    assert "Followed" not in kinds(same)
    assert all(part["k"].all() for part in dask.compute(*same.to_delayed()))


def test_an_error_of_what_follows_is_its_own(scheduler):
    def fail(part):
        msg = f"no more than {len(part)}"
        raise ZeroDivisionError(msg)

    result = exchanged().map_partitions(fail, meta=META)
    with pytest.raises(ZeroDivisionError, match="no more than"):
        result.compute()


def test_it_is_named_by_what_is_done_last():
    with dask.config.set(scheduler="sync"):
        result = exchanged().map_partitions(take, meta=META).map_partitions(double, meta=META)
        expr = result.optimize(fuse=False).expr
        assert isinstance(expr, Followed)
        assert expr._name.startswith("dlsort-double-")
        assert expr._name == result.optimize(fuse=False).expr._name
