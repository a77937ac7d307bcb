"""Bounds: how much of each resource a phase used, and which one it was bound by.

The rule is `RULE`, which the page shows. Memory bounds a phase only by having it spill, which
is the disk's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlsort.bench.watch import Sample

__all__ = ["BOUND_AT", "RULE", "bounds", "phase_spans"]

BOUND_AT = 0.7
_FEWEST_S = 0.3  # of a phase that can be told about: three looks
PHASES = ("open", "start", "sample", "partition", "sort", "publish")

RULE = (
    "A share is what was used of a resource over what there is: seconds of processor over the "
    "phase's time and the engine's cores; bytes of the disk a second over what a plain read "
    "and write of it were measured to do; bytes sent over the fastest link's speed; the most "
    "resident memory over the limit. The largest of the first three is the bound if it is at "
    f"least {BOUND_AT:.0%}. If none is, the phase waited: for one thread, for Python's lock, "
    "for answers or for something to start. Disk and network are the whole host's, whoever "
    "used them; what the page cache holds is no disk's."
)


def phase_spans(
    report: Mapping[str, Any] | None, seconds: float
) -> list[tuple[str, float, float]]:
    """Return the phases with their begin and end, in seconds from the sort's; or the whole.

    Examples
    --------
    >>> phase_spans({"phases": {"open_s": 0.5, "sort_s": 1.0}}, 2.0)
    [('open', 0.0, 0.5), ('sort', 0.5, 1.5)]
    >>> phase_spans(None, 2.0)
    [('whole', 0.0, 2.0)]
    """
    if report is None:
        return [("whole", 0.0, seconds)]
    found, at = [], 0.0
    for name in PHASES:
        took = report["phases"].get(f"{name}_s", 0.0)
        if took > 0:
            found.append((name, at, at + took))
        at += took
    return found


def bounds(
    spans: Sequence[tuple[str, float, float]],
    samples: Sequence[Sample],
    limits: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """Return of each phase the shares of what there is, and its bound.

    Parameters
    ----------
    spans : sequence of (str, float, float)
        Phases, with their begin and end.
    samples : sequence of Sample
    limits : mapping
        What there is: ``cores``, ``memory_bytes``; bytes a second ``disk_read``, ``disk_write``
        and ``network``; None where that is not known.

    Returns
    -------
    list of dict
        ``phase``, ``seconds``, ``bound``, and shares ``processor``, ``disk``, ``network`` and
        ``memory``; None where one is not known.
    """
    return [_bound(*span, samples, limits) for span in spans]


def _bound(
    phase: str,
    began: float,
    ended: float,
    samples: Sequence[Sample],
    limits: Mapping[str, float | None],
) -> dict[str, Any]:
    seen = list(_within(began, ended, samples))
    time_s = sum(share for share, _ in seen)
    found: dict[str, Any] = {"phase": phase, "seconds": ended - began}
    if time_s < _FEWEST_S:
        nothing = dict.fromkeys(("processor", "disk", "network", "memory"))
        return {**found, **nothing, "bound": "too short to tell"}

    def mean(name: str) -> float:
        return float(sum(share * getattr(each, name) for share, each in seen) / time_s)

    def of(used: float, limit: str) -> float | None:
        there = limits.get(limit)
        return used / there if there else None

    read, written = of(mean("disk_read"), "disk_read"), of(mean("disk_write"), "disk_write")
    known = [share for share in (read, written) if share is not None]
    shares = {
        "processor": of(mean("cores"), "cores"),
        "disk": sum(known) if known else None,
        "network": of(mean("sent"), "network"),
    }
    most = max(each.memory_bytes for _, each in seen)
    name, share = max(shares.items(), key=lambda each: each[1] or 0.0)
    bound = name if (share or 0.0) >= BOUND_AT else "waiting"
    return {**found, **shares, "memory": of(most, "memory_bytes"), "bound": bound}


def _within(
    began: float, ended: float, samples: Sequence[Sample]
) -> Iterator[tuple[float, Sample]]:
    """Give the samples of a time, with how many seconds of it each is."""
    for each in samples:
        share = min(ended, each.at_s) - max(began, each.at_s - each.seconds)
        if share > 0:
            yield share, each
