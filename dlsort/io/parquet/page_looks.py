"""Looks at pages: what their headers say that row groups unpack to, before they are read.

Few stored bytes can stand for any number of bytes in memory, and nobody checks a footer's
sizes. Large chunks are looked at page by page, small ones by a kernel.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.pages import Page, longest_repeated, read_pages
from dlsort.io.parquet.stored_schema import (
    TAIL_BYTES,
    VALUE_BYTES,
    Leaf,
    chunks_of,
    find_leaves,
    is_wanted,
)
from dlsort.sizes import format_bytes
from dlsort.tuning import IoTuning
from dlsort_kernels import chunk_sizes

__all__ = ["look_at_pages", "rows_at_once", "too_large"]


def look_at_pages(
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
                raise too_large(what, int(total[first]), most_bytes)
            n_bytes = int(total[-1]) if len(total) else n_bytes
    return batch_rows


def rows_at_once(
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
                raise too_large(f"a page of column {leaf.path!r}", largest, batch_bytes)
            if leaf.kind == "BYTE_ARRAY" and leaf.is_top and leaf.path not in as_dictionary:
                rows = _rows_of_batch(raw.fileno(), pages, chunk, leaf, batch_bytes)
                fewest = min(fewest, rows or fewest)
    return fewest


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


def too_large(what: str, n_bytes: int, most_bytes: int) -> UnsupportedFileError:
    """Return the error that says what takes more memory than there is."""
    return UnsupportedFileError(
        f"with {what} a row group unpacks to {format_bytes(n_bytes)} or more, where there is "
        f"memory for {format_bytes(most_bytes)}. Give the job more memory (memory, --memory), "
        "or write the file with smaller row groups and pages."
    )
