"""Picked rows: few rows of a row group, without decoding the others.

::

    column chunk ──▶ pages that hold wanted rows ──▶ their bytes ──▶ values in PLAIN
                     (headers alone)                 (unpacked)       (a kernel)
                                                                         │
                       Arrow's columns ◀── pyarrow ◀── a file in memory ◀┘

The values become a Parquet file of their own, with the schema of the one that they are from, so
that pyarrow makes of them what it makes of all. Whatever is not as most pages are is None here:
all is read then, by the ordinary way, which also says what is wrong.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.io.find import UNREADABLE
from dlsort.io.parquet.stored_schema import (
    FIXED,
    TYPES,
    Leaf,
    chunks_of,
    open_file,
)
from dlsort.io.parquet.thrift import BINARY, I32, I64, LIST, STRUCT
from dlsort.io.parquet.thrift_out import struct_bytes
from dlsort.io.source import FileGroups
from dlsort.io.storage import is_store, read_range
from dlsort_kernels import (
    copy_values,
    delta_values,
    find_pages,
    outline,
    pick_values,
    text_ends,
)

__all__ = ["pick_rows"]

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

_TAIL_BYTES = 8
_DATA, _DICTIONARY_PAGE, _DATA_V2 = 0, 2, 3
_PLAIN, _DELTA, _DELTA_LENGTH, _SPLIT = 0, 5, 6, 9
_BY_DICTIONARY, _RUNS = (2, 8), 3  # of values, and of levels
_CODECS = {0: "", 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_WIDTHS = {"INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 0}


class _CantPickError(Exception):
    """Pages that are not as most are."""


class _Page(NamedTuple):
    """A page, as its header tells it."""

    start: int
    kind: int
    packed: int
    n_bytes: int
    n_values: int
    encoding: int
    levels: int
    is_packed: int
    checksum: int


class _Chunk(NamedTuple):
    """A column chunk: its bytes, its leaf, its codec, and what a page may unpack to."""

    data: Bytes
    leaf: Leaf
    codec: pa.Codec | None
    most_bytes: int

    @property
    def width(self) -> int:
        """Bytes of a value; 0 of text."""
        return self.leaf.width if self.leaf.kind == FIXED else _WIDTHS[self.leaf.kind]


class _Entries(NamedTuple):
    """A dictionary: its values in PLAIN, how many, and where each text begins and ends."""

    data: Bytes
    n_values: int
    texts: Numbers


_NO_ENTRIES = _Entries(np.empty(0, np.uint8), 0, np.empty((0, 2), np.int64))


def pick_rows(
    file: FileGroups,
    rows: Numbers,
    columns: Sequence[str],
    as_dictionary: Sequence[str],
    most_bytes: int,
) -> pa.Table | None:
    """Read some rows of some row groups of a file, or of a slice of one.

    Parameters
    ----------
    file : FileGroups
        The row groups.
    rows : (n,) int64
        Which of its rows, ascending, at least one.
    columns : sequence of str
        Which columns.
    as_dictionary : sequence of str
        Columns to read as dictionaries.
    most_bytes : int
        Memory for a page.

    Returns
    -------
    pyarrow.Table
        Those of ``columns`` that are not nested, and whose pages are as most are; perhaps none.
        None if the file is one of which nothing can be picked.

    Notes
    -----
    Time O(bytes of the pages that hold a row), for reading and unpacking them.
    """
    if not file.row_groups or file.keys is not None or is_store(file.path):
        return None
    try:
        return _pick(file, rows, columns, as_dictionary, most_bytes)
    except (*UNREADABLE, _CantPickError):
        return None


def _pick(
    file: FileGroups,
    rows: Numbers,
    columns: Sequence[str],
    as_dictionary: Sequence[str],
    most_bytes: int,
) -> pa.Table | None:
    n_bytes = file.stamp.n_bytes
    with open_file(file.path, n_bytes) as opened:
        metadata = opened.metadata
    tail = read_range(file.path, n_bytes - _TAIL_BYTES, _TAIL_BYTES)
    size = int.from_bytes(tail[:4], "little")
    footer = read_range(file.path, n_bytes - _TAIL_BYTES - size, size)
    stored = chunks_of(footer, n_bytes, metadata)
    if stored is None:
        return None
    schema, chunks = stored
    names = [leaf.path for leaf in schema.leaves]
    groups = _by_group(file, metadata, rows)
    picked: dict[int, tuple[Bytes, npt.NDArray[np.bool_]]] = {}
    for place, leaf in enumerate(schema.leaves):
        is_flat = leaf.is_top and leaf.levels[0] == 0 and leaf.levels[1] <= 1
        if leaf.path not in columns or not is_flat or names.count(leaf.path) > 1:
            continue
        if leaf.kind in _WIDTHS or leaf.kind == FIXED:
            try:
                found = [
                    _pick_chunk(file.path, leaf, chunks[group, place], here, most_bytes)
                    for group, here in groups
                ]
            except _CantPickError:
                continue
            values, is_valid = zip(*found, strict=True)
            picked[place] = np.concatenate(values), np.concatenate(is_valid)
    if not picked:
        return pa.table({})
    prefix = footer[: outline(np.frombuffer(footer, np.uint8)).schema_stop]
    whole = _file_of(prefix, metadata, schema.leaves, picked, len(rows))
    told = [names[place] for place in picked]
    own = [name for name in as_dictionary if name in told]
    with open_file(pa.BufferReader(whole), len(whole), read_dictionary=own) as made:
        table = made.read(told, use_threads=False)
    return table.select(told)


def _by_group(
    file: FileGroups, metadata: pq.FileMetaData, rows: Numbers
) -> list[tuple[int, Numbers]]:
    """Return which rows of which row groups are wanted, if any are."""
    if file.first_row is not None:
        return [(file.row_groups[0], rows + file.first_row)]
    sizes = [metadata.row_group(group).num_rows for group in file.row_groups]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    places = np.searchsorted(rows, edges).tolist()
    return [
        (group, rows[begin:stop] - edges[n])
        for n, (group, begin, stop) in enumerate(
            zip(file.row_groups, places[:-1], places[1:], strict=True)
        )
        if begin < stop
    ]


def _pick_chunk(
    path: str, leaf: Leaf, told: Numbers, rows: Numbers, most_bytes: int
) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return the values of some rows of a column chunk, as its footer tells it."""
    start, stop, n_values, _, _, number = told.tolist()
    codec = _CODECS.get(number)
    if codec is None:
        raise _CantPickError
    data = np.frombuffer(read_range(path, start, stop - start), np.uint8)
    chunk = _Chunk(data, leaf, pa.Codec(codec) if codec else None, most_bytes)
    return _pick_column(chunk, n_values, rows)


