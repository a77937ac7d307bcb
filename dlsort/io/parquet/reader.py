"""Reads of pieces: the rows of their files, as the dataset's footers say that they are.

A small file is read whole, by one request to an object store, many at once there. What its
pages say is then looked at in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby, zip_longest

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.views import fixed_view
from dlsort.errors import SourceChangedError
from dlsort.io.find import UNREADABLE, UnsupportedFileError, corrupt
from dlsort.io.parquet.bounded_read import read_bounded, read_rows
from dlsort.io.parquet.decryption import opening
from dlsort.io.parquet.joined_files import read_joined
from dlsort.io.parquet.stored_schema import INT96, find_leaves, is_wanted, open_file
from dlsort.io.schema.fit import fit_rows
from dlsort.io.selection import Selection
from dlsort.io.source import FileGroups, Piece, Stamp
from dlsort.io.storage import is_store, open_to_read, read_range, stamp_of
from dlsort.io.told import attach_told
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import IoTuning

__all__ = ["read_piece"]

Stamps = npt.NDArray[np.int64]

# What does not fit, and how it shows.
_CHECKS: dict[str, tuple[str, Callable[[Stamps, Stamps], npt.NDArray[np.bool_]]]] = {
    "ns": ("fractions of a microsecond", lambda us, ns: us * 1000 == ns),
    "s": ("years beyond 292,277", lambda us, s: us // 1_000_000 == s),
}


def read_piece(
    piece: Piece,
    source_schema: pa.Schema,
    columns: list[str],
    tuning: IoTuning,
    as_dictionary: Iterable[str] = (),
    most_bytes: int = UNBOUNDED,
) -> pa.Table:
    """Read the rows of a piece.

    Parameters
    ----------
    piece : Piece
        What to read.
    source_schema : pyarrow.Schema
        The dataset's; columns have its types and its nullability.
    columns : list of str
        Which columns, in this order.
    tuning : IoTuning
        Which files are read whole, and how.
    as_dictionary : iterable of str
        Columns of strings to keep as dictionaries.
    most_bytes : int
        Memory for the rows.

    Returns
    -------
    pyarrow.Table
        ``piece.n_rows`` rows, or those that its selection keeps; dictionary columns differ from
        the schema's type.

    Raises
    ------
    CorruptSourceError
        If a file can't be read, holds other rows than its footer says, or takes more memory.
    SourceChangedError
        If one is not what it was any more when the job began.
    SchemaMismatchError
        If a value would be another one in the dataset's type.
    """
    if piece.selection is not None:
        of = piece.selection, source_schema, columns
        return _read_selected(piece, *of, tuning, as_dictionary, most_bytes)
    dictionaries = [c for c in as_dictionary if c in columns]
    if any(told.column in columns for file in piece.files for told in file.told):
        how = source_schema, columns, tuning, as_dictionary, most_bytes
        return pa.concat_tables(_read_told(piece, *how))
    tables: list[pa.Table] = []
    left = most_bytes
    for files, contents in _runs(piece.files, len(columns), tuning):
        fit = files[0].fit
        stored = columns if fit is None else fit.stored(columns)
        own = [column for column in dictionaries if column in stored]
        joined = None
        if len(files) > 1:
            joined = read_joined(files, contents, stored, own, left, tuning)
        whole = [(files[0], b"")] if joined is not None else zip_longest(files, contents)
        for file, data in whole:
            if joined is not None:
                table = joined.select(stored)
            elif not stored and not file.n_rows:  # a table's log may stand for its files
                table = pa.table({})
            else:
                table = _read_file(file, data, stored, own, left, tuning)
            if fit is not None:
                wanted = columns, source_schema, dictionaries, file.runs
                table = fit_rows(table, fit, file.path, *wanted)
            tables.append(table)
            if len(piece.files) > 1:
                left = max(0, left - table.nbytes)
    schema = pa.schema(
        field.with_nullable(source_schema.field(name).nullable)
        for field, name in zip(tables[0].schema, columns, strict=True)
    )
    tables = [
        table
        if table.schema.equals(schema, check_metadata=True)
        else pa.Table.from_arrays(table.columns, schema=schema)
        for table in tables
    ]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables)


def _read_selected(
    piece: Piece,
    selection: Selection,
    travelling: pa.Schema,
    columns: Sequence[str],
    tuning: IoTuning,
    as_dictionary: Iterable[str],
    most_bytes: int,
) -> pa.Table:
    """Return the rows of a piece that are kept, as they travel."""
    whole = replace(piece, selection=None)
    schema = selection.stored_schema(travelling)
    found = map(selection.stored, as_dictionary)
    dictionaries = [name for name in found if name is not None]

    def read(names: Sequence[str], *, has_rows: bool) -> pa.Table:
        of = whole if has_rows else whole.without_rows()
        return read_piece(of, schema, list(names), tuning, dictionaries, most_bytes)

    table = selection.read(read, columns)
    nullable = [travelling.field(name).nullable for name in columns]
    fields = zip(table.schema, nullable, strict=True)
    made = pa.schema([field.with_nullable(is_nullable) for field, is_nullable in fields])
    return pa.Table.from_arrays(table.columns, schema=made)


def _read_told(
    piece: Piece,
    source_schema: pa.Schema,
    columns: Sequence[str],
    tuning: IoTuning,
    as_dictionary: Iterable[str],
    most_bytes: int,
) -> Iterator[pa.Table]:
    """Yield the rows of runs of files that lack the same columns, with what is told."""
    dictionaries = tuple(as_dictionary)

    def lacked(file: FileGroups) -> frozenset[str]:
        return frozenset(told.column for told in file.told if not told.is_stored)

    left = most_bytes
    for missing, run in groupby(piece.files, lacked):
        files = tuple(run)
        stored = [column for column in columns if column not in missing]
        rows = None
        if stored:
            plain = replace(piece, files=tuple(file._replace(told=()) for file in files))
            rows = read_piece(plain, source_schema, stored, tuning, dictionaries, left)
            left = max(0, left - rows.nbytes)
        yield attach_told(rows, files, source_schema, columns, dictionaries)


def _runs(
    files: Sequence[FileGroups], n_columns: int, tuning: IoTuning
) -> Iterator[tuple[list[FileGroups], list[bytes]]]:
    """Yield runs of small files with all that is in them, and other files without.

    Those of short column chunks are small too, if so many are wanted.
    """

    def kind(file: FileGroups) -> tuple[bool, int]:
        chunks_bytes = len(file.row_groups) * n_columns * tuning.open_chunk_bytes
        most = max(tuning.whole_file_bytes, chunks_bytes)
        is_small = file.stamp.n_bytes <= most and bool(file.row_groups)
        is_small &= file.first_row is None and file.keys is None
        return is_small, id(file.runs or file.fit)

    for (is_small, _), run in groupby(files, kind):
        if is_small:
            of_run = list(run)
            yield of_run, _fetch_all(of_run, tuning.footer_threads)
        else:
            for file in run:
                yield [file], []


def _fetch_all(files: Sequence[FileGroups], n_threads: int) -> list[bytes]:
    """Return all of some files; from a store many at once."""
    if len(files) == 1 or not is_store(files[0].path):
        return [_fetch(file) for file in files]
    pool = ThreadPoolExecutor(n_threads)
    try:
        return list(pool.map(_fetch, files))
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(file: FileGroups) -> bytes:
    """Return all of a file, if it is what it was."""
    try:
        data = read_range(file.path, 0, file.stamp.n_bytes)
    except OSError as error:
        _check_unchanged(file)
        raise corrupt(file.path, error) from error
    _check_unchanged(file)
    if len(data) < file.stamp.n_bytes:
        found = ValueError(f"{len(data):,} bytes where there were {file.stamp.n_bytes:,}")
        raise corrupt(file.path, found)
    return data


def _read_file(
    file: FileGroups,
    data: bytes | None,
    columns: Sequence[str],
    dictionaries: Sequence[str],
    most_bytes: int,
    tuning: IoTuning,
) -> pa.Table:
    """Return the rows of a file's row groups; the file is opened if it has not been read."""
    try:
        with opening(file.keys):
            table = _read(file, data, columns, dictionaries, most_bytes, tuning)
    except UNREADABLE as error:
        if data is None:
            _check_unchanged(file)
        raise corrupt(file.path, error) from error
    if data is None:
        _check_unchanged(file)
    # "a.b" also reads field b of a struct a, if there is one
    if table.num_rows != file.n_rows or not set(columns) <= set(table.column_names):
        found = ValueError(f"{table.num_rows:,} rows where there were {file.n_rows:,}")
        raise corrupt(file.path, found)
    return table.select(columns)


