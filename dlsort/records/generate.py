"""Records of the sort benchmark, as gensort makes them, in one file or in many.

Every record follows from its number alone, so tasks write ranges of files, each at its place,
and none waits for another: threads of this process, or a cluster that sees the same folder. A
task makes its records in blocks that stay in the cache until they are written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.errors import DestinationError
from dlsort.io.paths import read_path
from dlsort.io.storage import write_error
from dlsort.options.doors import read_options
from dlsort.records.format import RECORD_BYTES
from dlsort.records.run import run_each, task_records
from dlsort.records.target import STANDARD_OUTPUT, check_target, is_stream, staged
from dlsort_kernels import empty, make_records, scan_records

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["GeneratedRecords", "generate_records"]

# 500 kB, which stay in a core's cache.
BLOCK_RECORDS = 5_000
# Of a task: 50 MB, a few hundredths of a second.
TASK_RECORDS = 500_000
# Of a file, where nobody says how many files: 1 GB, as CloudSort's inputs have it.
FILE_RECORDS = 10_000_000


@dataclass(frozen=True)
class GeneratedRecords:
    """What :func:`generate_records` made.

    Parameters
    ----------
    n_records : int
        Records.
    files : tuple of str
        Where they are, in order.
    checksum : int or None
        The sum of their CRC-32, if it was asked for.
    """

    n_records: int
    files: tuple[str, ...]
    checksum: int | None = None


class _How(NamedTuple):
    """What records are made: lines, skewed, and whether they are added up."""

    ascii: bool
    skew: bool
    checksum: bool


def generate_records(
    n: int | str,
    dst: str | PathLike[str],
    *,
    ascii: bool = False,
    skew: bool = False,
    start: int | str = 0,
    files: int | None = None,
    checksum: bool = False,
    scheduler: Joinable | None = None,
    threads: int | None = None,
    overwrite: bool = False,
) -> GeneratedRecords:
    """Make records of the sort benchmark: the same bytes as gensort 1.5.

    Parameters
    ----------
    n : int or str
        How many records, of 100 bytes; as text also ``"10M"`` or ``"1e8"``.
    dst : str or path-like
        A file; or a folder of files, if it ends in ``/``, is a folder, or ``files`` is given.
        Standard output (``-``), a pipe or a device gets the records one after the other.
    ascii : bool
        Lines of text in the place of random bytes.
    skew : bool
        Many keys begin alike, with up to 6 bytes of one of some prefixes.
    start : int or str
        The number of the first record: parts that are made apart are the whole if they are put
        together.
    files : int, optional
        Into how many files of a folder; by default one for each GB.
    checksum : bool
        Add up the CRC-32 of the records too.
    scheduler : str, Client or Cluster, optional
        A Dask cluster to run on, which sees ``dst`` under the same path.
    threads : int, optional
        Threads of this process; by default one a core.
    overwrite : bool
        Replace ``dst``, if it is a file, or a folder of nothing but such files.

    Returns
    -------
    GeneratedRecords
        The files, and the checksum.

    Raises
    ------
    DestinationExistsError
        If something is there.
    DestinationFullError
        If there is no space for the records.
    DlsortError
        If an option or the destination can't be used. Whatever fails, ``dst`` is as it was.

    Notes
    -----
    Time O(n), memory of a MB a thread.

    Examples
    --------
    >>> import dlsort, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> made = dlsort.generate_records(1000, folder.name + "/records", checksum=True)
    >>> f"{made.checksum:x}", pathlib.Path(made.files[0]).read_bytes()[:10]
    ('1ea6370b955', b'JimGrayRIP')
    >>> folder.cleanup()
    """
    asked = read_options("generate_records", locals())
    n_records, first = asked["n"], asked["start"]
    place = read_path(dst, "destination (dst)")
    how = _How(asked["ascii"], asked["skew"], asked["checksum"])
    runs_on = {"scheduler": scheduler, "threads": asked["threads"]}
    n_files = asked["files"]
    step = task_records(n_records, TASK_RECORDS)
    if is_stream(place):
        if n_files is not None:
            msg = f"{place} is no folder; name one, or leave out files."
            raise DestinationError(msg)
        if place == os.devnull:
            total = sum(run_each(_make, _tasks("", first, n_records, how, step), **runs_on))
        else:
            total = _stream(place, first, n_records, how)
        return GeneratedRecords(n_records, (place,), total if how.checksum else None)
    if n_files is None and (str(dst).endswith("/") or Path(place).is_dir()):
        n_files = max(1, -(-n_records // FILE_RECORDS))
    n_bytes = n_records * RECORD_BYTES
    target = check_target(place, n_files, n_bytes, overwrite=asked["overwrite"])
    edges = [n_records * i // (n_files or 1) for i in range((n_files or 1) + 1)]
    ranges = [*pairwise(edges)]
    sizes = [(end - begin) * RECORD_BYTES for begin, end in ranges]
    with staged(target, sizes, "gensort") as paths:
        tasks = [
            task
            for path, (begin, end) in zip(paths, ranges, strict=True)
            for task in _tasks(path, first + begin, end - begin, how, step)
        ]
        total = sum(run_each(_make, tasks, **runs_on))
    return GeneratedRecords(n_records, target.files, total if how.checksum else None)


def _tasks(
    path: str, first: int, n_records: int, how: _How, step: int
) -> list[tuple[Any, ...]]:
    """Return the arguments of :func:`_make` for each task of a file."""
    return [
        (path, i, first + i, min(step, n_records - i), how) for i in range(0, n_records, step)
    ]


def _make(path: str, at: int, first: int, n_records: int, how: _How) -> int:
    """Make some records, and write them from record ``at`` on; return their checksum, or 0."""
    total = 0
    try:
        number = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if path else None
        try:
            place = at * RECORD_BYTES
            for block, checksum in _blocks(first, n_records, how):
                total += checksum
                if number is not None:
                    _write_at(number, block, place)
                place += len(block)
        finally:
            if number is not None:
                os.close(number)
    except OSError as error:
        raise write_error(error, path) from error
    return total


def _blocks(
    first: int, n_records: int, how: _How
) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    """Give records block by block, in the same memory, and the checksum of each or 0."""
    memory = empty(min(BLOCK_RECORDS, n_records) * RECORD_BYTES, np.uint8)
    state = None
    for i in range(0, n_records, BLOCK_RECORDS):
        block = memory[: (n_records - i) * RECORD_BYTES]
        state = make_records(block, (first + i) % 2**128, state, ascii=how.ascii, skew=how.skew)
        yield block, scan_records(block).checksum if how.checksum else 0


def _write_at(number: int, block: npt.NDArray[np.uint8], place: int) -> None:
    left = block.data
    while left:
        n_bytes = os.pwrite(number, left, place)
        left, place = left[n_bytes:], place + n_bytes


def _stream(place: str, first: int, n_records: int, how: _How) -> int:
    """Write records one after the other; return their checksum, or 0."""
    total = 0
    is_output = place == STANDARD_OUTPUT
    try:
        with nullcontext(sys.stdout.buffer) if is_output else Path(place).open("wb") as out:
            for block, checksum in _blocks(first, n_records, how):
                out.write(block.data)
                total += checksum
            out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if is_output else place
        raise write_error(error, name) from error
    return total
