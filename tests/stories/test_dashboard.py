"""Dask's dashboard shows sorts at work and those that ended, as a reader's browser sees it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, wait

import dlsort
from browser import find_browser, open_browser
from commands import dataset, read
from dlsort.events import PhaseBegun
from dlsort.frames.methods import sort_values
from dlsort_cluster.dashboard.board import Board
from patience import PATIENCE_S


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def reader():
    if find_browser() is None:
        pytest.skip("no chromium with its chromedriver is installed")
    with open_browser(1280, 800) as reader:
        yield reader


def page(cluster, name="dlsort"):
    return f"http://127.0.0.1:{cluster.scheduler.http_server.port}/{name}"


@contextmanager
def held(src, dst, cluster, phase):
    """Sort a dataset, and hold it where a phase begins for as long as this is entered."""
    waits, go_on = threading.Event(), threading.Event()

    def hold(event):
        if isinstance(event, PhaseBegun) and event.phase == phase:
            waits.set()
            go_on.wait()

    options = {"by": "id", "partitions": 4, "strategy": "exchange", "scheduler": cluster}
    sorting = threading.Thread(
        target=dlsort.sort_dataset, args=(src, dst), kwargs={**options, "progress": hold}
    )
    sorting.start()
    try:
        assert waits.wait(PATIENCE_S)
        yield
    finally:
        go_on.set()
        sorting.join()


def test_a_dataset_is_seen_while_it_is_sorted_and_once_it_is_done(cluster, reader, tmp_path):
    src = dataset(tmp_path / "in")
    n_rows = read(src).num_rows
    with held(src, tmp_path / "out", cluster, "publish"):
        reader.driver.get(page(cluster))
        told = reader.wait_for(lambda: "at work" in (text := reader.text()) and text)
        for phase in ("sample", "partition", "sort"):
            assert f"{phase} {n_rows:,} of {n_rows:,} rows" in told
        assert f"sort_dataset id {src} {n_rows:,} at work" in told

        def whole():
            titles, data = reader.painted()
            (rows,) = (d["rows"] for d in data if len(d.get("part", ())) == 4)
            return sum(rows) == n_rows and (titles, data)

        titles, data = reader.wait_for(whole)
        assert any(title.startswith("4 partitions: largest 1.") for title in titles)
        assert any(title.startswith("2 workers: sent ") for title in titles)
        (moved,) = (d for d in data if "received" in d)
        assert len(moved["worker"]) == 2
        assert sum(moved["sent"]) > 0 < sum(moved["received"])
        assert moved["spilled"] == [0, 0]
    told = reader.wait_for(lambda: f"{n_rows:,} done" in (text := reader.text()) and text)
    assert f"publish {n_rows:,} of {n_rows:,} rows" in told
    assert reader.errors() == []


def test_a_frame_is_seen_and_every_page_has_a_link(cluster, reader):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(3000), "b": np.arange(3000)})
    with Client(cluster):
        made = sort_values(dd.from_pandas(frame, npartitions=5), "a").persist()
        wait(made)
    reader.driver.get(page(cluster))
    told = reader.wait_for(lambda: "sort_values by a" in (text := reader.text()) and text)
    reader.wait_for(lambda: "partition 5 of 5 inputs" in reader.text())
    told = reader.text()
    assert "sort 5 of 5 partitions" in told
    reader.driver.get(page(cluster, "status"))
    assert "Dlsort" in reader.text()


def test_a_sort_that_fails_says_why(cluster, reader, tmp_path):
    src = dataset(tmp_path / "in")

    def fail(event):
        if isinstance(event, PhaseBegun) and event.phase == "sort":
            raise ValueError("enough <b>of it</b>")

    with pytest.raises(ValueError, match="enough"):
        dlsort.sort_dataset(
            src, tmp_path / "out", by="id", partitions=2, scheduler=cluster, progress=fail
        )
    reader.driver.get(page(cluster))
    told = reader.wait_for(lambda: "failed" in (text := reader.text()) and text)
    assert "ValueError: enough <b>of it</b>" in told


def test_a_late_word_changes_nothing_of_a_job_that_has_ended():
    board = Board()
    for state in ("at work", "done", "at work"):
        board.log_event("dlsort", {"job": {"id": "1", "state": state, "phases": []}})
    assert [job.state for job in board.jobs.values()] == ["done"]


def test_jobs_of_which_nobody_tells_any_more_are_few():
    board = Board()
    for number in range(300):
        state = "at work" if number % 2 else "done"
        board.log_event("dlsort", {"job": {"id": f"{number}", "state": state, "phases": []}})
        shares = {
            "sent_bytes": 1,
            "received_bytes": 1,
            "spilled_bytes": 0,
            "parts": [],
            "rows": [],
        }
        told = {"run": f"of nobody {number}", "run_id": 1, "worker": "a", **shares}
        board.log_event("dlsort", {"closed": told})
    assert len(board.jobs) <= 100
    before = set(board.jobs)
    board.log_event("dlsort", {"job": {"id": "1", "state": "at work", "phases": []}})
    assert set(board.jobs) == before  # it was dropped, and stays so


def test_a_client_that_goes_leaves_its_job_as_lost():
    board = Board()
    board.log_event("dlsort", {"job": {"id": "1", "client": "c", "phases": []}})
    board.remove_client(None, "c")
    assert [job.state for job in board.jobs.values()] == ["lost"]
    board.log_event("dlsort", ["what is this"])
    board.log_event("another topic", {})
    assert len(board.jobs) == 1
