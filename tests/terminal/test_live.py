"""Progress as it is drawn on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dlsort.events import Opened, Used
from dlsort.terminal.live import LiveProgress, _Phase, seconds_left
from dlsort.terminal.progress import PlainProgress


class Clock:
    """Time as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("dlsort.terminal.live.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def drawn(live: LiveProgress, width: int) -> list[str]:
    """Return the lines of a drawing."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    live._console = console
    console.print(live._draw())
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("total", [1, 1200, 99_999, 6_001_215, 1_234_567_890, 987_654_321_000])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_line_is_whole_and_leaves_room(clock, width, total):
    live = LiveProgress(io.StringIO())
    live.phase("sample", total)
    clock.now += 100
    live.finish("sample")
    live.phase("partition", total)
    clock.now += 5000
    live.rows("partition", total)
    live.finish("partition")
    live.phase("sort", total)
    clock.now += 40_000
    live.rows("sort", max(total // 3, 1))
    lines = drawn(live, width)
    assert [line.split()[0] for line in lines] == ["sample", "partition", "sort", "whole"]
    # room for what a terminal shows of Ctrl-C
    assert all(len(line.rstrip()) <= width - 4 for line in lines)
    assert "…" not in "".join(lines)
    if total > 1:
        assert " of " in lines[2]
        assert "about " in lines[3]
        assert " left" in lines[3]
    assert "/s" in lines[1]
    assert lines[2].rstrip().endswith("11:06:40")
    assert all(line.count("━") + line.count("╸") + line.count("╺") >= 1 for line in lines)


def phase(name: str, done: int, seconds: float, *, ended: bool = False) -> _Phase:
    return _Phase(name, 1000, 0.0, done, seconds if ended else None, (0, 0.0) if done else None)


def test_the_time_left_is_that_of_the_whole_job():
    sample = phase("sample", 1000, 1.0, ended=True)
    assert seconds_left([phase("sample", 0, 1.0)], 1.0) is None
    # half of a phase in 10 s: as much again for it, and twice that for the next
    assert seconds_left([sample, phase("partition", 500, 10.0)], 10.0) == pytest.approx(30.0)
    read = phase("partition", 1000, 20.0, ended=True)
    assert seconds_left([sample, read], 20.0) == pytest.approx(20.0)
    written = phase("sort", 250, 20.0)
    assert seconds_left([sample, read, written], 20.0) == pytest.approx(60.0)
    all_ = [sample, read, phase("sort", 1000, 30.0, ended=True), phase("publish", 0, 1.0)]
    assert seconds_left(all_, 40.0) == 0.0


def test_a_check_against_another_counts_both():
    both = [phase("check", 500, 10.0), phase("against", 0, 0.0)]
    assert seconds_left(both, 10.0) == pytest.approx(30.0)
    assert seconds_left(both[:1], 10.0) == pytest.approx(10.0)


def test_what_was_done_at_once_has_no_rate_of_its_own(clock):
    live = LiveProgress(io.StringIO())
    live.phase("sample", 1000)
    clock.now += 10
    live.finish("sample")
    live.phase("partition", 1000)
    live.rows("partition", 1000)
    live.finish("partition")
    partition, whole = drawn(live, 80)[1:]
    assert "/s" not in partition
    assert "about 0:10 left" in whole


def test_a_phase_that_is_begun_again_counts_from_there(clock):
    live = LiveProgress(io.StringIO())
    live.phase("partition", 1000)
    clock.now += 10
    live.rows("partition", 1000)
    live.finish("partition")
    live.rows("partition", 100)
    clock.now += 10
    live.rows("partition", 300)
    (partition, _) = drawn(live, 80)
    assert "300 of 1,000 rows" in partition
    assert "20/s" in partition


class Gone(io.StringIO):
    """A terminal that goes away."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("closed file")])
def test_a_display_that_cannot_be_drawn_fails_nothing(error):
    with LiveProgress(Gone(error)) as live:
        live.phase("sort", 10)
        live.rows("sort", 5)
        live._live.refresh()
        live.finish("sort")
    plain = PlainProgress(Gone(error))
    plain.phase("sort", 10)
    plain.finish("sort")


def test_publishing_is_told_once_it_is_done():
    told = io.StringIO()
    plain = PlainProgress(told)
    plain.phase("sort", 2)
    plain.finish("sort")
    plain.phase("publish", 2)
    assert told.getvalue() == "sort: 2 rows\n"  # another sort may be faster
    plain.finish("publish")
    plain.finish("publish")
    assert told.getvalue() == "sort: 2 rows\npublish: 2 rows\n"


def test_a_line_waits_for_the_phase_before():
    told = io.StringIO()
    plain = PlainProgress(told)
    plain.phase("check", 1)
    plain.phase("against", 2)
    assert told.getvalue() == "check: 1 row\n"
    plain.finish("check")
    plain.finish("check")
    plain.phase("check", 1)
    assert told.getvalue() == "check: 1 row\nagainst: 2 rows\n"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_bytes_a_second_and_what_each_worker_uses_are_shown(clock, width):
    live = LiveProgress(io.StringIO())
    live.event(Opened(6_000_000, 4, 10**9, 6 * 2**30, 0.1))
    live.phase("partition", 6_000_000)
    clock.now += 1
    live.rows("partition", 1_000_000)
    peaks = {f"host:{i}": 2**30 + i * 2**28 for i in range(12)}
    live.event(Used(peaks, 10 * 2**30))
    *_, whole, memory = drawn(live, width)
    assert "1.0 GiB/s" in whole
    assert memory == "memory     12 x 1.0 GiB to 3.8 GiB; spilled 10.0 GiB"
    assert all(len(line) <= width for line in drawn(live, width))
    live.event(Used({"host:1": 2**30}, None))
    assert drawn(live, width)[-1] == "memory     1.0 GiB"
