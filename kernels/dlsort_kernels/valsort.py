"""Whether records of the sort benchmark are in order, and the sum of their checksums.

As valsort has it: the CRC-32 of zlib (polynomial 0xEDB88320) of each record of 100 bytes, added
up; and each record's key, its first 10 bytes, compared with the one before. A CRC is a chain of
table look-ups. With 20 tables it takes 20 bytes in a link ("slicing", Kounavis and Berry,
2005), so a record has five links, in which all look-ups but four wait for nothing.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads
from dlsort_kernels.prefix import load_big_endian

__all__ = ["RecordsScan", "scan_records"]

RECORD = 100
SLICE = 20
_POLYNOMIAL = np.uint32(0xEDB88320)

_ONES = np.uint32(0xFFFFFFFF)
_BYTE = np.uint32(255)


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
    return RecordsScan(*map(int, _scan(records, _tables())))


@functools.cache
def _tables() -> npt.NDArray[np.uint32]:
    """Return (20 * 256,) tables: what each byte does to the CRC so many bytes later."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ _POLYNOMIAL, table >> 1)
    tables = [table]
    while len(tables) < SLICE:
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & _BYTE])
    # The first byte of a slice has the farthest to go.
    return np.ascontiguousarray(np.concatenate(tables[::-1]).astype(np.uint32))


@kernel(types.UniTuple(types.uint64, 4)(reads(types.uint8), reads(types.uint32)))
def _scan(
    records: Bytes, tables: npt.NDArray[np.uint32]
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    total, n_same, n_down = np.uint64(0), np.uint64(0), np.uint64(0)
    first_down = np.uint64(0)
    before, before_low = np.uint64(0), np.uint64(0)
    at = np.uint64(0)
    for i in range(records.size // RECORD):
        crc = _ONES
        place = at
        for _ in range(RECORD // SLICE):
            link = np.uint32(0)
            for j in range(4):
                byte = np.uint32(records[place + np.uint64(j)]) ^ (
                    crc >> np.uint32(8 * j) & _BYTE
                )
                link ^= tables[np.uint64(256 * j) + np.uint64(byte)]
            for j in range(4, SLICE):
                byte = np.uint32(records[place + np.uint64(j)])
                link ^= tables[np.uint64(256 * j) + np.uint64(byte)]
            crc = link
            place += np.uint64(SLICE)
        total += np.uint64(crc ^ _ONES)
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
