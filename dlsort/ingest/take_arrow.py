"""Take Arrow: a file or stream of Arrow IPC, which Feather is too, as Parquet pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.ipc as ipc

from dlsort.errors import CorruptSourceError, DlsortError, SourceUnsupportedError
from dlsort.ingest.formats import FileKind
from dlsort.ingest.pieces import Making, Piece, Pieces, in_order, write_piece
from dlsort.ingest.text_blocks import Counted, open_bytes
from dlsort.io.storage import open_to_read, read_range

__all__ = ["ArrowFile", "take_arrow"]

_PANDAS = b"pandas"


class ArrowFile(NamedTuple):
    """A file of Arrow IPC; the attributes are those of a text's."""

    name: str
    where: str | Counted
    kind: FileKind
    number: int


def take_arrow(file: ArrowFile, making: Making) -> Pieces:
    """Return what a file was made to.

    Raises
    ------
    CorruptSourceError
        If it is no Arrow IPC, or cut off.
    SourceUnsupportedError
        If Parquet has no such types.
    """
    schemas: list[pa.Schema] = []

    def convert(number: int, table: pa.Table) -> Piece:
        return write_piece(table, making.path(file.number, number), making)

    try:
        tables = _tables(file, making.tuning.io.text_block_bytes, schemas)
        return Pieces(list(in_order(making, convert, tables)), schemas[0])
    except DlsortError:
        raise
    except pa.ArrowNotImplementedError as error:
        msg = (
            f"can't keep the rows of {file.name}: Parquet has no such type ({_line(error)}). "
            "Cast or leave out the column first."
        )
        raise SourceUnsupportedError(msg) from error
    except (OSError, pa.ArrowException) as error:
        msg = (
            f"can't read {file.name}: it is cut off, corrupt or no Arrow IPC ({_line(error)}). "
            "Replace the file or leave it out of the source."
        )
        raise CorruptSourceError(msg) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _tables(file: ArrowFile, n_bytes: int, schemas: list[pa.Schema]) -> Iterator[pa.Table]:
    """Yield tables of about a size; the first schema that is met is left in a list."""
    is_file = isinstance(file.where, str) and not file.kind.packed
    if is_file and read_range(str(file.where), 0, 6) == b"ARROW1":
        with open_to_read(str(file.where)) as where:
            opened = pa.memory_map(where) if isinstance(where, str) else pa.PythonFile(where)
            with opened, ipc.open_file(opened) as reader:
                batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
                yield from _joined(reader.schema, batches, n_bytes, schemas)
        return
    with open_bytes(file.where, file.kind) as stream, ipc.open_stream(stream) as reader:
        yield from _joined(reader.schema, reader, n_bytes, schemas)


def _joined(
    schema: pa.Schema, batches: Any, n_bytes: int, schemas: list[pa.Schema]
) -> Iterator[pa.Table]:
    schema = _without_range(schema)
    schemas.append(schema)
    few: list[pa.RecordBatch] = []
    n_waiting, is_none = 0, True
    for batch in batches:
        rows = max(1, batch.num_rows * n_bytes // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            few.append(part.replace_schema_metadata(schema.metadata))
            n_waiting += part.nbytes
            if n_waiting >= n_bytes:
                yield pa.Table.from_batches(few, schema)
                few, n_waiting, is_none = [], 0, False
    if few or is_none:
        yield pa.Table.from_batches(few, schema)


def _without_range(schema: pa.Schema) -> pa.Schema:
    """Return a schema without the row labels of pandas that count a whole file's rows."""
    metadata = dict(schema.metadata or {})
    try:
        index = json.loads(metadata.get(_PANDAS, b"{}"))["index_columns"]
    except (ValueError, LookupError, TypeError):
        return schema
    if all(isinstance(each, str) for each in index):
        return schema
    del metadata[_PANDAS]
    return schema.with_metadata(metadata or None)
