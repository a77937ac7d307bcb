"""Replaceable: what a destination may hold if it is to be replaced, and which places never are.

A folder is replaced that a reader would take for one dataset, whoever wrote it: Parquet files,
in it or in folders such as ``day=1``, and what Dask, Spark and others put beside them to say
that it is whole, or what its footers say. All else is foreign: notes, a repository, links, a
file that only has the name of a Parquet file, the log of a table, another folder with datasets.
Nor are tables that lie side by side one dataset.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from dlsort.io.find import SUFFIXES
from dlsort.io.one_table import of_no_one_table
from dlsort.io.sinks.sink import Sink
from dlsort.io.storage import filesystem, is_store, stamp_in
from dlsort.tuning import IoTuning

__all__ = [
    "TABLE_LOGS",
    "Held",
    "foreign",
    "is_parquet",
    "look",
    "never_replaced",
    "not_of",
    "tables_apart",
    "unseen",
]


# What lists the files of a table: without it, or it without them, there is no table.
TABLE_LOGS = {"_delta_log/": "Delta", "metadata/": "Iceberg", ".hoodie/": "Hudi"}

_HIVE_FOLDER = re.compile(r"[^.=][^=]*=.*", re.DOTALL)
_FOOTERS = ("_metadata", "_common_metadata")
_MARKER = re.compile(r"_SUCCESS|_(started|committed)_(vacuum)?\d+")  # the latter of Databricks
# What dlsort in a store, and Databricks, write into theirs; that of Hadoop's has a name.
_MARKED = {"by", "rows", "checksum", "files", "added", "removed"}
_OF_HADOOP = "org.apache.hadoop."
_OF_NFS = re.compile(r"\.nfs[0-9a-f]+")  # a removed file, until it is closed

_FOLDER, _OTHER = 0, -1  # in the place of a size
_MAGIC_BYTES = 4
_PARQUET = (b"PAR1", b"PARE")  # the latter with an encrypted footer
_CHECKSUMS = b"crc\0"
_FEWEST_BYTES = 12

# What lies below a folder, by its path there, a folder's with a slash at its end; each with a
# size and what shows that it is still the same. A link has its own, not that of its target. A
# file has itself, with no name.
Held = Mapping[str, Sequence[Any]]


def look(place: str, *, deep: bool = True) -> dict[str, tuple[int, str]]:
    """Return all that a destination holds; nothing if it isn't there.

    Parameters
    ----------
    place : str
        A folder, or a prefix in a store.
    deep : bool
        Also what is in foreign folders.

    Raises
    ------
    OSError
        If it can't be read.
    """
    if not is_store(place):
        return dict(_entries(place, deep=deep))
    fs, inner = filesystem(place)
    begins = inner.strip("/") + "/"
    return {
        name.lstrip("/").removeprefix(begins): stamp_in(info)
        for name, info in dict(fs.find(inner, detail=True)).items()
        if name.lstrip("/").startswith(begins) and name.strip("/") != inner.strip("/")
    }


def _entries(top: str, *, deep: bool) -> Iterator[tuple[str, tuple[int, str]]]:
    if Path(top).is_symlink():  # put there meanwhile
        yield ".", (_OTHER, "link")
        return
    if Path(top).is_file():
        status = Path(top).stat()
        yield "", (status.st_size, str(status.st_mtime_ns))
        return
    folders = [""] if Path(top).exists() else []
    while folders:
        folder = folders.pop()
        with os.scandir(Path(top, folder)) as entries:
            for entry in entries:
                name = folder + entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # gone meanwhile
                    continue
                if stat.S_ISDIR(status.st_mode):
                    yield f"{name}/", (_FOLDER, "folder")
                    if deep or _HIVE_FOLDER.fullmatch(entry.name):
                        folders.append(f"{name}/")
                elif not stat.S_ISREG(status.st_mode):
                    is_link = stat.S_ISLNK(status.st_mode)
                    yield name, (_OTHER, "link" if is_link else "special file")
                else:
                    yield name, (status.st_size, str(status.st_mtime_ns))


def unseen(now: Held, held: Held) -> list[str]:
    """Return what was not there before, or not as it is now."""
    return [
        name
        for name, stamp in now.items()
        if list(stamp) != list(held.get(name, ()))
        and not _OF_NFS.fullmatch(PurePath(name).name)
    ]


def foreign(place: str, held: Held) -> list[str]:
    """Return what in a destination is none of a dataset's, and why if the name does not say.

    Parameters
    ----------
    place : str
        A folder, or a prefix in a store.
    held : mapping
        What it holds, from :func:`look`.
    """
    strays: set[str] = set()
    claims, markers = [], []
    above = _folders(held) if is_store(place) else set()
    for name, (size, what) in held.items():
        *folders, last = name.split("/")
        others = [n for n, part in enumerate(folders, 1) if not _HIVE_FOLDER.fullmatch(part)]
        if others:
            strays.add("/".join(folders[: others[0]]) + "/")
        elif size == _OTHER:
            strays.add(f"{name} (a {what})")
        elif size == 0 and name in above:  # an object that stands for a folder
            continue
        elif _MARKER.fullmatch(last):
            if size:
                markers.append((name, size))
        elif last and not _OF_NFS.fullmatch(last):
            if _is_name(last):
                claims.append((name, size))
            else:
                strays.add(name)
    if claims:
        strays.update(_untrue(place, claims))
    if markers:
        strays.update(_unmarked(place, markers))
    return sorted(strays)


def not_of(sink: Sink, held: Held) -> list[str]:
    """Return what in a destination is no part that was written in another format."""
    is_ours = re.compile(rf"part-\d+{re.escape(sink.suffix)}").fullmatch
    return sorted(
        name
        for name, (size, _) in held.items()
        if size < 0 or not (is_ours(name) or _OF_NFS.fullmatch(name))
    )


def tables_apart(place: str, held: Held, tuning: IoTuning) -> list[str]:
    """Return what shows that a destination, none of it foreign, is no one table.

    As of :func:`dlsort.io.one_table.of_no_one_table`: one file, or two.

    Parameters
    ----------
    place : str
        A folder, or a prefix in a store.
    held : mapping
        What it holds, from :func:`look`.
    """
    files = (name for name in held if _is_part(PurePath(name).name))
    return of_no_one_table(place, files, tuning)


def _folders(names: Iterable[str]) -> set[str]:
    return {str(folder) for name in names for folder in PurePosixPath(name).parents}


def _is_name(name: str) -> bool:
    """Return whether a dataset's file can have a name."""
    if name.startswith(".") and name.endswith(".crc"):  # Hadoop's checksums of a file
        return _is_name(name[1:].removesuffix(".crc"))
    if name in _FOOTERS or _MARKER.fullmatch(name):
        return True
    return _is_part(name)


