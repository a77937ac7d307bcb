"""Whether records of the sort benchmark are in order, as valsort tells it.

Files are cut into ranges, which tasks read and summarize, in blocks that stay in the cache;
what is at the ends of each is compared as the summaries are put together.
"""

from __future__ import annotations

import functools
import io
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dlsort.errors import CorruptSourceError, SourceChangedError, SourceNotFoundError
from dlsort.io.listing.places import list_place
from dlsort.io.paths import list_of, natural_order, read_places, shown_places
from dlsort.io.storage import is_store
from dlsort.options.doors import read_options
from dlsort.records.format import RECORD_BYTES
from dlsort.records.run import run_each, task_records
from dlsort.records.summary import SUMMARY_BYTES, RecordsSummary
from dlsort.records.target import STANDARD_OUTPUT as STANDARD_INPUT
from dlsort_kernels import empty, scan_records

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["count_records", "record_files", "validate_records"]

# 500 kB, which stay in a core's cache.
BLOCK_RECORDS = 5_000
# Of a task: 100 MB, less than a tenth of a second.
TASK_RECORDS = 1_000_000

Block = npt.NDArray[np.uint8]


def validate_records(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    summaries: bool = False,
    scheduler: Joinable | None = None,
    threads: int | None = None,
) -> RecordsSummary:
    """Tell whether records of the sort benchmark are in order, and their checksum.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A file, a folder of files in the natural order of their names, standard input (``-``),
        or several of these, one after the other.
    summaries : bool
        The files hold no records, but summaries of parts that were validated apart:
        ``RecordsSummary.to_bytes``, one after the other.
    scheduler : str, Client or Cluster, optional
        A Dask cluster to run on, which sees ``src`` under the same path.
    threads : int, optional
        Threads of this process; by default one a core.

    Returns
    -------
    RecordsSummary
        It is ``ok`` if all records are in order. Nothing is lost, doubled or changed if its
        checksum and number of records are also those of what was sorted.

    Raises
    ------
    SourceNotFoundError
        If there is no record.
    CorruptSourceError
        If a file ends inside a record, or can't be read.

    Notes
    -----
    Time O(n), memory of a MB a thread.

    Examples
    --------
    >>> import dlsort, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = dlsort.generate_records(3, folder.name + "/records")
    >>> found = dlsort.validate_records(folder.name + "/records")
    >>> found.n_records, found.ok, found.first_unordered
    (3, False, 2)
    >>> folder.cleanup()
    """
    asked = read_options("validate_records", locals())
    places = read_places(src, "source (src)")
    paths = [*record_files(list_of(places))]
    whole = _put_together(
        _read_summaries(paths)
        if asked["summaries"]
        else _summarize(paths, scheduler, asked["threads"])
    )
    if whole is None:
        msg = f"{shown_places(places)} holds no record; expected at least one, of 100 bytes."
        raise SourceNotFoundError(msg)
    return whole


def _put_together(found: Iterable[RecordsSummary | None]) -> RecordsSummary | None:
    some = [each for each in found if each is not None]
    return functools.reduce(RecordsSummary.followed_by, some) if some else None


# ---------------------------------------------------------------- files


def record_files(places: Iterable[str]) -> Iterator[str]:
    """Give the files that are meant, in order."""
    for place in places:
        if is_store(place):
            msg = f"{place} is in a store; records are read from disk: name a file or a folder."
            raise SourceNotFoundError(msg)
        path = Path(place).absolute()  # workers stand elsewhere
        if place == STANDARD_INPUT or (path.exists() and not path.is_dir()):
            yield place if place == STANDARD_INPUT else str(path)
            continue
        found = list_place(place, is_root=True)
        if not found.names:
            what = "holds no file" if Path(place).is_dir() else "does not exist"
            msg = f"{place} {what}; expected a file of records, or a folder of them."
            raise SourceNotFoundError(msg)
        yield from (found.path(name) for name in sorted(found.names, key=natural_order))


def _corrupt(path: str, n_bytes: int, unit: int, what: str) -> CorruptSourceError:
    return CorruptSourceError(
        f"{path} has {n_bytes:,} bytes; expected a multiple of {unit}, the size of a {what}: "
        "it is truncated, or holds something else."
    )


def _failed(path: str, error: OSError) -> CorruptSourceError:
    return CorruptSourceError(f"can't read {path}: {error.strerror or error}.")


