"""Decide: which of some plans is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dlsort.planner.cost import Prediction, Resources, predict
from dlsort.planner.known import Known
from dlsort.planner.speeds import BUILT_IN, Speeds
from dlsort.planner.work import Facts, Shape

__all__ = ["Alternative", "Decision", "decide"]


@dataclass(frozen=True)
class Alternative:
    """A plan, what it is predicted to take, and why it is not taken; empty: it is."""

    shape: Shape
    predicted: Prediction
    why_not: str = ""


@dataclass(frozen=True)
class Decision:
    """The plan that is taken.

    Parameters
    ----------
    index : int
        Its place among those given.
    alternatives : tuple of Alternative
        All that were given, in order.
    facts : Facts
        Of the source.
    resources : callable
        Gives those of a shape.
    known : Known
        What they were predicted with.
    """

    index: int
    alternatives: tuple[Alternative, ...]
    facts: Facts
    resources: Callable[[Shape], Resources]
    known: Known

    @property
    def chosen(self) -> Alternative:
        """The one."""
        return self.alternatives[self.index]

    def to_dict(self) -> dict[str, Any]:
        """Return what is predicted of the plan, as plain numbers and strings."""
        p, shape = self.chosen.predicted, self.chosen.shape
        return {
            "strategy": shape.strategy,
            "parts": shape.n_parts,
            "inputs": shape.n_pieces,
            "processes": shape.n_processes,
            "threads": shape.n_threads,
            "seconds": p.seconds,
            "processor_s": p.processor_s,
            "phases": {f"{name}_s": s for name, s in p.phases.items()},
            "work": dict(p.steps),
            "memory_bytes": p.memory_bytes,
            "spilled_bytes": p.spilled_bytes,
            "sent_bytes": p.sent_bytes,
            "balance": p.balance,
            "rows": dict(p.rows),
            "amounts": {step: dict(units) for step, units in p.work.items()},
            "is_known": shape.known_rows is not None,
            "told_by": str(self.known),
        }

    def among(self, shapes: Sequence[Shape]) -> Decision:
        """Return the decision between other plans for the same source and place."""
        return decide(self.facts, shapes, self.resources, self.known)


def decide(
    facts: Facts,
    shapes: Sequence[Shape],
    resources: Callable[[Shape], Resources],
    known: Known,
) -> Decision:
    """Return which plan is taken.

    Parameters
    ----------
    facts : Facts
        Of the source.
    shapes : sequence of Shape
        The plans there are; of those that cost the same the first is taken.
    resources : callable
        Gives what one can use.
    known : Known
        What was learned before.
    """
    tuning = known.tuning
    of_shapes = [(shape, resources(shape)) for shape in shapes]

    def predictions(speeds: Speeds, *, is_same: bool = False) -> list[Prediction]:
        factors = known.factors if is_same else {}
        return [predict(facts, shape, there, speeds, factors) for shape, there in of_shapes]

    def costs(found: Sequence[Prediction]) -> list[float]:
        return [
            p.seconds + tuning.processor_weight * p.processor_s / there.cores
            for p, (_, there) in zip(found, of_shapes, strict=True)
        ]

    usual = costs(predictions(BUILT_IN))
    prior = usual if known.prior is BUILT_IN else costs(predictions(known.prior))
    predicted = predictions(known.speeds, is_same=True)
    fitted = costs(predicted)
    every = range(len(shapes))
    default = min(every, key=usual.__getitem__)
    bound = tuning.most_regret * min(prior)
    trusted = [i for i in every if prior[i] <= bound]
    best = min(trusted, key=fitted.__getitem__)
    if default in trusted and fitted[best] > (1 - tuning.least_gain) * fitted[default]:
        best = default
    found = tuple(
        Alternative(
            shape, predicted[i], "" if i == best else _why_not(i, best, fitted, trusted)
        )
        for i, shape in enumerate(shapes)
    )
    return Decision(best, found, facts, resources, known)


def _why_not(i: int, best: int, fitted: Sequence[float], trusted: Sequence[int]) -> str:
    more = fitted[i] / max(fitted[best], 1e-9) - 1
    if more >= 0:
        return f"costs {more:.0%} more"
    return f"saves {-more:.0%}" + (
        ", too little to change" if i in trusted else ", by history alone"
    )
