"""Footers: what a Parquet file says of itself, held against what the file can hold.

A footer may be wrong or hostile, and everything that is planned follows from it: sizes, places,
numbers of parts. Nor may every footer be given to Parquet's C++ reader: some of its answers
(a column chunk, its statistics) end the process where a footer makes no sense. So the footer is
read here first, and a file is refused if

- a row group has not the columns of the schema, or a chunk not their type,
- rows or bytes are negative, do not add up, or are more than the file can hold,
- a column chunk lies outside of the file's data, in another file, or over another chunk,
- a minimum or maximum has not the width of its type, there are more nulls than values, or
  other levels than the schema has.

A kernel looks first, in a few microseconds: most footers are as they should be, of a schema
that another file of the dataset has too. Python looks at the others, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.same_names import with_own_names
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.stored_schema import (
    MAGIC_BYTES,
    MOST_SCHEMAS,
    TAIL_BYTES,
    TYPES,
    Annotations,
    BadFooterError,
    Leaf,
    end_width,
    find_annotations,
    find_chunks,
    find_leaves,
    open_file,
    schema_of,
)
from dlsort.io.parquet.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Struct,
    ThriftError,
    field_of,
    read_struct,
)
from dlsort.io.storage import read_range
from dlsort_kernels import outline

__all__ = ["Footer", "read_footer"]

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
GUESSED_BYTES = 64 * 2**10  # most footers are shorter, and one read is enough
LEAST_PAGE_BYTES = 20  # the shortest header of a data page that has values
MOST_PAGE_VALUES = 2**31 - 1
N_CODECS = 8  # of parquet.thrift

# Fields of the Thrift structs, by their numbers in parquet.thrift.
_ROW_GROUPS = 4
_COLUMNS, _ROWS = 1, 3
_FILE_PATH, _META_DATA, _CRYPTO = 1, 3, 8
_TYPE, _PATH, _CODEC, _N_VALUES, _UNPACKED, _PACKED = 1, 3, 4, 5, 6, 7
_DATA_PAGE, _DICTIONARY_PAGE, _STATISTICS, _SIZES = 9, 11, 12, 16
_TEXT_BYTES, _HISTOGRAMS = 1, (2, 3)
_ENDS, _N_NULLS, _N_DISTINCT = (1, 2, 5, 6), 3, 4


class _Chunk(NamedTuple):
    """Where a column chunk is said to be."""

    start: int
    stop: int


@dataclass(frozen=True)
class Footer:
    """A footer that can be true.

    Parameters
    ----------
    schema : pyarrow.Schema
        The columns.
    leaves : list of Leaf
        Those that have values.
    chunks : (row groups * leaves, 6) int64
        As of :func:`dlsort_kernels.sound_chunks`.
    rows : (row groups,) int64
        Rows of each row group.
    metadata : pyarrow.parquet.FileMetaData
        The same as pyarrow reads it.
    annotations : Annotations
        What Arrow does not keep.
    encrypted : frozenset of str
        Paths of the leaves that are; their chunks are all 0.
    """

    schema: pa.Schema
    leaves: list[Leaf]
    chunks: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    metadata: pq.FileMetaData
    annotations: Annotations
    encrypted: frozenset[str] = frozenset()


# By the bytes of all but the row groups: most files of a dataset have the same.
_arrow_schemas: dict[bytes, tuple[pa.Schema, Annotations]] = {}


def read_footer(path: str, file_bytes: int) -> Footer:
    """Read a file's footer, and make sure that it can be true.

    Parameters
    ----------
    path : str
        The file, or an object's URL.
    file_bytes : int
        Its size.

    Raises
    ------
    BadFooterError
        If there is none, or none that can be true.
    OSError, pyarrow.ArrowException
        If it can't be read.
    """
    footer, magic = _footer_bytes(path, file_bytes)
    numbers = np.frombuffer(footer, np.uint8)
    found = outline(numbers)
    stored = footer[: max(0, found.schema_stop)]
    key = stored + footer[found.tail_start :]
    if magic == ENCRYPTED:
        msg = (
            "it is encrypted, with its footer, and there are no keys here. Decrypt it first: "
            "read it with its keys and write it without."
        )
        raise UnsupportedFileError(msg)
    schema = schema_of(stored, None)
    known = _arrow_schemas.get(key)
    chunks = None
    if schema is not None and known is not None and magic == MAGIC:
        chunks = find_chunks(numbers, file_bytes, found, schema)
    with _opened(footer, magic) as file:  # which may refuse what the kernel has not seen
        metadata = file.metadata
        if chunks is None or known is None:
            known = (
                with_own_names(file.schema_arrow),
                find_annotations(stored + b"\0" if stored else footer),
            )
    encrypted: frozenset[str] = frozenset()
    if schema is None or chunks is None:
        schema = schema_of(stored, metadata)
        if schema is not None and magic == MAGIC:
            chunks = find_chunks(numbers, file_bytes, found, schema)
        if chunks is None:
            stop = file_bytes - TAIL_BYTES - len(footer)
            encrypted = _check_footer(footer, stop, metadata)
    if schema is not None:
        if len(_arrow_schemas) >= MOST_SCHEMAS:
            _arrow_schemas.clear()
        _arrow_schemas[key] = known
        if chunks is not None:
            return Footer(known[0], schema.leaves, *chunks, metadata, known[1])
    leaves = find_leaves(metadata.schema)
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    of_chunks = [
        (0,) * 6 if leaf.path in encrypted else _numbers_of(group.column(i))
        for group in groups
        for i, leaf in enumerate(leaves)
    ]
    rows = np.array([group.num_rows for group in groups], np.int64)
    table = np.array(of_chunks, np.int64).reshape(-1, 6)
    return Footer(known[0], leaves, table, rows, metadata, known[1], encrypted)


def _numbers_of(chunk: pq.ColumnChunkMetaData) -> tuple[int, ...]:
    """Return the numbers of a chunk as the kernel does; the codec is not needed."""
    pages = start = chunk.data_page_offset
    dictionary = chunk.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    stop = start + chunk.total_compressed_size
    return start, stop, chunk.num_values, pages, chunk.total_uncompressed_size, 0


def _opened(footer: bytes, magic: bytes) -> pq.ParquetFile:
    """Return a file of a footer alone: nobody asks for the data."""
    alone = b"".join((MAGIC, footer, len(footer).to_bytes(4, "little"), magic))
    return open_file(pa.BufferReader(alone), len(footer), pre_buffer=False)


def _footer_bytes(path: str, file_bytes: int) -> tuple[bytes, bytes]:
    """Return the footer, and the magic bytes behind it."""
    if file_bytes < MAGIC_BYTES + TAIL_BYTES:
        msg = f"it has {file_bytes:,} bytes, too few for a footer"
        raise BadFooterError(msg)
    tail = _last_bytes(path, file_bytes, min(file_bytes, GUESSED_BYTES))
    if tail[-MAGIC_BYTES:] not in (MAGIC, ENCRYPTED):
        msg = f"it ends in {tail[-MAGIC_BYTES:]!r}, not in {MAGIC!r} as Parquet does"
        raise BadFooterError(msg)
    size = int.from_bytes(tail[-TAIL_BYTES:-MAGIC_BYTES], "little")
    if size > file_bytes - TAIL_BYTES - MAGIC_BYTES:
        msg = f"its footer is said to have {size:,} bytes, the file has {file_bytes:,}"
        raise BadFooterError(msg)
    if size + TAIL_BYTES > len(tail):
        tail = _last_bytes(path, file_bytes, size + TAIL_BYTES)
    return tail[-TAIL_BYTES - size : -TAIL_BYTES], tail[-MAGIC_BYTES:]


def _last_bytes(path: str, file_bytes: int, n_bytes: int) -> bytes:
    found = read_range(path, file_bytes - n_bytes, n_bytes)
    if len(found) < n_bytes:
        msg = f"it ends {n_bytes - len(found):,} bytes before it should"
        raise BadFooterError(msg)
    return found


def _check_footer(data: bytes, data_stop: int, footer: pq.FileMetaData) -> frozenset[str]:
    """Raise unless a footer can be true, and return the paths of encrypted leaves.

    Parameters
    ----------
    data : bytes
        The footer.
    data_stop : int
        Where it begins in the file.
    footer : pyarrow.parquet.FileMetaData
        The same, as pyarrow reads it; only its schema and its counts are used.

    Notes
    -----
    Time O(column chunks): some 40 µs for each.
    """
    try:
        leaves = find_leaves(footer.schema)
        groups = _structs(read_struct(data)[0], _ROW_GROUPS)
        if len(groups) != footer.num_row_groups:
            msg = f"it has {len(groups):,} row groups and {footer.num_row_groups:,}"
            raise BadFooterError(msg)
        chunks: list[_Chunk] = []
        encrypted: set[str] = set()
        n_rows = 0
        for number, group in enumerate(groups):
            n_rows += _check_group(number, group, leaves, data_stop, chunks, encrypted)
    except ThriftError as error:
        msg = f"its footer can't be read: {error}"
        raise BadFooterError(msg) from error
    if n_rows != footer.num_rows:
        msg = f"it claims {footer.num_rows:,} rows, and its row groups {n_rows:,}"
        raise BadFooterError(msg)
    _check_apart(chunks)
    return frozenset(encrypted)


def _structs(struct: Struct, number: int) -> list[Struct]:
    """Return a field that is a list of structs."""
    kind, items = field_of(struct, number, LIST) or (STRUCT, [])
    if items and kind != STRUCT:
        msg = f"field {number} is a list of kind {kind} where {STRUCT} was expected"
        raise ThriftError(msg)
    found: list[Struct] = items
    return found


def _check_group(
    number: int,
    group: Struct,
    leaves: Sequence[Leaf],
    data_stop: int,
    chunks: list[_Chunk],
    encrypted: set[str],
) -> int:
    """Check a row group, add what is encrypted and where chunks are, and return its rows."""
    columns = _structs(group, _COLUMNS)
    if len(columns) != len(leaves):
        msg = f"row group {number} has {len(columns):,} columns, the schema {len(leaves):,}"
        raise BadFooterError(msg)
    n_rows = _count(group, _ROWS, f"row group {number}", "rows")
    for leaf, column in zip(leaves, columns, strict=True):
        if _CRYPTO in column:
            encrypted.add(leaf.path)
            continue
        where = f"column {leaf.path!r} of row group {number}"
        chunk = _check_chunk(where, column, leaf, n_rows, data_stop)
        if chunk is not None:
            chunks.append(chunk)
    return n_rows


def _check_chunk(
    where: str, column: Struct, leaf: Leaf, n_rows: int, data_stop: int
) -> _Chunk | None:
    """Check a column chunk, and return where it is if it has any bytes."""
    if field_of(column, _FILE_PATH, BINARY):
        msg = f"{where} is said to be in another file"
        raise BadFooterError(msg)
    metadata: Struct | None = field_of(column, _META_DATA, STRUCT)
    if metadata is None:
        msg = f"{where} is not described"
        raise BadFooterError(msg)
    kind = field_of(metadata, _TYPE, I32)
    if kind is None or not 0 <= kind < len(TYPES) or TYPES[kind] != leaf.kind:
        msg = f"{where} is not of type {leaf.kind}, as the schema says"
        raise BadFooterError(msg)
    inner, names = field_of(metadata, _PATH, LIST) or (BINARY, [])
    if inner != BINARY or b".".join(names) != leaf.path.encode():
        msg = f"{where} is said to be of column {names!r}"
        raise BadFooterError(msg)
    codec = field_of(metadata, _CODEC, I32)
    if codec is None or not 0 <= codec < N_CODECS:
        msg = f"{where} is packed by codec {codec}, which there is not"
        raise BadFooterError(msg)
    n_values = _count(metadata, _N_VALUES, where, "values")
    packed = _count(metadata, _PACKED, where, "bytes")
    _count(metadata, _UNPACKED, where, "bytes once unpacked")
    if n_values != n_rows and (not leaf.levels[0] or n_values < n_rows):
        msg = f"{where} has {n_values:,} values for {n_rows:,} rows"
        raise BadFooterError(msg)
    if n_values > packed // LEAST_PAGE_BYTES * MOST_PAGE_VALUES:
        msg = f"{where} has {n_values:,} values, more than {packed:,} bytes can hold"
        raise BadFooterError(msg)
    statistics: Struct | None = field_of(metadata, _STATISTICS, STRUCT)
    if statistics is not None:
        _check_statistics(where, statistics, leaf, n_values)
    sizes: Struct | None = field_of(metadata, _SIZES, STRUCT)
    if sizes is not None:
        _check_sizes(where, sizes, leaf)
    if not n_values:  # such a chunk may be nowhere
        return None
    pages = start = _count(metadata, _DATA_PAGE, where, "bytes before it")
    dictionary = field_of(metadata, _DICTIONARY_PAGE, I64)
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    if not MAGIC_BYTES <= start <= start + packed <= data_stop:
        msg = (
            f"{where} is said to be at bytes {start:,} to {start + packed:,}, "
            f"the data at {MAGIC_BYTES} to {data_stop:,}"
        )
        raise BadFooterError(msg)
    if pages >= start + packed:
        msg = f"the values of {where} are said to begin at byte {pages:,}, behind its end"
        raise BadFooterError(msg)
    return _Chunk(start, start + packed)


def _count(struct: Struct, number: int, where: str, what: str) -> int:
    """Return a field that must be there and not be negative."""
    found = field_of(struct, number, I64)
    if found is None or found < 0:
        shown = "an unknown number of" if found is None else f"{found:,}"
        msg = f"{where} has {shown} {what}"
        raise BadFooterError(msg)
    count: int = found
    return count


def _check_statistics(where: str, statistics: Struct, leaf: Leaf, n_values: int) -> None:
    width = end_width(leaf)
    for number in _ENDS:
        end = field_of(statistics, number, BINARY)
        if end is not None and width >= 0 and len(end) != width:
            msg = f"a minimum or maximum of {where} has {len(end):,} bytes instead of {width:,}"
            raise BadFooterError(msg)
    for number, what in ((_N_NULLS, "nulls"), (_N_DISTINCT, "different values")):
        found = field_of(statistics, number, I64)
        if found is not None and not 0 <= found <= n_values:
            msg = f"{where} has {found:,} {what} among {n_values:,} values"
            raise BadFooterError(msg)


def _check_sizes(where: str, sizes: Struct, leaf: Leaf) -> None:
    if _TEXT_BYTES in sizes and leaf.kind != "BYTE_ARRAY":
        msg = f"{where} states bytes of text, but is {leaf.kind}"
        raise BadFooterError(msg)
    for number, most in zip(_HISTOGRAMS, leaf.levels, strict=True):
        _, counts = field_of(sizes, number, LIST) or (I64, [])
        if counts and len(counts) != most + 1:
            msg = f"{where} counts {len(counts):,} levels of {most + 1:,}"
            raise BadFooterError(msg)


def _check_apart(chunks: Iterable[_Chunk]) -> None:
    """Raise if two column chunks share bytes: few bytes would stand for any number of rows."""
    for above, below in pairwise(sorted(chunks)):
        if below.start < above.stop:
            msg = f"two column chunks both have byte {below.start:,}"
            raise BadFooterError(msg)
