"""Report path: where ``--report`` may write, which is over no data."""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from dlsort.cli.failures import Failure

__all__ = ["check_report_path"]


def check_report_path(report: str, src: str, dst: str, flag: str = "--report") -> Path | None:
    """Return a report's path if it can be written, and nothing is lost by it.

    None for standard output. ``dst`` is empty where nothing is sorted.

    Raises
    ------
    Failure
        If it can't, or lies where readers would take it for data, or is data.
    """
    from dlsort.io.find import SUFFIXES
    from dlsort.io.storage import is_store, without_scheme

    if report == "-":
        return None
    path, real = Path(report).absolute(), _real(report)
    source, place = str(without_scheme(src)), str(without_scheme(dst)) if dst else ""
    if place and not is_store(place) and real.is_relative_to(_real(place)):
        raise Failure(
            f"{flag} {report} lies inside the destination {dst}, where readers would take it "
            "for a part; choose a place outside."
        )
    if path.is_dir():
        raise Failure(f"{flag} {report} is a folder; name a file.")
    if _is_parquet(path):
        raise Failure(f"{flag} {report} is a Parquet file; name one that is no data.")
    folder = _real(_without_magic(Path(source)))
    is_wanted = Path(source).is_dir() or real.name.endswith(SUFFIXES)
    if not is_store(source) and is_wanted and real.is_relative_to(folder):
        raise Failure(
            f"{flag} {report} lies inside the source {src}, where the next sort would take "
            "it for data; choose a place outside."
        )
    is_new = not path.exists()
    try:
        # One who reads a pipe would take this for the end.
        if is_new or path.is_file():
            path.open("a").close()
    except OSError as error:
        raise Failure(f"{flag} {report} can't be written: {error.strerror}.") from error
    if is_new:
        real.unlink()  # a link stays
    return path


def _real(path: str | Path) -> Path:
    """Return a path without links in it; unlike `Path.resolve`, of links in a circle too."""
    return Path(os.path.realpath(path))


def _is_parquet(path: Path) -> bool:
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(4) in (b"PAR1", b"PARE")
    return False


def _without_magic(path: Path) -> Path:
    """Return a glob's folder, up to where it begins to match."""
    if path.exists():
        return path
    return Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
