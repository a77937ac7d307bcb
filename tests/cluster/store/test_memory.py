"""A worker that is short of memory: who gives way, and what is said if nobody can.

The memory of the process is made up, so that it is short on every machine: a test says what
others hold, and what the stores hold comes on top.
"""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from dask.context import thread_state
from distributed import Client, LocalCluster
from distributed.core import Status

import exchange_kit as kit
from dlsort_cluster.arrow_sizes import held_bytes
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import MemoryNeededError, SpillError
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.store import memory, spill
from dlsort_cluster.store.codecs import Codecs
from dlsort_cluster.store.memory import MemoryGuard, guard_of
from dlsort_cluster.store.store import ShardStore
from dlsort_cluster.tuning import MEMORY
from dlsort_cluster.wire import Unit
from p2p_kit import assert_no_runs

GB = 10**9
LIMIT = 10 * GB


class Worker:
    """What the guard asks a worker."""

    def __init__(self, limit=LIMIT, *, spill=0.7, pause=0.8):
        self.address = "tcp://10.0.0.4:4001"
        self.status = Status.running
        self.others = 0
        self.stores = []
        self.data = {}
        self.state = SimpleNamespace(tasks={})
        self.monitor = SimpleNamespace(get_process_memory=self.memory)
        self.memory_manager = SimpleNamespace(
            memory_limit=limit,
            memory_target_fraction=0.6,
            memory_spill_fraction=spill,
            memory_pause_fraction=pause,
        )

    def memory(self):
        return self.others + sum(store.held() for store in self.stores)


class Store(ShardStore):
    """A store whose units pretend to be large."""

    def __init__(self, tmp_path, limit_bytes=2**60, **kwargs):
        super().__init__(
            run="7f3a[2]",
            worker="tcp://10.0.0.4:4001",
            parts=[4, 5, 6, 9],
            limit_bytes=limit_bytes,
            temp_dir=str(tmp_path),
            codecs=Codecs((None,)),
            **kwargs,
        )

    def held(self):
        return GB * self.memory_bytes // N_BYTES


STARTS = np.array([0, 0, 1, 2_000, 10_000])


def make_unit(input_id=0):
    rows = np.arange(STARTS[-1])
    return Unit(kit.make_table(rows * 0, input_id, rows), STARTS)


N_BYTES = held_bytes(make_unit().table)


def rows_of(store, n_inputs):
    return [
        table.to_pydict()
        for part in (4, 5, 6, 9)
        for table in store.read(part, n_inputs).read_all()
    ]


@pytest.fixture
def worker():
    found = Worker()
    yield found
    found.status = Status.closed


def fill(worker, tmp_path, n_inputs=4, **kwargs):
    store = Store(tmp_path, **kwargs)
    for input_id in range(n_inputs):
        store.put(input_id, make_unit(input_id))
    worker.stores.append(store)
    return store


def wait_until(is_so):
    """Look again and again, as the guard's own thread has its own pace; None is a hang."""
    for _ in range(6000):
        if is_so():
            return True
        threading.Event().wait(0.01)
    return False


# ---------------------------------------------------------------- stores


@pytest.mark.parametrize("is_ready", [False, True])
def test_what_a_store_sheds_is_read_back_the_same(tmp_path, is_ready):
    store, expected = Store(tmp_path), Store(tmp_path)
    for input_id in (2, 0, 1):
        store.put(input_id, make_unit(input_id))
        expected.put(input_id, make_unit(input_id))
    if is_ready:
        rows_of(store, 3)
    before = store.memory_bytes
    assert store.shed(1) >= 1
    assert 0 < store.memory_bytes < before
    assert rows_of(store, 3) == rows_of(expected, 3)
    store.shed(2**60)
    assert store.memory_bytes == 0
    assert store.shed(1) == 0
    assert rows_of(store, 3) == rows_of(expected, 3)


def test_units_are_shed_while_others_are_put_and_read(tmp_path):
    store, expected = Store(tmp_path), Store(tmp_path)
    for input_id in range(40):
        expected.put(input_id, make_unit(input_id))
    stop = threading.Event()

    def shed():
        while not stop.is_set():
            store.shed(3 * N_BYTES)

    threads = [threading.Thread(target=shed) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for input_id in range(40):
            store.put(input_id, make_unit(input_id))
        assert rows_of(store, 40) == rows_of(expected, 40)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert rows_of(store, 40) == rows_of(expected, 40)


@pytest.mark.parametrize("is_ready", [False, True])
def test_rows_that_cannot_be_shed_are_kept(tmp_path, monkeypatch, is_ready):
    store = Store(tmp_path)
    store.put(0, make_unit())
    if is_ready:
        rows_of(store, 1)

    def fail(file, units, codec):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spill, "write", fail)
        with pytest.raises(SpillError, match="no space left"):
            store.shed(1)
    assert store.memory_bytes == pytest.approx(N_BYTES, rel=1e-3)
    expected = Store(tmp_path)
    expected.put(0, make_unit())
    assert rows_of(store, 1) == rows_of(expected, 1)
    assert store.shed(1)


