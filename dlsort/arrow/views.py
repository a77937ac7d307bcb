"""Arrow arrays as NumPy views, without a copy, for the kernels.

Inside the pipeline every variable-width column has an offset layout
(``string``, ``binary`` and their ``large_`` forms): :func:`to_transport` casts
views on the way in and :func:`from_transport` casts back on the way out. A
view's bytes may lie anywhere in many buffers, so a slice of one can't be sent
or spilled without dragging all of them along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.layouts import without_views
from dlsort_kernels import unpack_bits, use_allocator

__all__ = [
    "bitmap",
    "bytes_views",
    "combine",
    "concat_rows",
    "fixed_view",
    "from_transport",
    "nulls",
    "raw_view",
    "to_transport",
    "transport_schema",
]


def _allocate(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Return memory from Arrow's pool, which keeps what it was given back for a while."""
    return np.frombuffer(pa.allocate_buffer(n_bytes), np.uint8)


use_allocator(_allocate)

NARROW_BYTES = 2**31 - 1  # most bytes that 32-bit offsets can reach


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
    wide = pt.is_large_string(kind) or pt.is_large_binary(kind) or pt.is_large_list(kind)
    dtype = np.int64 if wide else np.int32
    buffers = array.buffers()
    if n == 0 or buffers[1] is None or buffers[1].size == 0:
        return np.zeros(n + 1, dtype), np.empty(0, np.uint8)
    offsets = _view(buffers[1], dtype, array.offset, n + 1)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind):
        return offsets, np.empty(0, np.uint8)
    data = buffers[2]
    return offsets, _view(data, np.uint8, 0, 0 if data is None else data.size)


def combine(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array, widening 32-bit offsets where they would overflow."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    kind = column.type
    # Arrow can't join an empty chunk that has an offset
    filled = [chunk for chunk in column.chunks if len(chunk)]
    if len(filled) < column.num_chunks:
        return combine(pa.chunked_array(filled or [pa.array([], kind)], kind))
    if pt.is_string(kind) or pt.is_binary(kind):
        n_bytes = sum(_value_bytes(chunk) for chunk in column.chunks)
        if n_bytes > NARROW_BYTES:
            column = column.cast(pa.large_string() if pt.is_string(kind) else pa.large_binary())
    if pt.is_dictionary(kind):
        chunks = [_without_null_value(chunk) for chunk in column.chunks]
        try:
            column = pa.chunked_array(chunks, kind).unify_dictionaries()
        except pa.ArrowInvalid:  # more values together than the indices count
            wide = pa.dictionary(pa.int32(), kind.value_type, kind.ordered)
            chunks = [chunk.cast(wide) for chunk in chunks]
            column = pa.chunked_array(chunks, wide).unify_dictionaries()
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # pyarrow keeps chunks that can't be joined
        combined = pa.concat_arrays(combined.chunks)
    return combined


def _without_null_value(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return the same values with no null in the dictionary: Arrow joins none that hold one."""
    values = array.dictionary
    if not values.null_count:
        return array
    valid = values.is_valid()
    places = np.cumsum(valid.to_numpy(zero_copy_only=False)) - 1
    new = pa.array(places, array.type.index_type, mask=values.is_null().to_numpy(False))
    return pa.DictionaryArray.from_arrays(
        new.take(array.indices), values.drop_null(), ordered=array.type.ordered
    )


def concat_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables, one after the other, each column one chunk.

    Tables must agree on names and types, but for offset widths and the
    dictionaries of dictionary columns, which are joined.
    """
    if len(tables) == 1:
        return to_transport(tables[0])
    columns = []
    for i in range(tables[0].num_columns):
        pieces = [table.column(i) for table in tables]
        kinds = {piece.type for piece in pieces}
        if len(kinds) > 1:
            wide = next((k for k in kinds if _is_large(k)), pieces[0].type)
            pieces = [piece.cast(wide) for piece in pieces]
        chunks = [chunk for piece in pieces for chunk in piece.chunks]
        columns.append(combine(pa.chunked_array(chunks, pieces[0].type)))
    fields = [f.with_type(c.type) for f, c in zip(tables[0].schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, tables[0].schema.metadata))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pt.is_large_string(kind) or pt.is_large_binary(kind))


def _value_bytes(array: pa.Array) -> int:
    offsets, _ = bytes_views(array)
    return int(offsets[-1] - offsets[0])


def _transport_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        storage = _transport_type(kind.storage_type)
        return kind if storage == kind.storage_type else storage
    # Arrow joins no dictionaries that lie deeper
    kind = without_views(kind, nested_dictionaries=False)
    if pt.is_dictionary(kind):
        # joining dictionaries may need more indices than a narrow type has
        return pa.dictionary(pa.int32(), kind.value_type, kind.ordered)
    return kind


def transport_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with every view type replaced by its offset layout."""
    return pa.schema([field.with_type(_transport_type(field.type)) for field in schema])


def to_transport(table: pa.Table) -> pa.Table:
    """Return the table with view columns cast to an offset layout, each column one chunk."""
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = _transport_type(field.type)
        if kind != field.type:
            column = _cast_views(column, kind)
        array = combine(column)
        columns.append(array)
        fields.append(field.with_type(array.type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _cast_views(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        storage = [chunk.storage for chunk in column.chunks]
        column = pa.chunked_array(storage, column.type.storage_type)
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:  # more bytes than 32-bit offsets reach
        wide = pa.large_binary() if pt.is_binary(kind) else pa.large_string()
        return column.cast(wide)


def from_transport(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the types of ``schema`` again."""
    columns = [
        column if column.type == field.type else _cast_back(column, field.type)
        for field, column in zip(schema, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast_back(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not isinstance(kind, pa.BaseExtensionType):
        return column.cast(kind)
    stored = column.cast(kind.storage_type)
    chunks = [pa.ExtensionArray.from_storage(kind, chunk) for chunk in stored.chunks]
    return pa.chunked_array(chunks, kind)
