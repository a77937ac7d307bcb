"""Opened: the source that a caller asks for, its footers read, fit to be sorted so."""

from __future__ import annotations

from typing import NamedTuple

from dlsort.arrow.hidden import is_hidden
from dlsort.io.parquet.selected import selected
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.paths import list_of
from dlsort.io.source import Source
from dlsort.io.told import check_all_told
from dlsort.keys import SortKey, format_by
from dlsort.order.key_types import check_key_types
from dlsort.publish.destination import check_apart
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import check_partitions, check_row_groups, plan_budget
from dlsort.strategies.kept import with_kept_share
from dlsort.strategies.sizes import default_of
from dlsort.strategies.where import choose_rows

__all__ = ["Selected", "check_source", "open_asked", "open_selected"]


class Selected(NamedTuple):
    """What is sorted of a source, and by what.

    Attributes
    ----------
    source : ParquetSource
        The rows and columns that travel.
    keys : tuple of SortKey
        The key, by their names.
    by : str
        The same as the caller gave it, by the source's names.
    """

    source: ParquetSource
    keys: tuple[SortKey, ...]
    by: str


def open_asked(asked: Asked) -> ParquetSource:
    """Read the footers of what is to be sorted."""
    how = asked.schema, asked.ignore, asked.hive_types, asked.decryption
    source = open_source(asked.src, asked.tuning.io, *how)
    check_all_told(asked.hive_types, source)
    return source


def open_selected(asked: Asked) -> Selected:
    """Read the footers of what is to be sorted, and choose the rows and columns of it.

    Parameters
    ----------
    asked : Asked
        What is wanted.

    Raises
    ------
    DlsortError
        If there is no such source, key or column.
    """
    source = open_asked(asked)
    keys, computed = asked.order(source.schema)
    by = format_by(keys)
    wanted = asked.columns, asked.rename
    if not computed and asked.where is None and wanted == (None, None):
        return Selected(source, keys, by)
    check_key_types(source.schema, tuple(key for key in keys if not is_hidden(key.column)))
    chosen = choose_rows(source.schema, keys, wanted, asked.where, computed)
    found = with_kept_share(selected(source, chosen), asked.tuning.strategies)
    return Selected(found, chosen.keys, by)


def check_source(
    source: Source, asked: Asked, keys: tuple[SortKey, ...], destination: str
) -> None:
    """Raise if a source can't be sorted so, before a cluster is started for nothing.

    Parameters
    ----------
    source : Source
        The footers.
    asked : Asked
        What is wanted.
    keys : tuple of SortKey
        The key.
    destination : str
        Where the parts are to go; empty: nobody has said.
    """
    for place in list_of(asked.src) if destination else ():
        check_apart(destination, place, source.files)
    source.check_columns(source.schema.names, copied=True)
    check_key_types(source.schema, keys)
    tuning = asked.tuning.budget
    check_partitions(asked.partitions, source.n_rows, tuning)
    if asked.scheduler is None:
        n_processes = asked.workers or 1
        n_threads = asked.threads or n_processes
        plan_budget(asked.memory_bytes, n_processes, n_threads, tuning, 0, default_of(asked))
        check_row_groups(source, asked.memory_bytes, n_processes, tuning)
