from __future__ import annotations

import dataclasses
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster, get_worker

import exchange_kit as kit
from dlsort_cluster.clusters import jobs
from dlsort_cluster.clusters import pardon as pardons
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.clusters.jobs import JobCancelledError, WorkersLostError, run
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.tasks import name_of
from patience import PATIENCE_S


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
    deadline = time.monotonic() + PATIENCE_S
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("begins", [False, True])
def test_ctrl_c_on_the_way_to_the_loop_leaves_no_coroutine(client, monkeypatch, begins):
    loop = client.loop.asyncio_loop
    call, sleep = loop.call_soon_threadsafe, jobs._sleep
    main = threading.get_ident()

    def interrupted(callback, *args, **kwargs):
        ours = threading.get_ident() == main
        if begins or not ours:
            call(callback, *args, **kwargs)
        if ours:
            raise KeyboardInterrupt

    def interrupted_sleep(*args):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", interrupted)
            sleep(*args)

    monkeypatch.setattr(jobs, "_sleep", interrupted_sleep)
    with pytest.raises(KeyboardInterrupt):
        run(client, build())
    gc.collect()  # what is never awaited is told of here


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


def test_tasks_are_pardoned_only_where_others_get_done(client):
    def suspect(dask_scheduler):
        for task in dask_scheduler.tasks.values():
            task.suspicious = 3

    def suspicions(dask_scheduler):
        return [task.suspicious for task in dask_scheduler.tasks.values()]

    layer = build(4)
    held = client.get(layer.graph, layer.output_keys, sync=False)
    client.gather(held)
    pardon = pardons.Pardon(client, {name_of(key) for key in layer.graph})
    client.run_on_scheduler(suspect)
    for progressed, n_left in [(False, 10), (True, 9)]:
        pardon._next = 0
        pardon(progressed=progressed)
        assert pardon._n_left == n_left
        assert any(client.run_on_scheduler(suspicions)) is not progressed
    for _ in range(20):
        client.run_on_scheduler(suspect)
        pardon._next = 0
        pardon(progressed=True)
    assert pardon._n_left == 0
    assert any(client.run_on_scheduler(suspicions))
    del held


def test_tasks_of_others_are_not_pardoned():
    tasks = {
        key: SimpleNamespace(suspicious=2, state=state)
        for key, state in {
            ("mine", 1): "waiting",
            ("mine", 2): "erred",
            "other": "memory",
        }.items()
    }
    assert pardons._pardon({"mine"}, SimpleNamespace(tasks=tasks))
    assert [task.suspicious for task in tasks.values()] == [0, 2, 2]
    assert not pardons._pardon({"mine"}, SimpleNamespace(tasks=tasks))


# ---------------------------------------------------------------- on a cluster of others


class Worker:
    """A worker process of a cluster that dlsort did not start, with no nanny."""

    def __init__(self, folder):
        self.process = start_process("worker", folder, "--no-nanny", "--nthreads", "1")

    def send(self, number):
        self.process.send_signal(number)


def start_process(role, folder, *options):
    """Start one whose scheduler takes no worker for lost that only stands still."""
    port = ["--port", "0", "--dashboard-address", ":0"] if role == "scheduler" else []
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import distributed.cli.dask_{role} as cli; cli.main()",
            *("--host", "127.0.0.1", *port, "--scheduler-file", str(folder / "scheduler.json")),
            *options,
            *([] if role == "scheduler" else ["--local-directory", str(folder)]),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1 day",
        },
    )


@pytest.fixture
def foreign(tmp_path):
    """Return (scheduler process, workers, client) of a cluster of three worker processes."""
    started = [start_process("scheduler", tmp_path)]
    workers = [Worker(tmp_path) for _ in range(3)]
    started += [worker.process for worker in workers]
    try:
        told = str(tmp_path / "scheduler.json")
        with Client(scheduler_file=told, timeout=PATIENCE_S) as client:
            client.wait_for_workers(3, timeout=PATIENCE_S)
            yield SimpleNamespace(
                scheduler=started[0], workers=workers, client=client, folder=tmp_path
            )
    finally:
        for process in started:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def at_first_output(act):
    """Return a progress callback that acts once, when there is an output."""
    acted = []

    def on_progress(stats, outputs):
        if outputs and not acted:
            acted.append(1)
            act()

    return on_progress, acted


def take_time(shards, context, slot):
    threading.Event().wait(0.1)
    return kit.merge(shards, context, slot)


