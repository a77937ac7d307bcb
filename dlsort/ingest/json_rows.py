"""JSON rows: an object a line as tables.

What stands in quotes is text: a time is one only if its type is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.types as pt

from dlsort.ingest.text_rows import (
    RoundedError,
    TextRows,
    in_small_blocks,
    large_floats,
    with_types,
)

__all__ = ["JsonRows"]


class JsonRows(TextRows):
    """How JSON lines become rows."""

    name = "JSON lines"

    def row_end(self, text: bytes) -> int:
        """Return where the last whole row ends."""
        return text.rfind(b"\n") + 1

    def infer(self, text: bytes, *, is_first: bool) -> pa.Schema:
        """Return the columns and their types."""
        given = pa.schema(list(self.types.items()))
        table = self._read(text, given, is_open=True)
        self._check_whole(table, text)
        kinds = {f.name: _without_times(f.type) for f in table.schema}
        return with_types(table.schema, {**kinds, **self.types})

    def infer_more(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Schema:
        """Return the types that a further text needs."""
        return self.infer(text, is_first=is_first)

    def read(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Table:
        """Return the rows."""
        table = self._read(text, schema, is_open=False)
        self._check_whole(table, text)
        return table

    def _read(self, text: bytes, schema: pa.Schema, *, is_open: bool) -> pa.Table:
        stored = {f.name: _stored(f.type) for f in schema}
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise pa.ArrowInvalid(f"not UTF-8 ({error.reason})") from error
        if not text.strip():
            return with_types(schema, {}).empty_table()
        parse = pa_json.ParseOptions(
            explicit_schema=with_types(schema, stored),
            newlines_in_values=False,
            unexpected_field_behavior="infer" if is_open else "error",
        )

        def read(n_bytes: int) -> pa.Table:
            how = pa_json.ReadOptions(use_threads=False, block_size=n_bytes)
            return pa_json.read_json(pa.BufferReader(text), how, parse)

        table = in_small_blocks(text, read, has_types=not is_open)
        for i, field in enumerate(table.schema):
            wanted = schema.field(field.name).type if field.name in schema.names else field.type
            if wanted != field.type:
                table = table.set_column(
                    i, field.with_type(wanted), _cast(table[i], field.name, wanted)
                )
        return table

    def _check_whole(self, table: pa.Table, text: bytes) -> None:
        names = list(large_floats(table, self.types))
        if not names:
            return
        for line in filter(bytes.strip, text.split(b"\n")):
            row = json.loads(line, parse_int=_Whole)
            for name in names:
                _refuse_rounded(name, row.get(name))


class _Whole(str):
    """The digits of a whole number."""

    __slots__ = ()


def _refuse_rounded(name: str, value: Any) -> None:
    if isinstance(value, _Whole):
        if int(value) != int(float(value)):
            raise RoundedError(name, str(value))
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            _refuse_rounded(name, each)


def _without_times(kind: pa.DataType) -> pa.DataType:
    """Return an inferred type, in which text that looks like a time is text."""
    if pt.is_timestamp(kind):
        return pa.string()
    if pt.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
    if pt.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_times(kind.value_type)))
    return kind


def _stored(kind: pa.DataType) -> pa.DataType:
    """Return as what Arrow reads values of a type: it knows no dates in JSON."""
    is_text = pt.is_date(kind) or pt.is_time(kind) or pt.is_binary(kind)
    return pa.string() if is_text else kind


def _cast(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"column {name!r}: {error}") from error
