"""Codecs: whether what goes to a disk or over a link is compressed: by what took less of late.

A disk that takes 100 MB/s is worth a codec that packs 600 MB/s into a third; the page cache,
while it has room, is not; so it is with links between hosts. Neither is known before, and both
change while a job runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, thread_time

__all__ = ["Codecs"]

# Each so many runs, what takes longer is tried again, and at 4 and 8: a disk's first bytes
# take several times as long as those that follow.
_AGAIN = 16
_EARLY = (4, 8)
# Of a thread's time in what reading back takes: LZ4 unpacks twice as fast as it packs.
_READ_SHARE = 0.5
# Of the last run in what a way is said to take: the page cache fills up within some ten runs.
_NEWEST = 0.6


class Codecs:
    """What compresses what goes to one place, in runs; may be asked by any thread.

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
        codec = self.pick()
        began, worked = perf_counter(), thread_time()
        yield codec
        seconds = perf_counter() - began + _READ_SHARE * (thread_time() - worked)
        self.took(codec, n_bytes, seconds)

    def pick(self) -> str | None:
        """Return the codec for a run; :meth:`took` is told what that has taken."""
        with self._lock:
            return self._next()

    def took(self, codec: str | None, n_bytes: int, seconds: float) -> None:
        """Take in how long a run of so many bytes, before they are compressed, has taken."""
        taken = seconds / max(1, n_bytes)
        with self._lock:
            before = self._taken.get(codec, taken)
            self._taken[codec] = before + _NEWEST * (taken - before)

    def _next(self) -> str | None:
        self._n_runs += 1
        for codec in self._ways:
            if codec not in self._taken:
                return codec
        best = min(self._ways, key=self._taken.__getitem__)
        if self._n_runs % _AGAIN and self._n_runs not in _EARLY:
            return best
        return next((codec for codec in self._ways if codec != best), best)
