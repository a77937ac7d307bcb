"""Stats: what an input and an output partition amounted to, small enough for the client."""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from dlsort.proof.checksum import NOTHING, Proof

__all__ = ["Clock", "InputStats", "OutputStats", "PieceEnds", "peak_memory_bytes"]


@dataclass
class Clock:
    """Thread seconds by step, and where and when a task ran."""

    began: float = field(default_factory=time.time)
    ended: float = 0.0
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    thread: str = field(default_factory=lambda: threading.current_thread().name)
    peak_bytes: int = 0
    work: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time inside to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.work[name] = self.work.get(name, 0.0) + time.perf_counter() - start
            self.ended = time.time()
            self.peak_bytes = peak_memory_bytes()


class PieceEnds(NamedTuple):
    """The first and the last row's key of row groups ``first : stop`` of a source."""

    first: int
    stop: int
    keys: pa.Table


@dataclass(frozen=True)
class InputStats:
    """What an input partition amounted to.

    Parameters
    ----------
    proof : Proof
        Of the rows that go to the parts.
    n_passed : int
        Rows that were read too, and go nowhere: nobody has asked for them.
    ends : tuple of PieceEnds
        Of the pieces that were read, where these are said to be in order.
    number : int
        Which input it is, or of a plan without an exchange which part; -1: not told.
    n_bytes : int
        Arrow size of the rows that go to the parts.
    """

    proof: Proof
    clock: Clock
    n_passed: int = 0
    ends: tuple[PieceEnds, ...] = ()
    number: int = -1
    n_bytes: int = 0

    @property
    def n_read(self) -> int:
        """Rows that were read."""
        return self.proof.rows + self.n_passed


@dataclass(frozen=True)
class OutputStats:
    """What an output partition amounted to.

    Parameters
    ----------
    part : int
        Which one.
    proof : Proof
        Of the rows as they went to the writer.
    file_bytes : int
        Size of the part.
    edges : pyarrow.Table
        Key columns of its first and last row; no rows where it is empty.
    left_out : Proof
        Of rows that it was made from too, and that nobody has asked for.
    files : tuple of (str, int)
        Its files, by their paths in the folder of parts, and their sizes.
    """

    part: int
    proof: Proof
    file_bytes: int
    edges: pa.Table
    clock: Clock
    left_out: Proof = NOTHING
    files: tuple[tuple[str, int], ...] = ()

    @property
    def given(self) -> Proof:
        """Of the rows that it was made from."""
        return self.proof + self.left_out


def peak_memory_bytes() -> int:
    """Return this process's highest resident memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
