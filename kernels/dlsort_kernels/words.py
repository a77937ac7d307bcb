"""Key parts as words: unsigned 64-bit integers that sort as the values do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Mask, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = [
    "decimal_words",
    "float_words",
    "float_words_into",
    "int_words",
    "limb_words",
]

SIGN = np.uint64(1 << 63)
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
# The bits of +infinity: a float whose bits without the sign are above these is a NaN.
INFINITY = np.uint64(0x7FF0000000000000)
U0 = np.uint64(0)


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
    with np.errstate(invalid="ignore"):  # a signalling NaN is no news
        bits = np.require(a, np.float64, ["C", "A"]).view(np.uint64)
    words = np.empty(len(a), np.uint64)
    n_nan = float_words_into(bits, words)
    return words, np.isnan(a) if n_nan else None


@kernel(types.int64(reads(types.uint64), writes(types.uint64)))
def float_words_into(bits: Words, out: Words) -> int:
    """Write the words of float64 values given by their bits; return how many are NaN.

    ``out`` may be ``bits``. The word of every NaN is 2^64 − 1.
    """
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
