"""Reads of pieces: the rows of their files, as the dataset's footers say that they are.

A small file is read whole, by one request to an object store, many at once there. What its
pages say is then looked at in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby, zip_longest

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import to_transport
from dlsort.errors import SourceChangedError
from dlsort.io.find import UNREADABLE, corrupt
from dlsort.io.parquet.bounded_read import read_bounded, read_rows
from dlsort.io.parquet.decryption import opening
from dlsort.io.parquet.int96 import check_int96
from dlsort.io.parquet.joined_files import read_joined
from dlsort.io.parquet.picked_rows import pick_rows
from dlsort.io.parquet.stored_schema import open_file
from dlsort.io.schema.fit import fit_rows
from dlsort.io.selection import Selection
from dlsort.io.source import FileGroups, Piece, Stamp
from dlsort.io.storage import is_store, open_to_read, read_range, stamp_of
from dlsort.io.told import attach_told
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import IoTuning

__all__ = ["read_piece", "read_rows_of_piece"]

Rows = npt.NDArray[np.uint32]


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


def read_rows_of_piece(
    piece: Piece,
    rows: Rows,
    source_schema: pa.Schema,
    columns: list[str],
    tuning: IoTuning,
    as_dictionary: Iterable[str] = (),
    most_bytes: int = UNBOUNDED,
) -> pa.Table:
    """Read some rows of a piece; of few, the values of the others are not decoded.

    Parameters
    ----------
    rows : (n,) uint32
        Which of the rows that :func:`read_piece` returns, ascending.

    Returns
    -------
    pyarrow.Table
        (n,) rows, in the types in which rows travel.
    """
    picked = pa.table({})
    if _may_pick(piece, len(rows), tuning):
        own = [column for column in as_dictionary if column in columns]
        of = piece.files[0], rows.astype(np.int64), columns, own, most_bytes
        picked = pick_rows(*of) or picked
        _check_unchanged(piece.files[0])
    found = dict(zip(picked.column_names, picked.columns, strict=True))
    others = [name for name in columns if name not in found]
    schema = picked.schema
    if others or not columns:
        how = source_schema, others, tuning, as_dictionary, most_bytes
        table = take_table(to_transport(read_piece(piece, *how)), rows)
        if not found:
            return table
        found |= dict(zip(table.column_names, table.columns, strict=True))
        schema = pa.unify_schemas([schema, table.schema])
    fields = [
        schema.field(name).with_nullable(source_schema.field(name).nullable) for name in columns
    ]
    arrays = [found[name] for name in columns]
    return to_transport(pa.Table.from_arrays(arrays, schema=pa.schema(fields)))


def _may_pick(piece: Piece, n_rows: int, tuning: IoTuning) -> bool:
    """Return whether it is worth while to pick so many rows, and possible."""
    if piece.selection is not None or len(piece.files) != 1 or not n_rows:
        return False
    file = piece.files[0]
    is_as_stored = file.fit is None and not file.told
    return is_as_stored and n_rows <= tuning.picked_share * piece.n_rows


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

    def read(names: Sequence[str], rows: Rows | None) -> pa.Table:
        how = schema, list(names), tuning, dictionaries, most_bytes
        if rows is None or not len(rows):
            return read_piece(whole if rows is None else whole.without_rows(), *how)
        return read_rows_of_piece(whole, rows, *how)

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
        check_int96(opened, again, table, read)
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
