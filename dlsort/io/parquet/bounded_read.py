"""Reads of row groups that take no more memory than there is for them.

A footer states sizes that nobody checks, and few stored bytes can stand for any number of bytes
in memory: a page that unpacks to gigabytes, a dictionary with one very long text for every row.
So the headers of the pages are looked at first. Texts that may be one long value again and
again are read a few rows at a time, and counted.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.indices import check_indices
from dlsort.arrow.same_names import given_name, own_names, with_own_names
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.pages import Page, longest_repeated, read_pages
from dlsort.io.parquet.stored_schema import (
    TAIL_BYTES,
    VALUE_BYTES,
    Leaf,
    chunks_of,
    find_leaves,
    is_wanted,
    sizes_of,
)
from dlsort.sizes import format_bytes
from dlsort.tuning import IoTuning
from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_kernels import chunk_sizes

__all__ = ["read_bounded", "read_rows"]


def read_bounded(
    file: pq.ParquetFile,
    path: str | None,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    tuning: IoTuning,
    data: bytes | None = None,
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
        batch_rows = _look(footer, path, row_groups, columns, as_dictionary, most_bytes, tuning)
    arrow = file.schema_arrow
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


def read_rows(
    file: pq.ParquetFile,
    path: str | None,
    row_group: int,
    rows: range,
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    tuning: IoTuning,
) -> pa.Table:
    """Read some columns of some rows of a row group that does not fit the memory.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open, with a buffer; its footer has been checked.
    path, columns, as_dictionary, most_bytes, tuning
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
        n_rows = min(n_rows, _rows_at_once(file.metadata, path, row_group, *how))
    tables, n_bytes, at = [], 0, 0
    for batch in file.iter_batches(n_rows, [row_group], columns=columns, use_threads=False):
        start, stop = max(rows.start, at), min(rows.stop, at + batch.num_rows)
        if start < stop:
            tables.append(pa.Table.from_batches([batch.slice(start - at, stop - start)]))
            n_bytes += count_bytes(tables[-1])
            if n_bytes > most_bytes:
                raise _too_large(f"rows {rows.start:,} to {stop:,}", n_bytes, most_bytes)
        at += batch.num_rows
        if at >= rows.stop:
            break
    if not tables:
        return with_own_names(file.schema_arrow).empty_table()
    table = pa.concat_tables(tables)
    _check_arrays(table)
    return table.rename_columns(own_names(table.column_names))


def _rows_at_once(
    footer: pq.FileMetaData,
    path: str,
    row_group: int,
    columns: Sequence[str],
    as_dictionary: Collection[str],
    batch_bytes: int,
) -> int:
    """Return how many rows may be read at once, however long texts that repeat are.

    Raises
    ------
    UnsupportedFileError
        If one page takes more than that.
    """
    group = footer.row_group(row_group)
    fewest = max(1, group.num_rows)
    leaves = find_leaves(footer.schema)
    with Path(path).open("rb", buffering=0) as raw:
        for i in _wanted(leaves, columns).tolist():
            leaf, chunk = leaves[i], group.column(i)
            pages = list(read_pages(raw.fileno(), chunk))
            largest = max((page.n_bytes for page in pages), default=0)
            if largest > batch_bytes:
                raise _too_large(f"a page of column {leaf.path!r}", largest, batch_bytes)
            if leaf.kind == "BYTE_ARRAY" and leaf.is_top and leaf.path not in as_dictionary:
                rows = _rows_of_batch(raw.fileno(), pages, chunk, leaf, batch_bytes)
                fewest = min(fewest, rows or fewest)
    return fewest


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
            raise _too_large(f"column {names}", n_bytes, most_bytes)
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


def _too_large(what: str, n_bytes: int, most_bytes: int) -> UnsupportedFileError:
    return UnsupportedFileError(
        f"with {what} a row group unpacks to {format_bytes(n_bytes)} or more, where there is "
        f"memory for {format_bytes(most_bytes)}. Give the job more memory (memory, --memory), "
        "or write the file with smaller row groups and pages."
    )


