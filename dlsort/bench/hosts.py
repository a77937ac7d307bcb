"""Hosts: the hardware that engines run on, and the versions of all that takes part."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from dlsort.planner.hardware import disk
from dlsort.sizes import GIB, MIB
from dlsort_cluster.machine import machine_cores, machine_memory_bytes

__all__ = ["machine", "measured_host", "package_versions", "versions"]

PACKAGES = ("dlsort", "dask", "pyarrow", "numpy", "numba", "pandas", "polars", "duckdb")
_DISK_BYTES = 64 * MIB


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def measured_host(temp_dir: str | None = None) -> dict[str, Any]:
    """Return what this host is.

    Parameters
    ----------
    temp_dir : str, optional
        Existing folder, whose disk is measured by writing and reading 64 MiB there.

    Returns
    -------
    dict
        ``processor``, ``system``, ``python``, ``cores``, ``memory_bytes``; bytes a second
        ``disk_read`` and ``disk_write``, and of the fastest link ``network``; None where they
        are not known.
    """
    found: dict[str, Any] = {
        "processor": processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cores": machine_cores(),
        "memory_bytes": machine_memory_bytes(),
        "disk_read": None,
        "disk_write": None,
        "network": _network(),
    }
    if temp_dir is not None:
        with contextlib.suppress(OSError):
            told = disk(temp_dir, _DISK_BYTES)
            found["disk_write"] = told.get("disk_write_bytes_per_s")
            found["disk_read"] = told.get("disk_read_bytes_per_s")
    return found


def _network() -> float | None:
    """Return bytes a second of the fastest link that is up and tells its speed."""
    with contextlib.suppress(OSError):
        links = psutil.net_if_stats()
        speeds = [link.speed for name, link in links.items() if link.isup and name != "lo"]
        return max(speeds, default=0) * 1e6 / 8 or None
    return None


def machine() -> str:
    """Return what this machine is, in a line."""
    memory = psutil.virtual_memory().total / GIB
    cores = psutil.cpu_count()
    return f"{processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()}"


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are there."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def versions() -> str:
    """Return the versions of all that takes part, in a line."""
    return ", ".join(f"{name} {version}" for name, version in package_versions().items())
