"""Model file: a model as an Arrow IPC file, so that a later attempt cuts where this one did."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import array_of
from dlsort.io import storage
from dlsort.io.storage import write_error
from dlsort.keys import SortKey
from dlsort.model.model import Model, model_at
from dlsort.tuning import OrderTuning

__all__ = ["LEARNED", "MODEL", "how_made", "keep_model", "read_model"]

MODEL = "model.arrow"
LEARNED = "learned"


def keep_model(model: Model, path: str, how: str = LEARNED) -> None:
    """Write a model's splitters; all else of it follows from them.

    Parameters
    ----------
    how : {"learned", "reused", "mended"}
        Where it is from.

    Raises
    ------
    DestinationError
        If the file can't be written.
    """
    splitters = model.splitters
    places = [array_of(model.splitter_part), array_of(model.splitter_row)]
    fields = [
        field.with_name(f"key {i}").remove_metadata()
        for i, field in enumerate(splitters.schema)
    ]
    fields += [pa.field("part", pa.int64()), pa.field("row", pa.int64())]
    numbers = {"n_parts": str(model.n_parts), "n_bands": str(model.n_bands), "how": how}
    table = pa.Table.from_arrays(
        [*splitters.columns, *places], schema=pa.schema(fields, metadata=numbers)
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    try:
        storage.replace(path, memoryview(sink.getvalue()))
    except OSError as error:
        raise write_error(error, path) from error


def how_made(path: str) -> str:
    """Return where a kept model is from."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(storage.read_bytes(path))) as stream:
            return (stream.schema.metadata or {}).get(b"how", LEARNED.encode()).decode()
    except (OSError, pa.ArrowException, ValueError):
        return LEARNED


def read_model(
    path: str, schema: pa.Schema, keys: Sequence[SortKey], tuning: OrderTuning
) -> Model | None:
    """Return the model of a file; None if there is none that can be read.

    Parameters
    ----------
    path : str
        The file.
    schema : pyarrow.Schema
        The key columns, in order, as they are partitioned.
    keys : sequence of SortKey
        The key.
    tuning : OrderTuning
        As of :func:`dlsort.model.model.fit_model`.
    """
    try:
        data = storage.read_bytes(path)
        with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
            table = stream.read_all()
        numbers = table.schema.metadata or {}
        n_parts, n_bands = int(numbers[b"n_parts"]), int(numbers[b"n_bands"])
        part, row = (table.column(name).to_numpy() for name in ("part", "row"))
        columns = table.columns[:-2]
        kept = [_cast(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        splitters = pa.Table.from_arrays(kept, names=schema.names)
        if not 0 <= splitters.num_rows < n_parts * n_bands:
            return None
        return model_at(splitters, part, row, keys, n_parts, tuning, n_bands)
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError):
        return None


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return splitters in a type; as the dictionary that they were, if rows come as such."""
    if pt.is_dictionary(column.type) and not pt.is_dictionary(kind):
        kind = pa.dictionary(column.type.index_type, kind)
    return column.cast(kind)
