"""Natural order of text: its numbers by their value, so that ``file2`` is before ``file10``.

The key is a byte string that sorts so. A run of the digits 0 to 9 becomes the byte 1, the count
of its digits without leading zeros, and these digits; a byte below 3 of the text becomes the
byte 2 and itself. So a number is before any other sign, and after the end of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.views import bytes_views

__all__ = ["natural_keys"]

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

# Of text at once: some 60 bytes of memory for each.
_BLOCK_BYTES = 1 << 17
_NUMBER, _ESCAPE, _MOST = 1, 2, 255


def natural_keys(text: Any) -> pa.Array:
    """Return byte strings that sort as text does in natural order.

    Parameters
    ----------
    text : pyarrow.Array
        Text with offsets; null stays null.

    Returns
    -------
    pyarrow.Array
        Of large_binary. Texts that differ in zeros before a number only are equal.

    Notes
    -----
    Time O(bytes), in blocks of 128 KiB of text.

    Examples
    --------
    >>> keys = natural_keys(pa.array(["file10", "file2", "file02"])).to_pylist()
    >>> keys[1] < keys[0], keys[1] == keys[2]
    (True, True)
    """
    offsets, data = bytes_views(text)
    ends = np.zeros(len(text) + 1, np.int64)
    keys = []
    for first, last in _blocks(offsets):
        start, stop = int(offsets[first]), int(offsets[last])
        found, until = _keys_of(data[start:stop], offsets[first : last + 1] - start)
        ends[first + 1 : last + 1] = ends[first] + until[1:]
        keys.append(found)
    whole = np.concatenate(keys) if keys else np.empty(0, np.uint8)
    valid = _validity(text)
    return pa.Array.from_buffers(
        pa.large_binary(), len(text), [valid, pa.py_buffer(ends), pa.py_buffer(whole)]
    )


def _validity(array: pa.Array) -> pa.Buffer | None:
    if not array.null_count:
        return None
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _blocks(offsets: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last row of blocks of so many bytes, at least a row."""
    first, n = 0, len(offsets) - 1
    while first < n:
        last = int(np.searchsorted(offsets, int(offsets[first]) + _BLOCK_BYTES, "right")) - 1
        last = min(max(last, first + 1), n)
        yield first, last
        first = last


def _keys_of(data: Bytes, offsets: npt.NDArray[Any]) -> tuple[Bytes, Counts]:
    """Return the keys of some texts, one after the other, and where each begins."""
    n = len(data)
    offsets = offsets.astype(np.int64)
    if not n:
        return np.empty(0, np.uint8), np.zeros(len(offsets), np.int64)
    is_digit = (data >= ord("0")) & (data <= ord("9"))
    begins = np.zeros(n + 1, np.bool_)
    begins[offsets] = True  # of a text, so that no number reaches into the next
    before = np.concatenate([np.zeros(1, np.bool_), is_digit[:-1]])
    starts = np.flatnonzero(is_digit & (begins[:-1] | ~before))
    after = np.concatenate([is_digit[1:], np.zeros(1, np.bool_)])
    stops = np.flatnonzero(is_digit & (begins[1:] | ~after)) + 1
    # The first digit of each number that is no zero.
    counts = np.concatenate([np.flatnonzero(data != ord("0")), [n]])
    leads = np.minimum(counts[np.searchsorted(counts, starts)], stops)
    n_digits = stops - leads
    n_full = n_digits // _MOST
    # What each byte becomes; the byte that a number begins with holds its count, too.
    width = np.ones(n, np.int64)
    width[~is_digit & (data <= _ESCAPE)] = 2
    zeros = np.zeros(n + 1, np.int64)
    np.add.at(zeros, starts, 1)
    np.add.at(zeros, leads, -1)
    width[np.cumsum(zeros[:-1]) > 0] = 0
    width[starts] += n_full + 2
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(width)])
    keys = np.full(int(ends[-1]), _ESCAPE, np.uint8)
    heads = ends[starts]
    keys[heads] = _NUMBER
    longest = int(n_full.max(initial=0))
    for i in range(longest):
        keys[heads[n_full > i] + 1 + i] = _MOST
    keys[heads + 1 + n_full] = n_digits % _MOST
    is_kept = width > 0
    is_kept[starts[leads > starts]] = False  # a zero, of which only the count is left
    keys[ends[1:][is_kept] - 1] = data[is_kept]
    return keys, ends[offsets]
