"""Pour: the rows of finished Parquet parts, in order, into a file or a pipe of another format.

A few batches are made text at once, by threads, and written in their order: so memory stays
bounded, however many rows there are.
"""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.hidden import is_hidden
from dlsort.arrow.same_names import given_name
from dlsort.errors import BadOptionError
from dlsort.io.sinks.json_text import json_lines, json_text, plain_column
from dlsort.io.sinks.sink import Sink

__all__ = ["check_sink", "pour"]

# Rows that are made text at once: so many bytes in memory that a core's cache holds about.
BATCH_BYTES = 4 << 20
MOST_ROWS = 65_536


def check_sink(schema: pa.Schema, sink: Sink) -> None:
    """Raise if a column can't be in a format.

    Raises
    ------
    BadOptionError
        If one is binary, or of another type that text has no form for; or if two have one name.
    """
    if sink.format == "arrow":
        return
    fields = [field for field in schema if not is_hidden(field.name)]
    names = Counter(given_name(field.name) for field in fields)
    twice = next((name for name, n in names.items() if n > 1), None)
    if twice is not None and sink.format == "jsonl":
        msg = (
            f"{twice!r} is the name of two columns, of which an object of JSON keeps one. Call "
            "one otherwise by rename (--rename), or write another format."
        )
        raise BadOptionError(msg)
    for field in fields:
        bad = _no_text(field.type)
        if bad is not None:
            msg = (
                f"column {field.name!r} has {bad}, which {_NAMES[sink.format]} has no form "
                "for. Leave it out by columns (--columns), or write Parquet or Arrow."
            )
            raise BadOptionError(msg)


_NAMES = {"csv": "CSV", "jsonl": "JSON"}


def _no_text(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in a type that text has no form for; None if there is none."""
    if isinstance(kind, pa.BaseExtensionType):
        return _no_text(kind.storage_type)
    if pt.is_dictionary(kind):
        return _no_text(kind.value_type)
    if pt.is_nested(kind):
        found = (_no_text(kind.field(i).type) for i in range(kind.num_fields))
        return next((each for each in found if each is not None), None)
    is_bytes = pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind)
    return kind if is_bytes or pt.is_fixed_size_binary(kind) or pt.is_interval(kind) else None


def pour(paths: Sequence[str], out: Any, sink: Sink, n_threads: int) -> int:
    """Write the rows of Parquet files, and return how many.

    Parameters
    ----------
    paths : sequence of str
        The files, in order, at least one.
    out : file
        What is written to, in binary; it stays open.
    sink : Sink
        What is written.
    n_threads : int
        At most so many make text at once.

    Raises
    ------
    OSError
        If one can't be read, or ``out`` not be written.
    """
    with pq.ParquetFile(paths[0]) as first:
        schema = first.schema_arrow.remove_metadata()
    n_rows = 0
    with ExitStack() as stack:
        if sink.codec is not None:
            out = stack.enter_context(_packed(out, sink.codec))
        if sink.format == "arrow":
            schema = pa.schema([f.with_type(_without_dictionary(f.type)) for f in schema])
            new = pa.ipc.new_stream if sink.is_stream else pa.ipc.new_file
            writer = stack.enter_context(new(out, schema))
            for batch in _batches(paths):
                n_rows += batch.num_rows
                writer.write_batch(batch.cast(schema))
            return n_rows
        encode: Callable[[pa.RecordBatch], pa.Buffer] = json_lines
        if sink.format == "csv":
            delimiter = "\t" if sink.is_tabbed else ","
            encode = partial(_csv_rows, delimiter=delimiter)
            out.write(_csv_rows(_no_rows(schema), delimiter=delimiter, header=True))
        pool = stack.enter_context(ThreadPoolExecutor(n_threads))
        for n, text in _in_order(pool, encode, _batches(paths), n_threads):
            n_rows += n
            out.write(text)
    return n_rows


def _packed(out: Any, codec: str) -> Any:
    """Return what packs all that is written to it; ``out`` stays open."""
    return pa.CompressedOutputStream(pa.PythonFile(_StaysOpen(out), "w"), codec)


class _StaysOpen(io.RawIOBase):
    """Another's file, which Arrow is not to close."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._out.write(data)
        return len(data)


def _batches(paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            row_bytes = max(
                (group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0
            )
            n_rows = max(1, min(MOST_ROWS, int(BATCH_BYTES / max(row_bytes, 1))))
            yield from file.iter_batches(n_rows)


def _in_order(
    pool: ThreadPoolExecutor,
    encode: Callable[[pa.RecordBatch], pa.Buffer],
    batches: Iterable[pa.RecordBatch],
    n_threads: int,
) -> Iterator[tuple[int, pa.Buffer]]:
    """Yield the rows of each batch, and their text."""
    pending: deque[tuple[int, Future[pa.Buffer]]] = deque()
    try:
        for batch in batches:
            pending.append((batch.num_rows, pool.submit(encode, batch)))
            if len(pending) > n_threads:
                n_rows, text = pending.popleft()
                yield n_rows, text.result()
        while pending:
            n_rows, text = pending.popleft()
            yield n_rows, text.result()
    finally:
        for _, each in pending:
            each.cancel()


def _csv_rows(batch: pa.RecordBatch, *, delimiter: str, header: bool = False) -> pa.Buffer:
    """Return rows as CSV: text in quotes, null as nothing, and what is nested as JSON."""
    columns = [_csv_column(column) for column in batch.columns]
    table = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    out = pa.BufferOutputStream()
    how = pa.csv.WriteOptions(
        include_header=header, delimiter=delimiter, quoting_style="needed"
    )
    pa.csv.write_csv(table, out, how)
    return out.getvalue()


def _csv_column(column: pa.Array) -> pa.Array:
    column = plain_column(column)
    if not pt.is_nested(column.type):
        return column
    return pa.compute.if_else(column.is_valid(), json_text(column), None)


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.nulls(0, kind) for kind in schema.types], schema.names
    )


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    """Return the values' type: batches have dictionaries of their own, a file has one."""
    return kind.value_type if pt.is_dictionary(kind) else kind
