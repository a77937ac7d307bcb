"""Fit: what a unit of work takes here, from what runs were measured to take.

A step's seconds are a sum of speed × amount over its units. For each step a small ridge
regression finds the speeds, all in relative terms: as multiples of the prior's speeds, and of
the seconds that these predict, so that small and large jobs count alike. The prior is worth as
much as a few runs. Four things keep history from doing harm:

- no speed leaves 1/8 to 8 times its prior;
- a run far from what all others say has little weight (another job ran on the machine), and
  one that no speed within the bounds explains has next to none;
- recent runs weigh more;
- where the latest run is as the prior has it, and not at all as the runs before it, those that
  contradict the prior are left out: the history was wrong, or is of another time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.planner.history import Run
from dlsort.planner.speeds import Speeds

__all__ = ["BOUND", "at_level", "fit", "job_factor"]

Floats = npt.NDArray[np.float64]

#: A speed stays within this factor of its prior, either way.
BOUND = 8.0

_HALF_LIFE_RUNS = 30
_HALF_LIFE_S = 90 * 86_400.0
# What runs of one job differ by on a quiet machine, and how many runs this guess is worth
# beside what the runs at hand differ by.
_USUAL_NOISE, _NOISE_RUNS = 0.05, 4
_MOST_NOISE = 0.3
# In the first rounds a residual counts in full up to so many times the noise, and beyond it as
# much as at it (Huber, 1964); in the later ones ever less, as what is far off says nothing.
_HUBER = 1.345
_ROUNDS, _HUBER_ROUNDS = 10, 5
_CLOSE = 1e-3  # rounds, and sweeps within them, end when speeds change by less
_SWEEPS = 50
# The latest run overrules the others if it is so near to the prior, and so far from them.
_AS_PRIOR, _UNLIKE = 1.5, 2.0

_LEAST_S = 1e-12
_JOB_BOUND = 2.0
_JOB_RUNS = 7  # the latest of them
_JOB_PRIOR_RUNS = 1.0


class _Seen(NamedTuple):
    """A step in the runs that have it, the newest last.

    ``share``, (n, units): of the prior's seconds, by unit; rows sum to 1. ``ratio``, (n,):
    measured over the prior's seconds. ``weight``, (n,): 1 for the newest.
    """

    share: Floats
    ratio: Floats
    weight: Floats

    def only(self, which: npt.NDArray[np.bool_]) -> _Seen:
        return _Seen(self.share[which], self.ratio[which], self.weight[which])


def fit(
    prior: Speeds, runs: Sequence[Run], now: float | None = None, *, spread: float = 0.5
) -> dict[str, dict[str, float]]:
    """Return the speeds that runs tell of.

    Parameters
    ----------
    prior : mapping
        Seconds a unit, by step and unit: what holds without runs.
    runs : sequence of Run
        On one machine, the newest last. Steps and units that the prior has not are ignored.
    now : float, optional
        As ``time.time()``: runs of 90 days before count half.
    spread : float
        How far speeds may be from the prior, in its own terms (a standard deviation).

    Returns
    -------
    dict
        Of the prior's steps and units, each within 1/8 and 8 times the prior.

    Notes
    -----
    Time O(steps × runs × units²). Deterministic.

    Examples
    --------
    >>> prior = {"sort": {"rows": 1e-7}}
    >>> run = Run(0.0, "mine", "job", {"sort": {"rows": 1e6}}, {}, {"sort": 0.2}, {})
    >>> fitted = fit(prior, [run] * 6)
    >>> round(fitted["sort"]["rows"] * 1e9)
    200
    """
    found = {}
    for step, speeds in prior.items():
        units = [unit for unit, speed in speeds.items() if speed > 0]
        seen = _seen(step, units, speeds, runs, now)
        scale = np.ones(len(units)) if seen is None else _solve_safely(seen, spread)
        found[step] = dict(speeds) | {
            unit: speeds[unit] * float(by) for unit, by in zip(units, scale, strict=True)
        }
    return found


def at_level(prior: Speeds, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return the prior's speeds, each step's by the factor that its runs took longer.

    The prior for runs that are trusted, on a machine that may be of any speed.

    Parameters
    ----------
    prior : mapping
        Seconds a unit, by step and unit.
    runs : sequence of Run
        On one machine.

    Returns
    -------
    dict
        Of the prior's steps and units; a step's factor is the median of its runs'.
    """
    found = {}
    for step, speeds in prior.items():
        units = [unit for unit, speed in speeds.items() if speed > 0]
        seen = _seen(step, units, speeds, runs, None)
        by = 0.0 if seen is None else float(np.median(seen.ratio))
        found[step] = {unit: speed * (by or 1.0) for unit, speed in speeds.items()}
    return found


