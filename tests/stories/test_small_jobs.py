"""A small job is done by the calling thread, as a cluster would do it."""

from __future__ import annotations

import threading

import pyarrow.parquet as pq
import pytest

import dlsort
import dlsort.dataset
from commands import contents, dataset
from dlsort_cluster.clusters.connect import connect


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"partitions": 3},
        {"partitions": 7, "row_group_rows": 10},
        {"compression": "zstd", "manifest": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("by", ["id", "note:desc,price", "place.x"])
def test_the_result_is_that_of_a_cluster_to_the_byte(tmp_path, by, options):
    dataset(tmp_path / "in")
    threads = {} if "partitions" not in options else {"threads": 1}
    how = {"strategy": "exchange", **options}
    one = dlsort.sort_dataset(tmp_path / "in", tmp_path / "one", by=by, **how, **threads)
    two = dlsort.sort_dataset(
        tmp_path / "in", tmp_path / "two", by=by, **{"partitions": 1, **how}, threads=2
    )
    assert one.threads == 1
    assert two.threads == 2
    same = [contents(tmp_path / to) for to in ("one", "two")]
    if options.get("manifest", True):  # each names its job
        tables = [pq.read_table(tmp_path / to) for to in ("one", "two")]
        assert tables[0].equals(tables[1])
        assert same[0].keys() == same[1].keys()
    else:
        assert same[0] == same[1]
    assert one.checksum == two.checksum


def test_a_cluster_is_asked_for_where_it_is_wanted(tmp_path, monkeypatch):
    asked = []

    def refuse(**options):
        asked.append(options)
        raise dlsort.errors.ClusterError("none today")

    dataset(tmp_path / "in")
    monkeypatch.setattr("dlsort_cluster.clusters.connect.connect", refuse)

    def sort(**options) -> dlsort.SortReport:
        places = tmp_path / "in", tmp_path / "out"
        return dlsort.sort_dataset(*places, by="id", overwrite=True, **options)

    with pytest.raises(dlsort.errors.ClusterError):
        sort(workers=1)
    for options, threads in (
        ({}, 1),
        ({"threads": 1}, 1),
        ({"scheduler": "embedded"}, 1),
        ({"partitions": 5, "threads": 1}, 1),
        ({"threads": 3}, 3),
    ):
        assert sort(**options).threads == threads
    assert len(asked) == 1


def test_a_client_that_is_current_is_used(tmp_path):
    dataset(tmp_path / "in")
    with connect(threads=2) as client, client.as_current():
        report = dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="id")
    assert report.workers == 1


def test_it_is_done_in_the_thread_that_asks(tmp_path, monkeypatch):
    dataset(tmp_path / "in")
    before = threading.active_count()
    there = []
    write = dlsort.strategies.exchange.write_partition

    def watched(*args, **options):
        there.append((threading.current_thread(), threading.active_count()))
        return write(*args, **options)

    monkeypatch.setattr(dlsort.strategies.exchange, "write_partition", watched)
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="id")
    assert there == [(threading.current_thread(), before)]


def test_one_that_is_interrupted_leaves_nothing_and_can_be_resumed(tmp_path, monkeypatch):
    dataset(tmp_path / "in")
    write = dlsort.strategies.exchange.write_partition

    def stopped(writer, shards, slot, **how):
        if slot.part == 2:
            raise KeyboardInterrupt
        return write(writer, shards, slot, **how)

    monkeypatch.setattr(dlsort.strategies.exchange, "write_partition", stopped)
    how = {"by": "id", "partitions": 4, "threads": 1, "strategy": "exchange"}
    for resume, left in ((False, 1), (True, 2)):
        with pytest.raises(KeyboardInterrupt):
            dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", **how, resume=resume)
        assert len(list(tmp_path.iterdir())) == left
    monkeypatch.undo()
    report = dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", **how, resume=True)
    assert report.resumed_parts == 2
    ids = pq.read_table(tmp_path / "out")["id"].to_pylist()
    assert ids == sorted(ids)
    assert len(list(tmp_path.iterdir())) == 2
