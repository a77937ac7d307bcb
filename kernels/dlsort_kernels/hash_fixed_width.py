"""Hash fixed-width and dictionary columns into rows' accumulators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.jit import kernel, reads, writes
from dlsort_kernels.mix import constants, flag_bytes, murmur

__all__ = ["hash_lookup", "hash_raw", "hash_words"]

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# Values widened at a time: the 64-bit copies of a chunk (128 KiB) stay in the L2 cache.
_CHUNK = 16_384


def hash_words(acc: Words, words: Words, nulls: Flags | None, seed: int) -> None:
    """Add the hash of a 64-bit value to each row's accumulator.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    words : (n,) uint64
        Values. Those of null rows do not matter.
    nulls : (n,) bool or None
        Which rows are null; None if none is. A null adds a constant of the seed's.
    seed : int
        The column's own number.

    Notes
    -----
    Time O(n), without branches, so that it is SIMD.

    Examples
    --------
    >>> import numpy as np
    >>> acc = np.zeros(3, np.uint64)
    >>> hash_words(acc, np.array([7, 8, 7], np.uint64), None, seed=1)
    >>> acc[0] == acc[2], acc[0] == acc[1]
    (np.True_, np.False_)
    """
    if len(acc):
        _add_words(acc, words, flag_bytes(nulls), *constants(seed))


@kernel(
    types.void(
        writes(types.uint64),
        reads(types.uint64),
        reads(types.uint8),
        types.uint64,
        types.uint64,
    )
)
def _add_words(
    acc: Words, words: Words, nulls: npt.NDArray[np.uint8], add: np.uint64, null: np.uint64
) -> None:
    """Add the mixed words, or ``null``."""
    if nulls.size == 0:
        for i in range(acc.size):
            acc[i] += murmur(words[i] + add)
    else:
        for i in range(acc.size):
            mixed = murmur(words[i] + add)
            acc[i] += null if nulls[i] else mixed


def hash_raw(acc: Words, src: npt.NDArray[Any], nulls: Flags | None, seed: int) -> None:
    """Add the hash of a fixed-width value to each row's accumulator.

    A value hashes alike in every width: integers, booleans, dates and times are widened
    to 64 bits, floats to float64. All NaNs hash alike; −0.0 and 0.0 do not.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    src : (n,) bool, integer, float, datetime64 or timedelta64
        Values. Those of null rows do not matter.
    nulls : (n,) bool or None
        Which rows are null; None if none is.
    seed : int
        The column's own number.

    Raises
    ------
    TypeError
        If ``src`` has another dtype.

    Notes
    -----
    Time O(n), memory O(1).

    Examples
    --------
    >>> import numpy as np
    >>> small, wide = np.zeros((2, 2), np.uint64)
    >>> hash_raw(small, np.array([5, -5], np.int8), None, seed=1)
    >>> hash_raw(wide, np.array([5, -5], np.int64), None, seed=1)
    >>> (small == wide).all()
    np.True_
    """
    kind = src.dtype.kind
    if kind not in "biufmM" or src.dtype.itemsize > 8:
        message = (
            f"cannot hash {src.dtype} values: expected booleans, integers, floats, dates or "
            "times of at most 8 bytes"
        )
        raise TypeError(message)
    if kind != "f" and src.dtype.itemsize == 8:
        hash_words(acc, np.ascontiguousarray(src).view(np.uint64), nulls, seed)
        return
    wide = np.dtype({"f": np.float64, "u": np.uint64, "b": np.uint64}.get(kind, np.int64))
    chunk = np.empty(min(_CHUNK, len(src)), wide)
    for rows in _chunks(len(src)):
        values = chunk[: rows.stop - rows.start]
        # Widening a signalling NaN sets the flag for an invalid operation; it is none here.
        with np.errstate(invalid="ignore"):
            np.copyto(values, src[rows], casting="safe")
        if kind == "f":
            np.copyto(values, np.nan, where=np.isnan(values))
        hash_words(
            acc[rows], values.view(np.uint64), None if nulls is None else nulls[rows], seed
        )


def _chunks(n: int) -> Iterator[slice]:
    """Cut ``n`` rows into chunks that fit the cache."""
    for first in range(0, n, _CHUNK):
        yield slice(first, min(first + _CHUNK, n))


def hash_lookup(
    acc: Words, table: Words, indices: npt.NDArray[Any], nulls: Flags | None, seed: int
) -> None:
    """Add a dictionary value's hash to each row's accumulator.

    Gives what hashing the decoded values would, if ``table`` was made with the same seed.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    table : (d,) uint64
        Hash of each dictionary value: what the other functions here added to zeros.
    indices : (n,) any integer dtype
        Dictionary index of each row, below ``d``; not checked here. Those of null rows do
        not matter.
    nulls : (n,) bool or None
        Which rows are null; None if none is.
    seed : int
        The column's own number, as used for ``table``.

    Notes
    -----
    Time O(n), memory O(1).

    Examples
    --------
    >>> import numpy as np
    >>> acc = np.zeros(3, np.uint64)
    >>> hash_lookup(acc, np.array([10, 20], np.uint64), np.array([1, 0, 1], np.int8), None, 1)
    >>> acc.tolist()
    [20, 10, 20]
    """
    _, null = constants(seed)
    chunk = np.empty(min(_CHUNK, len(indices)), np.int64)
    for rows in _chunks(len(indices)):
        index = chunk[: rows.stop - rows.start]
        np.copyto(index, indices[rows], casting="same_kind")
        flags = flag_bytes(None if nulls is None else nulls[rows])
        _add_lookup(acc[rows], table, index.view(np.uint64), flags, null)


@kernel(
    types.void(
        writes(types.uint64),
        reads(types.uint64),
        reads(types.uint64),
        reads(types.uint8),
        types.uint64,
    )
)
def _add_lookup(
    acc: Words, table: Words, index: Words, nulls: npt.NDArray[np.uint8], null: np.uint64
) -> None:
    """Add ``table[index]``, or ``null`` without looking."""
    for i in range(acc.size):
        if nulls.size and nulls[i]:
            acc[i] += null
        else:
            acc[i] += table[index[i]]
