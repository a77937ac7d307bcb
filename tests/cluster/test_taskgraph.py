from __future__ import annotations

import dask
import dask.threaded
import pytest
from dask._task_spec import Task, TaskRef

import exchange_kit as kit
from dlsort_cluster import taskgraph
from dlsort_cluster.clusters.connect import connect, run
from dlsort_cluster.exchange import ShardsLostError

GETTERS = {"threads": dask.threaded.get, "sync": dask.get}


@pytest.fixture(params=GETTERS)
def get(request):
    return GETTERS[request.param]


def test_every_row_arrives_once_and_in_input_order(get):
    layer = taskgraph.build(kit.exchange(), kit.name(), kit.sources(9), 6)
    receipts, outputs = get(layer.graph, [layer.transfer_keys, layer.output_keys])
    assert [receipt.stats for receipt in receipts] == [("stats", i) for i in range(9)]
    kit.check(outputs, 9)


def test_under_a_client_too():
    with connect(threads=2) as client:
        layer = taskgraph.build(kit.exchange(), kit.name(), kit.sources(9), 6)
        spilled = []
        stats, outputs = run(client, layer, on_spilled=spilled.append)
        assert stats == [("stats", i) for i in range(9)]
        kit.check(outputs, 9)
        assert spilled == [0]


@pytest.mark.parametrize("parts", [[3], [0, 1, 5], [1], []])
def test_only_the_wanted_partitions_are_made(get, parts):
    layer = taskgraph.build(kit.exchange(), kit.name(), kit.sources(5), 6, parts)
    kit.check(get(layer.graph, layer.output_keys), 5, parts=parts)


def test_tasks_grow_with_inputs_plus_partitions():
    layer = taskgraph.build(kit.exchange(50), kit.name(), kit.sources(40), 50)
    assert len(layer.graph) == 40 + 40 + 1 + 50


def test_no_input_gives_empty_partitions(get):
    layer = taskgraph.build(kit.exchange(merge=count_shards), kit.name(), [], 6)
    assert list(get(layer.graph, layer.output_keys)) == [(0, 0)] * 6


def count_shards(shards, context, slot):
    return len(shards.lengths), slot.n_rows


def test_merge_slices_without_a_copy():
    layer = taskgraph.build(kit.exchange(merge=data_address), kit.name(), kit.sources(1), 6)
    addresses = dask.get(layer.graph, layer.output_keys)
    assert len(set(addresses)) == 1


def data_address(shards, context, slot):
    return shards.read_all()[0]["row"].chunk(0).buffers()[1].address


def test_sources_and_context_may_come_from_other_tasks(get):
    inputs = [TaskRef(("input", i)) for i in range(4)]
    layer = taskgraph.build(kit.exchange(), kit.name(), inputs, TaskRef("n-parts"))
    layer.graph.update({("input", i): Task(("input", i), kit.Source, 200) for i in range(4)})
    layer.graph["n-parts"] = Task("n-parts", int, "6")
    kit.check(get(layer.graph, layer.output_keys), 4)


def test_own_errors_keep_their_type(get):
    layer = taskgraph.build(kit.exchange(), kit.name(), kit.sources(9, trouble="split"), 6)
    with pytest.raises(kit.CorruptFileError, match="part 7"):
        get(layer.graph, layer.output_keys)


def test_a_lost_row_is_missed(get, monkeypatch):
    def add_up(*args):
        totals = taskgraph.add_up(*args)
        return totals._replace(counts=totals.counts + 1)

    monkeypatch.setattr(taskgraph, "_add_up", lambda n_parts, *args: add_up(n_parts, args))
    layer = taskgraph.build(kit.exchange(), kit.name(), kit.sources(2), 6)
    with pytest.raises(ShardsLostError, match="the inputs sent"):
        get(layer.graph, layer.output_keys)
