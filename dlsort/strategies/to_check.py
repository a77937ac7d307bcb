"""To check: datasets that are read to be compared, as far as a sort was to keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from dlsort.ingest.sources import Incoming, take_in
from dlsort.io.find import Listing
from dlsort.io.listing.hive import HiveTypes
from dlsort.io.parquet.selected import selected
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.schema.united import SchemaWanted
from dlsort.strategies.where import choose_rows
from dlsort.tuning import TUNING
from dlsort_cluster.machine import machine_memory_bytes

__all__ = ["chosen_of", "cut_to_check", "open_to_check"]


@contextmanager
def open_to_check(
    incoming: Incoming, how: tuple[Sequence[str], HiveTypes, str | None], threads: int
) -> Iterator[ParquetSource]:
    """Give a source, its row groups whole, and the memory for it."""
    most_bytes = int(machine_memory_bytes() * TUNING.budget.job_memory_share)

    def open_listing(listing: Listing, schema: SchemaWanted) -> ParquetSource:
        return open_source(incoming.src, TUNING.io, schema, *how, listing)

    how_made = partial(take_in, threads=threads, temp_dir=None, key_columns=lambda _: [])
    with how_made(incoming, TUNING) as taken:
        yield replace(taken.open(open_listing), most_bytes=most_bytes)


def chosen_of(
    source: ParquetSource,
    wanted: tuple[Sequence[str] | None, Mapping[str, str] | None],
    where: Any,
) -> ParquetSource:
    """Return the rows and columns of a source that a sort of it was to keep.

    Raises
    ------
    BadOptionError, UnknownColumnError
        If it has no such columns, or no such condition.
    """
    if where is None and wanted == (None, None):
        return source
    return selected(source, choose_rows(source.schema, (), wanted, where))


def cut_to_check(source: ParquetSource, threads: int) -> ParquetSource:
    """Return a source whose row groups fit the memory."""
    tuning = TUNING.budget
    most_bytes = source.most_bytes // threads // tuning.reading_copies
    return source.within(most_bytes, tuning.input_bytes)
