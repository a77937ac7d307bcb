"""What a worker's process may hold while frames are exchanged, and who gives way.

    limit ─┬─ terminate (95 %): Dask's nanny kills the worker
           ├─ pause     (80 %): Dask starts no more tasks on it
           ├─ spill     (70 %): Dask writes its own data to disk; so do the stores
           └─ target    (60 %): where both stop; units beyond are not kept in memory

To Dask what a store holds is unmanaged memory, which it can't spill. A worker that is paused
runs no task, so none that would free the store: so the stores are emptied by a thread of
their own, and by tasks before they take memory, never by waiting for a task.
"""

from __future__ import annotations

import ctypes
import logging
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from dask.context import thread_state
from dask.utils import format_bytes
from distributed.core import Status
from distributed.system import MEMORY_LIMIT
from distributed.utils import sync

from dlsort_cluster.exchange import ExchangeError, MemoryNeededError
from dlsort_cluster.store.store import ShardStore, StoreClosedError
from dlsort_cluster.tuning import MEMORY, MemoryTuning

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["MemoryGuard", "guard_of"]

logger = logging.getLogger(__name__)

# What fills a worker.
_OF_A_SORT = (
    "of a sort only what is at work: the rest is on disk. Dask starts no more tasks there "
    "until other data are released."
)
# Dask itself would have the worker killed, and try again for ever.
_OF_A_RESULT = (
    "the sort itself is over. compute() brings all partitions of its result to one worker, "
    "where they take four times their size. If Dask restarts that again and again, write the "
    "result with to_parquet, keep it on the workers with persist(), or give each a larger "
    "memory_limit."
)
Broken = Callable[[ExchangeError], None]

_guards: weakref.WeakKeyDictionary[Any, MemoryGuard] = weakref.WeakKeyDictionary()
_guards_lock = threading.Lock()


def guard_of(worker: Worker) -> MemoryGuard:
    """Return the guard of a worker, the same for all runs."""
    with _guards_lock:
        if worker not in _guards:
            _guards[worker] = MemoryGuard(worker)
        return _guards[worker]


