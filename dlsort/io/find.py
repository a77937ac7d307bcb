"""Source files: which files belong to a source, and what is said of an unreadable one.

One rule holds for a file, a folder, a glob and a list of these, on disk and in stores:

- every file counts, whatever its suffix; its first and last bytes say whether it is Parquet
  (:mod:`dlsort.io.listing.passed_over` is about those that are not);
- names that begin with ``_`` or ``.`` are passed over, unless they are asked for as such;
- a folder stands for its files at any depth, also one that a glob meets or a link leads to;
- a folder that is a table stands for its current snapshot (:mod:`dlsort.io.tables`);
- folders named ``column=value`` are columns (:mod:`dlsort.io.listing.hive`).
"""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    SourceNotFoundError,
    SourceUnsupportedError,
)
from dlsort.io.listing.hive import folder_values
from dlsort.io.listing.names import is_ignored
from dlsort.io.listing.passed_over import SUFFIXES, said
from dlsort.io.listing.places import Place, list_place
from dlsort.io.paths import Places, list_of, natural_order
from dlsort.io.storage import is_store
from dlsort.io.tables.snapshot import read_snapshot, table_above, tables_among
from dlsort.io.tables.table import Snapshot, TableFolder

__all__ = [
    "SUFFIXES",
    "UNREADABLE",
    "BadFileError",
    "Listing",
    "SourceFile",
    "UnsupportedFileError",
    "corrupt",
    "find_files",
]


class BadFileError(ValueError):
    """A file that can't be what it says; the message says why, without the file's name."""


class UnsupportedFileError(BadFileError):
    """A file may be sound, but can't be read or kept; the message says why and what to do."""


# What reading a file raises that is not as it should be.
UNREADABLE = (pa.ArrowException, OSError, IndexError, BadFileError)


class SourceFile(NamedTuple):
    """A file that may hold rows of a source.

    Attributes
    ----------
    path : str
        Absolute path, or an object's URL.
    values : tuple of (str, str or None)
        Columns that its folders, or its table, tell of it, as text.
    table : Snapshot or None
        The table whose snapshot it is of.
    is_named : bool
        It was named itself, so it has to be Parquet.
    """

    path: str
    values: tuple[tuple[str, str | None], ...] = ()
    table: Snapshot | None = None
    is_named: bool = False


@dataclass(frozen=True)
class Listing:
    """What a source consists of.

    Parameters
    ----------
    files : tuple of SourceFile
        In the order of what was named, and of each of these in natural order.
    passed : dict of str to list of str
        What was passed over, by the reason: ``hidden``, ``ignored`` or ``linked``.
    """

    files: tuple[SourceFile, ...]
    passed: dict[str, list[str]] = field(default_factory=dict)


def find_files(src: Places, ignore: Sequence[str] = ()) -> Listing:
    """Return the files that a path, a folder, a glob, or a list of these stands for.

    Parameters
    ----------
    src : str or tuple of str
        Paths or URLs. A folder that is given alone is a root: folders named ``column=value``
        count from there. Above a file, a glob and all that is in a list they count too.
    ignore : sequence of str
        Patterns of names to leave out.

    Raises
    ------
    SourceNotFoundError
        If there is none.
    CorruptSourceError
        If a folder or a table can't be read.
    BadOptionError
        If files lie in a table that was not named, or are named twice.
    """
    passed: dict[str, list[str]] = {}
    files: list[SourceFile] = []
    for place in list_of(src):
        names = list_place(place, is_root=isinstance(src, str))
        found = _of_place(place, names, ignore, passed)
        if not found:
            raise SourceNotFoundError(_nothing_at(place, passed))
        files += sorted(found, key=lambda file: natural_order(file.path))
    _refuse_twice(files, follow=not isinstance(src, str))
    return Listing(tuple(files), passed)


def _refuse_twice(files: Sequence[SourceFile], *, follow: bool) -> None:
    """Raise if a file is there twice; in a list links are followed, as they lead elsewhere."""
    seen: dict[str, str] = {}
    real_folder = lru_cache(maxsize=1024)(os.path.realpath)
    for file in files:
        real = file.path
        if follow and not is_store(real):
            folder, _, name = real.rpartition("/")
            real = f"{real_folder(folder)}/{name}"
            if os.path.islink(real):  # noqa: PTH114 - of each file of a list
                real = os.path.realpath(real)
        if real in seen:
            name = "" if seen[real] == file.path else f" {seen[real]} by another name and"
            msg = f"{file.path} is{name} in the source twice; name it once."
            raise BadOptionError(msg)
        seen[real] = file.path


def _nothing_at(src: str, passed: dict[str, list[str]]) -> str:
    is_glob = globbing.has_magic(src)
    if not is_store(src) and not passed and (is_glob or not Path(src).exists()):
        what = "matches no file" if is_glob else "does not exist"
        return f"{src} {what}; expected a Parquet file, a folder of them or a glob."
    expected = (
        "an object, a prefix of some or a glob" if is_store(src) else "at least one in it"
    )
    there = f" Passed over: {said(passed)}." if passed else ""
    return f"{src} holds no Parquet file; expected {expected}.{there}"


