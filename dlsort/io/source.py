"""Source: Parquet files as pieces that can be read one by one.

Only footers are read here; :func:`dlsort.io.parquet.reader.read_piece` reads the rows. A piece
is a run of row groups of one file, or of neighbouring files that are small, cut so that its
Arrow size suits the memory; pieces in order are the input's row order, which the stable sort
keeps.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.io.find import UNREADABLE, corrupt, find_files
from dlsort.io.parquet.footers import Footer, read_footer
from dlsort.io.parquet.layout import ColumnLayout, layouts, readable_as_dictionary
from dlsort.io.schema import agreed_schema, without_manifest
from dlsort.io.storage import is_store, stamp_of
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import IoTuning

__all__ = [
    "FileGroups",
    "Piece",
    "RowGroup",
    "Source",
    "Stamp",
    "column_chunks",
    "cut_groups",
    "cut_pieces",
    "dictionary_columns",
    "open_source",
    "top_columns",
]


@dataclass(frozen=True)
class RowGroup:
    """One row group: where it is, its rows, and its Arrow and stored sizes.

    ``column_bytes`` are the stored (compressed) bytes of each flat column.
    """

    file: int
    index: int
    n_rows: int
    arrow_bytes: int
    stored_bytes: int
    column_bytes: dict[str, int]


class Stamp(NamedTuple):
    """What shows that a file is still the one it was: its size, and a mark of its writing."""

    n_bytes: int
    mark: str


@dataclass(frozen=True)
class Source:
    """A Parquet dataset, as its footers tell it.

    Parameters
    ----------
    files : tuple of str
        Paths, in natural order of their names.
    schema : pyarrow.Schema
        The one schema of all of them, with the first file's metadata.
    row_groups : tuple of RowGroup
        All row groups, in row order.
    layouts : dict of str to ColumnLayout
        How each leaf column is stored, by its path.
    footers : tuple of Footer
        The footers; they stay on the client.
    stamps : tuple of Stamp
        One a file, from before its footer was read.
    tuning : IoTuning
        How it is read.
    most_bytes : int
        Memory for the row groups that are read together.
    """

    files: tuple[str, ...]
    schema: pa.Schema
    row_groups: tuple[RowGroup, ...]
    layouts: dict[str, ColumnLayout]
    footers: tuple[Footer, ...]
    stamps: tuple[Stamp, ...]
    tuning: IoTuning
    most_bytes: int = UNBOUNDED

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return sum(group.n_rows for group in self.row_groups)

    @property
    def arrow_bytes(self) -> int:
        """Estimated Arrow size in bytes."""
        return sum(group.arrow_bytes for group in self.row_groups)

    @property
    def stored_bytes(self) -> int:
        """Size of all column chunks as stored, in bytes."""
        return sum(group.stored_bytes for group in self.row_groups)

    def piece(self, first: int, last: int) -> Piece:
        """Return row groups ``first : last`` as a piece."""
        chosen = self.row_groups[first:last]
        files = []
        for file, of_file in groupby(chosen, lambda group: group.file):
            groups = list(of_file)
            numbers = tuple(group.index for group in groups)
            n_rows = sum(group.n_rows for group in groups)
            files.append(FileGroups(self.files[file], self.stamps[file], numbers, n_rows))
        if not files:
            files.append(FileGroups(self.files[0], self.stamps[0], (), 0))
        return Piece(
            tuple(files),
            sum(group.n_rows for group in chosen),
            sum(group.arrow_bytes for group in chosen),
            first,
        )


class FileGroups(NamedTuple):
    """Some row groups of a file.

    Attributes
    ----------
    path : str
        The file.
    stamp : Stamp
        As it was when the job began.
    row_groups : tuple of int
        Their numbers in the file, ascending.
    n_rows : int
        Their rows.
    """

    path: str
    stamp: Stamp
    row_groups: tuple[int, ...]
    n_rows: int


@dataclass(frozen=True)
class Piece:
    """One input partition: some row groups of one or more files. Small and picklable.

    Parameters
    ----------
    files : tuple of FileGroups
        The files, at least one, in order.
    n_rows, arrow_bytes : int
        Their rows and estimated Arrow size.
    first_group : int
        Number of the first row group in ``Source.row_groups``; the others follow it there.
    """

    files: tuple[FileGroups, ...]
    n_rows: int
    arrow_bytes: int
    first_group: int

    @property
    def groups(self) -> range:
        """The row groups' numbers in ``Source.row_groups``."""
        n_groups = sum(len(file.row_groups) for file in self.files)
        return range(self.first_group, self.first_group + n_groups)

    def __dask_tokenize__(self) -> object:
        """Tell it from the others of its job, without a look at each of thousands of files."""
        return self.first_group, self.n_rows, self.arrow_bytes, str(self.files[0])

    def without_rows(self) -> Piece:
        """Return a piece of none of its rows, which still has the columns."""
        none = self.files[0]._replace(row_groups=(), n_rows=0)
        return Piece((none,), 0, 0, self.first_group)