def _read_summaries(paths: Sequence[str]) -> Iterator[RecordsSummary]:
    for path in paths:
        try:
            is_input = path == STANDARD_INPUT
            data = sys.stdin.buffer.read() if is_input else Path(path).read_bytes()
        except OSError as error:
            raise _failed(path, error) from error
        if len(data) % SUMMARY_BYTES:
            raise _corrupt(path, len(data), SUMMARY_BYTES, "summary")
        for at in range(0, len(data), SUMMARY_BYTES):
            yield RecordsSummary.from_bytes(data[at : at + SUMMARY_BYTES])


def _summarize(
    paths: Sequence[str], scheduler: Joinable | None, threads: int | None
) -> Iterator[RecordsSummary | None]:
    """Give summaries of files; those between two streams are read at once."""
    counts = [count_records(path) for path in paths]
    step = task_records(sum(n or 0 for n in counts), TASK_RECORDS)
    tasks: list[tuple[Any, ...]] = []
    for path, n_records in zip(paths, counts, strict=True):
        if n_records is None:
            yield from run_each(_range, tasks, scheduler=scheduler, threads=threads)
            tasks = []
            yield _stream(path)
        else:
            tasks += [(path, at, min(step, n_records - at)) for at in range(0, n_records, step)]
    yield from run_each(_range, tasks, scheduler=scheduler, threads=threads)


def count_records(path: str) -> int | None:
    """Return the records of a file; None of a stream."""
    if path == STANDARD_INPUT:
        return None
    try:
        status = Path(path).stat()
    except OSError as error:
        raise _failed(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        return None
    if status.st_size % RECORD_BYTES:
        raise _corrupt(path, status.st_size, RECORD_BYTES, "record")
    return status.st_size // RECORD_BYTES


# ---------------------------------------------------------------- one task


def _range(path: str, at: int, n_records: int) -> RecordsSummary | None:
    """Return the summary of some records of a file, from record ``at`` on."""
    try:
        with Path(path).open("rb", buffering=0) as file:
            file.seek(at * RECORD_BYTES)
            whole = _of_blocks(file, n_records)
    except OSError as error:
        raise _failed(path, error) from error
    if whole is None or whole.n_records != n_records:
        msg = f"{path} was changed while it was read; validate it when nothing writes to it."
        raise SourceChangedError(msg)
    return whole


def _stream(path: str) -> RecordsSummary | None:
    """Return the summary of what a stream gives."""
    try:
        if path == STANDARD_INPUT:
            return _of_blocks(sys.stdin.buffer, None)
        with Path(path).open("rb") as file:
            return _of_blocks(file, None)
    except OSError as error:
        raise _failed(path, error) from error


def _of_blocks(file: IO[bytes] | io.FileIO, n_records: int | None) -> RecordsSummary | None:
    """Return the summary of the next records of a file; None if there is none."""
    wanted = BLOCK_RECORDS if n_records is None else min(BLOCK_RECORDS, n_records)
    memory = empty(wanted * RECORD_BYTES, np.uint8)
    whole: RecordsSummary | None = None
    n_read = 0
    while n_records is None or n_read < n_records:
        n_most = wanted if n_records is None else min(wanted, n_records - n_read)
        n_bytes = _fill(file, memory[: n_most * RECORD_BYTES])
        if n_bytes % RECORD_BYTES:
            name = getattr(file, "name", "the stream")
            raise _corrupt(str(name), n_read * RECORD_BYTES + n_bytes, RECORD_BYTES, "record")
        if not n_bytes:
            break
        found = summary_of(memory[:n_bytes])
        whole = found if whole is None else whole.followed_by(found)
        n_read += n_bytes // RECORD_BYTES
    return whole


def _fill(file: Any, block: Block) -> int:
    """Read until a block is full or the file ends; return the bytes read."""
    n_bytes = 0
    while n_bytes < len(block) and (n := file.readinto(block.data[n_bytes:])):
        n_bytes += n
    return n_bytes


def summary_of(block: Block) -> RecordsSummary:
    """Return the summary of (100 n,) uint8: records in memory, at least one."""
    found = scan_records(block)
    return RecordsSummary(
        len(block) // RECORD_BYTES,
        found.checksum,
        found.duplicates,
        found.unordered,
        found.first_unordered or None,
        bytes(block[:RECORD_BYTES]),
        bytes(block[-RECORD_BYTES:]),
    )
