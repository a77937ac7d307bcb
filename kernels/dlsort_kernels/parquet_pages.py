"""Page headers of Parquet files: what their pages unpack to, where all are as most are.

Bytes are taken to be hostile: nothing is read beyond their end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from dlsort_kernels.arrays import Bytes
from dlsort_kernels.jit import inlined, kernel, reads
from dlsort_kernels.parquet_bytes import (
    MOST_BYTES,
    MOST_PAGE_VALUES,
    START,
    STOP,
    VALUES,
    Numbers,
)
from dlsort_kernels.thrift_bytes import I32, STRUCT, count, field, skip

__all__ = ["page_sizes"]


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
        Bytes of all of them; and the most that a chunk may have where one text stands for many:
        a dictionary's size times the values that are looked up in it, or a page's size times
        its values where texts share what they begin with. -1 and -1 if the pages are not as
        most are.
    """
    n_bytes, repeated = _page_sizes(data, chunks, widths)
    return int(n_bytes), int(repeated)


@inlined
def _page(data: Bytes, at: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Return kind, sizes, values and encoding of a page, and where its header ends, or -1."""
    page_kind = packed = unpacked = n_values = encoding = np.int64(-1)
    number = np.int64(0)
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
        elif (
            (number == 5 and page_kind == 0)
            or (number == 7 and page_kind == 2)
            or (number == 8 and page_kind == 3)
        ):
            if kind != STRUCT:
                return page_kind, packed, unpacked, n_values, encoding, np.int64(-1)
            inner, of_encoding = np.int64(0), 4 if page_kind == 3 else 2
            while at >= 0:
                kind, inner, at = field(data, at, inner)
                if at < 0 or kind == 0:
                    break
                if inner == 1:
                    n_values, at = count(data, at, kind, I32)
                elif inner == of_encoding:
                    encoding, at = count(data, at, kind, I32)
                else:
                    at = skip(data, at, kind)
        else:
            at = skip(data, at, kind)
    if min(page_kind, packed, unpacked, n_values, encoding) < 0:
        at = np.int64(-1)
    return page_kind, packed, unpacked, n_values, encoding, at


@kernel(
    types.UniTuple(types.int64, 2)(
        reads(types.uint8), reads(types.int64, 2), reads(types.int64)
    )
)
def _page_sizes(data: Bytes, chunks: Numbers, widths: Numbers) -> Any:
    n_bytes = repeated = np.int64(0)
    for i in range(len(chunks)):
        at, stop, left = chunks[i, START], chunks[i, STOP], chunks[i, VALUES]
        n_values = left
        of_pages = looked_up = dictionary = prefixed = np.int64(0)
        if stop > len(data) or n_values > MOST_BYTES or widths[i] >= 1 << 20:
            return np.int64(-1), np.int64(-1)
        while left > 0:
            if at >= stop:
                return np.int64(-1), np.int64(-1)
            kind, packed, unpacked, values, encoding, at = _page(data, at)
            if at < 0 or packed > stop - at:
                return np.int64(-1), np.int64(-1)
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
        if left < 0:
            return np.int64(-1), np.int64(-1)
        n_bytes += max(of_pages, n_values * widths[i])
        if looked_up > MOST_PAGE_VALUES:
            return np.int64(-1), np.int64(-1)
        repeated = max(repeated, dictionary * looked_up, prefixed)
        if n_bytes > MOST_BYTES or repeated > MOST_BYTES:
            return np.int64(-1), np.int64(-1)
    return n_bytes, repeated