def _pick_column(
    chunk: _Chunk, n_values: int, rows: Numbers
) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return the values of some rows in PLAIN, and which of the rows have one."""
    found = find_pages(chunk.data, n_values)
    if found is None:
        raise _CantPickError
    first, values, entries = 0, [], _NO_ENTRIES
    unread: _Page | None = None  # the dictionary, until a row needs it
    ends = np.full((len(rows), 2), -1, np.int64)
    for page in map(_Page._make, found.tolist()):
        if page.kind == _DICTIONARY_PAGE:
            unread = page
            continue
        begin, stop = np.searchsorted(rows, (first, first + page.n_values)).tolist()
        if begin < stop:
            if unread is not None and page.encoding in _BY_DICTIONARY:
                entries, unread = _dictionary_of(chunk, unread), None
            here = ends[begin:stop]
            data = _pick_page(chunk, page, entries, rows[begin:stop] - first, here)
            source = entries.data if page.encoding in _BY_DICTIONARY else data
            values.append(copy_values(source, here, has_lengths=not chunk.width))
        first += page.n_values
    if rows[-1] >= first:
        raise _CantPickError
    return np.concatenate(values), ends[:, 0] >= 0


def _dictionary_of(chunk: _Chunk, page: _Page) -> _Entries:
    """Return a dictionary."""
    data, texts = _unpacked(chunk, page, 0), _NO_ENTRIES.texts
    if chunk.width:
        if page.n_values * chunk.width > len(data):
            raise _CantPickError
    else:
        found = text_ends(data, page.n_values)
        if found is None:
            raise _CantPickError
        texts = found
    return _Entries(data, page.n_values, texts)


def _pick_page(
    chunk: _Chunk, page: _Page, entries: _Entries, rows: Numbers, ends: Numbers
) -> Bytes:
    """Find the values of some rows of a page; return the bytes that they are in."""
    levels_bytes = 0
    has_levels = chunk.leaf.levels[1] > 0
    if page.kind == _DATA_V2:
        if not 0 <= page.levels <= min(page.packed, page.n_bytes):
            raise _CantPickError
        levels_bytes = page.levels
    elif page.kind != _DATA or (has_levels and page.levels != _RUNS):
        raise _CantPickError
    data = _unpacked(chunk, page, levels_bytes)
    levels = 0, levels_bytes
    if page.kind == _DATA and has_levels:
        if len(data) < 4:
            raise _CantPickError
        levels = 4, 4 + int.from_bytes(data[:4].tobytes(), "little")
    start = levels[1]
    if start > len(data):
        raise _CantPickError
    if not has_levels:
        levels = 0, 0
    encoding, width, of = page.encoding, chunk.width, (page.n_values, rows, ends)
    if encoding in (_DELTA, _DELTA_LENGTH, _SPLIT):
        return _pick_encoded(data, levels, start, encoding, width, *of)
    how = page.n_values, encoding, width, entries.n_values, entries.texts, rows, ends
    if pick_values(data, levels, (start, len(data)), *how) < 0:
        raise _CantPickError
    return data


def _pick_encoded(
    data: Bytes,
    levels: tuple[int, int],
    start: int,
    encoding: int,
    width: int,
    n_values: int,
    rows: Numbers,
    ends: Numbers,
) -> Bytes:
    """Find values that are no run of bytes: first all of the page are made one, or found."""
    if encoding == _SPLIT:
        n = (len(data) - start) // width if width else 0
        plain = np.ascontiguousarray(data[start : start + n * width].reshape(width, n).T)
        values = plain.reshape(-1)
    else:
        numbers, stop = delta_values(data, start, len(data), n_values)
        if stop < 0 or (encoding == _DELTA_LENGTH) != (width == 0):
            raise _CantPickError
        if encoding == _DELTA_LENGTH:
            lengths = numbers.astype(np.int32).astype(np.int64)
            if lengths.min(initial=0) < 0 or lengths.sum() > len(data) - stop:
                raise _CantPickError
            edges = stop + np.concatenate([[0], np.cumsum(lengths)])
            entries = np.column_stack((edges[:-1], edges[1:]))
            # of each value, by its number, as of a dictionary that has them in order
            values = np.arange(len(lengths), dtype=np.int32).view(np.uint8)
        else:
            values = numbers.astype(np.int32 if width == 4 else np.int64).view(np.uint8)
    whole = np.concatenate([data[:start], values])
    found = 4 if encoding == _DELTA_LENGTH else width
    how = n_values, _PLAIN, found, 0, _NO_ENTRIES.texts, rows, ends
    if pick_values(whole, levels, (start, len(whole)), *how) < 0:
        raise _CantPickError
    if encoding != _DELTA_LENGTH:
        return whole
    has_value = ends[:, 0] >= 0
    ends[has_value] = entries[(ends[has_value, 0] - start) // 4]
    return data


def _unpacked(chunk: _Chunk, page: _Page, levels_bytes: int) -> Bytes:
    """Return a page's bytes; its levels are not packed in version 2."""
    data = chunk.data[page.start : page.start + page.packed]
    if page.n_bytes > chunk.most_bytes:
        raise _CantPickError
    if page.checksum >= 0 and zlib.crc32(data.data) != page.checksum:
        raise _CantPickError
    if chunk.codec is None or not page.is_packed:
        if len(data) != page.n_bytes:
            raise _CantPickError
        return data
    n_bytes = page.n_bytes - levels_bytes
    packed = pa.py_buffer(data[levels_bytes:])
    unpacked = chunk.codec.decompress(packed, decompressed_size=n_bytes) if n_bytes else b""
    values = np.frombuffer(unpacked, np.uint8)
    return np.concatenate([data[:levels_bytes], values]) if levels_bytes else values


