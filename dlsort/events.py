"""Events: what happens, and what is measured, as a job goes.

A caller's function is told them as they are (``progress=function``), and ``--log-format json``
writes :func:`told` of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "Begun",
    "Done",
    "Event",
    "Failed",
    "Learned",
    "Made",
    "Opened",
    "PhaseBegun",
    "PhaseEnded",
    "PhaseRows",
    "Planned",
    "Published",
    "Ran",
    "Replanned",
    "Resumed",
    "Skipped",
    "Span",
    "Started",
    "Used",
    "told",
]

# What only a page of a report shows.
_OF_THE_PAGE = ("timeline", "curve")


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
    where: str = ""
    passed_groups: int = 0
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
class Replanned:
    """What is done is changed, as it was planned from what proves wrong.

    ``predicted``, ``measured``: bytes of a row, or thread seconds of what was done by then.
    """

    change: str
    because: str
    predicted: float
    measured: float


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
    """The parts are whole, and proved.

    ``surprises``: those with far more rows than planned. ``arrow_factor``: what their rows took
    in memory, over what footers say. ``sent_rows``: what inputs handed on to parts.
    """

    moved: bool
    input_parts: int
    checksum: str
    part_rows: Sequence[int]
    surprises: Sequence[int]
    output_bytes: int
    model: str = "learned"
    arrow_factor: float = 1.0
    sent_rows: int = 0


@dataclass(frozen=True)
class Published:
    """The parts are the destination."""

    publish_s: float
    seconds: float


@dataclass(frozen=True)
class Begun:
    """A sort was asked for, whose arguments are what they should be."""

    src: str
    dst: str


@dataclass(frozen=True)
class PhaseBegun:
    """A phase begins, of so many rows: sample, partition, sort or publish."""

    phase: str
    rows: int


@dataclass(frozen=True)
class PhaseRows:
    """So many rows of a phase are done; told a hundred times at the most."""

    phase: str
    done: int
    rows: int


@dataclass(frozen=True)
class PhaseEnded:
    """A phase is over. After that of ``publish`` nothing takes the new destination back."""

    phase: str


@dataclass(frozen=True)
class Used:
    """What is used by now.

    ``memory_bytes``: highest resident memory of each process that works. ``spilled_bytes``:
    what went to disk so far; None where that is known at the end only, as on a cluster.
    """

    memory_bytes: Mapping[str, int]
    spilled_bytes: int | None


@dataclass(frozen=True)
class Skipped:
    """The destination is the result already (``if_exists="skip"``): nothing is done."""

    part_rows: Sequence[int]
    output_bytes: int
    checksum: str
    seconds: float


@dataclass(frozen=True)
class Done:
    """The sort is done, or was skipped."""

    rows: int
    parts: int
    output_bytes: int
    checksum: str
    seconds: float
    skipped: bool


@dataclass(frozen=True)
class Failed:
    """The sort has failed; ``error`` is the class of what is raised."""

    error: str
    message: str


Event = (
    Opened
    | Started
    | Planned
    | Replanned
    | Resumed
    | Ran
    | Learned
    | Made
    | Published
    | Begun
    | PhaseBegun
    | PhaseRows
    | PhaseEnded
    | Used
    | Skipped
    | Done
    | Failed
)


def told(event: Event) -> dict[str, Any]:
    """Return an event as plain figures and text, with its name, but for what pages show.

    Examples
    --------
    >>> told(PhaseBegun("sort", 7))
    {'event': 'phase_begun', 'phase': 'sort', 'rows': 7}
    """
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    figures = asdict(event)
    kept = {key: value for key, value in figures.items() if key not in _OF_THE_PAGE}
    return {"event": name, **kept}