class MemoryGuard:
    """Keeps the process of one worker below the memory where Dask stops it.

    Parameters
    ----------
    worker : distributed.Worker
        The worker; its memory limit and Dask's thresholds hold. Without a limit the guard
        does nothing.
    tuning : MemoryTuning
        Shares, and how often the guard looks.

    Attributes
    ----------
    partition_bytes : int
        The size of the last input partition, or what it may be.

    Notes
    -----
    All methods may be called from any thread but the event loop's.
    """

    def __init__(self, worker: Worker, tuning: MemoryTuning = MEMORY) -> None:
        self.tuning = tuning
        manager = worker.memory_manager
        self.address = worker.address
        self.limit_bytes = int(manager.memory_limit or 0)
        spill, pause = manager.memory_spill_fraction, manager.memory_pause_fraction
        high = min(spill or pause or tuning.spill_share, pause or 1.0)
        self._high = int(self.limit_bytes * high)
        self._low = int(self.limit_bytes * min(manager.memory_target_fraction or high, high))
        self._pause = int(self.limit_bytes * pause) if pause else sys.maxsize
        self._much = int(self.limit_bytes * tuning.much_share)
        self._terminate = int(self.limit_bytes * tuning.terminate_share)
        self.partition_bytes = tuning.partition_bytes
        self._worker = weakref.ref(worker)
        # What each open store does if its rows can't be written, and above which memory
        # they are: a job that has planned its memory gives way only to a pause.
        self._stores: dict[ShardStore, tuple[int, Broken]] = {}
        self._lock = threading.Lock()
        self._looker: threading.Thread | None = None
        self._awake_until = 0.0
        self._turn = threading.Condition()
        # By thread: the bytes, and the task's key.
        self._at_work: dict[int, tuple[int, Any]] = {}
        self._trimmed_at = monotonic()
        # A sort's own may pass; Dask has a worker killed at once that a result fills.
        self._warned_at = {_OF_A_SORT: monotonic(), _OF_A_RESULT: -math.inf}

    # -- what there is

    def memory_bytes(self) -> int:
        """Return the resident memory of the process, or 0 if the worker is gone."""
        worker = self._worker()
        return 0 if worker is None else int(worker.monitor.get_process_memory())

    def store_bytes(self) -> int:
        """Return what a store may keep that nobody has planned."""
        tuning = self.tuning
        high = self._high or int(MEMORY_LIMIT * tuning.spill_share)
        return max(0, int((high - tuning.base_bytes) * tuning.store_share))

    def has_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes more may wait in memory."""
        return not self.limit_bytes or self.memory_bytes() + n_bytes <= self._low

    # -- stores

    def watch(self, store: ShardStore, broken: Broken, *, planned: bool) -> None:
        """Look after a store until :meth:`forget`; ``broken`` is told what it can't write."""
        above = self._pause if planned else self._high
        if not self.limit_bytes or above == sys.maxsize:
            return
        with self._lock:
            self._stores[store] = (above, broken)
        self.wake()

    def forget(self, store: ShardStore) -> None:
        """Look after a store no more."""
        with self._lock:
            self._stores.pop(store, None)
        self.wake()

    def give_back(self) -> None:
        """Have what runs have freed returned to the system, if none is left.

        Dask takes it for memory in use, and counts it against what comes next: the result of
        a frame's sort, brought together for ``compute()``, takes three times its size at once.
        """
        with self._lock:
            is_over = not self._stores
        if self.limit_bytes and is_over and self.memory_bytes() > self._much:
            self._trim()

    def wake(self) -> None:
        """Look at the memory while there are stores, and for a while from now."""
        if not self.limit_bytes:
            return
        with self._lock:
            self._awake_until = monotonic() + self.tuning.awake_s
            if self._looker is None:
                name = f"dlsort-memory-{self.address}"
                self._looker = threading.Thread(target=self._look, name=name, daemon=True)
                self._looker.start()

    def _is_over(self) -> bool:
        worker = self._worker()
        is_open = worker is not None and worker.status in (Status.running, Status.paused)
        with self._lock:
            if is_open and (self._stores or monotonic() < self._awake_until):
                return False
            self._looker = None
            return True

    def _look(self) -> None:
        while not self._is_over():
            sleep(self.tuning.look_s)
            if self.memory_bytes() > self._low and self._may_trim():
                self._trim()
            if (memory := self.memory_bytes()) > self._high:
                self._shed(memory, memory - self._low)
                self._warn(self.memory_bytes())
        # What took results away has freed its copies by now.
        self.give_back()

    def _may_trim(self) -> bool:
        return monotonic() > self._trimmed_at + self.tuning.trim_s

    def _shed(self, memory: int, wanted: int) -> None:
        """Have the stores that are to give way at so much memory write bytes to disk."""
        with self._lock:
            stores = [
                (s, broken) for s, (above, broken) in self._stores.items() if memory > above
            ]
        for store, broken in stores:
            if wanted <= 0:
                return
            try:
                wanted -= store.shed(wanted)
            except StoreClosedError:
                continue
            except ExchangeError as error:
                broken(error)

    def _trim(self) -> None:
        """Have allocators return to the system what is free.

        Arrow's keeps what a thread has freed for the next that asks: 1.1 GB after four threads
        had made some columns. To Dask and the system that is memory in use.
        """
        self._trimmed_at = monotonic()
        pa.default_memory_pool().release_unused()
        with suppress(OSError, AttributeError):  # glibc only
            ctypes.CDLL(None).malloc_trim(0)

    def _warn(self, memory: int) -> None:
        of_what = _OF_A_SORT if self._stores or self._at_work else _OF_A_RESULT
        next_at = self._warned_at[of_what] + self.tuning.warn_s
        if memory <= self._pause or monotonic() <= next_at:
            return
        self._warned_at[of_what] = monotonic()
        logger.warning(
            "%s holds %s of %s, and %s",
            self.address,
            format_bytes(memory),
            format_bytes(self.limit_bytes),
            of_what,
        )

    # -- tasks

    @contextmanager
    def working(self, n_bytes: int, what: str) -> Iterator[None]:
        """Make room for so many bytes that a task is to take, while it runs.

        Where memory is short tasks take turns, one at a time at the least.

        Parameters
        ----------
        n_bytes : int
            What it takes at once, beyond what it holds.
        what : str
            A clause for the message, as in ``"partition 3 has 1.2 GiB"``.

        Raises
        ------
        MemoryNeededError
            If the worker could not hold so much if it held nothing else.
        """
        if not self.limit_bytes:
            yield
            return
        surely = self.tuning.surely_share * self.limit_bytes
        if n_bytes > max(self._terminate - self.tuning.base_bytes, surely):
            raise MemoryNeededError(self._needs(n_bytes, what))
        with self._at_work_with(n_bytes):
            self._make_room(n_bytes)
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Wait for a task's turn to make a partition, as large as the last, and work on it."""
        if not self.limit_bytes:
            yield
            return
        with self._at_work_with(int(self.tuning.read_copies * self.partition_bytes)):
            yield

    @contextmanager
    def _at_work_with(self, n_bytes: int) -> Iterator[None]:
        """Wait until so much fits beside what others take, or until no other is at work."""
        me = threading.get_ident()
        until = monotonic() + self.tuning.patience_s
        with self._turn:
            before = self._at_work.get(me)
            # A task whose turn it is goes on: others may be waiting for it.
            while before is None and self._is_busy():
                memory = self.memory_bytes() + n_bytes
                if memory + sum(n for n, _ in self._at_work.values()) <= self._high:
                    break
                if monotonic() > until and memory <= self._terminate:
                    break  # the others may be waiting for this one, in a way of their own
                self._turn.wait(self.tuning.look_s)
            self._at_work[me] = (n_bytes, getattr(thread_state, "key", None))
        try:
            yield
        finally:
            # What a thread has freed beside what is still in use, it alone can give back.
            if before is None and self.memory_bytes() > self._low:
                self._trim()
            with self._turn:
                if before is None:
                    del self._at_work[me]
                else:
                    self._at_work[me] = before
                self._turn.notify_all()

    def _is_busy(self) -> bool:
        """Return whether another task is at work that does not wait for tasks itself.

        One that computes something, in a function that makes a partition, has seceded: this
        one may be what it waits for.
        """
        worker = self._worker()
        tasks = {} if worker is None else worker.state.tasks
        found = (tasks.get(key) for _, key in self._at_work.values())
        return any(task is None or task.state != "long-running" for task in found)

    def _needs(self, n_bytes: int, what: str) -> str:
        base_bytes = self.tuning.base_bytes
        least = (base_bytes + n_bytes) / self.tuning.terminate_share
        return (
            f"{what}; to sort it takes about {format_bytes(n_bytes)} at once, and worker "
            f"{self.address} has {format_bytes(self.limit_bytes)}, of which "
            f"{format_bytes(base_bytes)} are Python's own. Make partitions smaller "
            "(npartitions, or repartition the input), or give each worker a memory_limit of "
            f"at least {format_bytes(int(least))}."
        )

    def _make_room(self, n_bytes: int) -> None:
        """Write to disk what stores and Dask hold, as far as a task needs the memory."""
        if self.memory_bytes() + n_bytes <= self._high:
            return
        self._trim()
        if (missing := self.memory_bytes() + n_bytes - self._high) <= 0:
            return
        self._shed(sys.maxsize, missing)
        self._trim()
        worker = self._worker()
        data: Any = None if worker is None else worker.data
        if hasattr(data, "fast") and hasattr(data, "evict"):
            assert worker is not None
            with suppress(OSError):  # what Dask can't write it keeps
                sync(worker.loop, self._evict, data, n_bytes)

    async def _evict(self, data: Any, n_bytes: int) -> None:
        """Have Dask write its data to disk, as it does itself above 70 %."""
        while data.fast and self.memory_bytes() + n_bytes > self._high:
            if data.evict() < 0:
                return
            self._trim()
