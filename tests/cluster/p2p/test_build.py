from __future__ import annotations

import errno

import pytest
from dask._task_spec import Task, TaskRef

import exchange_kit as kit
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import (
    ExchangeError,
    Shards,
    ShardsLostError,
    SpillFullError,
)
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.p2p import places as p2p_places
from dlsort_cluster.p2p import run as p2p_run
from dlsort_cluster.store import spill
from dlsort_cluster.store.store import ShardStore
from p2p_kit import assert_no_runs, count_shards, start_three_workers

pytestmark = pytest.mark.usefixtures("way")


def test_every_row_arrives_once_and_in_input_order(client):
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6)
    stats, outputs = run(client, layer)
    assert stats == [("stats", i) for i in range(9)]
    kit.check(outputs, 9)
    assert_no_runs(client)


def test_rows_that_do_not_fit_the_store_are_spilled_and_read_back(client, tmp_path):
    spilled = []
    exchange = kit.exchange(store_bytes=10_000, temp_dir=str(tmp_path))
    layer = p2p.build(exchange, kit.name(), kit.sources(9), 6)
    _, outputs = run(client, layer, on_spilled=spilled.append)
    kit.check(outputs, 9)
    assert spilled[0] > 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_spilled_that_fits(client):
    spilled = []
    run(
        client,
        p2p.build(kit.exchange(), kit.name(), kit.sources(3), 6),
        on_spilled=spilled.append,
    )
    assert spilled == [0]


@pytest.mark.parametrize("parts", [[3], [0, 1, 5], [1]])
def test_only_the_wanted_partitions_are_made(client, parts):
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6, parts)
    _, outputs = run(client, layer)
    kit.check(outputs, 5, parts=parts)


def test_two_selections_of_one_exchange_do_not_meet(client):
    exchange = kit.exchange()
    first = p2p.build(exchange, kit.name(), kit.sources(4), 6, [0, 2])
    second = p2p.build(exchange, kit.name(), kit.sources(4), 6, [3, 4])
    futures = client.get({**first.graph, **second.graph}, second.output_keys, sync=False)
    kit.check(run(client, first)[1], 4, parts=[0, 2])
    kit.check(client.gather(futures), 4, parts=[3, 4])


def test_more_workers_than_partitions(three_workers):
    _, outputs = run(three_workers, p2p.build(kit.exchange(2), kit.name(), kit.sources(5), 2))
    kit.check(outputs, 5, n_parts=2)


def test_partitions_scattered_over_workers_still_arrive(three_workers, monkeypatch):
    def scatter(self, part, workers):
        return sorted(workers)[part % 3]

    monkeypatch.setattr(p2p_run.ExchangeSpec, "pick_worker", scatter)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))
    kit.check(outputs, 5)


def record_places(monkeypatch):
    """Return two growing lists: outputs tried where their rows are, and elsewhere."""
    here, elsewhere = [], []
    ensure = p2p_run.ExchangeRun._ensure_output_worker

    async def recording(self, part, key):
        (here if self.worker_for[part] == self.local_address else elsewhere).append(part)
        await ensure(self, part, key)

    monkeypatch.setattr(p2p_run.ExchangeRun, "_ensure_output_worker", recording)
    return here, elsewhere


@pytest.mark.parametrize("parts", [None, [1, 2, 4, 5]])
def test_outputs_are_made_where_their_rows_are_at_the_first_try(
    three_workers, monkeypatch, parts
):
    here, elsewhere = record_places(monkeypatch)
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6, parts)
    _, outputs = run(three_workers, layer)
    kit.check(outputs, 5, parts=parts)
    assert sorted(here) == (parts or [*range(6)])
    assert elsewhere == []


def test_a_task_that_is_fused_with_others_is_placed_too(three_workers, monkeypatch):
    here, elsewhere = record_places(monkeypatch)
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6)
    graph = dict(layer.graph)
    keys = []
    for key in layer.output_keys:
        then = Task(("then", *key), count_rows, TaskRef(key))
        keys.append(("both", *key))
        graph[keys[-1]] = Task.fuse(graph.pop(key), then, key=keys[-1])
    n_rows = three_workers.get(graph, keys)
    assert sum(n_rows) == 1000
    assert (sorted(here), elsewhere) == ([*range(6)], [])


