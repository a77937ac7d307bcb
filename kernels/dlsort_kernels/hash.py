"""Hash whole rows, and sum the hashes: the proof that no row was lost, doubled or torn.

Each column adds a hash of its value to its row's accumulator, through a constant of its
own (the seed), so a value that moved to another column shows. `fold` mixes each row's sum
once more before it adds up the rows, so a value that moved to another row shows too, while
the rows' order does not. Two sums with different mixes make 128 bits. This guards against
bugs and bad memory, not against an attacker.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.hash_fixed_width import hash_limbs, hash_lookup, hash_raw, hash_words
from dlsort_kernels.hash_variable import hash_bytes, hash_lists
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads
from dlsort_kernels.mix import murmur, splitmix

__all__ = [
    "fold",
    "hash_bytes",
    "hash_limbs",
    "hash_lists",
    "hash_lookup",
    "hash_raw",
    "hash_words",
]

Words = npt.NDArray[np.uint64]

_ZERO = np.uint64(0)
# So that a row of zeros, too, adds something to both sums.
_START = np.uint64(0x9E3779B97F4A7C15)


def fold(acc: Words) -> tuple[int, int]:
    """Return the checksum of rows, whatever their order.

    Parameters
    ----------
    acc : (n,) uint64
        Each row's accumulated hash.

    Returns
    -------
    tuple of int
        Two sums, each below 2**64. Those of pieces add up, modulo 2**64, to those of the
        whole.

    Notes
    -----
    Time O(n).

    Examples
    --------
    >>> import numpy as np
    >>> fold(np.array([1, 2], np.uint64)) == fold(np.array([2, 1], np.uint64))
    True
    >>> fold(np.array([1, 2], np.uint64)) == fold(np.array([0, 3], np.uint64))
    False
    """
    first, second = _fold(acc)
    return int(first), int(second)


@kernel(types.UniTuple(types.uint64, 2)(reads(types.uint64)))
def _fold(acc: Words) -> tuple[np.uint64, np.uint64]:
    """Return the sums of both mixes."""
    first = _ZERO
    second = _ZERO
    for i in range(acc.size):
        first += murmur(acc[i] + _START)
        second += splitmix(acc[i] + _START)
    return first, second
