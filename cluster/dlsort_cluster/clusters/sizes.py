"""How large a machine or a cluster is."""

from __future__ import annotations

from distributed import Client

from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import ClusterSize

__all__ = ["size_of"]


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
