"""Hash fixed-width and dictionary columns into rows' accumulators."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.mix import constants, flag_bytes, murmur

__all__ = ["hash_limbs", "hash_lookup", "hash_raw", "hash_words"]

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# The bits of the one NaN that stands for all of them.
_NAN = np.float64(np.nan).view(np.uint64)


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
        _add(_add_integers, acc, words, nulls, seed)


def hash_raw(acc: Words, src: npt.NDArray[Any], nulls: Flags | None, seed: int | Words) -> None:
    """Add the hash of a fixed-width value of each column to each row's accumulator.

    A value hashes alike in every width: integers, booleans, dates and times are widened
    to 64 bits, floats to float64. All NaNs hash alike; −0.0 and 0.0 do not.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    src : (n,) or (c, n) bool, integer, float, datetime64 or timedelta64
        Values. Those of null rows do not matter.
    nulls : (n,) or (c, n) bool or None
        Which rows are null; None if none is.
    seed : int or (c,) uint64
        The column's own number.

    Raises
    ------
    TypeError
        If ``src`` has another dtype.

    Notes
    -----
    Time O(c n), memory O(1).

    Examples
    --------
    >>> import numpy as np
    >>> small, wide = np.zeros((2, 2), np.uint64)
    >>> hash_raw(small, np.array([5, -5], np.int8), None, seed=1)
    >>> hash_raw(wide, np.array([5, -5], np.int64), None, seed=1)
    >>> (small == wide).all()
    np.True_
    """
    kind, width = src.dtype.kind, src.dtype.itemsize
    if kind not in "biufmM" or width > 8:
        message = (
            f"cannot hash {src.dtype} values: expected booleans, integers, floats, dates or "
            "times of at most 8 bytes"
        )
        raise TypeError(message)
    if not len(acc):
        return
    values = np.ascontiguousarray(src)
    if kind == "f":
        add = _add_floats
        values = values.astype(np.float32) if width < 4 else values
    else:
        add = _add_integers
        values = values.view(f"{'u' if kind in 'bu' else 'i'}{width}")
    _add(add, acc, values, nulls, seed)


def _add(
    add: Any, acc: Words, values: npt.NDArray[Any], nulls: Flags | None, seed: int | Words
) -> None:
    """Call a kernel, which takes columns and a number for each."""
    to_values, of_nulls = constants(seed)
    n_values = len(acc) * np.size(seed)
    if values.size != n_values or (nulls is not None and nulls.size != n_values):
        message = (
            f"{values.size} values, or their nulls, for {np.size(seed)} of {len(acc)} rows"
        )
        raise ValueError(message)
    flags = np.ascontiguousarray(flag_bytes(nulls))
    shape = (-1, len(acc))
    add(
        acc,
        values.reshape(shape),
        flags.reshape(shape),
        np.reshape(to_values, -1),
        np.reshape(of_nulls, -1),
    )


def _signature(kind: Any) -> Any:
    """Return the signature of a kernel that adds values of a type, or what stands for null."""
    words, flags = writes(types.uint64), reads(types.uint8, 2)
    numbers = reads(types.uint64)
    return types.void(words, reads(kind, 2), flags, numbers, numbers)


_INTEGERS = tuple(
    getattr(types, f"{sign}int{8 * 2**k}") for sign in ("", "u") for k in range(4)
)


@kernel(*map(_signature, _INTEGERS))
def _add_integers(
    acc: Words,
    values: npt.NDArray[Any],
    nulls: npt.NDArray[np.uint8],
    add: Words,
    null: Words,
) -> None:
    """Add the mixed values, widened to 64 bits, or ``null``."""
    for c in range(values.shape[0]):
        plus, none = add[c], null[c]
        if nulls.size == 0:
            for i in range(acc.size):
                acc[i] += murmur(np.uint64(np.int64(values[c, i])) + plus)
        else:
            for i in range(acc.size):
                mixed = murmur(np.uint64(np.int64(values[c, i])) + plus)
                acc[i] += none if nulls[c, i] else mixed


@kernel(*map(_signature, (types.float32, types.float64)))
def _add_floats(
    acc: Words,
    values: npt.NDArray[Any],
    nulls: npt.NDArray[np.uint8],
    add: Words,
    null: Words,
) -> None:
    """Add the mixed bits of the values as float64, of one NaN for all, or ``null``."""
    for c in range(values.shape[0]):
        plus, none = add[c], null[c]
        for i in range(acc.size):
            value = values[c, i]
            if nulls.size and nulls[c, i]:
                acc[i] += none
            elif value != value:
                acc[i] += murmur(_NAN + plus)
            else:
                acc[i] += murmur(np.float64(value).view(np.uint64) + plus)


def hash_limbs(
    acc: Words, limbs: npt.NDArray[np.uint64], nulls: Flags | None, seed: int
) -> None:
    """Add the hash of a value of several words to each row's accumulator.

    Parameters
    ----------
    acc : (n,) uint64
        Changed in place.
    limbs : (n, k) uint64
        C-contiguous. Those of null rows do not matter.
    nulls : (n,) bool or None
        Which rows are null; None if none is.
    seed : int
        The column's own number. Limb ``i`` is hashed as a column of words with ``seed + i``.

    Notes
    -----
    Time O(n k).

    Examples
    --------
    >>> import numpy as np
    >>> limbs, words = np.zeros((2, 1), np.uint64)
    >>> hash_limbs(limbs, np.array([[7, 8]], np.uint64), None, seed=1)
    >>> hash_words(words, np.array([7], np.uint64), None, seed=1)
    >>> hash_words(words, np.array([8], np.uint64), None, seed=2)
    >>> limbs == words
    array([ True])
    """
    if not limbs.size:
        return
    pairs = np.array([constants(seed + limb) for limb in range(limbs.shape[1])], np.uint64)
    with np.errstate(over="ignore"):
        null = pairs[:, 1].sum(dtype=np.uint64)
    _add_limbs(acc, limbs, flag_bytes(nulls), np.ascontiguousarray(pairs[:, 0]), null)


@kernel(
    types.void(
        writes(types.uint64),
        reads(types.uint64, 2),
        reads(types.uint8),
        reads(types.uint64),
        types.uint64,
    )
)
def _add_limbs(
    acc: Words,
    limbs: npt.NDArray[np.uint64],
    nulls: npt.NDArray[np.uint8],
    add: Words,
    null: np.uint64,
) -> None:
    """Add the mixed limbs, or ``null``."""
    if limbs.shape[1] == 2 and nulls.size == 0:  # decimals
        for i in range(acc.size):
            acc[i] += murmur(limbs[i, 0] + add[0]) + murmur(limbs[i, 1] + add[1])
        return
    for i in range(acc.size):
        if nulls.size and nulls[i]:
            acc[i] += null
        else:
            for limb in range(limbs.shape[1]):
                acc[i] += murmur(limbs[i, limb] + add[limb])


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
    narrow = indices.dtype.kind == "i" and indices.dtype.itemsize <= 4
    index = np.ascontiguousarray(indices, np.int32 if narrow else np.int64)
    _add_lookup(acc, table, index, flag_bytes(nulls), null)


@kernel(
    *(
        types.void(
            writes(types.uint64),
            reads(types.uint64),
            reads(index),
            reads(types.uint8),
            types.uint64,
        )
        for index in (types.int32, types.int64)
    )
)
def _add_lookup(
    acc: Words,
    table: Words,
    index: npt.NDArray[Any],
    nulls: npt.NDArray[np.uint8],
    null: np.uint64,
) -> None:
    """Add ``table[index]``, or ``null`` without looking."""
    for i in range(acc.size):
        if nulls.size and nulls[i]:
            acc[i] += null
        else:
            acc[i] += table[index[i]]
