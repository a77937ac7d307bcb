"""Standing: what stands at a destination before a sort, which may be its result already."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    DestinationError,
    DestinationExistsError,
    SourceNotFoundError,
)
from dlsort.events import Opened, Skipped
from dlsort.io.find import find_files
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.schema.wanted import told_of
from dlsort.io.source import Source
from dlsort.key_parts import split
from dlsort.keys import SortKey
from dlsort.publish.destination import check_destination, place_of
from dlsort.publish.job_file import Wanted
from dlsort.publish.replaceable import Held
from dlsort.publish.result import find_result
from dlsort.strategies.asked import Asked
from dlsort.strategies.opened import Selected
from dlsort.strategies.where import told_where

__all__ = ["look_at_destination", "opened", "result_before", "wanted_of"]


def look_at_destination(asked: Asked) -> tuple[str, Held]:
    """Return where the parts go, and what is there.

    Raises
    ------
    DestinationError, SourceNotFoundError
        If it can't be that.
    """
    try:
        return check_destination(
            asked.dst,
            asked.tuning.io,
            overwrite=asked.overwrite,
            single_file=asked.single_file,
            sink=asked.sink,
        )
    except DestinationError as error:
        # That a source is not there says more than what is wrong with the destination.
        try:
            with suppress(CorruptSourceError, BadOptionError):
                find_files(asked.src)
        except SourceNotFoundError as missing:
            raise missing from error
        raise


def wanted_of(source: Source, asked: Asked, keys: tuple[SortKey, ...], by: str) -> Wanted:
    """Return what the user wants of a source, by a key, which ``by`` is as text."""
    return Wanted(
        by=by,
        files=Wanted.files_of(source),
        compression=asked.compression,
        row_group_rows=asked.row_group_rows or asked.tuning.io.row_group_rows,
        partition_size=asked.partition_size,
        schema=told_of(asked.schema),
        manifest=asked.manifest,
        input_format=asked.input_format or "",
        csv_options=asked.csv_options.told(),
        column_options=asked.column_options.told(),
        target_file_size=asked.target_file_size,
        partition_by=list(asked.partition_by),
        single_file=asked.single_file,
        output_format=asked.sink.format if asked.sink else "",
        profile=asked.profile,
        hive_types=",".join(f"{name}:{kind}" for name, kind in asked.hive_types.items()),
        columns=None if asked.columns is None else list(asked.columns),
        rename=asked.rename or {},
        where=told_where(asked.where),
        **_rows_wanted(asked, keys, by),
    )


def _rows_wanted(asked: Asked, keys: tuple[SortKey, ...], by: str) -> dict[str, Any]:
    """Return which rows a job file tells are wanted."""
    fewer = asked.fewer(keys)
    if fewer is None:
        return {}
    told = {"unique_by": ",".join(list(split(by))[: fewer.n_unique]), "limit": asked.limit}
    return {**told, "unique": asked.unique or "", "offset": fewer.offset}


def result_before(asked: Asked, found: Selected, began: float) -> Skipped | None:
    """Return the result of this very sort that is there already; None if it is to be done.

    Parameters
    ----------
    asked : Asked
        What is wanted.
    found : Selected
        What is to be sorted.
    began : float
        When it was asked for, by ``time.perf_counter``.

    Raises
    ------
    DestinationExistsError
        If something else is there that must not be overwritten.
    """
    source, keys, by = found
    before = find_result(
        place_of(asked.dst),
        wanted_of(source, asked, keys, by),
        source,
        keys,
        asked.tuning.io,
        partitions=asked.partitions,
    )
    if before.result is not None:
        return replace(before.result, seconds=time.perf_counter() - began)
    if before.why_not and not asked.overwrite:
        msg = (
            f"{asked.dst} is not the result of this sort: {before.why_not}. Pass "
            "overwrite=True (--overwrite) to have it replaced where that is so, or choose "
            "another folder."
        )
        raise DestinationExistsError(msg)
    return None


def opened(source: ParquetSource, asked: Asked, seconds: float) -> Opened:
    """Return the event that footers were read, in so many seconds."""
    origin = source.origin
    return Opened(
        source.n_rows,
        len(source.given[0]),
        source.stored_bytes if origin is None else sum(s.n_bytes for s in origin.stamps),
        source.arrow_bytes,
        seconds,
        source.passed,
        source.changes,
        source.dropped,
        source.n_decrypted,
        where=told_where(asked.where),
        passed_groups=source.n_passed_groups,
        read_as=() if origin is None else origin.told,
    )
