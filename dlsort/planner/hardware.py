"""Hardware: what memory, caches and a disk do, measured by plain reads and writes."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from dlsort_cluster.machine import machine_cores, machine_memory_bytes

__all__ = ["caches", "disk", "machine", "memory"]

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_TRIES = 3  # the best of them: what else runs only makes it longer


def machine() -> dict[str, float]:
    """Return ``cores`` and ``memory_bytes``: what this process may use."""
    return {"cores": float(machine_cores()), "memory_bytes": float(machine_memory_bytes())}


def caches() -> dict[str, float]:
    """Return ``l1d_bytes``, ``l2_bytes`` and ``l3_bytes``, those of them that are known."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        with suppress(OSError, ValueError, KeyError):
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                name = "l1d" if level == "1" else f"l{level}"
                digits = size.rstrip("KMG")
                found[f"{name}_bytes"] = float(int(digits) * _UNITS.get(size[len(digits) :], 1))
    for name, told in (
        ("l1d", "SC_LEVEL1_DCACHE_SIZE"),
        ("l2", "SC_LEVEL2_CACHE_SIZE"),
        ("l3", "SC_LEVEL3_CACHE_SIZE"),
    ):
        with suppress(OSError, ValueError, AttributeError):
            if f"{name}_bytes" not in found and (n_bytes := os.sysconf(told)) > 0:
                found[f"{name}_bytes"] = float(n_bytes)
    return found


def memory(n_bytes: int) -> dict[str, float]:
    """Return how fast memory is written that the system gives anew, again, and copied.

    Parameters
    ----------
    n_bytes : int
        To write, larger than the caches.

    Returns
    -------
    dict
        ``fresh_bytes_per_s``, ``again_bytes_per_s``, ``copy_bytes_per_s``, of one thread.
    """
    fresh, again, copied = [], [], []
    other = np.ones(n_bytes, np.uint8)
    for _ in range(_TRIES):
        with mmap.mmap(-1, n_bytes) as pages:
            array = np.frombuffer(pages, np.uint8)
            fresh.append(_seconds(lambda a=array: a.fill(1)))  # type: ignore[misc]
            again.append(_seconds(lambda a=array: a.fill(2)))  # type: ignore[misc]
            copied.append(_seconds(lambda a=array: np.copyto(other, a)))  # type: ignore[misc]
            del array  # or the pages can't be given back
    names = "fresh_bytes_per_s", "again_bytes_per_s", "copy_bytes_per_s"
    return {
        name: n_bytes / min(taken)
        for name, taken in zip(names, (fresh, again, copied), strict=True)
    }


def disk(folder: str, n_bytes: int) -> dict[str, float]:
    """Return how fast a folder's disk is written, and read where that can be told.

    Parameters
    ----------
    folder : str
        Existing; a file in it is made and removed.
    n_bytes : int
        To write, in pieces of 1 MiB.

    Returns
    -------
    dict
        ``disk_write_bytes_per_s``, until the disk has it; ``disk_read_bytes_per_s``, without
        what the system keeps in memory.

    Raises
    ------
    OSError
        If the file can't be written.
    """
    piece = np.random.default_rng(0).bytes(min(n_bytes, 2**20))  # which no disk compresses
    n_pieces = max(1, n_bytes // len(piece))
    path = Path(folder, "disk")
    found = {}
    try:
        with path.open("w+b", buffering=0) as file:

            def write() -> None:
                for _ in range(n_pieces):
                    file.write(piece)
                os.fsync(file.fileno())

            def read() -> None:
                file.seek(0)
                while file.read(len(piece)):
                    pass

            found["disk_write_bytes_per_s"] = n_pieces * len(piece) / _seconds(write)
            with suppress(OSError, AttributeError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                found["disk_read_bytes_per_s"] = n_pieces * len(piece) / _seconds(read)
    finally:
        path.unlink(missing_ok=True)
    return found


def _seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return max(time.perf_counter() - began, 1e-9)