def job_factor(runs: Sequence[Run], speeds: Speeds) -> dict[str, float]:
    """Return by how much the runs of one job take longer than speeds predict, by step.

    Parameters
    ----------
    runs : sequence of Run
        Of the same job, the newest last.
    speeds : mapping
        Seconds a unit, by step and unit.

    Returns
    -------
    dict
        For each step that was measured, and within 8 times of what is predicted: the median of
        measured over predicted, nearer to 1 the fewer runs there are, from 1/2 to 2.

    Examples
    --------
    >>> run = Run(0.0, "mine", "job", {"sort": {"rows": 1e6}}, {}, {"sort": 0.15}, {})
    >>> job_factor([run] * 7, {"sort": {"rows": 1e-7}})
    {'sort': 1.42...}
    """
    factors = {}
    for step, of_units in speeds.items():
        units = [unit for unit, speed in of_units.items() if speed > 0]
        seen = _seen(step, units, of_units, runs[-_JOB_RUNS:], None)
        if seen is not None:
            ratio = seen.ratio[
                _apart_all(seen.ratio) < BOUND
            ]  # what lies beyond can't be right
            n = len(ratio)
            if n == 0:
                continue
            logs = np.log(ratio)
            middle, latest = float(np.median(logs)), float(logs[-1])
            # As in a fit, a latest run that is as it should be overrules those before it.
            if abs(latest) < math.log(_AS_PRIOR) < abs(middle - latest):
                middle = latest
            most = math.log(_JOB_BOUND)
            factors[step] = math.exp(min(max(middle, -most), most) * n / (n + _JOB_PRIOR_RUNS))
    return factors


def _seen(
    step: str,
    units: Sequence[str],
    speeds: Mapping[str, float],
    runs: Sequence[Run],
    now: float | None,
) -> _Seen | None:
    """Return a step as it is in the runs; None where none has it."""
    has = [run for run in runs if step in run.work and step in run.measured]
    if not has or not units:
        return None
    amounts = np.array([[run.work[step].get(unit, 0.0) for unit in units] for run in has])
    measured = np.array([run.measured[step] for run in has], np.float64)
    seconds = amounts * np.array([speeds[unit] for unit in units])
    whole = seconds.sum(axis=1)
    # Of a step with next to no work nothing is learned, nor of one that can't be right.
    sound = (seconds >= 0).all(axis=1) & (whole > _LEAST_S) & (whole < np.inf)
    sound &= (measured >= 0) & (measured < np.inf)
    n = int(np.count_nonzero(sound))
    if n == 0:
        return None
    halvings = np.arange(n)[::-1] / _HALF_LIFE_RUNS
    if now is not None:
        at = np.array([run.at for run in has])[sound]
        halvings = halvings + np.maximum(0.0, now - at) / _HALF_LIFE_S
    share, ratio = seconds[sound] / whole[sound, np.newaxis], measured[sound] / whole[sound]
    return _Seen(share, ratio, 0.5**halvings)


def _solve_safely(seen: _Seen, spread: float) -> Floats:
    """Return each unit's speed over its prior."""
    scale = _solve(seen, spread)
    latest = float(seen.ratio[-1])
    said = float(seen.share[-1] @ scale)
    if _apart(latest, 1.0) < _AS_PRIOR and _apart(latest, said) > _UNLIKE:
        scale = _solve(seen.only(_apart_all(seen.ratio) < _UNLIKE), spread)
    return scale


def _solve(seen: _Seen, spread: float) -> Floats:
    share = seen.share
    # No speed within the bounds explains what lies beyond them: the further, the less it says.
    ratio = np.clip(seen.ratio, 1 / BOUND, BOUND)
    beyond = np.maximum(seen.ratio, ratio) / np.maximum(np.minimum(seen.ratio, ratio), 1e-9)
    weight = seen.weight * beyond**-4.0
    scale = np.ones(share.shape[1])
    for turn in range(_ROUNDS):
        said = share @ scale
        off = np.abs(ratio - said) / said
        noise = _noise(off)
        far = np.minimum(1.0, _HUBER * noise / np.maximum(off, 1e-12))
        if turn >= _HUBER_ROUNDS:
            far **= 3
        trust = weight * far / (noise * said) ** 2
        before, scale = scale, _least_squares(share, ratio, trust, spread, scale)
        if turn > _HUBER_ROUNDS and np.abs(scale - before).max() < _CLOSE:
            break
    return scale


def _noise(off: Floats) -> float:
    """Return what runs differ by, from how far each is off what is said of all."""
    n = len(off)
    middle = 1.4826 * float(np.partition(off, n // 2)[n // 2])
    mean = (_NOISE_RUNS * _USUAL_NOISE**2 + n * middle**2) / (_NOISE_RUNS + n)
    return min(math.sqrt(mean), _MOST_NOISE)


def _least_squares(
    share: Floats, ratio: Floats, trust: Floats, spread: float, begin: Floats
) -> Floats:
    """Return the scales within the bounds that fit best, with 1 as the prior of each.

    One after the other is set to its best value until none changes.
    """
    gram = (share.T * trust) @ share + np.eye(share.shape[1]) / spread**2
    wanted = share.T @ (trust * ratio) + 1 / spread**2
    rows, ends, at = gram.tolist(), wanted.tolist(), begin.tolist()
    for _ in range(_SWEEPS):
        change = 0.0
        for j, row in enumerate(rows):
            rest = sum(a * b for a, b in zip(row, at, strict=True)) - row[j] * at[j]
            new = min(max((ends[j] - rest) / row[j], 1 / BOUND), BOUND)
            change = max(change, abs(new - at[j]))
            at[j] = new
        if change < _CLOSE / 10:
            break
    return np.array(at)


def _apart(one: float, other: float) -> float:
    """Return the factor between two numbers, 1 or above."""
    low, high = sorted((max(one, 1e-9), max(other, 1e-9)))
    return high / low


def _apart_all(ratio: Floats) -> Floats:
    """Return the factor between each of some numbers and 1."""
    return np.exp(np.abs(np.log(np.maximum(ratio, 1e-9))))
