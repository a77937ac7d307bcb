"""Arrow arrays as NumPy views, without a copy, for the kernels.

Inside the pipeline every variable-width column has an offset layout
(``string``, ``binary`` and their ``large_`` forms): :func:`to_transport` casts
views on the way in and :func:`from_transport` casts back on the way out. A
view's bytes may lie anywhere in many buffers, so a slice of one can't be sent
or spilled without dragging all of them along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_wide
from dlsort_kernels import unpack_bits, use_allocator

__all__ = ["bitmap", "bytes_views", "fixed_view", "nulls", "raw_view"]


def _allocate(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Return memory from Arrow's pool, which keeps what it was given back for a while."""
    return np.frombuffer(pa.allocate_buffer(n_bytes), np.uint8)


use_allocator(_allocate)


def _view(
    buffer: pa.Buffer | None, dtype: npt.DTypeLike, start: int, count: int
) -> npt.NDArray[Any]:
    """Return ``count`` items of a buffer from item ``start``, read-only."""
    dtype = np.dtype(dtype)
    if buffer is None or count == 0:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, count, start * dtype.itemsize)


def bitmap(array: pa.Array, which: int = 0) -> tuple[npt.NDArray[np.uint8], int] | None:
    """Return a bit buffer of an array (0: validity, 1: boolean values) and its bit offset."""
    buffer = array.buffers()[which]
    if buffer is None:
        return None
    return _view(buffer, np.uint8, 0, buffer.size), array.offset


def nulls(array: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Return which rows are null, (n,) bool, or None if none is."""
    if pt.is_null(array.type):
        return np.ones(len(array), np.bool_)
    if array.null_count == 0:
        return None
    bits = bitmap(array)
    if bits is None:
        return None
    valid: npt.NDArray[np.bool_] = unpack_bits(bits[0], bits[1], len(array))
    return np.logical_not(valid, out=valid)


def fixed_view(array: pa.Array) -> npt.NDArray[Any]:
    """Return the values of a fixed-width array.

    Integers and everything stored as one (dates, times, ...) come as integers,
    floats as floats, booleans as uint8 0 or 1; decimals as (n, limbs) uint64
    (``decimal32`` and ``decimal64`` as integers), other fixed-size binary as
    (n, width) uint8.
    """
    kind, n = array.type, len(array)
    if pt.is_boolean(kind):
        bits = bitmap(array, 1)
        if bits is None or n == 0:
            return np.zeros(n, np.uint8)
        return unpack_bits(bits[0], bits[1], n).view(np.uint8)
    buffer = array.buffers()[1]
    width = kind.bit_width // 8
    if pt.is_decimal128(kind) or pt.is_decimal256(kind):
        limbs = width // 8
        return _view(buffer, np.uint64, array.offset * limbs, n * limbs).reshape(n, limbs)
    if pt.is_fixed_size_binary(kind) or width > 8:
        return _view(buffer, np.uint8, array.offset * width, n * width).reshape(n, width)
    if pt.is_floating(kind):
        dtype = np.dtype(f"f{width}")
    else:
        dtype = np.dtype(f"{'u' if pt.is_unsigned_integer(kind) else 'i'}{width}")
    return _view(buffer, dtype, array.offset, n)


def raw_view(array: pa.Array) -> npt.NDArray[Any]:
    """Return fixed-width values as unsigned integers, (n, limbs) uint64 or (n, width) uint8."""
    width, n = array.type.bit_width // 8, len(array)
    data = _view(array.buffers()[1], np.uint8, array.offset * width, n * width)
    if width in (1, 2, 4, 8):
        return data.view(np.dtype(f"u{width}"))
    if width in (16, 32):
        return data.view(np.uint64).reshape(n, width // 8)
    return data.reshape(n, width)


def bytes_views(array: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Return offsets (n + 1,) int32 or int64 and data uint8 of a variable-width array."""
    kind, n = array.type, len(array)
    if pt.is_fixed_size_binary(kind):
        width = kind.byte_width
        buffer = array.buffers()[1]
        data = _view(buffer, np.uint8, array.offset * width, n * width)
        return np.arange(n + 1, dtype=np.int64) * width, data
    wide = is_wide(kind) or pt.is_large_list(kind)
    dtype = np.int64 if wide else np.int32
    buffers = array.buffers()
    if n == 0 or buffers[1] is None or buffers[1].size == 0:
        return np.zeros(n + 1, dtype), np.empty(0, np.uint8)
    offsets = _view(buffers[1], dtype, array.offset, n + 1)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind):
        return offsets, np.empty(0, np.uint8)
    data = buffers[2]
    return offsets, _view(data, np.uint8, 0, 0 if data is None else data.size)
