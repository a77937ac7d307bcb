from __future__ import annotations

import operator
import threading
from dataclasses import replace

import dask
import pytest

import exchange_kit as kit
from dlsort_cluster.exchange import Layer
from dlsort_cluster.in_process import Crew, lay, results
from dlsort_cluster.runner import run
from dlsort_cluster.tasks import as_dask, call, call_with_all, ref
from patience import PATIENCE_S


def graph() -> dict:
    return {
        "one": call("one", int, "1"),
        ("two", 0): call(("two", 0), operator.add, ref("one"), 1),
        "list": call_with_all("list", list, ["one", ("two", 0)]),
        "none": call_with_all("none", list, []),
    }


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_tasks_are_the_same_here_and_on_dask(threads):
    want = {"one": 1, ("two", 0): 2, "list": [1, 2], "none": []}
    assert dict(results(graph(), Crew(threads))) == want
    assert dask.get(as_dask(graph()), ["list", "none"]) == ([1, 2], [])


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_task_raises_ends_the_others(threads):
    ran = []
    tasks = {"bad": call("bad", int, "x")}
    tasks |= {i: call(i, ran.append, ref("bad")) for i in range(5)}
    with pytest.raises(ValueError, match="invalid literal"):
        run(None, Layer(tasks, [], [4]), threads=threads)
    assert not ran


def test_nothing_is_at_work_once_a_task_has_failed():
    began, may_end, ended = threading.Event(), threading.Event(), []

    def slow():
        began.set()
        may_end.wait(PATIENCE_S)
        ended.append(1)

    def bad():
        began.wait(PATIENCE_S)
        threading.Timer(0.01, may_end.set).start()
        raise ValueError("bad")

    tasks = {"slow": call("slow", slow), "bad": call("bad", bad)}
    with pytest.raises(ValueError, match="bad"):
        run(None, Layer(tasks, [], []), threads=2)
    assert ended == [1]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("store_bytes", [0, 10_000_000])
def test_an_exchange_here_brings_every_row_once_and_tells_as_it_goes(
    tmp_path, threads, store_bytes
):
    exchange = replace(kit.exchange(), store_bytes=store_bytes, temp_dir=str(tmp_path))
    layer = lay(exchange, kit.name(), kit.sources(9), 6)
    told, spilled = [], []
    stats, outputs = run(
        None, layer, lambda *news: told.append(news), on_spilled=spilled.append, threads=threads
    )
    assert stats == [("stats", i) for i in range(9)]
    kit.check(outputs, 9)
    assert sorted(each for inputs, _ in told for each in inputs) == stats
    assert [len(found) for _, found in told] == [0] * 9 + [1] * len(outputs)
    assert (spilled[0] > 0) == (store_bytes == 0)
    assert not list(tmp_path.iterdir())
    assert layer.store.memory_bytes == 0


def test_threads_may_join_in_while_tasks_run():
    crew, names = Crew(1, 3), set()
    met = threading.Barrier(2)

    def alone(n):
        names.add(threading.current_thread().name)
        return n

    def together(n):
        met.wait(PATIENCE_S)  # a second one is at work
        return alone(n)

    graph = {n: call(n, alone if n < 2 else together, n) for n in range(4)}
    graph["all"] = call_with_all("all", sum, list(graph))
    found = {}
    for key, result in results(graph, crew):
        found[key] = result
        crew.n = 1 if key == 0 else 3
    assert found["all"] == 6
    assert len(names) == 3
