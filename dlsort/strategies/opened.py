"""Opened: the source that a caller asks for, its footers read, fit to be sorted so."""

from __future__ import annotations

from dlsort.io.hive_folders import check_partition_by
from dlsort.io.parquet.profiles import check_profile
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.paths import list_of
from dlsort.io.source import Source
from dlsort.io.told import check_all_told
from dlsort.keys import SortKey
from dlsort.order.key_types import check_key_types
from dlsort.publish.destination import check_apart
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import check_partitions, check_row_groups, plan_budget
from dlsort.strategies.sizes import default_of

__all__ = ["check_source", "open_asked"]


def open_asked(asked: Asked) -> ParquetSource:
    """Read the footers of what is to be sorted."""
    how = asked.schema, asked.ignore, asked.hive_types, asked.decryption
    source = open_source(asked.src, asked.tuning.io, *how)
    check_all_told(asked.hive_types, source)
    return source


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
    check_profile(source.schema, asked.profile)
    check_partition_by(source.schema, asked.partition_by)
    check_key_types(source.schema, keys)
    tuning = asked.tuning.budget
    check_partitions(asked.partitions, source.n_rows, tuning)
    if asked.scheduler is None:
        n_processes = asked.workers or 1
        n_threads = asked.threads or n_processes
        plan_budget(asked.memory_bytes, n_processes, n_threads, tuning, 0, default_of(asked))
        check_row_groups(source, asked.memory_bytes, n_processes, tuning)
