"""Take variable-length values (strings, binaries) by row number.

Two passes. The first reads the offsets at random, sums the lengths and keeps each value's
start; the second copies. Knowing the starts, the second can ask for a value some rows
before it copies it, and needs no second random read of the offsets.

Values are copied 16 bytes at a time, which writes up to 15 bytes too many: the next value
overwrites them. Values near the end of the source or of the output are copied exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.threads import SERIAL, Pool, chunks
from dlsort_kernels.unaligned import copy16, prefetch

__all__ = ["gather_bytes", "gather_bytes_into", "place_values"]

Offsets = npt.NDArray[np.int32] | npt.NDArray[np.int64]

# Values are asked for about so many bytes, and so many values, before they are copied.
# 1.25 M values in random order, ms with none and at 16, 32, 64 values: of 12 bytes 19, 8.3,
# 6.7, 5.2; of 27 bytes 27, 17, 20, 23; of 100 bytes 50, 30, 52, 41.
_AHEAD_BYTES = 512
_AHEAD_LEAST, _AHEAD_MOST = 16, 64


def gather_bytes(
    offsets: Offsets,
    data: npt.NDArray[np.uint8],
    order: npt.NDArray[np.uint32],
    *,
    workers: Pool = SERIAL,
) -> tuple[Offsets, npt.NDArray[np.uint8]]:
    """Take variable-length values by row number.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``. Need not start at 0.
    data : (b,) uint8
        The values' bytes.
    order : (m,) uint32
        Rows to take, each below ``n``; not checked here.
    workers : Pool
        Threads to share the work.

    Returns
    -------
    out_offsets : (m + 1,) same dtype as ``offsets``
        Starts at 0.
    out_data : (out_offsets[m],) uint8

    Raises
    ------
    OverflowError
        If the taken values need more bytes than int32 offsets can count.

    Notes
    -----
    Time O(m + bytes taken).

    Examples
    --------
    >>> import numpy as np
    >>> offsets, data = gather_bytes(
    ...     np.array([0, 3, 3, 8], np.int32),
    ...     np.frombuffer(b"onethree", np.uint8),
    ...     np.array([2, 0, 1], np.uint32),
    ... )
    >>> offsets.tolist(), data.tobytes()
    ([0, 5, 8, 8], b'threeone')
    """
    out_offsets, starts = place_values(offsets, order, workers=workers)
    n_bytes = int(out_offsets[-1])
    out = empty(n_bytes, np.uint8)
    ahead = _ahead(len(order), n_bytes)

    def copy(start: int, stop: int) -> None:
        bounds = out_offsets[start : stop + 1]
        _copy_values(out[: bounds[-1]], bounds, data, starts[start:stop], ahead)

    workers.run(copy, *zip(*chunks(len(order), workers.threads), strict=True))
    return out_offsets, out


def _ahead(n: int, n_bytes: int) -> int:
    ahead = _AHEAD_BYTES * n // max(n_bytes, 1)
    return min(max(ahead, _AHEAD_LEAST), _AHEAD_MOST)


def gather_bytes_into(
    offsets: Offsets,
    data: npt.NDArray[np.uint8],
    order: npt.NDArray[np.uint32],
    out_offsets: Offsets,
    out: npt.NDArray[np.uint8],
) -> None:
    r"""Take variable-length values by row number, and write them after others.

    Parameters
    ----------
    offsets, data, order
        As in `gather_bytes`.
    out_offsets : (m + 1,) same dtype as ``offsets``
        The first says where to begin in ``out``; the others are written. They must be able
        to count to ``out.size``.
    out : uint8
        Has room for the values.

    Examples
    --------
    >>> import numpy as np
    >>> out_offsets, out = np.array([2, 0, 0], np.int32), np.zeros(5, np.uint8)
    >>> order = np.array([1, 0], np.uint32)
    >>> data = np.frombuffer(b"abc", np.uint8)
    >>> gather_bytes_into(np.array([0, 1, 3], np.int32), data, order, out_offsets, out)
    >>> out_offsets.tolist(), out.tobytes()
    ([2, 4, 5], b'\x00\x00bca')
    """
    starts = empty(len(order), np.int64)
    first = int(out_offsets[0])
    end = int(_place_values(out_offsets, starts, offsets, order, first, out.size))
    _copy_values(out[:end], out_offsets, data, starts, _ahead(len(order), end - first))


def place_values(
    offsets: Offsets, order: npt.NDArray[np.uint32], *, workers: Pool = SERIAL
) -> tuple[Offsets, npt.NDArray[np.int64]]:
    """Return the taken values' new offsets and where each stands in the source.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Old offsets.
    order : (m,) uint32
        Rows to take.
    workers : Pool
        Threads to share the work.

    Returns
    -------
    out_offsets : (m + 1,) same dtype as ``offsets``
        New offsets, from 0.
    starts : (m,) int64
        ``offsets[order]``.

    Raises
    ------
    OverflowError
        If the new offsets do not fit their dtype.

    Examples
    --------
    >>> import numpy as np
    >>> place_values(np.array([4, 7, 9]), np.array([1, 0], np.uint32))
    (array([0, 2, 5]), array([7, 4]))
    """
    out_offsets = empty(len(order) + 1, offsets.dtype)
    starts = empty(len(order), np.int64)
    limit = int(np.iinfo(offsets.dtype).max)
    parts = chunks(len(order), workers.threads)
    sizes = [0] * len(parts)
    if len(parts) > 1:
        sizes = workers.run(
            lambda a, b: int(_sum_sizes(offsets, order[a:b])), *zip(*parts, strict=True)
        )
    before = [sum(sizes[:i]) for i in range(len(parts))]

    def place(start: int, stop: int, first: int) -> int:
        some = out_offsets[start : stop + 1]
        return int(
            _place_values(some, starts[start:stop], offsets, order[start:stop], first, limit)
        )

    out_offsets[0] = 0
    total = max(workers.run(place, *zip(*parts, strict=True), before), default=0)
    if total > limit:
        message = (
            f"{len(order):,} taken values need {total:,} bytes or items, but "
            f"{offsets.dtype} offsets count to {limit:,}. Take fewer rows, or use int64 "
            "offsets."
        )
        raise OverflowError(message)
    return out_offsets, starts


@kernel(
    *(types.int64(reads(offset), reads(types.uint32)) for offset in (types.int32, types.int64))
)
def _sum_sizes(offsets: Offsets, order: npt.NDArray[np.uint32]) -> np.int64:
    """Return the sum of the lengths of rows."""
    total = np.int64(0)
    for i in range(order.size):
        row = np.int64(order[i])
        total += np.int64(offsets[row + 1]) - np.int64(offsets[row])
    return total


@kernel(
    *(
        types.int64(
            writes(offset),
            writes(types.int64),
            reads(offset),
            reads(types.uint32),
            types.int64,
            types.int64,
        )
        for offset in (types.int32, types.int64)
    )
)
def _place_values(
    out_offsets: Offsets,
    starts: npt.NDArray[np.int64],
    offsets: Offsets,
    order: npt.NDArray[np.uint32],
    first: int,
    limit: int,
) -> np.int64:
    """Fill ``starts``, and ``out_offsets`` but for its first; return where the last ends."""
    total = np.int64(first)
    for i in range(order.size):
        row = np.int64(order[i])
        start = np.int64(offsets[row])
        total += np.int64(offsets[row + 1]) - start
        starts[i] = start
        if total <= limit:
            out_offsets[i + 1] = total
    return total


@kernel(
    *(
        types.void(
            writes(types.uint8),
            reads(offset),
            reads(types.uint8),
            reads(types.int64),
            types.int64,
        )
        for offset in (types.int32, types.int64)
    )
)
def _copy_values(
    out: npt.NDArray[np.uint8],
    out_offsets: Offsets,
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ahead: int,
) -> None:
    """Copy the values that start at ``data[starts[i]]`` to ``out[out_offsets[i]]``."""
    n = starts.size
    last_from = data.size - 16
    last_to = out.size - 16
    for i in range(n):
        prefetch(data, starts[min(i + ahead, n - 1)])
        at = starts[i]
        to = np.int64(out_offsets[i])
        end = np.int64(out_offsets[i + 1])
        if at + (end - to) <= last_from and end <= last_to:
            # At least one copy: most values are short, and a branch that is always the
            # same way costs nothing.
            copy16(out, to, data, at)
            while to + 16 < end:
                to += 16
                at += 16
                copy16(out, to, data, at)
        else:
            while to + 16 <= end:
                copy16(out, to, data, at)
                to += 16
                at += 16
            while to < end:
                out[to] = data[at]
                to += 1
                at += 1
