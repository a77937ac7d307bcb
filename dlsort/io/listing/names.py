"""Names: what a file's name and the folders on its way say of it, before it is opened."""

from __future__ import annotations

import glob as globbing
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from dlsort.errors import BadOptionError, shown

__all__ = [
    "before_glob",
    "hidden_part",
    "is_document",
    "is_ignored",
    "partition_folders",
    "read_ignore",
]

_HIDDEN = ("_", ".")
# An empty object that some writers put in the place of a folder.
_FOLDER_MARK = "_$folder$"

# What people put beside data, and what nobody reads rows from.
_DOCUMENTS = (
    *(".md", ".rst", ".adoc", ".html", ".htm", ".pdf", ".png", ".jpg", ".jpeg", ".svg"),
    *(".py", ".ipynb", ".r", ".sql", ".sh", ".yml", ".yaml", ".toml", ".ini", ".cfg"),
    *(".log", ".lock", ".crc", ".md5", ".sha1", ".sha256", ".sha512"),
)
_DOCUMENT_STEMS = ("readme", "license", "licence", "notice", "changelog", "citation")


def hidden_part(name: str, pattern: str | None = None) -> str | None:
    """Return the first folder on a name's way, or the name, that begins with ``_`` or ``.``.

    Parameters
    ----------
    name : str
        Below the source, with ``/`` between its parts.
    pattern : str, optional
        The glob that it matches: what this begins with the same sign was asked for.

    Examples
    --------
    >>> hidden_part("a/_SUCCESS"), hidden_part("_tmp/a/0.parquet"), hidden_part("a/0_.parquet")
    ('a/_SUCCESS', '_tmp', None)
    >>> hidden_part("_year=2024/0.parquet")
    >>> hidden_part("_x/0.parquet", "_*/*"), hidden_part("a/_x", "**/*"), hidden_part("_x", "*")
    (None, 'a/_x', '_x')
    """
    parts = name.strip("/").split("/")
    wanted = _aligned(pattern, len(parts)) if pattern else [""] * len(parts)
    for i, (part, of_pattern) in enumerate(zip(parts, wanted, strict=True)):
        is_hidden = part.startswith(_HIDDEN) or part.endswith(_FOLDER_MARK)
        if part.startswith("_") and "=" in part:
            continue  # of a column that is called so, with rows in it: Spark has the same rule
        if is_hidden and part[0] != of_pattern[:1]:
            return "/".join(parts[: i + 1])
    return None


def _aligned(pattern: str, n_parts: int) -> list[str]:
    """Return the part of a pattern that each part of a name matches; "" for those of ``**``."""
    parts = pattern.strip("/").split("/")
    if "**" not in parts:
        return [*parts, *[""] * n_parts][:n_parts]  # what follows lies in a folder that matches
    first = parts.index("**")
    after = len(parts) - 1 - parts[::-1].index("**")
    head, tail = parts[:first], parts[after + 1 :]
    middle = [""] * max(0, n_parts - len(head) - len(tail))
    return [*head, *middle, *tail][-n_parts:]


def is_document(name: str) -> bool:
    """Return whether nobody would look for rows in a file of this name.

    Examples
    --------
    >>> [is_document(n) for n in ("a/README.txt", "load.py", "a.csv", "notes.txt", "000000_0")]
    [True, True, False, False, False]
    """
    path = PurePosixPath(name)
    stem = path.name.split(".", 1)[0].lower()
    return stem in _DOCUMENT_STEMS or path.suffix.lower() in _DOCUMENTS


def is_ignored(name: str, ignore: Sequence[str]) -> bool:
    """Return whether a pattern matches a file's name, its path, or a folder on its way.

    Examples
    --------
    >>> [is_ignored("old/a.csv", [p]) for p in ("*.csv", "old", "old/*", "a", "*.pq", "old/")]
    [True, True, True, False, False, True]
    """
    if not ignore:
        return False
    parts = name.strip("/").split("/")
    ways = {*parts, *("/".join(parts[: i + 1]) for i in range(len(parts)))}
    return any(fnmatchcase(way, p.rstrip("/")) for p in ignore for way in ways)


def read_ignore(value: Any) -> tuple[str, ...]:
    """Return the patterns of files to leave out.

    Raises
    ------
    BadOptionError
        If it is neither a pattern nor a list of these.
    """
    patterns = (value,) if isinstance(value, str) else value
    try:
        found = tuple(() if patterns is None else patterns)
    except TypeError:
        found = (None,)
    if not all(isinstance(p, str) and p.strip("/ ") for p in found):
        msg = f"ignore is {shown(value)}; expected a pattern such as '*.csv', or several."
        raise BadOptionError(msg)
    return found


def before_glob(pattern: str) -> tuple[str, str]:
    """Return the folders of a glob before the first that has a sign in it, and the rest.

    Examples
    --------
    >>> before_glob("/in/day=1/*/0?.pq"), before_glob("*.pq")
    (('/in/day=1', '*/0?.pq'), ('', '*.pq'))
    """
    parts = pattern.split("/")
    first = next(
        (i for i, part in enumerate(parts) if globbing.has_magic(part)), len(parts) - 1
    )
    return "/".join(parts[:first]) or ("/" if pattern.startswith("/") else ""), "/".join(
        parts[first:]
    )


def partition_folders(folder: str) -> tuple[str, ...]:
    """Return the folders named ``column=value`` that a folder's path ends with.

    Examples
    --------
    >>> partition_folders("/runs/run=5/in/year=2024/day=1"), partition_folders("in")
    (('year=2024', 'day=1'), ())
    """
    found: list[str] = []
    for part in reversed(folder.rstrip("/").split("/")):
        if "=" not in part:
            break
        found.insert(0, part)
    return tuple(found)
