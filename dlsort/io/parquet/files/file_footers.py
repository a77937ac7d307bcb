"""Footers of all files of a source; and what those files are that are not Parquet."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.errors import SourceNotFoundError
from dlsort.io.find import UNREADABLE, SourceFile, corrupt
from dlsort.io.listing.passed_over import Unread, look_at
from dlsort.io.parquet.footers import Footer, read_footer
from dlsort.io.source import Stamp
from dlsort.io.storage import is_store, stamp_of
from dlsort.io.tables.table import TableFolder
from dlsort.tuning import IoTuning

__all__ = ["read_footers"]


def read_footers(
    files: Sequence[SourceFile], tuning: IoTuning, decryption: str | None = None
) -> list[tuple[Footer, Stamp] | Unread]:
    """Return what the footers tell, read on several threads where that takes long.

    ``decryption`` names the function that gives the keys of encrypted files.
    """
    began = time.perf_counter()
    timed = () if is_store(files[0].path) else files[: tuning.files_timed]
    found = [_footer(file, decryption) for file in timed]
    if time.perf_counter() - began < len(found) * tuning.slow_file_s:
        return [*found, *(_footer(file, decryption) for file in files[len(found) :])]
    rest = files[len(found) :]
    with ThreadPoolExecutor(tuning.footer_threads) as pool:
        return [*found, *pool.map(_footer, rest, repeat(decryption))]


def _footer(file: SourceFile, decryption: str | None) -> tuple[Footer, Stamp] | Unread:
    """Return what a footer tells; or what a file is that was only met, and is not Parquet."""
    try:
        stamp = Stamp(*stamp_of(file.path))
        if file.table is not None and not file.table.files:
            return _empty(), stamp
        try:
            return read_footer(file.path, stamp.n_bytes, decryption), stamp
        except UNREADABLE:
            is_met = not file.is_named and file.table is None
            unread = look_at(file.path, stamp.n_bytes) if is_met else None
            if unread is None or unread.is_broken:
                raise
            return unread
    except UNREADABLE as error:
        if file.table is not None and isinstance(error, FileNotFoundError):
            raise _gone(file.path, file.table.folder) from error
        raise corrupt(file.path, error) from error


def _empty() -> Footer:
    """Return the footer of a file of no column: all are told of it, by its table."""
    with tempfile.TemporaryDirectory(prefix="dlsort-empty-") as folder:
        path = Path(folder, "0.parquet")
        pq.ParquetWriter(path, pa.schema([])).close()
        return read_footer(str(path), path.stat().st_size)


def _gone(path: str, table: TableFolder) -> SourceNotFoundError:
    msg = (
        f"the {table.kind} table {table.path} names {path}, which is not there: it was removed "
        "(as by VACUUM), or the table was moved without it or from there. Bring it back, or "
        "restore a version of the table whose files are there."
    )
    return SourceNotFoundError(msg)
