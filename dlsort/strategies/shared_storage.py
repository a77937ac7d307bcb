"""Sight: does every worker of a cluster that was joined see what the client sees?

Workers may lie in containers, or on machines where nothing is mounted, or something else
under the same path. They look, all at once, for files of the source and for the job's
folder, whose name is nobody else's; each leaves a mark there that the client looks for. What
fails later may be the fault of a worker that joined meanwhile, so they look again then.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dlsort.errors import BadOptionError, ClusterError, DestinationFullError, DlsortError
from dlsort.io.source import Source
from dlsort.io.storage import (
    FULL,
    is_store,
    join,
    make_folder,
    remove_all,
    replace,
    stamp_of,
    write_error,
)
from dlsort.publish.job_folder import JOB
from dlsort.tuning import StrategyTuning
from dlsort_cluster.addresses import worker_name
from dlsort_cluster.clusters.ask import ANSWER_S, name_of, of_each_worker

__all__ = ["shared_storage"]

# Where in the job's folder workers leave their marks; it is gone before parts are made.
MARKS = "seen"

HOW = "Mount it under the same path there, or use what the client and all workers share."

Stamp = tuple[int, str]


@dataclass
class _Seen:
    """What a worker sees: a stamp or an error of each file, its mark, and the temp folder."""

    stamps: dict[str, Stamp | OSError] = field(default_factory=dict)
    stage: OSError | None = None
    mark: str | None = None
    temp: OSError | None = None


@contextmanager
def shared_storage(
    client: Any,
    source: Source,
    destination: str,
    stage: str,
    temp_dir: str | None,
    tuning: StrategyTuning,
) -> Iterator[None]:
    """Make sure that all workers see source, destination and temp folder; and again on failure.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster whose workers have dlsort.
    source : Source
        What is read.
    destination, stage : str
        What is to be written, and the job's folder beside it.
    temp_dir : str or None
        The folder for spilled rows.
    tuning : StrategyTuning
        How many files are looked for, and how long.

    Raises
    ------
    ClusterError
        If a worker does not, by name.
    BadOptionError
        If one can't use the temp folder.
    """
    files = _some_files(source.files, tuning.seen_files)
    _check(client, files, destination, stage, temp_dir, tuning.seen_s)
    try:
        yield
    except (DlsortError, OSError) as error:
        if not isinstance(error, ClusterError | DestinationFullError):  # they say it themselves
            named = [path for path in source.files if path in str(error)][: tuning.seen_files]
            try:
                with suppress(OSError, TimeoutError):  # a cluster that is itself in trouble
                    _check(client, named, destination, stage, temp_dir, tuning.seen_s)
            except DlsortError as unseen:
                raise unseen from error
        raise


def _some_files(files: Sequence[str], most: int) -> list[str]:
    by_folder = {path.rpartition("/")[0]: path for path in reversed(files)}
    return list(dict.fromkeys([files[0], files[-1], *by_folder.values()]))[:most]


def _check(
    client: Any,
    files: Sequence[str],
    destination: str,
    stage: str,
    temp_dir: str | None,
    patience_s: float,
) -> None:
    ours = {path: _stamp(path) for path in files}
    try:
        make_folder(join(stage, MARKS))
    except OSError as error:
        raise write_error(error, destination) from error
    try:
        seen = of_each_worker(
            client, _look, files, stage, temp_dir, patience_s, most_s=ANSWER_S
        )
        problems = {
            address: problem
            for address, theirs in sorted(seen.items())
            if isinstance(theirs, _Seen)
            and (
                problem := _problem(
                    worker_name(address), ours, theirs, destination, temp_dir, patience_s
                )
            )
        }
    finally:
        remove_all(join(stage, MARKS))
    for address, problem in problems.items():
        # The name that it was given is fetched only for an error.
        msg = str(problem).replace(worker_name(address), name_of(client, address), 1)
        others = f" The same goes for {len(problems) - 1} more." if len(problems) > 1 else ""
        raise type(problem)(msg + others)


def _problem(
    worker: str,
    ours: Mapping[str, Stamp | OSError],
    theirs: _Seen,
    destination: str,
    temp_dir: str | None,
    patience_s: float,
) -> DlsortError | None:
    """Return what a worker does not see as the client does."""
    for path, stamp in ours.items():
        other = theirs.stamps.get(path)
        if isinstance(stamp, OSError) or other is None or other == stamp:
            continue
        if not isinstance(other, OSError):
            sizes = f"{other[0]:,} bytes, not {stamp[0]:,}"
            how = sizes if other[0] != stamp[0] else "written at another time"
            msg = f"{worker} has another file at {path} than the client ({how}). {HOW}"
        elif isinstance(other, FileNotFoundError | NotADirectoryError):
            msg = f"{worker} does not see {path}, which is there for the client. {HOW}"
        else:
            msg = f"{worker} can't read {path}, as the client can: {_why(other)}. {HOW}"
        return ClusterError(msg)
    above = destination.rpartition("/")[0] or "/"
    if theirs.mark is not None:
        if isinstance(_stamp(theirs.mark, patience_s), OSError):
            msg = (
                f"{worker} has another folder at {above} than the client, where {destination} "
                f"is to be: what it writes there does not arrive. {HOW}"
            )
            return ClusterError(msg)
    elif isinstance(theirs.stage, FileNotFoundError | NotADirectoryError):
        msg = (
            f"{worker} does not see what the client writes to {above}, where {destination} is "
            f"to be: it has no such folder, or another one. {HOW}"
        )
        return ClusterError(msg)
    elif theirs.stage is not None and theirs.stage.errno in FULL:
        return write_error(theirs.stage, above)
    elif theirs.stage is not None:
        msg = f"{worker} can't write to {above}, as the client can: {_why(theirs.stage)}."
        return ClusterError(msg)
    if theirs.temp is not None:
        msg = (
            f"temp_dir is {temp_dir!r}, but {worker} has no such folder, or can't write to it "
            f"({_why(theirs.temp)})."
        )
        return BadOptionError(msg)
    return None


def _why(error: OSError) -> str:
    return str(error.strerror or error).rstrip(".")


# ---------------------------------------------------------------- on the workers


async def _look(
    files: Sequence[str], stage: str, temp_dir: str | None, patience_s: float
) -> _Seen:
    """Look in a thread: a file system that hangs must not stop the worker's other work."""
    return await asyncio.to_thread(_look_now, files, stage, temp_dir, patience_s)


