"""Key parts as words: unsigned 64-bit integers that sort as the values do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.arrays import Bytes, Mask, Offsets, Rows, Words
from dlsort_kernels.jit import inlined, kernel, reads, writes

__all__ = [
    "common_prefix",
    "decimal_words",
    "float_words",
    "int_words",
    "limb_words",
    "prefix_words",
]

SIGN = np.uint64(1 << 63)
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
# The bits of +infinity: a float whose bits without the sign are above these is a NaN.
INFINITY = np.uint64(0x7FF0000000000000)
U0 = np.uint64(0)
U1 = np.uint64(1)

OFFSETS = (reads(types.int32), reads(types.int64))


def int_words(a: npt.NDArray[np.integer | np.bool]) -> Words:
    """Return the words of integers or booleans.

    Parameters
    ----------
    a : (n,) any integer or bool dtype

    Returns
    -------
    (n,) uint64
        Unsigned as is; signed widened to 64 bits, its sign bit flipped.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import int_words
    >>> [hex(word) for word in int_words(np.array([-1, 0, 1], dtype=np.int8)).tolist()]
    ['0x7fffffffffffffff', '0x8000000000000000', '0x8000000000000001']
    """
    if a.dtype.kind != "i":
        return a.astype(np.uint64)
    words = a.astype(np.int64).view(np.uint64)
    words ^= SIGN
    return words


def float_words(a: npt.NDArray[np.floating]) -> tuple[Words, Mask | None]:
    """Return the words of floats, and which of them are NaN.

    Parameters
    ----------
    a : (n,) float16, float32 or float64

    Returns
    -------
    words : (n,) uint64
        Of the value widened to float64; −0.0 counts as 0.0. Every NaN has the same word,
        the highest.
    nan : (n,) bool or None
        None if there is no NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import float_words
    >>> words, nan = float_words(np.array([-1.5, -0.0, 0.0, 2.5]))
    >>> bool(words[0] < words[1] == words[2] < words[3]), nan
    (True, None)
    """
    bits = np.require(a, np.float64, ["C", "A"]).view(np.uint64)
    words = np.empty(len(a), np.uint64)
    n_nan = _float_words(bits, words)
    return words, np.isnan(a) if n_nan else None


@kernel(types.int64(reads(types.uint64), writes(types.uint64)))
def _float_words(bits: Words, out: Words) -> int:
    n_nan = 0
    for i in range(len(bits)):
        x = bits[i]
        size = x & ~SIGN
        # Negative: all bits turn, so that larger sizes come first. −0.0 joins 0.0.
        word = ~x if x > SIGN else x | SIGN
        nan = size > INFINITY
        n_nan += nan
        out[i] = ONES if nan else word
    return n_nan


def decimal_words(a: Words) -> tuple[Words, npt.NDArray[np.int8] | None]:
    """Return one word per decimal where its integer fits int64.

    Parameters
    ----------
    a : (n, k) uint64
        Little-endian limbs in two's complement.

    Returns
    -------
    words : (n,) uint64
        The value with its sign bit flipped; 0 or 2^64 − 1 where it does not fit.
    outside : (n,) int8 or None
        −1 where the value is below int64's range, 1 where it is above; None if all fit.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import decimal_words
    >>> limbs = np.array([[5, 0], [0, 1]], dtype=np.uint64)   # 5 and 2**64
    >>> words, outside = decimal_words(limbs)
    >>> [hex(word) for word in words.tolist()], outside.tolist()
    (['0x8000000000000005', '0xffffffffffffffff'], [0, 1])
    """
    a = np.require(a, np.uint64, ["C", "A"])
    words = np.empty(len(a), np.uint64)
    if not _decimal_words(a, words, np.empty(0, np.int8)):
        return words, None
    outside = np.empty(len(a), np.int8)
    _decimal_words(a, words, outside)
    return words, outside


@kernel(types.int64(reads(types.uint64, 2), writes(types.uint64), writes(types.int8)))
def _decimal_words(a: Words, out: Words, outside: npt.NDArray[np.int8]) -> int:
    n_outside = 0
    top = a.shape[1] - 1
    for i in range(len(a)):
        low = a[i, 0]
        fill = ONES if low & SIGN else U0
        differs = U0
        for j in range(1, top + 1):
            differs |= a[i, j] ^ fill
        negative = (a[i, top] & SIGN) != U0
        word = low ^ SIGN
        side = 0
        if differs:
            n_outside += 1
            word = U0 if negative else ONES
            side = -1 if negative else 1
        out[i] = word
        if len(outside):
            outside[i] = side
    return n_outside


def limb_words(a: Words) -> list[Words]:
    """Return the words of wide integers, the most significant first.

    Parameters
    ----------
    a : (n, k) uint64
        Little-endian limbs in two's complement.

    Returns
    -------
    list of k (n,) uint64

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import limb_words
    >>> high, low = limb_words(np.array([[5, 0]], dtype=np.uint64))
    >>> hex(high[0]), int(low[0])
    ('0x8000000000000000', 5)
    """
    top = a.shape[1] - 1
    lower = [a[:, limb].copy() for limb in range(top - 1, -1, -1)]
    return [a[:, top] ^ SIGN, *lower]


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
        shared = min(shared, n)
        j = np.int64(0)
        while j < shared:
            left = load_prefix(data, first + j, shared - j)
            if left != load_prefix(data, start + j, shared - j):
                while j < shared and data[first + j] == data[start + j]:
                    j += 1
                shared = j
            j += 8
        if shared == 0:
            break
    return int(max(shared, 0))
