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

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.same_names import with_own_names
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.decryption import opening
from dlsort.io.parquet.footer_checks import check_footer, stored_chunks
from dlsort.io.parquet.stored_schema import (
    MAGIC_BYTES,
    MOST_SCHEMAS,
    TAIL_BYTES,
    Annotations,
    BadFooterError,
    Leaf,
    find_annotations,
    find_chunks,
    find_leaves,
    footer_in,
    open_file,
    schema_of,
)
from dlsort.io.storage import read_range
from dlsort_kernels import outline

__all__ = ["Footer", "read_footer"]

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
GUESSED_BYTES = 64 * 2**10  # most footers are shorter, and one read is enough


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
        Paths of the leaves that are. pyarrow may not be asked for their chunks: where a key is
        missing, it ends the process.
    keys : str or None
        Names the function that gives their keys; without, their chunks are all 0.
    """

    schema: pa.Schema
    leaves: list[Leaf]
    chunks: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    metadata: pq.FileMetaData
    annotations: Annotations
    encrypted: frozenset[str] = frozenset()
    keys: str | None = None


# By the bytes of all but the row groups: most files of a dataset have the same.
_arrow_schemas: dict[bytes, tuple[pa.Schema, Annotations]] = {}


def read_footer(path: str, file_bytes: int, decryption: str | None = None) -> Footer:
    """Read a file's footer, and make sure that it can be true.

    Parameters
    ----------
    path : str
        The file, or an object's URL.
    file_bytes : int
        Its size.
    decryption : str, optional
        Names the function that gives the keys of encrypted files.

    Raises
    ------
    BadFooterError
        If there is none, or none that can be true.
    UnsupportedFileError
        If it is encrypted, and there are no keys, or others.
    OSError, pyarrow.ArrowException
        If it can't be read.
    """
    footer, magic = _footer_bytes(path, file_bytes)
    stop = file_bytes - TAIL_BYTES - len(footer)
    if magic == ENCRYPTED:
        if decryption is None:
            msg = (
                "it is encrypted, with its footer. Give its keys by decryption (--decryption)."
            )
            raise UnsupportedFileError(msg)
        return _read_encrypted(footer, magic, stop, decryption)
    numbers = np.frombuffer(footer, np.uint8)
    found = outline(numbers)
    stored = footer[: max(0, found.schema_stop)]
    key = stored + footer[found.tail_start :]
    schema = schema_of(stored, None)
    known = _arrow_schemas.get(key)
    chunks = None
    if schema is not None and known is not None:
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
        if schema is not None:
            chunks = find_chunks(numbers, file_bytes, found, schema)
        if chunks is None:
            encrypted = check_footer(footer, stop, metadata)
    if encrypted and decryption is not None:
        return _read_encrypted(footer, magic, stop, decryption)
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


def _read_encrypted(footer: bytes, magic: bytes, stop: int, keys: str) -> Footer:
    """Return the footer of a file of which something is encrypted.

    Parameters
    ----------
    footer, magic : bytes
        As the file has them; where the footer is signed, pyarrow looks at the signature.
    stop : int
        Where the footer begins in the file.
    keys : str
        Names the function that gives the keys.
    """
    with opening(keys), _opened(footer, magic, keys) as file:
        metadata, schema = file.metadata, with_own_names(file.schema_arrow)
        if magic == ENCRYPTED:
            plain = io.BytesIO()
            metadata.write_metadata_file(plain)
            footer = footer_in(plain.getvalue())
    leaves = find_leaves(metadata.schema)
    encrypted = check_footer(footer, stop, metadata)
    rows, chunks = stored_chunks(footer)
    told = find_annotations(footer)
    return Footer(schema, leaves, chunks, rows, metadata, told, encrypted, keys)


def _numbers_of(chunk: pq.ColumnChunkMetaData) -> tuple[int, ...]:
    """Return the numbers of a chunk as the kernel does; the codec is not needed."""
    pages = start = chunk.data_page_offset
    dictionary = chunk.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    stop = start + chunk.total_compressed_size
    return start, stop, chunk.num_values, pages, chunk.total_uncompressed_size, 0


def _opened(footer: bytes, magic: bytes, keys: str | None = None) -> pq.ParquetFile:
    """Return a file of a footer alone: nobody asks for the data."""
    alone = b"".join((MAGIC, footer, len(footer).to_bytes(4, "little"), magic))
    return open_file(pa.BufferReader(alone), len(footer), keys, pre_buffer=False)


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
