"""Dask itself, as its users run it: what dlsort is compared with, and what a cluster used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from distributed import Client, LocalCluster, wait

from dlsort_cluster.clusters.ask import ANSWER_S, of_each_worker, workers_of
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.clusters.hosts import on_each_host
from dlsort_cluster.machine import machine_memory_bytes

__all__ = ["HOST_S", "collect", "facts_of_hosts", "persisted", "plain_cluster", "usage_of_last"]

# How long a host may take to tell, or measure, what it is.
HOST_S = 120.0


@contextmanager
def plain_cluster(
    n_processes: int,
    *,
    scheduler: str | None = None,
    memory_bytes: int | None = None,
    temp_dir: str | None = None,
) -> Iterator[Client]:
    """Yield a client of a cluster, which is Dask's current one meanwhile.

    Parameters
    ----------
    n_processes : int
        Worker processes of one thread each to start on this machine.
    scheduler : str, optional
        Address of a running cluster, to use that instead.
    memory_bytes : int, optional
        Of all processes together; None: the machine's.
    temp_dir : str, optional
        Existing folder for what they spill.

    Raises
    ------
    SchedulerUnreachableError
        If nothing answers at ``scheduler``.
    """
    if scheduler is not None:
        with connect(scheduler=scheduler) as client, client.as_current():
            yield client
        return
    with (
        LocalCluster(
            n_workers=n_processes,
            threads_per_worker=1,
            processes=True,
            memory_limit=(memory_bytes or machine_memory_bytes()) // n_processes,
            local_directory=temp_dir,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        yield client


def persisted(frame: Any) -> Any:
    """Persist a frame on the current cluster, wait for it, and return it.

    Raises
    ------
    Exception
        Whatever a task of it raises.
    """
    frame = frame.persist()
    wait(frame)
    return frame


def collect(client: Client) -> None:
    """Have the workers give back what they hold without need."""
    client.run(_collect)


def _collect() -> None:
    import gc

    gc.collect()


def facts_of_hosts(
    client: Client, facts: Callable[[], Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return what a function tells of each host, with its workers' number, threads and memory.

    A host that fails to tell has an ``error``.
    """
    found: dict[str, dict[str, Any]] = {}
    for host, told in on_each_host(client, facts, HOST_S).items():
        is_error = isinstance(told, BaseException)
        found[host] = {"error": f"{type(told).__name__}: {told}"} if is_error else dict(told)
    for worker in workers_of(client).values():
        facts_of = found[str(worker["host"])]
        for name, more in (
            ("workers", 1),
            ("worker_threads", worker["nthreads"]),
            ("worker_memory_bytes", worker["memory_limit"] or 0),
        ):
            facts_of[name] = facts_of.get(name, 0) + more
    return found


def usage_of_last(client: Client, seconds: float) -> list[dict[str, Any]]:
    """Return what Dask's own monitor has seen on each worker in the last seconds.

    Parameters
    ----------
    client : distributed.Client
    seconds : float
        How far to look back, by each worker's own clock.

    Returns
    -------
    list of dict
        Of each worker that answers: its ``host``, and by ``at_s`` (from the beginning of that
        time) lists of ``cpu`` in percent of a core, ``memory`` in bytes, and of the whole host
        bytes a second ``disk_read``, ``disk_write`` and ``sent``; None where it does not know.
    """
    told = of_each_worker(client, partial(_usage, seconds), most_s=ANSWER_S)
    hosts = {address: str(worker["host"]) for address, worker in workers_of(client).items()}
    return [
        {"host": hosts.get(address, address), **each}
        for address, each in told.items()
        if isinstance(each, dict)
    ]


_NAMES = {
    "cpu": "cpu",
    "memory": "memory",
    "disk_read": "host_disk_io.read_bps",
    "disk_write": "host_disk_io.write_bps",
    "sent": "host_net_io.write_bps",
}


def _usage(seconds: float, dask_worker: Any) -> dict[str, list[Any]]:
    began = time.time() - seconds
    seen = {name: list(values) for name, values in dask_worker.monitor.quantities.items()}
    at = [each - began for each in seen["time"]]
    n = sum(each >= 0 for each in at)
    return {
        "at_s": at[len(at) - n :],
        **{
            name: seen[of][len(seen[of]) - n :] if of in seen else [None] * n
            for name, of in _NAMES.items()
        },
    }
