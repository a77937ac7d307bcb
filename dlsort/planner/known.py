"""Known: the speeds that a job is planned with, and where they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlsort.planner.speeds import BUILT_IN, Speeds

__all__ = ["Known"]


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
        Jobs that the speeds are fitted to; those of them that were this one.
    is_measured : bool
        The machine has a profile.
    """

    prior: Speeds = field(default_factory=lambda: BUILT_IN)
    speeds: Speeds = field(default_factory=lambda: BUILT_IN)
    factors: Mapping[str, float] = field(default_factory=dict)
    n_runs: int = 0
    n_same: int = 0
    is_measured: bool = False

    def __str__(self) -> str:
        """Return it in words."""
        told = "this machine's profile" if self.is_measured else "built-in figures"
        if not self.n_runs:
            return told
        same = f", {self.n_same:,} of this job" if self.n_same else ""
        return f"{told}, fitted to {self.n_runs:,} runs{same}"