def _look(
    footer: pq.FileMetaData,
    path: str,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    tuning: IoTuning,
) -> dict[str, int]:
    """Return the columns of text that had better be read in batches, and of how many rows.

    Raises
    ------
    UnsupportedFileError
        If the pages unpack to more than there is memory for.
    """
    batch_bytes = most_bytes // tuning.batch_share
    batch_rows: dict[str, int] = {}
    with Path(path).open("rb", buffering=0) as raw:
        leaves, chunks, widths = _stored(raw.fileno(), footer)
        wanted = _wanted(leaves, columns)
        is_text = np.array(
            [
                leaf.kind == "BYTE_ARRAY" and leaf.is_top and leaf.path not in as_dictionary
                for leaf in (leaves[i] for i in wanted)
            ],
            np.bool_,
        )
        n_bytes = 0
        for number in row_groups:
            sizes = np.full((len(wanted), 2), -1, np.int64)
            if chunks is not None:
                sizes = _sizes(raw.fileno(), chunks[number, wanted], widths[wanted], tuning)
            looked_at = (sizes[:, 0] < 0) | (is_text & (sizes[:, 1] > batch_bytes))
            group = footer.row_group(number)
            for place in np.flatnonzero(looked_at).tolist():
                leaf, chunk = leaves[wanted[place]], group.column(int(wanted[place]))
                pages = list(read_pages(raw.fileno(), chunk))
                width = VALUE_BYTES.get(leaf.kind) or leaf.width
                of_pages = sum(page.n_bytes for page in pages)
                sizes[place, 0] = max(of_pages, chunk.num_values * width)
                if is_text[place] and sizes[place, 0] <= most_bytes:
                    rows = _rows_of_batch(raw.fileno(), pages, chunk, leaf, batch_bytes)
                    if rows:
                        batch_rows[leaf.path] = min(rows, batch_rows.get(leaf.path, rows))
            total = n_bytes + np.cumsum(sizes[:, 0])
            if len(total) and total[-1] > most_bytes:
                first = int(np.searchsorted(total, most_bytes, "right"))
                what = f"column {leaves[wanted[first]].path!r}"
                raise _too_large(what, int(total[first]), most_bytes)
            n_bytes = int(total[-1]) if len(total) else n_bytes
    return batch_rows


def _stored(
    fd: int, footer: pq.FileMetaData
) -> tuple[list[Leaf], npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]:
    """Return a file's leaf columns, its chunks if a kernel can tell them, and their widths."""
    file_bytes = os.fstat(fd).st_size
    tail = os.pread(fd, TAIL_BYTES, max(0, file_bytes - TAIL_BYTES))
    n_bytes = int.from_bytes(tail[:4], "little")
    data = os.pread(fd, n_bytes, max(0, file_bytes - TAIL_BYTES - n_bytes))
    found = chunks_of(data, file_bytes, footer)
    if found is None:
        return find_leaves(footer.schema), None, np.empty(0, np.int64)
    schema, chunks = found
    return schema.leaves, chunks, schema.widths


def _sizes(
    fd: int, chunks: npt.NDArray[np.int64], widths: npt.NDArray[np.int64], tuning: IoTuning
) -> npt.NDArray[np.int64]:
    """Return what chunks unpack to and may repeat, as of :func:`chunk_sizes`; -1 if large.

    Small chunks that lie side by side are fetched together.
    """
    sizes = np.full((len(chunks), 2), -1, np.int64)
    starts, stops = chunks[:, 0], chunks[:, 1]
    small = np.flatnonzero(stops - starts <= tuning.small_chunk_bytes)
    small = small[np.argsort(starts[small], kind="stable")]
    first = 0
    while first < len(small):
        start = int(starts[small[first]])
        within = stops[small[first:]] <= start + tuning.chunks_bytes
        last = first + max(1, int(np.argmin(within)) if not within.all() else len(within))
        run = small[first:last]
        data = os.pread(fd, int(stops[run].max()) - start, start)
        sizes[run] = chunk_sizes(np.frombuffer(data, np.uint8), start, chunks[run], widths[run])
        first = last
    return sizes


def _rows_of_batch(
    fd: int,
    pages: Sequence[Page],
    chunk: pq.ColumnChunkMetaData,
    leaf: Leaf,
    batch_bytes: int,
) -> int:
    """Return how many rows of a column of text may be read at once; 0: any number."""
    has_levels = leaf.levels[1] > 0
    longest = longest_repeated(fd, pages, chunk.compression, batch_bytes, has_levels=has_levels)
    return max(1, batch_bytes // longest) if longest else 0


def _wanted(leaves: Sequence[Leaf], columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the numbers of the leaves that are, or are inside of, one of the columns."""
    names = set(columns)
    return np.array([i for i, leaf in enumerate(leaves) if is_wanted(leaf, names)], np.int64)
