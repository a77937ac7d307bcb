"""Messages: a unit of rows as it is sent, or as a place in memory that both workers see."""

from __future__ import annotations

import numpy as np

from dlsort_cluster.store.shared import SharedStream
from dlsort_cluster.wire import Message

__all__ = ["Packed", "placed", "sent"]


# A unit's starts, and its rows: in the message, or in memory that both workers see.
Packed = tuple[np.ndarray, np.ndarray | SharedStream]


def sent(input_id: int, packed: Packed) -> Message:
    """Return a message that holds its rows."""
    starts, stream = packed
    if isinstance(stream, SharedStream):
        stream = stream.read()
    return Message(input_id, starts, stream, is_place=False)


def placed(input_id: int, packed: Packed) -> Message:
    """Return a message that says where its rows are, if they are in shared memory."""
    starts, stream = packed
    if not isinstance(stream, SharedStream):
        return sent(input_id, packed)
    place = np.frombuffer(stream.place(), np.uint8)
    return Message(input_id, starts, place, is_place=True)
