"""Submit an exchange, watch it, and leave nothing running whatever happens."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import CancelledError, InvalidStateError, wait
from concurrent.futures import Future as ConcurrentFuture
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from dlsort_cluster.addresses import is_told
from dlsort_cluster.exchange import ExchangeError, Layer

__all__ = [
    "ANSWER_S",
    "JobCancelledError",
    "Progress",
    "WorkersLostError",
    "of_each_worker",
    "run",
]

Progress = Callable[[list[Any], list[Any]], None]
T = TypeVar("T")

# How long to wait for tasks that are at work when a job is given up. Their
# threads can't be stopped, but seldom work for more than seconds.
_DRAIN_S = 60.0

# Dask gives a task up that was at work on several workers when they died. Workers die over
# their tasks (for lack of memory) or by an operator's hand; that others get done between two
# deaths speaks for the second. So often it is taken for that, and no task is suspected.
_MOST_PARDONS = 10
_PARDON_S = 1.0

# How often to see if the scheduler is still there, while it is asked.
_ASK_S = 0.2

# How long to wait for what a job can do without: a worker may have been stopped that Dask takes
# for alive for minutes more.
_TELL_S = 3.0

# How long a worker may take to answer before a job begins; one that does not is not waited for.
ANSWER_S = 30.0

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
        futures = client.get(layer.graph, keys, sync=False)
        pardon = _Pardon(client, {_name(key) for key in layer.graph})
        _watch(client, futures, n_inputs, on_progress, poll_s, pardon)
        results = _ask(client, lambda: client.gather(futures, asynchronous=True))
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
    pardon: _Pardon,
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
            places = _ask(
                client,
                lambda: client.run_on_scheduler(_erred_on, future.key, asynchronous=True),
                _TELL_S,
            )
            if places:
                error.add_note(f"This was on {', '.join(places)}.")
        raise


def _erred_on(key: Any, dask_scheduler: Any) -> list[str]:
    """Return the addresses of the processes where a task failed that another one may need."""
    task = dask_scheduler.tasks[key]
    blamed = task.exception_blame or task
    return sorted(filter(is_told, blamed.erred_on))


class _Pardon:
    """Tells the scheduler to suspect no task of a job over workers that died, now and then.

    It does if something was done since the last time, and no more than ``_MOST_PARDONS``
    times: a task that takes down whatever worker it is on is found out in the end.
    """

    def __init__(self, client: Client, names: set[Any]) -> None:
        self._client = client
        self._names = names
        self._n_left = _MOST_PARDONS
        self._progressed = False
        self._next = time.monotonic() + _PARDON_S

    def __call__(self, *, progressed: bool) -> None:
        self._progressed |= progressed
        if not self._progressed or not self._n_left or time.monotonic() < self._next:
            return
        self._progressed = False
        self._next = time.monotonic() + _PARDON_S
        with suppress(Exception):  # a scheduler may run no functions
            client = self._client
            self._n_left -= _ask(
                client, lambda: client.run_on_scheduler(_pardon, self._names, asynchronous=True)
            )


def _pardon(names: set[Any], dask_scheduler: Any) -> bool:
    """Clear suspected tasks of these names that live on; tell whether there were any."""
    suspects = [t for key, t in dask_scheduler.tasks.items() if _name(key) in names]
    suspects = [t for t in suspects if t.suspicious and t.state != "erred"]
    for task in suspects:
        task.suspicious = 0
    return bool(suspects)


def _start(client: Client, make: Callable[[], Awaitable[T]]) -> ConcurrentFuture[T]:
    """Have the client's event loop await what a function returns.

    The function is called there: Ctrl-C, which arrives in this thread, would leave behind a
    coroutine that is never awaited, and Python complains of those.
    """
    loop: Any = client.loop
    answer: ConcurrentFuture[T] = ConcurrentFuture()

    def begin() -> None:
        task = asyncio.ensure_future(make())
        task.add_done_callback(end)
        answer.add_done_callback(lambda _: stop(task))

    def end(task: asyncio.Future[T]) -> None:
        with suppress(InvalidStateError):  # cancelled meanwhile
            if task.cancelled():
                answer.set_exception(CancelledError())
            elif (error := task.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

    def stop(task: asyncio.Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.asyncio_loop.call_soon_threadsafe(task.cancel)

    loop.asyncio_loop.call_soon_threadsafe(begin)
    return answer


def _ask(client: Client, make: Callable[[], Awaitable[T]], most_s: float = math.inf) -> T:
    """Wait for what a function asks of the cluster, but not for a scheduler that is gone.

    Dask tries for half a minute to reach it again.

    Raises
    ------
    TimeoutError
        If there is no answer within ``most_s`` seconds.
    """
    until = time.monotonic() + most_s
    asked = _start(client, make)
    try:
        while not wait([asked], timeout=min(_ASK_S, max(0.0, most_s))).done:
            if client.status != "running":
                raise CancelledError
            if time.monotonic() > until:
                raise TimeoutError
    finally:
        asked.cancel()
    return asked.result()


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

    watching = _start(client, watch)
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
        _ask(client, partial(client.gather, some, errors="skip", asynchronous=True))
        for some in (inputs, made)
    )
    on_progress([receipt.stats for receipt in stats], outputs)


def _spilled_bytes(client: Client, layer: Layer) -> int:
    """Ask the stores before the run is closed."""
    try:
        from dlsort_cluster import p2p
    except ImportError:  # an untested version; a plain graph has no stores
        return 0
    names = [key for key in layer.graph if isinstance(key, str)]
    told = of_each_worker(client, p2p.spilled_bytes, names, most_s=_TELL_S)
    return sum(n_bytes for n_bytes in told.values() if isinstance(n_bytes, int))


def of_each_worker(
    client: Client,
    function: Callable[..., Any],
    *args: Any,
    most_s: float,
    workers: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return what a function returns on each worker, or what it raises there, by address.

    All workers are asked if none are given, by a scheduler that has dlsort. One that is silent
    too long has a TimeoutError, one that has gone another OSError.
    """

    async def ask_all() -> dict[str, Any]:
        addresses = workers
        if addresses is None:
            addresses = await client.run_on_scheduler(_addresses, asynchronous=True)
        answers = await asyncio.gather(
            *(asyncio.wait_for(ask(address), most_s) for address in addresses),
            return_exceptions=True,
        )
        return dict(zip(addresses, answers, strict=True))

    async def ask(address: str) -> Any:
        asked = client.run(function, *args, workers=[address], asynchronous=True)
        return (await asked)[address]

    return _ask(client, ask_all, 2 * most_s)


