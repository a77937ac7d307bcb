"""Something done once on each host of a cluster, by one of its workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from distributed import Client

from dlsort_cluster.clusters.ask import of_each_worker, workers_of

__all__ = ["on_each_host"]


def on_each_host(client: Client, function: Callable[[], Any], most_s: float) -> dict[str, Any]:
    """Return what a function returns on each host, or what it raises there, by the host.

    It runs in a thread of its own: the worker goes on to answer, and to work.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster that has dlsort.
    function : callable
        Without arguments; to be pickled.
    most_s : float
        How long to wait for it. A host that is silent for longer has a TimeoutError.

    Raises
    ------
    OSError
        If the scheduler doesn't answer.
    """
    worker_of: dict[str, str] = {}
    for address, told in sorted(workers_of(client).items()):
        worker_of.setdefault(str(told["host"]), address)
    of_worker = of_each_worker(
        client, _in_a_thread, function, most_s=most_s, workers=list(worker_of.values())
    )
    return {host: of_worker[address] for host, address in worker_of.items()}


async def _in_a_thread(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)
