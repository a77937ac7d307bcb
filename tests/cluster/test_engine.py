from __future__ import annotations

import logging

import pytest

import exchange_kit as kit
from dlsort_cluster import engine as layers
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.p2p import build as p2p


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(layers, "_said", set())


def is_p2p(layer):
    return any(str(key).startswith("shuffle-barrier-") for key in layer.graph)


def build(**kwargs):
    return layers.build(kit.exchange(), kit.name(), kit.sources(2), 6, **kwargs)


def test_without_a_client_a_plain_graph_is_laid_and_that_is_logged_once(caplog):
    caplog.set_level(logging.INFO, "dlsort_cluster")
    assert not is_p2p(build())
    assert not is_p2p(build())
    (entry,) = [each for each in caplog.records if each.name.startswith("dlsort")]
    assert entry.levelname == "INFO"
    assert "No Dask client is current" in entry.message


def test_with_a_client_the_engine_is_used():
    with connect(threads=1) as client, client.as_current():
        assert is_p2p(build())
    assert not is_p2p(build())


def test_an_untested_version_is_told_once(monkeypatch):
    monkeypatch.setattr(p2p, "supported", lambda: False)
    with connect(threads=1) as client, client.as_current():
        with pytest.warns(UserWarning, match="not tested with distributed 20") as told:
            assert not is_p2p(build())
        assert not is_p2p(build())
    assert len(told) == 1


def test_an_engine_that_was_picked_before_needs_no_client():
    assert is_p2p(build(engine="p2p"))
    assert not is_p2p(build(engine="taskgraph"))