def _of_place(
    src: str, place: Place, ignore: Sequence[str], passed: dict[str, list[str]]
) -> list[SourceFile]:
    """Return the files of one path, folder or glob; note what is passed over."""
    tables = [
        table
        for table in tables_among([*place.names, *place.hidden], ignore)
        if any(f"{table.path}/".startswith(prefix) for prefix in place.whole)
    ]
    inside = {f"{table.path}/" if table.path else "": table for table in tables}
    found = [
        file
        for table in tables
        for file in _of_table(replace(table, path=place.path(table.path)))
    ]
    _note(passed, "hidden", place, [n for n in place.hidden if not _in_any(n, inside)])
    _note(passed, "linked", place, place.linked)
    real_folder = os.path.realpath(place.folder)
    # what is read, without links; what is in a table is the table's own matter
    there = {
        f"{real_folder}/{name}"
        for name, real in place.names.items()
        if real is None and (_in_any(name, inside) or not is_ignored(name, ignore))
    }
    links = sorted((n for n, r in place.names.items() if r is not None), key=natural_order)
    plain = (name for name, real in place.names.items() if real is None)
    parents: set[str] = set()
    for name in chain(plain, links):
        real = place.names[name]
        if _in_any(name, inside):
            continue
        if is_ignored(name, ignore):
            _note(passed, "ignored", place, [name])
        elif real is not None and real in there:
            _note(passed, "linked", place, [name])
        else:
            path = place.path(name)
            folders = (*place.above, *name.split("/")[:-1])
            values = folder_values(path, folders)
            found.append(SourceFile(path, values, is_named=place.is_file))
            if real is not None:
                there.add(real)
            parents.add(path.rpartition("/")[0])
    for name, what in place.broken.items():
        if not is_ignored(name, ignore):
            msg = f"{place.path(name)} {what}; remove it, or put the file there."
            raise SourceNotFoundError(msg)
        _note(passed, "ignored", place, [name])
    if parents:
        _refuse_inside(src, place, parents, ignore, is_glob=globbing.has_magic(src))
    return found


def _note(passed: dict[str, list[str]], why: str, place: Place, names: Sequence[str]) -> None:
    if names:
        ends = ("/" if name.endswith("/") else "" for name in names)
        passed.setdefault(why, []).extend(
            place.path(n) + e for n, e in zip(names, ends, strict=True)
        )


def _in_any(name: str, inside: dict[str, TableFolder]) -> bool:
    return any(name.startswith(prefix) for prefix in inside)


def _of_table(table: TableFolder) -> list[SourceFile]:
    """Return the current files of a table; its log, as one without rows, if there is none."""
    snapshot = read_snapshot(table)
    if not snapshot.files:
        return [SourceFile(snapshot.log, table=snapshot)]
    return [SourceFile(file.path, file.values, snapshot) for file in snapshot.files]


def _refuse_inside(
    src: str, place: Place, parents: set[str], ignore: Sequence[str], *, is_glob: bool
) -> None:
    """Raise if files lie in a table that was not named: they may hold rows of the past.

    In a folder that was named tables have been found by the names there; a glob may have
    passed by them.
    """
    table = table_above([place.folder, *(parents if is_glob else ())], ignore)
    if table is not None:
        msg = (
            f"{src} has files of {table.path}, a table of format {table.kind} "
            f"({table.mark}): they may hold rows that were deleted or replaced. Name the "
            "table, which gives its current rows; or read its files as they lie by --ignore "
            f"{table.mark} (ignore={table.mark!r})."
        )
        raise BadOptionError(msg)


def corrupt(path: str, error: BaseException) -> CorruptSourceError | SourceUnsupportedError:
    """Return the error that says of a file that it can't be read, and why."""
    if isinstance(error, UnsupportedFileError):
        return SourceUnsupportedError(f"can't read {path}: {error}")
    first_line = (
        str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    )
    if isinstance(error, PermissionError):
        return CorruptSourceError(f"can't read {path}: permission denied.")
    lacks = ("too deeply nested", "lists to be of size=0")
    if isinstance(error, pa.ArrowNotImplementedError) or any(x in first_line for x in lacks):
        return SourceUnsupportedError(
            f"can't read {path}: pyarrow {pa.__version__} can't read what it holds "
            f"({first_line}). Write the file again without it, or try a later pyarrow."
        )
    if "list offsets" in first_line:
        return SourceUnsupportedError(
            f"can't read {path}: its lists and their values disagree ({first_line}). DuckDB "
            "writes arrays of a fixed size so where one is null: have it write lists, as by "
            "`a::INTEGER[]`."
        )
    return CorruptSourceError(
        f"can't read {path}: it is truncated, corrupt or not Parquet ({first_line}). "
        "Replace the file or leave it out of the source."
    )
