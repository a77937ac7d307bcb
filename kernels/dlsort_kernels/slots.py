"""Short values brought to their groups, each in a slot of its own, and gathered from there.

Values of up to 15 bytes, with their length, fit 16 bytes; of up to 7, a word. Slots have no
offsets, which would be made, summed and read at random: 5 M texts of 7 bytes take 54 ms of one
thread where :func:`dlsort_kernels.scatter_bytes` and a gather take 122; of 13 bytes 81 and 130.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Groups, Offsets, Rows
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.scatter import Scratch, Spread, by_part
from dlsort_kernels.threads import Pool, chunks
from dlsort_kernels.unaligned import copy16, load8

__all__ = ["gather_slots", "scatter_slots", "slot_bytes"]

_OFFSETS = (types.int32, types.int64)
_8 = np.uint64(8)


def slot_bytes(offsets: Offsets) -> int:
    """Return how many bytes a slot for any of these values takes, 8 or 16; 0: too many.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` has ``offsets[i + 1] - offsets[i]`` bytes.

    Examples
    --------
    >>> slot_bytes(np.array([0, 3, 18], np.int32)), slot_bytes(np.array([0, 16]))
    (16, 0)
    """
    longest = int(_longest(offsets, 15))
    # A value lies behind its length in a word, which is so in the usual order of bytes.
    if longest <= 7 and sys.byteorder == "little":
        return 8
    return 16 if longest <= 15 else 0


@kernel(*(types.int64(reads(offset), types.int64) for offset in _OFFSETS))
def _longest(offsets: Offsets, most: int) -> np.int64:
    """Return the most bytes of a value, or of the first block that has more than ``most``."""
    longest = np.int64(0)
    n = offsets.size - 1
    for start in range(0, n, 4096):
        for i in range(start, min(start + 4096, n)):
            longest = max(longest, np.int64(offsets[i + 1]) - np.int64(offsets[i]))
        if longest > most:
            break
    return longest


def scatter_slots(
    offsets: Offsets,
    data: Bytes,
    width: int,
    spread: Spread,
    workers: Pool,
    scratch: Scratch,
) -> Bytes:
    """Return values by place, each in a slot.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``. Need not start at 0.
    data : (b,) uint8
    width : int
        Bytes of a slot, by :func:`slot_bytes`.
    spread : Spread
        Where rows stand.
    scratch : Scratch
        Holds the result, until it is used again.

    Returns
    -------
    (16 + n * width,) uint8
        What :func:`gather_slots` takes.
    """
    n_bytes = (len(offsets) - 1) * width
    slots = scratch.room("values", 16 + n_bytes)
    words = slots[:n_bytes].view(np.uint64)

    def scatter(start: int, stop: int, group: Groups, at: Rows) -> None:
        some = offsets[start : stop + 1]
        if width == 8:
            _scatter_8(some, data, group, at, words)
        else:
            _scatter_16(some, data, group, at, slots)

    by_part(spread, workers, scatter)
    return slots


def gather_slots(
    slots: Bytes, width: int, order: Rows, dtype: npt.DTypeLike, workers: Pool
) -> tuple[Offsets, Bytes]:
    """Take values from slots.

    Parameters
    ----------
    slots : uint8
        From :func:`scatter_slots`.
    width : int
        Bytes of a slot.
    order : (m,) uint32
        Slots to take; not checked here.
    dtype : numpy.dtype
        Of the offsets, int32 or int64.

    Returns
    -------
    offsets : (m + 1,) of this dtype
        Starts at 0.
    data : (offsets[m],) uint8

    Raises
    ------
    OverflowError
        If the offsets can't count so far.
    """
    length_at = 0 if width == 8 else 15
    parts = chunks(len(order), workers.threads)
    sizes = workers.run(
        lambda a, b: int(_sum_lengths(slots, width, length_at, order[a:b])),
        *zip(*parts, strict=True),
    )
    ends = np.cumsum([0, *sizes]).tolist()
    if ends[-1] > np.iinfo(dtype).max:
        message = f"{ends[-1]:,} bytes are more than {np.dtype(dtype)} offsets count."
        raise OverflowError(message)
    offsets, data = empty(len(order) + 1, dtype), empty(ends[-1], np.uint8)
    offsets[-1] = ends[-1]

    def gather(start: int, stop: int, first: int, last: int) -> None:
        how = width, length_at, order[start:stop], first
        _gather(slots, *how, offsets[start:stop], data[:last])

    workers.run(gather, *zip(*parts, strict=True), ends[:-1], ends[1:])
    return offsets, data


@kernel(
    *(
        types.void(
            reads(offset),
            reads(types.uint8),
            reads(types.uint16),
            writes(types.uint32),
            writes(types.uint64),
        )
        for offset in _OFFSETS
    )
)
def _scatter_8(
    offsets: Offsets, data: Bytes, group: Groups, at: Rows, out: npt.NDArray[np.uint64]
) -> None:
    """Put a length and a value of at most 7 bytes into the word of each place."""
    last_from = data.size - 8
    for i in range(group.size):
        first = np.int64(offsets[i])
        n = np.int64(offsets[i + 1]) - first
        if first <= last_from:
            word = load8(data, first) << _8
        else:
            word = np.uint64(0)
            for step in range(n):
                word |= np.uint64(data[first + step]) << (_8 * np.uint64(step + 1))
        g = np.uint64(group[i])
        # Behind a shorter value are bytes of the next ones, which nobody reads.
        out[at[g]] = word | np.uint64(n)
        at[g] += np.uint32(1)


@kernel(
    *(
        types.void(
            reads(offset),
            reads(types.uint8),
            reads(types.uint16),
            writes(types.uint32),
            writes(types.uint8),
        )
        for offset in _OFFSETS
    )
)
def _scatter_16(offsets: Offsets, data: Bytes, group: Groups, at: Rows, out: Bytes) -> None:
    """Put a value of at most 15 bytes and its length into the 16 bytes of each place."""
    last_from = data.size - 16
    for i in range(group.size):
        first = np.int64(offsets[i])
        n = np.int64(offsets[i + 1]) - first
        g = np.uint64(group[i])
        to = np.int64(at[g]) * 16
        at[g] += np.uint32(1)
        if first <= last_from:
            copy16(out, to, data, first)
        else:
            for step in range(n):
                out[to + step] = data[first + step]
        out[to + 15] = n


@kernel(types.int64(reads(types.uint8), types.int64, types.int64, reads(types.uint32)))
def _sum_lengths(slots: Bytes, width: int, length_at: int, order: Rows) -> np.int64:
    total = np.int64(0)
    for i in range(order.size):
        total += np.int64(slots[np.int64(order[i]) * width + length_at])
    return total


@kernel(
    *(
        types.void(
            reads(types.uint8),
            types.int64,
            types.int64,
            reads(types.uint32),
            types.int64,
            writes(offset),
            writes(types.uint8),
        )
        for offset in _OFFSETS
    )
)
def _gather(
    slots: Bytes,
    width: int,
    length_at: int,
    order: Rows,
    first: int,
    offsets: Offsets,
    out: Bytes,
) -> None:
    """Write values one after the other from ``out[first]`` on, and where each begins.

    A copy writes up to 16 bytes too many, which the next value overwrites; none beyond ``out``.
    """
    to = np.int64(first)
    last_to = out.size - 16
    value_at = np.int64(1) if length_at == 0 else np.int64(0)
    for i in range(order.size):
        at = np.int64(order[i]) * width
        n = np.int64(slots[at + length_at])
        offsets[i] = to
        if to <= last_to:
            copy16(out, to, slots, at + value_at)
        else:
            for step in range(n):
                out[to + step] = slots[at + value_at + step]
        to += n
