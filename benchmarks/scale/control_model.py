"""A model of the control plane: fitted on few workers, checked on many.

What grows is a sum of terms, as the engine's code has them: tasks are inputs and partitions, an
input sends a message to each other worker, and so on. Runs on few workers say how large each
term is, none of them negative; runs on many say how far off that is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.control_plane import Measured, Shape, shape_of

FITTED_WORKERS = 32  # runs on more workers are there to check

Term = Callable[[Shape], float]

# What each figure may consist of. One that grows as another does stands last: it is left out
# where the others explain the runs as well.
TERMS: Mapping[str, Mapping[str, Term]] = {
    "tasks": {
        "inputs + partitions": lambda s: s.inputs + s.parts,
        "a sort": lambda s: 1.0,
    },
    "scheduler_s": {
        "inputs + partitions": lambda s: s.inputs + s.parts,
        "workers": lambda s: s.workers,
        "partitions × workers": lambda s: s.parts * s.workers,
    },
    "messages": {
        "pairs of workers": lambda s: s.workers * (s.workers - 1),
        "inputs × other workers": lambda s: s.inputs * (s.workers - 1),
        "workers": lambda s: s.workers,
    },
    "receipt_bytes": {
        "inputs": lambda s: s.inputs,
        "inputs × partitions": lambda s: s.inputs * s.parts,
    },
    "passed_bytes": {
        "partitions": lambda s: s.parts,
        "a sort": lambda s: 1.0,
    },
}


@dataclass(frozen=True)
class Law:
    """How one figure grows.

    Attributes
    ----------
    figure : str
        A field of :class:`Measured`.
    sizes : mapping of str to float
        What each of the figure's terms counts for.
    """

    figure: str
    sizes: Mapping[str, float]

    def __call__(self, shape: Shape) -> float:
        """Return the figure of a shape."""
        terms = TERMS[self.figure]
        return sum(size * terms[name](shape) for name, size in self.sizes.items())

    def __str__(self) -> str:
        return " + ".join(f"{size:.3g} × ({name})" for name, size in self.sizes.items())


def fit(found: Sequence[Measured]) -> dict[str, Law]:
    """Return each figure's law, from the runs on few workers.

    Raises
    ------
    ValueError
        If there are none.
    """
    few = [one for one in found if one.workers <= FITTED_WORKERS]
    if not few:
        msg = f"no run on at most {FITTED_WORKERS} workers to fit: found {len(found)} on more."
        raise ValueError(msg)
    shapes = [shape_of(one) for one in few]
    laws = {}
    for figure, terms in TERMS.items():
        values = np.array([max(getattr(one, figure), 1e-9) for one in few], float)
        columns = {
            name: np.array([term(s) for s in shapes], float) for name, term in terms.items()
        }
        laws[figure] = Law(figure, fit_terms(columns, values))
    return laws


def fit_terms(columns: Mapping[str, np.ndarray], values: np.ndarray) -> dict[str, float]:
    """Return sizes, none negative, with the least squares of what they are off by, relatively.

    Parameters
    ----------
    columns : mapping of str to (n,) float64
        What each term is in each run.
    values : (n,) float64
        What was measured, above 0.

    Notes
    -----
    Tries every subset of the terms: there are few.
    """
    best: tuple[float, dict[str, float]] = (np.inf, {})
    for n_terms in range(1, len(columns) + 1):
        for names in itertools.combinations(columns, n_terms):
            relative = np.stack([columns[name] / values for name in names], axis=1)
            sizes, *_ = np.linalg.lstsq(relative, np.ones(len(values)))
            off = float(np.square(relative @ sizes - 1).sum())
            # More terms have to be worth it: runs on a shared machine vary.
            if (sizes > 0).all() and off < 0.9 * best[0] - 1e-6:
                best = off, dict(zip(names, sizes.tolist(), strict=True))
    return best[1]


def checks(found: Sequence[Measured], laws: Mapping[str, Law]) -> list[str]:
    """Return a table of what was measured, what the model says, and what that is off by."""
    lines = [
        "| inputs × partitions on workers | figure | measured | model | off by |",
        "|---|---|--:|--:|--:|",
    ]
    for one in found:
        role = "fitted" if one.workers <= FITTED_WORKERS else "**checked**"
        head = f"{one.inputs:,} × {one.parts:,} on {one.workers} ({role})"
        for figure, law in laws.items():
            measured, said = getattr(one, figure), law(shape_of(one))
            off = said / max(measured, 1e-9) - 1
            lines.append(
                f"| {head} | {figure} | {_short(measured)} | {_short(said)} | {off:+.0%} |"
            )
            head = ""
    return lines


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
