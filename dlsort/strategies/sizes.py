"""Sizes: processes, threads and partitions of a job, as asked for or by what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from multiprocessing import current_process
from typing import NamedTuple

from dlsort.errors import BadOptionError
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.paths import shown_places
from dlsort.io.source import cut_groups
from dlsort.io.storage import is_store
from dlsort.keys import SortKey
from dlsort.model.model_file import LEARNED
from dlsort.model.sample_plan import expected_draws
from dlsort.planner.cost import Resources
from dlsort.planner.decide import Decision, decide
from dlsort.planner.history import History
from dlsort.planner.known import Known, learn
from dlsort.planner.profile import machine_key
from dlsort.planner.record import run_of
from dlsort.planner.work import Facts, Shape, facts_of, job_name
from dlsort.planner.write_costs import costs_of
from dlsort.report import SortReport
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import (
    Budget,
    MemoryOf,
    ask_memory,
    check_row_groups,
    count_parts,
    plan_budget,
)
from dlsort.strategies.file_sizes import parts_for_files
from dlsort.strategies.first_rows import first_rows_fit
from dlsort.strategies.strategy import Job, usual_balance
from dlsort.strategies.where import told_where
from dlsort_cluster.machine import ClusterSize, machine_cores, machine_memory_bytes

__all__ = ["Sizes", "default_of", "job_of", "plan_sizes", "remember"]

# Fewer threads than that share one lock without waiting for one another.
FEWEST_THREADS_OF_PROCESSES = 4
# An input or output partition may be so many times smaller than the memory allows, so that
# all threads have as much to do.
CUTS = (1, 2, 4)
# Row groups beyond which pieces are counted by their size: to cut a million takes a second.
MOST_CUT = 10_000


class Sizes(NamedTuple):
    """A job's sizes, and why they are that.

    Attributes
    ----------
    budget : Budget
        Its memory, shared out.
    decision : Decision
        The sizes that were compared; the chosen one is the job's.
    memory_bytes : int
        Its memory.
    job : (str, str) or None
        Machine and job, as the history knows them; None: it is too small for that.
    arrow_factor : float
        What rows take in memory over what footers tell, as far as is known.
    """

    budget: Budget
    decision: Decision
    memory_bytes: int
    job: tuple[str, str] | None = None
    arrow_factor: float = 1.0


def plan_sizes(
    source: ParquetSource,
    asked: Asked,
    keys: tuple[SortKey, ...],
    size: ClusterSize | None = None,
    arrow_factor: float | None = None,
    *,
    is_here: bool = False,
) -> Sizes:
    """Choose a job's sizes: what was asked for, and else what costs least.

    Parameters
    ----------
    source : ParquetSource
        The dataset's footers.
    asked : Asked
        What is pinned.
    keys : tuple of SortKey
        The key.
    size : ClusterSize, optional
        The place's, if there is one already.
    arrow_factor : float, optional
        What rows take in memory over what footers tell; by default what the job's last run
        has shown.
    is_here : bool
        No processes are to be started.

    Raises
    ------
    BadOptionError
        If the memory is too small for any.
    """
    how = asked, keys, size, is_here
    sizes = _plan(source if arrow_factor is None else source.scaled(arrow_factor), *how)
    seen, far = sizes.decision.known.arrow_factor, asked.tuning.planner.far_off
    if arrow_factor is None and not 1 / far < seen < far:
        with suppress(BadOptionError):  # no memory for that: what footers tell is tried
            return _plan(source.scaled(seen), *how)
    return sizes


def _plan(
    source: ParquetSource,
    asked: Asked,
    keys: tuple[SortKey, ...],
    size: ClusterSize | None,
    is_here: bool,  # noqa: FBT001 - handed on
) -> Sizes:
    memory_bytes = _memory_of(asked, size)
    places = [(size.n_processes, size.n_threads)] if size else list(_places(asked, source))
    if is_here:
        places = [place for place in places if not place[0]]
    shapes: list[Shape] = []
    budgets: dict[tuple[int, int], Budget] = {}
    refused: list[BadOptionError] = []

    @cache
    def n_pieces(piece_bytes: int) -> int:
        groups, most = source.row_groups, asked.tuning.budget.input_bytes
        if len(groups) > MOST_CUT and piece_bytes < most:
            return max(n_pieces(most), -(-source.arrow_bytes // piece_bytes))
        return sum(1 for _ in cut_groups(source, groups, piece_bytes)) if groups else 1

    for n_processes, n_threads in places:
        try:
            budget = _budget(source, asked, memory_bytes, max(1, n_processes), n_threads)
        except BadOptionError as error:
            refused.append(error)
            continue
        budgets[n_processes, n_threads] = budget
        shapes += _shapes(source, asked, keys, budget, n_processes, n_threads, n_pieces)
    if not shapes:
        raise refused[0]
    tuning = asked.tuning.budget

    def resources(shape: Shape) -> Resources:
        cores = size.n_threads if size and asked.scheduler is not None else machine_cores()
        copies = tuning.working_copies, tuning.reading_copies
        store_bytes = budgets[shape.n_processes, shape.n_threads].store_bytes
        return Resources(cores, tuning.base_bytes, store_bytes, *copies)

    planner = asked.tuning.planner
    facts, job = _facts(source, asked, keys, {}), None
    decision = decide(facts, shapes, resources, Known(tuning=planner))
    if planner.learns and decision.chosen.predicted.seconds >= planner.least_learned_s:
        machine = machine_key()
        if asked.scheduler is not None and size is not None:
            machine = f"{size.n_processes} processes, {size.n_threads} threads with {machine}"
        job = machine, job_name(source, shown_places(asked.src), keys, _rows(asked, keys))
        known = learn(*job, planner)
        facts = _facts(source, asked, keys, known.shares)
        decision = decide(facts, shapes, resources, known)
    chosen = decision.chosen.shape
    budget = budgets[chosen.n_processes, chosen.n_threads]
    return Sizes(budget, decision, memory_bytes, job, source.arrow_factor)


def remember(report: SortReport, sizes: Sizes) -> None:
    """Have the history keep what a job took, if it is worth that and went as planned."""
    predicted = report.predicted
    is_as_planned = report.moved == (predicted["strategy"] in ("move", "range"))
    is_as_planned &= predicted["is_known"] == (report.model != LEARNED)
    if sizes.job is not None and is_as_planned and not report.resumed_parts:
        History.open().append(run_of(report, *sizes.job))


def _facts(
    source: ParquetSource, asked: Asked, keys: tuple[SortKey, ...], shares: Mapping[str, float]
) -> Facts:
    """Return the facts of a source, and of the rows that are wanted.

    How many keys there are is not known before, but by the job's last run.
    """
    facts, fewer = facts_of(source, keys), asked.fewer(keys)
    if fewer is None:
        return facts
    n_rows = max(1.0, facts.rows * facts.kept)
    sent = shares.get("sent", 1.0) if fewer.n_unique else 1.0
    written = shares.get("written", sent)
    if fewer.is_cut:
        wanted = max(0, fewer.stop(round(n_rows)) - fewer.offset)
        written = min(written, wanted / n_rows)
    return facts._replace(sent=sent, written=written, grouped=float(fewer.n_unique > 0))


def _rows(asked: Asked, keys: tuple[SortKey, ...]) -> list[str]:
    """Return what says which rows are wanted; nothing: all of them."""
    fewer = asked.fewer(keys)
    where = [] if asked.where is None else [told_where(asked.where)]
    told = [] if fewer is None else [fewer.keep, fewer.n_unique, fewer.offset, fewer.limit]
    return [*where, *map(str, told)]


def job_of(
    source: ParquetSource,
    asked: Asked,
    keys: tuple[SortKey, ...],
    sizes: Sizes,
    temp_dir: str | None,
    *,
    is_here: bool,
) -> Job:
    """Return the job of some sizes, its source as footers tell it (:meth:`Job.scaled`)."""
    budget, shape = sizes.budget, sizes.decision.chosen.shape
    n_processes = max(1, shape.n_processes)
    tuning, facts = asked.tuning, sizes.decision.known.facts
    if facts:  # what is dear to write here
        costs = costs_of(facts, tuning.io.costs)
        tuning = replace(tuning, io=replace(tuning.io, costs=costs))
    most_bytes = check_row_groups(source, sizes.memory_bytes, n_processes, asked.tuning.budget)
    job = Job(
        source=replace(source, most_bytes=most_bytes),
        keys=keys,
        n_parts=shape.n_parts,
        piece_bytes=shape.piece_bytes,
        part_bytes=budget.part_bytes,
        working_bytes=budget.working_bytes,
        store_bytes=budget.store_bytes,
        temp_dir=temp_dir,
        n_threads=shape.n_threads,
        in_this_process=is_here,
        tuning=tuning,
        decision=sizes.decision,
        strategy=asked.strategy,
        fewer=asked.fewer(keys),
        is_merge=asked.merge,
        arrow_factor=sizes.arrow_factor,
    )
    return _with_parts_of_fewer(job, asked)


def _with_parts_of_fewer(job: Job, asked: Asked) -> Job:
    """Return a job with fewer parts, if few rows are wanted.

    Raises
    ------
    BadOptionError
        If the memory is too small to find them.
    """
    fewer, n_rows = job.fewer, max(1, job.source.n_rows)
    if fewer is None or not fewer.is_cut:
        return job
    if first_rows_fit(job):
        n_wanted = fewer.stop(n_rows) - fewer.offset
        n_parts = max(1, -(-job.n_parts * n_wanted // n_rows))
        return job if asked.partitions else replace(job, n_parts=n_parts)
    if fewer.n_unique:
        msg = (
            f"the keys of the first {fewer.stop(n_rows):,} rows do not fit the memory of the "
            "job: with unique, limit and offset are found among them. Give it more memory "
            "(--memory), or sort with unique first, and the result with limit and offset."
        )
        raise BadOptionError(msg)
    return job


def default_of(asked: Asked) -> MemoryOf | None:
    """Return of what the memory is a share, if nobody gave it."""
    if asked.memory is not None:
        return None
    return "machine" if asked.scheduler is None else "workers"


def _memory_of(asked: Asked, size: ClusterSize | None) -> int:
    if asked.scheduler is None or size is None:
        return asked.memory_bytes
    most = size.memory_bytes or machine_memory_bytes()
    whose: MemoryOf | None = "workers" if size.is_limited else None
    return ask_memory(asked.memory, most, asked.tuning.budget, whose)


def _places(asked: Asked, source: ParquetSource) -> Iterator[tuple[int, int]]:
    """Yield processes (0: this one) and threads that a job without a cluster could have."""
    if asked.threads:
        yield 0, asked.threads
        return
    n_threads = cores = machine_cores()
    while n_threads:
        yield 0, n_threads
        n_threads //= 2
    if not _suits_processes(asked, source):
        return
    n_processes = 2
    while cores >= FEWEST_THREADS_OF_PROCESSES and n_processes <= cores // 2:
        yield n_processes, cores
        n_processes *= 2


def _suits_processes(asked: Asked, source: ParquetSource) -> bool:
    """Return whether processes that nobody asked for are sure to do what this one would.

    They may not have what a store is reached with here, or a file decrypted; and a process that
    ends with its parent may start none.
    """
    is_store_used = any(map(is_store, (asked.dst, *source.files)))
    is_bound = current_process().daemon
    return not is_store_used and asked.decryption is None and not is_bound


def _budget(
    source: ParquetSource, asked: Asked, memory_bytes: int, n_processes: int, n_threads: int
) -> Budget:
    largest = max((group.arrow_bytes for group in source.row_groups), default=0)
    tuning = asked.tuning.budget
    budget = plan_budget(
        memory_bytes, n_processes, n_threads, tuning, largest, default_of(asked)
    )
    check_row_groups(source, memory_bytes, n_processes, tuning)
    return budget


def _shapes(
    source: ParquetSource,
    asked: Asked,
    keys: tuple[SortKey, ...],
    budget: Budget,
    n_processes: int,
    n_threads: int,
    n_pieces: Callable[[int], int],
) -> Iterator[Shape]:
    """Yield the plans of an exchange with so many processes and threads."""
    tuning = asked.tuning
    least = source.arrow_bytes // tuning.budget.usual_most_parts + 1
    most = min(budget.part_bytes, max(budget.piece_bytes, least))
    pieces = [most, *(size for size in (most // cut for cut in CUTS[1:]) if size >= least)]
    if source.arrow_bytes < most * n_threads:  # so that every thread has something to read
        pieces += [source.arrow_bytes // (n_threads * cut) + 1 for cut in CUTS[:2]]
    if asked.input_size:
        pieces = [min(asked.input_size, most)]
    for n_parts in _counts(source, asked, budget, n_threads):
        sampled = expected_draws(source, keys, n_parts, tuning)
        seen = set()
        for piece_bytes in pieces:
            n_inputs = n_pieces(piece_bytes)
            if n_inputs not in seen:
                seen.add(n_inputs)
                yield Shape(
                    "exchange",
                    n_parts,
                    n_inputs,
                    n_processes,
                    n_threads,
                    piece_bytes=piece_bytes,
                    balance=usual_balance(source.n_rows, n_parts, tuning.sample),
                    sampled_rows=sampled,
                    is_running=asked.scheduler is not None,
                )


def _counts(
    source: ParquetSource, asked: Asked, budget: Budget, n_threads: int
) -> Iterator[int]:
    """Yield numbers of output partitions, each once."""
    if asked.partitions:
        yield asked.partitions
        return
    if asked.target_file_size:
        yield parts_for_files(
            source, asked.target_file_size, asked.row_bytes, n_threads, budget.part_bytes
        )
        return
    tuning = asked.tuning.budget
    # Of what nobody asked for there are never too many; a part larger than its memory is sorted
    # in pieces.
    least_bytes = source.kept_bytes // tuning.usual_most_parts + 1
    usual_bytes = max(least_bytes, min(tuning.partition_bytes, budget.part_bytes))
    part_bytes = asked.partition_size or usual_bytes
    finer = [] if asked.partition_size else [part_bytes // cut for cut in CUTS[1:]]
    sizes = [part_bytes, *(size for size in finer if size >= least_bytes)]
    found = [count_parts(source, size, n_threads, tuning) for size in sizes]
    if source.kept_bytes <= min(part_bytes, budget.part_bytes):
        found.insert(0, 1)
    yield from dict.fromkeys(found)
