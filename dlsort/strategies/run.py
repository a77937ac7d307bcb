"""Run: a plan's tasks on the cluster, watched until they end, and what they measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from dlsort.errors import ClusterError
from dlsort.proof.outcome import Outcome
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.report import Ran
from dlsort.terminal.progress import Progress
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.runner import run

__all__ = ["run_plan"]


def run_plan(client: Any, layer: Layer, n_rows: int, progress: Progress) -> tuple[Outcome, Ran]:
    """Run a plan's tasks, and report progress.

    Parameters
    ----------
    client : distributed.Client or None
        Where to run; None: in this thread.
    layer : Layer
        The tasks.
    n_rows : int
        Rows of the source.
    progress : Progress
        Told as phases begin, go on and end.

    Returns
    -------
    outcome : Outcome
        What each input and output partition amounted to.
    ran : Ran
        Seconds a phase, peak memory and spill.

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

    spilled = [0]
    began_at = time.time()
    try:
        inputs, outputs = run(client, layer, on_progress, on_spilled=spilled.append)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    for name in ("sample", "partition", "sort"):
        progress.phase(name, n_rows)
        progress.finish(name)
    return Outcome(inputs, outputs), _measured(began_at, inputs, outputs, spilled[-1])


def _measured(
    began_at: float,
    inputs: Sequence[InputStats],
    outputs: Sequence[OutputStats],
    spilled_bytes: int,
) -> Ran:
    # Of parts that were kept there is no time.
    read, written = ([s.clock for s in stats if s.clock.ended] for stats in (inputs, outputs))
    split_at = min((clock.began for clock in read), default=began_at)
    sort_at = max((clock.ended for clock in read), default=split_at)
    ended_at = max((clock.ended for clock in written), default=sort_at)
    work: dict[str, float] = {}
    peaks: dict[str, int] = {}
    for clock in read + written:
        for step, seconds in clock.work.items():
            work[step] = work.get(step, 0.0) + seconds
        peaks[clock.process] = max(peaks.get(clock.process, 0), clock.peak_bytes)
    return Ran(
        sample_s=split_at - began_at,
        partition_s=sort_at - split_at,
        sort_s=ended_at - sort_at,
        work=work,
        peak_memory_bytes=sum(peaks.values()),
        spilled_bytes=spilled_bytes,
    )
