"""Timeline: which thread worked on what when, as far as a page can show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from dlsort.events import Span
from dlsort.proof.stats import Clock

__all__ = ["MOST_SPANS", "timeline"]

MOST_SPANS = 4000  # a page of some 300 KB


def timeline(
    began_at: float, clocks: Mapping[str, Sequence[Clock]], most: int = MOST_SPANS
) -> list[Span]:
    """Return what the threads did, in the order of threads and time.

    Parameters
    ----------
    began_at : float
        When the tasks began, by ``time.time``.
    clocks : mapping
        Of a task each, by phase. Other machines' clocks are believed.
    most : int
        From that number on some that follow one another on a thread are one span.
    """
    spans = sorted(
        Span(f"{c.process} {c.thread}", phase, c.began - began_at, c.ended - began_at)
        for phase, each in clocks.items()
        for c in each
    )
    every = -(-len(spans) // most)
    if every <= 1:
        return spans
    joined = []
    for (lane, phase), group in groupby(spans, lambda span: span[:2]):
        same = list(group)
        for i in range(0, len(same), every):
            few = same[i : i + every]
            ended_s = max(span.ended_s for span in few)
            joined.append(Span(lane, phase, few[0].began_s, ended_s))
    return joined
