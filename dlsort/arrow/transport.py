"""Transport: the one normal form of a table, in which rows travel and are sorted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_fixed_width, is_variable, is_wide, widened
from dlsort.arrow.layouts import recast, without_views
from dlsort.arrow.made import array_of
from dlsort.arrow.views import bytes_views

__all__ = [
    "NARROW_BYTES",
    "combine",
    "combined",
    "concat_rows",
    "free_rows",
    "from_transport",
    "to_transport",
    "transport_schema",
]

NARROW_BYTES = 2**31 - 1  # most bytes that 32-bit offsets can reach


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
        return combine(pa.chunked_array(filled or [pa.nulls(0, kind)], kind))
    if is_variable(kind) and not is_wide(kind):
        n_bytes = sum(_value_bytes(chunk) for chunk in column.chunks)
        if n_bytes > NARROW_BYTES:
            column = column.cast(widened(kind))
    if pt.is_dictionary(kind):
        chunks = [_without_null_value(chunk) for chunk in column.chunks]
        try:
            column = pa.chunked_array(chunks, kind).unify_dictionaries()
        except pa.ArrowInvalid:  # more values together than the indices count
            wide = pa.dictionary(pa.int32(), kind.value_type, kind.ordered)
            chunks = [chunk.cast(wide) for chunk in chunks]
            column = pa.chunked_array(chunks, wide).unify_dictionaries()
    try:
        combined = column.combine_chunks()
        if isinstance(combined, pa.ChunkedArray):  # pyarrow keeps chunks that can't be joined
            combined = pa.concat_arrays(combined.chunks)
    except pa.ArrowInvalid:  # more inside of lists or structs than 32-bit offsets reach
        wide = without_views(kind, wide=True)
        combined = pa.concat_arrays([recast(chunk, wide) for chunk in column.chunks])
    return combined


def combined(table: pa.Table) -> list[pa.Array]:
    """Return each column as one array (:func:`combine`)."""
    if all(column.num_chunks == 1 for column in table.columns):
        (batch,) = table.to_batches() or [None]
        if batch is not None:
            columns: list[pa.Array] = batch.columns
            return columns
    return [combine(column) for column in table.columns]


def _is_wide(kind: pa.DataType) -> bool:
    return not pt.is_dictionary(kind) and without_views(kind, wide=True) == kind


def _without_null_value(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return the same values with no null in the dictionary: Arrow joins none that hold one."""
    values = array.dictionary
    if not values.null_count:
        return array
    valid = values.is_valid()
    places = np.cumsum(valid.to_numpy(zero_copy_only=False)) - 1
    places = places.astype(array.type.index_type.to_pandas_dtype())
    new = array_of(places, values.is_null().to_numpy(False))
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
    schema = tables[0].schema
    if (
        len(schema)
        and all(table.schema.equals(schema) for table in tables[1:])
        and all(map(is_fixed_width, schema.types))
    ):
        return to_transport(pa.concat_tables(tables).combine_chunks())
    columns = []
    for i in range(tables[0].num_columns):
        pieces = [table.column(i) for table in tables]
        kinds = [piece.type for piece in pieces]
        if any(kind != kinds[0] for kind in kinds):
            wide = next((k for k in kinds if _is_wide(k)), kinds[0])
            pieces = [piece.cast(wide) for piece in pieces]
        chunks = [chunk for piece in pieces for chunk in piece.chunks]
        columns.append(combine(pa.chunked_array(chunks, pieces[0].type)))
    fields = [f.with_type(c.type) for f, c in zip(tables[0].schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, tables[0].schema.metadata))


def _value_bytes(array: pa.Array) -> int:
    offsets, _ = bytes_views(array)
    return int(offsets[-1] - offsets[0])


def _transport_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        storage = _transport_type(kind.storage_type)
        # a dictionary is sorted by its values, whatever is around it
        keep = storage == kind.storage_type and not pt.is_dictionary(storage)
        return kind if keep else storage
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
    kinds = table.schema.types
    is_usual = all(pt.is_primitive(kind) or _transport_type(kind) == kind for kind in kinds)
    if kinds and is_usual and all(column.num_chunks == 1 for column in table.columns):
        return table
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
        return column.cast(widened(kind))


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


def free_rows(rows: pa.Table) -> pa.Table:
    """Return a few rows free of the piece that they come from: its buffers and dictionaries.

    An ordered dictionary is kept: its own order is the order.
    """
    for i, column in enumerate(rows.schema):
        kind = column.type
        if pt.is_dictionary(kind) and not kind.ordered:
            decoded = rows.column(i).cast(kind.value_type)
            rows = rows.set_column(i, column.with_type(kind.value_type), decoded)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        return reader.read_all()
