"""How long the texts of a Parquet page are, without decoding it.

Pages are taken to be hostile: nothing is read beyond their end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads
from dlsort_kernels.thrift_bytes import varint64

__all__ = ["longest_text", "shared_bytes_of"]

MOST_LENGTH = 2**31 - 1


def longest_text(page: Bytes, n_values: int) -> int:
    r"""Return the bytes of the longest text of a page in Parquet's PLAIN encoding.

    Parameters
    ----------
    page : (bytes,) uint8
        Unpacked: the length of each text in 4 bytes, and the text.
    n_values : int
        Number of texts.

    Returns
    -------
    int
        -1 if the page does not hold so many.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import longest_text
    >>> page = np.frombuffer(b"\2\0\0\0hi\5\0\0\0there", np.uint8)
    >>> longest_text(page, 2), longest_text(page, 3)
    (5, -1)
    """
    return int(_longest_text(page, n_values))


def shared_bytes_of(page: Bytes, start: int) -> int:
    """Return how many bytes the texts of a page share with the text before, all together.

    Parameters
    ----------
    page : (bytes,) uint8
        Unpacked, in Parquet's DELTA_BYTE_ARRAY encoding.
    start : int
        Where the lengths of the shared bytes begin, which are DELTA_BINARY_PACKED.

    Returns
    -------
    int
        -1 if there are no such lengths.
    """
    return int(_shared_bytes_of(page, start))


@kernel(types.int64(reads(types.uint8), types.int64))
def _longest_text(page: Bytes, n_values: int) -> Any:
    size = np.int64(len(page))
    longest = at = np.int64(0)
    for _ in range(n_values):
        if size - at < 4:
            return -1
        length = np.int64(page[at]) | np.int64(page[at + 1]) << 8
        length |= np.int64(page[at + 2]) << 16 | np.int64(page[at + 3]) << 24
        at += 4
        if length > size - at:
            return -1
        at += length
        longest = max(longest, length)
    return longest


@inlined
def _signed(found: Any) -> Any:
    """Return the signed number that an unsigned one stands for (zigzag)."""
    return np.int64(found >> np.uint64(1)) ^ -np.int64(found & np.uint64(1))


@kernel(types.int64(reads(types.uint8), types.int64))
def _shared_bytes_of(page: Bytes, start: int) -> Any:
    size = np.int64(len(page))
    block_values, at = varint64(page, np.int64(start))
    n_mini, at = varint64(page, at)
    n_values, at = varint64(page, at)
    first, at = varint64(page, at)
    few = at >= 0 and 0 < n_mini <= 1024 and 0 < block_values <= 1 << 20
    if not few or n_values > MOST_LENGTH:
        return -1
    mini_values = np.int64(block_values) // np.int64(n_mini)
    if mini_values == 0 or mini_values % 8:
        return -1
    left = np.int64(n_values) - 1
    # lengths are 32-bit numbers, and wrap round as these do
    value = _signed(first) & 0xFFFFFFFF
    total = value if left >= 0 else np.int64(0)
    while left > 0 and value <= MOST_LENGTH:
        least, at = varint64(page, at)
        if at < 0 or size - at < np.int64(n_mini):
            return -1
        widths = at
        at += np.int64(n_mini)
        for mini in range(np.int64(n_mini)):
            if left <= 0 or value > MOST_LENGTH:
                break
            width = np.int64(page[widths + mini])
            n_bytes = mini_values * width // 8
            if width > 32 or n_bytes > size - at:
                return -1
            bits, n_bits, place = np.uint64(0), np.int64(0), at
            for _ in range(min(mini_values, left)):
                while n_bits < width:
                    bits |= np.uint64(page[place]) << np.uint64(n_bits)
                    place += 1
                    n_bits += 8
                delta = bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
                bits >>= np.uint64(width)
                n_bits -= width
                value = (value + _signed(least) + np.int64(delta)) & 0xFFFFFFFF
                if value > MOST_LENGTH:
                    break
                total += value
            at += n_bytes
            left -= mini_values
    return total if value <= MOST_LENGTH else np.int64(-1)