def _read(
    file: FileGroups,
    data: bytes | None,
    columns: Sequence[str],
    dictionaries: Sequence[str],
    most_bytes: int,
    tuning: IoTuning,
) -> pa.Table:
    with ExitStack() as stack:
        where = (
            stack.enter_context(open_to_read(file.path))
            if data is None
            else pa.BufferReader(data)
        )
        opened = stack.enter_context(
            open_file(
                where,
                file.stamp.n_bytes,
                file.keys,
                read_dictionary=dictionaries,
                # few large reads of what is far away
                pre_buffer=data is None and is_store(file.path) and file.first_row is None,
                # else all of a column chunk is read at once
                buffer_size=0 if file.first_row is None else tuning.chunks_bytes,
                page_checksum_verification=True,  # of pages that have one; takes 3 % longer
            )
        )
        path = None if is_store(file.path) or file.keys else file.path
        how = dictionaries, most_bytes, tuning
        is_closed = file.keys is not None

        def read(source: pq.ParquetFile, names: Sequence[str]) -> pa.Table:
            if file.first_row is None:
                return read_bounded(
                    source, path, file.row_groups, names, *how, data, is_closed=is_closed
                )
            rows = range(file.first_row, file.first_row + file.n_rows)
            return read_rows(
                source, path, file.row_groups[0], rows, names, *how, is_closed=is_closed
            )

        table = read(opened, columns)
        known = {} if file.keys else {"metadata": opened.metadata}
        again = partial(open_file, where, file.stamp.n_bytes, file.keys, **known)
        _check_int96(opened, again, table, read)
        return table


