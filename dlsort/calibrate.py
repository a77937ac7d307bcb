"""Calibrate: small sorts of made-up data, of which the speeds of this machine follow.

What is sorted differs in what a step's time depends on: numbers or text, short or long, many
columns or files. Each is sorted by one thread and by all, and what every step took goes where
the history of real jobs goes: into the same fit. So a profile has no figure of its own kind.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.dataset import sort_dataset
from dlsort.errors import ClusterError
from dlsort.planner import hardware
from dlsort.planner.fit import at_level, fit
from dlsort.planner.history import Run
from dlsort.planner.profile import Profile, machine_key, save
from dlsort.planner.record import run_of
from dlsort.planner.speeds import BUILT_IN, Speeds
from dlsort.planner.write_costs import N_VALUES, measure_costs
from dlsort.sizes import MIB
from dlsort.terminal.progress import NoProgress, Progress
from dlsort.tuning import TUNING, PlannerTuning
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import machine_cores
from dlsort_cluster.scratch import make_scratch

__all__ = ["calibrate", "tune", "tune_hosts"]

#: Share of the usual amounts; tests take less.
SCALE = 1.0

_ROWS = 400_000
_TRIES = 2  # the best of them: what else runs only makes a sort longer
_FILES = 64  # of the job of many files
_COLUMNS = 60  # of the wide one
_PARTS = 4
_MEMORY_BYTES = 64 * MIB  # more than most caches have
_DISK_BYTES = 64 * MIB
# Of the speeds before anything was measured: next to nothing.
_SPREAD = 2.0
# How long a host may take: twenty times the usual, as it may have kernels to compile.
_HOST_S = 600.0


@dataclass(frozen=True)
class _Input:
    """What is sorted: its key is ``k``; of it ``limit`` rows are wanted, or all."""

    name: str
    make: Callable[[np.random.Generator, int], Mapping[str, Any]]
    row_share: float = 1.0
    n_files: int = 2
    limit: int | None = None


def _text(rng: np.random.Generator, n: int, shortest: int, longest: int) -> pa.Array:
    """Return words of random letters."""
    ends = np.cumsum(rng.integers(shortest, longest + 1, n), dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    letters = rng.integers(97, 123, int(offsets[-1]), np.uint8)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters))


def _kinds(rng: np.random.Generator, n: int) -> pa.Array:
    """Return words of few kinds."""
    return _text(rng, 50, 4, 12).take(pa.array(rng.integers(0, 50, n)))


_INPUTS = (
    _Input("integers", lambda rng, n: _numbers(rng, n, 4)),
    _Input("few columns", lambda rng, n: _numbers(rng, n, 1), row_share=2.0),
    _Input("floats", lambda rng, n: {"k": rng.normal(size=n), "a": rng.random(n)}),
    _Input(
        "short text", lambda rng, n: {"k": _text(rng, n, 6, 14), "a": rng.integers(0, n, n)}
    ),
    _Input("long text", lambda rng, n: {"k": rng.random(n), "a": _text(rng, n, 40, 100)}, 0.5),
    _Input(
        "words", lambda rng, n: {"k": rng.random(n), "a": _kinds(rng, n), "b": _kinds(rng, n)}
    ),
    _Input("many columns", lambda rng, n: _numbers(rng, n, _COLUMNS), 0.1),
    _Input("first rows", lambda rng, n: _numbers(rng, n, 4), limit=1000),
    _Input("first texts", lambda rng, n: {"k": _text(rng, n, 6, 14)}, limit=1000),
    _Input("many files", lambda rng, n: _numbers(rng, n, 4), 0.5, n_files=_FILES),
)


def _numbers(rng: np.random.Generator, n: int, n_more: int) -> dict[str, Any]:
    more = {f"a{i}": rng.integers(0, 1 << (8 + i % 32), n) for i in range(n_more)}
    return {"k": rng.integers(-(2**62), 2**62, n)} | more


def calibrate(
    scratch: str | None = None,
    progress: Progress | None = None,
    *,
    prior: Speeds = BUILT_IN,
) -> Profile:
    """Measure this machine: memory, caches, a disk, and every step of a sort.

    Parameters
    ----------
    scratch : str, optional
        Existing folder, whose disk is measured; by default the system's for temporary files.
        Up to 200 MB are written there, in a folder that is removed.
    progress : Progress, optional
        Told what is measured.
    prior : mapping
        Speeds that hold where nothing is measured; by default those that are built in.

    Returns
    -------
    Profile
        Seconds a unit, sizes in bytes, bytes a second.

    Raises
    ------
    SpillError
        If ``scratch`` can't be used.
    DlsortError, OSError
        If the disk is full.
    """
    began, at = time.perf_counter(), time.time()
    told = NoProgress() if progress is None else progress
    with make_scratch(scratch) as folder:
        facts = hardware.machine() | hardware.caches()
        facts |= hardware.memory(max(1, int(SCALE * _MEMORY_BYTES)))
        facts |= hardware.disk(folder, max(1, int(SCALE * _DISK_BYTES)))
        facts |= measure_costs(max(1 << 10, int(SCALE * N_VALUES)))
        runs: list[Run] = []
        # The first sort of a process loads what the others find loaded.
        for given in (_INPUTS[0], *_INPUTS):
            n_rows = max(_FILES, int(SCALE * _ROWS * given.row_share))
            told.phase(given.name, n_rows)
            runs += _sorts(given, n_rows, Path(folder))
            told.finish(given.name)
    runs = runs[len(_threads()) :]
    speeds = fit(at_level(prior, runs), runs, spread=_SPREAD)
    facts["took_s"] = time.perf_counter() - began
    return Profile(machine_key(), speeds, facts, at)


def tune(scratch: str | None = None, progress: Progress | None = None) -> tuple[Profile, Path]:
    """Measure this machine and keep the profile; return it, and where it is.

    Raises
    ------
    DlsortError
        If it can't be kept, or ``scratch`` can't be used.
    """
    profile = calibrate(scratch, progress)
    return profile, save(profile)


def tune_hosts(
    scheduler: str, scratch: str | None = None
) -> dict[str, tuple[Profile, Path] | BaseException]:
    """Measure each host of a cluster, once, and keep its profile there.

    Parameters
    ----------
    scheduler : str
        Its address.
    scratch : str, optional
        Existing folder on each host; by default the system's for temporary files.

    Returns
    -------
    dict
        What :func:`tune` returns on each host, or what it raises there, by the host.

    Raises
    ------
    ClusterError
        If there is no cluster, or no worker, or one has other versions than we.
    """
    from dlsort_cluster.clusters.check_versions import check_versions
    from dlsort_cluster.clusters.connect import connect
    from dlsort_cluster.clusters.hosts import on_each_host
    from dlsort_cluster.clusters.sizes import size_of

    try:
        with connect(scheduler=scheduler) as client:
            size_of(client)
            check_versions(client)
            return on_each_host(client, partial(tune, scratch), _HOST_S)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error


def _threads() -> list[int]:
    return sorted({1, machine_cores()})


def _sorts(given: _Input, n_rows: int, folder: Path) -> list[Run]:
    """Make an input, sort it with one thread and with all, and remove it; a run for each."""
    src, dst = folder / "in", folder / "out"
    try:
        src.mkdir()
        table = pa.table(given.make(np.random.default_rng(0), n_rows))
        n_each = -(-n_rows // given.n_files)
        for i in range(given.n_files):
            pq.write_table(table.slice(i * n_each, n_each), src / f"{i}.parquet")
        tries = [
            [_sort(src, dst, n_threads, given.limit) for n_threads in _threads()]
            for _ in range(_TRIES)
        ]
        return [_best(runs) for runs in zip(*tries, strict=True)]
    finally:
        shutil.rmtree(src, ignore_errors=True)
        shutil.rmtree(dst, ignore_errors=True)


def _best(runs: Sequence[Run]) -> Run:
    """Return a run with the least that each step took."""
    steps = set.intersection(*(set(run.measured) for run in runs))
    least = {step: min(run.measured[step] for run in runs) for step in steps}
    return replace(runs[0], measured=least)


def _sort(src: Path, dst: Path, n_threads: int, limit: int | None) -> Run:
    report = sort_dataset(
        src,
        dst,
        by="k",
        scheduler="embedded",
        threads=n_threads,
        partitions=_PARTS,
        limit=limit,
        temp_dir=src.parent,
        strategy="exchange",
        overwrite=True,
        progress=False,
        _tuning=replace(TUNING, planner=PlannerTuning(learns=False)),
    )
    return run_of(report, "", "")
