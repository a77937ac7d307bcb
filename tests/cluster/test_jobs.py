from __future__ import annotations

import dataclasses
import errno
import threading
import time
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster

import exchange_kit as kit
from dlsort_cluster import jobs, p2p
from dlsort_cluster.clusters import connect
from dlsort_cluster.jobs import JobCancelledError, WorkersLostError, run


@pytest.fixture(scope="module")
def client():
    with connect(threads=2) as client:
        yield client


def build(n_inputs=9, **kwargs):
    return p2p.build(kit.exchange(**kwargs), kit.name(), kit.sources(n_inputs), 6)


def test_progress_tells_each_input_and_output_once(client):
    threads, stats, parts = set(), [], []

    def on_progress(new_stats, new_outputs):
        threads.add(threading.current_thread())
        stats.extend(new_stats)
        parts.extend(slot.part for slot, _ in new_outputs)

    found, outputs = run(client, build(), on_progress, poll_s=0.01)
    assert sorted(stats) == found == [("stats", i) for i in range(9)]
    assert sorted(parts) == list(range(6))
    assert threads == {threading.current_thread()}
    kit.check(outputs, 9)


def test_the_scheduler_forgets_the_tasks(client):
    run(client, build())
    until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


def until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline


AT_WORK = threading.Semaphore(0)
N_DONE = []


def slow_merge(shards, context, slot):
    if slot.part == 0:
        raise kit.CorruptFileError("no more")
    AT_WORK.release()
    threading.Event().wait(0.3)
    N_DONE.append(slot.part)


def test_no_task_works_on_once_an_error_is_raised(client):
    N_DONE.clear()
    with pytest.raises(kit.CorruptFileError):
        run(client, build(merge=slow_merge))
    n_done = len(N_DONE)
    threading.Event().wait(0.5)
    assert len(N_DONE) == n_done


def test_an_error_of_on_progress_ends_the_job(client):
    def on_progress(stats, outputs):
        raise BrokenPipeError("the screen is gone")

    with pytest.raises(BrokenPipeError, match="the screen is gone"):
        run(client, build(), on_progress)
    until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


def test_a_job_that_someone_cancels_is_told(client):
    def on_progress(stats, outputs):
        future = client.futures
        for state in list(future.values()):
            client.loop.add_callback(state.cancel)

    with pytest.raises(JobCancelledError, match="the job was cancelled elsewhere"):
        run(client, build(99), on_progress, poll_s=0.001)


# ---------------------------------------------------------------- with real processes


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    temp_dir = tmp_path_factory.mktemp("scratch")
    with connect(workers=2, threads=2, temp_dir=str(temp_dir)) as client:
        yield client
    assert list(temp_dir.iterdir()) == []


def test_rows_cross_between_processes(two_processes):
    spilled = []
    layer = build(20, store_bytes=100_000)
    stats, outputs = run(two_processes, layer, on_spilled=spilled.append)
    assert stats == [("stats", i) for i in range(20)]
    kit.check(outputs, 20)
    assert spilled[0] > 0


def test_own_errors_keep_their_type_between_processes(two_processes):
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(9, trouble="split"), 6)
    with pytest.raises(kit.CorruptFileError, match="part 7 is truncated"):
        run(two_processes, layer)


def test_a_worker_killed_in_mid_transfer_costs_no_row(two_processes, tmp_path):
    marker = tmp_path / "killed"
    inputs = kit.sources(20, trouble="die-in-split", at=11, marker=marker)
    layer = p2p.build(kit.exchange(store_bytes=50_000), kit.name(), inputs, 6)
    _, outputs = run(two_processes, layer)
    kit.check(outputs, 20)
    assert marker.exists()


def test_a_worker_killed_in_mid_merge_costs_no_row(two_processes, tmp_path):
    marker = tmp_path / "killed"
    merge = kit.DeadlyMerge(str(marker))
    layer = build(20, merge=merge, store_bytes=50_000)
    _, outputs = run(two_processes, layer)
    kit.check(outputs, 20)
    assert marker.exists()


def test_a_task_that_kills_every_worker_is_given_up(two_processes, tmp_path):
    inputs = kit.sources(3, trouble="always-die")
    with pytest.raises(WorkersLostError, match="was tried 4 times, and its worker died"):
        run(two_processes, p2p.build(kit.exchange(), kit.name(), inputs, 6))


def test_tasks_of_other_jobs_are_not_waited_for():
    keys = [("mine", 1), "mine", ("other", 1), 7]
    assert jobs._n_known({"mine"}, SimpleNamespace(tasks=keys)) == 2


def test_a_worker_whose_disk_fails_is_named():
    def split(source, context, input_id):
        raise OSError(errno.EIO, "Input/output error", "/data/in.parquet")

    exchange = dataclasses.replace(kit.exchange(), split=split)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        (worker,) = cluster.scheduler.workers
        with pytest.raises(OSError, match="Input/output error") as caught:
            run(client, p2p.build(exchange, kit.name(), kit.sources(2), 6))
    assert caught.value.__notes__ == [f"This was on {worker}."]


def test_where_there_is_one_process_none_is_named(three_workers):
    def merge(shards, context, slot):
        raise OSError(errno.EIO, "Input/output error")

    exchange = kit.exchange(merge=merge)
    with pytest.raises(OSError, match="Input/output error") as caught:
        run(three_workers, p2p.build(exchange, kit.name(), kit.sources(2), 6))
    assert not hasattr(caught.value, "__notes__")
