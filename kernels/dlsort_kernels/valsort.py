"""Whether records of the sort benchmark are in order, and the sum of their checksums.

As valsort has it: the CRC-32 of zlib (polynomial 0xEDB88320) of each record of 100 bytes, added
up; and each record's key, its first 10 bytes, compared with the one before. A CRC is a chain of
table look-ups. With 20 tables it takes 20 bytes in a link ("slicing", Kounavis and Berry,
2005), so a record has five links, in which all look-ups but four wait for nothing.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads
from dlsort_kernels.prefix import load_big_endian
from dlsort_kernels.unaligned import load8

__all__ = ["RecordsScan", "scan_records"]

RECORD = 100
SLICE = 20
LINKS = RECORD // SLICE
_POLYNOMIAL = np.uint32(0xEDB88320)

_ONES = np.uint64(0xFFFFFFFF)
_BYTE = np.uint64(255)
_HALF = np.uint64(32)  # of a word's bits

Tables = npt.NDArray[np.uint32]


class RecordsScan(NamedTuple):
    """What :func:`scan_records` found.

    Attributes
    ----------
    checksum : int
        The sum of the records' CRC-32.
    duplicates, unordered : int
        Records whose key is that of the record before, or less.
    first_unordered : int
        The first of the latter, counted from 0; 0 if there is none.
    """

    checksum: int
    duplicates: int
    unordered: int
    first_unordered: int


def scan_records(records: Bytes) -> RecordsScan:
    """Add up the checksums of records, and count those that are out of order.

    Parameters
    ----------
    records : (100 n,) uint8
        Fewer than 2**31 records.

    Notes
    -----
    Time O(n).

    Examples
    --------
    >>> import numpy as np, zlib
    >>> from dlsort_kernels import scan_records
    >>> records = b"b" * 100 + b"a" * 100 + b"a" * 100
    >>> found = scan_records(np.frombuffer(records, np.uint8))
    >>> found.duplicates, found.unordered, found.first_unordered
    (1, 1, 1)
    >>> found.checksum == zlib.crc32(b"b" * 100) + 2 * zlib.crc32(b"a" * 100)
    True
    """
    return RecordsScan(*map(int, _scan(records, _tables(), LINKS)))


@functools.cache
def _tables() -> Tables:
    """Return (20 * 256,) tables: what each byte does to the CRC so many bytes later."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ _POLYNOMIAL, table >> 1)
    tables = [table]
    while len(tables) < SLICE:
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 255])
    # The first byte of a slice has the farthest to go.
    return np.ascontiguousarray(np.concatenate(tables[::-1]).astype(np.uint32))


@inlined
def _link(records: Bytes, at: Any, tables: Tables, crc: Any) -> Any:
    """Return the CRC 20 bytes on."""
    first = load8(records, at)
    second = load8(records, at + np.uint64(8))
    third = load8(records, at + np.uint64(12)) >> _HALF  # nothing beyond the record
    # What waits for the CRC so far comes last.
    found = _look_up_4(tables, np.uint64(16 * 256), third)
    found ^= _look_up_4(tables, np.uint64(12 * 256), second >> _HALF)
    found ^= _look_up_4(tables, np.uint64(8 * 256), second)
    found ^= _look_up_4(tables, np.uint64(4 * 256), first >> _HALF)
    return found ^ _look_up_4(tables, np.uint64(0), first ^ crc)


@inlined
def _look_up_4(tables: Tables, at: Any, word: Any) -> Any:
    """Return what the four lowest bytes of a word do to the CRC, by a table each."""
    found = np.uint64(tables[at + (word & _BYTE)])
    found ^= np.uint64(tables[at + np.uint64(256) + (word >> np.uint64(8) & _BYTE)])
    found ^= np.uint64(tables[at + np.uint64(512) + (word >> np.uint64(16) & _BYTE)])
    found ^= np.uint64(tables[at + np.uint64(768) + (word >> np.uint64(24) & _BYTE)])
    return found


@kernel(types.UniTuple(types.uint64, 4)(reads(types.uint8), reads(types.uint32), types.int64))
def _scan(
    records: Bytes, tables: Tables, n_links: int
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return the sum of the CRC, and the numbers of equal and of smaller keys; the first.

    LLVM is not told how many links a record has: it would unroll them and gather by vectors,
    which takes half as long again.
    """
    n = np.uint64(records.size // RECORD)
    total = np.uint64(0)
    at = np.uint64(0)
    # Two records at once: each waits for its look-ups, and the other fills the time.
    for _ in range(n // np.uint64(2)):
        one, two = _ONES, _ONES
        for _ in range(n_links):
            one = _link(records, at, tables, one)
            two = _link(records, at + np.uint64(RECORD), tables, two)
            at += np.uint64(SLICE)
        total += (one ^ _ONES) + (two ^ _ONES)
        at += np.uint64(RECORD)
    if n % np.uint64(2):
        one = _ONES
        for _ in range(n_links):
            one = _link(records, at, tables, one)
            at += np.uint64(SLICE)
        total += one ^ _ONES
    n_same, n_down, first_down = np.uint64(0), np.uint64(0), np.uint64(0)
    before, before_low = np.uint64(0), np.uint64(0)
    at = np.uint64(0)
    for i in range(n):
        key = load_big_endian(records, at)
        key_low = np.uint64(records[at + np.uint64(8)]) << np.uint64(8)
        key_low |= np.uint64(records[at + np.uint64(9)])
        if i:
            n_same += np.uint64(key == before and key_low == before_low)
            if key < before or (key == before and key_low < before_low):
                if n_down == 0:
                    first_down = np.uint64(i)
                n_down += np.uint64(1)
        before, before_low = key, key_low
        at += np.uint64(RECORD)
    return total, n_same, n_down, first_down
