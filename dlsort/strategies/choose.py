"""Moving: jobs that need no exchange by what the footers say, which are tried first."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from dlsort.errors import OutOfOrderError
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Source
from dlsort.keys import SortKey
from dlsort.model.sample_plan import plan_sample
from dlsort.proof.outcome import check_keys_apart, check_outcome
from dlsort.proof.stats import OutputStats
from dlsort.report import SortReport
from dlsort.strategies.move import Moves, plan_moves
from dlsort.strategies.move_plan import MovePlan
from dlsort.strategies.range_plan import RangePlan
from dlsort.strategies.range_reads import RangeReads, plan_range_reads
from dlsort.strategies.reader import Reader
from dlsort.strategies.run import run_plan
from dlsort.terminal.progress import Progress

__all__ = ["move_rows"]

Keys = tuple[SortKey, ...]


def move_rows(
    client: Any,
    source: Source,
    keys: Keys,
    begin: Callable[[str], Writer],
    n_parts: int,
    n_threads: int,
    progress: Progress,
    report: SortReport,
) -> list[OutputStats] | None:
    """Make the parts without an exchange, if the footers say that it can be done.

    Parameters
    ----------
    client : distributed.Client
        Where to run.
    source : Source
        The dataset's footers.
    keys : tuple of SortKey
        The key.
    begin : callable
        ``begin(way)`` returns what writes the parts, "move" or "range".
    n_parts, n_threads : int
        Number of output partitions, at least 2, and of threads of the cluster.
    progress : Progress
        Told as the job goes.
    report : SortReport
        Gets times, counts and ``moved``.

    Returns
    -------
    list of OutputStats or None
        None if an exchange is needed, also where the footers said what is not so.
    """
    if (moves := plan_moves(source, keys, n_parts)) is not None:
        outputs = _move(client, source, keys, begin("move"), moves, progress, report)
    elif (reads := plan_range_reads(source, keys, n_parts)) is not None:
        outputs = _read(
            client, source, keys, begin("range"), n_parts, n_threads, reads, progress, report
        )
    else:
        return None
    report.moved = outputs is not None
    return outputs


def _move(
    client: Any,
    source: Source,
    keys: Keys,
    writer: Writer,
    moves: Moves,
    progress: Progress,
    report: SortReport,
) -> list[OutputStats] | None:
    """Make the parts of whole slices; None if they touch or are out of order."""
    plan = MovePlan(uuid.uuid4().hex, Reader.of(source, keys), writer, moves)
    report.input_parts = plan.n_inputs
    inputs, outputs = run_plan(client, plan, source.n_rows, progress, report)
    try:
        check_outcome(source.n_rows, keys, inputs, outputs, report)
        if not moves.is_sorted:
            check_keys_apart(outputs)
    except OutOfOrderError:
        return None
    return outputs


def _read(
    client: Any,
    source: Source,
    keys: Keys,
    writer: Writer,
    n_parts: int,
    n_threads: int,
    reads: RangeReads,
    progress: Progress,
    report: SortReport,
) -> list[OutputStats] | None:
    """Make the parts of the rows in their ranges; None if some row was in no part's."""
    samples = plan_sample(source, reads.pieces, keys, n_parts)
    reader = Reader.of(source, keys)
    plan = RangePlan(uuid.uuid4().hex, reader, writer, reads, samples, n_parts, n_threads)
    report.input_parts = len(reads.pieces)
    inputs, outputs = run_plan(client, plan, source.n_rows, progress, report)
    # Rows are kept by the model, so a range that is not so leaves rows out, and no more.
    if sum(s.proof.rows for s in outputs) < source.n_rows:
        return None
    check_outcome(source.n_rows, keys, inputs, outputs, report)
    return outputs