def _is_part(name: str) -> bool:
    return PurePath(name).suffix in SUFFIXES and not name.startswith(("_", "."))


def _paths(place: str, files: Sequence[tuple[str, int]]) -> tuple[Any, list[str]]:
    """Return the file system, and the files' paths in it."""
    if is_store(place):
        fs, inner = filesystem(place)
    else:
        import fsspec

        fs, inner = fsspec.filesystem("file"), place
    return fs, [f"{inner.rstrip('/')}/{name}" for name, _ in files]


def _unmarked(place: str, files: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield the files that have the name of a marker, and hold what no marker does."""
    fs, paths = _paths(place, files)
    held = fs.cat_ranges(paths, [0] * len(files), [size for _, size in files])
    for (name, _), data in zip(files, held, strict=True):
        if not isinstance(data, bytes):  # an error
            if not isinstance(data, FileNotFoundError):
                yield f"{name} (can't be read)"
        elif not _is_marker(data):
            yield f"{name} (holds what no marker does)"


def _is_marker(data: bytes) -> bool:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict):
        return False
    return content.keys() <= _MARKED or str(content.get("name")).startswith(_OF_HADOOP)


def _untrue(place: str, files: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield the files that do not begin, or end, as their names say."""
    fs, paths = _paths(place, files)
    sizes = [size for _, size in files]
    starts = [0] * len(files) + [max(0, size - _MAGIC_BYTES) for size in sizes]
    read = fs.cat_ranges(paths * 2, starts, [start + _MAGIC_BYTES for start in starts])
    ends = zip(read[: len(files)], read[len(files) :], strict=True)
    for (name, size), (head, tail) in zip(files, ends, strict=True):
        is_crc = name.endswith(".crc")
        if not is_crc and size < _FEWEST_BYTES:
            yield f"{name} (not Parquet)"
        elif not isinstance(head, bytes) or not isinstance(tail, bytes):  # an error
            if not isinstance(head, FileNotFoundError):
                yield f"{name} (can't be read)"
        elif is_crc and head != _CHECKSUMS:
            yield f"{name} (no checksums)"
        elif not is_crc and (head not in _PARQUET or tail != head):
            yield f"{name} (not Parquet)"


def is_parquet(path: str) -> bool:
    """Return whether a file of a file system begins and ends as Parquet does."""
    return not list(
        _untrue(str(Path(path).parent), [(Path(path).name, Path(path).stat().st_size)])
    )


def never_replaced(place: str) -> str | None:
    """Return what a place is that is never replaced; None for any other."""
    if is_store(place):
        url_inner = place.split("://", 1)[1]
        is_root = "/" not in url_inner or "/" not in filesystem(place)[1].rstrip("/")
        return "a bucket, or a whole store" if is_root else None
    path = Path(os.path.realpath(place))  # which takes links that lead in a circle
    if not path.is_dir():
        return None
    if path == path.parent:
        return "the root of the file system"
    with suppress(OSError):  # one that was removed
        if (what := _holds(path, Path.cwd(), "the working directory")) is not None:
            return what
    for home in _homes(path):
        if (what := _holds(path, home, "a home folder")) is not None:
            return what
    if path.is_mount():
        return "a mount point"
    below = [mount for mount in _mount_points() if mount.is_relative_to(path)]
    if below:
        return "a mount point" if path in below else f"a folder with a mount in it ({below[0]})"
    return None


def _holds(path: Path, inner: Path, what: str) -> str | None:
    """Return what a folder is to another one: the same, or above it; by any name."""
    for folder in (inner, *inner.parents):
        with suppress(OSError):
            if folder.samefile(path):
                return what if folder == inner else f"a folder above {what}"
    return None


def _homes(path: Path) -> Iterable[Path]:
    """Return the user's home folders, and those of who owns a folder or one in it."""
    with suppress(RuntimeError):
        yield Path.home()
    owners = {os.geteuid(), path.stat().st_uid}
    with os.scandir(path) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    owners.add(entry.stat(follow_symlinks=False).st_uid)
    for owner in owners:
        with suppress(KeyError):
            yield Path(pwd.getpwuid(owner).pw_dir)


def _mount_points() -> list[Path]:
    """Return where anything is mounted, folders of the same file system too; Linux only."""
    try:
        content = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return []
    places = [line.split(" ")[4] for line in content.split("\n") if line]
    return [Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), p)) for p in places]
