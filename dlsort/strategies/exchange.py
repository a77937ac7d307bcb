"""Exchange: every row is read once, classified by the model, and sent to its part.

:func:`split_piece` is what every input partition goes through, and :func:`merge_part` what
every output partition goes through; the cluster package carries the shards between them. The
model is fitted by a task of the same graph, so nothing returns to the client before the end.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from dlsort.arrow.take import take_table
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Piece, cut_pieces
from dlsort.model.model import Model
from dlsort.model.partition import find_bands, group
from dlsort.model.reuse import Reuse, plan_reuse, rows_of_reuse
from dlsort.model.sample_plan import SamplePlan, plan_sample
from dlsort.order.bands import count_bands
from dlsort.planner.work import Shape
from dlsort.proof.checksum import prove
from dlsort.proof.outcome import Outcome
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.publish.finished import find_output, finished_parts
from dlsort.strategies.fewer_rows import FewerRows
from dlsort.strategies.part import write_partition
from dlsort.strategies.reader import Reader, model_tasks
from dlsort.strategies.strategy import Job, usual_balance
from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.exchange import Exchange, Layer, Shards, Slot, Split
from dlsort_cluster.in_process import lay
from dlsort_cluster.tasks import ref

__all__ = ["ExchangePlan", "Exchanging", "split_piece"]


def split_piece(
    reader: Reader,
    folder: str,
    piece: Piece,
    model: Model,
    input_id: int,
    *,
    fewer: FewerRows | None = None,
) -> Split:
    """Read, prove and partition one input partition.

    Rows that nobody has asked for end here, and those of finished parts.
    """
    clock = Clock()
    with clock.step("read"):
        table = reader.read(piece)
    ends = reader.ends(table, piece)
    if fewer is not None:
        with clock.step("sort"):
            table = fewer.of_input(table, reader.tuning)
    with clock.step("prove"):
        proof = prove(table, reader.tuning.proof)
    n_bytes = count_bytes(table)
    with clock.step("classify"):
        band = find_bands(table, model, input_id)
    # Where a part stands among all rows is counted by what is sent.
    is_counted = fewer is not None and fewer.is_cut
    finished = [] if is_counted else finished_parts(folder)
    with clock.step("split"):
        if finished:
            rows = np.flatnonzero(~np.isin(band // model.n_bands, finished)).astype(np.uint32)
            table, band = take_table(table, rows), band[rows]
        grouped, starts = group(table, band, model.n_parts, model.n_bands)
    n_passed = piece.n_rows - proof.rows
    stats = InputStats(proof, clock, n_passed, ends, input_id, n_bytes)
    return Split(grouped, starts, stats)


def merge_part(
    writer: Writer, shards: Shards, _: Any, slot: Slot, *, fewer: FewerRows | None = None
) -> OutputStats:
    """Sort, prove and write one output partition, of which the model has said all it knows."""
    return write_partition(writer, shards, slot, fewer=fewer)


class Exchanging:
    """Rows are classified by the model and sent to whoever makes their part: for any source."""

    name = "exchange"
    trusts_footers = False
    cuts_by_model = True
    moves_rows = False

    def plan(self, job: Job) -> ExchangePlan:
        """Return the tasks."""
        return ExchangePlan(job, cut_pieces(job.source, job.piece_bytes))


@dataclass(frozen=True)
class ExchangePlan:
    """The tasks of a job whose rows are exchanged.

    Parameters
    ----------
    job : Job
        The job.
    pieces : list of Piece
        The input partitions, in order.
    """

    job: Job
    pieces: list[Piece]

    @property
    def n_inputs(self) -> int:
        """Number of pieces."""
        return len(self.pieces)

    @property
    def n_cuts(self) -> int:
        """Parts, or pieces of these where they do not fit the memory."""
        return max(self.job.n_parts, -(-self.job.source.kept_bytes // self.job.part_bytes))

    @cached_property
    def reuse(self) -> Reuse | None:
        """How a known model may serve, if there is one."""
        job = self.job
        how = job.cut_keys, self.n_cuts, job.known, job.tuning
        return plan_reuse(job.source, self.pieces, *how)

    def shape(self, sized: Shape) -> Shape:
        """Return what its cost depends on: each row is read once."""
        job = self.job
        return replace(
            sized,
            strategy=Exchanging.name,
            n_pieces=self.n_inputs,
            rereads=1.0,
            balance=usual_balance(job.source.n_rows, job.n_parts, job.tuning.sample),
            known_rows=rows_of_reuse(self.reuse),
        )

    def row_bytes(self, number: int) -> float:
        """Return what a row of a piece is planned to take."""
        piece = self.pieces[number]
        return piece.arrow_bytes / max(1, piece.n_rows)

    def layer(self, writer: Writer) -> Layer:
        """Return sample → model → partition → exchange → sort and write, as tasks."""
        job, token = self.job, uuid.uuid4().hex
        source, n_parts, tuning = job.source, job.n_parts, job.tuning
        # A partition that doesn't fit is sorted band by band.
        n_cuts, n_bands = self.n_cuts, None
        if not job.fits:
            least = min(-(-n_cuts // n_parts), max(1, tuning.order.most_bands // n_parts))
            n_bands = max(count_bands(source.n_rows, n_parts, tuning.order), least)
        samples = SamplePlan(())
        if n_cuts > 1:
            most_bytes = job.working_bytes
            samples = plan_sample(source, self.pieces, job.cut_keys, n_cuts, tuning, most_bytes)
        is_unique = job.fewer is not None and job.fewer.n_unique > 0
        reader = Reader.of(source, job.cut_keys, tuning, is_unique=is_unique)
        reader = reader.checking(job)
        model = f"dlsort-model-{token}"
        graph = model_tasks(
            model,
            token,
            reader,
            writer.folder,
            samples,
            n_parts,
            job.n_threads,
            n_bands=n_bands,
            reuse=self.reuse,
        )
        exchange = Exchange(
            token,
            n_parts,
            partial(split_piece, reader, writer.folder, fewer=job.fewer),
            partial(merge_part, writer, fewer=job.fewer),
            job.store_bytes,
            job.temp_dir,
            partial(find_output, writer.folder),
        )
        return self.laid(exchange, graph, model)

    def laid(self, exchange: Exchange, graph: Mapping[str, Any], context: str) -> Layer:
        """Return the tasks of an exchange of the pieces, behind those of its context.

        Parameters
        ----------
        exchange : Exchange
            What is done.
        graph : mapping
            The tasks that make the context.
        context : str
            Which of them is it.
        """
        name, known = f"dlsort-part-{exchange.token}", ref(context)
        if self.job.in_this_process:
            layer = lay(exchange, name, self.pieces, known)
        else:
            from dlsort_cluster.engine import build, engine_of_clients

            layer = build(exchange, name, self.pieces, known, engine=engine_of_clients())
        return layer._replace(graph={**graph, **layer.graph})

    def holds(self, outcome: Outcome) -> bool:
        """Return True: nothing was taken for granted."""
        return True
