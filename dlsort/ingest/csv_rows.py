"""CSV rows: text with values between commas as tables.

Null is an empty value without quotes; with quotes it is an empty text. A whole number is never
rounded: where a column has some that only a float would hold, it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.types as pt

from dlsort.ingest.csv_options import CsvOptions
from dlsort.ingest.text_rows import (
    RoundedError,
    TextRows,
    in_small_blocks,
    large_floats,
    with_types,
)
from dlsort_kernels import last_row_end

__all__ = ["CsvRows"]

_WHOLE = r"^\s*[-+]?[0-9]{16,}\s*$"


class CsvRows(TextRows):
    """How CSV becomes rows.

    Parameters
    ----------
    options : CsvOptions
        How it is written.
    types : mapping of str to pyarrow.DataType
        Types of columns that are given.
    is_tabbed : bool
        Tabs part values unless the options say otherwise.
    """

    name = "CSV"

    def __init__(
        self, options: CsvOptions, types: Mapping[str, pa.DataType], *, is_tabbed: bool
    ) -> None:
        super().__init__(types)
        self.encoding = options.encoding
        self.has_names = options.header
        self._options = options
        self._delimiter = options.delimiter or ("\t" if is_tabbed else ",")
        quote = options.quote
        self._signs = [ord(s) if s else -1 for s in (self._delimiter, quote, options.escape)]
        self._parse = partial(
            csv.ParseOptions,
            delimiter=self._delimiter,
            quote_char=quote or False,
            escape_char=options.escape or False,
            newlines_in_values=True,
        )
        formats = [*options.timestamp_formats, csv.ISO8601]
        self._convert = partial(
            csv.ConvertOptions,
            null_values=list(options.null_values),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            decimal_point=options.decimal,
            timestamp_parsers=formats if options.timestamp_formats else None,
        )

    def row_end(self, text: bytes) -> int:
        """Return where the last whole row ends."""
        if all(sign < 0 or sign not in text for sign in self._signs[1:]):
            return text.rfind(b"\n") + 1
        return last_row_end(np.frombuffer(text, np.uint8), *self._signs)

    def infer(self, text: bytes, *, is_first: bool) -> pa.Schema:
        """Return the columns and their types; the names are those of the first rows."""
        options = self._options
        has_own = options.names or not options.header
        names: dict[str, Any] = {"column_names": list(options.names)} if has_own else {}
        if has_own and not options.names:
            names = {"autogenerate_column_names": True}
        if is_first and has_own and options.header:
            names["skip_rows_after_names"] = 1
        return self._infer(text, names)

    def infer_more(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Schema:
        """Return the types that a further text needs."""
        return self._infer(text, self._known_names(schema, is_first=is_first))

    def _known_names(self, schema: pa.Schema, *, is_first: bool) -> dict[str, Any]:
        is_header = is_first and self._options.header
        return {"column_names": schema.names, "skip_rows_after_names": int(is_header)}

    def _infer(self, text: bytes, names: Mapping[str, Any]) -> pa.Schema:
        table = self._read(text, {}, names)
        twice = [name for name, n in Counter(table.column_names).items() if n > 1]
        if twice:
            msg = (
                f"{twice[0]!r} is the name of two columns; give each one of its own by names "
                "in csv_options (--csv-options)"
            )
            raise pa.ArrowInvalid(msg)
        self._check_whole(table, text, names)
        kinds = {field.name: self._type(field) for field in table.schema}
        return with_types(table.schema, {**kinds, **self.types})

    def _type(self, field: pa.Field) -> pa.DataType:
        if pt.is_binary(field.type) and field.name not in self.types:
            msg = (
                f"column {field.name!r} is not UTF-8; give its encoding in csv_options "
                "(--csv-options), as in encoding=latin1"
            )
            raise pa.ArrowInvalid(msg)
        if pt.is_timestamp(field.type) and field.type.unit == "s":
            return pa.timestamp("us", field.type.tz)  # fractions may follow
        return field.type

    def read(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Table:
        """Return the rows."""
        names = self._known_names(schema, is_first=is_first)
        types = dict(zip(schema.names, schema.types, strict=True))
        table = self._read(text, types, names)
        self._check_whole(table, text, names)
        return table

    def _read(
        self,
        text: bytes,
        types: Mapping[str, pa.DataType],
        names: Mapping[str, Any],
        **how: Any,
    ) -> pa.Table:
        # of one column an empty line is a null
        columns = names.get("column_names") or text.partition(b"\n")[0].split(
            self._delimiter.encode()
        )
        parse = self._parse(ignore_empty_lines=len(columns) > 1)
        convert = self._convert(column_types=dict(types), **how)

        def read(n_bytes: int) -> pa.Table:
            read_options = csv.ReadOptions(use_threads=False, block_size=n_bytes, **names)
            return csv.read_csv(pa.BufferReader(text), read_options, parse, convert)

        return in_small_blocks(text, read, has_types=bool(types))

    def _check_whole(self, table: pa.Table, text: bytes, names: Mapping[str, Any]) -> None:
        for name in large_floats(table, self.types):
            texts = self._read(text, {name: pa.string()}, names, include_columns=[name])[0]
            for each in texts.filter(pc.match_substring_regex(texts, _WHOLE)).to_pylist():
                if int(each) != int(float(each)):
                    raise RoundedError(name, each.strip())
