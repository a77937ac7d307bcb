"""Snapshots: a folder that is a table, its format, and the files that it has now.

The files of such a folder are of all its versions: read as they lie, rows would come back that
were deleted or replaced. So a table is read by its log, and nothing inside of one without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dlsort.errors import BadOptionError
from dlsort.io.listing.names import is_ignored
from dlsort.io.storage import is_store, names_in
from dlsort.io.tables.table import Snapshot, TableFolder

__all__ = [
    "read_snapshot",
    "table_above",
    "tables_among",
]

_THREADS = 8
_METADATA = re.compile(r"(?:v?\d+(?:-[0-9a-fA-F-]+)?)(?:\.gz)?\.metadata\.json(?:\.gz)?")


def _mark_of(folder: str, names: Iterable[str], ignore: Sequence[str]) -> TableFolder | None:
    """Return the table whose log is among the names in a folder."""
    for name in names:
        mark, _, inner = name.strip("/").partition("/")
        kind = {"_delta_log": "Delta", ".hoodie": "Hudi"}.get(mark)
        if mark == "metadata" and _METADATA.fullmatch(inner):
            kind = "Iceberg"
        if kind and not is_ignored(mark, ignore):
            return TableFolder(folder, kind, mark)
    return None


def tables_among(names: Iterable[str], ignore: Sequence[str]) -> list[TableFolder]:
    """Return the tables among names below a place; none that lies in another.

    Parameters
    ----------
    names : iterable of str
        Files, and hidden folders with ``/`` behind them.
    ignore : sequence of str
        Patterns; a log that one names does not count.
    """
    found: dict[str, TableFolder] = {}
    for name in names:
        folder, _, last = name.rstrip("/").rpartition("/")
        if last == "_delta_log" or last == ".hoodie":
            below = last
        elif folder.rpartition("/")[2] == "metadata" and _METADATA.fullmatch(last):
            folder, below = folder.rpartition("/")[0], f"metadata/{last}"
        else:
            continue
        if table := _mark_of(folder, [below], ignore):
            found.setdefault(folder, table)
    outer = sorted(found)
    return [
        found[folder]
        for folder in outer
        if not any(
            other == "" or folder.startswith(f"{other}/") for other in outer if other != folder
        )
    ]


def _lies_in(folder: str, other: str) -> bool:
    return folder != other and (not other or folder.startswith(f"{other}/"))


def table_above(folders: Iterable[str], ignore: Sequence[str]) -> TableFolder | None:
    """Return a table that one of some folders is, or lies in.

    A folder named ``column=value`` is taken for none, only what is above it.
    """
    looked: dict[str, None] = {}
    for folder in folders:
        above = folder
        while above and not above.endswith(("/", ":")) and above not in looked:
            if "=" not in above.rpartition("/")[2]:
                looked[above] = None
            above = above.rpartition("/")[0]
    with ThreadPoolExecutor(_THREADS) as pool:
        how = map if not any(map(is_store, looked)) else pool.map
        return next((t for t in how(partial(_table_at, ignore=ignore), looked) if t), None)


def _table_at(folder: str, ignore: Sequence[str]) -> TableFolder | None:
    """Return the table that a folder is; in a store by a request for each kind."""
    names = [mark + "/" for mark in ("_delta_log", ".hoodie") if names_in(f"{folder}/{mark}")]
    names += [f"metadata/{name}" for name in names_in(f"{folder}/metadata")]
    return _mark_of(folder, names, ignore)


def read_snapshot(table: TableFolder) -> Snapshot:
    """Return what a table is now.

    Raises
    ------
    BadOptionError
        If its format can't be read, or the package for it is not there.
    CorruptSourceError
        If its log can't be read.
    """
    way = f"or read its files as they lie by --ignore {table.mark} (ignore={table.mark!r})"
    if table.kind == "Hudi":
        msg = (
            f"{table.path} is a Hudi table ({table.mark}): which of its files are current, "
            "dlsort can't tell. Write its current rows to Parquet files with Hudi or Spark "
            f"first, {way}."
        )
        raise BadOptionError(msg)
    try:
        if table.kind == "Delta":
            from dlsort.io.tables.delta import read_delta as read
        else:
            from dlsort.io.tables.iceberg import read_iceberg as read
    except ImportError as error:
        extra = table.kind.lower()
        missing = (error.name or extra).partition(".")[0]
        msg = (
            f"{table.path} is a table of format {table.kind} ({table.mark}), and {missing} "
            "is not installed, which tells its current files: pip install "
            f"'dlsort[{extra}]', {way}."
        )
        raise BadOptionError(msg) from error
    return read(table)
