"""Events: what is measured as a job goes, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "Event",
    "Learned",
    "Made",
    "Opened",
    "Planned",
    "Published",
    "Ran",
    "Resumed",
    "Span",
    "Started",
]


class Span(NamedTuple):
    """A thread's work for one partition, or for a few that follow one another.

    Attributes
    ----------
    lane : str
        Process and thread.
    phase : str
        ``partition`` of an input, or ``sort`` of an output.
    began_s, ended_s : float
        Seconds since the job's tasks began.
    """

    lane: str
    phase: str
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Opened:
    """The source's footers were read. ``passed``: files that are not of it, by the reason."""

    rows: int
    files: int
    stored_bytes: int
    arrow_bytes: int
    seconds: float
    passed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes: Sequence[str] = ()
    dropped: Sequence[str] = ()
    decrypted: int = 0
    read_as: Sequence[str] = ()


@dataclass(frozen=True)
class Started:
    """There is a cluster, and a plan of the parts."""

    workers: int
    threads: int
    output_parts: int
    seconds: float


@dataclass(frozen=True)
class Planned:
    """How the parts are made has been decided. ``predicted``: what that is to take."""

    predicted: Mapping[str, Any]


@dataclass(frozen=True)
class Resumed:
    """Parts of an earlier attempt were verified, and are kept."""

    parts: int


@dataclass(frozen=True)
class Ran:
    """The tasks of a plan have ended.

    ``work``: thread seconds by step. ``timeline``: which thread did what when.
    """

    sample_s: float
    partition_s: float
    sort_s: float
    work: Mapping[str, float]
    peak_memory_bytes: int
    spilled_bytes: int
    timeline: Sequence[Span] = ()


@dataclass(frozen=True)
class Learned:
    """The rows were parted by a model. ``curve``: some of its splitters."""

    curve: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """The parts are whole, and proved. ``surprises``: those with far more rows than planned."""

    moved: bool
    input_parts: int
    checksum: str
    part_rows: Sequence[int]
    surprises: Sequence[int]
    output_bytes: int
    model: str = "learned"


@dataclass(frozen=True)
class Published:
    """The parts are the destination."""

    publish_s: float
    seconds: float


Event = Opened | Started | Planned | Resumed | Ran | Learned | Made | Published
