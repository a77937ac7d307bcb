"""Submit an exchange, watch it, and leave nothing running whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from dlsort_cluster.addresses import is_told
from dlsort_cluster.clusters.ask import TELL_S, ask, of_each_worker, start
from dlsort_cluster.clusters.pardon import Pardon
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.tasks import as_dask, name_of

__all__ = ["JobCancelledError", "Progress", "WorkersLostError", "run"]

Progress = Callable[[list[Any], list[Any]], None]

# How long to wait for tasks that are at work when a job is given up. Their
# threads can't be stopped, but seldom work for more than seconds.
_DRAIN_S = 60.0

# How long one that does not answer is taken for alive, and its tasks for at work, by a job that
# is given up: its event loop may only be late.
_SILENT_S = 15.0


class WorkersLostError(ExchangeError):
    """Worker after worker died over the same task."""


class JobCancelledError(ExchangeError):
    """Someone cancelled the job, or the scheduler went away."""


def run(
    client: Client,
    layer: Layer,
    on_progress: Progress | None = None,
    *,
    on_spilled: Callable[[int], None] | None = None,
    poll_s: float = 0.1,
) -> tuple[list[Any], list[Any]]:
    """Run an exchange and return what its tasks gave.

    Parameters
    ----------
    client : distributed.Client
        Where to run.
    layer : Layer
        The exchange's tasks.
    on_progress : callable, optional
        ``on_progress(stats, outputs)`` is called in this thread with what has
        become ready since the last call: ``Split.stats`` of inputs, and
        outputs. Each is reported once, even if lost and made again.
    on_spilled : callable, optional
        Called once, at the end, with the bytes that all stores wrote to disk.
    poll_s : float
        Time between two looks at the tasks.

    Returns
    -------
    stats : list
        ``Split.stats`` of every input, in order.
    outputs : list
        Every output, in order. Both are as of the end of the job.

    Raises
    ------
    Exception
        What a task raised, as it raised it; of an OSError a note tells the worker. By
        then no task of the job is running any more (but for some that work on for over a
        minute).
    WorkersLostError
        If a task took down one worker after another.
    JobCancelledError
        If the job was cancelled elsewhere, or the scheduler is gone.
    """
    keys = [*layer.transfer_keys, *layer.output_keys]
    futures: list[Future[Any]] = []
    n_inputs = len(layer.transfer_keys)
    try:
        futures = client.get(as_dask(layer.graph), keys, sync=False)
        pardon = Pardon(client, {name_of(key) for key in layer.graph})
        _watch(client, futures, n_inputs, on_progress, poll_s, pardon)
        results = ask(client, lambda: client.gather(futures, asynchronous=True))
        if on_spilled is not None:
            with suppress(TimeoutError):  # of a scheduler that is stopped
                on_spilled(_spilled_bytes(client, layer))
    except BaseException as error:
        _give_up(client, futures, layer)
        if isinstance(error, KilledWorker):
            raise _workers_lost(error) from error
        # The second if the scheduler goes while it is asked for something.
        if isinstance(error, CancelledError | OSError) and client.status != "running":
            raise _scheduler_lost(client) from error
        if isinstance(error, CancelledError | CommClosedError):
            msg = "the job was cancelled elsewhere, or its scheduler went away."
            raise JobCancelledError(msg) from error
        raise
    for future in futures:
        future.release()
    return [receipt.stats for receipt in results[:n_inputs]], results[n_inputs:]


def _watch(
    client: Client,
    futures: Sequence[Future[Any]],
    n_inputs: int,
    on_progress: Progress | None,
    poll_s: float,
    pardon: Pardon,
) -> None:
    """Return when every future was ready once; raise what the first failed one raised."""
    pending = dict(enumerate(futures))
    while pending:
        _sleep(client, pending[max(pending)], poll_s)
        ready = []
        for place, future in pending.items():
            status = future.status
            if status in ("error", "cancelled"):
                _raise(client, future)
            if status == "finished":
                ready.append(place)
        for place in ready:
            del pending[place]
        pardon(progressed=bool(ready))
        if ready and on_progress is not None:
            _report(client, futures, ready, n_inputs, on_progress)


def _raise(client: Client, future: Future[Any]) -> None:
    """Raise what a failed task raised; of an OSError say on which worker."""
    try:
        future.result()
    except OSError as error:
        with suppress(Exception):  # it was raised all the same
            places = ask(
                client,
                lambda: client.run_on_scheduler(_erred_on, future.key, asynchronous=True),
                TELL_S,
            )
            if places:
                error.add_note(f"This was on {', '.join(places)}.")
        raise


def _erred_on(key: Any, dask_scheduler: Any) -> list[str]:
    """Return the addresses of the processes where a task failed that another one may need."""
    task = dask_scheduler.tasks[key]
    blamed = task.exception_blame or task
    return sorted(filter(is_told, blamed.erred_on))


def _sleep(client: Client, future: Future[Any], seconds: float) -> None:
    """Wait for a time, but no longer than for a future.

    To watch one is enough, and costs the same however many there are: whichever
    is the last ends the job at once. Nor does this thread wait inside of Dask,
    where Ctrl-C may meet a state that is then logged as an error.
    """
    awake = threading.Event()

    async def watch() -> None:
        with suppress(Exception):  # the future keeps it
            await future.exception(asynchronous=True)
        awake.set()

    watching = start(client, watch)
    try:
        awake.wait(seconds)
    finally:
        watching.cancel()


def _report(
    client: Client,
    futures: Sequence[Future[Any]],
    ready: list[int],
    n_inputs: int,
    on_progress: Progress,
) -> None:
    inputs = [futures[i] for i in ready if i < n_inputs]
    made = [futures[i] for i in ready if i >= n_inputs]
    stats, outputs = (
        ask(client, partial(client.gather, some, errors="skip", asynchronous=True))
        for some in (inputs, made)
    )
    on_progress([receipt.stats for receipt in stats], outputs)


def _spilled_bytes(client: Client, layer: Layer) -> int:
    """Ask the stores before the run is closed."""
    try:
        from dlsort_cluster.p2p import build as p2p
    except ImportError:  # an untested version; a plain graph has no stores
        return 0
    names = [key for key in layer.graph if isinstance(key, str)]
    told = of_each_worker(client, p2p.spilled_bytes, names, most_s=TELL_S)
    return sum(n_bytes for n_bytes in told.values() if isinstance(n_bytes, int))


def _give_up(client: Client, futures: Sequence[Future[Any]], layer: Layer) -> None:
    """Drop the tasks, and wait until those that are at work have ended."""
    # Client.cancel fails inside the scheduler over tasks that no client holds.
    for future in futures:
        future.release()
    names = {name_of(key) for key in layer.graph}
    began = time.monotonic()
    pause_s = 0.005
    with suppress(Exception):  # of a cluster that is itself in trouble
        while client.status == "running" and time.monotonic() < began + _DRAIN_S:
            n_known = ask(
                client,
                lambda: client.run_on_scheduler(_n_known, names, asynchronous=True),
                _SILENT_S,
            )
            if not n_known:
                told = of_each_worker(client, _n_left, names, most_s=TELL_S).values()
                left = [n for n in told if isinstance(n, int)]
                is_late = len(left) < len(told) and time.monotonic() < began + _SILENT_S
                if not any(left) and not is_late:
                    return
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.2)


def _n_known(names: set[str], dask_scheduler: Any) -> int:
    """Count the scheduler's tasks of these names."""
    return sum(name_of(key) in names for key in dask_scheduler.tasks)


def _n_left(names: set[str], dask_worker: Any) -> int:
    """Count a worker's tasks of these names: those that it is still at, once dropped."""
    return sum(name_of(key) in names for key in dask_worker.state.tasks)


def _workers_lost(error: KilledWorker) -> WorkersLostError:
    return WorkersLostError(
        f"a task was tried {error.allowed_failures + 1} times, and its worker died every time,"
        " probably for lack of memory. Give the job more memory, fewer threads, or more and so"
        " smaller partitions."
    )


def _scheduler_lost(client: Client) -> JobCancelledError:
    address = str(getattr(client.scheduler, "address", ""))
    where = f" at {address}" if is_told(address) else ""
    return JobCancelledError(
        f"the scheduler{where} went away in the middle of the job, and its tasks with it."
        " Start the job again once there is a scheduler."
    )
