"""The door to compact: parts that many appends have left small, or large, are made even."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from dlsort.strategies.asked import Asked, read_arguments
from dlsort.strategies.run import place_for
from dlsort.terminal.progress import Progress, progress_for
from dlsort.tuning import TUNING, Tuning
from dlsort.upkeep.job import finished_before, open_destination, staged, wanted_of
from dlsort.upkeep.make import Upkeep, make_and_prove
from dlsort.upkeep.patches import patches_of_compact
from dlsort.upkeep.report import UpkeepReport

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["compact_dataset"]


def compact_dataset(
    dst: str | PathLike[str],
    *,
    partition_size: int | str | None = None,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    compression: str | None = None,
    row_group_rows: int | None = None,
    column_options: str | PathLike[str] | Mapping[str, Mapping[str, Any]] | None = None,
    resume: bool = False,
    progress: Progress | bool | None = None,
    _tuning: Tuning = TUNING,
) -> UpkeepReport:
    """Make the parts of a dataset even that dlsort has sorted, and appended to.

    Runs of parts of less than half the usual rows are put together, and parts of more than
    twice as many are cut. The others are the same files still (in a store, copies that it makes
    itself). Rows and order stay; the new dataset takes the place of the old at once, proved.

    Parameters
    ----------
    dst : str or path-like
        A dataset that dlsort has sorted, with its manifests.
    partition_size : int or str, optional
        Size of a part in memory, in bytes or as in ``"128MiB"``; by default as before.
    scheduler : str, Client or Cluster, optional
        A Dask cluster to run on, as of :func:`dlsort.sort_dataset`.
    workers : int, optional
        Worker processes to start on this machine.
    threads : int, optional
        Threads in all.
    memory : int or str, optional
        Memory for the whole job.
    temp_dir : str or path-like, optional
        As of :func:`dlsort.sort_dataset`.
    compression : str, optional
        Of the parts that are written; by default as the others.
    row_group_rows : int, optional
        Rows of their row groups; by default as the others.
    column_options : str, path-like or mapping, optional
        How single columns of theirs are written, as of :func:`dlsort.sort_dataset`.
    resume : bool
        Resume from what an earlier attempt at the same has kept that was killed.
    progress : bool, Progress or callable, optional
        True: a live display on standard error. An object's methods are called as the job goes.

    Returns
    -------
    UpkeepReport
        Parts that stayed and that were written, seconds, checksum.

    Raises
    ------
    DlsortError
        One of :mod:`dlsort.errors`: the dataset is none of dlsort's, or not whole; or as of a
        sort.

    Notes
    -----
    Expected time O(parts that are written), and a link, or a copy inside of the store, for each
    of the others. Nothing is published where nothing has to be done.

    Examples
    --------
    >>> import tempfile, dlsort, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> src, dst = folder.name + "/in.parquet", folder.name + "/sorted"
    >>> pq.write_table(pa.table({"x": range(100)}), src)
    >>> _ = dlsort.sort_dataset(src, dst, by="x", partitions=10)
    >>> report = dlsort.compact_dataset(dst, partition_size="1MiB")
    >>> report.remade_parts, report.written_parts, pq.read_table(dst).num_rows
    (10, 1, 100)
    >>> folder.cleanup()
    """
    given = locals()  # the parameters
    began = time.perf_counter()
    asked = read_arguments(given, _tuning, "compact_dataset")
    with progress_for(progress) as display:
        return _compact(asked, display, began)


def _compact(asked: Asked, progress: Progress, began: float) -> UpkeepReport:
    if (finished := finished_before(asked, "compact", list, began)) is not None:
        return finished
    destination, held, dataset = open_destination(asked)
    dataset.source.check_columns(dataset.source.schema.names, copied=True)
    usual = dataset.usual_rows(asked.partition_size)
    patches = tuple(patches_of_compact(dataset.rows, usual))
    if not patches:
        report = dataset.report("compact", asked.dst)
        return replace(report, seconds=time.perf_counter() - began)
    wanted = wanted_of(asked, dataset, "compact", [])
    with (
        place_for(asked, dataset.source) as place,
        staged(asked, wanted, dataset, place, (destination, held), progress) as stage,
    ):
        upkeep = Upkeep(asked, dataset, dataset.source.schema, usual, patches)
        report = make_and_prove(upkeep, stage, place, destination, progress)
    return replace(report, seconds=time.perf_counter() - began)
