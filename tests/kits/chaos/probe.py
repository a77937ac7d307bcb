"""What a worker of a chaos cluster loads: it stops in a phase when told to, and tells of it.

``dask worker --preload chaos.probe``, with the environment variable below. The control folder
holds small files, which whoever tells the story writes and reads (:mod:`chaos.holds`):

    worker-w1              w1's process and where it listens
    hold-sorting           who gets into this phase waits until the file is gone
    reached-sorting-w1-…   w1 has got there
    calls-w1               the phases that w1 has been in, a line each

The functions of a phase are wrapped where they are looked up when they are called, so that
what runs is dlsort as it is installed.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

CONTROL = "DLSORT_CHAOS_CONTROL"
# Another version that a worker pretends to have, as in "numpy=1.0 distributed=2020.1".
VERSIONS = "DLSORT_CHAOS_VERSIONS"

# Phase: module, and the name in it of what is called there.
PHASES = {
    "sampling": ("dlsort.strategies.exchange", "Reader.sample"),
    "reading": ("dlsort.strategies.exchange", "Reader.read"),
    "transferring": ("dlsort.strategies.exchange", "find_bands"),
    "barrier": ("dlsort_cluster.p2p.build", "_barrier"),
    "places": ("dlsort_cluster.p2p.build", "tell_places"),
    "sorting": ("dlsort.strategies.part", "sort_in_pieces"),
    "writing": ("dlsort.io.parquet.writer", "PartFile.close"),
    "reading ranges": ("dlsort.strategies.range_reads", "_read_and_keep"),
}

_ballast: list[bytearray] = []


def dask_setup(worker: Any) -> None:
    """Wrap the phases, and tell who this is."""
    control = Path(os.environ[CONTROL])
    for phase, (module, name) in PHASES.items():
        _wrap(control, str(worker.name), phase, module, name)
    _pretend(dict(pair.split("=") for pair in os.environ.get(VERSIONS, "").split()))
    listens = worker.listeners[0].listen_address
    _tell(control / f"worker-{worker.name}", {"pid": os.getpid(), "listens": listens})


def _wrap(control: Path, worker: str, phase: str, module: str, name: str) -> None:
    owner = __import__(module, fromlist=["_"])
    *outer, name = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    call = getattr(owner, name)
    hold = control / f"hold-{phase}"
    n_calls = 0

    @functools.wraps(call)
    def held(*args: Any, **kwargs: Any) -> Any:
        nonlocal n_calls
        _note(control / f"calls-{worker}", phase)
        if (told := _told(hold)) is not None:
            n_calls += 1
            if n_calls > told["skip"] and worker not in told["spare"]:
                mark = f"reached-{phase}-{worker}-{uuid.uuid4().hex[:8]}"
                _tell(control / mark, {"worker": worker, "pid": os.getpid()})
                while _told(hold) == told:
                    time.sleep(0.01)
        else:
            n_calls = 0
        return call(*args, **kwargs)

    setattr(owner, name, held)


def _note(path: Path, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def _tell(path: Path, what: dict[str, Any]) -> None:
    """Write a file that nobody can read half of."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    draft.write_text(json.dumps(what))
    draft.replace(path)


def _told(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except OSError:
        return None


def _pretend(versions: dict[str, str]) -> None:
    if not versions:
        return
    import dlsort_cluster.versions as module

    installed = module.installed
    module.installed = functools.wraps(installed)(lambda: {**installed(), **versions})


# ---------------------------------------------------------------- run by Client.run


def hold_memory(n_bytes: int) -> None:
    """Take so much memory, which the kernel has to give at once."""
    _ballast.append(bytearray(b"\1") * n_bytes)


def drop_memory() -> None:
    """Give it back."""
    _ballast.clear()


def resident_bytes() -> int:
    """Return the memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def left_on_worker(dask_worker: Any) -> list[str]:
    """Return what a sort has left in a worker: runs, tasks, data, memory, files."""
    gc.collect()
    found = [f"run {run}" for run in dask_worker.extensions["shuffle"].shuffle_runs._runs]
    found += [f"task {key}" for key in dask_worker.state.tasks]
    found += [f"data {key}" for key in dask_worker.data]
    local = str(Path(dask_worker.local_directory).resolve())
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # as the one that lists them
            target = str(link.readlink())
            if "memfd:dlsort-unit" in target:
                found.append(f"shared memory: open {target}")
            if target.startswith(local) and "(deleted)" in target:
                found.append(f"spill file {target}")
    maps = Path("/proc/self/maps").read_text()
    found += ["shared memory: mapped"] * ("memfd:dlsort-unit" in maps)
    return found


def left_on_scheduler(dask_scheduler: Any) -> list[str]:
    """Return what a sort has left on the scheduler: tasks and runs."""
    found = [f"task {key}" for key in dask_scheduler.tasks]
    plugin = dask_scheduler.plugins["shuffle"]
    return found + [f"run {run}" for run in plugin.active_shuffles]
