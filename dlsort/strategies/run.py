"""Run: where a job runs; a plan's tasks there, watched until they end; what they measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from dlsort.errors import ClusterError
from dlsort.events import Event, Ran, Used
from dlsort.io.source import Source
from dlsort.proof.outcome import Outcome
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.strategies.asked import Asked
from dlsort.strategies.timeline import timeline
from dlsort.terminal.listener import teller
from dlsort.terminal.progress import Progress
from dlsort.wording import of_own_cluster
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.in_process import Crew
from dlsort_cluster.machine import ClusterSize, machine_cores
from dlsort_cluster.pages import cheap_pages
from dlsort_cluster.runner import run
from dlsort_cluster.scratch import make_scratch

__all__ = ["Place", "place_for", "run_plan"]


class Place(NamedTuple):
    """Where a job runs: a client, or None for this process; its size; where it spills."""

    client: Any
    size: ClusterSize
    temp_dir: str | None


@contextmanager
def place_for(asked: Asked, source: Source) -> Iterator[Place]:
    """Give the place that a caller asks for, or that suits the source.

    Raises
    ------
    ClusterError
        If there is no cluster, or it has other versions than we.
    """
    is_here = asked.scheduler is None and not asked.workers
    with _in_words(asked), _here(asked, source) if is_here else _cluster(asked) as place:
        yield place


@contextmanager
def _in_words(asked: Asked) -> Iterator[None]:
    """Report as such what a cluster of our own fails with."""
    try:
        yield
    except ClusterError as error:
        if asked.scheduler is None:
            error.args = (of_own_cluster(str(error)),)
        raise


@contextmanager
def _here(asked: Asked, source: Source) -> Iterator[Place]:
    """Give this process as the place to sort in, and a folder for what does not fit."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(make_scratch(asked.temp_dir))
        except ExchangeError as error:
            raise ClusterError(str(error)) from error
        stack.enter_context(cheap_pages(source.arrow_bytes))
        n_threads = asked.threads or machine_cores()
        yield Place(None, ClusterSize(1, n_threads, 0, is_limited=False), folder)


@contextmanager
def _cluster(asked: Asked) -> Iterator[Place]:
    """Give a client of the cluster to sort on, its size, and where it is to spill.

    Raises
    ------
    ClusterError
        If there is none, or it has other versions than we.
    """
    from dlsort_cluster.clusters.check_versions import check_versions
    from dlsort_cluster.clusters.connect import connect
    from dlsort_cluster.clusters.sizes import size_of

    with ExitStack() as stack:
        try:
            client = stack.enter_context(
                connect(
                    scheduler=asked.scheduler,
                    workers=asked.workers,
                    threads=asked.threads,
                    memory_bytes=asked.memory_bytes,
                    temp_dir=asked.temp_dir,
                )
            )
            size = size_of(client)
            if asked.scheduler is not None:
                check_versions(client)
        except ExchangeError as error:
            raise ClusterError(str(error)) from error
        yield Place(client, size, asked.temp_dir)


def run_plan(
    client: Any,
    layer: Layer,
    n_rows: int,
    progress: Progress,
    threads: int | Crew,
    watch: Callable[[Sequence[InputStats], Sequence[OutputStats]], None] | None = None,
) -> tuple[Outcome, Ran]:
    """Run a plan's tasks, and report progress.

    Parameters
    ----------
    client : distributed.Client or None
        Where to run; None: in this process.
    layer : Layer
        The tasks.
    n_rows : int
        Rows of the source.
    progress : Progress
        Told as phases begin, go on and end.
    threads : int or Crew
        Of this process, if it is to run here.
    watch : callable, optional
        Given what inputs and outputs amount to as they end; what it raises ends the run.

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
    if callable(laid := getattr(progress, "laid", None)):
        laid(layer)
    progress.phase("sample", n_rows)
    done = {"partition": 0, "sort": 0}
    usage = _Usage(layer, teller(progress))

    def on_progress(inputs: Sequence[InputStats], outputs: Sequence[OutputStats]) -> None:
        progress.finish("sample")
        done["partition"] += sum(s.n_read for s in inputs)
        done["sort"] += sum(s.given.rows for s in outputs)
        progress.phase("partition", n_rows)
        progress.rows("partition", min(done["partition"], n_rows))
        if done["partition"] >= n_rows:
            progress.finish("partition")
        if done["partition"] >= n_rows or outputs:
            progress.phase("sort", n_rows)
            progress.rows("sort", min(done["sort"], n_rows))
        usage.note([*(s.clock for s in inputs), *(s.clock for s in outputs)])
        if watch is not None:
            watch(inputs, outputs)

    spilled = [0]
    began_at = time.time()
    try:
        inputs, outputs = run(
            client, layer, on_progress, on_spilled=spilled.append, threads=threads
        )
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    for name in ("sample", "partition", "sort"):
        progress.phase(name, n_rows)
        progress.finish(name)
    return Outcome(inputs, outputs), _measured(began_at, inputs, outputs, spilled[-1])


class _Usage:
    """Tells what is used, where it has grown by a twentieth since it was told last."""

    def __init__(self, layer: Layer, tell: Callable[[Event], None]) -> None:
        self._store, self._tell = layer.store, tell
        self._peaks: dict[str, int] = {}
        self._told = 0

    def note(self, clocks: Sequence[Clock]) -> None:
        for clock in clocks:
            peak = max(self._peaks.get(clock.process, 0), clock.peak_bytes)
            self._peaks[clock.process] = peak
        spilled = None if self._store is None else self._store.spilled_bytes
        used = sum(self._peaks.values()) + (spilled or 0)
        if used * 20 > self._told * 21:
            self._told = used
            self._tell(Used(dict(self._peaks), spilled))


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
        timeline=timeline(began_at, {"partition": read, "sort": written}),
    )
