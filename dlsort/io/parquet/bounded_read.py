"""Reads of row groups that take no more memory than there is for them.

A footer states sizes that nobody checks, and few stored bytes can stand for any number of bytes
in memory: a page that unpacks to gigabytes, a dictionary with one very long text for every row.
So the headers of the pages are looked at first. Texts that may be one long value again and
again are read a few rows at a time, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.io.parquet.pages import BadPageError, longest_repeated, read_pages
from dlsort.io.parquet.stored_schema import VALUE_BYTES, sizes_of
from dlsort.sizes import format_bytes
from dlsort.tuning import IoTuning
from dlsort_cluster.arrow_sizes import count_bytes

__all__ = ["read_bounded"]


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
        Which columns; the table may have more, and in another order.
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
    BadPageError
        If they would take more, or make no sense.

    Notes
    -----
    Some 20 µs for each page, beside the reading, or less than one of a file that has been read.
    """
    batch_rows: dict[str, int] = {}
    footer, batch_bytes = file.metadata, most_bytes // tuning.batch_share
    fits = data is not None and _fits(data, footer, most_bytes, batch_bytes)
    if path is not None and not fits:
        batch_rows = _look(
            footer, path, row_groups, columns, as_dictionary, most_bytes, batch_bytes
        )
    in_batches = [
        name for name in batch_rows if not pt.is_dictionary(file.schema_arrow.field(name).type)
    ]
    at_once = [name for name in columns if name not in in_batches]
    table = _read(file, row_groups, at_once) if at_once or not columns else None
    n_bytes = 0 if table is None or not in_batches else count_bytes(table)
    for name in in_batches:
        rows = _read_in_batches(file, row_groups, name, batch_rows[name], most_bytes - n_bytes)
        n_bytes += count_bytes(rows)
        table = rows if table is None else table.append_column(rows.field(0), rows.column(0))
    _check_arrays(table)
    return table


def _fits(data: bytes, footer: pq.FileMetaData, most_bytes: int, batch_bytes: int) -> bool:
    """Return whether a whole file plainly fits the memory, whatever its texts are."""
    n_bytes, repeated = sizes_of(data, footer)
    return 0 <= n_bytes <= most_bytes and repeated <= batch_bytes


def _read(file: pq.ParquetFile, row_groups: Sequence[int], columns: list[str]) -> pa.Table:
    try:
        return file.read_row_groups(list(row_groups), columns=columns, use_threads=False)
    except pa.ArrowNotImplementedError:
        # dictionaries inside of nested columns: Arrow reads them a row group at a time
        tables = [
            file.read_row_group(g, columns=columns, use_threads=False) for g in row_groups
        ]
        return pa.concat_tables(tables)


def _read_in_batches(
    file: pq.ParquetFile, row_groups: Sequence[int], name: str, n_rows: int, most_bytes: int
) -> pa.Table:
    """Return one column, if it does not take too much memory."""
    tables, n_bytes = [file.schema_arrow.empty_table().select([name])], 0
    for batch in file.iter_batches(n_rows, list(row_groups), columns=[name], use_threads=False):
        tables.append(pa.Table.from_batches([batch]).select([name]))
        n_bytes += count_bytes(tables[-1])
        if n_bytes > most_bytes:
            raise _too_large(f"column {name!r}", n_bytes, most_bytes)
    return pa.concat_tables(tables)


def _check_arrays(table: pa.Table) -> None:
    """Raise where kernels, which trust an array, would look beyond its end.

    Parquet's C++ reader checks all but the indices of what it reads as a dictionary.
    """
    table.validate()
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            _check_indices(name, chunk)


def _check_indices(name: str, array: pa.Array) -> None:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        _check_indices(name, array.storage)
    elif pt.is_dictionary(kind):
        ends = pc.min_max(array.indices)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low is not None and (low < 0 or high >= len(array.dictionary)):
            msg = (
                f"column {name!r} has values {low:,} to {high:,} of a dictionary of "
                f"{len(array.dictionary):,}"
            )
            raise BadPageError(msg)
    elif pt.is_struct(kind):
        for i in range(kind.num_fields):
            _check_indices(name, array.field(i))
    elif pt.is_map(kind):
        _check_indices(name, array.keys)
        _check_indices(name, array.items)
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        _check_indices(name, array.values)


def _too_large(what: str, n_bytes: int, most_bytes: int) -> BadPageError:
    return BadPageError(
        f"with {what} a row group unpacks to {format_bytes(n_bytes)} or more, where there is "
        f"memory for {format_bytes(most_bytes)}"
    )


def _look(
    footer: pq.FileMetaData,
    path: str,
    row_groups: Sequence[int],
    columns: Sequence[str],
    as_dictionary: Collection[str],
    most_bytes: int,
    batch_bytes: int,
) -> dict[str, int]:
    """Return the columns of text that had better be read in batches, and of how many rows.

    Raises
    ------
    BadPageError
        If the pages unpack to more than there is memory for.
    """
    leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
    wanted = [i for i, leaf in enumerate(leaves) if _is_wanted(leaf, set(columns))]
    n_bytes = 0
    batch_rows: dict[str, int] = {}
    with Path(path).open("rb", buffering=0) as raw:
        for number in row_groups:
            group = footer.row_group(number)
            for i in wanted:
                leaf, chunk = leaves[i], group.column(i)
                pages = list(read_pages(raw.fileno(), chunk))
                width = VALUE_BYTES.get(leaf.physical_type) or leaf.length
                n_bytes += max(sum(page.n_bytes for page in pages), chunk.num_values * width)
                if n_bytes > most_bytes:
                    raise _too_large(f"column {leaf.path!r}", n_bytes, most_bytes)
                is_text = leaf.physical_type == "BYTE_ARRAY" and leaf.name == leaf.path
                if not is_text or leaf.path in as_dictionary:
                    continue
                longest = longest_repeated(
                    raw.fileno(),
                    pages,
                    chunk.compression,
                    batch_bytes,
                    has_levels=leaf.max_definition_level > 0,
                )
                if longest:
                    rows = max(1, batch_bytes // longest)
                    batch_rows[leaf.path] = min(rows, batch_rows.get(leaf.path, rows))
    return batch_rows


def _is_wanted(leaf: pq.ColumnSchema, columns: set[str]) -> bool:
    """Return whether a leaf is, or is inside of, one of the columns."""
    if leaf.name == leaf.path:
        return leaf.path in columns
    names = leaf.path.split(".")
    return any(".".join(names[:i]) in columns for i in range(1, len(names) + 1))
