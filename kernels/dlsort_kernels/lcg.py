"""The 128-bit random numbers of the sort benchmark's generator, from any of them on.

A linear congruential generator modulo 2**128: ``x[0] = 0`` and ``x[i + 1] = A x[i] + C``. The
multiplier is one of Pierre L'Ecuyer's (Mathematics of Computation 68, 1999, pages 249 to 260),
the increment says ``JimGrayRIP``. Both are as Chris Nyberg published them with gensort.
"""

from __future__ import annotations

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Words
from dlsort_kernels.bits import mul_high
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import writes

__all__ = ["draw_numbers", "jump"]

A = 0x2360ED051FC65DA44385DF649FCCF645
C = 0x4A696D47726179524950202020202001

_MASK = 2**64 - 1
_A_HIGH, _A_LOW = np.uint64(A >> 64), np.uint64(A & _MASK)
_C_HIGH, _C_LOW = np.uint64(C >> 64), np.uint64(C & _MASK)
_BITS = 128


def jump(step: int) -> int:
    """Return the random number that so many steps lead to from 0.

    Parameters
    ----------
    step : int
        At least 0; what is above 2**128 begins anew.

    Returns
    -------
    int
        ``x[step]``, below 2**128.

    Notes
    -----
    Time O(log step): the steps of powers of 2, each composed of two of the one before.

    Examples
    --------
    >>> from dlsort_kernels import jump
    >>> jump(1).to_bytes(16, "big")[:10]
    b'JimGrayRIP'
    """
    found, factor, increment = 0, A, C
    while step:
        if step & 1:
            found = factor * found + increment
        factor, increment = factor * factor, factor * increment + increment
        found, factor, increment = (x % (1 << _BITS) for x in (found, factor, increment))
        step >>= 1
    return found


def draw_numbers(first: int, high: Words, low: Words) -> None:
    """Write random numbers that follow one another.

    Parameters
    ----------
    first : int
        The first of them, from :func:`jump`.
    high, low : (n,) uint64
        Written: the upper and the lower halves.

    Notes
    -----
    Time O(n).

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import draw_numbers, jump
    >>> high, low = np.empty(5, np.uint64), np.empty(5, np.uint64)
    >>> draw_numbers(jump(1), high, low)
    >>> (int(high[4]) << 64 | int(low[4])) == jump(5)
    True
    """
    _draw(first >> 64, first & _MASK, high, low)


@kernel(types.void(types.uint64, types.uint64, writes(types.uint64), writes(types.uint64)))
def _draw(first_high: int, first_low: int, high: Words, low: Words) -> None:
    upper, lower = np.uint64(first_high), np.uint64(first_low)
    for i in range(high.size):
        high[i] = upper
        low[i] = lower
        upper = mul_high(_A_LOW, lower) + _A_HIGH * lower + _A_LOW * upper + _C_HIGH
        lower = _A_LOW * lower + _C_LOW
        upper += np.uint64(lower < _C_LOW)  # the carry
