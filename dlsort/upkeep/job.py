"""The job of an append, or a compaction: what it is, whether it was done, and where it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from dlsort.errors import DestinationError, DlsortError
from dlsort.io.schema.wanted import told_of
from dlsort.keys import format_by
from dlsort.publish.destination import check_destination
from dlsort.publish.job_file import JobFile, Wanted
from dlsort.publish.recover import recover
from dlsort.publish.replaceable import Held
from dlsort.publish.staging import Staging, staging
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import plan_budget
from dlsort.strategies.run import Place
from dlsort.strategies.sizes import default_of
from dlsort.terminal.progress import Progress
from dlsort.upkeep.report import UpkeepReport
from dlsort.upkeep.sorted_dataset import SortedDataset, open_sorted

__all__ = ["finished_before", "open_destination", "staged", "wanted_of"]


def finished_before(
    asked: Asked, door: str, files_of: Callable[[], list[list[Any]]], began: float
) -> UpkeepReport | None:
    """Complete what an earlier attempt was publishing; return its report if it is ours.

    Parameters
    ----------
    asked : Asked
        What is wanted.
    door : str
        By which door.
    files_of : callable
        Returns the files of what is appended, with size and time.
    began : float
        When the call did.
    """
    settled = recover(asked.dst, resume=asked.resume, n_at_once=asked.tuning.io.store_requests)
    if settled is None or not asked.resume or settled.job.door != door:
        return None
    with suppress(DlsortError):  # what is wrong with this one is reported later
        if settled.job.files == files_of():
            return UpkeepReport.of_finished(settled.report, time.perf_counter() - began)
    return None


def open_destination(asked: Asked) -> tuple[str, Held, SortedDataset]:
    """Return where the dataset is, what is there, and the dataset.

    Raises
    ------
    DestinationError
        If there is none, none of dlsort's, or one that can't be replaced.
    """
    destination, held = check_destination(asked.dst, asked.tuning.io, overwrite=True)
    if not held:
        msg = (
            f"{asked.dst} holds no dataset yet; expected one that dlsort has sorted. Make it "
            "by dlsort sort, which takes the key."
        )
        raise DestinationError(msg)
    dataset = open_sorted(destination, asked.dst, asked.tuning)
    asked.column_options.check(dataset.source.schema, asked.profile)
    return destination, held, dataset


def wanted_of(
    asked: Asked, dataset: SortedDataset, door: str, files: list[list[Any]]
) -> Wanted:
    """Return what the caller wants, as the job's file has it."""
    return Wanted(
        by=format_by(dataset.keys),
        files=files,
        compression=asked.compression or dataset.compression,
        row_group_rows=asked.row_group_rows or dataset.group_rows,
        partition_size=asked.partition_size,
        schema=told_of(asked.schema),
        manifest=True,
        hive_types=",".join(f"{name}:{kind}" for name, kind in asked.hive_types.items()),
        input_format=asked.input_format or "",
        csv_options=asked.csv_options.told(),
        column_options=asked.column_options.told(),
        door=door,
        parts=Wanted.files_of(dataset.source),
    )


@contextmanager
def staged(
    asked: Asked,
    wanted: Wanted,
    dataset: SortedDataset,
    place: Place,
    where: tuple[str, Held],
    progress: Progress,
) -> Iterator[Staging]:
    """Give the job's folder; what is proved in it is published, as of a sort."""
    tuning, (destination, held) = asked.tuning, where
    n_processes = max(1, place.size.n_processes)
    largest = max((group.arrow_bytes for group in dataset.source.row_groups), default=0)
    budget = plan_budget(
        asked.memory_bytes,
        n_processes,
        max(place.size.n_threads, n_processes),
        tuning.budget,
        largest,
        default_of(asked),
    )
    file = JobFile(
        **vars(wanted),
        n_parts=len(dataset.manifests),
        piece_bytes=budget.piece_bytes,
        part_bytes=budget.part_bytes,
    )
    with staging(
        destination,
        file,
        held=held,
        resume=asked.resume,
        partitions=None,
        n_at_once=tuning.io.store_requests,
        on_decided=partial(progress.finish, "publish"),
    ) as stage:
        yield stage
