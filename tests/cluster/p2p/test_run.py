from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from dataclasses import replace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import exchange_kit as kit
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import ShardsDamagedError
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.p2p import log, messages
from dlsort_cluster.p2p import run as p2p_run
from dlsort_cluster.store import shared
from p2p_kit import assert_no_runs, count_shards, n_mapped
from patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("way")

ARRIVED = threading.Event()


def test_a_repeated_message_is_ignored(three_workers, monkeypatch):
    send = p2p_run.ExchangeRun._send_unless_given_up

    async def send_twice(self, address, shards):
        await send(self, address, shards)
        return await send(self, address, shards)

    monkeypatch.setattr(p2p_run.ExchangeRun, "_send_unless_given_up", send_twice)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))
    kit.check(outputs, 5)


def test_big_units_go_as_buffers_of_their_own(three_workers):
    # below 64 KiB several would be joined
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(3, n_rows=20_000), 6)
    _, outputs = run(three_workers, layer)
    kit.check(outputs, 3, n_rows=20_000)


def test_units_go_the_way_that_they_are_meant_to(three_workers, way, monkeypatch):
    attached = []
    attach = p2p_run.attach
    monkeypatch.setattr(p2p_run, "attach", lambda place: attached.append(1) or attach(place))
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6))
    kit.check(outputs, 9)
    assert len(attached) == (18 if way == "shared" else 0)
    assert_no_runs(three_workers)


def test_the_log_tells_of_runs_of_others_only(three_workers, caplog):
    name = "distributed.shuffle._scheduler_plugin"
    frame, before = pd.DataFrame({"k": range(9)}), set(log._ours)
    with caplog.at_level("WARNING", name):
        for _ in range(2):
            layer = p2p.build(kit.exchange(), kit.name(), kit.sources(3), 6)
            kit.check(run(three_workers, layer)[1], 3)
            assert_no_runs(three_workers)
        assert [each for each in caplog.records if each.name == name] == []
        shuffled = dd.from_pandas(frame, npartitions=3).shuffle("k", shuffle_method="p2p")
        assert sorted(three_workers.compute(shuffled).result().k) == list(range(9))
        assert_no_runs(three_workers)
    told = [each.getMessage() for each in caplog.records if each.name == name]
    assert any(" initialized by task" in each for each in told)
    assert log._ours <= before


def test_a_graph_that_no_worker_runs():
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6, [0, 2, 5])
    receipts, outputs = dask.get(layer.graph, [layer.transfer_keys, layer.output_keys])
    assert [receipt.stats for receipt in receipts] == [("stats", i) for i in range(9)]
    kit.check(outputs, 9, parts=[0, 2, 5])


def test_rows_that_came_back_with_a_receipt_make_the_run_start_again(
    three_workers, monkeypatch
):
    asked = []
    hand_over = p2p._hand_over

    def fail_once(run, found, input_id):
        asked.append(input_id)
        return p2p._NO_RUN if len(asked) == 1 else hand_over(run, found, input_id)

    monkeypatch.setattr(p2p, "_hand_over", fail_once)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6))
    kit.check(outputs, 9)
    assert len(asked) > 9


def test_no_memory_stays_mapped(three_workers):
    exchange = kit.exchange(merge=count_shards)
    before = n_mapped()
    _, outputs = run(three_workers, p2p.build(exchange, kit.name(), kit.sources(9), 6))
    assert len(outputs) == 6
    assert_no_runs(three_workers)
    gc.collect()
    assert n_mapped() <= before


def split_until_rows_arrived(source, context, input_id):
    if source.trouble:
        assert ARRIVED.wait(PATIENCE_S)
    return kit.split(source, context, input_id)


def test_a_run_that_ended_keeps_no_rows_that_were_arriving(three_workers, monkeypatch):
    # the engine keeps runs beyond their end: a pooled connection knows who opened it
    def unpack_late(self, inputs, starts, stream):
        kept.append(self)
        arrived.append(weakref.ref(stream))
        ARRIVED.set()
        assert ending.wait(PATIENCE_S)
        self.store.close()
        unpack(self, inputs, starts, stream)

    async def close(self):
        ending.set()
        await close_run(self)

    monkeypatch.setattr(messages, "_MESSAGE_BYTES", 0)
    ARRIVED.clear()
    kept, arrived, ending = [], [], threading.Event()
    unpack, close_run = p2p_run.ExchangeRun._unpack, p2p_run.ExchangeRun.close
    monkeypatch.setattr(p2p_run.ExchangeRun, "_unpack", unpack_late)
    monkeypatch.setattr(p2p_run.ExchangeRun, "close", close)
    before = n_mapped()
    exchange = replace(kit.exchange(), split=split_until_rows_arrived)
    sources = kit.sources(9, trouble="split", at=8)
    with pytest.raises(kit.CorruptFileError):
        run(three_workers, p2p.build(exchange, kit.name(), sources, 6))
    assert_no_runs(three_workers)
    await_closed(kept)
    gc.collect()
    assert not [rows for rows in arrived if rows() is not None]
    assert n_mapped() <= before


