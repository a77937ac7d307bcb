"""Clusters to run an exchange on: one in this process, local processes, or someone's."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker, spawn
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster

from dlsort_cluster.clusters.jobs import run
from dlsort_cluster.clusters.joined import Joinable, join
from dlsort_cluster.clusters.quiet import quiet
from dlsort_cluster.clusters.reach import SchedulerUnreachableError
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.scratch import make_scratch

__all__ = ["SchedulerUnreachableError", "connect", "run"]

_MIB = 2**20


@contextmanager
def connect(
    *,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory_bytes: int | None = None,
    temp_dir: str | None = None,
    connect_timeout_s: float = 5.0,
) -> Iterator[Client]:
    """Yield a client of a cluster, and take down on leaving what was set up.

    Parameters
    ----------
    scheduler : str, Client or Cluster, optional
        Address of a running scheduler, a client of one, or a cluster. The other arguments
        but ``connect_timeout_s`` are its owner's business and ignored; a client that is
        given is left open.
    workers : int, optional
        Worker processes to start on this machine. None: no process is
        started; one worker lives in this one, where shards change hands
        without a copy.
    threads : int, optional
        Threads of all workers together; default: the cores.
    memory_bytes : int, optional
        Memory of all workers together. Dask itself is not told to watch it:
        stores keep to their share and spill beyond.
    temp_dir : str, optional
        An existing folder for spilled shards; default: the system's.
    connect_timeout_s : float
        How long to look for ``scheduler``. One that is there and too busy to
        answer is waited for as long as Dask's own clients do.

    Raises
    ------
    SchedulerUnreachableError
        If nothing answers at ``scheduler``, or one side does not trust the other.
    ClientUnusableError
        If ``scheduler`` is closed, or asynchronous in this thread.
    SpillError
        If ``temp_dir`` can't be used.

    Examples
    --------
    >>> with connect(threads=1) as client:
    ...     client.submit(pow, 2, 10).result()
    1024
    """
    with ExitStack() as stack:
        if scheduler is not None:
            yield stack.enter_context(join(scheduler, connect_timeout_s))
            return
        folder = stack.enter_context(make_scratch(temp_dir))
        client = _start(stack, workers, threads or CPU_COUNT, memory_bytes, folder)
        stack.callback(client.close)
        yield client


def _start(
    stack: ExitStack,
    workers: int | None,
    threads: int,
    memory_bytes: int | None,
    local_directory: str,
) -> Client:
    """Start a cluster that ends with ``stack``."""
    n_workers = workers or 1
    memory_limit = (memory_bytes or 0) // n_workers
    stack.enter_context(dask.config.set(_config(memory_limit, local_directory)))
    stack.enter_context(quiet())
    if workers is not None:
        stack.enter_context(_own_main())
    settings: dict[str, Any] = {
        "n_workers": n_workers,
        "threads_per_worker": max(1, threads // n_workers),
        "processes": workers is not None,
        # What stays in this process needs no encryption, whatever Dask is set to.
        "protocol": None if workers is not None else "inproc://",
        "memory_limit": memory_limit,
        "local_directory": local_directory,
        "dashboard_address": None,
        # Without an address the (empty) HTTP server would ask for port 8787.
        "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
        "silence_logs": logging.ERROR,
    }
    # Ctrl-C waits for a cluster that is starting: half of one can't be taken down.
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_out_of_reach, LocalCluster, **settings)
        try:
            cluster = starting.result()
        except RuntimeError as error:  # what Dask makes of a worker that died at birth
            msg = f"the worker processes could not be started ({error}); try again."
            raise ExchangeError(msg) from error
        except BaseException:
            with suppress(Exception):
                starting.result().close()
            raise
    stack.callback(cluster.close)
    # The caller's default client, if there is one, stays the default.
    return Client(cluster, set_as_default=False)


def _out_of_reach(start: Callable[..., LocalCluster], **settings: Any) -> LocalCluster:
    """Start a cluster whose threads and processes don't see the Ctrl-C of a terminal.

    What a thread starts inherits what it blocks. The processes end with ours.
    """
    if hasattr(signal, "pthread_sigmask"):
        if settings["processes"]:
            resource_tracker.ensure_running()  # which unblocks signals where it is begun
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return start(**settings)


def _config(memory_limit: int, folder: str) -> dict[str, Any]:
    """Return the Dask configuration of a cluster that only sorts."""
    sending = memory_limit // 8 or 1024 * _MIB
    return {
        # The scheduler makes a scratch folder too.
        "temporary-directory": folder,
        # Shards are not Dask's to weigh or move: the store has its own budget.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        # A worker killed at its limit would be started, and grow, again.
        "distributed.worker.memory.terminate": False,
        # A worker that happens to be down this long after it was killed once would be
        # taken away for good.
        "distributed.deploy.lost-worker-timeout": "24 hours",
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.profile.enabled": False,
        "distributed.worker.http.routes": [],
        "distributed.scheduler.http.routes": [],
        # How often a task may lose its worker before it counts as the cause.
        "distributed.scheduler.allowed-failures": 3,
        # Units on their way are in nobody's budget: bound them.
        "distributed.p2p.comm.buffer": min(max(sending, 32 * _MIB), 1024 * _MIB),
        "distributed.p2p.comm.concurrency": 4,
        "distributed.p2p.comm.retry.count": 5,
    }


@contextmanager
def _own_main() -> Iterator[None]:
    """Give worker processes a main module of their own.

    A spawned process imports the parent's main module, so that a script
    without ``if __name__ == "__main__"`` would start clusters without end.
    Workers need nothing from it: Dask pickles what it defines by value.
    """
    prepare = spawn.get_preparation_data

    def prepare_worker(name: str) -> dict[str, Any]:
        data = prepare(name)
        if name.startswith("Dask Worker process"):
            data.pop("init_main_from_path", None)
            data["init_main_from_name"] = "dlsort_cluster.clusters.worker_main"
        return data

    spawn.get_preparation_data = prepare_worker
    try:
        yield
    finally:
        spawn.get_preparation_data = prepare
