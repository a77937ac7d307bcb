"""Destination: whether a folder can be published where it was asked for."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath

from dlsort.errors import (
    BadOptionError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
    DlsortError,
)
from dlsort.storage import filesystem, is_store
from dlsort.wording import count

__all__ = [
    "MARKER",
    "check_apart",
    "check_destination",
    "check_path",
    "filled",
    "place_of",
    "write_error",
]


# What is written last into a destination in a store: without it, that is not whole.
MARKER = "_SUCCESS"


def check_path(path: object, what: str) -> None:
    """Raise unless something can be the path of a file or folder.

    Raises
    ------
    BadOptionError
        If it is empty, or no path at all.
    """
    plain = str(path) if isinstance(path, str | os.PathLike) else ""
    if not plain.strip() or "\0" in plain:
        msg = f"the {what} is {path!r}; expected the path of a file or folder."
        raise BadOptionError(msg)


def place_of(dst: str | Path) -> str:
    """Return a destination in one form, whoever asks.

    Examples
    --------
    >>> place_of("/data/in/../out/"), place_of("memory://bucket/out/"), place_of("memory://")
    ('/data/out', 'memory://bucket/out', 'memory://')
    """
    if is_store(dst):
        scheme, mark, inner = str(dst).partition("://")
        return scheme + mark + inner.rstrip("/")
    path = Path(dst).absolute()
    return str(path.resolve() if ".." in path.parts else path)


def check_destination(dst: str | Path, *, overwrite: bool) -> str:
    """Return the absolute destination if a folder can be published there.

    Parameters
    ----------
    dst : str or Path
        As given; a URL if it is in a store.
    overwrite : bool
        It may hold files.

    Raises
    ------
    DestinationExistsError
        If something is there that must not be overwritten.
    DestinationError
        If it can't be written.
    """
    check_path(dst, "destination")
    if is_store(dst):
        return _check_prefix(str(dst), overwrite=overwrite)
    try:
        return _check_folder(dst, overwrite=overwrite)
    except DlsortError:  # some are OSErrors
        raise
    except OSError as error:
        raise write_error(error, dst) from error


def _check_folder(dst: str | Path, *, overwrite: bool) -> str:
    path = Path(place_of(dst))
    if path.is_symlink():
        msg = f"{dst} is a symbolic link; name the folder that it points to."
        raise DestinationExistsError(msg)
    if path.exists() and not path.is_dir():
        msg = f"{dst} is not a folder; expected a folder, or a path where one can be made."
        raise DestinationExistsError(msg)
    if path.is_dir():
        n_files = sum(1 for _ in path.iterdir())
        if n_files and not overwrite:
            msg = (
                f"{dst} already holds {count(n_files, 'file')}. "
                "Pass overwrite=True (--overwrite) to replace them."
            )
            raise DestinationExistsError(msg)
        if not os.access(path, os.W_OK | os.X_OK):
            msg = f"{dst} can't be replaced: no permission to write to it."
            raise DestinationError(msg)
    if path.is_mount():
        msg = (
            f"{dst} is a mount point, which a finished folder can't replace in one step; "
            f"name a folder below it, such as {path / 'sorted'}."
        )
        raise DestinationError(msg)
    parent = _existing(path.parent)
    if not parent.is_dir():
        msg = f"{dst} can't be written: {parent} is a file, not a folder."
        raise DestinationError(msg)
    if not os.access(parent, os.W_OK | os.X_OK):
        msg = f"{dst} can't be written: no permission to make files in {parent}."
        raise DestinationError(msg)
    return str(path)


def _check_prefix(url: str, *, overwrite: bool) -> str:
    """Return a destination in a store if it may be filled."""
    url = place_of(url)
    if "/" not in url.split("://", 1)[1]:
        below = f"{url}/sorted" if not url.endswith("://") else f"{url}bucket/sorted"
        msg = f"{url} has no folder in it; name one below it, such as {below}."
        raise DestinationError(msg)
    fs, path = filesystem(url)
    try:
        is_object = fs.isfile(path)
        found = [] if overwrite else fs.find(path)
    except OSError as error:
        raise write_error(error, url) from error
    if is_object:
        msg = f"{url} is an object; expected a folder, or a name where one can be made."
        raise DestinationExistsError(msg)
    # An object may stand for the folder itself.
    n_files = sum(name.strip("/") != path.strip("/") for name in found)
    if n_files:
        msg = (
            f"{url} already holds {n_files:,} object{'s' if n_files > 1 else ''}. "
            "Pass overwrite=True (--overwrite) to replace them."
        )
        raise DestinationExistsError(msg)
    return url


def check_apart(destination: str, src: str | Path, files: Sequence[str]) -> None:
    """Raise if source and destination overlap in a way that loses or doubles rows.

    To sort a folder onto itself is fine: the old files go once the new are proved.

    Parameters
    ----------
    destination : str
        From :func:`check_destination`.
    src : str or Path
        The source as given.
    files : sequence of str
        Its files.

    Raises
    ------
    DestinationError
        If the destination lies in the source folder, where a later sort would
        read its own output; or if only some of its files are the source, since
        all of them would be replaced.
    """
    inside, outside = _plain(destination), _plain(str(src))
    if is_store(destination) != is_store(src) or inside == outside:
        return
    if inside.is_relative_to(outside) and (is_store(src) or Path(outside).is_dir()):
        hidden = any(p.startswith(("_", ".")) for p in inside.relative_to(outside).parts)
        if not hidden:
            msg = (
                f"the destination {destination} lies inside the source {src}, so a later sort "
                "would read its own output; choose a destination outside of it."
            )
            raise DestinationError(msg)
    mine = next((f for f in files if _plain(f).is_relative_to(inside)), None)
    if mine is not None:
        msg = (
            f"the source file {mine} lies inside the destination {destination}, which would "
            "be replaced as a whole; choose another one, or give that folder as the source."
        )
        raise DestinationError(msg)


def _plain(path: str) -> PurePath:
    """Return a path without links in it."""
    return PurePosixPath(filesystem(path)[1]) if is_store(path) else Path(path).resolve()


def filled(destination: object, how: str = "") -> DestinationExistsError:
    """Return the error for a destination that isn't ours alone any more."""
    more = f" ({how})" if how else ""
    msg = f"{destination} was filled by someone meanwhile{more}; nothing was published."
    return DestinationExistsError(msg)


def write_error(error: OSError, path: Path | str) -> DestinationError:
    """Return the sentence for an error while writing to a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = ""
        with suppress(OSError, StopIteration):
            if not is_store(path):
                n_bytes = shutil.disk_usage(_existing(Path(path))).free
                free = f" ({n_bytes / 2**20:,.0f} MiB free)"
        return DestinationFullError(
            f"no space left while writing {path}{free}. Nothing was published; free some space "
            "or choose another destination."
        )
    return DestinationError(f"{path} can't be written: {error.strerror or error}.")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
