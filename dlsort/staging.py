"""Staging: the hidden folder beside the destination that a job writes to until it is proved.

    .out.5f0c….partial/
        job.json          what the job is; locked as long as its client lives
        publish.json      how far it has published (see :mod:`dlsort.publish`)
        move, range, exchange/
            parts/ …      of one way to make them (see :mod:`dlsort.finished`)

Once every part is there and proved, one rename makes ``parts`` the destination; until then
that is as it was. What a client leaves that is killed, or loses its cluster, is gone on from
by the next one that is told to resume; and removed by the next one that publishes.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from dlsort.destination import check_path, write_error
from dlsort.errors import (
    ClusterError,
    CorruptSourceError,
    DestinationExistsError,
    DlsortError,
    NotProvedError,
    ResumeError,
    SourceChangedError,
)
from dlsort.finished import finished_parts, make_folders
from dlsort.job_file import JobFile
from dlsort.publish import Publication, may_be_halfway, publish, settle
from dlsort.storage import (
    filesystem,
    is_store,
    join,
    make_folder,
    names_in,
    remove_all,
    replace,
)

__all__ = ["Abandoned", "Settled", "Staging", "find_abandoned", "put_back", "staging"]

JOB = "job.json"
_PARTIAL, _REPLACED = ".partial", ".replaced"


class Abandoned(NamedTuple):
    """What an earlier attempt has left, whose client is not there any more."""

    folder: str
    n_finished: int
    n_parts: int


class Staging:
    """A job's folder.

    Attributes
    ----------
    folder : str
        The folder itself.
    job : JobFile
        What the job is; with what an earlier attempt has chosen, if it goes on from one.
    is_resumed : bool
        It goes on from one.
    parts : str or None
        The folder that is to be published, once it is whole and proved.
    sizes : mapping of str to int
        The parts' names and sizes.
    told : mapping
        What is told with it in a store.
    report : mapping
        The job's.
    """

    def __init__(self, folder: str, job: JobFile, *, is_resumed: bool) -> None:
        self.folder = folder
        self.job = job
        self.is_resumed = is_resumed
        self.parts: str | None = None
        self.sizes: Mapping[str, int] = {}
        self.told: Mapping[str, Any] = {}
        self.report: Mapping[str, Any] = {}

    def way(self, name: str) -> str:
        """Return the folder of one way to make the parts, made if it isn't there."""
        folder = join(self.folder, name)
        try:
            make_folders(folder)
        except OSError as error:
            raise write_error(error, folder) from error
        return folder

    def has_way(self, name: str) -> bool:
        """Return whether parts were made in a way, or begun."""
        return bool(names_in(join(self.folder, name)))

    def drop_way(self, name: str) -> None:
        """Remove all that was made in a way."""
        remove_all(join(self.folder, name))


@contextmanager
def staging(
    destination: str, job: JobFile, *, overwrite: bool, resume: bool, partitions: int | None
) -> Iterator[Staging]:
    """Give a folder for the parts; publish ``Staging.parts``, or leave no trace.

    What is finished is kept on failure if the cluster failed, or if ``resume`` is set:
    unless it is the source or the proof that failed.

    Parameters
    ----------
    destination : str
        Where the folder goes. What is there is kept until the new is complete.
    job : JobFile
        What the job is.
    overwrite : bool
        Replace a destination that holds files.
    resume : bool
        Go on from what an earlier attempt has left, if it has.
    partitions : int or None
        As asked for.

    Yields
    ------
    Staging

    Raises
    ------
    ResumeError
        If what is left is of another job, or its client is still at work.
    DestinationError
        If the folder can't be made or moved.
    """
    made = _missing_above(destination)
    lock, folder, is_publishing = None, None, False
    try:
        try:
            stage, lock = _open(destination, job, resume=resume, partitions=partitions)
        except DlsortError:  # some are OSErrors
            raise
        except OSError as error:
            raise write_error(error, destination) from error
        folder = stage.folder
        yield stage
        assert stage.parts is not None
        aside = folder.removesuffix(_PARTIAL) + _REPLACED
        asked = Publication(
            parts=stage.parts,
            destination=destination,
            overwrite=overwrite,
            stage=folder,
            aside=aside,
            sizes=stage.sizes,
            told=stage.told,
            report=stage.report,
        )
        is_publishing = True
        publish(asked, lambda: _folders(destination, _PARTIAL))
    except BaseException as error:
        if folder is not None:
            if is_publishing and may_be_halfway(folder):
                error.add_note(
                    f"{destination} may be neither what it was nor whole: the same again with "
                    f"resume=True (--resume) makes it whole from {folder}."
                )
                raise
            n_finished = _n_finished(folder)
            if n_finished and _is_worth_keeping(error, resume=resume):
                error.add_note(
                    f"{n_finished:,} of {stage.job.n_parts:,} parts are finished and kept in "
                    f"{folder}: the same again with resume=True (--resume) goes on from them."
                )
                raise
            _remove(folder)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise
    else:
        _remove(folder)
    finally:
        _unlock(lock)
    if is_store(destination):  # there nobody can tell if a client is still at work
        return
    for other in _folders(destination, _PARTIAL):
        left = _lock(other)
        if left is not None:
            _remove(other)
            _unlock(left)


