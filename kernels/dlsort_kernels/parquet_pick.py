"""Single values of Parquet pages, found without decoding the others.

::

    headers ──▶ pages of a chunk          find_pages
    levels  ──▶ which value a row has     pick_values: runs that hold no wanted row are passed
    indices ──▶ its place in the page or     over in one step, so it takes the time of what is
                in the dictionary            wanted, and of walking texts
    places  ──▶ values in PLAIN           copy_values

After Apache Parquet's description of its encodings. Bytes are taken to be hostile: nothing is
read beyond their end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.parquet_pages import page_header
from dlsort_kernels.thrift_bytes import varint

__all__ = ["copy_values", "delta_values", "find_pages", "pick_values", "text_ends"]

Numbers = npt.NDArray[np.int64]

# What a page is told by.
PAGE_FIELDS = 9
_PLAIN, _OLD_DICTIONARY, _DICTIONARY = 0, 2, 8


def find_pages(data: Bytes, n_values: int) -> Numbers | None:
    """Return the pages of a column chunk, by their headers.

    Parameters
    ----------
    data : (bytes,) uint8
        The chunk.
    n_values : int
        That its pages have together.

    Returns
    -------
    (pages, 9) int64
        Of each: first byte behind the header, kind, bytes in the file and once unpacked,
        values, encoding; the encoding of levels, or in version 2 their bytes; whether it is
        packed; checksum, or -1. None if they are not as most are.
    """
    pages = np.empty((16, PAGE_FIELDS), np.int64)
    while True:
        n = int(_find_pages(data, n_values, pages))
        if n < 0:
            return None
        if n <= len(pages):
            return pages[:n]
        pages = np.empty((2 * len(pages), PAGE_FIELDS), np.int64)


@kernel(types.int64(reads(types.uint8), types.int64, writes(types.int64, 2)))
def _find_pages(data: Bytes, n_values: int, pages: Numbers) -> Any:
    at, n, left = np.int64(0), np.int64(0), np.int64(n_values)
    while left > 0:
        header = page_header(data, at)
        at = header[8]
        if at < 0 or header[1] > len(data) - at:
            return -1
        if n == len(pages):
            return n + 1
        pages[n, 0] = at
        for i in range(8):
            pages[n, 1 + i] = header[i]
        n += 1
        at += header[1]
        if header[0] != 2:
            left -= header[3]
    return n if left == 0 else np.int64(-1)


def pick_values(
    page: Bytes,
    levels: tuple[int, int],
    values: tuple[int, int],
    n_values: int,
    encoding: int,
    width: int,
    n_entries: int,
    texts: Numbers,
    rows: Numbers,
    ends: Numbers,
) -> int:
    """Find the values of some rows of a page that is not nested.

    Parameters
    ----------
    page : (bytes,) uint8
        Unpacked.
    levels, values : (int, int)
        Where its levels of definition, at most 1, and its values begin and end; no levels:
        each row has a value.
    n_values : int
        Rows of the page.
    encoding : int
        PLAIN or a dictionary's.
    width : int
        Bytes of a value; 0 of text.
    n_entries : int
        Of the dictionary.
    texts : (n_entries, 2) int64
        Where each of its entries begins and ends, if that is text; else empty.
    rows : (n,) int64
        Which rows, ascending.
    ends : (n, 2) int64
        Where the value of each begins and ends, in the page or in the dictionary; -1 of null.

    Returns
    -------
    int
        Rows that have a value; -1 if the page is not as it should be.
    """
    given = *levels, *values, n_values, encoding, width, n_entries
    return int(_pick_values(page, *given, texts, rows, ends))


@inlined
def _runs_of_levels(
    page: Bytes, at: Any, stop: Any, n_values: Any, rows: Numbers, ends: Numbers
) -> Any:
    """Write for each row which value is its own, -1 for null; return False if none is."""
    row = value = np.int64(0)
    wanted = 0
    while wanted < len(rows):
        head, at = varint(page, at)
        if at < 0 or at > stop or head >= 1 << 33:
            return False
        n = np.int64(head >> np.uint64(1))
        if n == 0:
            return False
        if head & np.uint64(1) == 0:
            if at >= stop or page[at] > 1:
                return False
            is_valid = page[at] == 1
            at += 1
            while wanted < len(rows) and rows[wanted] < row + n:
                ends[wanted, 0] = value + rows[wanted] - row if is_valid else -1
                wanted += 1
            value += n if is_valid else 0
            row += n
            continue
        if n > stop - at:
            return False
        for byte in range(at, at + n):
            bits = page[byte]
            for bit in range(8):
                is_valid = (bits >> np.uint8(bit)) & np.uint8(1) == 1
                if wanted < len(rows) and rows[wanted] == row:
                    ends[wanted, 0] = value if is_valid else -1
                    wanted += 1
                value += 1 if is_valid else 0
                row += 1
        at += n
    return rows[-1] < n_values


@inlined
def _runs_of_indices(
    page: Bytes,
    at: Any,
    stop: Any,
    width_of: Any,
    n_entries: Any,
    texts: Numbers,
    ends: Numbers,
) -> Any:
    """Replace numbers of values by where their entries are; return False if there are none."""
    if at >= stop:
        return False
    width = np.int64(page[at])
    at += 1
    if width > 32:
        return False
    row, wanted = np.int64(0), 0
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    while wanted < len(ends):
        if ends[wanted, 0] < 0:
            ends[wanted, 1] = -1
            wanted += 1
            continue
        head, at = varint(page, at)
        if at < 0 or at > stop or head >= 1 << 33:
            return False
        n = np.int64(head >> np.uint64(1))
        if n == 0:
            return False
        is_packed = head & np.uint64(1) == 1
        n_bytes = n * width if is_packed else (width + 7) // 8
        n = 8 * n if is_packed else n
        if n_bytes > stop - at:
            return False
        while wanted < len(ends) and ends[wanted, 0] < row + n:
            if ends[wanted, 0] >= 0:
                first = (ends[wanted, 0] - row) * width if is_packed else np.int64(0)
                bits, place = np.uint64(0), at + (first >> 3)
                for i in range(min(8, at + n_bytes - place)):
                    bits |= np.uint64(page[place + i]) << np.uint64(8 * i)
                index = np.int64((bits >> np.uint64(first & 7)) & mask)
                if index >= n_entries:
                    return False
                if width_of:
                    ends[wanted, 0], ends[wanted, 1] = index * width_of, (index + 1) * width_of
                else:
                    ends[wanted, 0], ends[wanted, 1] = texts[index, 0], texts[index, 1]
            else:
                ends[wanted, 1] = -1
            wanted += 1
        row += n
        at += n_bytes
    return True


@inlined
def _length(page: Bytes, at: Any) -> Any:
    """Return the number in 4 bytes."""
    length = np.int64(page[at]) | np.int64(page[at + 1]) << 8
    return length | np.int64(page[at + 2]) << 16 | np.int64(page[at + 3]) << 24


@inlined
def _plain(page: Bytes, at: Any, stop: Any, width: Any, ends: Numbers) -> Any:
    """Replace numbers of values by where they are; return False if there are none."""
    value = np.int64(0)
    for wanted in range(len(ends)):
        number = ends[wanted, 0]
        if number < 0:
            ends[wanted, 1] = -1
            continue
        if width:
            ends[wanted, 0] = at + number * width
            ends[wanted, 1] = at + (number + 1) * width
            if ends[wanted, 1] > stop:
                return False
            continue
        while True:
            if stop - at < 4:
                return False
            length = _length(page, at)
            if length > stop - at - 4:
                return False
            if value == number:
                break
            at += 4 + length
            value += 1
        ends[wanted, 0], ends[wanted, 1] = at + 4, at + 4 + length
    return True


@kernel(
    types.int64(
        reads(types.uint8),
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        reads(types.int64, 2),
        reads(types.int64),
        writes(types.int64, 2),
    )
)
def _pick_values(
    page: Bytes,
    levels_start: int,
    levels_stop: int,
    start: int,
    stop: int,
    n_values: int,
    encoding: int,
    width: int,
    n_entries: int,
    texts: Numbers,
    rows: Numbers,
    ends: Numbers,
) -> Any:
    if len(rows) == 0:
        return 0
    least = min(levels_start, levels_stop, start, stop, rows[0])
    if least < 0 or max(levels_stop, stop) > len(page) or rows[-1] >= n_values:
        return -1
    if levels_stop > levels_start:
        found = _runs_of_levels(page, levels_start, levels_stop, n_values, rows, ends)
        if not found:
            return -1
    else:
        for i in range(len(rows)):
            ends[i, 0] = rows[i]
    n_valid = np.int64(0)
    for i in range(len(rows)):
        n_valid += 1 if ends[i, 0] >= 0 else 0
    if n_valid == 0:
        ends[:] = -1
        return 0
    if encoding in (_OLD_DICTIONARY, _DICTIONARY):
        if width == 0 and n_entries > len(texts):
            return -1
        found = _runs_of_indices(page, start, stop, width, n_entries, texts, ends)
    else:
        found = encoding == _PLAIN and _plain(page, start, stop, width, ends)
    return n_valid if found else np.int64(-1)


def text_ends(page: Bytes, n_values: int) -> Numbers | None:
    """Return where each text of a page in PLAIN begins and ends, (n_values, 2) int64.

    None if it does not hold so many.
    """
    if n_values > len(page) // 4:
        return None
    ends = np.empty((n_values, 2), np.int64)
    return ends if _text_ends(page, ends) else None


@kernel(types.boolean(reads(types.uint8), writes(types.int64, 2)))
def _text_ends(page: Bytes, ends: Numbers) -> Any:
    at, stop = np.int64(0), np.int64(len(page))
    for i in range(len(ends)):
        if stop - at < 4:
            return False
        length = _length(page, at)
        if length > stop - at - 4:
            return False
        ends[i, 0], ends[i, 1] = at + 4, at + 4 + length
        at += 4 + length
    return True


def copy_values(data: Bytes, ends: Numbers, *, has_lengths: bool) -> Bytes:
    """Return values one behind the other, as PLAIN has them.

    Parameters
    ----------
    data : (bytes,) uint8
        Where they are.
    ends : (n, 2) int64
        Where each begins and ends; -1 of null, which has none.
    has_lengths : bool
        Each begins with its length, in 4 bytes.
    """
    prefix = 4 if has_lengths else 0
    n_bytes = int(_values_bytes(ends, len(data), prefix))
    if n_bytes < 0:
        msg = "values lie outside of their page"
        raise ValueError(msg)
    out = np.empty(n_bytes, np.uint8)
    _copy_values(data, ends, prefix, out)
    return out


@kernel(types.int64(reads(types.int64, 2), types.int64, types.int64))
def _values_bytes(ends: Numbers, stop: int, prefix: int) -> Any:
    n_bytes = np.int64(0)
    for i in range(len(ends)):
        if ends[i, 0] >= 0:
            if ends[i, 1] < ends[i, 0] or ends[i, 1] > stop:
                return -1
            n_bytes += ends[i, 1] - ends[i, 0] + prefix
    return n_bytes


@kernel(types.void(reads(types.uint8), reads(types.int64, 2), types.int64, writes(types.uint8)))
def _copy_values(data: Bytes, ends: Numbers, prefix: int, out: Bytes) -> None:
    at = np.int64(0)
    for i in range(len(ends)):
        if ends[i, 0] < 0:
            continue
        length = ends[i, 1] - ends[i, 0]
        if prefix:
            for n in range(4):
                out[at + n] = np.uint8((length >> (8 * n)) & 255)
            at += 4
        for n in range(length):
            out[at + n] = data[ends[i, 0] + n]
        at += length


@inlined
def _long(page: Bytes, at: Any) -> tuple[Any, Any]:
    """Return a signed number of up to 64 bits, as it is, and where it ends, or -1."""
    found = np.uint64(0)
    for n in range(10):
        if at < 0 or at >= len(page):
            return found, np.int64(-1)
        byte = np.uint64(page[at])
        at += 1
        found |= (byte & np.uint64(127)) << np.uint64(7 * n)
        if byte < 128:
            sign = np.uint64(0) - (found & np.uint64(1))
            return (found >> np.uint64(1)) ^ sign, np.int64(at)
    return found, np.int64(-1)


def delta_values(page: Bytes, start: int, stop: int, n_values: int) -> tuple[Numbers, int]:
    """Return the numbers of a page in DELTA_BINARY_PACKED.

    Parameters
    ----------
    page : (bytes,) uint8
        Unpacked.
    start, stop : int
        Where they begin, and where they end at the latest.
    n_values : int
        How many there should be at most.

    Returns
    -------
    values : (n,) int64
        Modulo 2^64: of 32-bit numbers the lower half counts.
    end : int
        Where they end; -1 if there are none.
    """
    values = np.empty(n_values, np.int64)
    n, end = _delta_values(page, start, stop, values)
    return values[: int(n)], int(end)


@kernel(
    types.UniTuple(types.int64, 2)(
        reads(types.uint8), types.int64, types.int64, writes(types.int64)
    )
)
def _delta_values(page: Bytes, start: int, stop: int, values: Numbers) -> Any:
    none = np.int64(0), np.int64(-1)
    if start < 0 or start > stop or stop > len(page):
        return none
    block_values, at = varint(page, np.int64(start))
    n_mini, at = varint(page, at)
    found, at = varint(page, at)
    first, at = _long(page, at)
    if at < 0 or at > stop or not 0 < n_mini <= 1024 or not 0 < block_values <= 1 << 20:
        return none
    if found > np.uint64(len(values)):
        return none
    n, mini_values = np.int64(found), np.int64(block_values // n_mini)
    if mini_values == 0 or mini_values % 8:
        return none
    done = np.int64(0)
    if n:
        values[0] = np.int64(first)
        done += 1
    value = first
    while done < n:
        least, at = _long(page, at)
        if at < 0 or stop - at < np.int64(n_mini):
            return none
        widths = at
        at += np.int64(n_mini)
        for mini in range(np.int64(n_mini)):
            if done == n:
                break
            width = np.int64(page[widths + mini])
            n_bytes = mini_values * width // 8
            if width > 64 or n_bytes > stop - at:
                return none
            for i in range(min(mini_values, n - done)):
                bit = i * width
                delta, place, shift = np.uint64(0), at + (bit >> 3), bit & 7
                got = np.int64(0)
                while got < width + shift:
                    byte = np.uint64(page[place])
                    if got == 0:
                        delta |= byte >> np.uint64(shift)
                    else:
                        delta |= byte << np.uint64(got - shift)
                    place += 1
                    got += 8
                if width < 64:
                    delta &= (np.uint64(1) << np.uint64(width)) - np.uint64(1)
                value = value + least + delta
                values[done] = np.int64(value)
                done += 1
            at += n_bytes
    return done, at
