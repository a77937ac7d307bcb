from __future__ import annotations

import pickle

import numpy as np
import pytest
from dask._task_spec import Task, TaskRef

import exchange_kit as kit
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import ShardsLostError
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.p2p import counts
from p2p_kit import assert_no_runs


def transfer_after(run, exchange, source, context, input_id, *_):
    return p2p._transfer(run, exchange, source, context, input_id)


@pytest.mark.parametrize("times", [1, 5])
def test_an_input_that_ran_on_several_workers_counts_once(three_workers, times):
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6)
    graph = dict(layer.graph)
    first, second = (graph[key] for key in layer.transfer_keys[:2])
    for i in range(times):
        key = (f"again-{kit.name()}", i)
        graph[key] = Task(key, p2p._transfer, *first.args)
        # the second input, and so the barrier, comes after all of them
        second = Task(second.key, transfer_after, *second.args, TaskRef(key))
        graph[second.key] = second
    _, outputs = run(three_workers, layer._replace(graph=graph))
    kit.check(outputs, 5)
    assert_no_runs(three_workers)


def test_a_receipt_does_not_grow_with_the_partitions(three_workers):
    sizes = []
    for n_parts in (2, 2_000):
        layer = p2p.build(kit.exchange(n_parts), kit.name(), kit.sources(2), n_parts)
        receipts, _ = three_workers.get(layer.graph, [layer.transfer_keys, layer.output_keys])
        sizes.append(max(len(pickle.dumps(receipt)) for receipt in receipts))
    assert sizes[1] <= sizes[0] + 16


def test_a_worker_adds_up_the_inputs_it_is_asked_for():
    class Share:
        def __init__(self):
            self.sent_rows = {i: np.array([i, 1]) for i in range(4)}

    share = Share()
    assert counts._add_up(share, [1, 3]).tolist() == [4, 2]
    assert share.sent_rows[1].tolist() == [1, 1]
    with pytest.raises(ShardsLostError, match="input 9 was not sent from here"):
        counts._add_up(share, [1, 9])
