"""Bit tricks that Python has no operator for, as single instructions inside kernels."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["bit_length", "float_of", "mul_high"]


def bit_length(word: np.uint64) -> np.uint64:
    """Return how many bits a word has, up to its highest that is set.

    Examples
    --------
    >>> import numpy as np
    >>> int(bit_length(np.uint64(0))), int(bit_length(np.uint64(5)))
    (0, 3)
    """
    return np.uint64(int(word).bit_length())


def float_of(bits: np.uint64) -> np.float64:
    """Return the float64 of these bits.

    Examples
    --------
    >>> import numpy as np
    >>> float(float_of(np.uint64(0x3FF8000000000000)))
    1.5
    """
    return np.float64(struct.unpack("<d", struct.pack("<Q", int(bits)))[0])


def mul_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper half of the 128-bit product of two words.

    Examples
    --------
    >>> import numpy as np
    >>> int(mul_high(np.uint64(2**63), np.uint64(6)))
    3
    """
    return np.uint64(int(a) * int(b) >> 64)