def _remove(folder: str) -> None:
    """Remove a job's folder, the file last that shows what it is."""
    if not is_store(folder):
        for name in names_in(folder):
            if name != JOB:
                remove_all(join(folder, name))
    remove_all(folder)


def find_abandoned(destination: str) -> list[Abandoned]:
    """Return what earlier attempts at a destination have left, most finished parts first.

    One whose job file is damaged has no parts that could be gone on from.
    """
    found = []
    for folder in _folders(destination, _PARTIAL):
        lock = _lock(folder)
        if lock is not None:
            job = JobFile.read(join(folder, JOB))
            found.append(
                Abandoned(folder, _n_finished(folder), job.n_parts)
                if job is not None
                else Abandoned(folder, 0, 0)
            )
        _unlock(lock)
    return sorted(found, key=lambda left: left.n_finished, reverse=True)


def _n_finished(folder: str) -> int:
    ways = [join(folder, name) for name in names_in(folder) if name != JOB]
    return max((len(finished_parts(way)) for way in ways), default=0)


def _is_worth_keeping(error: BaseException, *, resume: bool) -> bool:
    hopeless = (NotProvedError, CorruptSourceError, SourceChangedError, DestinationExistsError)
    return isinstance(error, ClusterError) or (resume and not isinstance(error, hopeless))


def _missing_above(destination: str) -> list[Path]:
    """Return the folders above a destination that will have to be made."""
    if is_store(destination):
        return []
    parent = Path(destination).parent
    return [path for path in (parent, *parent.parents) if not path.exists()]


def _folders(destination: str, suffix: str) -> list[str]:
    """Return the folders of that kind beside a destination; links are none."""
    above, name = _split(destination)
    form = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{12}}{re.escape(suffix)}")
    found = [join(above, other) for other in sorted(names_in(above)) if form.fullmatch(other)]
    if is_store(destination):
        return found
    if suffix == _REPLACED:  # a destination as it was, whoever made it and whatever is in it
        return [path for path in found if Path(path).is_dir() and not Path(path).is_symlink()]
    return [path for path in found if _is_ours(Path(path)) and JobFile.is_one(join(path, JOB))]


def _split(destination: str) -> tuple[str, str]:
    """Return the folder that a destination is in, and its name there."""
    name = destination.rsplit("/", 1)[1]
    return destination.removesuffix(name), name


def _is_ours(folder: Path) -> bool:
    """Return whether we can have made a folder: it is no link, and leads nowhere else.

    Where others can make folders too, it is to be our own.
    """
    try:
        status = folder.lstat()
        others = folder.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISDIR(status.st_mode) or (others and status.st_uid != os.geteuid()):
            return False
        inner = [path for path in folder.iterdir() if path.is_symlink() or path.is_dir()]
        return not any(
            path.is_symlink() or any(below.is_symlink() for below in path.iterdir())
            for path in inner
        )
    except OSError:
        return False


def _open(
    destination: str, job: JobFile, *, resume: bool, partitions: int | None
) -> tuple[Staging, int | None]:
    """Return the folder and its lock: one that was left, or a fresh one."""
    if resume:
        differs = None
        for left in find_abandoned(destination):
            lock = _lock(left.folder)
            kept = JobFile.read(join(left.folder, JOB))
            if lock is not None and kept is not None:
                try:
                    goes_on = job.going_on_from(kept, partitions=partitions)
                    return Staging(left.folder, goes_on, is_resumed=True), lock
                except ResumeError as error:
                    differs = differs or error
            _unlock(lock)
        if differs is not None:
            raise differs
        if any(map(_is_locked, _folders(destination, _PARTIAL))):
            msg = (
                f"another sort is at work on {destination}, or its file system has no locks to "
                "tell; wait until it has ended, or leave resume (--resume) out."
            )
            raise ResumeError(msg)
    above, name = _split(destination)
    folder = join(above, f".{name}.{uuid.uuid4().hex[:12]}{_PARTIAL}")
    lock = None
    try:
        if is_store(folder):
            replace(join(folder, JOB), job.to_json())
        else:
            make_folder(folder)
            lock = _write_locked(Path(folder, JOB), job.to_json())
    except BaseException:
        _unlock(lock)
        remove_all(folder)
        raise
    return Staging(folder, job, is_resumed=False), lock


