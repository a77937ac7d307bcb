"""Progress: what a running job has done, live on a terminal, silent elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlsort.errors import BadOptionError, shown

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["PHASES", "NoProgress", "Progress", "live_progress", "progress_for"]

PHASES = ("sample", "partition", "sort")
TITLES = {
    "sample": "sample and fit the model",
    "partition": "read and partition",
    "sort": "sort and write",
    "publish": "publish",
    "check": "check the order",
    "against": "read the rows of the other",
}


class Progress(Protocol):
    """What a job tells as it goes.

    Its last phase, ``publish``, is over once nothing takes the new destination back any more.
    """

    def phase(self, name: str, total_rows: int) -> None:
        """Say that a phase begins, and how many rows it has."""

    def rows(self, name: str, done: int) -> None:
        """Say how many rows of a phase are done."""

    def finish(self, name: str) -> None:
        """Say that a phase is over."""


class NoProgress:
    """Says nothing."""

    def phase(self, name: str, total_rows: int) -> None:
        """Do nothing."""

    def rows(self, name: str, done: int) -> None:
        """Do nothing."""

    def finish(self, name: str) -> None:
        """Do nothing."""


@contextmanager
def progress_for(
    asked: Progress | bool | None,  # noqa: FBT001 - as callers of the doors give it
) -> Iterator[Progress]:
    """Give what a caller asks for: a live display, none, or an object of its own.

    Raises
    ------
    BadOptionError
        If it is neither True, False, None nor such an object.
    """
    if asked is None or isinstance(asked, bool | np.bool):
        with live_progress(show=bool(asked)) as progress:
            yield progress
        return
    methods = ("phase", "rows", "finish")
    if isinstance(asked, type) or not all(callable(getattr(asked, m, None)) for m in methods):
        msg = (
            f"progress is {shown(asked)}; expected True, False, or an object with the methods "
            "phase, rows and finish."
        )
        raise BadOptionError(msg)
    yield asked


class _LiveProgress:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:26}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[rows]:>32}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=False,
        )
        self.tasks: dict[str, TaskID] = {}

    def phase(self, name: str, total_rows: int) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(
                TITLES.get(name, name), total=total_rows, rows=f"{total_rows:,} rows"
            )

    def rows(self, name: str, done: int) -> None:
        task = self.tasks[name]
        total = self.bars.tasks[task].total or 0
        self.bars.update(task, completed=done, rows=f"{done:,} of {int(total):,} rows")

    def finish(self, name: str) -> None:
        if name in self.tasks:
            task = self.tasks[name]
            total = self.bars.tasks[task].total or 0
            # a phase without rows still ends full
            self.bars.update(task, total=max(total, 1), completed=max(total, 1))


@contextmanager
def live_progress(*, show: bool | None = None) -> Iterator[Progress]:
    """Give a progress display.

    Parameters
    ----------
    show : bool, optional
        Show it; if not said, only where standard error is a terminal.
    """
    import sys

    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield NoProgress()
        return
    live = _LiveProgress()
    with live.bars:
        yield live
