"""What a process and all below it use, from outside: processor, memory, disk, network."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

__all__ = ["SAMPLE_S", "Peak", "Sample", "watch"]

SAMPLE_S = 0.1  # between two looks


class Sample(NamedTuple):
    """What was used between two looks.

    Attributes
    ----------
    at_s, seconds : float
        When it ended, from the beginning of the watch, and how long it was.
    cores : float
        Seconds of processor a second.
    memory_bytes : int
        Resident, of all processes together.
    disk_read, disk_write, sent : float
        Bytes a second that this host's disks have given and taken, and that have left it,
        whoever asked for them: what the page cache holds is in none of them.
    """

    at_s: float
    seconds: float
    cores: float
    memory_bytes: int
    disk_read: float
    disk_write: float
    sent: float


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
    samples : list of Sample
    """

    total: int = 0
    own: int = 0
    each: dict[int, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)


class _Meter:
    """Sums that only grow; what a process has used stays counted once it is gone."""

    def __init__(self, pid: int | None) -> None:
        self._parent = psutil.Process(pid)
        self._used: dict[int, float] = {}
        self.resident = 0

    def look(self, peak: Peak) -> tuple[float, float, float, float]:
        """Return seconds of processor, and bytes read, written and sent."""
        self.resident = own = 0
        with contextlib.suppress(psutil.Error):
            for process in [self._parent, *self._parent.children(recursive=True)]:
                with contextlib.suppress(psutil.Error), process.oneshot():
                    memory, spent = process.memory_info(), process.cpu_times()
                    held = memory.rss
                    self.resident += held
                    own += held - memory.shared
                    peak.each[process.pid] = max(peak.each.get(process.pid, 0), held)
                    self._used[process.pid] = spent.user + spent.system
        peak.total = max(peak.total, self.resident)
        peak.own = max(peak.own, own)
        return sum(self._used.values()), *_of_host()


def _of_host() -> tuple[int, int, int]:
    """Return the bytes that disks have given and taken, and that have left this host."""
    read = written = sent = 0
    with contextlib.suppress(OSError, RuntimeError):
        if disks := psutil.disk_io_counters():
            read, written = disks.read_bytes, disks.write_bytes
    with contextlib.suppress(OSError):
        links = psutil.net_io_counters(pernic=True)
        sent = sum(link.bytes_sent for name, link in links.items() if name != "lo")
    return read, written, sent


@contextlib.contextmanager
def watch(pid: int | None) -> Iterator[Peak]:
    """Watch a process until the block ends."""
    peak = Peak()
    done = threading.Event()

    def look() -> None:
        meter = _Meter(pid)
        began = before_s = time.perf_counter()
        before = meter.look(peak)
        watching = True
        while watching:
            watching = not done.wait(SAMPLE_S)
            used, now_s = meter.look(peak), time.perf_counter()
            took_s = max(now_s - before_s, 1e-9)
            cpu, *rates = ((b - a) / took_s for a, b in zip(before, used, strict=True))
            peak.samples.append(Sample(now_s - began, took_s, cpu, meter.resident, *rates))
            before, before_s = used, now_s

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
