"""Source files: which Parquet files a path names, and what is said of an unreadable one."""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath, PurePosixPath

import pyarrow as pa
from dask.utils import natural_sort_key

from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    SourceNotFoundError,
    SourceUnsupportedError,
)
from dlsort.io.paths import check_path
from dlsort.io.storage import filesystem, is_store

__all__ = [
    "SUFFIXES",
    "UNREADABLE",
    "BadFileError",
    "UnsupportedFileError",
    "corrupt",
    "find_files",
]

SUFFIXES = (".parquet", ".pq", ".parq")


class BadFileError(ValueError):
    """A file that can't be what it says; the message says why, without the file's name."""


class UnsupportedFileError(BadFileError):
    """A file may be sound, but can't be read or kept; the message says why and what to do."""


# What reading a file raises that is not as it should be.
UNREADABLE = (pa.ArrowException, OSError, IndexError, BadFileError)


def find_files(src: str | Path) -> list[str]:
    """Return the Parquet files that a path, folder or glob names, in natural order.

    In a folder, files at any depth count that end in ``.parquet``, ``.parq`` or
    ``.pq``, but none whose name, or a folder's on the way, begins with ``_`` or
    ``.``. A link to a file counts as the file; links to folders are not followed.

    Raises
    ------
    SourceNotFoundError
        If there is none.
    """
    check_path(src, "source")
    if is_store(src):
        return _find_objects(str(src))
    path = Path(src).absolute()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        named = list(_files_below(str(path)))
        if not named:
            msg = f"{src} holds no Parquet file; expected at least one *.parquet in it."
            raise SourceNotFoundError(msg)
        _refuse_partition_folders(path, (Path(n) for n in named if "=" in n))
        return sorted(named, key=natural_sort_key)
    matched = globbing.glob(str(src), recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    matched = [str(Path(m).absolute()) for m in matched if Path(m).is_file()]
    if not matched:
        what = "matches no file" if globbing.has_magic(str(src)) else "does not exist"
        msg = f"{src} {what}; expected a Parquet file, a folder of them or a glob."
        raise SourceNotFoundError(msg)
    return sorted(matched, key=natural_sort_key)


def _find_objects(url: str) -> list[str]:
    """Return the URLs of the objects that one names: an object, a prefix or a glob."""
    fs, path = filesystem(url)
    try:
        if globbing.has_magic(path):
            found = [name for name in fs.glob(path) if fs.isfile(name)]
        elif fs.isfile(path):
            found = [path]
        else:
            below = PurePosixPath(path)
            found = [
                name
                for name in fs.find(path)
                if PurePosixPath(name).suffix in SUFFIXES
                and not _hidden(PurePosixPath(name).relative_to(below))
            ]
            _refuse_partition_folders(below, map(PurePosixPath, found), fs.unstrip_protocol)
    except OSError as error:
        raise CorruptSourceError(f"can't read {url}: {error.strerror or error}.") from error
    if not found:
        msg = f"{url} holds no Parquet file; expected an object, a prefix of some or a glob."
        raise SourceNotFoundError(msg)
    return sorted((fs.unstrip_protocol(name) for name in found), key=natural_sort_key)


def _files_below(folder: str) -> Iterator[str]:
    """Yield the Parquet files of a folder and of those in it.

    Raises
    ------
    SourceNotFoundError
        If one is no file, nor a link to one: its rows would be missing in silence.
    CorruptSourceError
        If a folder can't be listed: so would its files.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(("_", "."))]
    except OSError as error:
        msg = f"can't read the folder {folder}: {error.strerror or error}."
        raise CorruptSourceError(msg) from error
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path)
        elif not entry.name.endswith(SUFFIXES):
            continue
        elif entry.is_file(follow_symlinks=False):
            yield entry.path
        # Not by the entry, which raises where links go in a circle.
        elif not Path(entry.path).is_dir():
            if not Path(entry.path).is_file():
                what = "links to no file" if entry.is_symlink() else "is not a file"
                msg = f"{entry.path} {what}; remove it, or put the file there."
                raise SourceNotFoundError(msg)
            yield entry.path


def _refuse_partition_folders(
    folder: PurePath, files: Iterable[PurePath], show: Callable[[str], str] = str
) -> None:
    """Raise if files lie in folders such as ``day=1``, whose values they don't hold."""
    for file in files:
        for name in file.relative_to(folder).parent.parts:
            if "=" in name:
                msg = (
                    f"{show(str(file))} lies in {name!r}: columns kept in folder names are not "
                    "in the files and would be lost. Write them into the files first."
                )
                raise BadOptionError(msg)


def _hidden(path: PurePath) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def corrupt(path: str, error: BaseException) -> CorruptSourceError | SourceUnsupportedError:
    """Return the error that says of a file that it can't be read, and why."""
    if isinstance(error, UnsupportedFileError):
        return SourceUnsupportedError(f"can't read {path}: {error}")
    first_line = (
        str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    )
    if isinstance(error, PermissionError):
        return CorruptSourceError(f"can't read {path}: permission denied.")
    if isinstance(error, pa.ArrowNotImplementedError):
        return SourceUnsupportedError(
            f"can't read {path}: pyarrow {pa.__version__} can't read what it holds "
            f"({first_line}). Write the file again without it, or try a later pyarrow."
        )
    return CorruptSourceError(
        f"can't read {path}: it is truncated, corrupt or not Parquet ({first_line}). "
        "Replace the file or leave it out of the source."
    )
