"""Where records are made and read: by threads of this process, or on a Dask cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlsort.errors import ClusterError
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.machine import machine_cores
from dlsort_cluster.runner import run
from dlsort_cluster.tasks import call

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["run_each", "task_records"]

# Of a job, and one more for each of its files.
MOST_TASKS = 10_000


def task_records(n_records: int, least: int) -> int:
    """Return how many records a task has, so that the largest job has not too many tasks.

    Examples
    --------
    >>> task_records(10**6, 500_000), task_records(10**12, 500_000)
    (500000, 100000000)
    """
    return max(least, -(-n_records // MOST_TASKS))


def run_each(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    *,
    scheduler: Joinable | None,
    threads: int | None,
) -> list[Any]:
    """Return what a function returns for each task's arguments, in their order.

    Parameters
    ----------
    function : callable
        To be pickled, as its arguments are.
    tasks : sequence of tuple
        Its arguments.
    scheduler : str, Client, Cluster or None
        Where it runs; None: in this process.
    threads : int or None
        Of this process; by default one a core.

    Raises
    ------
    ClusterError
        If there is no cluster, or it can't go on.
    Exception
        What a task raised. By then none is at work any more.
    """
    name = f"dlsort-records-{uuid.uuid4().hex}"
    keys = [(name, i) for i in range(len(tasks))]
    graph = {key: call(key, function, *task) for key, task in zip(keys, tasks, strict=True)}
    if not keys:
        return []
    try:
        with _client(scheduler) as client:
            n_threads = min(threads or machine_cores(), len(keys))
            return run(client, Layer(graph, [], keys), threads=n_threads)[1]
    except ExchangeError as error:
        raise ClusterError(str(error)) from error


@contextmanager
def _client(scheduler: Joinable | None) -> Iterator[Any]:
    """Give a client of a cluster; None for this process."""
    if scheduler is None:
        yield None
        return
    from dlsort_cluster.clusters.check_versions import check_versions
    from dlsort_cluster.clusters.connect import connect
    from dlsort_cluster.clusters.sizes import size_of

    with connect(scheduler=scheduler) as client:
        size_of(client)  # that there are workers
        check_versions(client)
        yield client
