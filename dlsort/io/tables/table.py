"""Tables: a folder with a log, and what this tells of the files that are current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

__all__ = ["Snapshot", "TableFile", "TableFolder"]


@dataclass(frozen=True)
class TableFolder:
    """A folder with a table's log in it.

    Parameters
    ----------
    path : str
        Path or URL; or name below a place, "" for the place itself.
    kind : str
        ``Delta``, ``Iceberg`` or ``Hudi``.
    mark : str
        The name in the folder that shows it.
    """

    path: str
    kind: str
    mark: str


@dataclass(frozen=True)
class TableFile:
    """A file of a snapshot; ``values`` are columns that the log tells, as text."""

    path: str
    values: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A table as it is now.

    Parameters
    ----------
    folder : TableFolder
        Where it is.
    version : str
        Which of its versions.
    schema : pyarrow.Schema
        Its columns, in order; Iceberg's with their numbers, by which files name them.
    files : tuple of TableFile
        Its files.
    log : str
        The file that tells it, which stands for it where it has none.
    numbers : dict of str to int, optional
        Iceberg's of the names that columns and fields have in files that tell no number.
    """

    folder: TableFolder
    version: str
    schema: pa.Schema
    files: tuple[TableFile, ...]
    log: str
    numbers: Mapping[str, int] | None = None
