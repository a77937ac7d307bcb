"""Jobs as the dashboard shows them: what is known of each, put together from all who tell."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AT_WORK", "Job", "Phase", "Share"]

AT_WORK = "at work"
_MOST_SAMPLES = 600
_TOLD = ("title", "by", "source", "rows", "n_parts", "state", "error", "client")


@dataclass
class Phase:
    """How far a phase is: so many of all, of rows, inputs or partitions."""

    name: str
    done: int
    total: int
    unit: str = "rows"


@dataclass(frozen=True)
class Share:
    """What one worker has moved for a job, in bytes."""

    run_id: int
    sent: int
    received: int
    spilled: int


@dataclass
class Job:
    """A sort of a dataset, or the exchange of a frame.

    Parameters
    ----------
    title, by, source : str
        What is done, the key, and the input.
    rows, n_parts : int
        Of the input, 0 until known; of the output.
    state, error : str
        ``at work``, ``done``, ``failed`` or ``lost``; and why.
    phases : list of Phase
        Those that have begun.
    part_rows : dict of int to int
        Rows of each partition so far.
    shares : dict of str to Share
        What each worker has moved, by address.
    samples : deque of (float, float)
        Seconds since the job began, and how many rows were partitioned or sorted by then.
    client : str
        The identity of the client that tells of it; empty if none does.
    """

    title: str = "exchange"
    by: str = ""
    source: str = ""
    rows: int = 0
    n_parts: int = 0
    state: str = AT_WORK
    error: str = ""
    client: str = ""
    phases: list[Phase] = field(default_factory=list)
    part_rows: dict[int, int] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    samples: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=_MOST_SAMPLES)
    )
    began: float = field(default_factory=time.time)
    ended: float | None = None
    run_id: int = 0
    is_counted: bool = False

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return (self.ended or time.time()) - self.began

    @property
    def planned_rows(self) -> float:
        """Rows of each partition as the model cuts them: an even share."""
        rows = self.rows or sum(self.part_rows.values())
        return rows / self.n_parts if self.n_parts else 0.0

    @property
    def imbalance(self) -> float:
        """Rows of the largest partition over the mean."""
        total = sum(self.part_rows.values())
        return max(self.part_rows.values()) * self.n_parts / total if total else 0.0

    def end(self, state: str, error: str = "") -> None:
        """Note how it has ended, once."""
        if self.state == AT_WORK:
            self.state, self.error, self.ended = state, error, time.time()

    def take_word(self, told: Mapping[str, Any]) -> None:
        """Take over what its client tells, until it has ended: words may come late."""
        if self.ended is not None:
            return
        for name in _TOLD:
            if name in told:
                setattr(self, name, type(getattr(self, name))(told[name]))
        self.phases = [Phase(str(n), int(done), int(all_)) for n, done, all_ in told["phases"]]
        if told.get("part_rows"):
            self.count(self.run_id, told["part_rows"])
        if self.state != AT_WORK and self.ended is None:
            self.ended = time.time()
        self.sample()

    def take_share(self, told: Mapping[str, Any]) -> None:
        """Take over what a worker tells of its share, unless it is of an earlier run."""
        run_id, worker = int(told["run_id"]), str(told["worker"])
        if run_id < self.run_id:
            return
        if run_id > self.run_id:  # begun again, with what workers are left
            self.run_id, self.is_counted = run_id, False
            self.shares.clear()
            self.part_rows.clear()
        moved = (int(told[f"{name}_bytes"]) for name in ("sent", "received", "spilled"))
        self.shares[worker] = Share(run_id, *moved)
        if not self.is_counted:
            self.part_rows.update(zip(told["parts"], told["rows"], strict=True))

    def count(self, run_id: int, rows: Sequence[int]) -> None:
        """Take over the rows of all partitions, which change no more in this run."""
        if run_id >= self.run_id:
            self.run_id, self.is_counted = run_id, True
            self.part_rows = {part: int(n) for part, n in enumerate(rows)}
            self.rows = self.rows or sum(self.part_rows.values())

    def absorb(self, other: Job) -> None:
        """Take over what was seen of its exchange before its client told whose that is."""
        self.began = min(self.began, other.began)
        self.run_id, self.shares = other.run_id, other.shares
        self.part_rows, self.is_counted = other.part_rows, other.is_counted

    def sample(self) -> None:
        """Note how many rows are done by now."""
        sizes = {"rows": 1.0, "partitions": self.planned_rows}
        done = sum(phase.done * sizes.get(phase.unit, 0.0) for phase in _by_row(self.phases))
        if any(phase.unit == "inputs" for phase in self.phases):
            done += sum(self.part_rows.values())
        if not self.samples or done > self.samples[-1][1] or self.state == AT_WORK:
            self.samples.append((self.seconds, done))


def _by_row(phases: Sequence[Phase]) -> list[Phase]:
    """Return the phases that take a time for each row."""
    return [phase for phase in phases if phase.name in ("partition", "sort")]
