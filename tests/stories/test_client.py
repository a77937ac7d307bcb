"""Whose cluster sorts a dataset: given, current, or our own; and theirs is left alone."""

from __future__ import annotations

import asyncio
import logging
import threading

import dask
import pytest
from distributed import Client, LocalCluster, default_client, worker_client
from distributed.client import _current_client

import dlsort
from commands import dataset, read
from dlsort.errors import BadOptionError, ClusterError
from dlsort_cluster.clusters.joined import check_usable, current_client

OURS, THEIRS = 0, 2  # workers that are reported


def start(**options):
    return LocalCluster(
        **{
            "n_workers": THEIRS,
            "threads_per_worker": 1,
            "processes": False,
            "dashboard_address": None,
            "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
            **options,
        }
    )


@pytest.fixture(scope="module")
def cluster():
    with start() as cluster:
        yield cluster


@pytest.fixture
def work(tmp_path):
    dataset(tmp_path / "in")
    return tmp_path


def sort(work, name="out", **options):
    """Sort, see that it is well done and all tidied up, and return how many workers it took."""
    report = dlsort.sort_dataset(
        work / "in", work / name, by="id", **{"partitions": 4, **options}
    )
    assert report.proved
    ids = read(work / name)["id"].to_pylist()
    assert ids == sorted(read(work / "in")["id"].to_pylist())
    assert [path.name for path in work.iterdir() if path.name.startswith(".")] == []
    return report.workers


def state(client):
    """Return what of a client and of this process is not ours to change."""
    try:
        default = default_client()
    except ValueError:
        default = None
    logger = logging.getLogger("distributed")
    return (
        default,
        _current_client.get(),
        dask.config.get("scheduler", None),
        dask.config.get("temporary-directory", None),
        logger.level,
        [(handler, handler.level, list(handler.filters)) for handler in logger.handlers],
        logging.getLogger("distributed.worker").filters[:],
        client.status,
        client.loop,
        set(client.futures),
    )


def test_a_client_a_cluster_or_its_address_is_given(work, cluster):
    with Client(cluster, set_as_default=False) as client:
        before = state(client)
        assert before[0] is None
        assert sort(work, "1", scheduler=client) == THEIRS
        assert sort(work, "2", scheduler=cluster) == THEIRS
        assert sort(work, "3", scheduler=cluster.scheduler_address) == THEIRS
        assert state(client) == before
        assert client.submit(sum, [1, 2]).result() == 3
    assert len(cluster.scheduler_info["workers"]) == 2
    for other in ("2", "3"):
        for part in (work / "1").iterdir():
            assert part.read_bytes() == (work / other / part.name).read_bytes()


def test_what_only_looks_like_a_cluster_is_one(work, cluster):
    class Deployed:
        """As the classes of other packages: Dask asks for no more of them."""

        scheduler_address = cluster.scheduler_address
        status = cluster.status
        loop = cluster.loop

    assert sort(work, scheduler=Deployed()) == THEIRS


def test_the_client_that_is_current_is_used(work, cluster):
    with Client(cluster) as client:
        before = state(client)
        assert before[0] is client
        assert sort(work, "1") == THEIRS
        assert state(client) == before
        workers = []
        thread = threading.Thread(target=lambda: workers.append(sort(work, "2")))
        thread.start()
        thread.join()
        assert workers == [THEIRS]


def test_a_client_that_is_current_for_a_while(work, cluster):
    with Client(cluster, set_as_default=False) as client:
        assert sort(work, "1") == OURS
        with client.as_current():
            before = state(client)
            assert sort(work, "2") == THEIRS
            assert state(client) == before
        with dask.config.set(scheduler=client):
            assert sort(work, "3") == THEIRS


@pytest.mark.parametrize(
    "asked",
    [
        {"scheduler": "embedded"},
        {"scheduler": "embedded", "threads": 1},
        {"threads": 1},
        {"workers": 1},
    ],
    ids=str,
)
def test_our_own_cluster_is_asked_for(work, cluster, asked):
    with Client(cluster) as client:
        before = state(client)
        seen = []
        watched = Watched(lambda: seen.append(default_client()))
        assert sort(work, progress=watched, **asked) == asked.get("workers", OURS)
        assert state(client) == before
        assert set(seen) == {client}  # meanwhile too
        assert client.submit(sum, [1, 2]).result() == 3


class Watched:
    """Calls back as a job goes."""

    def __init__(self, call):
        self.phase = self.rows = self.finish = lambda *_: call()