def _check_unchanged(file: FileGroups) -> None:
    """Raise if a piece's file was changed, replaced or removed since the job began."""
    try:
        now = Stamp(*stamp_of(file.path))
    except FileNotFoundError:
        what = "removed"
    except OSError as error:
        raise corrupt(file.path, error) from error
    else:
        if now == file.stamp:
            return
        sizes = f"it had {file.stamp.n_bytes:,} bytes, now {now.n_bytes:,}"
        what = "changed" if now.n_bytes == file.stamp.n_bytes else f"changed ({sizes})"
    msg = (
        f"{file.path} was {what} while it was being read; start again when nobody writes "
        "to it any more."
    )
    raise SourceChangedError(msg)


def _check_int96(
    file: pq.ParquetFile,
    again: Callable[..., pq.ParquetFile],
    table: pa.Table,
    read: Callable[[pq.ParquetFile, Sequence[str]], pa.Table],
) -> None:
    """Raise if INT96 timestamps became other values when they were read in microseconds.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        What was read, in microseconds.
    again : callable
        Opens it again, given ``coerce_int96_timestamp_unit``.
    table : pyarrow.Table
        Some columns of it.
    read : callable
        Reads the same rows of other columns of an open file.

    Raises
    ------
    UnsupportedFileError
        If so; the message names the column.

    Notes
    -----
    pyarrow reads INT96 in a unit that it is given, and what does not fit 64 bits of it becomes
    another value. In nanoseconds values wrap around but keep their remainder, in seconds all
    fit; so such columns are read three times.
    """
    for name in _names_of(file, table.schema):
        column = table.select([name]).combine_chunks().column(0)
        for unit, (what, is_kept) in _CHECKS.items():
            with again(coerce_int96_timestamp_unit=unit) as other:
                rows = read(other, [name])
            values = rows.select([name]).combine_chunks().column(0)
            for us, them in zip(_stamps(column), _stamps(values), strict=True):
                is_int96 = us.type.unit == "us" and them.type.unit == unit
                if is_int96 and not is_kept(fixed_view(us), fixed_view(them)).all():
                    msg = (
                        f"column {name!r} has INT96 timestamps that don't fit microseconds, "
                        f"for {what}. Write it as TIMESTAMP(NANOS) or as text first."
                    )
                    raise UnsupportedFileError(msg)


def _names_of(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """Return the columns that are, or hold, INT96."""
    names = [field.name for field in schema if _may_be(field.type)]
    if not names:
        return []
    stored = [leaf for leaf in find_leaves(file.metadata.schema) if leaf.kind == INT96]
    return [name for name in names if any(is_wanted(leaf, {name}) for leaf in stored)]


def _may_be(kind: pa.DataType) -> bool:
    if pt.is_nested(kind):
        return any(_may_be(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pt.is_timestamp(kind) and kind.unit == "us")


def _stamps(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield the timestamps of a column at any depth, without nulls."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _stamps(chunk)
    elif pt.is_timestamp(kind):
        yield array.drop_null()
    elif pt.is_struct(kind):
        for i in range(kind.num_fields):
            yield from _stamps(array.field(i))
    elif pt.is_map(kind):
        yield from _stamps(array.keys)
        yield from _stamps(array.items)
    elif pt.is_nested(kind):
        yield from _stamps(array.values)
