"""Footer checks: what a footer says, held against what the file can hold.

A kernel takes most footers; Python looks at the others here, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dlsort.io.parquet.stored_schema import (
    MAGIC_BYTES,
    TYPES,
    BadFooterError,
    Leaf,
    end_width,
    find_leaves,
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

__all__ = ["check_footer", "stored_chunks"]

LEAST_PAGE_BYTES = 20  # the shortest header of a data page that has values
MOST_PAGE_VALUES = 2**31 - 1
N_CODECS = 8  # of parquet.thrift

# Fields of the Thrift structs, by their numbers in parquet.thrift.
_ROW_GROUPS = 4
_COLUMNS, _GROUP_BYTES, _ROWS = 1, 2, 3
_FILE_PATH, _META_DATA, _CRYPTO = 1, 3, 8
_TYPE, _PATH, _CODEC, _N_VALUES, _UNPACKED, _PACKED = 1, 3, 4, 5, 6, 7
_DATA_PAGE, _DICTIONARY_PAGE, _STATISTICS, _SIZES = 9, 11, 12, 16
_TEXT_BYTES, _HISTOGRAMS = 1, (2, 3)
_ENDS, _N_NULLS, _N_DISTINCT = (1, 2, 5, 6), 3, 4


class _Chunk(NamedTuple):
    """Where a column chunk is said to be."""

    start: int
    stop: int


def check_footer(data: bytes, data_stop: int, footer: pq.FileMetaData) -> frozenset[str]:
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
            if _META_DATA not in column:  # it is encrypted too
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


def stored_chunks(
    data: bytes,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows and chunks of a checked footer, as :class:`Footer` has them, without pyarrow.

    Of a chunk whose description is encrypted only an even share of its row group's bytes is
    known; it is said to have no dictionary.
    """
    rows: list[int] = []
    chunks: list[tuple[int, ...]] = []
    for group in _structs(read_struct(data)[0], _ROW_GROUPS):
        found: list[tuple[int, ...] | None] = []
        for column in _structs(group, _COLUMNS):
            metadata: Struct | None = field_of(column, _META_DATA, STRUCT)
            found.append(None if metadata is None else _numbers_of(metadata))
        rows.append(field_of(group, _ROWS, I64) or 0)
        known = sum(chunk[4] for chunk in found if chunk is not None)
        left = max(0, (field_of(group, _GROUP_BYTES, I64) or 0) - known)
        share = left // max(1, found.count(None))
        unknown = 0, share, rows[-1], 0, share, 0
        chunks += [unknown if chunk is None else chunk for chunk in found]
    return np.array(rows, np.int64), np.array(chunks, np.int64).reshape(-1, 6)


def _numbers_of(metadata: Struct) -> tuple[int, ...]:
    """Return the numbers of a chunk as the kernel does; the codec is not needed."""
    names = _DATA_PAGE, _DICTIONARY_PAGE, _PACKED, _N_VALUES, _UNPACKED
    pages, dictionary, packed, n_values, unpacked = (
        max(0, field_of(metadata, name, I64) or 0) for name in names
    )
    start = dictionary if 0 < dictionary < pages else pages
    return start, start + packed, n_values, pages, unpacked, 0


def _check_apart(chunks: Iterable[_Chunk]) -> None:
    """Raise if two column chunks share bytes: few bytes would stand for any number of rows."""
    for above, below in pairwise(sorted(chunks)):
        if below.start < above.stop:
            msg = f"two column chunks both have byte {below.start:,}"
            raise BadFooterError(msg)