def _look_now(
    files: Sequence[str], stage: str, temp_dir: str | None, patience_s: float
) -> _Seen:
    seen = _Seen({path: _stamp(path) for path in files})
    begun = _stamp(join(stage, JOB), patience_s)
    if isinstance(begun, OSError):
        seen.stage = begun
    else:
        mark = join(stage, MARKS, uuid.uuid4().hex)
        try:
            replace(mark, b"seen")
            seen.mark = mark
        except OSError as error:
            seen.stage = _plain(error)
    if temp_dir is not None:
        try:
            with tempfile.TemporaryFile(dir=temp_dir):
                pass
        except OSError as error:
            seen.temp = _plain(error)
    return seen


def _stamp(path: str, patience_s: float = 0.0) -> Stamp | OSError:
    """Return a file's stamp, or why there is none; wait a little for one that is new."""
    until = time.monotonic() + patience_s
    while True:
        try:
            if not is_store(path):
                os.close(os.open(path, os.O_RDONLY))  # it must not only be there
            return stamp_of(path)
        except FileNotFoundError as error:
            if time.monotonic() >= until:
                return _plain(error)
        except (OSError, DlsortError) as error:
            return _plain(error)
        time.sleep(0.05)


def _plain(error: Exception) -> OSError:
    """Return an error that any process can unpickle."""
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror or str(error))
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, str(error))
    return OSError(str(error))