def _addresses(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.workers)


def _give_up(client: Client, futures: Sequence[Future[Any]], layer: Layer) -> None:
    """Drop the tasks, and wait until those that are at work have ended."""
    # Client.cancel fails inside the scheduler over tasks that no client holds.
    for future in futures:
        future.release()
    names = {_name(key) for key in layer.graph}
    began = time.monotonic()
    pause_s = 0.005
    with suppress(Exception):  # of a cluster that is itself in trouble
        while client.status == "running" and time.monotonic() < began + _DRAIN_S:
            n_known = _ask(
                client,
                lambda: client.run_on_scheduler(_n_known, names, asynchronous=True),
                _SILENT_S,
            )
            if not n_known:
                told = of_each_worker(client, _n_left, names, most_s=_TELL_S).values()
                left = [n for n in told if isinstance(n, int)]
                is_late = len(left) < len(told) and time.monotonic() < began + _SILENT_S
                if not any(left) and not is_late:
                    return
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.2)


def _name(key: Any) -> Any:
    return key[0] if isinstance(key, tuple) else key


def _n_known(names: set[str], dask_scheduler: Any) -> int:
    """Count the scheduler's tasks of these names."""
    return sum(_name(key) in names for key in dask_scheduler.tasks)


def _n_left(names: set[str], dask_worker: Any) -> int:
    """Count a worker's tasks of these names: those that it is still at, once dropped."""
    return sum(_name(key) in names for key in dask_worker.state.tasks)


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