def open_source(src: str | Path, tuning: IoTuning) -> Source:
    """Read the footers of a dataset.

    Parameters
    ----------
    src : str or path-like
        A Parquet file, a folder of them, or a glob.
    tuning : IoTuning
        How it, and its rows later, are read.

    Raises
    ------
    SourceNotFoundError
        If there is no Parquet file.
    CorruptSourceError
        If a file is truncated or is not Parquet; the message names it.
    SchemaMismatchError
        If two files disagree on a column; the message names all three.
    """
    files = find_files(src)
    with _no_collection():
        return _read_source(files, tuning)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage collector out while many objects are made, all of which stay.

    Looked through again and again, those of 30,000 footers took 0.9 s of 4.1.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_source(files: Sequence[str], tuning: IoTuning) -> Source:
    read = _footers(files, tuning)
    footers = [footer for footer, _ in read]
    schema = without_manifest(footers[0].schema)
    for path, footer in zip(files, footers, strict=True):
        schema = agreed_schema(schema, files[0], footer.schema, path)
    widths = _widths(schema)
    groups = tuple(
        group
        for number, footer in enumerate(footers)
        for group in _groups(footer, number, widths)
    )
    stored = layouts((footer.leaves, footer.chunks) for footer in footers)
    stamps = tuple(stamp for _, stamp in read)
    return Source(tuple(files), schema, groups, stored, tuple(footers), stamps, tuning)


def _footers(files: Sequence[str], tuning: IoTuning) -> list[tuple[Footer, Stamp]]:
    """Return what the footers tell, read on several threads where that takes long."""
    began = time.perf_counter()
    timed = () if is_store(files[0]) else files[: tuning.files_timed]
    found = [_footer(path) for path in timed]
    if time.perf_counter() - began < len(found) * tuning.slow_file_s:
        return [*found, *map(_footer, files[len(found) :])]
    with ThreadPoolExecutor(tuning.footer_threads) as pool:
        return [*found, *pool.map(_footer, files[len(found) :])]


def _footer(path: str) -> tuple[Footer, Stamp]:
    try:
        stamp = Stamp(*stamp_of(path))
        return read_footer(path, stamp.n_bytes), stamp
    except UNREADABLE as error:
        raise corrupt(path, error) from error


def _widths(schema: pa.Schema) -> dict[str, int]:
    """Return the bits of a value of each column that is flat and of a fixed width."""
    found = {}
    for field in schema:
        try:
            if not pt.is_nested(field.type):
                found[field.name] = field.type.bit_width
        except ValueError:
            pass  # variable width
    return found


def _groups(footer: Footer, file: int, widths: Mapping[str, int]) -> Iterator[RowGroup]:
    """Yield a file's row groups; their Arrow size is an estimate, exact for fixed widths."""
    chunks = iter(footer.chunks.tolist())
    for index, n_rows in enumerate(footer.rows.tolist()):
        column_bytes: dict[str, int] = {}
        stored = arrow = 0
        for leaf, (start, stop, n_values, _, unpacked, _) in zip(
            footer.leaves, islice(chunks, len(footer.leaves)), strict=True
        ):
            path = leaf.path
            stored += stop - start
            if path in widths:
                arrow += n_values * widths[path] // 8
            else:
                arrow += max(unpacked, 4 * n_values)
            column_bytes[path] = column_bytes.get(path, 0) + stop - start
        yield RowGroup(file, index, n_rows, arrow, stored, column_bytes)


