"""Resident memory of a process and all below it, looked at from outside."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

SAMPLE_S = 0.1  # between two looks


@dataclass
class Peak:
    """The most that was seen, in bytes.

    Attributes
    ----------
    total : int
        Of all processes together, at one time.
    own : int
        The same without pages that are shared, or files': what the system can't drop.
    each : dict of int to int
        Of each process by its id.
    """

    total: int = 0
    own: int = 0
    each: dict[int, int] = field(default_factory=dict)


@contextlib.contextmanager
def watch(pid: int | None) -> Iterator[Peak]:
    """Watch a process until the block ends."""
    peak = Peak()
    done = threading.Event()

    def look() -> None:
        parent = psutil.Process(pid)
        watching = True
        while watching:
            resident = own = 0
            with contextlib.suppress(psutil.Error):
                for process in [parent, *parent.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        memory = process.memory_info()
                        held = memory.rss
                        resident += held
                        own += held - memory.shared
                        peak.each[process.pid] = max(peak.each.get(process.pid, 0), held)
            peak.total = max(peak.total, resident)
            peak.own = max(peak.own, own)
            watching = not done.wait(SAMPLE_S)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
