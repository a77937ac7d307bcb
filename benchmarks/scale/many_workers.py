"""A real scheduler, alone in its process, and hundreds of workers in another: what they say.

Workers of one process share its cores and its lock, so the time of a sort tells little here.
What the scheduler is told and does is the same as if each worker were a machine: tasks,
messages and the processor's time of the scheduler's process. Workers talk with the scheduler
over TCP, and with one another inside of their process: of 400 each pair would have a socket.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Scheduler, Worker, WorkerPlugin
from distributed.comm.core import Comm
from distributed.core import ConnectionPool
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.serialize import Serialize

CONFIG = {
    # Each would be there once a worker: threads and timers of one process.
    "distributed.worker.profile.enabled": False,
    # Idle work, also of the scheduler.
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.tick.interval": "60s",
    # Hundreds of workers in one process answer late; none of them is gone.
    "distributed.scheduler.worker-ttl": None,
    "distributed.comm.timeouts.connect": "300s",
    "distributed.comm.timeouts.tcp": "600s",
}

EXCHANGE = ("shuffle", "dlsort")  # how the names of its handlers begin

Counts = dict[str, float]
Serve = Callable[..., Coroutine[Any, Any, None]]


class CountedHandlers(dict[str, Any]):
    """A server's handlers, where each call adds to a tally: one by its name.

    Of the exchange's own, the bytes that come, and those that are answered, are added up too.
    """

    def __init__(self, handlers: Mapping[str, Any], tally: Counter[str]) -> None:
        super().__init__()
        self.tally = tally
        self.update(handlers)

    def __setitem__(self, name: str, handler: Callable[..., Any]) -> None:
        """Count the calls of a handler that is added."""
        super().__setitem__(name, _counted(name, handler, self.tally))

    def update(self, handlers: Any = (), /, **more: Any) -> None:
        """Count the calls of handlers that are added."""
        for name, handler in dict(handlers, **more).items():
            self[name] = handler


def _counted(name: str, handler: Callable[..., Any], tally: Counter[str]) -> Callable[..., Any]:
    if name.startswith(EXCHANGE):

        @functools.wraps(handler)
        async def call(*args: Any, **message: Any) -> Any:
            tally[name] += 1
            tally[f"{name} bytes"] += buffer_bytes(message)
            answer = handler(*args, **message)
            if asyncio.iscoroutine(answer):
                answer = await answer
            tally[f"{name} answered"] += buffer_bytes(answer)
            return answer
    elif asyncio.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def call(*args: Any, **message: Any) -> Any:
            tally[name] += 1
            return await handler(*args, **message)
    else:

        @functools.wraps(handler)
        def call(*args: Any, **message: Any) -> Any:
            tally[name] += 1
            return handler(*args, **message)

    return call


def buffer_bytes(value: Any) -> int:
    """Return the bytes of all buffers in a message."""
    if isinstance(value, Mapping):
        return sum(map(buffer_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(buffer_bytes, value))
    value = getattr(value, "data", value) if isinstance(value, Serialize) else value
    return value.nbytes if hasattr(value, "nbytes") else 0


class SchedulerTally(SchedulerPlugin):
    """What a scheduler has to do, counted."""

    name = "dlsort-benchmark-tally"

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.counts: Counter[str] = Counter()
        scheduler.handlers = CountedHandlers(scheduler.handlers, self.counts)
        scheduler.stream_handlers = CountedHandlers(scheduler.stream_handlers, self.counts)

    def update_graph(self, scheduler: Scheduler, *, tasks: Any, **_: Any) -> None:
        """Count tasks and what they wait for."""
        self.counts["tasks"] += len(tasks)
        self.counts["dependencies"] += sum(
            len(scheduler.tasks[key].dependencies) for key in tasks
        )

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Note what a barrier holds while it adds up, and what it gives."""
        if finish == "memory" and start == "processing" and str(key).startswith("shuffle-b"):
            task = self.scheduler.tasks[key]
            self.counts["receipt bytes"] += sum(of.nbytes for of in task.dependencies)
            self.counts["passed bytes"] += task.nbytes

    def read(self) -> Counts:
        """Return the counts so far, and the seconds of this process."""
        moves = self.scheduler.transition_counter
        return {**self.counts, "transitions": moves, "processor_s": time.process_time()}