def test_a_scheduler_that_dies_ends_the_job_in_one_sentence(foreign):
    on_progress, acted = at_first_output(foreign.scheduler.kill)
    with pytest.raises(
        JobCancelledError,
        match=r"^the scheduler at tcp://127\.0\.0\.1:\d+ went away in the middle of the job",
    ):
        run(foreign.client, build(20, merge=take_time), on_progress, poll_s=0.01)
    assert acted
    assert foreign.client.status != "running"  # it is yet trying to reach it


def test_a_worker_that_stands_still_for_a_while_only_delays(foreign):
    worker = foreign.workers[1]

    def pause():
        worker.send(signal.SIGSTOP)
        threading.Timer(2, worker.send, [signal.SIGCONT]).start()

    on_progress, acted = at_first_output(pause)
    _, outputs = run(foreign.client, build(20, merge=take_time), on_progress, poll_s=0.01)
    kit.check(outputs, 20)
    assert acted


def in_time(job):
    """Return what a job returns or raises, while something in the cluster stands still."""
    ended = []

    def do():
        try:
            ended.append(job())
        except BaseException as error:
            ended.append(error)

    doing = threading.Thread(target=do, daemon=True)
    doing.start()
    doing.join(PATIENCE_S)
    assert ended, "it goes on"
    return ended[0]


def test_an_idle_worker_that_stands_still_holds_no_result_up(foreign, monkeypatch):
    monkeypatch.setattr(jobs, "TELL_S", 20.0)  # enough for those that do answer
    late = []

    def join_and_stop():
        late.append(Worker(foreign.folder))
        foreign.client.wait_for_workers(4, timeout=PATIENCE_S)
        late[0].send(signal.SIGSTOP)

    on_progress, _ = at_first_output(join_and_stop)
    spilled = []
    try:
        _, outputs = in_time(
            lambda: run(
                foreign.client,
                build(9, merge=take_time, store_bytes=0, temp_dir=str(foreign.folder)),
                on_progress,
                on_spilled=spilled.append,
                poll_s=0.01,
            )
        )
        kit.check(outputs, 9)
        assert spilled[0] > 0  # by those that answer
    finally:
        for worker in late:
            worker.process.kill()
            worker.process.wait()


@pytest.mark.parametrize("what", ["worker", "scheduler"])
def test_what_stands_still_holds_no_error_up(foreign, monkeypatch, what):
    monkeypatch.setattr(jobs, "_SILENT_S", 5.0)

    def stop():
        stopped = foreign.scheduler if what == "scheduler" else foreign.workers[1].process
        stopped.send_signal(signal.SIGSTOP)
        raise kit.CorruptFileError("of the caller")

    on_progress, _ = at_first_output(stop)
    layer = build(20, merge=take_time)
    error = in_time(lambda: run(foreign.client, layer, on_progress, poll_s=0.01))
    foreign.scheduler.send_signal(signal.SIGCONT)
    assert isinstance(error, kit.CorruptFileError), error


def test_a_worker_that_is_retired_hands_over(foreign):
    address = sorted(workers_of(foreign.client))[0]
    on_progress, acted = at_first_output(lambda: foreign.client.retire_workers([address]))
    _, outputs = run(foreign.client, build(20, merge=take_time), on_progress, poll_s=0.01)
    kit.check(outputs, 20)
    assert acted
    assert address not in workers_of(foreign.client)


def where(shards, context, slot):
    return get_worker().address


def test_a_worker_that_joins_late_is_used_by_the_next_run(foreign):
    foreign.workers[0].send(signal.SIGKILL)
    foreign.workers[1].send(signal.SIGKILL)
    until(lambda: len(workers_of(foreign.client)) == 1)
    late = []

    def join():
        late.append(Worker(foreign.folder))
        foreign.client.wait_for_workers(2, timeout=PATIENCE_S)

    on_progress, _ = at_first_output(join)
    try:
        run(foreign.client, build(9, merge=where), on_progress, poll_s=0.01)
        _, places = run(foreign.client, build(9, merge=where))
        assert set(places) == set(workers_of(foreign.client))
        assert len(set(places)) == 2
    finally:
        for worker in late:
            worker.process.kill()
            worker.process.wait()


def test_a_worker_whose_disk_fails_is_named():
    def split(source, context, input_id):
        raise OSError(errno.EIO, "Input/output error", "/data/in.parquet")

    exchange = dataclasses.replace(kit.exchange(), split=split)
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
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
