"""The machine, as a place to sort on without a cluster of others."""

from __future__ import annotations

import functools
import math
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["EMBEDDED", "ClusterSize", "machine_cores", "machine_memory_bytes"]

# What stands for no cluster of others: this process.
EMBEDDED = "embedded"


class ClusterSize(NamedTuple):
    """Worker processes, threads in all, and memory in all of those that have a limit.

    ``is_limited``: all have one, so that there is no more memory than that.
    """

    n_processes: int
    n_threads: int
    memory_bytes: int
    is_limited: bool


# Of the control group, in versions 1 and 2.
_LIMITS = (
    "memory/memory.limit_in_bytes",
    "memory/memory.soft_limit_in_bytes",
    "memory.max",
    "memory.high",
    "memory.low",
)


@functools.cache
def machine_memory_bytes() -> int:
    """Return the machine's memory, or the container's where that is less.

    As Dask reads it, whose import takes longer than a small sort.
    """
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limits = [_number_in(name) for name in _LIMITS]
    _, hard = resource.getrlimit(resource.RLIMIT_RSS)
    return min(n for n in [pages * page_bytes, *limits, hard] if n > 0)


def _number_in(name: str) -> int:
    """Return a limit of this control group, 0 if there is none."""
    try:
        return int(Path("/sys/fs/cgroup", name).read_text())
    except (OSError, ValueError):  # not there, or "max"
        return 0


@functools.cache
def machine_cores() -> int:
    """Return the cores that this process may use, as Dask counts them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota()
    return max(1, min(cores or 1, math.ceil(quota))) if quota else cores or 1


def _quota() -> float | None:
    """Return how many cores' time this control group gets, None if that is not bounded."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        group = Path("/proc/self/cgroup").read_text().strip().split(":")[-1].strip("/")
        quota, period = Path("/sys/fs/cgroup", group, "cpu.max").read_text().split()
        return int(quota) / int(period)
    for folder in ("cpuacct,cpu", "cpu,cpuacct"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (
                Path("/sys/fs/cgroup", folder, f"cpu.cfs_{name}_us").read_text()
                for name in ("quota", "period")
            )
            return max(0.0, int(quota) / int(period))
    return None
