"""How large a machine or a cluster is."""

from __future__ import annotations

from typing import NamedTuple

from distributed import Client
from distributed.system import MEMORY_LIMIT

from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.exchange import ExchangeError

__all__ = ["ClusterSize", "machine_memory_bytes", "size_of"]


class ClusterSize(NamedTuple):
    """Worker processes, threads in all, and memory in all of those that have a limit.

    ``is_limited``: all have one, so that there is no more memory than that.
    """

    n_processes: int
    n_threads: int
    memory_bytes: int
    is_limited: bool


def machine_memory_bytes() -> int:
    """Return the machine's memory, or the container's where that is less."""
    return int(MEMORY_LIMIT)


def size_of(client: Client) -> ClusterSize:
    """Return the size of the cluster a client is connected to.

    Raises
    ------
    ExchangeError
        If it has no worker, or its scheduler doesn't answer.
    """
    try:
        workers = workers_of(client).values()
    except OSError as error:
        msg = f"the scheduler doesn't answer ({error}); see if it still runs."
        raise ExchangeError(msg) from error
    if not workers:
        msg = "the cluster has no worker; start at least one with `dask worker`."
        raise ExchangeError(msg)
    return ClusterSize(
        len(workers),
        sum(worker["nthreads"] for worker in workers),
        sum(worker["memory_limit"] or 0 for worker in workers),
        all(worker["memory_limit"] for worker in workers),
    )
