"""Link: rows for workers on other hosts, compressed where the link takes longer than that.

1 Gbit/s takes 8 ns a byte, LZ4 some 2 on the threads that have other work too; 25 Gbit/s take
0.3. Neither is known before, so both ways are tried, as they are for what goes to disk. What
either takes is the time of a thread that packs, over the threads that do, and the time until
the other worker has answered, over the messages that are on their way at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, thread_time

import numpy as np

from dlsort_cluster.p2p.messages import Packed
from dlsort_cluster.store.codecs import Codecs
from dlsort_cluster.wire import Unit, pack

__all__ = ["Link"]

# Less is sent as it is: a message of that size takes time for its own sake.
_FEWEST_BYTES = 64 * 2**10


class Link:
    """Packs units for some workers; what it does may be asked by any thread.

    Parameters
    ----------
    away : set of str
        Addresses of workers on other hosts.
    n_threads : int
        Threads that pack.
    codecs : Codecs, optional
        What compresses; by default what takes least.
    """

    def __init__(self, away: set[str], n_threads: int, codecs: Codecs | None = None) -> None:
        self._away = away
        self._n_threads = max(1, n_threads)
        self._codecs = codecs or Codecs()
        self._packed: dict[tuple[str, tuple[int, ...]], tuple[str | None, int, float]] = {}
        self._n_sending = 0
        self._at = perf_counter()
        self._shared_s = 0.0  # of the link, for one of those that share it

    def pack(self, address: str, inputs: tuple[int, ...], unit: Unit, n_bytes: int) -> Packed:
        """Return a unit of so many bytes, ready to be sent to a worker."""
        if address not in self._away or n_bytes < _FEWEST_BYTES:
            return Packed(inputs, *pack(unit))
        codec, began = self._codecs.pick(), thread_time()
        packed = Packed(inputs, *pack(unit, codec))
        seconds = (thread_time() - began) / self._n_threads
        self._packed[address, inputs] = codec, n_bytes, seconds
        return packed

    @contextmanager
    def sending(self, address: str, shards: Sequence[Packed]) -> Iterator[None]:
        """Time what is done inside: some units are sent to a worker. On the event loop."""
        self._go_on(1)
        began_s = self._shared_s
        try:
            yield
        finally:
            self._go_on(-1)
            known = [self._packed.pop((address, each.inputs), None) for each in shards]
        seconds = self._shared_s - began_s
        both = zip(known, shards, strict=True)
        sent = [(found, _size(each)) for found, each in both if found is not None]
        n_sent = sum(size for _, size in sent)
        for (codec, n_bytes, packing_s), size in sent:
            self._codecs.took(codec, n_bytes, packing_s + seconds * size / max(1, n_sent))

    def _go_on(self, change: int) -> None:
        """Let the time pass that each had of the link; more or fewer share it from now on."""
        now = perf_counter()
        self._shared_s += (now - self._at) / max(1, self._n_sending)
        self._at, self._n_sending = now, self._n_sending + change


def _size(packed: Packed) -> int:
    return sum(array.nbytes for array in packed[1:] if isinstance(array, np.ndarray))
