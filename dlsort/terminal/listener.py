"""Listener: a function that is told of a job as it goes, in the place of a display.

Whoever shows progress may have a method ``event`` beside those of
:class:`dlsort.terminal.progress.Progress`; it is told what :mod:`dlsort.events` has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from dlsort.events import Event, Failed, PhaseBegun, PhaseEnded, PhaseRows, Used, told
from dlsort.terminal.streams import write

__all__ = ["JsonLines", "Listener", "json_line", "teller"]

#: A phase of any size is told of so often.
STEPS = 100


class Listener:
    """Tells a function of phases as events, each once but for their rows."""

    def __init__(self, call: Callable[[Event], object]) -> None:
        self._call = call
        self._totals: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._over: set[str] = set()

    def phase(self, name: str, total_rows: int) -> None:
        """Tell that it begins."""
        if name not in self._totals:
            self._totals[name] = total_rows
            self.event(PhaseBegun(name, total_rows))

    def rows(self, name: str, done: int) -> None:
        """Tell of so many rows, if they are a hundredth more; or fewer: it was begun again."""
        total, before = self._totals[name], self._told.get(name, 0)
        is_all = done == total > before
        if done < before or is_all or (done - before) * STEPS >= total > 0:
            self._told[name] = done
            self.event(PhaseRows(name, done, total))

    def finish(self, name: str) -> None:
        """Tell that it is over."""
        if name in self._totals and name not in self._over:
            self._over.add(name)
            self.event(PhaseEnded(name))

    def event(self, event: Event) -> None:
        """Tell of it."""
        self._call(event)


class JsonLines(Listener):
    """Writes a line of JSON for each event: for programs that look after a command.

    The command itself says that it has failed, and with which exit code.
    """

    def __init__(self, stream: TextIO | None, *, phases: bool = True) -> None:
        self._stream = stream
        self._phases = phases
        super().__init__(self._write)

    def _write(self, event: Event) -> None:
        is_of_phase = isinstance(event, PhaseBegun | PhaseRows | PhaseEnded | Used)
        if not isinstance(event, Failed) and (self._phases or not is_of_phase):
            write(self._stream, json_line(told(event)))


def json_line(figures: dict[str, Any]) -> str:
    """Return an event as a line, with the time of day in UTC."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"at": at, **figures}, default=str)


def teller(progress: object) -> Callable[[Event], None]:
    """Return what tells a display of events; nothing happens if it wants none."""
    found: Callable[[Event], None] | None = getattr(progress, "event", None)
    return found if callable(found) else lambda event: None
