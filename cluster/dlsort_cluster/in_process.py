"""An exchange in this process, without Dask: its tasks, and the threads that run them.

::

    split, split, …  ──shards──▶  store  ──shards──▶  merge, merge, …
       (one an input)         (memory, or disk)         (one a partition)

The store is that of a worker, so a job is held to its memory as on one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import numpy as np

from dlsort_cluster.exchange import (
    Exchange,
    Layer,
    Totals,
    Transferred,
    add_up,
    check_rows,
    check_split,
    slot_of,
)
from dlsort_cluster.store.store import ShardStore
from dlsort_cluster.tasks import Call, Key, call, call_with_all, ref, refs_of, results_of
from dlsort_cluster.wire import cut

__all__ = ["Crew", "lay", "results"]


class Crew:
    """Threads that work, of which there may be more while they do.

    Parameters
    ----------
    n : int
        How many; one is the calling thread.
    most : int, optional
        How many there may be; by default as many.
    """

    def __init__(self, n: int, most: int | None = None) -> None:
        self.n = n
        self.most = max(n, most or n)


def lay(exchange: Exchange, name: str, sources: Sequence[Any], context: Any) -> Layer:
    """Lay the tasks of an exchange; see :func:`dlsort_cluster.p2p.build.build`.

    Parameters
    ----------
    exchange : Exchange
        What to run; its ``store_bytes`` and ``temp_dir`` are given.
    name, sources, context
        As there; a context may be a :func:`dlsort_cluster.tasks.ref`.
    """
    assert exchange.store_bytes is not None
    assert exchange.temp_dir is not None
    store = ShardStore(
        run=exchange.token[:8],
        worker="inproc://here",
        parts=list(range(exchange.n_parts)),
        limit_bytes=exchange.store_bytes,
        temp_dir=exchange.temp_dir,
    )
    graph: dict[Key, Any] = {}
    transfer_keys = [(f"dlsort-transfer-{exchange.token}", i) for i in range(len(sources))]
    for (i, source), key in zip(enumerate(sources), transfer_keys, strict=True):
        graph[key] = call(key, _transfer, exchange, store, source, context, i)
    barrier = f"dlsort-barrier-{exchange.token}"
    graph[barrier] = call_with_all(barrier, partial(add_up, exchange.n_parts), transfer_keys)
    output_keys = [(name, part) for part in range(exchange.n_parts)]
    for key in output_keys:
        graph[key] = call(
            key, _merge, exchange, store, key[1], len(sources), ref(barrier), context
        )
    return Layer(graph, transfer_keys, output_keys, store)


def _transfer(
    exchange: Exchange, store: ShardStore, source: Any, context: Any, input_id: int
) -> Transferred:
    """Split one input and put its rows into the store."""
    found = exchange.split(source, context, input_id)
    check_split(found, exchange.n_parts, input_id)
    store.put(input_id, cut(found.table, found.starts, np.arange(exchange.n_parts)))
    return Transferred(0, np.diff(found.starts), found.stats, found.note)


def _merge(
    exchange: Exchange,
    store: ShardStore,
    part: int,
    n_inputs: int,
    totals: Totals,
    context: Any,
) -> Any:
    """Merge one partition, unless that was done before."""
    if exchange.find is not None and (found := exchange.find(part)) is not None:
        return found
    slot = slot_of(part, totals)
    shards = store.read(part, n_inputs)
    check_rows(shards, slot, store.run)
    return exchange.merge(shards, context, slot)


def results(graph: Mapping[Key, Call], crew: Crew) -> Iterator[tuple[Key, Any]]:
    """Run tasks in this process; yield the key and the result of each as it ends.

    Parameters
    ----------
    graph : mapping
        Tasks, each after those that it refers to. Those that can begin do so in this order.
    crew : Crew
        The threads. More of them join in when the next task ends.

    Raises
    ------
    Exception
        What a task raised. By then none is at work any more.
    """
    done: dict[Key, Any] = {}
    for key, task in graph.items() if crew.n == 1 else ():
        done[key] = task.func(*results_of(task, done))
        yield key, done[key]
        if crew.n > 1:
            break
    if len(done) == len(graph):
        return
    with ThreadPoolExecutor(crew.most, "dlsort") as pool:
        try:
            yield from _in_threads(graph, crew, pool.submit, done)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_threads(
    graph: Mapping[Key, Call],
    crew: Crew,
    submit: Callable[..., Future[Any]],
    done: dict[Key, Any],
) -> Iterator[tuple[Key, Any]]:
    order = {key: place for place, key in enumerate(graph) if key not in done}
    needs = {key: set(refs_of(graph[key])) - done.keys() for key in order}
    wanted_by: dict[Key, list[Key]] = {key: [] for key in order}
    for key, others in needs.items():
        for each in others:
            wanted_by[each].append(key)
    ready = [(place, key) for key, place in order.items() if not needs[key]]
    at_work: dict[Future[Any], Key] = {}
    while ready or at_work:
        while ready and len(at_work) < crew.n:
            _, key = heapq.heappop(ready)
            at_work[submit(graph[key].func, *results_of(graph[key], done))] = key
        for future in wait(at_work, return_when=FIRST_COMPLETED).done:
            key = at_work.pop(future)
            done[key] = future.result()
            for each in wanted_by[key]:
                needs[each].remove(key)
                if not needs[each]:
                    heapq.heappush(ready, (order[each], each))
            yield key, done[key]
