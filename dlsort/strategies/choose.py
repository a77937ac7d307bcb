"""Choose: strategies are tried in turn, the cheapest first, until one's parts are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dlsort.arrow.hidden import shown_name, visible_schema
from dlsort.events import Event, Learned, Made, Planned, Resumed
from dlsort.io.parquet.column_options import ColumnOptions
from dlsort.io.parquet.encodings import choose_encodings
from dlsort.io.parquet.profiles import PROFILES
from dlsort.io.parquet.selected import SelectedSource
from dlsort.io.parquet.writer import MOST_ROW_GROUPS, Writer
from dlsort.io.storage import join
from dlsort.model.curve import curve_of
from dlsort.model.model_file import LEARNED, MODEL, how_made, read_model
from dlsort.model.reuse import file_mark
from dlsort.planner.decide import Decision
from dlsort.proof.outcome import Outcome, check_outcome
from dlsort.publish.finished import verify_finished
from dlsort.publish.staging import Staging
from dlsort.strategies.exchange import Exchanging
from dlsort.strategies.first_rows import FirstRows, first_rows_fit
from dlsort.strategies.move import Move
from dlsort.strategies.range_reads import RangeReading
from dlsort.strategies.reader import Reader
from dlsort.strategies.replan import OtherStrategy, Replanning, Watch
from dlsort.strategies.run import run_plan
from dlsort.strategies.sorted_files import check_across_pieces
from dlsort.strategies.strategy import Job, Plan, Strategy
from dlsort.terminal.progress import Progress
from dlsort.tuning import StrategyTuning
from dlsort_cluster.in_process import Crew

__all__ = ["STRATEGIES", "make_parts", "rank_plans"]

# What costs the same is tried in this order; the last one can do any source.
STRATEGIES: tuple[Strategy, ...] = (Move(), RangeReading(), Exchanging())


# What leaves rows of the source out, or cuts files: rows to come would have to be treated so.
_CHOOSING = ("unique", "where", "limit", "offset", "target_file_size")


def make_parts(
    client: Any,
    stage: Staging,
    job: Job,
    progress: Progress,
    note: Callable[[Event], None],
    may: Replanning | None = None,
) -> Outcome:
    """Make a job's parts and prove them.

    Parameters
    ----------
    client : distributed.Client or None
        Where to run; None: in this process.
    stage : Staging
        The job's folder; gets the folder of the parts.
    job : Job
        What to make.
    progress : Progress
        Told as the job goes.
    note : callable
        Told of what was measured.
    may : Replanning, optional
        What of the plan may be changed while it goes.

    Returns
    -------
    Outcome
        What each input and output partition amounted to.

    Raises
    ------
    ClusterError
        If the cluster could not go on.
    NotProvedError
        If rows were lost, or are out of order.
    OtherSizes
        If the job is to be begun anew.
    """
    # Where an earlier attempt has begun to exchange, it had seen that footers lie, or are of
    # no use: nothing else is tried.
    begun = [strategy for strategy in STRATEGIES if stage.has_strategy(strategy.name)]
    has_exchanged = not all(strategy.trusts_footers for strategy in begun)
    if begun and not has_exchanged:  # it is gone on with, whatever would cost less by now
        job = replace(job, strategy=begun[0].name)
    plans, decision = rank_plans(job, begun=has_exchanged)
    note(Planned(decision.to_dict()))
    crew = Crew(job.n_threads, may.most_threads if may else None)
    for strategy, plan in plans:
        writer = _writer(client, stage, job, strategy, note)
        has_other = plan is not plans[-1][1] and job.strategy == "auto"
        if may is not None and (stage.is_resumed or job.fewer is not None):
            may = replace(may, sizes=None)
        watch = Watch(job, plan, decision, may, crew, note, has_other=has_other)
        try:
            layer, n_rows = plan.layer(writer), job.source.n_rows
            outcome, ran = run_plan(client, layer, n_rows, progress, crew, watch)
        except OtherStrategy as other:
            decision = other.decision
            note(other.event)
            note(Planned(decision.to_dict()))
            stage.drop_strategy(strategy.name)
            continue
        note(ran)
        if strategy.cuts_by_model and job.n_parts > 1:
            curve = curve_of(join(writer.folder, MODEL), shown_name(job.keys[0].column))
            note(Learned(curve or {}))
        if job.is_merge:
            ends = (end for stats in outcome.inputs for end in stats.ends)
            check_across_pieces(job.source, ends, job.keys, job.tuning.order)
        if plan.holds(outcome):
            check_outcome(job.source.n_rows, job.keys, outcome, job.tuning.order)
            note(
                Made(
                    strategy.moves_rows,
                    plan.n_inputs,
                    outcome.checksum,
                    outcome.part_rows,
                    _surprises(outcome.part_rows, job.tuning.strategies),
                    outcome.file_bytes,
                    how_made(join(writer.folder, MODEL)) if strategy.cuts_by_model else LEARNED,
                    _arrow_factor(job, plan, outcome),
                    sum(read.proof.rows for read in outcome.inputs),
                )
            )
            return outcome
        stage.drop_strategy(strategy.name)
    msg = "no strategy has made the parts"
    raise AssertionError(msg)


def _arrow_factor(job: Job, plan: Plan, outcome: Outcome) -> float:
    """Return what rows took in memory, over what footers tell; as it was, if none was seen."""
    seen = [read for read in outcome.inputs if read.n_bytes and read.number >= 0]
    planned = sum(read.proof.rows * plan.row_bytes(read.number) for read in seen)
    measured = sum(read.n_bytes for read in seen)
    return job.source.arrow_factor * (measured / planned if planned else 1.0)


def _strategies(job: Job) -> tuple[Strategy, ...]:
    """Return the strategies that can make what is wanted."""
    if job.fewer is None:
        return STRATEGIES
    return (FirstRows() if first_rows_fit(job) else Exchanging(),)


def rank_plans(
    job: Job, *, begun: bool = False
) -> tuple[list[tuple[Strategy, Plan]], Decision]:
    """Return the plans to try, and what each would take: the cheapest, and an exchange.

    Parameters
    ----------
    job : Job
        What to make.
    begun : bool
        An earlier attempt has begun to exchange: footers are not trusted.
    """
    # Nor are they for one part, or for parts that have to be cut.
    trusted = not begun and job.n_parts > 1 and job.fits
    sized = job.decision.chosen.shape
    sized = replace(sized, n_parts=job.n_parts)  # as an earlier attempt had it
    found, shapes = [], []
    for strategy in _strategies(job):
        is_wanted = job.strategy in ("auto", strategy.name) or not strategy.trusts_footers
        is_tried = is_wanted and (trusted or not strategy.trusts_footers)
        plan = strategy.plan(job) if is_tried else None
        if plan is not None:
            shapes.append(plan.shape(sized))
            found.append((strategy, plan))
    is_pinned = job.strategy == shapes[0].strategy  # and the source is of the kind
    decision = job.decision.among(shapes[:1] if is_pinned else shapes)
    chosen, last = found[decision.index], found[-1]
    return [chosen] if chosen is last else [chosen, last], decision


def _surprises(part_rows: Sequence[int], tuning: StrategyTuning) -> list[int]:
    """Return the parts that have far more rows than the others: the sample was wrong."""
    mean = sum(part_rows) / max(len(part_rows), 1)
    most = tuning.surprise * max(mean, tuning.fewest_rows_of_surprise)
    return [part for part, rows in enumerate(part_rows) if rows > most]


def _writer(
    client: Any,
    stage: Staging,
    job: Job,
    strategy: Strategy,
    note: Callable[[Event], None],
) -> Writer:
    """Return what writes the parts of a strategy; those that it has already are verified."""
    folder = stage.begin(strategy.name)
    if stage.is_resumed and strategy.cuts_by_model and not _has_model(folder, job):
        stage.drop_strategy(strategy.name)
        stage.begin(strategy.name)
    source, how = job.source, stage.job
    schema = visible_schema(source.schema)
    writer = Writer(
        folder,
        schema,
        job.keys,
        choose_encodings(schema, source.layouts, job.tuning.io),
        how.compression,
        # One file's row groups are those of all parts.
        max(how.row_group_rows, -(-source.n_rows // MOST_ROW_GROUPS))
        if how.single_file
        else how.row_group_rows,
        job.part_bytes,
        job.tuning,
        how.name,
        times_in_utc=source.times_in_utc,
        told_types=source.told_types,
        has_elements=source.has_elements,
        marks=_marks(job),
        made_fields=source.made_fields if isinstance(source, SelectedSource) else (),
        profile=PROFILES[how.profile],
        partition_by=tuple(how.partition_by),
        target_bytes=how.target_file_size or 0,
        row_bytes=how.row_bytes,
        chosen=tuple(name for name in _CHOOSING if getattr(how, name)),
        column_options=ColumnOptions.of_told(how.column_options),
    )
    if stage.is_resumed:
        note(Resumed(verify_finished(client, writer, job.n_threads)))
    return writer


def _marks(job: Job) -> tuple[str, ...]:
    """Return what the source's files are recognised by, if all rows of few are in the parts."""
    is_many = len(job.source.files) > job.tuning.sample.most_marks
    if is_many or job.fewer is not None or job.source.is_filtered or job.source.origin:
        return ()  # files that are gone after the job are none to be recognised
    both = zip(job.source.files, job.source.stamps, strict=True)
    return tuple(file_mark(path, *stamp) for path, stamp in both)


def _has_model(folder: str, job: Job) -> bool:
    """Return whether an earlier attempt has kept the model that cut its parts."""
    keys = job.cut_keys
    schema = Reader.of(job.source, keys, job.tuning).key_schema()
    return read_model(join(folder, MODEL), schema, keys, job.tuning.order) is not None
