"""Publish: finished parts become the destination.

In a file system by one rename, or an exchange of two folders' names, so that a reader sees all
of them or what was there before. A store has neither: there the parts are copied beside what is
there, that is removed, and a marker, ``_SUCCESS``, is written last; while it isn't there, the
destination is not whole. A record in the job's folder tells a later attempt how far that went.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from dlsort import storage
from dlsort.destination import MARKER, write_error
from dlsort.errors import DestinationError, DestinationExistsError
from dlsort.storage import filesystem, is_store, join, remove

__all__ = ["is_publishing", "publish", "settle"]

_RECORD = "publish.json"


def publish(
    parts: str,
    destination: str,
    *,
    overwrite: bool,
    stage: str,
    aside: str,
    told: Mapping[str, Any],
) -> None:
    """Make a folder of parts the destination.

    Parameters
    ----------
    parts, destination : str
        Folders of one file system or store.
    overwrite : bool
        Replace what the destination holds.
    stage : str
        The job's folder, which goes next: what is replaced may be left in it.
    aside : str
        Where the old destination stands for a moment, beside it, in a file system whose
        folders can't be exchanged.
    told : mapping
        What the marker in a store tells.

    Raises
    ------
    DestinationExistsError
        If it was filled by someone meanwhile.
    DestinationError
        If it can't be written. It is as it was then, unless :func:`is_publishing`.
    """
    if is_store(destination):
        _copy(parts, destination, overwrite=overwrite, stage=stage, told=told)
    else:
        _rename(Path(parts), Path(destination), Path(aside), overwrite=overwrite)


# ---------------------------------------------------------------- in a file system


def _rename(parts: Path, destination: Path, aside: Path, *, overwrite: bool) -> None:
    try:
        _sync(parts)
        if not (overwrite and destination.is_dir()):
            parts.rename(destination)  # also in place of an empty folder
        elif not _exchange(parts, destination):
            destination.rename(aside)
            parts.rename(destination)
        _sync(destination.parent)
    except BaseException as error:  # Ctrl-C too: the old one must not stay aside
        if aside.exists() and not destination.exists():
            aside.rename(destination)
        if isinstance(error, OSError):
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise _filled(destination) from error
            raise write_error(error, destination) from error
        raise
    finally:
        if destination.exists() and not parts.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names in one step; False where that can't be done.

    Linux' ``renameat2``, which Python has no function for.
    """
    at_cwd, exchange = -100, 2
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return rename(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0


def _sync(folder: Path) -> None:
    """Have a folder's entries on disk; what lies in it is there already."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # of file systems that can't
            os.fsync(fd)
    finally:
        os.close(fd)


# ---------------------------------------------------------------- in a store


@dataclass(frozen=True)
class _Record:
    """How a job publishes, kept in its folder until that is done.

    Parameters
    ----------
    destination : str
        Where to.
    files : list of str
        The parts' names there; none of them was there before.
    old : list of str
        What was there, but for the marker.
    marker : str or None
        The marker that was there.
    told : mapping
        What the new one tells.
    is_copied : bool
        All parts are there: what is old may go.
    """

    destination: str
    files: list[str]
    old: list[str]
    marker: str | None
    told: Mapping[str, Any]
    is_copied: bool = False

    @staticmethod
    def read(stage: str) -> _Record | None:
        try:
            return _Record(**json.loads(storage.read_bytes(join(stage, _RECORD))))
        except FileNotFoundError:
            return None

    def keep(self, stage: str) -> None:
        storage.replace(join(stage, _RECORD), json.dumps(asdict(self)).encode())


def _copy(
    parts: str, destination: str, *, overwrite: bool, stage: str, told: Mapping[str, Any]
) -> None:
    fs, inner = filesystem(destination)
    try:
        found = _names_below(destination)
        if found and not overwrite:
            raise _filled(destination)
        sources = sorted(fs.find(filesystem(parts)[1]))
        files = [PurePath(source).name for source in sources]
        if set(files) & set(found):
            files = [_tagged(name, PurePath(stage).name.split(".")[-2]) for name in files]
        marker = None
        if MARKER in found:
            found.remove(MARKER)
            marker = fs.cat_file(join(inner, MARKER)).decode("latin-1")
        record = _Record(destination, files, found, marker, told)
        record.keep(stage)
        try:
            remove(join(destination, MARKER))
            for source, name in zip(sources, files, strict=True):
                fs.cp_file(source, join(inner, name))
            record = replace(record, is_copied=True)
            record.keep(stage)
        except BaseException:
            with suppress(OSError):  # a store out of reach: then the record stays
                _take_back(record, stage)
            raise
        _complete(record, stage)
    except DestinationError:
        raise
    except OSError as error:
        raise write_error(error, destination) from error


def _names_below(folder: str) -> list[str]:
    """Return the names of all objects below a folder, with those of folders in it."""
    fs, inner = filesystem(folder)
    begin = inner.strip("/") + "/"
    return [name.lstrip("/").removeprefix(begin) for name in fs.find(inner)]


def _tagged(name: str, tag: str) -> str:
    """Return a part's name that no other sort gives, in the same order among its like.

    Examples
    --------
    >>> _tagged("part-00007.parquet", "5f0c")
    'part-00007-5f0c.parquet'
    """
    return f"{PurePath(name).stem}-{tag}{PurePath(name).suffix}"


def _take_back(record: _Record, stage: str) -> None:
    """Have a destination as it was."""
    for name in record.files:
        remove(join(record.destination, name))
    if record.marker is not None:
        path = join(record.destination, MARKER)
        storage.replace(path, record.marker.encode("latin-1"))
    remove(join(stage, _RECORD))


def _complete(record: _Record, stage: str) -> None:
    """Remove what was there before, and say that the new is whole."""
    for name in record.old:
        remove(join(record.destination, name))
    text = json.dumps({**record.told, "files": record.files}, indent=2)
    storage.replace(join(record.destination, MARKER), text.encode())
    remove(join(stage, _RECORD))


def is_publishing(stage: str) -> bool:
    """Return whether a job has begun to publish to a store and may not have come to an end."""
    if not is_store(stage):
        return False
    try:
        storage.stamp_of(join(stage, _RECORD))
    except FileNotFoundError:
        return False
    except OSError:  # out of reach: nothing may be removed
        return True
    return True


def settle(stage: str) -> bool:
    """Bring what a job had begun to publish to an end, or take it back.

    Returns
    -------
    bool
        It is published.

    Raises
    ------
    DestinationError
        If the store does not let it.
    """
    try:
        record = _Record.read(stage)
        if record is None:
            return False
        (_complete if record.is_copied else _take_back)(record, stage)
    except (OSError, ValueError, TypeError) as error:
        msg = f"what {stage} has begun to publish can't be brought to an end: {error}."
        raise DestinationError(msg) from error
    return record.is_copied


def _filled(destination: object) -> DestinationExistsError:
    return DestinationExistsError(
        f"{destination} was filled by someone meanwhile; nothing was published."
    )
