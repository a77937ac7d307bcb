"""Progress: what a running job has done, live on a terminal, a line a phase elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

import numpy as np

from dlsort.errors import BadOptionError, shown
from dlsort.events import Event
from dlsort.terminal.listener import Listener
from dlsort.terminal.streams import columns, is_terminal, write
from dlsort.wording import count

__all__ = ["NoProgress", "PlainProgress", "Progress", "live_progress", "progress_for"]

NARROWEST = 40  # columns: a terminal of less gets plain lines


class Progress(Protocol):
    """What a job reports as it goes.

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
    asked: Progress | Callable[[Event], object] | bool | None,  # noqa: FBT001 - as callers of the doors give it
) -> Iterator[Progress]:
    """Give what a caller asks for: a live display, none, or an object of its own.

    Raises
    ------
    BadOptionError
        If it is neither True, False, None, such an object, nor a function.
    """
    if asked is None or isinstance(asked, bool | np.bool):
        with live_progress(show=bool(asked)) as progress:
            yield progress
        return
    methods = ("phase", "rows", "finish")
    is_type = isinstance(asked, type)
    if not is_type and all(callable(getattr(asked, m, None)) for m in methods):
        shows: Any = asked
        yield shows
    elif not is_type and callable(asked):
        yield Listener(asked)
    else:
        msg = (
            f"progress is {shown(asked)}; expected True, False, an object with the methods "
            "phase, rows and finish, or a function."
        )
        raise BadOptionError(msg)


class PlainProgress:
    """Writes a line as each phase begins, once those before it are over.

    That of ``publish`` waits for its end: until then it may come to nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._totals: dict[str, int] = {}
        self._told: set[str] = set()
        self._over: set[str] = set()

    def phase(self, name: str, total_rows: int) -> None:
        """Write a line, now or when its turn comes."""
        self._totals.setdefault(name, total_rows)
        self._tell()

    def rows(self, name: str, done: int) -> None:
        """Do nothing."""

    def finish(self, name: str) -> None:
        """Have the next phase's line written."""
        self._over.add(name)
        self._tell()

    def _tell(self) -> None:
        for name, total_rows in self._totals.items():
            if name == "publish" and name not in self._over:
                return
            if name not in self._told:
                self._told.add(name)
                write(self._stream, f"{name}: {count(total_rows, 'row')}")
            if name not in self._over:
                return


@contextmanager
def live_progress(*, show: bool | None = None) -> Iterator[Progress]:
    """Give a progress display on standard error, which never makes a job fail.

    Parameters
    ----------
    show : bool, optional
        Show it; the default. It is live on a terminal, and a line a phase elsewhere.
    """
    if show is False:
        yield NoProgress()
    elif not _can_draw(sys.stderr):
        yield PlainProgress(sys.stderr)
    else:
        from dlsort.terminal.live import LiveProgress

        with LiveProgress(sys.stderr) as live:
            yield live


def _can_draw(stream: TextIO | None) -> bool:
    if stream is None or not is_terminal(stream):
        return False
    if os.environ.get("TERM", "dumb").lower() in ("dumb", "unknown"):
        return False
    return (columns(stream) or NARROWEST) >= NARROWEST