def test_a_scheduler_of_this_process_that_dask_is_set_to_comes_first(work, cluster):
    with Client(cluster), dask.config.set(scheduler="threads"):
        assert sort(work) == OURS


def test_without_a_client_it_is_our_own(work):
    assert current_client() is None
    assert sort(work) == OURS


def test_a_current_client_that_is_closed_is_none(work, cluster):
    client = Client(cluster)
    with client.as_current():
        client.close()
        assert sort(work) == OURS


def test_a_client_that_is_closed_is_refused(work, cluster):
    client = Client(cluster, set_as_default=False)
    client.close()
    with pytest.raises(ClusterError, match=r"client that is given as scheduler is closed; "):
        sort(work, scheduler=client)
    assert [path.name for path in work.iterdir()] == ["in"]


def test_a_cluster_that_is_closed_is_refused(work):
    with start(n_workers=0) as closed:
        pass
    with pytest.raises(ClusterError, match=r"cluster that is given as scheduler is closed; "):
        sort(work, scheduler=closed)


def test_a_client_whose_scheduler_is_away_is_refused():
    class Away(Client):
        def __init__(self):
            self.status = "connecting"

        def __del__(self):
            """Have nothing to close."""

    with pytest.raises(RuntimeError, match=r"that is current has lost its scheduler"):
        check_usable(Away(), is_current=True)


def test_an_asynchronous_client_is_refused_in_its_own_thread(work):
    async def refused(**options):
        with pytest.raises(ClusterError) as error:
            dlsort.sort_dataset(work / "in", work / "no", by="id", **options)
        assert "is asynchronous: its event loop runs in this thread" in str(error.value)
        assert "asyncio.to_thread(dlsort.sort_dataset" in str(error.value)
        return str(error.value)

    async def main():
        async with start(asynchronous=True) as cluster:
            assert "cluster that is given" in await refused(scheduler=cluster)
            async with Client(cluster, asynchronous=True) as client:
                assert "client that is given" in await refused(scheduler=client)
                assert "client that is current" in await refused()
                found = [
                    await asyncio.to_thread(sort, work, "1", scheduler=client),
                    await asyncio.to_thread(sort, work, "2"),
                    await asyncio.to_thread(sort, work, "3", scheduler="embedded"),
                ]
                assert client.status == "running"
                return found

    assert asyncio.run(main()) == [THEIRS, THEIRS, OURS]
    assert not (work / "no").exists()


@pytest.mark.parametrize("how", ["current", "given", "worker_client", "embedded"])
def test_a_sort_in_a_task_lets_others_have_its_place(work, how):
    def task():
        if how == "given":
            return sort(work, scheduler=default_client())
        if how == "worker_client":
            with worker_client() as client:
                return sort(work, scheduler=client)
        return sort(work, **({"scheduler": "embedded"} if how == "embedded" else {}))

    with start(n_workers=1) as cluster, Client(cluster) as client:
        assert client.submit(task).result(timeout=100) == (OURS if how == "embedded" else 1)
        # and has it back: one thread, one task at a time
        assert client.submit(sum, [1, 2]).result(timeout=100) == 3
        assert sum(client.nthreads().values()) == 1


@pytest.mark.parametrize("options", [{"workers": 1}, {"threads": 1}])
def test_a_cluster_of_others_has_its_own_processes_and_threads(work, cluster, options):
    with pytest.raises(BadOptionError, match=r"^scheduler and \w+ exclude each other"):
        sort(work, scheduler=cluster, **options)


def test_an_embedded_cluster_has_no_processes(work):
    with pytest.raises(BadOptionError, match=r"^scheduler and workers exclude each other"):
        sort(work, scheduler="embedded", workers=2)


@pytest.mark.parametrize("given", ["Embedded", "EMBEDDED", "threads", "sync", "Processes"])
def test_a_name_that_is_meant_for_this_process_gets_a_hint(work, given):
    says = rf"scheduler is '{given}', which has no port; .* Did you mean 'embedded'\?"
    with pytest.raises(BadOptionError, match=says):
        sort(work, scheduler=given)


def test_a_failure_leaves_their_cluster_as_it_was(work, cluster, monkeypatch):
    with Client(cluster) as client:
        before = state(client)
        monkeypatch.setattr("dlsort.strategies.run.run", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sort(work)
        assert state(client) == before
        assert [path.name for path in work.iterdir()] == ["in"]