class WorkerTally(WorkerPlugin):
    """What the workers of a process are told, counted."""

    name = "dlsort-benchmark-tally"

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts

    def setup(self, worker: Worker) -> None:
        """Begin to count."""
        worker.handlers = CountedHandlers(worker.handlers, self.counts)


@contextmanager
def many_workers(n: int, folder: Path, *, memory_limit: int = 4 * 2**30) -> Iterator[Client]:
    """Yield a client of a scheduler in its own process, with ``n`` workers of a thread each.

    Parameters
    ----------
    n : int
        Number of workers.
    folder : Path
        For what they spill.
    memory_limit : int
        Bytes of each; 0: none. All take the memory of their process for their own.
    """
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(CONFIG))
        address = _start(stack, serve_scheduler)
        _start(stack, serve_workers, address, n, str(folder), memory_limit)
        client = stack.enter_context(Client(address, timeout=120, set_as_default=False))
        client.wait_for_workers(n, timeout=300)
        yield client


def scheduler_tally(client: Client) -> Counts:
    """Return what was counted so far on the scheduler."""
    counts: Counts = client.run_on_scheduler(_scheduler_counts)
    return counts


def worker_tally(client: Client) -> Counts:
    """Return what was counted so far on all workers together."""
    one = next(iter(client.scheduler_info(n_workers=1)["workers"]))
    counts: Counts = client.run(_worker_counts, workers=[one])[one]
    return counts


def _scheduler_counts(dask_scheduler: Any) -> Counts:
    counts: Counts = dask_scheduler.plugins[SchedulerTally.name].read()
    return counts


def _worker_counts(dask_worker: Any) -> Counts:
    return dict(dask_worker.plugins[WorkerTally.name].counts)


class NearPool(ConnectionPool):
    """A worker's connections: those to workers of this process stay inside of it."""

    def __init__(self, near: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options)
        self.near = near

    async def connect(self, addr: str, timeout: float | None = None) -> Comm:
        """Return a connection to who is known by an address."""
        return await super().connect(self.near.get(addr, addr), timeout)

    def reuse(self, addr: str, comm: Comm) -> None:
        """Take a connection back."""
        super().reuse(self.near.get(addr, addr), comm)


# ---------------------------------------------------------------- processes


def _start(stack: ExitStack, serve: Serve, *args: Any) -> Any:
    """Start a process that ends with ``stack``; return what it says when it is ready."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, dict(CONFIG), serve, *args))
    process.start()
    theirs.close()
    stack.callback(_end, process, ours)
    return ours.recv()


def _end(process: Any, pipe: Connection) -> None:
    pipe.close()
    process.join(60)
    process.kill()
    process.join()


def _run(pipe: Connection, config: dict[str, Any], serve: Serve, *args: Any) -> None:
    dask.config.set(config)
    logging.disable(logging.WARNING)
    asyncio.run(serve(pipe, *args))


async def _until_closed(pipe: Connection) -> None:
    """Return when who started this process has closed its end, or is gone."""
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
    await closed.wait()


async def serve_scheduler(pipe: Connection) -> None:
    """Run a scheduler until the pipe is closed; its address is sent first."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
        scheduler.add_plugin(SchedulerTally(scheduler))
        pipe.send(scheduler.address)
        await _until_closed(pipe)
        os._exit(0)  # the workers go with who started them; nobody waits for a farewell


async def serve_workers(
    pipe: Connection, address: str, n: int, folder: str, memory_limit: int
) -> None:
    """Run workers until the pipe is closed; their number is sent first."""
    counts: Counter[str] = Counter()
    near: dict[str, str] = {}

    async def start(name: int) -> None:
        worker = Worker(
            address,
            name=name,
            nthreads=1,
            memory_limit=memory_limit,
            local_directory=folder,
            host="127.0.0.1",
            dashboard=False,
            plugins=(WorkerTally(counts),),
        )
        workers.append(await worker)
        await worker.listen("inproc://")
        near[worker.address] = worker.listeners[-1].contact_address
        pool = worker.rpc
        worker.rpc = NearPool(
            near,
            deserialize=pool.deserialize,
            connection_args=pool.connection_args,
            server=worker,
        )
        await worker.rpc.start()

    workers: list[Worker] = []
    await asyncio.gather(*map(start, range(n)))
    pipe.send(len(workers))
    await _until_closed(pipe)
    os._exit(0)
