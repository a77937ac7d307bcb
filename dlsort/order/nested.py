r"""Structs, lists and maps as byte strings that compare as their values do.

A struct compares field by field, a list element by element and then by length, a map as the
list of its entries. So each value is written as the bytes of what is in it, one after the
other, each behind a marker: what is null, or NaN in a place of its own, differs there already,
and the end of a list is less than any marker. Numbers are their words, big-endian; of text a
zero byte becomes two, so that its end is less than whatever may follow.

    [1, None]     ▸ [ v 80…01 ▸ n 00…00 end        v: a value   n: null, as the last of all
    ["a", "b\0"]  ▸ [ v 61 00 ▸ v 62 00 FF 00 end

Nulls in a value go where the key puts nulls. After the row formats of DuckDB and Arrow (Rust).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_nested
from dlsort.arrow.layouts import lists_of_views
from dlsort.arrow.views import bytes_views, fixed_view, nulls
from dlsort.keys import SortKey
from dlsort_kernels import float_words, int_words, limb_words

__all__ = ["encode_nested"]

Bytes = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]

END, NULL_LOW, NAN_LOW, VALUE, NAN_HIGH, NULL_HIGH = range(6)


def encode_nested(array: pa.Array, key: SortKey) -> Bytes:
    """Return nested values as bytes that compare as they do.

    Parameters
    ----------
    array : pyarrow.Array
        (n) structs, lists or maps, of what can be a key.
    key : SortKey
        Where nulls and NaN in them go. The bytes ascend: a descending key turns them.

    Returns
    -------
    offsets : (n + 1,) int64
    data : uint8
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``; of a null, anything.

    Notes
    -----
    Time and memory O(bytes of the values).
    """
    encoded = _Encoder(key).encode(array)
    offsets, data = bytes_views(encoded)
    return offsets, data


class _Encoder:
    def __init__(self, key: SortKey) -> None:
        self.null = NULL_LOW if key.nulls_first != key.descending else NULL_HIGH
        self.nan = self.null
        if key.nan_first is not None:
            self.nan = NAN_LOW if key.nan_first != key.descending else NAN_HIGH

    def encode(self, array: pa.Array) -> pa.Array:
        """Return each value behind its marker, large_binary without nulls."""
        kind = array.type
        if isinstance(array, pa.ExtensionArray):
            return self.encode(array.storage)
        if pt.is_dictionary(kind):
            return self.encode(array.dictionary_decode())
        if is_bytes(kind):
            return self._behind_marker(array, [_escaped(array), _all(len(array), END)])
        if pt.is_struct(kind):
            fields = [self.encode(array.field(i)) for i in range(kind.num_fields)]
            return self._behind_marker(array, fields)
        if is_nested(kind):
            return self._behind_marker(array, [self._elements(array), _all(len(array), END)])
        return self._numbers(array)

    def _behind_marker(self, array: pa.Array, parts: list[pa.Array]) -> pa.Array:
        """Return what a value is made of, one after the other; of a null the marker alone."""
        value = pa.scalar(bytes([VALUE]), pa.large_binary())
        none = pa.scalar(b"", pa.large_binary())
        found = pc.binary_join_element_wise(value, *parts, none) if parts else None
        if found is None or isinstance(found, pa.Scalar):
            found = _all(len(array), VALUE)
        if array.null_count:
            null = pa.scalar(bytes([self.null]), pa.large_binary())
            found = pc.if_else(array.is_valid(), found, null)
        return found

    def _elements(self, array: pa.Array) -> pa.Array:
        """Return the elements of each list, one after the other."""
        kind = array.type
        if pt.is_map(kind):
            entry = pa.struct([kind.key_field, kind.item_field])
            array = array.cast(pa.list_(entry))
        elif pt.is_list_view(kind) or pt.is_large_list_view(kind):
            array = lists_of_views(array)
        if pt.is_fixed_size_list(kind):
            ends = (np.arange(len(array) + 1) + array.offset) * kind.list_size
        else:
            ends = array.offsets.to_numpy().astype(np.int64)
        inside = self.encode(array.values.slice(ends[0], ends[-1] - ends[0]))
        offsets, _ = bytes_views(inside)
        # The elements of a list lie side by side.
        return _binary(offsets[ends - ends[0]], inside.buffers()[2])

    def _numbers(self, array: pa.Array) -> pa.Array:
        """Return values of a fixed width behind their markers."""
        n = len(array)
        marker = np.full(n, VALUE, np.uint8)
        if pt.is_null(array.type):
            words = np.zeros((n, 0), np.uint64)
        else:
            values = fixed_view(array)
            if values.ndim == 2:
                words = np.column_stack(list(limb_words(values)))
            elif values.dtype.kind == "f":
                found, nan = float_words(values)
                words = found.reshape(n, 1).copy()
                if nan is not None:
                    marker[nan] = self.nan
                    words[nan] = 0
            else:
                words = int_words(values).reshape(n, 1)
        missing = nulls(array)
        if missing is not None:
            marker[missing] = self.null
            words = np.where(missing[:, None], np.uint64(0), words)
        width = 1 + 8 * words.shape[1]
        data = np.empty((n, width), np.uint8)
        data[:, 0] = marker
        data[:, 1:] = words.astype(">u8").view(np.uint8).reshape(n, width - 1)
        return _binary(np.arange(n + 1, dtype=np.int64) * width, pa.py_buffer(data))


def _binary(offsets: npt.NDArray[np.int64], data: pa.Buffer | None) -> pa.Array:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), data or pa.py_buffer(b"")]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, 0)


def _all(n: int, byte: int) -> pa.Array:
    """Return one byte n times."""
    data = pa.py_buffer(np.full(n, byte, np.uint8))
    return _binary(np.arange(n + 1, dtype=np.int64), data)


def _escaped(array: pa.Array) -> pa.Array:
    """Return text or bytes, nulls as none of them, whose zero bytes are marked."""
    if pt.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    array = array.cast(pa.large_binary())
    if array.null_count:
        array = array.fill_null(b"")
    _, data = bytes_views(array)
    if not data.all():
        array = pc.replace_substring(array, pattern=b"\0", replacement=b"\0\xff")
    return array