def count_rows(output):
    return output[1].num_rows


def test_a_scheduler_that_runs_no_functions_lets_outputs_find_their_workers(
    three_workers, monkeypatch
):
    def refuse(*args):
        raise ValueError("not allowed")

    monkeypatch.setattr(p2p_places, "_place_outputs", refuse)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))
    kit.check(outputs, 5)


def test_no_input_gives_empty_partitions(client):
    layer = p2p.build(kit.exchange(merge=count_shards), kit.name(), [], 6)
    stats, outputs = run(client, layer)
    assert stats == []
    assert outputs == [(0, 0)] * 6


def test_inputs_without_rows_still_hand_on_their_schema(client):
    _, outputs = run(client, p2p.build(kit.exchange(), kit.name(), kit.sources(3, n_rows=0), 6))
    assert [table.num_rows for _, table in outputs] == [0] * 6
    assert all("text" in table.column_names for _, table in outputs)


def test_sources_and_context_may_come_from_other_tasks(client):
    inputs = [TaskRef(("input", i)) for i in range(4)]
    layer = p2p.build(kit.exchange(), kit.name(), inputs, TaskRef("n-parts"))
    layer.graph.update({("input", i): Task(("input", i), kit.Source, 200) for i in range(4)})
    layer.graph["n-parts"] = Task("n-parts", int, "6")
    _, outputs = run(client, layer)
    kit.check(outputs, 4)


def test_a_full_disk_is_told_in_words(client, tmp_path, monkeypatch):
    def pwrite(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill.os, "pwrite", pwrite)
    exchange = kit.exchange(store_bytes=10_000, temp_dir=str(tmp_path))
    with pytest.raises(SpillFullError, match=rf"no space left in {tmp_path} on inproc://"):
        run(client, p2p.build(exchange, kit.name(), kit.sources(9), 6))
    assert_no_runs(client)


@pytest.mark.parametrize("n_inputs", [1, 2, 9])
def test_a_disk_that_is_full_at_the_receiver_only_is_told_in_words(
    three_workers, monkeypatch, n_inputs
):
    unpack = p2p_run.ExchangeRun._unpack

    def full(self, inputs, *packed):
        if n_inputs - 1 in inputs:
            raise SpillFullError("no space left there")
        unpack(self, inputs, *packed)

    monkeypatch.setattr(p2p_run.ExchangeRun, "_unpack", full)
    with pytest.raises(SpillFullError, match="no space left there"):
        run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(n_inputs), 6))
    assert_no_runs(three_workers)


def test_own_error_of_split_keeps_its_type(client, tmp_path):
    exchange = kit.exchange(store_bytes=0, temp_dir=str(tmp_path))
    layer = p2p.build(exchange, kit.name(), kit.sources(9, trouble="split", at=6), 6)
    with pytest.raises(kit.CorruptFileError, match="part 7 is truncated"):
        run(client, layer)
    assert_no_runs(client)
    assert list(tmp_path.iterdir()) == []


def test_own_error_of_merge_keeps_its_type(client):
    layer = p2p.build(kit.exchange(merge=kit.merge_with_trouble), kit.name(), kit.sources(4), 6)
    with pytest.raises(kit.CorruptFileError, match="part 2 is cursed"):
        run(client, layer)
    assert_no_runs(client)


def test_a_split_that_loses_rows_is_refused(client):
    exchange = kit.exchange()
    layer = p2p.build(exchange_with(exchange, split_short), kit.name(), kit.sources(2), 6)
    with pytest.raises(ValueError, match=r"split of input \d: starts must be 7 non-decreasing"):
        run(client, layer)


def exchange_with(exchange, split):
    return type(exchange)(exchange.token, exchange.n_parts, split, exchange.merge)


def split_short(source, context, input_id):
    found = kit.split(source, context, input_id)
    return found._replace(starts=found.starts[:-1])


