"""Gather rows of an Arrow array or table, with a kernel for every layout.

Arrow's own ``take`` has no kernel for views and is several times slower on
fixed widths that fit the cache; nested columns recurse into their children,
and only what Parquet can't hold (unions) falls back on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.buffers import bitmap, bytes_views, combine, raw_view
from dlsort_kernels import gather_bits, gather_bytes, gather_fixed, gather_lists

__all__ = ["take_array", "take_table"]

Rows = npt.NDArray[np.uint32]


def take_table(table: pa.Table, rows: Rows) -> pa.Table:
    """Return ``table`` at ``rows``, each column one chunk.

    Parameters
    ----------
    table : pyarrow.Table
        Views must have been cast (:func:`dlsort.buffers.to_transport`).
    rows : (m,) uint32
        Row numbers, each below ``table.num_rows``; not checked here.

    Returns
    -------
    pyarrow.Table
        ``m`` rows; same schema, but a string column of over 2 GiB comes with
        64-bit offsets.

    Notes
    -----
    Time O(m) a column.
    """
    columns = [take_array(combine(column), rows) for column in table.columns]
    fields = [f.with_type(c.type) for f, c in zip(table.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def take_array(array: pa.Array, rows: Rows) -> pa.Array:
    """Return ``array`` at ``rows``; see :func:`take_table`."""
    kind, n = array.type, len(rows)
    if pt.is_null(kind):
        return pa.nulls(n)
    if n == 0:
        return array.slice(0, 0)
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, take_array(array.storage, rows))
    if pt.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            take_array(array.indices, rows), array.dictionary, ordered=kind.ordered, safe=False
        )
    if pt.is_run_end_encoded(kind):
        rows_of_runs = take_array(pc.run_end_decode(array), rows)
        return pc.run_end_encode(rows_of_runs, run_end_type=kind.run_end_type)
    if pt.is_union(kind) or _is_view(kind):
        return array.take(pa.array(rows))
    validity, n_null = _take_validity(array, rows)
    if pt.is_struct(kind):
        children = [take_array(array.field(i), rows) for i in range(kind.num_fields)]
        # field() applies the slice offset; an empty struct has no child to ask
        return pa.Array.from_buffers(kind, n, [validity], n_null, children=children)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind):
        offsets, child_rows = gather_lists(bytes_views(array)[0], rows)
        child = take_array(_list_child(array), child_rows)
        return pa.Array.from_buffers(
            kind, n, [validity, pa.py_buffer(offsets)], n_null, children=[child]
        )
    if pt.is_fixed_size_list(kind):
        size = np.uint32(kind.list_size)
        starts = (rows + np.uint32(array.offset)) * size
        child_rows = np.add.outer(starts, np.arange(size, dtype=np.uint32)).ravel()
        child = take_array(array.values, child_rows)
        return pa.Array.from_buffers(kind, n, [validity], n_null, children=[child])
    return _take_flat(array, rows, validity, n_null)


def _is_view(kind: pa.DataType) -> bool:
    views = (pa.string_view(), pa.binary_view())
    return kind in views or pt.is_list_view(kind) or pt.is_large_list_view(kind)


def _take_validity(array: pa.Array, rows: Rows) -> tuple[pa.Buffer | None, int]:
    bits = bitmap(array) if array.null_count else None
    if bits is None:
        return None, 0
    out, n_null = gather_bits(bits[0], bits[1], rows)
    return pa.py_buffer(out), n_null


def _list_child(array: pa.Array) -> pa.Array:
    """Return the child that a list's offsets point into; a map's as its struct of entries."""
    if not pt.is_map(array.type):
        return array.values
    return pa.StructArray.from_arrays(
        [array.keys, array.items], fields=[array.type.key_field, array.type.item_field]
    )


def _take_flat(
    array: pa.Array, rows: Rows, validity: pa.Buffer | None, n_null: int
) -> pa.Array:
    kind, n = array.type, len(rows)
    if pt.is_boolean(kind):
        bits = bitmap(array, 1)
        out = gather_bits(bits[0], bits[1], rows)[0] if bits else np.empty(0, np.uint8)
        return pa.Array.from_buffers(kind, n, [validity, pa.py_buffer(out)], n_null)
    if pt.is_primitive(kind) or pt.is_decimal(kind) or pt.is_fixed_size_binary(kind):
        out = gather_fixed(raw_view(array), rows)
        return pa.Array.from_buffers(kind, n, [validity, pa.py_buffer(out)], n_null)
    offsets, data = bytes_views(array)
    try:
        new_offsets, new_data = gather_bytes(offsets, data, rows)
    except OverflowError:
        kind = pa.large_string() if pt.is_string(kind) else pa.large_binary()
        new_offsets, new_data = gather_bytes(offsets.astype(np.int64), data, rows)
    buffers = [validity, pa.py_buffer(new_offsets), pa.py_buffer(new_data)]
    return pa.Array.from_buffers(kind, n, buffers, n_null)
