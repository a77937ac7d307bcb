"""Rounds: in each of them every engine has one turn, so that all meet the same minutes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dlsort.bench.engines import Engine, Outcome, Share, Work, said, serve
from dlsort.bench.watch import Sample, watch
from dlsort.errors import DlsortError

__all__ = ["Child", "Take", "Turn", "children", "in_turn", "sort_and_check"]

_LEAVE_S = 30.0  # how long an engine may take to end


class Turn(NamedTuple):
    """One engine's turn at one job.

    Attributes
    ----------
    round : int
        0 is the cold one.
    outcome : Outcome
    peak_bytes : int
        The most that was resident in all its processes together.
    verdict : str
        ``ok``, or what is wrong with the result, or why there is none.
    samples : sequence of Sample
    began : float
        By ``time.monotonic``.
    """

    round: int
    outcome: Outcome
    peak_bytes: int
    verdict: str
    samples: Sequence[Sample] = ()
    began: float = 0.0

    @property
    def ago_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began


Take = Callable[[int], Turn]
Check = Callable[[Work, Path], str]  # "ok", or what is wrong with a result


def in_turn(
    takers: Mapping[str, Take], rounds: int, on_turn: Callable[[str, Turn], None]
) -> dict[str, list[Turn]]:
    """Give every engine its turn in a cold round and then in ``rounds`` more.

    ``on_turn`` is told each turn as it ends, so that nothing is lost where one is stopped.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in takers}
    for number in range(rounds + 1):
        for name, take in takers.items():
            turn = take(number)
            turns[name].append(turn)
            on_turn(name, turn)
    return turns


class Child:
    """An engine in its own process."""

    def __init__(self, make: type[Engine], share: Share) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(make, share, theirs))
        self._process.start()
        theirs.close()
        self.error: str | None = None

    def ready(self) -> None:
        """Wait until the engine has started, or has failed to."""
        self.error = self._answer()

    def sort(self, work: Work, dst: Path) -> tuple[Outcome, int, Sequence[Sample]]:
        """Return the outcome, the most bytes resident in its processes, and samples."""
        if self.error is not None:
            return Outcome(0.0, None, self.error), 0, ()
        with watch(self._process.pid) as peak:
            self._pipe.send((work, dst))
            answer = self._answer()
        if isinstance(answer, Outcome):
            return answer, peak.total, peak.samples
        self.error = answer
        return Outcome(0.0, None, self.error), peak.total, peak.samples

    def _answer(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return f"its process died with exit code {self._process.exitcode}"

    def close(self) -> None:
        """End the process in good order, at work or not, and wait for it."""
        if self._process.is_alive():
            try:
                self._pipe.send(None)
                self._pipe.close()
                self._process.join(_LEAVE_S)
            finally:
                if self._process.is_alive():
                    self._end()
        self._process.join()

    def stop(self) -> None:
        """End the process, which is at work."""
        self._process.terminate()
        self._process.join(_LEAVE_S)
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()


@contextmanager
def children(engines: Mapping[str, type[Engine]], share: Share) -> Iterator[dict[str, Child]]:
    """Start each engine in a process, and end them; at once, if what is between fails."""
    found: dict[str, Child] = {}
    try:
        for name, make in engines.items():
            found[name] = Child(make, share)
            found[name].ready()
        yield found
    except BaseException:
        for child in found.values():
            child.stop()
        raise
    for child in found.values():
        child.close()


def sort_and_check(child: Child, number: int, work: Work, out: Path, check: Check) -> Turn:
    """Have an engine sort into a new folder, check the result, and remove it."""
    out.mkdir()
    try:
        os.sync()  # what the engine before has written is not this one's load
        began = time.monotonic()
        outcome, peak, samples = child.sort(work, out)
        checked = outcome.error or _checked(check, work, out)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return Turn(number, outcome, peak, checked, samples, began)


def _checked(check: Check, work: Work, out: Path) -> str:
    try:
        return check(work, out)
    except (pa.ArrowException, OSError, DlsortError) as error:  # no such data, or no key
        return f"can't be read: {said(error)}"
