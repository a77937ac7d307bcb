"""Profile: what a machine was measured to do, kept in a file of its own kind.

One cache folder may serve many machines, so a file is named after the machine that it is of.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlsort.errors import DlsortError
from dlsort.planner.cache_folder import cache_folder
from dlsort.planner.speeds import Speeds
from dlsort.version import __version__
from dlsort_cluster.machine import machine_cores

__all__ = ["Profile", "load", "machine_key", "profile_files", "save"]

_VERSION = 1
_MOST = 1e18
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_INFO_BYTES = 4096  # the first processor's: all of them take long to tell
# What Linux calls a processor's model on x86, POWER and s390; on ARM two numbers stand for it.
_MODEL = ("model name", "cpu", "processor 0", "CPU implementer", "CPU part")


@dataclass(frozen=True)
class Profile:
    """What a machine does.

    Parameters
    ----------
    machine : str
        Its key.
    speeds : mapping
        Seconds a unit, by step and unit.
    facts : mapping
        What else was measured, by a name that ends in its unit: ``l2_bytes``,
        ``fresh_bytes_per_s``, ``took_s``.
    at : float
        When, as ``time.time()``.
    """

    machine: str
    speeds: Speeds
    facts: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0


@functools.cache
def machine_key() -> str:
    """Return what speeds depend on: processor, cores, and the versions of what does the work.

    Readable, and different where speeds may be.
    """
    import pyarrow as pa

    return (
        f"{_processor()}, {machine_cores()} cores, dlsort {__version__}, "
        f"pyarrow {pa.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    )


def _processor() -> str:
    with suppress(OSError):
        with _CPU_INFO.open("rb") as file:
            lines = file.read(_CPU_INFO_BYTES).decode(errors="replace").splitlines()
        told = {
            name.strip(): value.strip() for name, _, value in (s.partition(":") for s in lines)
        }
        found = [f"{told[name]}" for name in _MODEL if told.get(name)]
        if found:
            return " ".join(" ".join(found).split())
    return platform.processor() or platform.machine()


def profile_files() -> list[Path]:
    """Return the files of profiles that there are, of this machine and of others."""
    folder = cache_folder()
    with suppress(OSError):
        return [] if folder is None else sorted(folder.glob("machine-*.json"))
    return []


def load() -> Profile | None:
    """Return this machine's profile; None where there is none that is whole."""
    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        path = _path()
        told = json.loads(path.read_bytes()) if path is not None else {}
        if told.pop("version", None) == _VERSION:
            profile = Profile(**told)
            if profile.machine == machine_key() and _is_sound(profile):
                return profile
    return None


def save(profile: Profile) -> Path:
    """Keep a profile; return where. What was there stays until all of it is written.

    Raises
    ------
    DlsortError
        If it can't be written.
    """
    path = _path()
    why = "no folder can be written"
    attempt = None
    try:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, attempt = tempfile.mkstemp(prefix=".dlsort-", dir=path.parent)
            with os.fdopen(number, "w") as file:
                json.dump({"version": _VERSION, **asdict(profile)}, file, indent=1)
            Path(attempt).replace(path)
            attempt = None
            return path
    except OSError as error:
        why = f"{path}: {error.strerror}"
    finally:
        if attempt is not None:
            Path(attempt).unlink(missing_ok=True)
    msg = (
        f"the profile of this machine can't be kept: {why}. "
        "Name a folder that can be written, in NUMBA_CACHE_DIR."
    )
    raise DlsortError(msg)


def _path() -> Path | None:
    folder = cache_folder()
    digest = hashlib.blake2b(machine_key().encode(), digest_size=8).hexdigest()
    return None if folder is None else folder / f"machine-{digest}.json"


def _is_sound(profile: Profile) -> bool:
    """Return whether all is numbers that can be right; what has another form raises."""
    numbers: list[Any] = [n for units in profile.speeds.values() for n in units.values()]
    numbers += [*profile.facts.values(), profile.at]
    return all(math.isfinite(n) and 0 <= n <= _MOST for n in numbers)
