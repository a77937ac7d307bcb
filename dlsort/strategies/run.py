"""Job: a plan's tasks run and watched, and what they gave compared.

The proof is closed here: rows and checksum at source and sink, and the order
across parts. Order inside a part was checked where it was sorted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from dlsort.errors import ClusterError
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.report import SortReport
from dlsort.terminal.progress import Progress
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import ExchangeError, Layer

__all__ = ["Plan", "run_plan"]


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