def test_units_go_to_disk_where_the_process_has_no_room(tmp_path):
    room = [True, False, False]
    store = Store(tmp_path, has_room=lambda n_bytes: room.pop(0))
    for input_id in range(3):
        store.put(input_id, make_unit(input_id))
    assert store.memory_bytes == N_BYTES
    assert store.spilled_bytes > 1.9 * N_BYTES


def test_the_head_of_a_run_holds_no_rows(tmp_path):
    """It is read with each partition: Arrow writes an empty slice of text with all offsets."""
    n = 100_000
    texts = pa.array([f"{i:08}" for i in range(n)])
    table = pa.table({"text": texts, "lists": pa.array([[i] for i in range(n)]), "n": range(n)})
    file = spill.SpillFile(str(tmp_path))
    written = spill.write(file, [Unit(table, np.array([0, n // 2, n]))])
    assert written.offsets[0] - written.begin < 4096
    (rows,), _ = spill.read(written, 1)
    assert rows.equals(table.slice(n // 2))


# ---------------------------------------------------------------- the guard


def test_stores_give_way_from_70_percent_on_down_to_60(tmp_path):
    worker = Worker(limit=10 * N_BYTES)
    guard, store = MemoryGuard(worker), fill(worker, tmp_path)
    worker.monitor.get_process_memory = lambda: worker.others + store.memory_bytes
    worker.others = int(1.9 * N_BYTES)  # and 4 units
    assert guard.has_room(0)
    guard.watch(store, pytest.fail, planned=False)
    worker.others = int(3.5 * N_BYTES)
    assert not guard.has_room(0)
    assert wait_until(lambda: store.memory_bytes == 2 * N_BYTES)
    worker.status = Status.closed


def test_a_job_that_has_planned_its_memory_gives_way_to_a_pause_only(worker, tmp_path):
    guard = MemoryGuard(worker)
    planned, frame = fill(worker, tmp_path), fill(worker, tmp_path)
    guard.watch(planned, pytest.fail, planned=True)
    guard.watch(frame, pytest.fail, planned=False)
    worker.others = 3.5 * GB  # and 8 GB
    worker.others = 0.5 * GB
    assert wait_until(lambda: frame.held() <= 2 * GB)
    worker.others = 7.5 * GB
    assert wait_until(lambda: worker.memory() == 7.5 * GB)
    assert planned.memory_bytes == 0


def test_no_store_gives_way_where_dask_has_neither_limit_nor_pause(tmp_path):
    for worker in (Worker(limit=None), Worker(spill=False, pause=False)):
        guard, store = MemoryGuard(worker), fill(worker, tmp_path)
        guard.watch(store, pytest.fail, planned=True)
        worker.others = 100 * GB
        assert guard._looker is None
        assert store.spilled_bytes == 0


def test_the_thread_ends_with_its_worker(worker, tmp_path):
    guard, store = MemoryGuard(worker), fill(worker, tmp_path)
    guard.watch(store, pytest.fail, planned=False)
    name = f"dlsort-memory-{worker.address}"

    def is_there():
        return any(thread.name == name for thread in threading.enumerate())

    assert is_there()
    worker.status = Status.closing
    assert wait_until(lambda: not is_there())


@pytest.fixture
def trims(monkeypatch):
    """Addresses of the workers whose freed memory was returned, one a time."""
    found = []
    monkeypatch.setattr(MemoryGuard, "_trim", lambda guard: found.append(guard.address))
    monkeypatch.setattr(MemoryGuard, "memory_bytes", lambda guard: guard.limit_bytes // 2)
    return found


def test_little_memory_is_not_given_back(worker, trims, monkeypatch):
    """It would have to be fetched again for the next sort."""
    monkeypatch.setattr(MemoryGuard, "memory_bytes", lambda guard: guard.limit_bytes // 4)
    MemoryGuard(worker).give_back()
    assert not trims
    monkeypatch.setattr(MemoryGuard, "memory_bytes", lambda guard: guard.limit_bytes // 2)
    MemoryGuard(worker).give_back()
    assert trims


def test_memory_is_given_back_when_the_last_store_is_gone(worker, tmp_path, trims):
    guard = MemoryGuard(worker)
    one, two = fill(worker, tmp_path), fill(worker, tmp_path)
    for store in (one, two):
        guard.watch(store, pytest.fail, planned=True)
    guard.forget(one)
    guard.give_back()
    assert not trims
    guard.forget(two)
    guard.give_back()
    assert trims == [worker.address]
    MemoryGuard(Worker(limit=None)).give_back()
    assert trims == [worker.address]


def test_memory_is_given_back_once_results_are_taken_away(worker, trims):
    MemoryGuard(worker, replace(MEMORY, awake_s=0.0)).wake()
    assert wait_until(lambda: trims)


@pytest.mark.parametrize(("share", "times"), [(0.5, 0), (0.65, 1)])
def test_the_thread_of_a_task_gives_back_what_it_has_freed(worker, monkeypatch, share, times):
    """Another can't: 300 MB stayed resident until the next task, with nothing in use."""
    threads = []
    monkeypatch.setattr(
        MemoryGuard, "_trim", lambda guard: threads.append(threading.get_ident())
    )
    worker.others = int(share * LIMIT)
    guard = MemoryGuard(worker)
    with guard.reading(), guard.working(LIMIT // 100, "partition 3 has 50 MB"):
        pass
    assert threads == [threading.get_ident()] * times


def test_a_run_that_is_over_gives_memory_back(trims):
    """Dask counts what allocators keep, and has less for what comes next."""
    with two_workers() as (cluster, client):
        layer = p2p.build(kit.exchange(), kit.name(), kit.sources(4, n_rows=500), 6)
        _, outputs = run(client, layer)
        kit.check(outputs, 4, n_rows=500)
        assert_no_runs(client)
        assert set(trims) >= {worker.address for worker in cluster.workers.values()}


@pytest.mark.parametrize("is_over", [False, True])
def test_a_full_worker_is_told_whether_it_is_by_a_sort_or_its_result(
    worker, tmp_path, caplog, is_over
):
    often = replace(MEMORY, warn_s=-1.0)  # while a sort is at work there is time
    worker.address = f"tcp://10.0.0.5:{4001 + is_over}"  # others' guards may yet tell
    guard = MemoryGuard(worker, MEMORY if is_over else often)
    store = fill(worker, tmp_path)
    with caplog.at_level("WARNING", memory.__name__):
        guard.watch(store, pytest.fail, planned=False)
        if is_over:
            guard.forget(store)
            store.close()
        worker.others = 9 * GB
        begins = f"{worker.address} holds 8.38 GiB of 9.31 GiB, and "
        assert wait_until(lambda: any(begins in said for said in caplog.messages))
    said = next(said for said in caplog.messages if begins in said)
    assert ("the sort itself is over" in said) is is_over
    assert ("write the result with to_parquet" in said) is is_over
    assert ("only what is at work" in said) is not is_over


def test_what_cannot_be_written_is_told(worker, tmp_path, monkeypatch):
    def fail(file, units, codec):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "write", fail)
    told = []
    guard, store = MemoryGuard(worker), fill(worker, tmp_path)

    def broken(error):
        told.append(error)
        store.close()

    worker.others = 5 * GB
    guard.watch(store, broken, planned=False)
    assert wait_until(lambda: told)
    assert "no space left" in str(told[0])


def test_tasks_take_turns_where_two_do_not_fit(worker):
    guard = MemoryGuard(worker)
    worker.others = GB
    inside, most, lock = [], [], threading.Lock()

    def work(n_bytes):
        with guard.working(n_bytes, "partition 3 has 1 GiB"):
            with lock:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.01)
            with lock:
                inside.pop()

    def run_all(n_bytes):
        most.clear()
        threads = [threading.Thread(target=work, args=(n_bytes,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(most)

    assert run_all(4 * GB) == 1
    worker.others = 6.9 * GB  # more than there is room for, and yet one at a time goes on
    assert run_all(4 * GB) == 1


def test_a_task_that_reads_and_then_works_waits_but_once(worker):
    guard = MemoryGuard(worker)
    guard.partition_bytes = GB
    worker.others = 3 * GB
    inside, most, lock = [], [], threading.Lock()

    def work():
        with guard.reading(), guard.working(3 * GB, "partition 3 has 1 GiB"):
            with lock:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.01)
            with lock:
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 6


def test_a_task_that_waits_for_tasks_holds_up_none(worker):
    """It has seceded: what it waits for may be what waits for its turn."""
    guard = MemoryGuard(worker)
    worker.others = 6.9 * GB
    worker.state.tasks["outer"] = SimpleNamespace(state="long-running")
    entered, leave = threading.Event(), threading.Event()

    def outer():
        thread_state.key = "outer"
        try:
            with guard.reading():
                entered.set()
                leave.wait(300)
        finally:
            del thread_state.key

    thread = threading.Thread(target=outer)
    thread.start()
    assert entered.wait(300)
    try:
        with guard.reading():
            assert thread.is_alive()
    finally:
        leave.set()
        thread.join()


def test_a_task_makes_room_before_it_takes_memory(worker, tmp_path):
    guard, store = MemoryGuard(worker), fill(worker, tmp_path)
    guard.watch(store, pytest.fail, planned=False)
    with guard.working(5 * GB, "partition 3 has 2.5 GiB"):
        assert store.held() <= 2 * GB


def test_a_partition_that_can_never_fit_is_refused_with_what_it_needs(worker):
    guard = MemoryGuard(worker)
    most = 0.95 * LIMIT - MEMORY.base_bytes
    with guard.working(int(most), "partition 3 has 4 GiB"):
        pass
    said = (
        r"partition 3 has 5\.00 GiB; to sort it takes about 10\.00 GiB at once, and worker "
        r"tcp://10\.0\.0\.4:4001 has 9\.31 GiB, of which 320\.00 MiB are Python's own\. Make "
        r"partitions smaller .* memory_limit of at least 10\.86 GiB\."
    )
    with (
        pytest.raises(MemoryNeededError, match=said),
        guard.working(10 * 2**30, "partition 3 has 5.00 GiB"),
    ):
        pass


def test_a_small_task_is_tried_on_the_smallest_worker():
    guard = MemoryGuard(Worker(limit=MEMORY.base_bytes))
    with guard.working(MEMORY.base_bytes // 5, "partition 3 has 16 MiB"):
        pass


# ---------------------------------------------------------------- a paused worker


@contextmanager
def two_workers():
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            memory_limit=LIMIT,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client


def test_a_worker_that_its_stores_have_paused_goes_on(monkeypatch):
    """Dask runs no task on it, so none can free what keeps it paused."""
    with two_workers() as (cluster, client):
        paused = []
        for worker in cluster.workers.values():
            own_up(worker, paused)
        exchange = kit.exchange(copies=1.0)
        layer = p2p.build(exchange, kit.name(), kit.sources(8, n_rows=5_000), 6)
        _, outputs = run(client, layer)
        kit.check(outputs, 8, n_rows=5_000)
        assert paused
        assert_no_runs(client)


def own_up(worker, paused):
    """Have a worker's memory be what its stores hold, and enough of that to be paused."""
    guard = guard_of(worker)
    guard.has_room = lambda n_bytes: True

    seen = {"full": False, "paused": False}

    def process_memory():
        held = sum(store.memory_bytes for store in guard._stores)
        if held > 100_000:
            seen["full"] = True
        if worker.status == Status.paused:
            seen["paused"] = True
            paused.append(held)
        if seen["paused"] and not held:
            seen["full"] = seen["paused"] = False
        return 9 * GB if seen["full"] else GB

    worker.monitor.get_process_memory = process_memory


def test_a_paused_worker_whose_disk_is_full_says_so(monkeypatch):
    def fail(file, units, codec):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "write", fail)
    with two_workers() as (cluster, client):
        for worker in cluster.workers.values():
            own_up(worker, [])
        exchange = kit.exchange(copies=1.0)
        layer = p2p.build(exchange, kit.name(), kit.sources(8, n_rows=5_000), 6)
        with pytest.raises(SpillError, match="no space left"):
            run(client, layer)


def test_a_worker_that_others_have_paused_is_waited_for():
    with two_workers() as (cluster, client):
        hogged = next(iter(cluster.workers.values()))
        looks = []

        def process_memory():
            looks.append(hogged.status)
            is_held = looks.count(Status.paused) < 20
            return 9 * GB if is_held else GB

        hogged.monitor.get_process_memory = process_memory
        assert wait_until(lambda: Status.paused in looks)
        layer = p2p.build(kit.exchange(copies=1.0), kit.name(), kit.sources(8), 6)
        _, outputs = run(client, layer)
        kit.check(outputs, 8)
        assert_no_runs(client)


def test_the_process_is_looked_at_while_partitions_are_read(worker):
    guard = MemoryGuard(worker)
    guard.wake()
    assert guard._looker is not None
