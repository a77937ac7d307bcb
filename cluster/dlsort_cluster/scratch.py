"""The folder for temporary files of the clusters that dlsort starts."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlsort_cluster.exchange import SpillError

__all__ = ["make_scratch"]

_PREFIX = "dlsort-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")  # as tempfile makes it
_LOCK, _SAYS = "lock", b"dlsort: temporary files of a process that holds this lock\n"


@contextmanager
def make_scratch(temp_dir: str | None) -> Iterator[str]:
    """Yield a new private folder (0700), and remove it on leaving.

    While it is in use a file in it is locked, so that those can be told that a process left
    which was killed. They are removed first.

    Parameters
    ----------
    temp_dir : str or None
        An existing folder to make it in; None: the system's.

    Raises
    ------
    SpillError
        If it can't be made there.
    """
    try:
        parent = temp_dir or tempfile.gettempdir()
        _sweep(parent)
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
    except OSError as error:
        msg = (
            f"cannot keep temporary files in {temp_dir or 'the default folder'}:"
            f" {error.strerror}. Set temporary-directory (--temp-dir) to a folder that exists"
            " and can be written."
        )
        raise SpillError(msg) from error
    lock = _lock_new(Path(made.name))
    try:
        with made:
            yield made.name
    finally:
        if lock is not None:
            os.close(lock)


def _lock_new(folder: Path) -> int | None:
    """Return a new lock; it has its name once it is locked. None where that can't be done."""
    unlocked = folder / f".{_LOCK}"
    fd = None
    try:
        fd = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, _SAYS)
        unlocked.rename(folder / _LOCK)
    except OSError:  # a full disk, or a file system without locks: never taken for left
        if fd is not None:
            os.close(fd)
        return None
    return fd


def _sweep(parent: str) -> None:
    """Remove this user's folders whose process is gone."""
    with os.scandir(parent) as entries:
        folders = [entry for entry in entries if _NAME.fullmatch(entry.name)]
    for folder in folders:
        with suppress(OSError):  # gone meanwhile, or in use
            _remove_left(folder)


def _remove_left(folder: os.DirEntry[str]) -> None:
    told = folder.stat(follow_symlinks=False)
    private = stat.S_IMODE(told.st_mode) == 0o700 and told.st_uid == os.geteuid()
    if not (stat.S_ISDIR(told.st_mode) and private):
        return
    fd = os.open(Path(folder, _LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.read(fd, len(_SAYS)) == _SAYS:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(fd)
