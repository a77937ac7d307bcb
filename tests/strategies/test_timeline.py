"""The timeline: bounded, in order, on the threads that did it."""

from __future__ import annotations

from dlsort.proof.stats import Clock
from dlsort.strategies.timeline import timeline


def clock(thread: str, began: float, ended: float) -> Clock:
    return Clock(began, ended, "host:1", thread)


def test_spans_are_by_thread_and_time():
    found = timeline(
        100.0,
        {"sort": [clock("b", 103, 104)], "partition": [clock("a", 101, 102.5)]},
    )
    assert [tuple(span) for span in found] == [
        ("host:1 a", "partition", 1.0, 2.5),
        ("host:1 b", "sort", 3.0, 4.0),
    ]


def test_many_spans_are_joined_on_their_threads():
    clocks = [clock("ab"[i % 2], i, i + 0.5) for i in range(1000)]
    found = timeline(0.0, {"sort": clocks}, most=100)
    assert len(found) == 100
    assert {span.lane for span in found} == {"host:1 a", "host:1 b"}
    assert found[0].began_s == 0
    assert max(span.ended_s for span in found) == 999.5


def test_a_clock_knows_its_thread():
    assert Clock().thread == "MainThread"
