"""Paths as callers give them: checked, and as text."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from dlsort.arguments import data_name, is_dasks
from dlsort.errors import BadOptionError, shown
from dlsort.io.storage import is_store, without_scheme

__all__ = ["check_path", "read_folder", "read_path"]

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
