"""Publish: finished parts become the destination.

In a file system by one rename, so that a reader sees all of them or what was there before. A
store has none: there the parts are copied, and a marker, ``_SUCCESS``, is written last; while
it isn't there, the destination is not whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlsort.destination import MARKER, write_error
from dlsort.errors import DestinationError, DestinationExistsError
from dlsort.storage import filesystem, is_store, join, remove, replace

__all__ = ["publish"]


def publish(
    parts: str, destination: str, *, overwrite: bool, aside: str, told: Mapping[str, Any]
) -> None:
    """Make a folder of parts the destination.

    Parameters
    ----------
    parts, destination : str
        Folders of one file system or store.
    overwrite : bool
        Replace what the destination holds.
    aside : str
        Where the old one stands for a moment, beside it; not in a store.
    told : mapping
        What the marker in a store tells.

    Raises
    ------
    DestinationExistsError
        If it was filled by someone meanwhile.
    DestinationError
        If it can't be written.
    """
    if is_store(destination):
        _copy(parts, destination, overwrite=overwrite, told=told)
    else:
        _rename(Path(parts), Path(destination), Path(aside), overwrite=overwrite)


def _rename(parts: Path, destination: Path, aside: Path, *, overwrite: bool) -> None:
    try:
        _sync(parts)
        if destination.is_dir():
            if not overwrite and any(destination.iterdir()):
                raise _filled(destination)  # noqa: TRY301
            destination.rename(aside)
        parts.rename(destination)
        _sync(destination.parent)
    except BaseException as error:  # Ctrl-C too: the old one must not stay aside
        if aside.exists() and not destination.exists():
            aside.rename(destination)
        if isinstance(error, OSError) and not isinstance(error, DestinationError):
            raise write_error(error, destination) from error
        raise
    finally:
        if destination.exists() and not parts.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have a folder's entries on disk; what lies in it is there already."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # of file systems that can't
            os.fsync(fd)
    finally:
        os.close(fd)


def _copy(parts: str, destination: str, *, overwrite: bool, told: Mapping[str, Any]) -> None:
    fs, inner = filesystem(destination)
    try:
        old = {name.rsplit("/", 1)[-1]: name for name in fs.find(inner)}
        if not overwrite and MARKER in old:
            raise _filled(destination)
        remove(join(destination, MARKER))
        names = sorted(name.rsplit("/", 1)[-1] for name in fs.find(filesystem(parts)[1]))
        for name in names:
            fs.cp_file(join(filesystem(parts)[1], name), join(inner, name))
        for name, path in old.items():
            if name not in names and name != MARKER:
                fs.rm_file(path)
        text = json.dumps({**told, "files": names}, indent=2)
        replace(join(destination, MARKER), text.encode())
    except DestinationError:
        raise
    except OSError as error:
        raise write_error(error, destination) from error


def _filled(destination: object) -> DestinationExistsError:
    return DestinationExistsError(
        f"{destination} was filled by someone meanwhile; nothing was published."
    )
