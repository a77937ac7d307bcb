"""Pages: what the headers of a column chunk's pages say, and how long texts of theirs may be.

The headers say what pages unpack to (the codecs hold them to it), but few bytes of a page can
stand for many times a long text: of a dictionary, or of the text before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.io.find import BadFileError
from dlsort.io.parquet.thrift import (
    BOOLEAN,
    I32,
    STRUCT,
    Struct,
    ThriftError,
    field_of,
    read_struct,
)
from dlsort_kernels import longest_text, shared_bytes_of

__all__ = ["BadPageError", "Page", "longest_repeated", "read_pages"]

HEADER_BYTES = 256  # most page headers are shorter
MOST_HEADER_BYTES = 16 * 2**20  # as Parquet's C++ reader has it
# Chunks of a parquet-mr of 2013 are longer than they say, by the header of their dictionary.
SLACK_BYTES = 100

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
# Fields of the Thrift structs, by their numbers in parquet.thrift.
_KIND, _UNPACKED, _PACKED = 1, 2, 3
_HEADERS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}  # and their encoding's
_N_VALUES, _LEVELS_ENCODING = 1, 3
_LEVELS_BYTES, _IS_PACKED = (5, 6), 7  # of version 2
_BY_DICTIONARY, _BY_PREFIX, _RUNS = (2, 8), 7, 3  # encodings

_CODECS = {
    "UNCOMPRESSED": None,
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "BROTLI": "brotli",
    "ZSTD": "zstd",
    "LZ4": "lz4_raw",
}


class BadPageError(BadFileError):
    """Pages that can't be as they say, or take too much memory; without the file's name."""


class Page(NamedTuple):
    """What a page says of itself, and where it is."""

    start: int
    packed: int  # bytes in the file
    n_bytes: int  # once unpacked
    kind: int | None
    encoding: int
    n_values: int
    header: Struct  # of its kind

    @property
    def is_dictionary(self) -> bool:
        """Whether its values are a dictionary's."""
        return self.kind == _DICTIONARY


def read_pages(fd: int, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Yield the pages of a column chunk, by their headers alone.

    Parameters
    ----------
    fd : int
        Descriptor of the file.
    chunk : pyarrow.parquet.ColumnChunkMetaData
        Of a footer that has been checked.

    Raises
    ------
    BadPageError
        If they make no sense.
    """
    name = chunk.path_in_schema
    at = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    stop = at + chunk.total_compressed_size + SLACK_BYTES
    left = chunk.num_values
    while left > 0:
        header, at = _header(fd, at, stop)
        try:
            page = _page(header, at)
        except ThriftError as error:
            msg = f"a page of {name!r} can't be read: {error}"
            raise BadPageError(msg) from error
        at += page.packed
        if page.packed < 0 or page.n_bytes < 0 or page.n_values < 0 or at > stop:
            msg = (
                f"a page of {name!r} has {page.packed:,} bytes, unpacked {page.n_bytes:,}, of "
                f"{page.n_values:,} values"
            )
            raise BadPageError(msg)
        if not page.is_dictionary:
            left -= page.n_values
        yield page
    if left < 0:
        msg = (
            f"the pages of {name!r} have {-left:,} values more than the {chunk.num_values:,} "
            "that the footer says"
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


def _page(header: Struct, start: int) -> Page:
    """Return the page of a header; one of an unknown kind has no values."""
    packed, n_bytes = field_of(header, _PACKED, I32), field_of(header, _UNPACKED, I32)
    kind = field_of(header, _KIND, I32)
    n_values: int | None = 0
    encoding: int | None = -1
    inner: Struct = {}
    if kind in _HEADERS:
        number, encoding_number = _HEADERS[kind]
        found: Struct | None = field_of(header, number, STRUCT)
        inner = {} if found is None else found
        n_values = field_of(inner, _N_VALUES, I32)
        encoding = field_of(inner, encoding_number, I32)
    if packed is None or n_bytes is None or n_values is None or encoding is None:
        msg = "its header does not say how large it is, or what it holds"
        raise ThriftError(msg)
    return Page(start, packed, n_bytes, kind, encoding, n_values, inner)


def longest_repeated(
    fd: int,
    pages: Sequence[Page],
    compression: str,
    most_bytes: int,
    *,
    has_levels: bool,
) -> int:
    """Return the bytes of the longest text that few bytes may stand for again and again.

    Parameters
    ----------
    fd : int
        Descriptor of the file.
    pages : sequence of Page
        All pages of a column of text that is not nested.
    compression : str
        Their codec, by pyarrow's name.
    most_bytes : int
        Texts that take less together don't matter.
    has_levels : bool
        Whether values may be null.

    Returns
    -------
    int
        0 if it does not matter; more than it is where pages can't be unpacked.

    Notes
    -----
    A dictionary is unpacked, or pages of DELTA_BYTE_ARRAY, where the sizes alone don't show it.
    """
    codec = _CODECS.get(compression, "unknown")
    found = n_bytes = 0
    for page in pages:
        if page.is_dictionary:
            n_values = sum(
                p.n_values
                for p in pages
                if p.encoding in _BY_DICTIONARY and not p.is_dictionary
            )
            if n_values * page.n_bytes > most_bytes:
                data = _unpacked(fd, page, codec, is_packed=True)
                length = -1 if data is None else longest_text(data, page.n_values)
                length = page.n_bytes if length < 0 else length
                if n_values * length > most_bytes:
                    found = max(found, length)
    prefixed = [page for page in pages if page.encoding == _BY_PREFIX]
    if sum(page.n_values * page.n_bytes for page in prefixed) > most_bytes:
        for page in prefixed:
            n_shared = _shared(fd, page, codec, has_levels=has_levels)
            n_bytes += page.n_values * page.n_bytes if n_shared < 0 else n_shared
        if n_bytes > most_bytes:
            found = max(found, *(page.n_bytes for page in prefixed))
    return found


def _shared(fd: int, page: Page, codec: str | None, *, has_levels: bool) -> int:
    """Return the bytes that texts share with those before them, or -1 if it is unknown."""
    start, is_packed = 0, True
    try:
        if page.kind == _DATA_V2:  # where levels lie before what is packed
            n_bytes = sum(field_of(page.header, n, I32) or 0 for n in _LEVELS_BYTES)
            is_packed = field_of(page.header, _IS_PACKED, BOOLEAN) is not False
            if not 0 <= n_bytes <= min(page.packed, page.n_bytes):
                return -1
            page = page._replace(
                start=page.start + n_bytes,
                packed=page.packed - n_bytes,
                n_bytes=page.n_bytes - n_bytes,
            )
            has_levels = False
        elif has_levels and field_of(page.header, _LEVELS_ENCODING, I32) != _RUNS:
            return -1
    except ThriftError:
        return -1
    data = _unpacked(fd, page, codec, is_packed=is_packed)
    if data is None or len(data) < 4:
        return -1
    if has_levels:
        start = 4 + int(data[:4].view("<u4")[0])
    return shared_bytes_of(data, start)


def _unpacked(
    fd: int, page: Page, codec: str | None, *, is_packed: bool
) -> npt.NDArray[np.uint8] | None:
    """Return a page's bytes, or None if they can't be unpacked: reading it reports why."""
    data = os.pread(fd, page.packed, page.start)
    if is_packed and codec is not None:
        try:
            data = pa.Codec(codec).decompress(data, decompressed_size=page.n_bytes)
        except (pa.ArrowException, OSError, ValueError):
            return None
    return np.frombuffer(data, np.uint8)
