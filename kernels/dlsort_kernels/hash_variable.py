"""Hash variable-length columns (strings, binaries, lists) into rows' accumulators."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.mix import absorb, constants, flag_bytes, murmur
from dlsort_kernels.unaligned import load8

__all__ = ["hash_bytes", "hash_lists"]

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int32] | npt.NDArray[np.int64]

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_3 = np.uint64(3)


def hash_bytes(
    acc: Words, offsets: Offsets, data: npt.NDArray[np.uint8], nulls: Flags | None, seed: int
) -> None:
    """Add the hash of a variable-length value to each row's accumulator.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``. Both widths hash alike.
    data : (b,) uint8
        The values' bytes.
    nulls : (n,) bool or None
        Which rows are null; None if none is. Not the same as an empty value.
    seed : int
        The column's own number.

    Notes
    -----
    Time O(n + bytes), 8 bytes a step.

    Examples
    --------
    >>> import numpy as np
    >>> acc = np.zeros(2, np.uint64)
    >>> hash_bytes(acc, np.array([0, 2, 4]), np.frombuffer(b"abab", np.uint8), None, seed=1)
    >>> acc[0] == acc[1]
    np.True_
    """
    if len(acc):
        _add_bytes(acc, offsets, data, flag_bytes(nulls), *constants(seed))


@kernel(
    *(
        types.void(
            writes(types.uint64),
            reads(offset),
            reads(types.uint8),
            reads(types.uint8),
            types.uint64,
            types.uint64,
        )
        for offset in (types.int32, types.int64)
    )
)
def _add_bytes(
    acc: Words,
    offsets: Offsets,
    data: npt.NDArray[np.uint8],
    nulls: npt.NDArray[np.uint8],
    add: np.uint64,
    null: np.uint64,
) -> None:
    """Add the hash of each value's length and bytes, or ``null``."""
    last_whole = data.size - 8
    for i in range(acc.size):
        if nulls.size and nulls[i]:
            acc[i] += null
            continue
        at = np.int64(offsets[i])
        end = np.int64(offsets[i + 1])
        # The length, first: so zeros that fill the last word cannot be taken for bytes.
        h = absorb(add, np.uint64(end - at))
        while at + 8 <= end:
            h = absorb(h, load8(data, at))
            at += 8
        if at < end:
            if at <= last_whole:
                bits = np.uint64(end - at) << _3
                h = absorb(h, load8(data, at) & ((_ONE << bits) - _ONE))
            else:
                word = _ZERO
                for k in range(end - at):
                    word |= np.uint64(data[at + k]) << (np.uint64(k) << _3)
                h = absorb(h, word)
        acc[i] += murmur(h)


def hash_lists(
    acc: Words, offsets: Offsets, child: Words, nulls: Flags | None, seed: int
) -> None:
    """Add the hash of a list to each row's accumulator: its length, and items in order.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    offsets : (n + 1,) int32 or int64
        List ``i`` holds ``child[offsets[i]:offsets[i + 1]]``. Both widths hash alike.
    child : (c,) uint64
        Hash of each item.
    nulls : (n,) bool or None
        Which rows are null; None if none is. Not the same as an empty list.
    seed : int
        The column's own number.

    Notes
    -----
    Time O(n + items).

    Examples
    --------
    >>> import numpy as np
    >>> acc = np.zeros(2, np.uint64)
    >>> hash_lists(acc, np.array([0, 2, 4]), np.array([1, 2, 2, 1], np.uint64), None, seed=1)
    >>> acc[0] == acc[1]
    np.False_
    """
    if len(acc):
        _add_lists(acc, offsets, child, flag_bytes(nulls), *constants(seed))


@kernel(
    *(
        types.void(
            writes(types.uint64),
            reads(offset),
            reads(types.uint64),
            reads(types.uint8),
            types.uint64,
            types.uint64,
        )
        for offset in (types.int32, types.int64)
    )
)
def _add_lists(
    acc: Words,
    offsets: Offsets,
    child: Words,
    nulls: npt.NDArray[np.uint8],
    add: np.uint64,
    null: np.uint64,
) -> None:
    """Add the hash of each list's length and items, or ``null``."""
    for i in range(acc.size):
        if nulls.size and nulls[i]:
            acc[i] += null
            continue
        first = np.int64(offsets[i])
        end = np.int64(offsets[i + 1])
        h = absorb(add, np.uint64(end - first))
        for k in range(first, end):
            h = absorb(h, child[k])
        acc[i] += murmur(h)