def _file_of(
    schema: bytes,
    metadata: pq.FileMetaData,
    leaves: Sequence[Leaf],
    picked: dict[int, tuple[Bytes, npt.NDArray[np.bool_]]],
    n_rows: int,
) -> bytes:
    """Return a file of one row group that has the picked columns, in PLAIN and not packed.

    ``schema`` is what a footer of such a file begins with.
    """
    out, chunks = bytearray(b"PAR1"), []
    for place, leaf in enumerate(leaves):
        start, n_values = len(out), 0
        if place in picked:
            values, is_valid = picked[place]
            n_values = n_rows
            body = values.tobytes()
            if leaf.levels[1]:
                bits = np.packbits(is_valid, bitorder="little").tobytes()
                runs = _varint(len(bits) << 1 | 1) + bits
                body = len(runs).to_bytes(4, "little") + runs + body
            told = {1: (I32, n_rows), 2: (I32, _PLAIN), 3: (I32, _RUNS), 4: (I32, _RUNS)}
            sizes = {2: (I32, len(body)), 3: (I32, len(body))}
            out += struct_bytes({1: (I32, _DATA), **sizes, 5: (STRUCT, told)}) + body
        size = len(out) - start
        chunks.append(
            {
                2: (I64, start),
                3: (
                    STRUCT,
                    {
                        1: (I32, TYPES.index(leaf.kind)),
                        2: (LIST, (I32, [_PLAIN, _RUNS])),
                        3: (LIST, (BINARY, _path_of(leaf))),
                        4: (I32, 0),
                        5: (I64, n_values),
                        6: (I64, size),
                        7: (I64, size),
                        9: (I64, start),
                    },
                ),
            }
        )
    group = {1: (LIST, (STRUCT, chunks)), 2: (I64, len(out)), 3: (I64, n_rows)}
    pairs = [{1: (BINARY, k), 2: (BINARY, v)} for k, v in (metadata.metadata or {}).items()]
    # The schema is field 2, and numbers are told by how far they are from the last.
    rest: dict[int, Any] = {1: (I64, n_rows), 2: (LIST, (STRUCT, [group]))}
    rest |= {3: (LIST, (STRUCT, pairs))} if pairs else {}
    footer = schema + struct_bytes(rest)
    return bytes(out) + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _path_of(leaf: Leaf) -> list[bytes]:
    return [leaf.path.encode()] if leaf.is_top else [n.encode() for n in leaf.path.split(".")]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
