"""A job's folder beside its destination: its name, its lock, and whether it is ours.

It is locked by its job file as long as the job's client lives, where files can be locked.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from dlsort.io.storage import is_store, join, names_in, remove, remove_all
from dlsort.publish.job_file import JobFile
from dlsort.publish.publication import RECORD

__all__ = [
    "JOB",
    "PARTIAL",
    "REPLACED",
    "folders_beside",
    "is_locked",
    "remove_folder",
    "split_name",
    "try_lock",
    "unlock",
    "write_locked",
]

JOB = "job.json"
PARTIAL, REPLACED = ".partial", ".replaced"


def folders_beside(destination: str, suffix: str) -> list[str]:
    """Return the folders of that kind beside a destination; links are none."""
    above, name = split_name(destination)
    form = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{12}}{re.escape(suffix)}")
    folders = [join(above, other) for other in sorted(names_in(above)) if form.fullmatch(other)]
    if is_store(destination):
        return folders
    if suffix == REPLACED:  # a destination as it was, whoever made it and whatever is in it
        return [path for path in folders if Path(path).exists() and not Path(path).is_symlink()]
    return [
        path for path in folders if _is_ours(Path(path)) and JobFile.is_one(join(path, JOB))
    ]


def split_name(destination: str) -> tuple[str, str]:
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


def remove_folder(folder: str) -> None:
    """Remove a job's folder, the files last that show what it is and that it is published.

    They stay if anything else does: what was published may have left old data in the folder,
    which must not be taken for the job's parts.
    """
    with suppress(OSError):  # a store out of reach
        for name in names_in(folder):
            if name not in (JOB, RECORD):
                remove_all(join(folder, name))
        if set(names_in(folder)) <= {JOB, RECORD}:
            remove(join(folder, RECORD))
            remove_all(folder)


# What stands for the lock of a store's folder: there are none.
_NO_LOCK = -1


def try_lock(folder: str) -> int | None:
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


def write_locked(path: Path, data: bytes) -> int:
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


def unlock(lock: int | None, folder: str) -> None:
    """Let go of a folder's lock, if it is one; and of the folder, if it is empty.

    On NFS a locked file keeps a name there until it is closed.
    """
    if lock is not None and lock != _NO_LOCK:
        os.close(lock)
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106


def is_locked(folder: str) -> bool:
    """Return whether a job's client is at work, as far as locks show."""
    lock = try_lock(folder)
    unlock(lock, folder)
    return lock is None and JOB in names_in(folder)
