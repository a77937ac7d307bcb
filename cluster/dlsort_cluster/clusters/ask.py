"""Ask a cluster, and wait no longer than it takes to see that it is gone."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import CancelledError, InvalidStateError, wait
from concurrent.futures import Future as ConcurrentFuture
from contextlib import suppress
from typing import Any, TypeVar

from distributed import Client
from distributed.comm.core import CommClosedError

from dlsort_cluster.addresses import worker_name

__all__ = ["ANSWER_S", "TELL_S", "ask", "name_of", "of_each_worker", "start", "workers_of"]

T = TypeVar("T")

# How often to see if the scheduler is still there, while it is asked.
_ASK_S = 0.2

# How long to wait for what a job can do without: a worker may have been stopped that Dask takes
# for alive for minutes more.
TELL_S = 3.0

# How long a worker may take to answer before a job begins; one that does not is not waited for.
ANSWER_S = 30.0


def start(client: Client, make: Callable[[], Awaitable[T]]) -> ConcurrentFuture[T]:
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


def ask(client: Client, make: Callable[[], Awaitable[T]], most_s: float = math.inf) -> T:
    """Wait for what a function asks of the cluster, but not for a scheduler that is gone.

    Dask tries for half a minute to reach it again.

    Raises
    ------
    TimeoutError
        If there is no answer within ``most_s`` seconds.
    """
    until = time.monotonic() + most_s
    asked = start(client, make)
    try:
        while not wait([asked], timeout=min(_ASK_S, max(0.0, most_s))).done:
            if client.status != "running":
                raise CancelledError
            if time.monotonic() > until:
                raise TimeoutError
    finally:
        asked.cancel()
    return asked.result()


def name_of(client: Client, address: str) -> str:
    """Return what messages call a worker: by the name that it was given too, if it was."""
    given = None
    with suppress(OSError, TimeoutError):  # a cluster in trouble
        given = workers_of(client).get(address, {}).get("name")
    return worker_name(address, given)


def workers_of(client: Client) -> dict[str, dict[str, Any]]:
    """Return what the scheduler says of each worker, by address.

    ``Client.scheduler_info`` is no answer: between asking and returning, the client's periodic
    update may put in its place one that names no worker.

    Raises
    ------
    OSError
        If the scheduler doesn't answer.
    """
    scheduler: Any = client.scheduler
    if scheduler is None:  # closed
        raise CommClosedError("the client is closed.")
    told: dict[str, dict[str, Any]] = client.sync(scheduler.identity, n_workers=-1)["workers"]
    return told


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
            *(asyncio.wait_for(answer(address), most_s) for address in addresses),
            return_exceptions=True,
        )
        return dict(zip(addresses, answers, strict=True))

    async def answer(address: str) -> Any:
        asked = client.run(function, *args, workers=[address], asynchronous=True)
        return (await asked)[address]

    return ask(client, ask_all, 2 * most_s)


def _addresses(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.workers)
