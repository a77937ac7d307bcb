"""The first bytes of variable-length values, as words and as what they share."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Mask, Offsets, Rows, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["common_prefix", "load_prefix", "prefix_words", "shared_bytes"]

U0 = np.uint64(0)

OFFSETS = (reads(types.int32), reads(types.int64))


def prefix_words(
    offsets: Offsets,
    data: Bytes,
    depth: int,
    rows: Rows | None = None,
) -> Words:
    """Return 8 bytes of each value, from byte ``depth`` on, as one big-endian word.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
    data : (bytes,) uint8
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    depth : int
        Bytes to skip.
    rows : (m,) uint32, optional
        The values to read; all of them by default.

    Returns
    -------
    (m,) or (n,) uint64
        Padded with zero bytes where the value ends.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import prefix_words
    >>> data = np.frombuffer(b"catdog", dtype=np.uint8)
    >>> words = prefix_words(np.array([0, 3, 6], dtype=np.int32), data, 1)
    >>> [word.to_bytes(8, "big").rstrip(bytes(1)) for word in words.tolist()]
    [b'at', b'og']
    """
    if rows is None:
        words = np.empty(max(len(offsets) - 1, 0), np.uint64)
        rows = np.empty(0, np.uint32)
    else:
        words = np.empty(len(rows), np.uint64)
    _prefix_words(offsets, data, depth, rows, words)
    return words


@inlined
def load_big_endian(data: Bytes, at: Any) -> np.uint64:
    """Return ``data[at:at + 8]`` as a word that sorts as the bytes do; ``at`` is uint64.

    LLVM makes one load and one byte swap of it.
    """
    word = np.uint64(data[at]) << np.uint64(56)
    word |= np.uint64(data[at + np.uint64(1)]) << np.uint64(48)
    word |= np.uint64(data[at + np.uint64(2)]) << np.uint64(40)
    word |= np.uint64(data[at + np.uint64(3)]) << np.uint64(32)
    word |= np.uint64(data[at + np.uint64(4)]) << np.uint64(24)
    word |= np.uint64(data[at + np.uint64(5)]) << np.uint64(16)
    word |= np.uint64(data[at + np.uint64(6)]) << np.uint64(8)
    word |= np.uint64(data[at + np.uint64(7)])
    return word


@inlined
def load_prefix(data: Bytes, at: Any, size: Any) -> np.uint64:
    """Return the first 8 of the ``size`` bytes from ``at`` on, padded with zero bytes."""
    if at + 8 <= len(data):
        word = load_big_endian(data, np.uint64(at))
        # Two shifts, because a shift by 64 is undefined.
        spare = np.uint64(4 * (8 - min(max(size, 0), 8)))
        return ((word >> spare) >> spare << spare) << spare
    word = U0
    for j in range(min(size, 8)):
        word |= np.uint64(data[at + j]) << np.uint64(56 - 8 * j)
    return word


@inlined
def shared_bytes(data: Bytes, left: Any, right: Any, n: Any) -> Any:
    """Return how many of the ``n`` bytes from ``left`` and ``right`` on are the same."""
    j = 0
    while j + 8 <= n and load_big_endian(data, np.uint64(left + j)) == load_big_endian(
        data, np.uint64(right + j)
    ):
        j += 8
    while j < n and data[left + j] == data[right + j]:
        j += 1
    return j


@kernel(
    *(
        types.void(
            each, reads(types.uint8), types.int64, reads(types.uint32), writes(types.uint64)
        )
        for each in OFFSETS
    )
)
def _prefix_words(offsets: Offsets, data: Bytes, depth: int, rows: Rows, out: Words) -> None:
    every = len(rows) == 0
    for i in range(len(out)):
        row = np.int64(i) if every else np.int64(rows[i])
        start = np.int64(offsets[row]) + depth
        out[i] = load_prefix(data, start, np.int64(offsets[row + 1]) - start)


def common_prefix(offsets: Offsets, data: Bytes, valid: Mask | None = None) -> int:
    """Return how many leading bytes all valid values share.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
    data : (bytes,) uint8
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    valid : (n,) bool, optional
        The values that count; all of them by default.

    Returns
    -------
    int
        0 if there is no valid value.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import common_prefix
    >>> data = np.frombuffer(b"cowcolt", dtype=np.uint8)
    >>> common_prefix(np.array([0, 3, 7], dtype=np.int64), data)
    2
    """
    if len(offsets) < 2:
        return 0
    return _common_prefix(offsets, data, np.empty(0, np.bool) if valid is None else valid)


@kernel(*(types.int64(each, reads(types.uint8), reads(types.boolean)) for each in OFFSETS))
def _common_prefix(offsets: Offsets, data: Bytes, valid: Mask) -> int:
    shared = np.int64(-1)
    first = np.int64(0)
    for i in range(len(offsets) - 1):
        if len(valid) and not valid[i]:
            continue
        start = np.int64(offsets[i])
        n = np.int64(offsets[i + 1]) - start
        if shared < 0:
            shared, first = n, start
            continue
        shared = shared_bytes(data, first, start, min(shared, n))
        if shared == 0:
            break
    return max(int(shared), 0)
