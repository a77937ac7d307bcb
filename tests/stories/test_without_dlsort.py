"""Workers and schedulers without dlsort: told by name, before anything is sent to them."""

from __future__ import annotations

import subprocess
import sys

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client

import dlsort
from commands import contents, dataset
from dlsort.errors import ClusterError
from worker_kit import PATIENCE_S, WITHOUT_DLSORT, WORKER, start_scheduler, start_worker

# It is installed here, but they can't import it.
SAYS = "has dlsort .*, which can't be imported.* Install the same versions of dlsort"


@pytest.fixture(scope="module")
def client():
    with start_scheduler() as client:
        yield client


@pytest.fixture(scope="module")
def worker(client):
    with start_worker(client, program=WITHOUT_DLSORT + WORKER) as worker:
        yield worker


@pytest.fixture
def ddf():
    return dd.from_pandas(pd.DataFrame({"k": range(100, 0, -1)}), npartitions=4)


def test_a_dataset_is_not_sorted_there(tmp_path, client, worker):
    dataset(tmp_path / "in")
    before = contents(tmp_path)
    with pytest.raises(ClusterError, match=rf"^worker {worker} {SAYS}"):
        dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="id", scheduler=client)
    assert contents(tmp_path) == before


def test_a_frame_is_not_sorted_there(client, worker, ddf):
    with client.as_current():
        ordered = dlsort.sort_values(ddf, "k")  # nobody is asked yet
        for _ in range(2):
            with pytest.raises(ClusterError, match=rf"^worker {worker} {SAYS}"):
                ordered.compute()
        with pytest.raises(ClusterError, match=rf"^worker {worker} {SAYS}"):
            ordered.head()
        with pytest.raises(ClusterError, match=rf"^worker {worker} {SAYS}"):
            _ = dlsort.set_index(ddf, "k").divisions
        # Nothing is to be done there.
        for scheduler in ("threads", "sync", dask.get):
            assert ordered.compute(scheduler=scheduler)["k"].tolist() == list(range(1, 101))
            indexed = dlsort.set_index(ddf.assign(v=str(scheduler)), "k").index
            assert indexed.compute(scheduler=scheduler).tolist() == list(range(1, 101))
            (kept,) = dask.persist(ordered, scheduler=scheduler)
            assert len(kept.compute(scheduler=scheduler)) == 100
    assert ordered.compute()["k"].tolist() == list(range(1, 101))  # here it is


def test_a_scheduler_without_it_is_told(tmp_path, ddf):
    file = tmp_path / "scheduler.json"
    start = "from distributed.cli.dask_scheduler import main; main()"
    options = ["--port", "0", "--no-dashboard", "--host", "127.0.0.1"]
    scheduler = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_DLSORT + start, *options, "--scheduler-file", file],
        stderr=subprocess.DEVNULL,
    )
    try:
        with (
            Client(scheduler_file=str(file), timeout=PATIENCE_S),
            pytest.raises(ClusterError, match=f"^the scheduler {SAYS}"),
        ):
            dlsort.sort_values(ddf, "k").compute()
    finally:
        scheduler.kill()
        scheduler.wait()
