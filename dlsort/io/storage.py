"""Storage: files in a file system, or objects in a store, by one set of names.

A path with ``://`` in it, such as ``s3://bucket/folder``, is an object's and goes through
fsspec, with whatever credentials that finds; any other is a file's. A small file appears whole
or not at all in both; a store has no rename, and needs no waiting for its disks.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

from dlsort.errors import BadOptionError, DestinationError, DestinationFullError

__all__ = [
    "FULL",
    "Output",
    "existing",
    "filesystem",
    "is_store",
    "is_there",
    "join",
    "make_folder",
    "names_in",
    "open_to_read",
    "read_bytes",
    "read_range",
    "remove",
    "remove_all",
    "replace",
    "size_of",
    "stamp_in",
    "stamp_of",
    "without_scheme",
    "write_error",
]

# The errors of a disk, or of what one may use of it, that is full.
FULL = (errno.ENOSPC, errno.EDQUOT)


# What is to be installed for the stores of a protocol.
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
    **dict.fromkeys(("http", "https"), "http"),
}


def is_store(path: object) -> bool:
    """Return whether a path is an object's."""
    return "://" in str(path)


def without_scheme(path: str | Path) -> str | Path:
    """Return the plain path that a ``file://`` or ``local://`` URL is for; others stay."""
    if not isinstance(path, str):
        return path
    return path.removeprefix("file://").removeprefix("local://")


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and its path in that.

    It raises OSError for whatever goes wrong, also where its package has errors of its own.

    Raises
    ------
    BadOptionError
        If there is none for its protocol, or the package is not installed.
    """
    import fsspec  # 30 ms, for those who have a store

    try:
        fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        extra = _EXTRAS.get(url.partition("://")[0])
        is_missing = isinstance(error, ImportError) and extra is not None
        how = f" Install it by pip install 'dlsort[{extra}]'." if is_missing else ""
        msg = f"{url} can't be used: {str(error).rstrip('.')}.{how}"
        raise BadOptionError(msg) from error
    return _Store(fs), path


class _Store:
    """An fsspec file system all of whose errors are OSErrors."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._fs, name)

        @wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except (OSError, NotImplementedError):
                raise
            except Exception as error:
                raise OSError(str(error)) from error

        return call


def join(folder: str, *names: str) -> str:
    """Return the path of something in a folder.

    Examples
    --------
    >>> join("out/", "part-00000.parquet"), join("memory://", "out"), join("memory:///", "out")
    ('out/part-00000.parquet', 'memory://out', 'memory:///out')
    """
    scheme, mark, path = folder.rpartition("://")
    begins = path if mark and not path.strip("/") else path.rstrip("/") + "/"
    return scheme + mark + begins + "/".join(names)


