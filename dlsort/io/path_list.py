"""Path lists: files with the paths of a source, one a line."""

from __future__ import annotations

from pathlib import Path

from dlsort.errors import BadOptionError, SourceNotFoundError
from dlsort.io.storage import is_store, join, read_bytes, without_scheme

__all__ = ["read_list"]


def read_list(name: str) -> tuple[str, ...]:
    """Return the paths that a file lists; relative ones are below the file's folder.

    Empty lines, and those that begin with ``#``, say nothing.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    BadOptionError
        If it can't be read, or lists nothing.
    """
    path = str(without_scheme(name))
    try:
        lines = read_bytes(path).decode().splitlines()
    except FileNotFoundError as error:
        msg = f"{name} does not exist; expected a list of paths, one a line, behind the @."
        raise SourceNotFoundError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        msg = f"{name} can't be read as a list of paths: {why}."
        raise BadOptionError(msg) from error
    stripped = (line.strip() for line in lines)
    found = [line for line in stripped if line and not line.startswith("#")]
    if not found:
        msg = f"{name} lists no path; expected one a line."
        raise BadOptionError(msg)
    folder = path.rpartition("/")[0] if is_store(path) else str(Path(path).absolute().parent)
    return tuple(_below(folder, str(without_scheme(each))) for each in found)


def _below(folder: str, path: str) -> str:
    return path if is_store(path) or path.startswith("/") else join(folder, path)
