"""What a caller of the batch door asks for, checked before anything is read or started."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from dask.base import named_schedulers

from dlsort.arguments import read_count, read_flag
from dlsort.errors import BadOptionError, ClusterError, shown
from dlsort.io.parquet.writer import check_compression
from dlsort.io.paths import read_folder, read_path
from dlsort.io.storage import is_store, without_scheme
from dlsort.keys import SortKey, parse_by
from dlsort.publish.destination import Overwrite
from dlsort.sizes import parse_bytes
from dlsort.strategies.budget import ask_memory
from dlsort.tuning import Tuning
from dlsort.wording import closest
from dlsort_cluster.clusters.joined import (
    EMBEDDED,
    Joinable,
    check_usable,
    current_client,
    is_joinable,
)
from dlsort_cluster.clusters.reach import fault_of
from dlsort_cluster.clusters.sizes import machine_memory_bytes
from dlsort_cluster.exchange import ExchangeError

__all__ = ["Asked", "read_arguments"]

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """The arguments of a sort, as :func:`dlsort.sort_dataset` explains them.

    Parameters
    ----------
    src, dst : str
        Paths or URLs, as they were given but for ``file://``.
    keys : tuple of SortKey
        The key.
    scheduler : str, Client or Cluster, or None
        The cluster to join; None: one of our own.
    temp_dir : str or None
        Absolute.
    tuning : Tuning
        The tunables.
    """

    src: str
    dst: str
    keys: tuple[SortKey, ...]
    scheduler: Joinable | None
    workers: int | None
    threads: int | None
    partitions: int | None
    part_bytes: int | None
    memory: int | str | None
    memory_bytes: int
    temp_dir: str | None
    codec: str
    row_group_rows: int | None
    overwrite: Overwrite
    resume: bool
    manifest: bool
    tuning: Tuning


def read_arguments(
    src: Any,
    dst: Any,
    *,
    by: Any,
    scheduler: Any,
    workers: Any,
    threads: Any,
    partitions: Any,
    partition_size: Any,
    memory: Any,
    temp_dir: Any,
    compression: Any,
    row_group_rows: Any,
    overwrite: Any,
    resume: Any,
    manifest: Any,
    tuning: Tuning,
) -> Asked:
    """Return the arguments of a sort.

    Raises
    ------
    BadKeyError, BadOptionError
        If one is not what it should be, or two exclude each other.
    ClusterError
        If the client that is given, or current, can't be used.
    """
    joins = _cluster_to_join(scheduler, workers, threads)
    asked = Asked(
        src=str(without_scheme(read_path(src, "source (src)"))),
        dst=str(without_scheme(read_path(dst, "destination (dst)"))),
        keys=parse_by(by),
        scheduler=joins,
        workers=_given(workers, read_count, "workers"),
        threads=_given(threads, read_count, "threads"),
        partitions=_given(partitions, read_count, "partitions"),
        part_bytes=_given(partition_size, parse_bytes, "partition_size"),
        memory=memory,
        memory_bytes=ask_memory(
            memory,
            machine_memory_bytes(),
            tuning.budget,
            "machine" if joins is None else None,
        ),
        temp_dir=_given(temp_dir, read_folder, "temp_dir"),
        codec=check_compression(compression),
        row_group_rows=_given(row_group_rows, read_count, "row_group_rows"),
        overwrite=_read_overwrite(overwrite),
        resume=read_flag(resume, "resume"),
        manifest=read_flag(manifest, "manifest"),
        tuning=tuning,
    )
    if asked.partitions is not None and asked.part_bytes is not None:
        msg = "partitions and partition_size are both given; give one of them."
        raise BadOptionError(msg)
    if asked.workers and asked.threads and asked.threads < asked.workers:
        msg = f"threads is {threads}, fewer than workers ({workers}); each process needs one."
        raise BadOptionError(msg)
    if asked.temp_dir and asked.scheduler is None and not Path(asked.temp_dir).is_dir():
        msg = f"temp_dir is {shown(os.fspath(temp_dir))}; expected an existing folder."
        raise BadOptionError(msg)
    if asked.temp_dir:
        _check_temp_dir(
            Path(os.path.realpath(asked.temp_dir)), str(temp_dir), asked.src, asked.dst
        )
    return asked


def _check_temp_dir(folder: Path, named: str, src: str, dst: str) -> None:
    """Raise if what is there for a while would be replaced, or read.

    Raises
    ------
    BadOptionError
        If it is the destination or the source folder, or lies in one.
    """
    for place, what, why in (
        (dst, "destination", "be in the way of what is published there"),
        (src, "source folder", "be taken for the source"),
    ):
        if is_store(place):
            continue
        path = Path(os.path.realpath(place))
        if path.is_file() or not folder.is_relative_to(path):
            continue
        how = "is" if folder == path else "lies in"
        msg = (
            f"temp_dir (--temp-dir) is {named!r}, which {how} the {what} {place}: what is kept "
            f"there meanwhile would {why}. Choose a folder outside of it."
        )
        raise BadOptionError(msg)


def _read_overwrite(value: Any) -> Overwrite:
    if isinstance(value, str) and value == "force":
        return "force"
    if not isinstance(value, bool | np.bool):
        msg = f'overwrite is {shown(value)}; expected True, False or "force".'
        raise BadOptionError(msg)
    return bool(value)


def _given(value: Any, read: Callable[[Any, str], T], name: str) -> T | None:
    return None if value is None else read(value, name)


def _is_meant_here(scheduler: str) -> bool:
    """Return whether a name is one of Dask's for this process, or ours with a slip in it."""
    is_dasks = scheduler.lower() in named_schedulers
    return ":" not in scheduler and (is_dasks or bool(closest(scheduler, [EMBEDDED])))


def _cluster_to_join(scheduler: Any, workers: Any, threads: Any) -> Joinable | None:
    """Return the cluster that is given; or current, unless processes or threads are wanted."""
    is_current = scheduler is None
    if is_current:
        scheduler = current_client() if workers is None and threads is None else None
        if scheduler is None:
            return None
    elif (
        isinstance(scheduler, str) and scheduler != EMBEDDED and (fault := fault_of(scheduler))
    ):
        hint = f" Did you mean {EMBEDDED!r}?" if _is_meant_here(scheduler) else ""
        msg = (
            f"scheduler is {shown(scheduler)}, {fault}; expected an address such as "
            f"tcp://host:8786, or {EMBEDDED!r}.{hint}"
        )
        raise BadOptionError(msg)
    elif not is_joinable(scheduler):
        msg = (
            f"scheduler is {shown(scheduler)}; expected an address such as tcp://host:8786, a "
            f"Dask client or cluster, or {EMBEDDED!r}."
        )
        raise BadOptionError(msg)
    elif isinstance(scheduler, str) and scheduler == EMBEDDED:
        if workers is not None:
            msg = (
                f"scheduler is {EMBEDDED!r}, a cluster in this process, and workers is given, "
                "for processes; give one of them."
            )
            raise BadOptionError(msg)
        return None
    elif workers is not None or threads is not None:
        msg = "scheduler is given with workers or threads; a running cluster has its own."
        raise BadOptionError(msg)
    try:
        check_usable(scheduler, is_current=is_current)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    return scheduler
