"""Dask's dashboard shows sorts at work and those that ended, as a reader's browser sees it."""

from __future__ import annotations

import threading

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import dlsort
from browser import find_browser, open_browser
from commands import dataset
from dlsort.events import PhaseBegun
from dlsort_cluster.dashboard.board import Board

needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no chromium with its chromedriver is installed"
)
ROWS = 4000


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def reader():
    with open_browser(1280, 800) as reader:
        yield reader


def page_of(client: Client, name: str = "dlsort") -> str:
    return client.dashboard_link.replace("status", name)


@needs_browser
def test_a_sort_is_seen_while_it_goes_on_and_once_it_has_ended(client, reader, tmp_path):
    n_rows = dataset(tmp_path / "in")
    held, go_on = threading.Event(), threading.Event()

    def hold(event):
        if isinstance(event, PhaseBegun) and event.phase == "publish":
            held.set()
            go_on.wait()

    sorting = threading.Thread(
        target=dlsort.sort_dataset,
        args=(tmp_path / "in", tmp_path / "out"),
        kwargs={
            "by": "id",
            "partitions": 4,
            "scheduler": client,
            "progress": hold,
            "strategy": "exchange",
        },
    )
    sorting.start()
    try:
        assert held.wait(60)
        reader.driver.get(page_of(client))
        text = reader.wait_for(lambda: (t := reader.text()).count("at work") > 1 and t)
        assert "sort_dataset" in text
    finally:
        go_on.set()
        sorting.join()
