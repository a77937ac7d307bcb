"""On the dashboard: a job on someone's cluster tells the scheduler how it is.

It is told when a phase begins or ends, and of rows once a second; see
:mod:`dlsort_cluster.dashboard`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dlsort.events import Event, Made
from dlsort.report import SortReport
from dlsort.strategies.asked import Asked
from dlsort.strategies.run import Place
from dlsort.terminal.listener import teller
from dlsort.terminal.progress import Progress
from dlsort_cluster.exchange import Layer

__all__ = ["OnDashboard", "on_dashboard"]

EVERY_S = 1.0


class OnDashboard:
    """Shows progress where it was shown before, and on the dashboard too.

    Parameters
    ----------
    progress : Progress
        Where else.
    tell : callable
        ``tell(figures, is_last=…)`` tells the scheduler, as
        :func:`dlsort_cluster.dashboard.client.tell_of_job` does.
    known : dict
        What of a job is known before it begins.
    """

    def __init__(
        self, progress: Progress, tell: Callable[..., None], known: dict[str, Any]
    ) -> None:
        self._progress, self._send = progress, tell
        self._figures = {"id": uuid.uuid4().hex, "state": "at work", **known}
        self._phases: dict[str, list[int]] = {}
        self._told_at = 0.0
        self.event = teller(progress)

    def planned(self, n_parts: int) -> None:
        """Note how many parts there are to be."""
        self._figures["n_parts"] = n_parts

    def laid(self, layer: Layer) -> None:
        """Note the name of the exchange whose tasks these are, if they are of one."""
        barriers = (key for key in layer.graph if str(key).startswith("shuffle-barrier-"))
        self._figures["run"] = str(next(barriers, "")).removeprefix("shuffle-barrier-")
        self._tell()

    def phase(self, name: str, total_rows: int) -> None:
        """Show that it begins."""
        self._progress.phase(name, total_rows)
        if name not in self._phases:
            self._phases[name] = [0, total_rows]
            self._tell()

    def rows(self, name: str, done: int) -> None:
        """Show how many rows are done."""
        self._progress.rows(name, done)
        self._phases[name][0] = done
        if time.monotonic() - self._told_at >= EVERY_S:
            self._tell()

    def finish(self, name: str) -> None:
        """Show it as full."""
        self._progress.finish(name)
        phase = self._phases.get(name)
        if phase is not None and phase[0] < phase[1]:
            phase[0] = phase[1]
            self._tell()

    def noting(self, note: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return what notes an event, and shows the rows of the parts."""

        def noted(event: Event) -> None:
            note(event)
            if isinstance(event, Made):
                self._figures["part_rows"] = [int(rows) for rows in event.part_rows]
                self._tell()

        return noted

    def end(self, state: str, error: str = "") -> None:
        """Show how it ended."""
        self._figures |= {"state": state, "error": error}
        if state == "done":
            self._phases = {name: [total, total] for name, (_, total) in self._phases.items()}
        self._tell(is_last=True)

    def _tell(self, *, is_last: bool = False) -> None:
        self._told_at = time.monotonic()
        phases = [[name, *numbers] for name, numbers in self._phases.items()]
        self._send({**self._figures, "phases": phases}, is_last=is_last)


@contextmanager
def on_dashboard(
    place: Place, asked: Asked, report: SortReport, progress: Progress
) -> Iterator[OnDashboard]:
    """Give what shows a job's progress on its cluster's dashboard too, until it ends.

    A cluster of our own has no dashboard, nor has this process: there it is shown as before.
    """
    known = {
        "title": "sort_dataset",
        "by": report.by,
        "source": report.src,
        "rows": report.rows,
        "n_parts": 0,
    }
    if asked.scheduler is None or place.client is None:
        yield OnDashboard(progress, lambda figures, *, is_last: None, known)
        return
    from dlsort_cluster.dashboard.client import put_up, tell_of_job

    put_up(place.client)
    shown = OnDashboard(progress, partial(tell_of_job, place.client), known)
    try:
        yield shown
    except BaseException as error:
        shown.end("failed", f"{type(error).__name__}: {error}")
        raise
    shown.end("done")
