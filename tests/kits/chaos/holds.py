"""The control folder of a cluster, seen by who tells the story; see :mod:`chaos.probe`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from patience import PATIENCE_S

T = TypeVar("T")


def until(look: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Look until something is found; fail if that takes too long."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        if time.monotonic() > deadline:
            msg = f"{what}: not in {patience_s:.0f} s"
            raise TimeoutError(msg)
        time.sleep(0.02)
    return found


class Holds:
    """Where workers are told to wait, and tell where they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def hold(self, phase: str, *, skip: int = 0, spare: Sequence[str] = ()) -> Iterator[None]:
        """Have workers wait when they get into a phase, until the context ends.

        Parameters
        ----------
        phase : str
            One of :data:`chaos.probe.PHASES`.
        skip : int
            How often each worker may enter it before.
        spare : sequence of str
            Workers that don't wait.
        """
        told = self.folder / f"hold-{phase}"
        draft = self.folder / ".hold"
        draft.write_text(json.dumps({"skip": skip, "spare": list(spare)}))
        draft.rename(told)
        try:
            yield
        finally:
            told.unlink(missing_ok=True)
            for mark in self.folder.glob(f"reached-{phase}-*"):
                mark.unlink()

    def reached(self, phase: str, n_workers: int = 1) -> list[str]:
        """Wait until so many workers wait in a phase, and return their names."""

        def look() -> list[str]:
            marks = sorted(self.folder.glob(f"reached-{phase}-*"))
            names = sorted({json.loads(mark.read_text())["worker"] for mark in marks})
            return names if len(names) >= n_workers else []

        return until(look, f"{n_workers} workers {phase}")

    def calls(self, worker: str) -> list[str]:
        """Return the phases that a worker has been in since the story began."""
        try:
            return (self.folder / f"calls-{worker}").read_text().splitlines()
        except FileNotFoundError:
            return []

    def worker(self, name: str) -> dict[str, Any]:
        """Return a worker's process and address, as it has told them."""
        try:
            return json.loads((self.folder / f"worker-{name}").read_text())
        except FileNotFoundError:
            return {}

    def forget(self) -> None:
        """Begin a new story."""
        for pattern in ("hold-*", "reached-*", "calls-*"):
            for path in self.folder.glob(pattern):
                path.unlink()
