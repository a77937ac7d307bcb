"""Replan: a run is watched, and planned again where what it was planned from proves wrong.

What can still change, and when:

- **Rows larger or smaller in memory than planned**: footers tell little of text that is stored
  once and repeated. After the first inputs the run is given up, and begun anew with parts and
  inputs of the size that was wanted. These inputs are read again; no part is written by then.
- **A source's order that is dearer to use than an exchange**: rows read several times cost more
  than was predicted, of a slow disk or store. After some parts an exchange makes all of them.
- **More work than predicted**: more threads join in, as far as cores and memory go.

The rest stays. Encodings follow from each part's own rows, and what is spilled is compressed by
what the disk takes, so that they are never planned. Processes are not started in mid-run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from dlsort.errors import BadOptionError
from dlsort.events import Event, Replanned
from dlsort.planner.decide import Decision
from dlsort.planner.watch import FirstInputs, Pace
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.strategies.sizes import Sizes
from dlsort.strategies.strategy import Job, Plan
from dlsort.wording import count
from dlsort_cluster.in_process import Crew

__all__ = ["OtherSizes", "OtherStrategy", "Replanning", "Watch"]

_FAR = 4.0  # from there on all that is done may be done again


@dataclass(frozen=True)
class Replanning:
    """What may be planned again.

    Parameters
    ----------
    sizes : callable or None
        Gives the sizes that suit rows so many times as large as footers tell; None: they stay.
    most_threads : int
        Of this process; those of a cluster are there.
    """

    sizes: Callable[[float], Sizes] | None
    most_threads: int


class OtherSizes(Exception):
    """The job is to be begun anew with other sizes."""

    def __init__(self, sizes: Sizes, event: Replanned) -> None:
        super().__init__(event.change)
        self.sizes = sizes
        self.event = event


class OtherStrategy(Exception):
    """The parts are to be made by an exchange."""

    def __init__(self, decision: Decision, event: Replanned) -> None:
        super().__init__(event.change)
        self.decision = decision
        self.event = event


class Watch:
    """Takes in what inputs and outputs amount to; raises where another plan is better.

    Parameters
    ----------
    job : Job
        What is made.
    plan : Plan
        How.
    decision : Decision
        Why so.
    may : Replanning or None
        What may be planned again; None: nothing.
    crew : Crew
        The threads of this process.
    has_other : bool
        An exchange may be done instead.
    note : callable
        Told of what changes.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        decision: Decision,
        may: Replanning | None,
        crew: Crew,
        note: Callable[[Event], None],
        *,
        has_other: bool,
    ) -> None:
        self._job, self._plan, self._decision = job, plan, decision
        self._may, self._crew, self._note = may, crew, note
        self._has_other = has_other
        n = plan.n_inputs if decision.chosen.shape.is_exchange else job.n_parts
        self._first = FirstInputs(n, plan.row_bytes, job.tuning.planner)
        self._pace = Pace(decision, round(job.source.n_rows * job.source.kept_share))
        self._ratio = 1.0

    def __call__(self, inputs: Sequence[InputStats], outputs: Sequence[OutputStats]) -> None:
        """Take in what has ended.

        Raises
        ------
        OtherSizes, OtherStrategy
            If the job is to be done in another way.
        """
        for read in inputs:
            self._pace.note(read.clock.work, n_read=read.proof.rows)
            ratio = self._first.note(read.number, read.proof.rows, read.n_bytes)
            if ratio is not None:
                self._ratio = ratio
                self._judge_sizes()
        for written in outputs:
            self._pace.note(written.clock.work, n_written=written.given.rows)
        if self._pace.is_due(self._job.tuning.planner.watched_share):
            self._judge_pace()

    def _judge_sizes(self) -> None:
        first, ratio, tuning = self._first, self._ratio, self._job.tuning.planner
        if self._may is None or self._may.sizes is None:
            return
        if 1 / tuning.far_off < ratio < tuning.far_off:
            return
        is_far = not 1 / _FAR < ratio < _FAR
        if first.n_rows > tuning.most_redone * self._job.source.n_rows and not is_far:
            return
        with suppress(BadOptionError):  # no memory for rows of this size: as it is, it goes on
            self._change_sizes(self._may.sizes(self._job.arrow_factor * ratio))

    def _change_sizes(self, sizes: Sizes) -> None:
        first, job, far = self._first, self._job, self._job.tuning.planner.far_off
        shape, n_inputs = sizes.decision.chosen.shape, self._plan.n_inputs
        if not 1 / far < shape.n_parts / job.n_parts < far:
            before, now = job.n_parts, count(shape.n_parts, "part")
        elif first.measured > far * first.n * sizes.budget.piece_bytes and (
            shape.n_pieces >= far * n_inputs
        ):
            before, now = n_inputs, count(shape.n_pieces, "input")
        else:
            return
        planned, measured = (n / first.n_rows for n in (first.planned, first.measured))
        because = f"a row takes {measured:,.0f} bytes in memory, {planned:,.0f} were planned"
        raise OtherSizes(
            sizes, Replanned(f"{now} instead of {before:,}", because, planned, measured)
        )

    def _judge_pace(self) -> None:
        if self._has_other:
            self._judge_strategy()
        if self._may is not None and self._crew.n < self._may.most_threads:
            self._judge_threads(self._may.most_threads)

    def _judge_strategy(self) -> None:
        decision, tuning = self._decision, self._job.tuning.planner
        shapes = [each.shape for each in decision.alternatives]
        taken = [sum(list(p.phases.values())[1:4]) for p in self._pace.again(shapes)]
        (other,) = (i for i, shape in enumerate(shapes) if shape.strategy == "exchange")
        rest = taken[decision.index] * (1 - self._pace.done)
        if taken[other] * (1 + tuning.gain_again) + tuning.least_again_s < rest:
            name = shapes[decision.index].strategy
            because = f"{rest:.2f} s are left of it, and an exchange takes {taken[other]:.2f}"
            event = Replanned(f"exchange instead of {name}", because, *self._pace.seconds())
            raise OtherStrategy(replace(decision, index=other), event)

    def _judge_threads(self, most: int) -> None:
        job, tuning, now = self._job, self._job.tuning, self._crew.n
        part_bytes = job.source.kept_bytes * self._ratio / job.n_parts
        each = max(
            tuning.budget.working_copies * part_bytes * self._decision.chosen.shape.balance,
            tuning.budget.reading_copies * job.piece_bytes * self._ratio,
        )
        most = min(most, int(job.working_bytes * job.n_threads / max(each, 1.0)))
        counts = [now, *(n for n in range(now + 1, most + 1) if n == most or n % now == 0)]
        shape, rest = self._decision.chosen.shape, 1 - self._pace.done
        found = self._pace.again([replace(shape, n_threads=n) for n in counts])
        left = [(p.phases["partition"] + p.phases["sort"]) * rest for p in found]
        best = min(range(len(counts)), key=left.__getitem__)
        if (
            left[best] * (1 + tuning.planner.gain_again) + tuning.planner.least_again_s
            < left[0]
        ):
            predicted, measured = self._pace.seconds()
            because = (
                f"the work takes {measured / predicted:,.1f} x as long as predicted, and "
                f"{left[0]:.2f} s are left"
            )
            self._crew.n = counts[best]
            change = f"{count(counts[best], 'thread')} instead of {now:,}"
            self._note(Replanned(change, because, predicted, measured))
