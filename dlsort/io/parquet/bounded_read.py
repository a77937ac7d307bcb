"""Reads of row groups that take no more memory than there is for them.

A footer states sizes that nobody checks, and few stored bytes can stand for any number of bytes
in memory: a page that unpacks to gigabytes, a dictionary with one very long text for every row.
So the headers of the pages are looked at first. Texts that may be one long value again and
again are read a few rows at a time, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.indices import check_indices
from dlsort.arrow.same_names import given_name, own_names, with_own_names
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.page_looks import look_at_pages, rows_at_once, too_large
from dlsort.io.parquet.stored_schema import (
    sizes_of,
)
from dlsort.tuning import IoTuning
from dlsort_cluster.arrow_sizes import count_bytes

__all__ = ["read_bounded", "read_rows"]

LEAST_UNSEEN_ROWS = 64  # 10 µs each


def read_bounded(
    file: pq.ParquetFile,
    path: str | None,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    tuning: IoTuning,
    data: bytes | None = None,
    *,
    is_closed: bool = False,
) -> pa.Table:
    """Read some columns of some row groups, if they don't take too much memory.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open; its footer has been checked.
    path : str, optional
        The same file. None: pages are not looked at, as each look would be a request of its own
        to an object store.
    row_groups : sequence of int
        Their numbers.
    columns : sequence of str
        Which columns; the table may have more, and in another order. Those of one name are
        told apart (:mod:`dlsort.arrow.same_names`).
    as_dictionary : collection of str
        Columns that the file was opened to read as dictionaries.
    most_bytes : int
        Memory for them.
    tuning : IoTuning
        How much of it a batch may take.
    data : bytes, optional
        All of the file, if it has been read.
    is_closed : bool
        It is encrypted, so its pages can't be looked at: values of any length are read in
        batches, and counted.

    Raises
    ------
    UnsupportedFileError
        If they would take more.
    BadPageError
        If they make no sense.

    Notes
    -----
    Some 20 µs for each page of a large column chunk, beside the reading; less than one for
    those of small ones, and of a file that has been read.
    """
    columns = list(dict.fromkeys(map(given_name, columns)))
    batch_rows: dict[str, int] = {}
    footer, batch_bytes = file.metadata, most_bytes // tuning.batch_share
    fits = data is not None and _fits(data, footer, most_bytes, batch_bytes)
    if path is not None and not fits:
        batch_rows = look_at_pages(
            footer, path, row_groups, columns, as_dictionary, most_bytes, tuning
        )
    arrow = file.schema_arrow
    if is_closed:
        n_rows = _rows_unseen(footer, row_groups, batch_bytes)
        batch_rows = {name: n_rows for name in columns if not _has_width(arrow, name)}
    in_batches = {name: rows for name, rows in batch_rows.items() if _can_be_cut(arrow, name)}
    at_once = [name for name in columns if name not in in_batches]
    table = None
    if at_once or not columns:
        table = _read(file, row_groups, at_once, most_bytes)
    n_bytes = 0 if table is None or not in_batches else count_bytes(table)
    for name, n_rows in in_batches.items():
        rows = _read_in_batches(file, row_groups, [name], n_rows, most_bytes - n_bytes)
        rows = rows.select([name])
        n_bytes += count_bytes(rows)
        table = rows if table is None else table.append_column(rows.field(0), rows.column(0))
    assert table is not None
    _check_arrays(table)
    return table.rename_columns(own_names(table.column_names))


def _can_be_cut(schema: pa.Schema, name: str) -> bool:
    """Return whether a column can be read in batches: it is no dictionary, and the only one."""
    places = schema.get_all_field_indices(name)
    return len(places) == 1 and not pt.is_dictionary(schema.field(places[0]).type)


def _has_width(schema: pa.Schema, name: str) -> bool:
    """Return whether all values of a column take the same memory, as footers tell."""
    kinds = (schema.field(i).type for i in schema.get_all_field_indices(name))
    return all(pt.is_primitive(kind) or pt.is_decimal(kind) for kind in kinds)


def _rows_unseen(footer: pq.FileMetaData, row_groups: Sequence[int], batch_bytes: int) -> int:
    """Return how many rows of pages that nobody has looked at may be read at once.

    A text that stands for many is hardly longer than its row group. Fewer rows than the least
    would take long; a dictionary page, where such texts are, has a megabyte as most write it.
    """
    largest = max((footer.row_group(n).total_byte_size for n in row_groups), default=0)
    return max(LEAST_UNSEEN_ROWS, batch_bytes // max(1, largest))


def read_rows(
    file: pq.ParquetFile,
    path: str | None,
    row_group: int,
    rows: range,
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    tuning: IoTuning,
    *,
    is_closed: bool = False,
) -> pa.Table:
    """Read some columns of some rows of a row group that does not fit the memory.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open, with a buffer; its footer has been checked.
    path, columns, as_dictionary, most_bytes, tuning, is_closed
        As of :func:`read_bounded`.
    row_group : int
        Its number.
    rows : range
        Which of its rows.

    Raises
    ------
    UnsupportedFileError
        If the rows, or one page, take more memory.

    Notes
    -----
    Time O(rows up to the last): those before are decoded too, some pages at a time.
    """
    columns = list(dict.fromkeys(map(given_name, columns)))
    batch_bytes = most_bytes // tuning.batch_share
    n_rows = max(1, len(rows) // tuning.batch_share)
    if path is not None:
        how = columns, as_dictionary, batch_bytes
        n_rows = min(n_rows, rows_at_once(file.metadata, path, row_group, *how))
    if is_closed:
        n_rows = min(n_rows, _rows_unseen(file.metadata, [row_group], batch_bytes))
    tables, n_bytes, at = [], 0, 0
    for batch in file.iter_batches(n_rows, [row_group], columns=columns, use_threads=False):
        start, stop = max(rows.start, at), min(rows.stop, at + batch.num_rows)
        if start < stop:
            tables.append(pa.Table.from_batches([batch.slice(start - at, stop - start)]))
            n_bytes += count_bytes(tables[-1])
            if n_bytes > most_bytes:
                raise too_large(f"rows {rows.start:,} to {stop:,}", n_bytes, most_bytes)
        at += batch.num_rows
        if at >= rows.stop:
            break
    if not tables:
        return with_own_names(file.schema_arrow).empty_table()
    table = pa.concat_tables(tables)
    _check_arrays(table)
    return table.rename_columns(own_names(table.column_names))


def _fits(data: bytes, footer: pq.FileMetaData, most_bytes: int, batch_bytes: int) -> bool:
    """Return whether a whole file plainly fits the memory, whatever its texts are."""
    n_bytes, repeated = sizes_of(data, footer)
    return 0 <= n_bytes <= most_bytes and repeated <= batch_bytes


def _read(
    file: pq.ParquetFile, row_groups: Sequence[int], columns: list[str], most_bytes: int
) -> pa.Table:
    with suppress(pa.ArrowNotImplementedError):
        return file.read_row_groups(list(row_groups), columns=columns, use_threads=False)
    # dictionaries inside of nested columns: Arrow reads them a row group at a time
    tables = []
    for row_group in row_groups:
        tables.append(_read_cut(file, row_group, columns, most_bytes))
        most_bytes = max(0, most_bytes - count_bytes(tables[-1]))
    return pa.concat_tables(tables)


def _read_cut(
    file: pq.ParquetFile, row_group: int, columns: list[str], most_bytes: int
) -> pa.Table:
    """Read a row group, in batches where more than 2 GiB of text are inside of lists.

    Arrow makes one array of a batch's nested values. How many rows fit one can't be told from
    sizes in the footer, where equal texts count once; so it is halved until they do.
    """
    try:
        return file.read_row_group(row_group, columns=columns, use_threads=False)
    except pa.ArrowNotImplementedError as error:
        if "chunked array" not in str(error):  # something else that pyarrow lacks
            raise
    n_rows = file.metadata.row_group(row_group).num_rows
    while n_rows > 1:
        n_rows = -(-n_rows // 2)
        with suppress(pa.ArrowNotImplementedError):
            return _read_in_batches(file, [row_group], columns, n_rows, most_bytes)
    msg = (
        "a row has more than 2 GiB of text inside of a list or struct: Arrow can't hold it. "
        "Write the file again with less in a row."
    )
    raise UnsupportedFileError(msg)


def _read_in_batches(
    file: pq.ParquetFile,
    row_groups: Sequence[int],
    columns: list[str],
    n_rows: int,
    most_bytes: int,
) -> pa.Table:
    """Return some columns, if they do not take too much memory."""
    tables, n_bytes = [], 0
    for batch in file.iter_batches(
        n_rows, list(row_groups), columns=columns, use_threads=False
    ):
        tables.append(pa.Table.from_batches([batch]))
        n_bytes += count_bytes(tables[-1])
        if n_bytes > most_bytes:
            names = " and ".join(map(repr, columns))
            raise too_large(f"column {names}", n_bytes, most_bytes)
    if not tables:
        return file.schema_arrow.empty_table().select(columns)
    return pa.concat_tables(tables)


def _check_arrays(table: pa.Table) -> None:
    """Raise where kernels, which trust an array, would look beyond its end.

    Parquet's C++ reader checks all but the indices of what it reads as a dictionary.
    """
    table.validate()
    for i, field in enumerate(table.schema):
        if not pt.is_primitive(field.type):  # those have no values inside, and are many
            for chunk in table.column(i).chunks:
                check_indices(field.name, chunk)
