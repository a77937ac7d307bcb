"""Known: the speeds that a job is planned with, and where they are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dlsort.planner.history import History, Run
from dlsort.planner.speeds import BUILT_IN, Speeds
from dlsort.tuning import TUNING, PlannerTuning
from dlsort.wording import count

__all__ = ["Known", "learn"]

_MOST_FACTOR = 10_000.0  # texts of a page each, by a footer that has each once


@dataclass(frozen=True)
class Known:
    """What was learned before.

    Parameters
    ----------
    prior : Speeds
        Measured by ``dlsort tune``, or built in.
    speeds : Speeds
        The same, fitted to the machine's own jobs.
    factors : mapping of str to float
        What the same job took before over what the speeds say, by step.
    n_runs, n_same : int
        Jobs that the speeds are fitted to; those that were this one.
    arrow_factor : float
        What the same job's rows took in memory at its last run, over what footers tell.
    shares : mapping of str to float
        Of the rows that were read and kept, those that were ``sent`` to parts, and ``written``,
        at that run.
    facts : mapping of str to float or None
        What the machine's profile tells beside speeds; None: it has none.
    tuning : PlannerTuning
        How far that is trusted.
    """

    prior: Speeds = field(default_factory=lambda: BUILT_IN)
    speeds: Speeds = field(default_factory=lambda: BUILT_IN)
    factors: Mapping[str, float] = field(default_factory=dict)
    n_runs: int = 0
    n_same: int = 0
    arrow_factor: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float] | None = None
    tuning: PlannerTuning = TUNING.planner

    def __str__(self) -> str:
        """Return it in words."""
        told = "this machine's profile" if self.facts is not None else "built-in figures"
        if not self.n_runs:
            return told
        same = f", {self.n_same:,} of this job" if self.n_same else ""
        return f"{told}, fitted to {count(self.n_runs, 'run')}{same}"


def learn(machine: str, job: str, tuning: PlannerTuning) -> Known:
    """Return what this machine's profile and history tell of a job.

    Parameters
    ----------
    machine, job : str
        What they are recognised by.
    tuning : PlannerTuning
        How far that is trusted.
    """
    from dlsort.planner.fit import fit, job_factor
    from dlsort.planner.profile import load

    profile, history = load(), History.open()
    prior = BUILT_IN if profile is None else {**BUILT_IN, **profile.speeds}
    runs = history.recent(machine)
    same = [run for run in runs if run.job == job] or history.of_job(job, machine)
    speeds = fit(prior, runs) if runs else prior
    return replace(
        Known(tuning=tuning),
        prior=prior,
        speeds=speeds,
        factors=job_factor(same, speeds),
        n_runs=len(runs),
        n_same=len(same),
        arrow_factor=_arrow_factor(same),
        shares=_shares(same),
        facts=None if profile is None else profile.facts,
    )


def _arrow_factor(same: Sequence[Run]) -> float:
    """Return what the latest run of a job has shown; what can't be right says nothing."""
    told = same[-1].figures.get("arrow_factor", 1.0) if same else 1.0
    return told if 1 / _MOST_FACTOR < told < _MOST_FACTOR else 1.0


def _shares(same: Sequence[Run]) -> dict[str, float]:
    """Return which shares of rows the latest run of a job has shown."""
    figures = same[-1].figures if same else {}
    told = {name: figures.get(f"{name}_share", 1.0) for name in ("sent", "written")}
    return {name: share for name, share in told.items() if 0 < share <= 1}
