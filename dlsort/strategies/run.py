"""Job: a plan's tasks run and watched, and what they gave compared.

The proof is closed here: rows and checksum at source and sink, and the order
across parts. Order inside a part was checked where it was sorted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from dlsort.arrow.views import concat_rows
from dlsort.errors import ClusterError, DestinationError, OutOfOrderError, RowsLostError
from dlsort.io.parquet.writer import part_name
from dlsort.io.storage import join, names_in, size_of
from dlsort.keys import SortKey
from dlsort.proof.checksum import total
from dlsort.proof.disorder import first_disorder
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.publish.finished import PARTS
from dlsort.report import SortReport
from dlsort.terminal.progress import Progress
from dlsort.tuning import TUNING
from dlsort_cluster.clusters import run
from dlsort_cluster.exchange import ExchangeError, Layer

__all__ = ["Plan", "check_keys_apart", "check_outcome", "check_visible", "run_plan"]


class Plan(Protocol):
    """The tasks of a job."""

    def layer(self) -> Layer:
        """Return them."""


def run_plan(
    client: Any, plan: Plan, n_rows: int, progress: Progress, report: SortReport
) -> tuple[list[InputStats], list[OutputStats]]:
    """Run a plan's tasks, tell progress, and note times and memory in the report.

    Parameters
    ----------
    client : distributed.Client
        Where to run.
    plan : Plan
        The tasks.
    n_rows : int
        Rows of the source.
    progress : Progress
        Told as phases begin, go on and end.
    report : SortReport
        Gets seconds a phase, peak memory and spill.

    Returns
    -------
    inputs, outputs : list
        What each input and output partition amounted to.

    Raises
    ------
    ClusterError
        If the cluster could not go on: no space for shards, workers lost, job
        cancelled.
    """
    progress.phase("sample", n_rows)
    done = {"partition": 0, "sort": 0}

    def on_progress(inputs: Sequence[InputStats], outputs: Sequence[OutputStats]) -> None:
        progress.finish("sample")
        for name, stats in (("partition", inputs), ("sort", outputs)):
            done[name] += sum(s.proof.rows for s in stats)
        progress.phase("partition", n_rows)
        progress.rows("partition", min(done["partition"], n_rows))
        if done["partition"] >= n_rows:
            progress.finish("partition")
        if done["partition"] >= n_rows or outputs:
            progress.phase("sort", n_rows)
            progress.rows("sort", min(done["sort"], n_rows))

    def on_spilled(n_bytes: int) -> None:
        report.spilled_bytes = n_bytes

    began_at = time.time()
    try:
        inputs, outputs = run(client, plan.layer(), on_progress, on_spilled=on_spilled)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    for name in ("sample", "partition", "sort"):
        progress.phase(name, n_rows)
        progress.finish(name)
    _note_phases(began_at, inputs, outputs, report)
    return inputs, outputs


def _note_phases(
    began_at: float,
    inputs: Sequence[InputStats],
    outputs: Sequence[OutputStats],
    report: SortReport,
) -> None:
    # Of parts that were kept there is no time.
    read, written = ([s.clock for s in stats if s.clock.ended] for stats in (inputs, outputs))
    clocks = read + written
    split_at = min((clock.began for clock in read), default=began_at)
    sort_at = max((clock.ended for clock in read), default=split_at)
    phases = report.phases
    phases.sample_s = split_at - began_at
    phases.partition_s = sort_at - split_at
    phases.sort_s = max((clock.ended for clock in written), default=sort_at) - sort_at
    for clock in clocks:
        for step, seconds in clock.work.items():
            phases.work[step] = phases.work.get(step, 0.0) + seconds
    peaks: dict[str, int] = {}
    for clock in clocks:
        peaks[clock.process] = max(peaks.get(clock.process, 0), clock.peak_bytes)
    report.peak_memory_bytes = sum(peaks.values())


def check_outcome(
    n_rows: int,
    keys: tuple[SortKey, ...],
    inputs: Sequence[InputStats],
    outputs: Sequence[OutputStats],
    report: SortReport,
) -> None:
    """Compare source and sink, and the order across parts.

    Raises
    ------
    RowsLostError
        If row counts or checksums differ.
    OutOfOrderError
        If a part begins before the one above it ends.
    """
    read, written = total(s.proof for s in inputs), total(s.proof for s in outputs)
    if not n_rows == read.rows == written.rows:
        msg = (
            f"{n_rows:,} rows in the source, {read.rows:,} read, {written.rows:,} "
            "written. Nothing was published. This is a bug: please report it."
        )
        raise RowsLostError(msg)
    if read != written:
        msg = (
            f"the rows' checksum was {read.checksum} when read and {written.checksum} when "
            "written. Nothing was published. This is a bug, or bad memory: please report it."
        )
        raise RowsLostError(msg)
    edges = [s.edges for s in sorted(outputs, key=lambda s: s.part) if s.edges.num_rows]
    bad = first_disorder(concat_rows(edges), keys) if edges else -1
    if bad >= 0:
        msg = (
            f"part {bad // 2 + 1} of those with rows begins before the one above it ends. "
            "Nothing was published. This is a bug: please report it."
        )
        raise OutOfOrderError(msg)
    report.checksum = written.checksum
    report.part_rows = [s.proof.rows for s in sorted(outputs, key=lambda s: s.part)]
    report.predicted_rows = n_rows / max(len(outputs), 1)
    most = TUNING.surprise * max(report.predicted_rows, TUNING.fewest_rows_of_surprise)
    report.surprises = [part for part, rows in enumerate(report.part_rows) if rows > most]
    report.output_bytes = sum(s.file_bytes for s in outputs)
    mean = written.rows / max(len(outputs), 1)
    report.balance = max(report.part_rows, default=0) / mean if mean else 1.0


def check_keys_apart(outputs: Sequence[OutputStats]) -> None:
    """Make sure that no key is in two parts, for parts that were put in order.

    Raises
    ------
    OutOfOrderError
        If one is: its rows may not be in the order of the source.
    """
    edges = [s.edges for s in sorted(outputs, key=lambda s: s.part) if s.edges.num_rows]
    for above, below in pairwise(edges):
        if above.slice(above.num_rows - 1).equals(below.slice(0, 1)):
            msg = "a key is in two parts that were moved."
            raise OutOfOrderError(msg)


def check_visible(folder: str, outputs: Sequence[OutputStats], n_parts: int) -> dict[str, int]:
    """Make sure that the folder of whole parts holds the workers' parts, and nothing else.

    Returns
    -------
    dict of str to int
        The parts' names and sizes.

    Raises
    ------
    RowsLostError
        If a part is missing or has another size.
    DestinationError
        If there is a file that no worker wrote.
    """
    names = [part_name(stats.part, n_parts) for stats in outputs]
    strays = {
        name
        for name in set(names_in(folder)) - set(names)
        # stores list a folder in itself; NFS names so what was removed while it was open
        if name != PARTS and not name.startswith(".nfs")
    }
    if strays:
        msg = (
            f"{join(folder, min(strays))} is none of this sort's parts. Nothing was published; "
            "see what it is, remove it, and sort again."
        )
        raise DestinationError(msg)
    for name, stats in zip(names, outputs, strict=True):
        try:
            n_bytes = size_of(join(folder, name))
        except OSError:
            n_bytes = -1
        if n_bytes != stats.file_bytes:
            msg = (
                f"{name} was written by a worker but is not in {folder} here. "
                "Nothing was published; source and destination must be on storage that the "
                "client and all workers share under the same paths."
            )
            raise RowsLostError(msg)
    return {name: stats.file_bytes for name, stats in zip(names, outputs, strict=True)}
