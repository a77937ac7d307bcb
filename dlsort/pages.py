"""Pages: how much memory the rows of some row groups can take, before they are read.

A footer tells sizes that nobody checks, and few stored bytes can stand for any number of bytes
in memory: a page that unpacks to gigabytes, a dictionary with one very long text for every row.
So the headers of the pages are looked at first, which say what pages unpack to (the codecs hold
them to it). Texts that may be one long value again and again are read a few rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.report import format_bytes
from dlsort.storage import is_store
from dlsort.thrift import I32, STRUCT, Struct, ThriftError, field_of, read_struct
from dlsort_cluster.wire import count_bytes

__all__ = ["UNBOUNDED", "BadPageError", "read_bounded"]

UNBOUNDED = 2**63 - 1  # memory without a limit

HEADER_BYTES = 256  # most page headers are shorter
MOST_HEADER_BYTES = 16 * 2**20  # as Parquet's C++ reader has it
# Chunks of a parquet-mr of 2013 are longer than they say, by the header of their dictionary.
SLACK_BYTES = 100
BATCH_SHARE = 4  # a batch may take a fourth of the memory

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
# Fields of the Thrift structs, by their numbers in parquet.thrift.
_KIND, _UNPACKED, _PACKED = 1, 2, 3
_HEADERS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}  # and their encoding's
_N_VALUES = 1
# Bytes that a value has in memory, of text its offset.
_WIDTHS = {
    "BOOLEAN": 1,
    "INT32": 4,
    "INT64": 8,
    "INT96": 8,
    "FLOAT": 4,
    "DOUBLE": 8,
    "BYTE_ARRAY": 4,
}
# Encodings in which few bytes can stand for many times a text: of all its pages' dictionary,
# or of the text before.
_BY_DICTIONARY, _BY_PREFIX = (2, 8), 7


class BadPageError(ValueError):
    """Pages that can't be as they say, or take too much memory; without the file's name."""


class _Page(NamedTuple):
    """What a page says of itself."""

    kind: int
    encoding: int
    n_values: int
    n_bytes: int  # once unpacked


def read_bounded(
    file: pq.ParquetFile,
    path: str,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
) -> pa.Table:
    """Read some columns of some row groups, if they don't take too much memory.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open; its footer has been checked.
    path : str
        The same file.
    row_groups : sequence of int
        Their numbers.
    columns : sequence of str
        Which columns; the table may have more, and in another order.
    as_dictionary : collection of str
        Columns that the file was opened to read as dictionaries.
    most_bytes : int
        Memory for them.

    Raises
    ------
    BadPageError
        If they would take more, or make no sense.

    Notes
    -----
    Some 20 µs for each page, beside the reading.
    """
    batch_rows = _look(file.metadata, path, row_groups, columns, as_dictionary, most_bytes)
    in_batches = [
        name for name in batch_rows if not pt.is_dictionary(file.schema_arrow.field(name).type)
    ]
    at_once = [name for name in columns if name not in in_batches]
    table = _read(file, row_groups, at_once) if at_once or not columns else None
    n_bytes = 0 if table is None or not in_batches else count_bytes(table)
    for name in in_batches:
        rows = _read_in_batches(file, row_groups, name, batch_rows[name], most_bytes - n_bytes)
        n_bytes += count_bytes(rows)
        table = rows if table is None else table.append_column(rows.field(0), rows.column(0))
    _check_arrays(table)
    return table


def _read(file: pq.ParquetFile, row_groups: Sequence[int], columns: list[str]) -> pa.Table:
    try:
        return file.read_row_groups(list(row_groups), columns=columns, use_threads=False)
    except pa.ArrowNotImplementedError:
        # dictionaries inside of nested columns: Arrow reads them a row group at a time
        tables = [
            file.read_row_group(g, columns=columns, use_threads=False) for g in row_groups
        ]
        return pa.concat_tables(tables)


def _read_in_batches(
    file: pq.ParquetFile, row_groups: Sequence[int], name: str, n_rows: int, most_bytes: int
) -> pa.Table:
    """Return one column, if it does not take too much memory."""
    tables, n_bytes = [file.schema_arrow.empty_table().select([name])], 0
    for batch in file.iter_batches(n_rows, list(row_groups), columns=[name], use_threads=False):
        tables.append(pa.Table.from_batches([batch]).select([name]))
        n_bytes += count_bytes(tables[-1])
        if n_bytes > most_bytes:
            raise _too_large(f"column {name!r}", n_bytes, most_bytes)
    return pa.concat_tables(tables)


def _check_arrays(table: pa.Table) -> None:
    """Raise where kernels, which trust an array, would look beyond its end.

    Parquet's C++ reader checks all but the indices of what it reads as a dictionary.
    """
    table.validate()
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            _check_indices(name, chunk)


def _check_indices(name: str, array: pa.Array) -> None:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        _check_indices(name, array.storage)
    elif pt.is_dictionary(kind):
        ends = pc.min_max(array.indices)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low is not None and (low < 0 or high >= len(array.dictionary)):
            msg = (
                f"column {name!r} has values {low:,} to {high:,} of a dictionary of "
                f"{len(array.dictionary):,}"
            )
            raise BadPageError(msg)
    elif pt.is_struct(kind):
        for i in range(kind.num_fields):
            _check_indices(name, array.field(i))
    elif pt.is_map(kind):
        _check_indices(name, array.keys)
        _check_indices(name, array.items)
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        _check_indices(name, array.values)


def _too_large(what: str, n_bytes: int, most_bytes: int) -> BadPageError:
    return BadPageError(
        f"with {what} a row group unpacks to {format_bytes(n_bytes)} or more, where there is "
        f"memory for {format_bytes(most_bytes)}"
    )


def _look(
    footer: pq.FileMetaData,
    path: str,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
) -> dict[str, int]:
    """Return the columns of text that had better be read in batches, and of how many rows.

    Raises
    ------
    BadPageError
        If the pages unpack to more than there is memory for.
    """
    if is_store(path):  # each look would be a request
        return {}
    leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
    wanted = [i for i, leaf in enumerate(leaves) if _is_wanted(leaf, set(columns))]
    n_bytes = 0
    batch_rows: dict[str, int] = {}
    with Path(path).open("rb", buffering=0) as raw:
        for number in row_groups:
            group = footer.row_group(number)
            for i in wanted:
                leaf, chunk = leaves[i], group.column(i)
                try:
                    unpacked, longest = _measure(raw.fileno(), chunk)
                except ThriftError as error:
                    msg = f"a page of {leaf.path!r} can't be read: {error}"
                    raise BadPageError(msg) from error
                width = _WIDTHS.get(leaf.physical_type) or leaf.length
                n_bytes += max(unpacked, chunk.num_values * width)
                if n_bytes > most_bytes:
                    raise _too_large(f"column {leaf.path!r}", n_bytes, most_bytes)
                is_text = leaf.physical_type == "BYTE_ARRAY" and leaf.name == leaf.path
                if not is_text or leaf.path in as_dictionary:
                    continue
                if longest * chunk.num_values > most_bytes // BATCH_SHARE:
                    rows = max(1, most_bytes // BATCH_SHARE // longest)
                    batch_rows[leaf.path] = min(rows, batch_rows.get(leaf.path, rows))
    return batch_rows


def _measure(fd: int, chunk: pq.ColumnChunkMetaData) -> tuple[int, int]:
    """Return the bytes that a column chunk's pages unpack to, and those of the longest text.

    The longest of those that few bytes may repeat: 0 where all texts are in the pages.
    """
    unpacked = longest = of_dictionary = 0
    for page in _pages(fd, chunk):
        unpacked += page.n_bytes
        if page.kind == _DICTIONARY:
            of_dictionary = page.n_bytes
        elif page.encoding in _BY_DICTIONARY:
            longest = max(longest, of_dictionary)
        elif page.encoding == _BY_PREFIX:
            longest = max(longest, page.n_bytes)
    return unpacked, longest


def _is_wanted(leaf: pq.ColumnSchema, columns: set[str]) -> bool:
    """Return whether a leaf is, or is inside of, one of the columns."""
    if leaf.name == leaf.path:
        return leaf.path in columns
    names = leaf.path.split(".")
    return any(".".join(names[:i]) in columns for i in range(1, len(names) + 1))


def _pages(fd: int, chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """Yield the pages of a column chunk."""
    at = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    stop = at + chunk.total_compressed_size + SLACK_BYTES
    left = chunk.num_values
    while left > 0:
        header, at = _header(fd, at, stop)
        packed, n_bytes = field_of(header, _PACKED, I32), field_of(header, _UNPACKED, I32)
        if packed is None or n_bytes is None or packed < 0 or n_bytes < 0:
            msg = f"a page of {chunk.path_in_schema!r} has {packed} bytes, unpacked {n_bytes}"
            raise BadPageError(msg)
        at += packed
        if at > stop:
            msg = f"a page of {chunk.path_in_schema!r} reaches beyond its column chunk"
            raise BadPageError(msg)
        kind = field_of(header, _KIND, I32)
        if kind not in _HEADERS:  # such pages are passed over
            continue
        number, encoding_number = _HEADERS[kind]
        inner: Struct = field_of(header, number, STRUCT) or {}
        n_values = field_of(inner, _N_VALUES, I32)
        encoding = field_of(inner, encoding_number, I32)
        if n_values is None or encoding is None or n_values < 0:
            msg = f"a page of {chunk.path_in_schema!r} has {n_values} values"
            raise BadPageError(msg)
        if kind != _DICTIONARY:
            left -= n_values
        yield _Page(kind, encoding, n_values, n_bytes)
    if left < 0:
        msg = (
            f"the pages of {chunk.path_in_schema!r} have {-left:,} values more than "
            f"the {chunk.num_values:,} that the footer tells"
        )
        raise BadPageError(msg)


def _header(fd: int, at: int, stop: int) -> tuple[Struct, int]:
    """Return the page header at a place of the file, and where it ends."""
    n_bytes = HEADER_BYTES
    while True:
        window = os.pread(fd, min(n_bytes, stop - at), at) if at < stop else b""
        try:
            header, length = read_struct(window)
        except ThriftError as error:
            if len(window) == n_bytes and n_bytes < MOST_HEADER_BYTES:
                n_bytes *= 16
                continue
            msg = f"there is no page where one should be, at byte {at:,}: {error}"
            raise BadPageError(msg) from error
        return header, at + length
