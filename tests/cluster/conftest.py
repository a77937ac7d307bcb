"""Clusters in this process, and how their workers' units travel."""

from __future__ import annotations

import pytest

from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.p2p import messages
from dlsort_cluster.store import shared
from p2p_kit import start_three_workers


@pytest.fixture(scope="module")
def one_worker():
    with connect(threads=2) as client:
        yield client


@pytest.fixture(scope="module")
def three_workers():
    with start_three_workers() as client:
        yield client


@pytest.fixture(params=["one_worker", "three_workers"])
def client(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["shared", "sent"])
def way(request, monkeypatch):
    """How units go to a neighbour: at once through memory that both see, or sent together."""
    fewest = 0 if request.param == "shared" else 2**60
    monkeypatch.setattr(shared, "_FEWEST_BYTES", fewest)
    if request.param == "shared":
        monkeypatch.setattr(messages, "_MESSAGE_BYTES", 0)
    return request.param