def test_a_unit_that_never_arrived_is_missed(client, monkeypatch):
    put = ShardStore.put
    monkeypatch.setattr(
        ShardStore, "put", lambda self, i, unit: True if i == 3 else put(self, i, unit)
    )
    with pytest.raises(ShardsLostError, match=r"input 3 of 5 never reached .* Please|please"):
        run(client, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))


def test_a_row_that_got_lost_on_the_way_is_missed(client, monkeypatch):
    read = ShardStore.read
    monkeypatch.setattr(
        ShardStore,
        "read",
        lambda self, *args: Shards.of([t.slice(1) for t in read(self, *args).read_all()]),
    )
    with pytest.raises(ShardsLostError, match="the inputs sent"):
        run(client, p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6))


def test_an_error_inside_the_engine_says_where(client, monkeypatch):
    def broken(*args):
        raise KeyError("a bug")

    monkeypatch.setattr(p2p_run, "cut", broken)
    with pytest.raises(ExchangeError, match=r"failed during transfer: KeyError\('a bug'\)"):
        run(client, p2p.build(kit.exchange(), kit.name(), kit.sources(2), 6))


@pytest.mark.parametrize("phase", ["transfer", "merge"])
def test_a_worker_that_leaves_starts_the_run_again(phase, tmp_path):
    async def leave(dask_scheduler):
        address = sorted(dask_scheduler.workers)[0]
        await dask_scheduler.remove_worker(address, stimulus_id="test")

    n_left = 0

    def on_progress(stats, outputs):
        nonlocal n_left
        if not n_left and (stats if phase == "transfer" else outputs):
            n_left += 1
            client.run_on_scheduler(leave)

    with start_three_workers() as client:
        exchange = kit.exchange(store_bytes=10_000, temp_dir=str(tmp_path))
        layer = p2p.build(exchange, kit.name(), kit.sources(99), 6)
        _, outputs = run(client, layer, on_progress, poll_s=0.01)
        kit.check(outputs, 99)
        assert_no_runs(client)
        assert n_left == 1
    assert list(tmp_path.iterdir()) == []


def test_outputs_lost_after_the_run_was_closed_are_made_again():
    async def leave(dask_scheduler, address):
        await dask_scheduler.remove_worker(address, stimulus_id="test")

    with start_three_workers() as client:
        layer = p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6)
        keys = [*layer.transfer_keys, *layer.output_keys]
        futures = client.get(layer.graph, keys, sync=False)
        kit.check(client.gather(futures[9:]), 9)
        assert_no_runs(client)
        (holder, *_) = client.who_has(futures[-1:])[futures[-1].key]
        client.run_on_scheduler(leave, address=holder)
        kit.check(client.gather(futures[9:]), 9)


def test_the_dashboard_is_shown_the_stores_numbers(one_worker):
    layer = p2p.build(kit.exchange(store_bytes=10_000), kit.name(), kit.sources(4), 6)
    (barrier,) = (key for key in layer.graph if isinstance(key, str))
    held = one_worker.get(layer.graph, [barrier, *layer.output_keys], sync=False)
    kit.check(one_worker.gather(held[1:]), 4)
    (beats,) = one_worker.run(heartbeat).values()
    (beat,) = beats.values()
    assert beat["disk"]["memory_limit"] == 10_000
    assert beat["disk"]["written"] > 0
    assert beat["disk"]["read"] > 0
    assert beat["disk"].keys() >= {"memory", "total", "buckets", "avg_size", "avg_duration"}


def heartbeat(dask_worker):
    return dask_worker.extensions["shuffle"].shuffle_runs.heartbeat()


def test_the_installed_version_is_supported():
    assert p2p.supported()


@pytest.mark.parametrize(
    ("version", "supported"), [("2025.12.1", False), ("2026.8.0", True), ("2027.1.0", False)]
)
def test_only_tested_versions_are_supported(monkeypatch, version, supported):
    monkeypatch.setattr(p2p, "version", lambda _: version)
    assert p2p.supported() is supported
