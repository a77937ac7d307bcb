"""Mixes of 64 bits, for the kernels that hash.

The finalizers of MurmurHash3 (Austin Appleby, public domain) and SplitMix64 (Sebastiano
Vigna, public domain): in each, every bit in changes about half of the bits out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels.declare import inlined

__all__ = ["absorb", "constants", "flag_bytes", "murmur", "splitmix"]

_MASK = 2**64 - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MURMUR_1 = np.uint64(0xFF51AFD7ED558CCD)
_MURMUR_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SPLIT_1 = np.uint64(0xBF58476D1CE4E5B9)
_SPLIT_2 = np.uint64(0x94D049BB133111EB)

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_3 = np.uint64(3)
_27 = np.uint64(27)
_30 = np.uint64(30)
_31 = np.uint64(31)
_32 = np.uint64(32)
_33 = np.uint64(33)

_NO_NULLS = np.empty(0, np.bool_)


@inlined
def murmur(h: np.uint64) -> np.uint64:
    """Mix 64 bits: every bit in changes about half of the bits out."""
    h = h ^ (h >> _33)
    h = h * _MURMUR_1
    h = h ^ (h >> _33)
    h = h * _MURMUR_2
    return h ^ (h >> _33)


@inlined
def splitmix(h: np.uint64) -> np.uint64:
    """Mix 64 bits in another way than `murmur`."""
    h = h ^ (h >> _30)
    h = h * _SPLIT_1
    h = h ^ (h >> _27)
    h = h * _SPLIT_2
    return h ^ (h >> _31)


@inlined
def absorb(h: np.uint64, word: np.uint64) -> np.uint64:
    """Take one more word into a running hash; no two words give the same result."""
    h = (h ^ word) * _GOLDEN
    return h ^ (h >> _32)


def constants(seed: int | npt.NDArray[np.uint64]) -> tuple[Any, Any]:
    """Return what a column adds to its words (odd), and what it adds for a null.

    Two ``uint64``; two arrays of them, if ``seed`` is one of many columns.
    """
    with np.errstate(over="ignore"):
        start = np.uint64(seed & _MASK) * _GOLDEN + _GOLDEN
        return murmur(start) | _ONE, splitmix(start ^ _MURMUR_1)


def flag_bytes(nulls: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.uint8]:
    """Return null flags as the kernels take them: nothing, or a byte a row."""
    return (_NO_NULLS if nulls is None else nulls).view(np.uint8)
