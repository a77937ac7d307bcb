"""Live: a job's progress drawn on a terminal, whole in 60 columns.

::

    sample     ━━━━━━━━━━━━━  3.00 M rows                   0:01
    partition  ━━━━━━━━━━━━━  3.00 of 3.00 M rows  4.1 M/s  0:01
    sort       ━━━━━━         1.52 of 3.00 M rows  2.9 M/s  0:01
    whole job  ━━━━━━━━━      about 0:01 left     212 MiB/s  0:03
    memory     2 x 412.1 MiB to 520.0 MiB; spilled 1.2 GiB

One thread draws, and no other: a signal's exception in the main thread can't cut a drawing
in two. The job's own thread leaves numbers behind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dlsort.events import Event, Opened, Used
from dlsort.sizes import format_bytes
from dlsort.wording import scaled

__all__ = ["LiveProgress"]

#: The phases of a sort that go through its rows, in order; those to come are known before.
SORTS = ("partition", "sort")
#: Phases that take no time for each row.
QUICK = ("sample", "publish")
WIDEST_BAR = 40
#: Columns left free, so that the ``^C`` which a terminal shows makes no line of ours too long.
FREE = 4


@dataclass
class _Phase:
    name: str
    total: int
    began: float
    done: int = 0
    ended: float | None = None
    #: Rows at the first word of them, and when: how long these took nobody has said.
    first: tuple[int, float] | None = None

    def seconds(self, now: float) -> float:
        return (self.ended or now) - self.began

    def rate(self, now: float) -> float | None:
        """Return rows a second since there was word of the first, or None."""
        if self.first is None:
            return None
        rows, since = self.first
        seconds = (self.ended or now) - since
        return (self.done - rows) / seconds if self.done > rows and seconds > 0 else None


class _Steady:
    """A stream that writes nothing more once it has failed: the terminal may go away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_lost = False

    def write(self, text: str) -> int:
        if not self._is_lost:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._is_lost = True
        return len(text)

    def flush(self) -> None:
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._is_lost = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LiveProgress:
    """Draws what a job reports, as long as it is entered."""

    def __init__(self, stream: TextIO) -> None:
        steady: Any = _Steady(stream)
        self._console = Console(file=steady)
        self._phases: dict[str, _Phase] = {}
        self._began = time.monotonic()
        self._ended: float | None = None
        self._row_bytes = 0.0
        self._used: Used | None = None
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=8,
            redirect_stdout=False,
        )

    def __enter__(self) -> LiveProgress:
        """Begin to draw."""
        self._live.start(refresh=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw a last time."""
        self._ended = time.monotonic()
        self._live.stop()

    def phase(self, name: str, total_rows: int) -> None:
        """Give it a line."""
        if name not in self._phases:
            self._phases[name] = _Phase(name, total_rows, time.monotonic())

    def rows(self, name: str, done: int) -> None:
        """Note the number."""
        phase = self._phases[name]
        if done < phase.done:  # it was begun again, in another way
            phase.began, phase.ended, phase.first = time.monotonic(), None, None
        if phase.first is None and done:
            # What is done at once was begun before the phase was announced.
            at_once = time.monotonic() - phase.began < 0.05
            phase.first = (done, time.monotonic()) if at_once else (0, phase.began)
        phase.done = done

    def finish(self, name: str) -> None:
        """Show it as full."""
        phase = self._phases.get(name)
        if phase is not None and phase.ended is None:
            phase.done, phase.ended = phase.total, time.monotonic()

    def event(self, event: Event) -> None:
        """Note how large rows are, and what is used."""
        match event:
            case Opened():
                self._row_bytes = event.arrow_bytes / max(event.rows, 1)
            case Used():
                self._used = event

    def _draw(self) -> Group:
        now = self._ended or time.monotonic()
        phases = list(self._phases.values())
        left_s = seconds_left(phases, now)
        lines = [_line(phase, now) for phase in phases]
        if phases:
            left = "" if not left_s or self._ended else f"about {_clock(left_s)} left"
            lines.append(("whole job", left, self._speed(now), _clock(now - self._began)))
        shares = [*(_share(p) for p in phases), self._share(left_s, now)]
        memory = [Text(memory_line(self._used), no_wrap=True)] if self._used else []
        return Group(self._table(lines, shares), *memory)

    def _speed(self, now: float) -> str:
        """Return the bytes in memory a second of the phase that goes on."""
        under_way = [
            p for p in self._phases.values() if p.ended is None and p.name not in QUICK
        ]
        rate = under_way[-1].rate(now) if under_way else None
        return f"{format_bytes(rate * self._row_bytes)}/s" if rate and self._row_bytes else ""

    def _share(self, left_s: float | None, now: float) -> float | None:
        if left_s is None:
            return 0.0 if self._ended else None
        spent_s = now - self._began
        return spent_s / (spent_s + left_s) if spent_s + left_s else 1.0

    def _table(
        self, lines: list[tuple[str, str, str, str]], shares: list[float | None]
    ) -> Table:
        taken = sum(max(map(cell_len, cells)) + 2 for cells in zip(*lines, strict=True))
        table = Table.grid(padding=(0, 2, 0, 0))
        room = self._console.width - FREE - taken
        for _ in range(3):
            table.add_column(no_wrap=True)
        for _ in range(2):
            table.add_column(no_wrap=True, justify="right")
        for (title, rows, rate, clock), share in zip(lines, shares, strict=False):
            bar = ProgressBar(
                total=1.0,
                completed=share or 0.0,
                width=max(1, min(WIDEST_BAR, room)),
                pulse=share is None,
                animation_time=time.monotonic(),
            )
            table.add_row(title, bar, rows, rate, clock)
        return table


def seconds_left(phases: list[_Phase], now: float) -> float | None:
    """Return how long the job will take yet: a phase to come is as fast as the one before.

    None if nobody knows.
    """
    by_name = {phase.name: phase for phase in phases}
    names = [name for name in by_name if name not in QUICK]
    if "sample" in by_name:
        names = list(SORTS)
    total = max((phase.total for phase in phases), default=0)
    began = min((phase.began for phase in phases), default=now)
    left_s, rate = 0.0, None
    for name in names:
        phase = by_name.get(name)
        if phase is not None:
            rate = phase.rate(now) or rate
            if rate is None and phase.done:  # all at once: it took no longer than that
                rate = phase.done / max((phase.ended or now) - began, 0.001)
        if phase is not None and phase.ended is not None:
            continue
        if rate is None:
            return None
        rows = total if phase is None else phase.total - phase.done
        left_s += rows / rate
    return left_s


def memory_line(used: Used) -> str:
    """Return what is used, in a line.

    Examples
    --------
    >>> memory_line(Used({"a:1": 2**30, "b:7": 3 * 2**29}, 2**29))
    'memory     2 x 1.0 GiB to 1.5 GiB; spilled 512.0 MiB'
    """
    sizes = list(map(format_bytes, sorted(used.memory_bytes.values())))
    few = sizes[:1] if len(set(sizes)) == 1 else [sizes[0], sizes[-1]]
    many = f"{len(sizes):,} x " if len(sizes) > 1 else ""
    spilled = (
        "" if used.spilled_bytes is None else f"; spilled {format_bytes(used.spilled_bytes)}"
    )
    return f"memory     {many}{' to '.join(few)}{spilled}"


def _share(phase: _Phase) -> float | None:
    if phase.ended is not None:
        return 1.0
    if not phase.done:
        return None
    return phase.done / max(phase.total, 1)


def _line(phase: _Phase, now: float) -> tuple[str, str, str, str]:
    rows = _rows(phase.done, phase.total)
    rate = None if phase.name in QUICK else phase.rate(now)
    speed = "" if rate is None else f"{scaled(rate)}/s"
    return phase.name, rows, speed, _clock(phase.seconds(now))


def _rows(done: int, total: int) -> str:
    """Return rows done of all, in few columns.

    Examples
    --------
    >>> _rows(0, 1200), _rows(700, 1200), _rows(1, 1)
    ('1,200 rows', '700 of 1,200 rows', '1 row')
    >>> _rows(3_456_789, 10_000_000), _rows(20_000_000, 7_500_000_000)
    ('3.5 of 10.0 M rows', '0.02 of 7.50 G rows')
    """
    size, sign = 1, ""
    for larger, its in ((1_000_000, " M"), (1_000_000_000, " G")):
        if total >= larger:
            size, sign = larger, its
    digits = 0 if size == 1 else max(0, 3 - len(str(total // size)))
    few, all_ = (f"{n / size:,.{digits}f}" for n in (done, total))
    head = f"{few} of " if 0 < done < total else ""
    return f"{head}{all_}{sign} row{'' if total == 1 else 's'}"


def _clock(seconds: float) -> str:
    """Return seconds as a clock shows them.

    Examples
    --------
    >>> _clock(7.4), _clock(3725)
    ('0:07', '1:02:05')
    """
    whole = int(seconds + 0.5)
    hours, minutes = divmod(whole // 60, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{whole % 60:02}"
