"""Messages: rows of some inputs for one worker, or the place where both workers see them.

A small input waits, whole, until there are enough for a message to each worker, or no more
inputs: messages follow the bytes and the workers, not the inputs. Who made an input is told
that it is done meanwhile; the barrier has the rest sent, and each store knows of which inputs
it has heard.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dlsort_cluster.arrow_sizes import count_bytes, held_bytes
from dlsort_cluster.exchange import Split
from dlsort_cluster.store.shared import SharedStream
from dlsort_cluster.wire import Message, Unit, together

__all__ = ["Packed", "Waiting", "placed", "sent", "sets_of"]

# A message should have so many bytes, on average: to make and send one takes 1 ms, as long as
# this many bytes take.
_MESSAGE_BYTES = 256 * 2**10
# Units of one message, together: the engine sends no more than 2 MiB at a time.
_MOST_BYTES = 2 * 2**20


class Packed(NamedTuple):
    """Units of some inputs: their starts, and their rows or where these are."""

    inputs: tuple[int, ...]
    starts: np.ndarray
    stream: np.ndarray | SharedStream


def sent(packed: Packed) -> Message:
    """Return a message that holds its rows."""
    inputs, starts, stream = packed
    if isinstance(stream, SharedStream):
        stream = stream.read()
    return Message(inputs, starts, stream, is_place=False)


def placed(packed: Packed) -> Message:
    """Return a message that says where its rows are, if they are in shared memory."""
    inputs, starts, stream = packed
    if not isinstance(stream, SharedStream):
        return sent(packed)
    place = np.frombuffer(stream.place(), np.uint8)
    return Message(inputs, starts, place, is_place=True)


class Waiting:
    """Inputs whose rows are to be sent together.

    Parameters
    ----------
    n_workers : int
        Workers that rows are sent to.
    limit_bytes : int
        What may wait here.

    Notes
    -----
    All methods may be called from any thread.
    """

    def __init__(self, n_workers: int, limit_bytes: int) -> None:
        self._enough = min(n_workers * _MESSAGE_BYTES, limit_bytes)
        self._inputs: dict[int, Split] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def add(self, input_id: int, found: Split) -> dict[int, Split]:
        """Have an input wait; return those to be sent by now, in input order, or none."""
        n_bytes = held_bytes(found.table)
        if n_bytes >= self._enough:
            return {input_id: found}
        with self._lock:
            self._inputs[input_id] = found
            self._n_bytes += n_bytes
            if self._n_bytes < self._enough:
                return {}
        return self.take()

    def take(self) -> dict[int, Split]:
        """Return all that wait, in input order; none wait any more."""
        with self._lock:
            inputs, self._inputs, self._n_bytes = self._inputs, {}, 0
        return dict(sorted(inputs.items()))


def sets_of(units: Mapping[int, Unit]) -> Iterator[tuple[tuple[int, ...], Unit]]:
    """Yield units by their inputs, small ones together as far as they can be."""
    inputs: list[int] = []
    n_bytes = 0
    for input_id, unit in units.items():
        size = count_bytes(unit.table)
        if inputs and n_bytes + size > _MOST_BYTES:
            yield from _joined(units, inputs)
            inputs, n_bytes = [], 0
        inputs.append(input_id)
        n_bytes += size
    if inputs:
        yield from _joined(units, inputs)


def _joined(
    units: Mapping[int, Unit], inputs: list[int]
) -> Iterator[tuple[tuple[int, ...], Unit]]:
    joined = together([units[i] for i in inputs])
    if joined is None:
        yield from (((i,), units[i]) for i in inputs)
    else:
        yield tuple(inputs), joined