# What stands for the lock of a store's folder: there are none.
_NO_LOCK = -1


def _lock(folder: str) -> int | None:
    """Return the descriptor of a job file, locked until it is closed; None if it can't be."""
    if is_store(folder):
        return _NO_LOCK
    try:
        fd = os.open(join(folder, JOB), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(join(folder, JOB))):  # noqa: PTH116
            return fd
    except OSError:  # locked, or gone meanwhile
        pass
    os.close(fd)
    return None


def _write_locked(path: Path, data: bytes) -> int:
    """Write a file that is locked when it appears: nobody may take it for abandoned."""
    attempt = path.with_name(f".{path.name}")
    fd = os.open(attempt, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(data)
        attempt.rename(path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _unlock(lock: int | None) -> None:
    if lock is not None and lock != _NO_LOCK:
        os.close(lock)


def _is_locked(folder: str) -> bool:
    """Return whether a job's client is at work, as far as can be told."""
    lock = _lock(folder)
    _unlock(lock)
    return lock is None and JOB in names_in(folder)


class Settled(NamedTuple):
    """A job whose client ended after, or while, its parts were published."""

    job: JobFile
    report: Mapping[str, Any]


def put_back(dst: str | Path, *, resume: bool) -> Settled | None:
    """Bring to an end what a client has left that ended while it replaced the destination.

    Parameters
    ----------
    dst : str or Path
        The destination as given.
    resume : bool
        In a store: nobody is at work on it. If all new parts are there, bring that to its end.

    Returns
    -------
    Settled or None
        The job that is published now, if there is one.

    Raises
    ------
    ResumeError
        If a sort in a store may still publish.
    DestinationExistsError
        If there are old and new data, and nobody can tell which are wanted.
    DestinationError
        If it can't be read or written.
    """
    check_path(dst, "destination")
    try:
        if is_store(dst):
            return _settle_store(str(dst).rstrip("/"), resume=resume)
        return _settle_folder(str(Path(dst).absolute()))
    except DlsortError:  # some are OSErrors
        raise
    except OSError as error:
        raise write_error(error, dst) from error


def _settle_folder(destination: str) -> Settled | None:
    settled = None
    for stage in _folders(destination, _PARTIAL):
        lock = _lock(stage)
        job = JobFile.read(join(stage, JOB))
        if lock is None or job is None:
            _unlock(lock)
            continue
        report = settle(stage, destination)
        if report is not None:
            settled = Settled(job, report)
            remove_all(stage.removesuffix(_PARTIAL) + _REPLACED)
            _remove(stage)
        _unlock(lock)
    for old in _folders(destination, _REPLACED):
        at_work = _is_locked(old.removesuffix(_REPLACED) + _PARTIAL)
        with suppress(OSError):
            if not at_work:
                Path(destination).rmdir()  # one that is empty, made by who missed it
        if Path(destination).exists():
            if at_work:
                continue
            msg = (
                f"{destination} was filled by someone while a sort that was killed had moved "
                f"what it held to {old}. Keep one of the two, and remove or rename the other."
            )
            raise DestinationExistsError(msg)
        if at_work:
            msg = (
                f"a sort is replacing {destination}, or was killed while it did: its file "
                f"system has no locks to tell which. What it held is in {old}; if no sort is "
                f"at work, rename that to {destination}."
            )
            raise DestinationExistsError(msg)
        with suppress(FileNotFoundError):  # another client was faster
            Path(old).rename(destination)
    return settled


def _settle_store(destination: str, *, resume: bool) -> Settled | None:
    filesystem(destination)  # refused by its own name if there is none
    if not destination.split("://", 1)[1].count("/"):
        return None
    settled = None
    for stage in _folders(destination, _PARTIAL):
        if not may_be_halfway(stage):
            continue
        if not resume:
            msg = (
                f"a sort has begun to publish to {destination}, and is still at it, or ended "
                "before that was done. If it ended, resume=True (--resume) goes on from it."
            )
            raise ResumeError(msg)
        report = settle(stage, destination)
        if report is not None:
            job = JobFile.read(join(stage, JOB))
            settled = settled if job is None else Settled(job, report)
            _remove(stage)
    return settled
