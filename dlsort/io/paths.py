"""Paths as callers give them: checked, and as text."""

from __future__ import annotations

import errno
import os
import re
from itertools import chain
from pathlib import Path
from typing import Any

from dlsort.errors import BadOptionError, shown
from dlsort.io.path_list import read_list
from dlsort.io.storage import is_store, without_scheme
from dlsort.options.arguments import data_name, is_dasks

__all__ = [
    "Places",
    "check_path",
    "list_of",
    "natural_order",
    "read_folder",
    "read_path",
    "read_places",
    "shown_places",
]

#: What a source is named by: one path or URL, or a list of them.
Places = str | tuple[str, ...]

# What Linux, macOS and their file systems take for one name, at most.
_MOST_NAME_BYTES = 255


def check_path(path: object, what: str) -> None:
    """Raise unless something can be the path of a file or folder.

    Raises
    ------
    BadOptionError
        If it is empty, no path at all, or one that is too long.
    """
    try:
        plain = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        os.fsencode(plain)  # which text of no character at all can't be
    except Exception:  # whatever a stranger's __fspath__ raises
        plain = ""
    if (data := data_name(path)) is not None:
        msg = f"the {what} is {data}; expected the path of a file or folder."
        if what.startswith("source"):
            door = "sort_values" if is_dasks(path) else "sort_table"
            msg += f" Write it to Parquet files, or sort it as it is with dlsort.{door}."
        raise BadOptionError(msg)
    if not isinstance(plain, str) or not plain.strip() or "\0" in plain:
        msg = f"the {what} is {shown(path)}; expected the path of a file or folder."
        raise BadOptionError(msg)
    local = without_scheme(plain)
    if not is_store(local) and _is_too_long(Path(local)):
        msg = (
            f"the {what} is {shown(plain)}, of {len(plain):,} characters, which is longer than "
            "a file system takes; expected the path of a file or folder."
        )
        raise BadOptionError(msg)


def _is_too_long(path: Path) -> bool:
    # Where a folder on the way is not there yet, the system does not look at the names below.
    if any(len(os.fsencode(part)) > _MOST_NAME_BYTES for part in path.parts):
        return True
    try:
        path.absolute().lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def read_path(value: Any, what: str) -> str:
    """Return a path, or a URL, as text.

    Raises
    ------
    BadOptionError
        If it is empty, or no path at all.
    """
    check_path(value, what)
    return str(os.fspath(value))


def read_places(value: Any, what: str) -> Places:
    """Return a path or a URL as text, or several of them; those of ``file://`` as paths.

    ``"@file"`` stands for the paths that a file lists.

    Raises
    ------
    BadOptionError
        If one is empty, or no path at all, or there is none.
    """
    if not isinstance(value, list | tuple):
        path = read_path(value, what)
        return read_list(path[1:]) if path.startswith("@") else str(without_scheme(path))
    if not value:
        msg = f"the {what} is an empty list; expected paths of files or folders."
        raise BadOptionError(msg)
    found = (list_of(read_places(read_path(one, what), what)) for one in value)
    return tuple(chain.from_iterable(found))


def list_of(places: Places) -> tuple[str, ...]:
    """Return the paths, also where there is one."""
    return (places,) if isinstance(places, str) else places


def shown_places(places: Places) -> str:
    """Return paths as one line.

    Examples
    --------
    >>> shown_places("in"), shown_places(("a", "b")), shown_places(("a", "b", "c", "d"))
    ('in', 'a, b', 'a, b and 2 more')
    """
    few = list_of(places)
    more = f" and {len(few) - 2:,} more" if len(few) > 3 else ""
    return ", ".join(few[: 2 if more else None]) + more


def natural_order(path: str) -> list[str | int]:
    """Return what sorts paths as people do, as Dask's files are.

    Examples
    --------
    >>> sorted(["part.10", "part.2"], key=natural_order)
    ['part.2', 'part.10']
    """
    parts: list[str | int] = [*re.split(r"(\d+)", path)]
    parts[1::2] = map(int, parts[1::2])
    return parts


def read_folder(value: Any, name: str) -> str:
    """Return the absolute path of a folder, which need not be there.

    Raises
    ------
    BadOptionError
        If it can't be the path of one.
    """
    try:
        check_path(value, name)
    except BadOptionError:
        msg = f"{name} is {shown(value)}; expected an existing folder."
        raise BadOptionError(msg) from None
    return str(Path(value).absolute())
