"""Records to sort: their files, read in blocks, by a few at many places, or as one memory.

For a sort that fetches records by their places the files are mapped one behind the other, each
at a page's begin, so that a place is one number, whatever file it is in.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.errors import (
    CorruptSourceError,
    DlsortError,
    SourceChangedError,
    SourceNotFoundError,
)
from dlsort.io.paths import Places, list_of, shown_places
from dlsort.io.source import Stamp
from dlsort.io.storage import stamp_of
from dlsort.records.format import RECORD_BYTES
from dlsort.records.validate import count_records, record_files
from dlsort_kernels import empty, read_records

__all__ = ["Looked", "RecordPiece", "RecordSource", "cut_records", "open_records"]

# 1 MB, which a core's cache holds until its records are looked at.
BLOCK_RECORDS = 10_000
# Records read at a place of a sample: about a page.
LOOK_RECORDS = 40
_PAGE_BYTES = mmap.PAGESIZE

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


class RecordPiece(NamedTuple):
    """An input partition: ``n_records`` of a file, from record ``first`` on."""

    file: int
    first: int
    n_records: int


class Looked(NamedTuple):
    """The keys of some records.

    Attributes
    ----------
    word, tail : (n,) uint64
        As :func:`dlsort_kernels.read_records` writes them, with the records' places.
    cached : float
        Share of them that were in the system's memory, from 0 to 1; 0 where it can't tell.
    """

    word: Words
    tail: Words
    cached: float


@dataclass(frozen=True)
class RecordSource:
    """Files of records.

    Parameters
    ----------
    files : tuple of str
        In order.
    counts : tuple of int
        Records of each.
    stamps : tuple of Stamp
        Size and time of each when it was opened.
    """

    files: tuple[str, ...]
    counts: tuple[int, ...]
    stamps: tuple[Stamp, ...]
    _mapped: list[Bytes] = field(default_factory=list, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels: another process maps the files itself."""
        return {**self.__dict__, "_mapped": []}

    @property
    def n_rows(self) -> int:
        """Records of all files."""
        return sum(self.counts)

    @property
    def arrow_bytes(self) -> int:
        """Bytes of all records."""
        return self.n_rows * RECORD_BYTES

    @property
    def places(self) -> list[int]:
        """Where each file begins if they are mapped behind one another, and their end."""
        sizes = (-(-n * RECORD_BYTES // _PAGE_BYTES) * _PAGE_BYTES for n in self.counts)
        return list(accumulate(sizes, initial=0))

    def check_unchanged(self, file: int) -> None:
        """Raise if a file is another now.

        Raises
        ------
        SourceChangedError
            If its size or time is.
        """
        path = self.files[file]
        try:
            stamp = Stamp(*stamp_of(path))
        except OSError as error:
            raise _failed(path, error) from error
        if stamp != self.stamps[file]:
            raise self._changed(path)

    def blocks(self, piece: RecordPiece, into: Bytes | None = None) -> Iterator[Bytes]:
        """Give a piece's records block by block.

        Parameters
        ----------
        piece : RecordPiece
            What is read.
        into : (100 n,) uint8, optional
            Memory for all of them; by default each block is where the one before was.

        Raises
        ------
        CorruptSourceError
            If the file can't be read.
        SourceChangedError
            If it has become shorter.
        """
        n_block = BLOCK_RECORDS * RECORD_BYTES
        n_bytes = piece.n_records * RECORD_BYTES
        memory = empty(min(n_block, n_bytes), np.uint8) if into is None else into
        with self._opened(piece.file) as number:
            for at in range(0, n_bytes, n_block):
                begin = 0 if into is None else at
                block = memory[begin : begin + min(n_block, n_bytes - at)]
                if not _fill(number, block, piece.first * RECORD_BYTES + at):
                    raise self._changed(self.files[piece.file])
                yield block

    def look(self, n_records: int, rng: np.random.Generator) -> Looked:
        """Return the keys of about so many records, a few at each of many places."""
        n_places = max(1, -(-n_records // LOOK_RECORDS))
        if n_places * LOOK_RECORDS * 2 > self.n_rows:
            rows = np.arange(0, self.n_rows, LOOK_RECORDS)  # all of them
        else:  # one in each of as many equal ranges
            edges = (np.arange(n_places) + rng.random(n_places)) / n_places
            rows = (edges * (self.n_rows - LOOK_RECORDS)).astype(np.int64)
        starts, places = np.cumsum([0, *self.counts]), self.places
        found: list[tuple[Words, Words]] = []
        n_cached = 0
        block = np.empty(LOOK_RECORDS * RECORD_BYTES, np.uint8)
        for file, path in enumerate(self.files):
            here = rows[(rows >= starts[file]) & (rows < starts[file + 1])] - starts[file]
            ends = np.minimum(here + LOOK_RECORDS, self.counts[file])
            word, tail = np.empty((2, int((ends - here).sum())), np.uint64)
            at = 0
            with self._opened(file) as number:
                for row, end in zip(here.tolist(), ends.tolist(), strict=True):
                    n = end - row
                    some = block[: n * RECORD_BYTES]
                    if _is_cached(number, some, row * RECORD_BYTES):
                        n_cached += 1
                    elif not _fill(number, some, row * RECORD_BYTES):
                        raise self._changed(path)
                    place = places[file] + row * RECORD_BYTES
                    keys = word[at : at + n], tail[at : at + n]
                    read_records(some, *keys, place, RECORD_BYTES)
                    at += n
            found.append((word, tail))
        words, tails = (np.concatenate([np.empty(0, np.uint64), *s]) for s in _both(found))
        return Looked(words, tails, n_cached / max(1, len(rows)))

    @contextmanager
    def _opened(self, file: int) -> Iterator[int]:
        """Give a file's descriptor; tell in a sentence what can't be read."""
        path = self.files[file]
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield number
            finally:
                os.close(number)
        except OSError as error:
            if isinstance(error, DlsortError):
                raise
            raise _failed(path, error) from error

    @staticmethod
    def _changed(path: str) -> SourceChangedError:
        msg = f"{path} was changed while it was sorted. Sort it again once it is complete."
        return SourceChangedError(msg)

    def mapped(self) -> Bytes:
        """Return all files as one memory, each where :attr:`places` has it.

        It is the system's: pages come from its cache of files, and go as it likes. A file that
        gets shorter while it is used ends the process (SIGBUS), so it is looked at before.

        Raises
        ------
        SourceChangedError
            If a file is another now.
        CorruptSourceError
            If one can't be mapped.
        """
        if not self._mapped:
            for file in range(len(self.files)):
                self.check_unchanged(file)
            self._mapped.append(_map(self.files, self.counts, self.places))
        return self._mapped[0]


def open_records(src: Places) -> RecordSource:
    """Return the source that places name.

    Raises
    ------
    SourceNotFoundError
        If there is none.
    CorruptSourceError
        If a file ends inside a record, or can't be read.
    """
    files = tuple(record_files(list_of(src)))
    stamps, counts = [], []
    for path in files:
        n_records = count_records(path)
        if n_records is None:
            msg = (
                f"{path} is a stream, and records are read from disk, some of them twice; keep "
                "them in a file."
            )
            raise SourceNotFoundError(msg)
        counts.append(n_records)
        stamps.append(Stamp(*stamp_of(path)))
    if len(set(files)) < len(files):
        twice = next(path for path in files if files.count(path) > 1)
        msg = f"{twice} is in {shown_places(src)} twice; name it once."
        raise SourceNotFoundError(msg)
    return RecordSource(files, tuple(counts), tuple(stamps))


def cut_records(source: RecordSource, n_records: int) -> list[RecordPiece]:
    """Return input partitions of at most so many records, of one file each."""
    return [
        RecordPiece(file, first, min(n_records, n - first))
        for file, n in enumerate(source.counts)
        for first in range(0, n, n_records)
    ]


def _both(found: Sequence[tuple[Words, Words]]) -> tuple[list[Words], list[Words]]:
    return [word for word, _ in found], [tail for _, tail in found]


def _fill(number: int, block: Bytes, at: int) -> bool:
    """Read a block from a file's byte ``at`` on; return whether all of it was there."""
    n_read = 0
    while n_read < len(block):
        n = os.preadv(number, [block.data[n_read:]], at + n_read)
        if n == 0:
            return False
        n_read += n
    return True


def _is_cached(number: int, block: Bytes, at: int) -> bool:
    """Read a block if that needs no disk; return whether it did."""
    flag = getattr(os, "RWF_NOWAIT", None)
    if flag is None:
        return False
    try:
        return os.preadv(number, [block.data], at, flag) == len(block)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return False
        raise


def _failed(path: str, error: OSError) -> CorruptSourceError:
    return CorruptSourceError(f"can't read {path}: {error.strerror or error}.")


def _map(files: Sequence[str], counts: Sequence[int], places: Sequence[int]) -> Bytes:
    """Map files behind one another, into addresses that are reserved for all of them."""
    if not places[-1]:
        return np.empty(0, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    offset = ctypes.c_long
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, offset]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    none, fixed, failed = 0, 0x10, ctypes.c_void_p(-1).value
    base = libc.mmap(
        None, places[-1], none, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE, -1, 0
    )
    if base in (None, failed):
        raise _failed(files[0], OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())))
    memory = (ctypes.c_uint8 * places[-1]).from_address(base)
    weakref.finalize(memory, libc.munmap, base, places[-1]).atexit = False
    for path, n, place in zip(files, counts, places, strict=False):
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(path, error) from error
        how = mmap.MAP_SHARED | fixed
        try:
            if n and failed == libc.mmap(
                base + place, n * RECORD_BYTES, mmap.PROT_READ, how, number, 0
            ):
                code = ctypes.get_errno()
                raise _failed(path, OSError(code, os.strerror(code)))
        finally:
            os.close(number)
    return np.ctypeslib.as_array(memory)


_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0)
