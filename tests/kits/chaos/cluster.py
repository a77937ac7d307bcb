"""A cluster as its operator sees it: started, hurt and put right, a method each.

What can be done through the scheduler is the same everywhere and stands here; an engine
(:mod:`chaos.processes`) does the rest.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client

from chaos import probe
from chaos.holds import Holds, until
from patience import PATIENCE_S

NAMES = ("w0", "w1", "w2")
MIB = 2**20
# Workers are told in time to drop their runs; a Dask worker frees data as it is told.
LONGEST_TIDYING_S = PATIENCE_S


@dataclass(frozen=True)
class Setup:
    """How a worker is started.

    Attributes
    ----------
    memory_bytes : int
        Its limit.
    temp_dir : Path or None
        Where it spills; a folder of its own if None.
    read_only : Path or None
        A folder that it can only read.
    versions : mapping
        Packages that it has in another version, as far as it can tell.
    may_be_cut_off : bool
        Its peers reach it in a way that can be cut.
    """

    memory_bytes: int = 1024 * MIB
    temp_dir: Path | None = None
    read_only: Path | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    may_be_cut_off: bool = False


class Cluster(ABC):
    """A scheduler and workers.

    Attributes
    ----------
    folder : Path
        Seen by all workers and clients: sources, destinations and the control folder.
    holds : Holds
        Where workers are told to wait.
    address : str
        The scheduler's, for clients.
    client : distributed.Client
        The operator's own.
    """

    folder: Path
    holds: Holds
    address: str
    client: Client

    # ------------------------------------------------------------ an engine's own

    @abstractmethod
    def start_worker(self, name: str, setup: Setup | None = None) -> None:
        """Start a worker, and wait until the scheduler knows it."""

    @abstractmethod
    def remove_worker(self, name: str) -> None:
        """End a worker, and what would start it again."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the workers that were started and not removed."""

    @abstractmethod
    def kill(self, name: str) -> None:
        """Kill a worker as it stands; it is started again as an operator's would be."""

    @abstractmethod
    def pause(self, name: str) -> None:
        """Stop a worker where it stands."""

    @abstractmethod
    def resume(self, name: str) -> None:
        """Have it go on."""

    @abstractmethod
    def cut_off(self, name: str) -> None:
        """Cut a worker off from its peers."""

    @abstractmethod
    def reconnect(self, name: str) -> None:
        """Undo that."""

    @abstractmethod
    def slow(self, name: str, share: float) -> Any:
        """Give a worker a share of a processor only, as long as the context lasts."""

    @abstractmethod
    def kill_scheduler(self) -> None:
        """Kill the scheduler as it stands."""

    @abstractmethod
    def start_scheduler(self) -> None:
        """Start it again at its address, and the workers that have ended without it."""

    @abstractmethod
    def left_in_temp(self) -> list[str]:
        """Return what sorts have left in the workers' temporary folders."""

    @abstractmethod
    def log(self) -> str:
        """Return the last lines of what scheduler and workers have logged."""

    @abstractmethod
    def close(self) -> None:
        """End all of it."""

    # ------------------------------------------------------------ through the scheduler

    def workers(self) -> dict[str, str]:
        """Return the scheduler's workers: name and address."""
        infos = self.client.scheduler_info(n_workers=-1)["workers"]
        return {str(info["name"]): address for address, info in infos.items()}

    def retire(self, name: str) -> None:
        """Have a worker leave in peace, and not come back."""
        self.client.retire_workers([self.workers()[name]], close_workers=True)
        until(lambda: name not in self.workers(), f"{name} retired")
        self.remove_worker(name)

    def status(self, name: str) -> str:
        """Return what the scheduler takes a worker for: "running", "paused", …, or "gone"."""
        return self.client.run_on_scheduler(_status, name)

    @contextmanager
    def copies_kept(self) -> Iterator[None]:
        """Have Dask drop no copy of what several workers have, for a while."""
        self.client.amm.stop()
        try:
            yield
        finally:
            self.client.amm.start()

    def sole_holder(self, begins: str) -> str | None:
        """Drop copies; return which worker alone has the result of a task of such a name."""
        self.client.amm.run_once()
        return self.client.run_on_scheduler(_sole_holder, begins)

    def on_worker(self, name: str, function: Any, *args: Any) -> Any:
        """Run a function in a worker."""
        address = self.workers()[name]
        return self.client.run(function, *args, workers=[address])[address]

    def recover(self) -> None:
        """Have the usual workers there, and no others, each in good health."""
        for name in self.names():
            if name not in NAMES:
                self.remove_worker(name)
        for name in set(NAMES) - set(self.names()):
            self.start_worker(name)
        until(lambda: set(self.workers()) == set(NAMES), "all workers are back")
        until(self._all_answer, "all workers answer")

    def _all_answer(self) -> bool:
        with suppress(Exception):
            pids = self.client.run(_pid)
            mine = {name: self.holds.worker(name).get("pid") for name in NAMES}
            there = self.workers()
            return len(there) == len(NAMES) and all(
                pids.get(there[name]) == pid for name, pid in mine.items()
            )
        return False

    def left(self) -> list[str]:
        """Wait until nothing is left of a sort on scheduler and workers; return what is."""
        found: list[str] = []

        def is_clean() -> bool:
            found[:] = [
                f"scheduler: {what}"
                for what in self.client.run_on_scheduler(probe.left_on_scheduler)
            ]
            for address, left in self.client.run(probe.left_on_worker).items():
                found.extend(f"{address}: {what}" for what in left)
            found.extend(self.left_in_temp())
            return not found

        with suppress(TimeoutError):
            until(is_clean, "nothing left", patience_s=LONGEST_TIDYING_S)
        return found

    @contextmanager
    def adaptive(self, least: int, most: int) -> Iterator[list[str]]:
        """Follow the scheduler's own advice on how many workers it wants; yield who came.

        That is what ``Cluster.adapt`` does, for clusters that Dask has started itself.
        """
        came: list[str] = []
        ended = threading.Event()
        failures: list[BaseException] = []

        def follow() -> None:
            try:
                while not ended.wait(0.1):
                    wanted = self.client.run_on_scheduler(_wanted)
                    there = self.names()
                    if len(there) < min(wanted, most):
                        came.append(f"adapted{len(came)}")
                        self.start_worker(came[-1])
                    elif len(there) > max(wanted, least):
                        n_more = len(there) - max(wanted, least)
                        for name in self.client.run_on_scheduler(_closable, n_more):
                            if name in self.names():
                                self.retire(name)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield came
        finally:
            ended.set()
            thread.join()
        if failures:
            raise failures[0]


def _pid() -> int:
    import os

    return os.getpid()


def _status(name: str, dask_scheduler: Any) -> str:
    found = [ws for ws in dask_scheduler.workers.values() if str(ws.name) == name]
    return found[0].status.name if found else "gone"


def _sole_holder(begins: str, dask_scheduler: Any) -> str | None:
    for key, task in dask_scheduler.tasks.items():
        if str(key).startswith(begins) and len(task.who_has) == 1:
            return str(next(iter(task.who_has)).name)
    return None


def _wanted(dask_scheduler: Any) -> int:
    return dask_scheduler.adaptive_target(target_duration=0.5)


def _closable(n: int, dask_scheduler: Any) -> list[str]:
    return [str(name) for name in dask_scheduler.workers_to_close(n=n, attribute="name")]


def wait(seconds: float) -> None:
    """Let a trouble last."""
    time.sleep(seconds)
