"""Watch: what is measured while a job goes, beside what was predicted of it.

Sizes are judged by the first inputs by number, whichever end first: the same source always
leads to the same sizes. Times are judged whenever a fourth more is done than the last time:
they decide how many threads work, and whether a strategy that reads rows more than once goes
on. Neither changes which rows an exchange brings to which part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from dlsort.planner.cost import Prediction, predict
from dlsort.planner.decide import Decision
from dlsort.planner.speeds import BUILT_IN, seconds_of
from dlsort.planner.work import Shape
from dlsort.tuning import PlannerTuning

__all__ = ["FirstInputs", "Pace"]

_IN = ("read", "classify", "split")  # steps of inputs; the others are those of outputs
_OUT = ("sort", "write")
_STEPS_AGAIN = 1.25


class FirstInputs:
    """How large the rows of the first inputs are, over what was planned.

    Parameters
    ----------
    n_inputs : int
        How many there are.
    row_bytes : callable
        Planned bytes of a row of an input, by its number.
    tuning : PlannerTuning
        How many are the first.

    Attributes
    ----------
    planned, measured : float
        Bytes of their rows so far.
    n, n_rows : int
        How many inputs are the first, and their rows so far.
    """

    def __init__(
        self, n_inputs: int, row_bytes: Callable[[int], float], tuning: PlannerTuning
    ) -> None:
        self.n = math.ceil(tuning.watched_share * n_inputs)
        self._left = set(range(self.n))
        self._row_bytes = row_bytes
        self.planned = self.measured = 0.0
        self.n_rows = 0

    def note(self, number: int, n_rows: int, n_bytes: int) -> float | None:
        """Take an input in; return measured over planned once the first are all there."""
        if number not in self._left:
            return None
        self._left.remove(number)
        self.planned += n_rows * self._row_bytes(number)
        self.measured += n_bytes
        self.n_rows += n_rows
        if self._left or not self.planned or not self.measured:
            return None
        return self.measured / self.planned


class Pace:
    """Thread seconds that steps have taken so far, over what was predicted for as much.

    Parameters
    ----------
    decision : Decision
        The plan that is watched, and the others.
    n_rows : int
        Rows to come: of all inputs, and of all outputs.
    """

    def __init__(self, decision: Decision, n_rows: int) -> None:
        self._decision = decision
        self._n_rows = max(1, n_rows)
        self._work: dict[str, float] = {}
        self._read = self._written = 0
        self._judged = 0.0

    @property
    def done(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return (self._read + self._written) / (2 * self._n_rows)

    def note(self, work: Mapping[str, float], *, n_read: int = 0, n_written: int = 0) -> None:
        """Take in what a task took, for so many rows."""
        for step, seconds in work.items():
            self._work[step] = self._work.get(step, 0.0) + seconds
        self._read += n_read
        self._written += n_written

    def is_due(self, least: float) -> bool:
        """Return whether it is time to judge: enough is done, and more than the last time."""
        if not max(least, _STEPS_AGAIN * self._judged) <= self.done < 1:
            return False
        self._judged = self.done
        return True

    def seconds(self) -> tuple[float, float]:
        """Return thread seconds, predicted and measured, of what is done."""
        return self._done(self._decision.chosen.predicted.steps)

    def again(self, shapes: Sequence[Shape]) -> list[Prediction]:
        """Return what plans for the same place take, by what was measured so far.

        What is known of the machine may be what is wrong, so it is not asked: steps that are
        seen take as long as they do, and the others what is built in, times as much as all
        that are seen take longer than that.
        """
        decision = self._decision
        work = decision.chosen.predicted.work
        usual = {step: seconds_of(step, units, BUILT_IN) for step, units in work.items()}
        predicted, measured = self._done(usual)
        longer = measured / predicted if predicted > 0 else 1.0
        factors = dict.fromkeys((*_IN, *_OUT, "prove", "sample", "spill", "send"), longer)
        for step, seconds in self._work.items():
            if p := usual.get(step, 0.0) * self._share(step):
                factors[step] = seconds / p
        place = decision.resources(decision.chosen.shape)
        return [predict(decision.facts, shape, place, BUILT_IN, factors) for shape in shapes]

    def _share(self, step: str) -> float:
        """Return how much of a step is done, 0 to 1."""
        if step == "prove":
            return self.done
        return (self._read if step in _IN else self._written) / self._n_rows

    def _done(self, steps: Mapping[str, float]) -> tuple[float, float]:
        """Return the seconds predicted for what is done of some steps, and those measured."""
        seen = {step: s for step, s in self._work.items() if steps.get(step)}
        return sum(steps[step] * self._share(step) for step in seen), sum(seen.values())