def await_closed(runs):
    async def closed(run):
        await run._closed_event.wait()

    for each in runs:
        loop = each._loop.asyncio_loop
        asyncio.run_coroutine_threadsafe(closed(each), loop).result(PATIENCE_S)


def test_a_neighbour_that_sees_nothing_is_sent_all(three_workers, way, monkeypatch):
    def attach(place):
        tried.append(place)
        raise shared.NotSharedError("no such process")

    tried = []
    monkeypatch.setattr(p2p_run, "attach", attach)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(40), 6))
    kit.check(outputs, 40)
    assert bool(tried) == (way == "shared")
    assert len(tried) < 40
    assert_no_runs(three_workers)


def test_worker_processes_share_memory():
    def count(dask_worker):
        attach = p2p_run.attach
        dask_worker.attached = []
        p2p_run.attach = lambda place: dask_worker.attached.append(1) or attach(place)

    n_rows = 20_000
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(count)
        layer = p2p.build(kit.exchange(), kit.name(), kit.sources(4, n_rows=n_rows), 6)
        _, outputs = run(client, layer)
        kit.check(outputs, 4, n_rows=n_rows)
        n_attached = client.run(lambda dask_worker: len(dask_worker.attached))
    assert sum(n_attached.values()) == 4


def test_units_are_sent_where_no_file_can_be_opened_any_more(three_workers, monkeypatch):
    def full(place):
        raise shared.NotSharedError("[Errno 24] Too many open files")

    monkeypatch.setattr(shared, "_FEWEST_BYTES", 0)
    monkeypatch.setattr(shared, "attach", full)
    monkeypatch.setattr(p2p_run, "attach", full)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))
    kit.check(outputs, 5)
    assert_no_runs(three_workers)


@pytest.fixture
def flip(monkeypatch):
    """Have the first messages arrive with one bit of their rows flipped."""

    def damage(n_times):
        framed = p2p_run.frame
        left = [n_times]
        lock = threading.Lock()

        def frame_and_flip(messages):
            arrays = framed(messages)
            with lock:
                left[0] -= 1
                if left[0] < 0:
                    return arrays
            last = arrays[-1].copy()
            last[len(last) // 2] ^= 0x10
            return [*arrays[:-1], last]

        monkeypatch.setattr(p2p_run, "frame", frame_and_flip)

    return damage


@pytest.mark.parametrize("n_rows", [10, 20_000])
def test_rows_damaged_on_the_way_are_sent_again(three_workers, flip, n_rows):
    flip(2)
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5, n_rows=n_rows), 6)
    _, outputs = run(three_workers, layer)
    kit.check(outputs, 5, n_rows=n_rows)
    assert_no_runs(three_workers)


@pytest.mark.parametrize("n_parts", [2, 6])
def test_a_worker_that_sends_nothing_whole_is_named(three_workers, monkeypatch, n_parts):
    """Also where the outputs of others, which miss its rows, are made first."""
    workers = sorted(workers_of(three_workers))
    send = p2p_run.ExchangeRun._send_unless_given_up

    async def damage(self, address, arrays):
        owners = [self.worker_for[part] for part in range(n_parts)]
        spoilers = [at for at in workers if at not in owners] or [owners[-1]]
        if self.local_address == spoilers[0]:
            arrays = [arrays[0] + np.uint64(1), *arrays[1:]]
        return await send(self, address, arrays)

    monkeypatch.setattr(p2p_run.ExchangeRun, "_send_unless_given_up", damage)
    layer = p2p.build(kit.exchange(n_parts), kit.name(), kit.sources(3), n_parts)
    with pytest.raises(ShardsDamagedError, match=r"arrived damaged at \S+ from \S+, 3 times"):
        run(three_workers, layer)
    assert_no_runs(three_workers)


def test_a_way_that_damages_all_rows_is_named(three_workers, flip):
    flip(10**6)
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6)
    says = r"rows of input \d.* arrived damaged at inproc://\S+ from inproc://\S+, 3 times"
    with pytest.raises(ShardsDamagedError, match=says):
        run(three_workers, layer)
    assert_no_runs(three_workers)
