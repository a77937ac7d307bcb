"""Stop: Ctrl-C, SIGTERM and a terminal that goes away, while a command runs."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from dlsort.cli.log_lines import line_of

if TYPE_CHECKING:
    from dlsort.events import Event
    from dlsort.terminal.progress import Progress

__all__ = ["Stopped", "Watched", "leave", "on_signal"]

# Signals that follow one another sooner than that are one: what it leads to, which is to take
# down what was set up, is not to be stopped half-way.
AT_ONCE_S = 1.0

Handler = Callable[[int, FrameType | None], None]


class Stopped(KeyboardInterrupt):
    """A signal arrived. No ``except Exception`` on the way up holds it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def name(self) -> str:
        """The signal's name."""
        return signal.Signals(self.number).name


@contextmanager
def on_signal(handler: Handler) -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP handled for a while, if this thread may decide that.

    One that was ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # `nohup`, or a script that puts a job into the background, has one ignored, and means that.
    wanted = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
    before = {n: signal.signal(n, handler) for n in wanted}
    tell_unraisable = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        # Raised where a finalizer happened to run: `Watched` stops the command instead.
        if not isinstance(lost.exc_value, Stopped):
            tell_unraisable(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = tell_unraisable
        for number, former in before.items():
            signal.signal(number, former)


def leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing is begun yet, and LLVM, at work, would not survive an exception."""
    with suppress(OSError):
        line = "\n" if number == signal.SIGINT and os.isatty(2) else ""  # after the ^C
        told = line_of(
            f"Error: stopped by {signal.Signals(number).name}.", exit_code=128 + number
        )
        os.write(2, f"{line}{told}\n".encode())
    os._exit(128 + number)


class Watched:
    """A progress display that knows when a signal stops the command, and when it may not.

    Once it is decided that the destination is the new, only tidying up is left, which no
    signal interrupts: the command ends well, as it has done what it was asked for. Python
    drops what a handler raises where a finalizer happens to run: then the next word does it.

    Attributes
    ----------
    is_decided : bool
        The destination is the new one, whatever comes.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.is_decided = False
        self._seen: list[int] = []
        self._is_tidy = False
        self._last_at = -math.inf

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: unwind the command, which takes down what it set up."""
        if self._is_tidy or not (self.is_decided or self._is_repeated()):
            self._seen.append(number)
            raise Stopped(number)

    def _is_repeated(self) -> bool:
        """Return whether a signal has just come: a hand on Ctrl-C is no second thought."""
        before, self._last_at = self._last_at, time.monotonic()
        return self._last_at - before < AT_ONCE_S

    def tidied(self) -> None:
        """Let signals through again: what is still to be written may wait for a reader."""
        self._is_tidy = True

    def _check(self) -> None:
        if self._seen and not self.is_decided:
            raise Stopped(self._seen[0])

    def phase(self, name: str, total_rows: int) -> None:
        """Pass it on."""
        self._check()
        self.progress.phase(name, total_rows)

    def rows(self, name: str, done: int) -> None:
        """Pass it on."""
        self._check()
        self.progress.rows(name, done)

    def finish(self, name: str) -> None:
        """Pass it on; that of the last phase is the decision."""
        self.is_decided |= name == "publish"
        self._check()
        self.progress.finish(name)

    def event(self, event: Event) -> None:
        """Pass it on to one that wants it."""
        self._check()
        if callable(tell := getattr(self.progress, "event", None)):
            tell(event)
