"""Where records are made: a file, or a folder of files, of a hidden name until it is whole."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dlsort.errors import DestinationError, DestinationExistsError, DestinationFullError
from dlsort.io.parts import FEWEST_DIGITS
from dlsort.io.storage import existing, is_store, write_error
from dlsort.publish.destination import named
from dlsort.publish.replaceable import never_replaced
from dlsort.sizes import format_bytes

__all__ = ["STANDARD_OUTPUT", "Target", "check_target", "is_stream", "staged"]

STANDARD_OUTPUT = "-"
SUFFIX = ".dat"

_IS_OURS = re.compile(rf"part-\d+{re.escape(SUFFIX)}").fullmatch


class Target(NamedTuple):
    """A destination.

    Attributes
    ----------
    path : Path
        What is to be made.
    names : tuple of str
        Of the files in it; none if it is a file itself.
    """

    path: Path
    names: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files, once they are there."""
        return tuple(str(self.path / name) for name in self.names) or (str(self.path),)


def is_stream(place: str) -> bool:
    """Return whether a destination takes bytes one after the other, and keeps no place."""
    if place == STANDARD_OUTPUT:
        return True
    with suppress(OSError):
        mode = Path(place).stat().st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def check_target(place: str, n_files: int | None, n_bytes: int, *, overwrite: bool) -> Target:
    """Return a destination, if it can be made there.

    Parameters
    ----------
    place : str
        As given.
    n_files : int or None
        How many files are made in it; None: it is one.
    n_bytes : int
        Of all of them.
    overwrite : bool
        A file, or a folder of nothing but such files, may be there.

    Raises
    ------
    DestinationExistsError
        If something is there.
    DestinationFullError
        If the disk is too small.
    DestinationError
        If nothing can be made there.
    """
    if is_store(place):
        msg = f"{place} is in a store; records are made on disk: name a file or a folder."
        raise DestinationError(msg)
    path = Path(os.path.realpath(place))
    _check_there(place, path, overwrite=overwrite, is_folder=n_files is not None)
    parent = existing(path.parent)
    if not parent.is_dir():
        msg = f"{place} can't be written: {parent} is a file, not a folder."
        raise DestinationError(msg)
    if not os.access(parent, os.W_OK | os.X_OK):
        msg = f"{place} can't be written: no permission to make files in {parent}."
        raise DestinationError(msg)
    total, _, free = shutil.disk_usage(parent)
    if total and n_bytes > free:  # some file systems know of no size
        msg = (
            f"{place} needs {format_bytes(n_bytes)}, and {format_bytes(free)} are free there. "
            "Nothing was written; free some space, make fewer records or choose another disk."
        )
        raise DestinationFullError(msg)
    digits = max(FEWEST_DIGITS, len(str((n_files or 1) - 1)))
    names = (f"part-{i:0{digits}d}{SUFFIX}" for i in range(n_files or 0))
    return Target(path, tuple(names))


def _check_there(place: str, path: Path, *, overwrite: bool, is_folder: bool) -> None:
    """Raise if what is there must stay."""
    if not path.exists():
        return
    if not is_folder or not path.is_dir():
        if is_folder:
            msg = f"{place} is a file, but a folder of files is asked for; name another."
            raise DestinationExistsError(msg)
        if not overwrite:
            msg = f"{place} is there. Pass overwrite=True (--overwrite) to replace it."
            raise DestinationExistsError(msg)
        return
    held = sorted(os.listdir(path))  # noqa: PTH208 - names
    if (what := never_replaced(str(path))) is not None and (held or path.is_mount()):
        msg = f"{place} is {what}, which is never replaced; name a folder below it."
        raise DestinationError(msg)
    if held and not overwrite:
        msg = (
            f"{place} already holds {named(held)}. Pass overwrite=True (--overwrite) to "
            "replace it."
        )
        raise DestinationExistsError(msg)
    if strays := [name for name in held if not _IS_OURS(name)]:
        msg = (
            f"{place} holds what are no records of dlsort gensort: {named(strays)}. Choose "
            "another folder, or remove them."
        )
        raise DestinationExistsError(msg)


@contextmanager
def staged(target: Target, sizes: Sequence[int], by: str) -> Iterator[list[str]]:
    """Give files to write into, of a hidden name; publish them, or remove them if that fails.

    Parameters
    ----------
    target : Target
        From :func:`check_target`.
    sizes : sequence of int
        Bytes of each file.
    by : str
        What makes them. What one of its processes that is gone has left here is removed.

    Raises
    ------
    DestinationError
        If they can't be made or published.
    """
    path = target.path
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{by}")
    old = hidden.with_suffix(".old")
    files = [hidden / name for name in target.names] or [hidden]
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path, by)
        if target.names:
            hidden.mkdir()
            lock = _locked(hidden)
        for file, n_bytes in zip(files, sizes, strict=True):
            with file.open("xb") as opened:
                opened.truncate(n_bytes)
        lock = lock or _locked(hidden)
        yield [str(file) for file in files]
        if target.names and path.is_dir() and any(path.iterdir()):
            path.rename(old)
            hidden.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            hidden.rename(path)
    except BaseException as error:
        if old.exists() and not path.exists():
            old.rename(path)
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)
        with suppress(OSError):
            hidden.unlink()
        if isinstance(error, OSError) and not isinstance(error, DestinationError):
            raise write_error(error, path) from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _locked(path: Path) -> int | None:
    """Return a lock of a file or folder, held until it is closed; None if another has it."""
    number = None
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # or this file system has no locks
        if number is not None:
            os.close(number)
        return None
    return number


def _sweep(path: Path, by: str) -> None:
    """Remove what processes have left that were killed while they made this destination."""
    is_left = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{re.escape(by)}").fullmatch
    for each in [each for each in path.parent.iterdir() if is_left(each.name)]:
        if (lock := _locked(each)) is not None:
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
            os.close(lock)
