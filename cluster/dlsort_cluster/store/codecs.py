"""Codecs: whether what goes to disk is compressed, decided by what either has taken of late.

A disk that takes 100 MB/s is worth a codec that packs 600 MB/s into a third; the page cache,
while it has room, is not. Neither is known before, and both change while a job runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

__all__ = ["Codecs"]

# Each so many runs, what takes longer is tried again: at worst a sixteenth of the runs take
# what the other way costs.
_AGAIN = 16
# Of the last run in what a way is said to take: the page cache fills up within some ten runs.
_NEWEST = 0.4


class Codecs:
    """What compresses the runs that go to one disk; may be asked by any thread.

    Parameters
    ----------
    ways : tuple of (str or None)
        Names of Arrow's codecs; None: bytes as they are.
    """

    def __init__(self, ways: tuple[str | None, ...] = (None, "lz4")) -> None:
        self._ways = ways
        self._taken: dict[str | None, float] = {}  # seconds a byte, before it is compressed
        self._n_runs = 0
        self._lock = threading.Lock()

    @contextmanager
    def choose(self, n_bytes: int) -> Iterator[str | None]:
        """Give the codec for a run of so many bytes; what is done inside is timed."""
        with self._lock:
            codec = self._next()
        began = perf_counter()
        yield codec
        taken = (perf_counter() - began) / max(1, n_bytes)
        with self._lock:
            before = self._taken.get(codec, taken)
            self._taken[codec] = before + _NEWEST * (taken - before)

    def _next(self) -> str | None:
        self._n_runs += 1
        for codec in self._ways:
            if codec not in self._taken:
                return codec
        best = min(self._ways, key=self._taken.__getitem__)
        if self._n_runs % _AGAIN:
            return best
        return next((codec for codec in self._ways if codec != best), best)
