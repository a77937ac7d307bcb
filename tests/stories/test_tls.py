"""Clusters of encrypted connections: every door sorts on them, and strangers are told."""

from __future__ import annotations

import os

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, Security

import dlsort
from commands import contents, dataset, process, read, sort
from dlsort.errors import ClusterError
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import SchedulerUnreachableError, connect
from dlsort_cluster.p2p import run
from tls_kit import Authority, environment


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"), "theirs")


@pytest.fixture(scope="module")
def settings(authority):
    return authority.settings()


def start(settings, **options):
    """Start a cluster of encrypted connections, with no folder of ours."""
    with dask.config.set(settings):
        return LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            security=Security(),
            protocol="tls://",
            **options,
        )


@pytest.fixture(scope="module")
def cluster(settings):
    """Give two workers in this process, who talk to one another as on two machines."""
    with start(settings, processes=False) as cluster:
        yield cluster


@pytest.fixture
def work(tmp_path, monkeypatch):
    dataset(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sent(monkeypatch):
    """Send whatever is exchanged, also between neighbours."""
    monkeypatch.setattr(run, "share", lambda *_: None)


def connections(dask_worker):
    """Return the kinds of a worker's connections to others, and whether each has a cipher."""
    pool = dask_worker.rpc
    comms = [c for of in (pool.available, pool.occupied) for cs in of.values() for c in cs]
    return [(type(c).__name__, bool(c.extra_info.get("cipher")), c.peer_address) for c in comms]


def test_rows_are_sorted_and_exchanged_encrypted(work, settings, cluster, sent):
    with dask.config.set(settings):
        report = dlsort.sort_dataset(
            "in", "out", by="id", scheduler=cluster.scheduler_address, partitions=4
        )
        with Client(cluster.scheduler_address) as client:
            workers = set(workers_of(client))
            found = client.run(connections)
    assert report.rows == 1200
    assert read(work / "out")["id"].to_pylist() == sorted(read(work / "in")["id"].to_pylist())
    assert all(
        address.startswith("tls://") for address in [*workers, cluster.scheduler_address]
    )
    for worker, comms in found.items():
        assert {(kind, has_cipher) for kind, has_cipher, _ in comms} == {("TLS", True)}
        # the rows have gone to the other one by some of these
        assert workers - {worker} <= {peer for _, _, peer in comms}


def test_the_command_line_sorts_on_encrypted_worker_processes(work, settings):
    with start(settings, processes=True) as cluster:
        address = cluster.scheduler_address
        environ = {**os.environ, **environment(settings)}
        args = ("sort", "in", "out", "--by", "id", "--no-progress", "--scheduler", address)
        done = process(*args, env=environ)
        assert (done.returncode, done.stderr) == (0, "")
        assert "proved" in done.stdout
        assert read(work / "out").num_rows == 1200
        bare = process("sort", "in", "bare", "--by", "id", "--scheduler", address)
        assert bare.returncode == 2
        assert "Traceback" not in bare.stderr
        assert bare.stderr.count("\n") == 1
        assert "a tls:// address needs certificates" in bare.stderr
        assert not (work / "bare").exists()


def test_frames_are_sorted_on_encrypted_workers(settings, cluster, sent):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.integers(0, 1000, 5000), "v": np.arange(5000)})
    with dask.config.set(settings), Client(cluster.scheduler_address):
        found = dlsort.sort_values(dd.from_pandas(frame, npartitions=6), "k").persist()
        parts = dask.compute(*found.to_delayed())
    pd.testing.assert_frame_equal(pd.concat(parts), frame.sort_values("k", kind="stable"))


def test_our_own_worker_processes_are_encrypted_where_dask_is_set_to(settings, work):
    with dask.config.set(settings), connect(workers=1, threads=1) as client:
        assert client.scheduler.address.startswith("tls://")
        (worker,) = workers_of(client)
        assert worker.startswith("tls://")
        assert client.submit(sum, [1, 2]).result() == 3


def test_the_embedded_cluster_needs_no_certificates(work):
    with dask.config.set({"distributed.comm.require-encryption": True}):
        report = dlsort.sort_dataset("in", "out", by="id", threads=1)
        with connect(threads=1) as client:
            assert client.scheduler.address.startswith("inproc://")
    assert report.rows == 1200


def test_a_client_gets_its_certificates_from_a_function(work, settings, cluster, monkeypatch):
    """As Dask's own client does, by distributed.client.security-loader."""
    asked = []

    def load(info):
        asked.append(info["address"])
        with dask.config.set(settings):
            return Security()

    monkeypatch.setattr("tls_kit.load", load, raising=False)
    with dask.config.set({"distributed.client.security-loader": "tls_kit.load"}):
        report = dlsort.sort_dataset(
            "in", "out", by="id", scheduler=cluster.scheduler_address, partitions=1
        )
    assert report.rows == 1200
    assert asked == [cluster.scheduler_address]


# ---------------------------------------------------------------- strangers


def told(address, settings):
    """Return why there is no connection; one sentence or two."""
    with (
        dask.config.set(settings),
        pytest.raises(SchedulerUnreachableError) as caught,
        connect(scheduler=address, connect_timeout_s=2.0),
    ):
        pass
    message = str(caught.value)
    assert "\n" not in message
    assert repr(address) in message
    return message


def test_a_client_that_does_not_speak_tls(cluster):
    plain = cluster.scheduler_address.replace("tls://", "tcp://")
    assert (
        "it expects TLS; give its tls:// address and set Dask's distributed.comm.tls"
        in told(plain, {})
    )


def test_a_client_without_certificates(cluster):
    assert "needs certificates; set" in told(cluster.scheduler_address, {})


def test_a_client_with_the_certificates_of_another_authority(cluster, stranger):
    message = told(cluster.scheduler_address, stranger.settings())
    assert "not signed by the authority of distributed.comm.tls.ca-file" in message


def test_a_client_that_the_scheduler_does_not_trust(cluster, stranger, authority):
    message = told(cluster.scheduler_address, stranger.settings(trusts=authority))
    assert "does not accept the certificate of distributed.comm.tls.client.cert" in message


def test_a_client_whose_certificate_is_not_there(cluster, settings):
    gone = {**settings, "distributed.comm.tls.client.key": "/nowhere/client.key"}
    message = told(cluster.scheduler_address, gone)
    assert "there is no file /nowhere/client.key" in message


def test_a_file_that_is_no_certificate(cluster, settings, tmp_path):
    (tmp_path / "x.pem").write_text("certainly")
    spoiled = {**settings, "distributed.comm.tls.client.cert": str(tmp_path / "x.pem")}
    assert "the certificates for it can't be used" in told(cluster.scheduler_address, spoiled)


def test_encryption_that_is_required_where_there_is_none(settings):
    with connect(workers=1, threads=1) as owner:
        plain = owner.scheduler.address
        assert "give its tls:// address" in told(plain, settings)
        as_tls = plain.replace("tcp://", "tls://")
        assert "it does not speak TLS" in told(as_tls, settings)


def test_a_sort_is_refused_and_leaves_nothing(work, cluster):
    before = contents(work)
    result = sort("in", "out", "--scheduler", cluster.scheduler_address)
    assert result.exit_code == 2
    assert "needs certificates" in result.stderr
    with pytest.raises(ClusterError, match="needs certificates"):
        dlsort.sort_dataset("in", "out", by="id", scheduler=cluster.scheduler_address)
    assert contents(work) == before
