"""Records of 100 bytes, of which the first 10 are the key: their words, their rows, their hash.

A key is two words. The first has bytes 0 to 7; the second has bytes 8 and 9 above 48 bits that
the caller chooses, so that where they say a record's place, the two words are a whole order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.mix import absorb, murmur, splitmix
from dlsort_kernels.prefix import load_big_endian
from dlsort_kernels.unaligned import copy16, load8, prefetch

__all__ = ["RecordsRead", "gather_records", "read_records"]

RECORD = 100
PLACE_BITS = 48
_PLACE_MASK = np.uint64(2**PLACE_BITS - 1)
# Records between asking for one and copying it.
_AHEAD = 24

Words = npt.NDArray[np.uint64]


class RecordsRead(NamedTuple):
    """What :func:`read_records` found.

    Attributes
    ----------
    low, high : int
        Two sums over the records, each below 2**64, whatever their order.
    first_unordered : int
        The first record, counted from 0, whose words are less than those of the one before;
        their number if there is none.
    """

    low: int
    high: int
    first_unordered: int


def read_records(
    records: Bytes, word: Words, tail: Words, first: int = 0, step: int = 0
) -> RecordsRead:
    """Write the words of records' keys, and hash all of their bytes.

    Parameters
    ----------
    records : (100 n,) uint8
        The records.
    word, tail : (n,) uint64
        Written: bytes 0 to 7 of each, as a number; bytes 8 and 9 above 48 bits that hold
        ``first + i * step``.
    first, step : int
        At least 0; all of these numbers are below 2**48.

    Notes
    -----
    Time O(n).

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import read_records
    >>> records = np.frombuffer(b"b" * 100 + b"a" * 100, np.uint8)
    >>> word, tail = np.empty((2, 2), np.uint64)
    >>> read_records(records, word, tail, 7, 100).first_unordered
    1
    >>> [f"{x:x}" for x in (word[0], tail[1])]
    ['6262626262626262', '616100000000006b']
    """
    return RecordsRead(*map(int, _read(records, np.uint64(first), np.uint64(step), word, tail)))


def gather_records(source: Bytes, tail: Words, out: Bytes) -> None:
    """Copy the records at some places.

    Parameters
    ----------
    source : (k,) uint8
        Bytes that records are among.
    tail : (n,) uint64
        The lower 48 bits of each say where in ``source`` a record begins; not checked here.
    out : (100 n,) uint8
        Written.

    Notes
    -----
    Time O(n), most of it waiting for memory; so records ahead are asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import gather_records
    >>> source = np.repeat(np.frombuffer(b"ab", np.uint8), 100)
    >>> out = np.empty(200, np.uint8)
    >>> gather_records(source, np.array([100, 0], np.uint64), out)
    >>> bytes(out[[0, 99, 100, 199]])
    b'bbaa'
    """
    _gather(out, source, tail)


@kernel(
    types.UniTuple(types.uint64, 3)(
        reads(types.uint8),
        types.uint64,
        types.uint64,
        writes(types.uint64),
        writes(types.uint64),
    )
)
def _read(
    records: Bytes, first: np.uint64, step: np.uint64, word: Words, tail: Words
) -> tuple[np.uint64, np.uint64, np.uint64]:
    low, high = np.uint64(0), np.uint64(0)
    n = word.size
    first_down = np.uint64(n)
    before, before_tail = np.uint64(0), np.uint64(0)
    place = first
    for i in range(n):
        at = i * RECORD
        # Four chains, as the steps of one wait for each other.
        a, b, c, d = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
        for j in range(at, at + 96, 32):
            a = absorb(a, load8(records, j))
            b = absorb(b, load8(records, j + 8))
            c = absorb(c, load8(records, j + 16))
            d = absorb(d, load8(records, j + 24))
        a = absorb(a, load8(records, at + 92))
        mixed = absorb(absorb(absorb(a, b), c), d)
        low += murmur(mixed)
        high += splitmix(mixed)
        key = load_big_endian(records, np.uint64(at))
        rest = np.uint64(records[at + 8]) << np.uint64(56)
        rest |= np.uint64(records[at + 9]) << np.uint64(48)
        rest |= place
        place += step
        word[i] = key
        tail[i] = rest
        is_down = key < before or (key == before and rest < before_tail)
        if is_down and first_down == np.uint64(n):
            first_down = np.uint64(i)
        before, before_tail = key, rest
    return low, high, first_down


@kernel(types.void(writes(types.uint8), reads(types.uint8), reads(types.uint64)))
def _gather(out: Bytes, source: Bytes, tail: Words) -> None:
    n = tail.size
    for i in range(n):
        ahead = np.int64(tail[min(i + _AHEAD, n - 1)] & _PLACE_MASK)
        prefetch(source, ahead)
        prefetch(source, ahead + 64)
        prefetch(source, ahead + 99)
        at = np.int64(tail[i] & _PLACE_MASK)
        to = i * RECORD
        copy16(out, to, source, at)
        copy16(out, to + 16, source, at + 16)
        copy16(out, to + 32, source, at + 32)
        copy16(out, to + 48, source, at + 48)
        copy16(out, to + 64, source, at + 64)
        copy16(out, to + 80, source, at + 80)
        copy16(out, to + 84, source, at + 84)
