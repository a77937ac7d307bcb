"""Schemas of Parquet files, as the kernels that look at footers and pages want them.

The files of a dataset have one schema, or a few: it is known by its bytes, and what follows
from it is found out once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dlsort.io.find import BadFileError
from dlsort.io.parquet.decryption import properties_of
from dlsort.io.parquet.thrift import (
    BINARY,
    BOOLEAN,
    I32,
    LIST,
    STRUCT,
    Struct,
    ThriftError,
    field_of,
    read_struct,
)
from dlsort_kernels import Outline, outline, page_sizes, sound_chunks

__all__ = [
    "FIXED",
    "INT96",
    "TYPES",
    "VALUE_BYTES",
    "Annotations",
    "BadFooterError",
    "Leaf",
    "StoredSchema",
    "chunks_of",
    "end_width",
    "find_annotations",
    "find_chunks",
    "find_leaves",
    "footer_in",
    "is_inside",
    "is_wanted",
    "open_file",
    "schema_of",
    "sizes_of",
]

MAGIC_BYTES = 4
TAIL_BYTES = 8  # the footer's length and the magic bytes after it
MOST_SCHEMAS = 64  # that are remembered
MOST_FIXED_BYTES = 2**28 - 1  # of a value: Arrow counts its bits in 32

INT96 = "INT96"  # nanoseconds of a day and the day, of any year
# Minima and maxima of this type may be cut, and pyarrow may not be asked for such.
FIXED = "FIXED_LEN_BYTE_ARRAY"

TYPES = (
    "BOOLEAN",
    "INT32",
    "INT64",
    INT96,
    "FLOAT",
    "DOUBLE",
    "BYTE_ARRAY",
    FIXED,
)
# Bytes that a value has in memory, of text its offset.
VALUE_BYTES = {
    "BOOLEAN": 1,
    "INT32": 4,
    "INT64": 8,
    "INT96": 8,
    "FLOAT": 4,
    "DOUBLE": 8,
    "BYTE_ARRAY": 4,
}
# Bytes of a minimum or maximum.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8}


MOST_TEXT_BYTES = 2**31 - 1  # of strings in a footer
MOST_ITEMS = 1_000_000  # of a list in a footer, as pyarrow has it; more if the file is so long
LEAST_ITEM_BYTES = 8  # of such a list: pyarrow takes memory for it first


class BadFooterError(BadFileError):
    """A footer that can't be true; the message says why, without the file's name."""


class Leaf(NamedTuple):
    """A column of the schema that has values."""

    path: str
    kind: str
    width: int  # of a value that is bytes of a fixed length
    levels: tuple[int, int]  # the highest of repetition (0: one value a row) and of definition
    is_top: bool  # it is not nested; if there is a dot it is in its name


class StoredSchema(NamedTuple):
    """The leaf columns of a schema, and the same as the kernel wants them."""

    leaves: list[Leaf]
    numbers: npt.NDArray[np.int64]
    names: npt.NDArray[np.uint8]
    widths: npt.NDArray[np.int64]


# Logical types, by their numbers in parquet.thrift, that Arrow keeps when it reads and writes.
_KEPT = {1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 14, 15}
_LOST = {4: "ENUM", 13: "BSON", 16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY"}
_LOST_CONVERTED = {4: "ENUM", 20: "BSON", 21: "INTERVAL"}
_TIMES_CONVERTED = {7, 8}  # of day in UTC, in the older way to say so
_ELEMENTS, _NAME, _N_CHILDREN, _CONVERTED, _LOGICAL, _TIME, _IN_UTC = 2, 4, 5, 6, 10, 7, 1


class Annotations(NamedTuple):
    """What a schema says of its columns that Arrow does not keep.

    Attributes
    ----------
    lost : dict of str to str
        Types that would be others in a copy, by the paths of their columns.
    in_utc : dict of str to bool
        Whether times of day are told in UTC (TIME WITH TIME ZONE), by the same.
    """

    lost: dict[str, str]
    in_utc: dict[str, bool]


def find_annotations(data: bytes) -> Annotations:
    """Return what Arrow does not keep of a schema, which a footer begins with.

    Raises
    ------
    BadFooterError
        If it is none that can be.
    """
    found = Annotations({}, {})
    try:
        _annotate(found, data)
    except (ThriftError, RecursionError, StopIteration) as error:
        msg = f"its schema can't be read: {error}"
        raise BadFooterError(msg) from error
    return found


def _annotate(found: Annotations, data: bytes) -> None:
    _, listed = field_of(read_struct(data)[0], _ELEMENTS, LIST) or (STRUCT, [])
    elements: Iterator[Struct] = iter(listed)

    def walk(above: tuple[str, ...]) -> None:
        element = next(elements)
        name: bytes = field_of(element, _NAME, BINARY) or b""
        path = (*above, name.decode(errors="replace"))
        converted = field_of(element, _CONVERTED, I32)
        logical: Struct = field_of(element, _LOGICAL, STRUCT) or {}
        for number in logical:
            told: Struct = field_of(logical, number, STRUCT) or {}
            if number not in _KEPT:
                found.lost[".".join(path[1:])] = _LOST.get(number, f"logical type {number}")
            elif number == _TIME:
                found.in_utc[".".join(path[1:])] = field_of(told, _IN_UTC, BOOLEAN) is True
        if not logical and converted in _LOST_CONVERTED:
            found.lost[".".join(path[1:])] = _LOST_CONVERTED[converted]
        if not logical and converted in _TIMES_CONVERTED:
            found.in_utc[".".join(path[1:])] = True
        for _ in range(field_of(element, _N_CHILDREN, I32) or 0):
            walk(path)

    walk(())


# By the bytes that schemas have in footers: the files of a dataset have one, or a few.
_schemas: dict[bytes, StoredSchema] = {}


def open_file(
    where: Any, file_bytes: int, keys: str | None = None, **options: Any
) -> pq.ParquetFile:
    """Open a Parquet file that may hold anything.

    Parameters
    ----------
    where : str or file
        The file, by its path or open.
    file_bytes : int
        Its size.
    keys : str, optional
        Names the function that gives the keys of an encrypted file.
    **options
        Of :class:`pyarrow.parquet.ParquetFile`.

    Raises
    ------
    BadFooterError
        If its footer can't be read.
    OSError, pyarrow.ArrowException
        If it can't be read.

    Notes
    -----
    A list or a string that is said to be longer than the file is refused before there is
    memory for it. INT96 is read in microseconds: in nanoseconds, pyarrow's default, years
    before 1677 and after 2262 become others.
    """
    if keys is not None:
        options["decryption_properties"] = properties_of(keys)
    most_items = max(MOST_ITEMS, file_bytes // LEAST_ITEM_BYTES)
    try:
        return pq.ParquetFile(
            where,
            thrift_string_size_limit=max(1, min(file_bytes, MOST_TEXT_BYTES)),
            thrift_container_size_limit=max(1, min(file_bytes, most_items)),
            **{"coerce_int96_timestamp_unit": "us", **options},
        )
    except UnicodeDecodeError as error:
        msg = f"a column's name is not UTF-8: {error.object!r}"
        raise BadFooterError(msg) from error


def find_leaves(schema: pq.ParquetSchema) -> list[Leaf]:
    """Return the columns that have values.

    Raises
    ------
    BadFooterError
        If the values of one are too wide for Arrow.
    """
    found = []
    for i in range(len(schema)):
        column = schema.column(i)
        kind, width = column.physical_type, column.length or 0
        if kind == FIXED and not 0 < width <= MOST_FIXED_BYTES:
            msg = f"values of {column.path!r} are said to have {width:,} bytes each"
            raise BadFooterError(msg)
        levels = column.max_repetition_level, column.max_definition_level
        found.append(Leaf(column.path, kind, width, levels, column.name == column.path))
    return found


def end_width(leaf: Leaf) -> int:
    """Return the bytes of a column's minima and maxima, -1 if they vary.

    Some writers cut those of long values of a fixed width; nobody asks for them.
    """
    return _WIDTHS.get(leaf.kind, -1)


def is_wanted(leaf: Leaf, columns: Collection[str]) -> bool:
    """Return whether a leaf is, or is inside of, one of the columns."""
    return leaf.path in columns if leaf.is_top else is_inside(leaf.path, columns)


def is_inside(path: str, columns: Collection[str]) -> bool:
    """Return whether a path is that of one of the columns, or of what is inside of one."""
    names = path.split(".")
    return any(".".join(names[:i]) in columns for i in range(1, len(names) + 1))


def footer_in(data: bytes) -> bytes:
    """Return the footer of a whole file that has one."""
    size = int.from_bytes(data[-TAIL_BYTES:-MAGIC_BYTES], "little")
    return data[-TAIL_BYTES - size : -TAIL_BYTES]


def sizes_of(data: bytes, metadata: pq.FileMetaData) -> tuple[int, int]:
    """Return what the pages of a whole file unpack to, if the file is as most are.

    Parameters
    ----------
    data : bytes
        The file.
    metadata : pyarrow.parquet.FileMetaData
        Its footer.

    Returns
    -------
    n_bytes, repeated : int
        Bytes of all pages; and the most of a chunk where one text may stand for many. -1 and -1
        where a closer look is needed, at the footer or at the pages.
    """
    stored = chunks_of(footer_in(data), len(data), metadata)
    if stored is None:
        return -1, -1
    schema, chunks = stored
    widths = np.tile(schema.widths, len(chunks))
    return page_sizes(np.frombuffer(data, np.uint8), chunks.reshape(-1, 6), widths)


def chunks_of(
    footer: bytes, file_bytes: int, metadata: pq.FileMetaData
) -> tuple[StoredSchema, npt.NDArray[np.int64]] | None:
    """Return the schema and the column chunks of a file, if its footer is as most are.

    Parameters
    ----------
    footer : bytes
        The footer.
    file_bytes : int
        Size of the file.
    metadata : pyarrow.parquet.FileMetaData
        The same footer.

    Returns
    -------
    schema : StoredSchema
    chunks : (row groups, leaves, 6) int64
        As of :func:`dlsort_kernels.sound_chunks`.
    """
    numbers = np.frombuffer(footer, np.uint8)
    found = outline(numbers)
    schema = schema_of(footer[: max(0, found.schema_stop)], metadata)
    chunks = None if schema is None else find_chunks(numbers, file_bytes, found, schema)
    if schema is None or chunks is None:
        return None
    return schema, chunks[0].reshape(found.n_groups, len(schema.leaves), 6)


def find_chunks(
    footer: npt.NDArray[np.uint8], file_bytes: int, counts: Outline, schema: StoredSchema
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return the column chunks and the rows of each row group of a footer that is as most are.

    Parameters
    ----------
    footer : (bytes,) uint8
        The footer.
    file_bytes : int
        Size of the file that it ends.
    counts : Outline
        What it counts.
    schema : StoredSchema
        Its own.
    """
    stop = file_bytes - TAIL_BYTES - len(footer)
    n_groups, n_rows = counts.n_groups, counts.n_rows
    return sound_chunks(footer, stop, schema.numbers, schema.names, n_groups, n_rows)


def schema_of(stored: bytes, metadata: pq.FileMetaData | None) -> StoredSchema | None:
    """Return the leaf columns of a schema, by its bytes or as pyarrow has read them.

    None if neither is known, or it is none that a kernel can look at.
    """
    found = _schemas.get(stored)
    if found is not None or not stored or metadata is None:
        return found
    leaves = find_leaves(metadata.schema)
    if any(leaf.kind not in TYPES for leaf in leaves):
        return None
    paths = [leaf.path.encode() for leaf in leaves]
    stops = np.cumsum([0, *map(len, paths)])
    numbers = [
        (TYPES.index(leaf.kind), end_width(leaf), *leaf.levels, stops[i], stops[i + 1])
        for i, leaf in enumerate(leaves)
    ]
    found = StoredSchema(
        leaves,
        np.array(numbers, np.int64).reshape(-1, 6),
        np.frombuffer(b"".join(paths), np.uint8),
        np.array([VALUE_BYTES.get(leaf.kind) or leaf.width for leaf in leaves], np.int64),
    )
    if len(_schemas) >= MOST_SCHEMAS:
        _schemas.clear()
    _schemas[stored] = found
    return found
