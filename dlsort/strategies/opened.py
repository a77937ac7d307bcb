"""Opened: the source that a caller asks for, its footers read, fit to be sorted so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.hidden import is_hidden
from dlsort.errors import BadOptionError, DestinationExistsError, DlsortError, RowsLostError
from dlsort.ingest.formats import is_direct
from dlsort.ingest.sources import Incoming, take_in
from dlsort.io.find import Listing
from dlsort.io.hive_folders import check_partition_by
from dlsort.io.parquet.profiles import check_profile
from dlsort.io.parquet.selected import selected
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.parts import MANIFEST
from dlsort.io.paths import list_of
from dlsort.io.schema.united import SchemaWanted
from dlsort.io.sinks.pour import check_sink
from dlsort.io.source import Origin, Source
from dlsort.io.storage import existing, is_store
from dlsort.io.told import check_all_told
from dlsort.keys import SortKey, format_by, parse_by
from dlsort.order.key_types import check_key_types
from dlsort.proof.checksum import total
from dlsort.proof.outcome import Outcome
from dlsort.publish.destination import check_apart
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import check_partitions, check_row_groups, plan_budget
from dlsort.strategies.kept import with_kept_share
from dlsort.strategies.sizes import default_of
from dlsort.strategies.where import choose_rows
from dlsort_cluster.machine import machine_cores

__all__ = ["Selected", "check_source", "check_taken_in", "open_asked", "open_selected"]


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


@contextmanager
def open_asked(asked: Asked) -> Iterator[ParquetSource]:
    """Give what is to be sorted, its footers read; what is no Parquet is made so meanwhile."""
    incoming = Incoming(
        asked.src, asked.ignore, asked.schema, asked.input_format, asked.csv_options
    )

    def open_listing(listing: Listing, schema: SchemaWanted) -> ParquetSource:
        how = asked.ignore, asked.hive_types, asked.decryption, listing
        return open_source(asked.src, asked.tuning.io, schema, *how)

    def key_columns(names: list[str]) -> list[str]:
        with suppress(DlsortError):  # told once all columns are known
            tops = {key.column.partition(".")[0] for key in parse_by(asked.by, names)}
            return [name for name in names if name in tops]
        return []

    with take_in(
        incoming,
        asked.tuning,
        threads=asked.threads or machine_cores(),
        temp_dir=_temp_dir(asked),
        key_columns=key_columns,
    ) as taken:
        source = taken.open(open_listing)
        check_all_told(asked.hive_types, source)
        yield source


def _temp_dir(asked: Asked) -> str | None:
    """Return where pieces go: on a cluster, to a folder that its workers see."""
    if asked.temp_dir or asked.scheduler is None or not asked.dst or is_store(asked.dst):
        return asked.temp_dir
    return str(existing(Path(asked.dst).absolute().parent))


def check_taken_in(source: Source, outcome: Outcome) -> None:
    """Compare the rows that were read of other formats with those that were sorted.

    Parameters
    ----------
    source : Source
        What was sorted.
    outcome : Outcome
        What was read of its files.

    Raises
    ------
    RowsLostError
        If they are not the same.
    """
    origin = source.origin
    if origin is None or origin.n_rows < 0:
        return
    proof = total(each.proof for each in outcome.inputs)
    n_read = sum(each.n_read for each in outcome.inputs)
    if n_read != origin.n_rows or (
        proof.rows == n_read and origin.checksum not in ("", proof.checksum)
    ):
        msg = (
            f"{origin.n_rows:,} rows of checksum {origin.checksum or '?'} were read, and "
            f"{n_read:,} of checksum {proof.checksum} sorted. Nothing was published. This is a "
            "bug, or bad memory: please report it."
        )
        raise RowsLostError(msg)


@contextmanager
def open_selected(asked: Asked) -> Iterator[Selected]:
    """Give what :func:`open_asked` does, with the rows and columns of it that are chosen.

    Parameters
    ----------
    asked : Asked
        What is wanted.

    Raises
    ------
    DlsortError
        If there is no such source, key or column.
    """
    with open_asked(asked) as source:
        yield _selected(source, asked)


def _selected(source: ParquetSource, asked: Asked) -> Selected:
    keys, computed = asked.order(source.schema)
    by = format_by(keys)
    wanted = asked.columns, asked.rename
    keys = asked.with_folders(keys)
    if not computed and asked.where is None and wanted == (None, None):
        return Selected(source, keys, by)
    _check_folders(asked)
    check_key_types(source.schema, tuple(key for key in keys if not is_hidden(key.column)))
    chosen = choose_rows(source.schema, keys, wanted, asked.where, computed)
    found = with_kept_share(selected(source, chosen), asked.tuning.strategies)
    if found.origin is not None:  # what was read is compared as far as all of it is sorted
        is_whole = wanted == (None, None)
        origin = found.origin._replace(checksum=found.origin.checksum if is_whole else "")
        found = replace(found, origin=origin if asked.where is None else _uncounted(origin))
    return Selected(found, chosen.keys, by)


def _check_folders(asked: Asked) -> None:
    """Raise unless the columns that are to be folders are in the result, by their names.

    Raises
    ------
    BadOptionError
    """
    for name in asked.partition_by:
        if name in (asked.rename or {}) or name not in (asked.columns or asked.partition_by):
            msg = (
                f"partition_by (--partition-by) has {name!r}, which columns or rename "
                "(--columns, --rename) leave out or call otherwise; have it in the result by "
                "its own name."
            )
            raise BadOptionError(msg)


def _uncounted(origin: Origin) -> Origin:
    """Return an origin whose rows are not compared: row groups may be passed over."""
    return origin._replace(n_rows=-1)


def _check_replaced(source: Source, asked: Asked, destination: str) -> None:
    """Raise if the one file that is to be replaced may be a source that was named last.

    Raises
    ------
    DestinationExistsError
    """
    path = Path(destination)
    if not asked.single_file or asked.overwrite is not True or not path.is_file():
        return
    named = [Path(os.path.realpath(each)) for each in list_of(asked.src)]
    kind = path.parent, path.suffix  # as a pattern that the shell has opened gives
    is_own = path in named or not any((one.parent, one.suffix) == kind for one in named)
    with suppress(OSError, pa.ArrowException):
        is_own = is_own or MANIFEST in (pq.read_metadata(path).metadata or {})
    if not is_own:
        msg = (
            f"{asked.dst} is a file like the source's that dlsort has not written: as the last "
            'name it is the destination. Pass overwrite="force" (--overwrite=force) to have it '
            "replaced, or name another."
        )
        raise DestinationExistsError(msg)


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
        if not is_direct(place):
            check_apart(destination, place, source.given[0])
    _check_replaced(source, asked, destination)
    source.check_columns(source.schema.names, copied=True)
    check_profile(source.schema, asked.profile)
    asked.column_options.check(source.schema, asked.profile)
    if asked.sink is not None:
        check_sink(source.schema, asked.sink)
    check_partition_by(source.schema, asked.partition_by)
    check_key_types(source.schema, keys)
    tuning = asked.tuning.budget
    check_partitions(asked.partitions, source.n_rows, tuning)
    if asked.scheduler is None:
        n_processes = asked.workers or 1
        n_threads = asked.threads or n_processes
        plan_budget(asked.memory_bytes, n_processes, n_threads, tuning, 0, default_of(asked))
        check_row_groups(source, asked.memory_bytes, n_processes, tuning)