def make_folder(folder: str) -> None:
    """Make a folder, and those above it; a store has none."""
    if not is_store(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


def names_in(folder: str) -> list[str]:
    """Return the names of the files in a folder; none if there is no folder."""
    if not is_store(folder):
        try:
            return os.listdir(folder)  # noqa: PTH208 - called for every input
        except OSError:
            return []
    fs, path = filesystem(folder)
    try:
        return [name.rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def size_of(path: str) -> int:
    """Return a file's size in bytes.

    Raises
    ------
    OSError
        If it isn't there.
    """
    return stamp_of(path)[0]


def stamp_of(path: str) -> tuple[int, str]:
    """Return what shows that a file is still what it was: its size, and a mark of its writing.

    Raises
    ------
    OSError
        If it isn't there.
    """
    if not is_store(path):
        status = os.stat(path)  # noqa: PTH116 - of thousands of them
        return status.st_size, str(status.st_mtime_ns)
    fs, inner = filesystem(path)
    return stamp_in(fs.info(inner))


def stamp_in(info: Mapping[str, Any]) -> tuple[int, str]:
    """Return the stamp of an object from what its store reports of it."""
    marks = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
    return int(info["size"] or 0), next((str(info[m]) for m in marks if m in info), "")


def is_there(path: str) -> bool:
    """Return whether there is a file."""
    try:
        stamp_of(path)
    except OSError:
        return False
    return True


def read_bytes(path: str) -> bytes:
    """Return all of a small file.

    Raises
    ------
    OSError
        If it isn't there.
    """
    if not is_store(path):
        return Path(path).read_bytes()
    fs, inner = filesystem(path)
    return bytes(fs.cat_file(inner))


def read_range(path: str, start: int, n_bytes: int) -> bytes:
    """Return some bytes of a file, in one request; fewer where it ends before.

    Raises
    ------
    OSError
        If it isn't there.
    """
    if not is_store(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            return os.pread(fd, n_bytes, start)
        finally:
            os.close(fd)
    fs, inner = filesystem(path)
    return bytes(fs.cat_file(inner, start=start, end=start + n_bytes))


def replace(path: str, data: Any) -> None:
    """Write a small file so that any reader sees all of it or what was there before.

    Raises
    ------
    OSError
        If it can't be written.
    """
    if is_store(path):
        fs, inner = filesystem(path)
        fs.pipe_file(inner, bytes(data))
        return
    whole = Path(path)
    attempt = whole.with_name(f".{whole.name}.{uuid.uuid4().hex[:12]}")
    try:
        attempt.write_bytes(data)
        attempt.replace(whole)
    finally:
        attempt.unlink(missing_ok=True)


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    if not is_store(path):
        Path(path).unlink(missing_ok=True)
        return
    fs, inner = filesystem(path)
    with suppress(FileNotFoundError):
        fs.rm_file(inner)


def remove_all(folder: str) -> None:
    """Remove a folder with all that is in it, or a file, as far as that can be done."""
    if not is_store(folder):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # a file, which rmtree leaves
            Path(folder).unlink()
        return
    fs, inner = filesystem(folder)
    with suppress(OSError):
        if not any(sign in inner for sign in "*?["):
            fs.rm(inner, recursive=True)
            return
        for name in fs.find(inner):  # rm would take it for a pattern
            fs.rm_file(name)


@contextmanager
def open_to_read(path: str) -> Iterator[Any]:
    """Give what pyarrow reads a file from: its path, or an open object.

    Raises
    ------
    OSError
        If it isn't there.
    """
    if not is_store(path):
        yield path
        return
    fs, inner = filesystem(path)
    with fs.open(inner, "rb", cache_type="none") as file:
        yield file


class Output:
    """A large file that is being written.

    Attributes
    ----------
    where : str or file
        What pyarrow writes it to.

    Parameters
    ----------
    path : str
        Where it appears once it is whole.
    attempt : str
        Where it is until then; a store keeps what is not whole to itself.
    """

    def __init__(self, path: str, attempt: str) -> None:
        self._path = path
        self._attempt = attempt
        self.where: Any = attempt
        if is_store(path):
            self._fs, self._inner = filesystem(path)
            self.where = self._fs.open(self._inner, "wb")

    def commit(self) -> int:
        """Have it on disk, in its place, and return its size in bytes."""
        if is_store(self._path):
            self.where.close()
            return size_of(self._path)
        fd = os.open(self._attempt, os.O_RDONLY)
        try:
            os.fsync(fd)
            n_bytes = os.fstat(fd).st_size
        finally:
            os.close(fd)
        whole = Path(self._path)
        whole.parent.mkdir(parents=True, exist_ok=True)
        Path(self._attempt).replace(whole)
        return n_bytes

    def discard(self) -> None:
        """Leave nothing of it, if it was not committed."""
        if not is_store(self._path):
            Path(self._attempt).unlink(missing_ok=True)
        elif not self.where.closed:
            with suppress(Exception):  # of a store that is out of reach
                self.where.discard()


def write_error(error: OSError, path: Path | str) -> DestinationError:
    """Return the sentence for an error while writing to a path."""
    if error.errno in FULL:
        free = ""
        with suppress(OSError, StopIteration):
            if not is_store(path):
                n_bytes = shutil.disk_usage(existing(Path(path))).free
                free = f" ({n_bytes / 2**20:,.0f} MiB free)"
        return DestinationFullError(
            f"no space left while writing {path}{free}. Nothing was published; free some space "
            "or choose another destination."
        )
    why = str(error.strerror or error).rstrip(".")
    return DestinationError(f"{path} can't be written: {why}.")


def existing(path: Path) -> Path:
    """Return a path, or the nearest of those above it that is there."""
    return next(p for p in (path, *path.parents) if p.exists())
