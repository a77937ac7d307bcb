"""Destination: a folder that is published whole or not at all.

Parts are written to a hidden staging folder beside the destination. Once every
part is there and proved, one rename makes the folder the destination; until
then the destination is as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dlsort.errors import (
    BadOptionError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
)

__all__ = ["check_apart", "check_destination", "check_path", "staging", "write_error"]


def check_path(path: object, what: str) -> None:
    """Raise unless something can be the path of a file or folder.

    Raises
    ------
    BadOptionError
        If it is empty, a URL, or no path at all.
    """
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        msg = f"the {what} is {path!r}; expected the path of a file or folder."
        raise BadOptionError(msg)
    if "://" in str(path):
        msg = f"the {what} is {path!r}; object stores are not supported yet, only paths."
        raise BadOptionError(msg)


def check_destination(dst: str | Path, *, overwrite: bool) -> Path:
    """Return the absolute destination if a folder can be published there.

    Raises
    ------
    DestinationExistsError
        If something is there that must not be overwritten.
    DestinationError
        If it can't be written.
    """
    check_path(dst, "destination")
    path = Path(dst).absolute()
    if ".." in path.parts:
        path = path.resolve()
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
                f"{dst} already holds {n_files:,} file{'s' if n_files > 1 else ''}. "
                "Pass overwrite=True (--overwrite) to replace them."
            )
            raise DestinationExistsError(msg)
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
    return path


def check_apart(destination: Path, src: str | Path, files: Sequence[str]) -> None:
    """Raise if source and destination overlap in a way that loses or doubles rows.

    To sort a folder onto itself is fine: the old files go once the new are proved.

    Parameters
    ----------
    destination : Path
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
    inside, outside = destination.resolve(), Path(src).resolve()
    if inside == outside:
        return
    if outside.is_dir() and inside.is_relative_to(outside):
        hidden = any(p.startswith(("_", ".")) for p in inside.relative_to(outside).parts)
        if not hidden:
            msg = (
                f"the destination {destination} lies inside the source {src}, so a later sort "
                "would read its own output; choose a destination outside of it."
            )
            raise DestinationError(msg)
    mine = next((f for f in files if Path(f).resolve().is_relative_to(inside)), None)
    if mine is not None:
        msg = (
            f"the source file {mine} lies inside the destination {destination}, which would "
            "be replaced as a whole; choose another one, or give that folder as the source."
        )
        raise DestinationError(msg)


@contextmanager
def staging(destination: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a fresh folder for the parts; publish it on success, remove it on failure.

    Parameters
    ----------
    destination : Path
        Where the folder goes. What is there is kept until the new is complete.
    overwrite : bool
        Replace a destination that holds files.

    Yields
    ------
    Path
        The staging folder, hidden, beside the destination.

    Raises
    ------
    DestinationError
        If the folder can't be made or moved.
    """
    folder = destination.parent / f".{destination.name}.{uuid.uuid4().hex[:12]}.partial"
    made = [p for p in (destination.parent, *destination.parent.parents) if not p.exists()]
    try:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise write_error(error, destination) from error
        yield folder
        _publish(folder, destination, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _publish(folder: Path, destination: Path, *, overwrite: bool) -> None:
    old = folder.with_suffix(".replaced")
    try:
        if destination.is_dir():
            if not overwrite:
                _still_empty(destination)
            destination.rename(old)
        folder.rename(destination)
    except BaseException as error:  # Ctrl-C too: the old one must not stay aside
        if old.exists() and not destination.exists():
            old.rename(destination)
        if isinstance(error, OSError) and not isinstance(error, DestinationError):
            raise write_error(error, destination) from error
        raise
    finally:
        if destination.exists():
            shutil.rmtree(old, ignore_errors=True)


def _still_empty(destination: Path) -> None:
    if any(destination.iterdir()):
        msg = f"{destination} was filled by someone meanwhile; nothing was published."
        raise DestinationExistsError(msg)


def write_error(error: OSError, path: Path | str) -> DestinationError:
    """Return the sentence for an error while writing to a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            free = shutil.disk_usage(_existing(Path(path))).free
            return DestinationFullError(
                f"no space left while writing {path} ({free / 2**20:,.0f} MiB free). "
                "Nothing was published; free some space or choose another destination."
            )
        return DestinationFullError(
            f"no space left while writing {path}. Nothing was published."
        )
    return DestinationError(f"{path} can't be written: {error.strerror or error}.")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
