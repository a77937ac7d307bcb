"""Page headers of Parquet files: what their pages unpack to, where all are as most are.

Bytes are taken to be hostile: nothing is read beyond their end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.parquet_bytes import (
    MOST_BYTES,
    MOST_PAGE_VALUES,
    START,
    STOP,
    VALUES,
    Numbers,
)
from dlsort_kernels.thrift_bytes import FALSE, I32, STRUCT, count, field, integer, skip

__all__ = ["chunk_sizes", "page_header", "page_sizes"]


def page_sizes(data: Bytes, chunks: Numbers, widths: Numbers) -> tuple[int, int]:
    """Return what the pages of some column chunks unpack to, by their headers.

    Parameters
    ----------
    data : (bytes,) uint8
        A whole file.
    chunks : (m, 6) int64
        From :func:`sound_chunks`.
    widths : (m,) int64
        Bytes of a value of each.

    Returns
    -------
    n_bytes, repeated : int
        Bytes of all of them; and the most that a chunk may have where one text stands for many.
        -1 and -1 if the pages are not as most are.
    """
    sizes = chunk_sizes(data, 0, chunks, widths)
    if sizes.min(initial=0) < 0:
        return -1, -1
    return int(sizes[:, 0].sum()), int(sizes[:, 1].max(initial=0))


def chunk_sizes(data: Bytes, start: int, chunks: Numbers, widths: Numbers) -> Numbers:
    """Return what the pages of each column chunk unpack to, by their headers.

    Parameters
    ----------
    data : (bytes,) uint8
        Some bytes of a file.
    start : int
        Where they begin in the file.
    chunks : (m, 6) int64
        From :func:`sound_chunks`; those that do not lie in ``data`` get no sizes.
    widths : (m,) int64
        Bytes of a value of each.

    Returns
    -------
    (m, 2) int64
        Bytes of each; and the most that it may have where one text stands for many: a
        dictionary's size times the values that are looked up in it, or a page's size times its
        values where texts share what they begin with. -1 and -1 if its pages are not as most
        are.
    """
    sizes = np.empty((len(chunks), 2), np.int64)
    _chunk_sizes(data, start, chunks, widths, sizes)
    return sizes


@inlined
def page_header(data: Bytes, at: Any) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]:
    """Return what a page's header says, and where it ends, or -1.

    Kind, bytes in the file and once unpacked, values, their encoding; the encoding of their
    levels, or in a page of version 2 the levels' bytes; whether what follows these is packed;
    and the checksum, or -1.
    """
    page_kind = packed = unpacked = n_values = encoding = levels = checksum = np.int64(-1)
    is_packed, number = np.int64(1), np.int64(0)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0:
            break
        if number == 1:
            page_kind, at = count(data, at, kind, I32)
        elif number == 2:
            unpacked, at = count(data, at, kind, I32)
        elif number == 3:
            packed, at = count(data, at, kind, I32)
        elif number == 4 and kind == I32:
            checksum, at = integer(data, at)
            checksum &= np.int64(0xFFFFFFFF)
        elif (
            (number == 5 and page_kind == 0)
            or (number == 7 and page_kind == 2)
            or (number == 8 and page_kind == 3)
        ):
            if kind != STRUCT:
                at = np.int64(-1)
                break
            inner, of_encoding = np.int64(0), 4 if page_kind == 3 else 2
            while at >= 0:
                kind, inner, at = field(data, at, inner)
                if at < 0 or kind == 0:
                    break
                if inner == 1:
                    n_values, at = count(data, at, kind, I32)
                elif inner == of_encoding:
                    encoding, at = count(data, at, kind, I32)
                elif (inner == 3 and page_kind == 0) or (inner == 5 and page_kind == 3):
                    levels, at = count(data, at, kind, I32)
                elif inner == 6 and page_kind == 3:
                    n_bytes, at = count(data, at, kind, I32)
                    levels += n_bytes
                elif inner == 7 and page_kind == 3 and kind == FALSE:
                    is_packed = np.int64(0)
                else:
                    at = skip(data, at, kind)
        else:
            at = skip(data, at, kind)
    if min(page_kind, packed, unpacked, n_values, encoding) < 0:
        at = np.int64(-1)
    return page_kind, packed, unpacked, n_values, encoding, levels, is_packed, checksum, at


@inlined
def _sizes(data: Bytes, start: Any, chunk: Numbers, width: Any) -> Any:
    """Return what a chunk's pages unpack to, and what texts may repeat, or -1 and -1."""
    none = np.int64(-1), np.int64(-1)
    at, stop, left = chunk[START] - start, chunk[STOP] - start, chunk[VALUES]
    n_values = left
    of_pages = looked_up = dictionary = prefixed = np.int64(0)
    if n_values == 0:
        return np.int64(0), np.int64(0)
    if at < 0 or stop > len(data) or n_values > MOST_BYTES or width >= 1 << 20:
        return none
    while left > 0:
        if at >= stop:
            return none
        kind, packed, unpacked, values, encoding, _, _, _, at = page_header(data, at)
        if at < 0 or packed > stop - at:
            return none
        at += packed
        of_pages += unpacked
        if kind == 2:
            dictionary = max(dictionary, unpacked)
            continue
        left -= values
        if encoding in (2, 8):
            looked_up += values
        elif encoding == 7:
            prefixed += min(values * unpacked, MOST_BYTES)
    if left < 0 or looked_up > MOST_PAGE_VALUES:
        return none
    n_bytes = max(of_pages, n_values * width)
    repeated = max(dictionary * looked_up, prefixed)
    if n_bytes > MOST_BYTES or repeated > MOST_BYTES:
        return none
    return n_bytes, repeated


@kernel(
    types.void(
        reads(types.uint8),
        types.int64,
        reads(types.int64, 2),
        reads(types.int64),
        writes(types.int64, 2),
    )
)
def _chunk_sizes(
    data: Bytes, start: int, chunks: Numbers, widths: Numbers, sizes: Numbers
) -> None:
    for i in range(len(chunks)):
        sizes[i, 0], sizes[i, 1] = _sizes(data, start, chunks[i], widths[i])
