"""Strategy: how a job's parts are made, and what each strategy plans from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from dlsort.io.parquet.source import ParquetSource
from dlsort.io.parquet.writer import Writer
from dlsort.keys import SortKey
from dlsort.model.known_model import KnownModel
from dlsort.planner.decide import Decision
from dlsort.planner.work import Shape
from dlsort.proof.outcome import Outcome
from dlsort.publish.job_file import JobFile
from dlsort.strategies.fewer_rows import FewerRows
from dlsort.tuning import SampleTuning, Tuning, WriteCosts
from dlsort_cluster.exchange import Layer

__all__ = ["Job", "Plan", "Strategy", "usual_balance"]

# Parts that a model cuts are of one length but for the luck of the sample: of eleven
# families of keys, in 16 parts of 4 M rows, the largest had 1.003 to 1.019 times the mean.
# Where parts have few rows less is promised, and the sample smaller: 1.02 to 1.036.
USUAL_BALANCE, USUAL_BALANCE_OF_FEW = 1.01, 1.025


def usual_balance(n_rows: int, n_parts: int, tuning: SampleTuning) -> float:
    """Return the largest part over the mean, as expected of a model's."""
    if n_parts < 2:
        return 1.0
    is_many = n_rows >= tuning.promised_rows * n_parts
    return USUAL_BALANCE if is_many else USUAL_BALANCE_OF_FEW


@dataclass(frozen=True)
class Job:
    """What is to be sorted, and the sizes that keep it within its memory.

    Parameters
    ----------
    source : ParquetSource
        The dataset's footers.
    keys : tuple of SortKey
        The key.
    n_parts : int
        Number of output partitions.
    piece_bytes, part_bytes : int
        Largest input and output partition that a thread can work on.
    working_bytes, store_bytes : int
        What a thread may hold, and the shards that a process keeps in memory.
    temp_dir : str or None
        Where shards beyond that go.
    n_threads : int
        Threads of the cluster.
    in_this_process : bool
        There is no cluster.
    tuning : Tuning
        The tunables.
    decision : Decision
        Why the sizes are these.
    strategy : str
        What was asked for: a strategy's name, or "auto".
    known : KnownModel, optional
        What an earlier sort has learned.
    fewer : FewerRows, optional
        Which rows are wanted; None: all of them.
    is_merge : bool
        Each file is said to be in the order of the key; it is checked as it is read.
    arrow_factor : float
        How many times as large as footers say its rows are taken to be (:meth:`scaled`).
    """

    source: ParquetSource
    keys: tuple[SortKey, ...]
    n_parts: int
    piece_bytes: int
    part_bytes: int
    working_bytes: int
    store_bytes: int
    temp_dir: str | None
    n_threads: int
    in_this_process: bool
    tuning: Tuning
    decision: Decision
    strategy: str = "auto"
    known: KnownModel | None = None
    fewer: FewerRows | None = None
    is_merge: bool = False
    arrow_factor: float = 1.0

    def as_begun(self, file: JobFile) -> Job:
        """Return this job, scaled, with what it has chosen, or the attempt that it resumes."""
        budget, io = self.tuning.budget, self.tuning.io
        most_bytes = file.part_bytes * budget.working_copies // budget.reading_copies
        told: dict[str, Any] = {
            name: tuple(c) if isinstance(c, list) else c for name, c in file.costs.items()
        }
        costs = WriteCosts(**told)
        return replace(
            self,
            source=self.source.scaled(file.arrow_factor).within(most_bytes, file.piece_bytes),
            n_parts=file.n_parts,
            piece_bytes=file.piece_bytes,
            part_bytes=file.part_bytes,
            arrow_factor=file.arrow_factor,
            tuning=replace(self.tuning, io=replace(io, costs=costs)),
        )

    def scaled(self) -> Job:
        """Return this job with a source whose rows are as large as they are taken to be."""
        return replace(self, source=self.source.scaled(self.arrow_factor))

    @property
    def cut_keys(self) -> tuple[SortKey, ...]:
        """The columns that parts are cut by: those that tell rows apart, if such are wanted."""
        return (self.fewer and self.fewer.unique_by) or self.keys

    @property
    def fits(self) -> bool:
        """Whether a part of even size can be sorted as a whole."""
        most = self.tuning.strategies.surprise * self.n_parts * self.part_bytes
        return self.source.kept_bytes <= most


class Plan(Protocol):
    """The tasks of a job."""

    @property
    def n_inputs(self) -> int:
        """Number of input partitions."""

    def shape(self, sized: Shape) -> Shape:
        """Return what its cost depends on, of the job's sizes."""

    def row_bytes(self, number: int) -> float:
        """Return what a row of an input, or of a part that is moved, is planned to take."""

    def layer(self, writer: Writer) -> Layer:
        """Return the tasks, which write the parts with ``writer``."""

    def holds(self, outcome: Outcome) -> bool:
        """Return whether what was planned from has proved true.

        Raises
        ------
        NotProvedError
            If the outcome is wrong, whatever it was planned from.
        """


class Strategy(Protocol):
    """How the parts of a job are made.

    Attributes
    ----------
    name : str
        Of its folder in the job's.
    trusts_footers : bool
        It plans from ranges and claims in footers, which may lie.
    cuts_by_model : bool
        Its parts are cut by the model that is kept in its folder.
    moves_rows : bool
        Each part is made of its own row groups: no row is exchanged.
    """

    name: str
    trusts_footers: bool
    cuts_by_model: bool
    moves_rows: bool

    def plan(self, job: Job) -> Plan | None:
        """Return the tasks, or None if the source is not of the kind."""
