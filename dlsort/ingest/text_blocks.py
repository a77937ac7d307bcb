"""Text blocks: a stream of text cut where rows end, in blocks that fit the memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import xxhash

from dlsort.errors import CorruptSourceError
from dlsort.ingest.formats import FileKind
from dlsort.io.storage import filesystem, is_store

__all__ = ["Counted", "blocks_of", "open_bytes"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A row of more blocks than these is taken for a quote that is not closed.
_MOST_BLOCKS = 16
#: Bytes that are read from a store at once.
_STORE_BYTES = 8 << 20


class Counted:
    """A stream that counts and hashes what is read of it, which nobody can read again.

    Parameters
    ----------
    stream : binary file
        What is read.
    head : bytes
        What has been read of it already.
    """

    closed = False

    def __init__(self, stream: Any, head: bytes = b"") -> None:
        self._stream, self._head = stream, head
        self._hash = xxhash.xxh3_128()
        self.n_bytes = 0

    def read(self, n_bytes: int = -1) -> bytes:
        """Return so many bytes; fewer at the end."""
        parts, left = [], n_bytes if n_bytes >= 0 else sys.maxsize
        while left:
            data = self._head[:left] or self._stream.read(min(left, _STORE_BYTES))
            self._head = self._head[left:]
            if not data:
                break
            parts.append(data)
            left -= len(data)
        found = b"".join(parts)
        self._hash.update(found)
        self.n_bytes += len(found)
        return found

    @property
    def mark(self) -> str:
        """What tells its content from another."""
        return self._hash.hexdigest()

    def seekable(self) -> bool:
        """Return that it is not."""
        return False

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def close(self) -> None:
        """Leave it to its owner."""


@contextmanager
def open_bytes(where: str | Counted, kind: FileKind) -> Iterator[Any]:
    """Give a file's bytes as a stream, unpacked.

    Raises
    ------
    OSError
        If it can't be read.
    """
    if isinstance(where, Counted):
        with pa.input_stream(pa.PythonFile(where, "r"), compression=kind.packed) as stream:
            yield stream
    elif is_store(where):
        fs, inner = filesystem(where)
        with (
            fs.open(inner, "rb", cache_type="readahead", block_size=_STORE_BYTES) as file,
            pa.input_stream(pa.PythonFile(file, "r"), compression=kind.packed) as stream,
        ):
            yield stream
    else:
        with pa.input_stream(where, compression=kind.packed) as stream:
            yield stream


def blocks_of(
    stream: Any, n_bytes: int, row_end: Callable[[bytes], int], encoding: str, name: str
) -> Iterator[bytes]:
    """Yield blocks of whole rows; the last may lack its line feed.

    Parameters
    ----------
    stream : pyarrow.NativeFile
        The text.
    n_bytes : int
        Size of a block. The same stream always gives the same blocks.
    row_end : callable
        Returns where the last whole row of a text ends, 0 if there is none.
    encoding : str
        The text's; blocks are in UTF-8.
    name : str
        The file, for errors.

    Raises
    ------
    CorruptSourceError
        If no row ends for very long.
    """
    if encoding != "utf-8":
        stream = pa.transcoding_input_stream(stream, encoding, "utf8")
    rest, is_first = b"", True
    while data := _read(stream, n_bytes):
        if is_first:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        text = rest + data if rest else data
        end = row_end(text)
        if end:
            yield text[:end] if end < len(text) else text
            is_first = False
        rest = text[end:]
        if len(rest) > _MOST_BLOCKS * n_bytes:
            msg = (
                f"{name} has a row of more than {len(rest) >> 20:,} MiB; expected shorter "
                "ones. Look for a quote that is not closed, or give the right csv_options "
                "(--csv-options), such as quote=none."
            )
            raise CorruptSourceError(msg)
    if rest:
        yield rest


def _read(stream: Any, n_bytes: int) -> bytes:
    """Return so many bytes, fewer at the end alone."""
    data: bytes = stream.read(n_bytes)
    if not data or len(data) == n_bytes:
        return data
    parts = [data]
    left = n_bytes - len(data)
    while left and (more := stream.read(left)):
        parts.append(more)
        left -= len(more)
    return b"".join(parts)