def top_columns(footer: Footer) -> dict[str, int]:
    """Return the places of the columns that are not nested, by name.

    Paths would not do: a column "a.b" has that of the field b of a struct a.
    """
    leaves = footer.leaves
    return {leaf.path: i for i, leaf in enumerate(leaves) if leaf.is_top}


def column_chunks(source: Source, name: str) -> Iterator[tuple[int, pq.ColumnChunkMetaData]]:
    """Yield the chunks of a column that is not nested, with their numbers in ``row_groups``."""
    places = [top_columns(footer).get(name) for footer in source.footers]
    for g, group in enumerate(source.row_groups):
        place = places[group.file]
        if place is not None:
            yield g, source.footers[group.file].metadata.row_group(group.index).column(place)


def cut_pieces(source: Source, piece_bytes: int) -> list[Piece]:
    """Return the input partitions: runs of row groups of at most ``piece_bytes`` Arrow size.

    A row group is never cut, so one that is larger makes a piece by itself. Neighbouring files
    that are small are put together, whole ones. Runs of one file, or of small ones, are evened
    out, so that no small rest is left. A dataset without any row group is one piece of none,
    which still has the columns.
    """
    if not source.row_groups:
        return [source.piece(0, 0)]
    return [source.piece(*run) for run in cut_groups(source, source.row_groups, piece_bytes)]


def cut_groups(
    source: Source, groups: Sequence[RowGroup], piece_bytes: int
) -> Iterator[tuple[int, int]]:
    """Yield where the pieces begin and end among some row groups, as of :func:`cut_pieces`."""
    tuning = source.tuning
    joined_bytes = min(piece_bytes, tuning.joined_bytes)
    edges = [0, *(i for i in range(1, len(groups)) if groups[i].file != groups[i - 1].file)]
    files = list(pairwise([*edges, len(groups)]))
    costs = [_cost(source, groups[first:last]) for first, last in files]
    small = [cost <= min(joined_bytes, tuning.small_file_bytes) for cost in costs]
    start = 0
    while start < len(files):
        stop = start + 1
        while small[start] and stop < len(files) and small[stop]:
            stop += 1
        if small[start]:
            n_runs = -(-sum(costs[start:stop]) // joined_bytes)
            for first, last in _even_runs(costs[start:stop], n_runs):
                yield files[start + first][0], files[start + last - 1][1]
        else:
            begin, end = files[start]
            sizes = [group.arrow_bytes for group in groups[begin:end]]
            n_runs = max(1, -(-sum(sizes) // piece_bytes))
            for first, last in _even_runs(sizes, n_runs):
                yield begin + first, begin + last
        start = stop


def _cost(source: Source, groups: Sequence[RowGroup]) -> int:
    """Return what it costs to read a file's row groups, in bytes of a large file."""
    stored = source.stamps[groups[0].file].n_bytes
    return max(stored, sum(group.arrow_bytes for group in groups)) + source.tuning.open_bytes


def _even_runs(sizes: Sequence[int], n_runs: int) -> Iterable[tuple[int, int]]:
    total = sum(sizes)
    start, before, passed = 0, 0, 0
    for i, size in enumerate(sizes):
        passed += size
        run = min(n_runs - 1, round(before * n_runs / total)) if total else 0
        if i + 1 == len(sizes) or passed * n_runs >= total * (run + 1):
            yield start, i + 1
            start, before = i + 1, passed


def dictionary_columns(source: Source) -> tuple[str, ...]:
    """Return the string columns that are best kept as dictionaries on the way through."""
    return tuple(
        field.name
        for field in source.schema
        if readable_as_dictionary(field, source.layouts, source.tuning)
    )
