from __future__ import annotations

import operator

import dask
import pytest

import exchange_kit as kit
from dlsort_cluster.exchange import Layer
from dlsort_cluster.runner import run
from dlsort_cluster.taskgraph import lay
from dlsort_cluster.tasks import as_dask, call, call_with_all, in_turn, ref


def graph() -> dict:
    return {
        "one": call("one", int, "1"),
        ("two", 0): call(("two", 0), operator.add, ref("one"), 1),
        "list": call_with_all("list", list, ["one", ("two", 0)]),
        "none": call_with_all("none", list, []),
    }


def test_tasks_are_the_same_in_turn_and_on_dask():
    assert dict(in_turn(graph())) == {"one": 1, ("two", 0): 2, "list": [1, 2], "none": []}
    assert dask.get(as_dask(graph()), ["list", "none"]) == ([1, 2], [])


def test_what_a_task_raises_ends_the_others():
    ran = []
    tasks = {"bad": call("bad", int, "x"), "good": call("good", ran.append, 1)}
    with pytest.raises(ValueError, match="invalid literal"):
        run(None, Layer(tasks, [], ["good"]))
    assert not ran


def test_an_exchange_in_this_thread_brings_every_row_once_and_tells_as_it_goes():
    layer = lay(kit.exchange(), kit.name(), kit.sources(9), 6)
    told = []
    stats, outputs = run(None, layer, lambda *news: told.append(news))
    assert stats == [("stats", i) for i in range(9)]
    kit.check(outputs, 9)
    assert [each for inputs, _ in told for each in inputs] == stats
    assert [len(found) for _, found in told] == [0] * 9 + [1] * len(outputs)
