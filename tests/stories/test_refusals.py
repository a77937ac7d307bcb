"""What callers of sort_dataset get wrong, each refused in a sentence of our own."""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from fsspec.registry import _registry as _FILE_SYSTEMS  # those that are imported

import dlsort
import dlsort.strategies.run
from dlsort.errors import BadKeyError, BadOptionError, ClusterError, SchemaMismatchError
from dlsort_cluster import exchange
from dlsort_cluster.clusters import jobs


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"k": [3, 1, 2]}), tmp_path / "in" / "a.parquet")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "options",
    [
        {"partitions": "4"},
        {"partitions": 2.5},
        {"partitions": True},
        {"partitions": 0},
        {"threads": "2"},
        {"workers": True},
        {"row_group_rows": 0},
        {"row_group_rows": 2.5},
        {"compression": 5},
        {"memory": "lots"},
        {"partitions": 2, "partition_size": "1MiB"},
        {"partitions": 100_000},
        {"temp_dir": "/nowhere"},
    ],
    ids=str,
)
def test_options_that_cannot_be_used(source, tmp_path, options):
    with pytest.raises(BadOptionError):
        dlsort.sort_dataset(source, tmp_path / "out", by="k", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("by", [3, None, [], [None], "", ":desc", "k,k"])
def test_keys_that_cannot_be_read(source, tmp_path, by):
    with pytest.raises(BadKeyError):
        dlsort.sort_dataset(source, tmp_path / "out", by=by)


@pytest.mark.parametrize("depth", ["day=1", "year=2026/day=1", "plain/day=1"])
def test_columns_in_folder_names_are_not_lost_in_silence(source, tmp_path, depth):
    (source / depth).mkdir(parents=True)
    pq.write_table(pa.table({"k": [5]}), source / depth / "b.parquet")
    with pytest.raises(
        SchemaMismatchError, match=r"a\.parquet tell no column, those of .*day=1"
    ):
        dlsort.sort_dataset(source, tmp_path / "out", by="k")


def test_a_cluster_without_workers(source, tmp_path):
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        pytest.raises(ClusterError, match="no worker"),
    ):
        dlsort.sort_dataset(
            source, tmp_path / "out", by="k", scheduler=cluster.scheduler_address
        )


@pytest.mark.parametrize("place", ["/nowhere", "/proc"])
def test_a_temporary_folder_that_the_workers_can_not_use(source, tmp_path, place):
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        pytest.raises(
            BadOptionError, match=rf"{place}', but a worker in the process of the client has"
        ),
    ):
        dlsort.sort_dataset(
            source,
            tmp_path / "out",
            by="k",
            scheduler=cluster.scheduler_address,
            temp_dir=place,
        )


@pytest.mark.parametrize(
    "kind", [exchange.SpillFullError, exchange.ShardsLostError, jobs.JobCancelledError]
)
def test_every_error_of_the_cluster_is_a_dlsort_error(source, tmp_path, monkeypatch, kind):
    def fail(*_: object, **__: object) -> None:
        raise kind("what was found.")

    monkeypatch.setattr(dlsort.strategies.run, "run", fail)
    with pytest.raises(dlsort.DlsortError, match=r"what was found\.") as caught:
        dlsort.sort_dataset(source, tmp_path / "out", by="k")
    assert isinstance(caught.value.__cause__, kind)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("path", ["", " ", None, "s3://bucket/x"])
def test_paths_that_are_none(source, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    # A store whose package is not installed, whether it is here or not.
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_FILE_SYSTEMS, "s3", raising=False)
    with pytest.raises(BadOptionError):
        dlsort.sort_dataset(source, path, by="k")
    with pytest.raises(BadOptionError):
        dlsort.sort_dataset(path, "out", by="k")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
