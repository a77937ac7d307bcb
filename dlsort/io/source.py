"""Source: files as pieces that can be read one by one, whatever their format.

A piece is a run of row groups of one file, or of small neighbouring files, which suits the
memory; pieces in order are the input's row order. Ranges, claims and rows are the format's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import NamedTuple, Self

import pyarrow as pa

from dlsort.io.range import Range
from dlsort.io.schema.fit import Fit
from dlsort.io.selection import Selection
from dlsort.keys import SortKey
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import IoTuning

__all__ = [
    "FileGroups",
    "Origin",
    "Piece",
    "Range",
    "RowGroup",
    "Source",
    "Stamp",
    "Told",
    "cut_groups",
    "cut_pieces",
]


@dataclass(frozen=True)
class RowGroup:
    """One row group: where it is, its rows, and its Arrow and stored sizes.

    ``column_bytes`` are the stored (compressed) bytes of each flat column. One that is too
    large is cut into several, with a ``first_row`` in it; their bytes are shares of its.
    """

    file: int
    index: int
    n_rows: int
    arrow_bytes: int
    stored_bytes: int
    column_bytes: dict[str, int]
    first_row: int | None = None

    def cut(self, n_slices: int) -> Iterator[RowGroup]:
        """Yield even slices of its rows."""
        edges = [self.n_rows * i // n_slices for i in range(n_slices + 1)]
        for first, stop in pairwise(edges):
            share = (stop - first) / self.n_rows
            yield RowGroup(
                self.file,
                self.index,
                stop - first,
                int(self.arrow_bytes * share),
                int(self.stored_bytes * share),
                {name: int(n * share) for name, n in self.column_bytes.items()},
                first,
            )


class Stamp(NamedTuple):
    """What shows that a file is still the one it was: its size, and a mark of its writing."""

    n_bytes: int
    mark: str


class Origin(NamedTuple):
    """What a source's files were made from, where they are not the caller's own.

    Attributes
    ----------
    files : tuple of str
        The caller's files.
    stamps : tuple of Stamp
        One each.
    of : tuple of int
        For each file of the source, the number of the one that it was made from.
    told : tuple of str
        What they were read as, for people.
    checksum : str
        Of all rows as they were read; empty if that says nothing of the source's rows.
    n_rows : int
        How many were read; -1 if that was not counted.
    """

    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    of: tuple[int, ...]
    told: tuple[str, ...]
    checksum: str
    n_rows: int


class Told(NamedTuple):
    """A column that the folders of a file, or its table, tell of all its rows.

    Attributes
    ----------
    column : str
        Its name.
    text : str or None
        The value, as text; None is null.
    is_stored : bool
        The file has the column too, which then holds the same.
    table : str
        The table that tells it, and its type; else empty.
    """

    column: str
    text: str | None
    is_stored: bool
    table: str = ""


@dataclass(frozen=True)
class Source(ABC):
    """A dataset, as its files tell it before any row is read.

    Parameters
    ----------
    files : tuple of str
        Paths, in natural order of their names.
    schema : pyarrow.Schema
        The one schema of all of them, with the metadata that is true of all.
    row_groups : tuple of RowGroup
        All row groups, in row order.
    stamps : tuple of Stamp
        One a file, from before it was opened.
    tuning : IoTuning
        How it is read.
    most_bytes : int
        Memory for the row groups that are read together.
    told : tuple of tuple of Told
        What is told of each file beside what it has; empty if nothing is.
    passed : dict of str to list of str
        What of the source is not read, by the reason.
    fits : tuple of (Fit or None)
        What is done to each file's rows to have the schema; empty: nothing to any.
    changes, dropped : tuple of str
        Columns that are not the same in all files, and metadata that is left out.
    origin : Origin or None
        What the files were made from, if they are not the caller's own.
    arrow_factor : float
        Arrow sizes over what footers tell: text that is stored once and repeated is larger.
    """

    files: tuple[str, ...]
    schema: pa.Schema
    row_groups: tuple[RowGroup, ...]
    stamps: tuple[Stamp, ...]
    tuning: IoTuning
    most_bytes: int = UNBOUNDED
    told: tuple[tuple[Told, ...], ...] = ()
    passed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fits: tuple[Fit | None, ...] = ()
    changes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    origin: Origin | None = None
    arrow_factor: float = 1.0

    @property
    def given(self) -> tuple[tuple[str, ...], tuple[Stamp, ...]]:
        """The caller's own files, and their stamps."""
        origin = self.origin
        return (self.files, self.stamps) if origin is None else origin[:2]

    @abstractmethod
    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Return the rows of a piece."""

    @abstractmethod
    def ranges(self, column: str) -> Mapping[int, Range]:
        """Return what is told of a column's values, by the row group's number.

        It may be told of some, and values as they are stored may not compare as they sort.
        """

    @abstractmethod
    def exact_ranges(self, column: str) -> Mapping[int, Range] | None:
        """Return the range and nulls of each row group that has rows, in order.

        None if one is not told, or values as they are stored don't compare as they sort.
        """

    @abstractmethod
    def claims_order(self, keys: Sequence[SortKey]) -> bool:
        """Return whether every row group says that its rows are in the order of a key."""

    @property
    def kept_share(self) -> float:
        """Estimated share of the rows that are kept: all of them, if none may be left out."""
        return 1.0

    @property
    def is_filtered(self) -> bool:
        """Whether rows of what is read may be left out."""
        return False

    @property
    def kept_bytes(self) -> int:
        """Estimated Arrow size of the rows that are kept, in bytes."""
        return round(self.arrow_bytes * self.kept_share)

    @cached_property
    def n_rows(self) -> int:
        """Rows in all."""
        return sum(group.n_rows for group in self.row_groups)

    @cached_property
    def arrow_bytes(self) -> int:
        """Estimated Arrow size in bytes."""
        return sum(group.arrow_bytes for group in self.row_groups)

    @cached_property
    def stored_bytes(self) -> int:
        """Size of all column chunks as stored, in bytes."""
        return sum(group.stored_bytes for group in self.row_groups)

    def check_columns(self, columns: Collection[str], *, copied: bool) -> None:  # noqa: B027
        """Raise if some columns can't be read; or, if they are copied, can't be kept.

        Raises
        ------
        SourceUnsupportedError
            If so; the message names file and column.
        """

    def within(self, most_bytes: int, slice_bytes: int) -> Self:
        """Return this source with row groups of at most ``most_bytes`` Arrow size.

        Larger ones are cut into slices of rows of ``slice_bytes``, as far as they have rows.
        """
        if all(group.arrow_bytes <= most_bytes for group in self.row_groups):
            return self
        groups = (
            slice_
            for group in self.row_groups
            for slice_ in (
                [group]
                if group.arrow_bytes <= most_bytes or group.n_rows < 2
                else group.cut(min(group.n_rows, -(-group.arrow_bytes // slice_bytes)))
            )
        )
        return replace(self, row_groups=tuple(groups))

    def scaled(self, arrow_factor: float) -> Self:
        """Return this source with Arrow sizes so many times as large as its footers tell."""
        if arrow_factor == self.arrow_factor:
            return self
        by = arrow_factor / self.arrow_factor
        groups = (replace(g, arrow_bytes=int(g.arrow_bytes * by)) for g in self.row_groups)
        return replace(self, row_groups=tuple(groups), arrow_factor=arrow_factor)

    def piece(self, first: int, last: int) -> Piece:
        """Return row groups ``first : last`` as a piece."""
        chosen = self.row_groups[first:last]
        files, at = [], first
        for (file, _), of_file in groupby(chosen, _whole_or_cut):
            groups = list(of_file)
            numbers = tuple(group.index for group in groups)
            n_rows = sum(group.n_rows for group in groups)
            runs = self._runs(file, at, at + len(groups))
            files.append(self._groups_of(file, numbers, n_rows, groups[0].first_row, runs))
            at += len(groups)
        files = files or [self._groups_of(0, (), 0)]
        return Piece(
            tuple(files),
            sum(group.n_rows for group in chosen),
            sum(group.arrow_bytes for group in chosen),
            first,
        )

    def _groups_of(
        self,
        file: int,
        numbers: tuple[int, ...],
        n_rows: int,
        first_row: int | None = None,
        runs: tuple[tuple[int, int], ...] = (),
    ) -> FileGroups:
        told = self.told[file] if self.told else ()
        where = self.files[file], self.stamps[file]
        return FileGroups(*where, numbers, n_rows, first_row, told, self._fit(file), runs)

    def _fit(self, file: int) -> Fit | None:
        return self.fits[file] if self.fits else None

    def _runs(self, file: int, begin: int, end: int) -> tuple[tuple[int, int], ...]:
        """Return which rows of a file some of its row groups are, if the fit needs it."""
        fit = self._fit(file)
        if fit is None or fit.labels is None:
            return ()
        start = begin
        while start and self.row_groups[start - 1].file == file:
            start -= 1
        row = sum(group.n_rows for group in self.row_groups[start:begin])
        return ((row, row + sum(group.n_rows for group in self.row_groups[begin:end])),)


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
    first_row : int or None
        They are slices of one row group, that begin there.
    told : tuple of Told
        Columns that are told of the file.
    fit : Fit or None
        What is done to them; None: nothing.
    runs : tuple of (int, int)
        Which rows of the file they are, first and behind the last, where the fit needs it.
    keys : str or None
        Names the function that gives the keys of an encrypted file.
    """

    path: str
    stamp: Stamp
    row_groups: tuple[int, ...]
    n_rows: int
    first_row: int | None = None
    told: tuple[Told, ...] = ()
    fit: Fit | None = None
    runs: tuple[tuple[int, int], ...] = ()
    keys: str | None = None


def _whole_or_cut(group: RowGroup) -> tuple[int, int]:
    """Return a row group's file, and its number there if it is a slice of it, else -1."""
    return group.file, -1 if group.first_row is None else group.index


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
    selection : Selection or None
        What is read of them; None: all.
    """

    files: tuple[FileGroups, ...]
    n_rows: int
    arrow_bytes: int
    first_group: int
    selection: Selection | None = None

    @property
    def groups(self) -> range:
        """The row groups' numbers in ``Source.row_groups``."""
        n_groups = sum(len(file.row_groups) for file in self.files)
        return range(self.first_group, self.first_group + n_groups)

    def __dask_tokenize__(self) -> object:
        """Tell it from the others of its job, without a look at each of thousands of files."""
        return self.first_group, self.n_rows, self.arrow_bytes, str(self.files[0][:5])

    def without_rows(self) -> Piece:
        """Return a piece of none of its rows, which still has the columns."""
        none = self.files[0]._replace(row_groups=(), n_rows=0, first_row=None, runs=())
        return Piece((none,), 0, 0, self.first_group, self.selection)


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
    chunks_bytes = len(source.schema) * tuning.open_chunk_bytes  # of a row group of short ones
    small = [
        cost <= min(joined_bytes, max(tuning.small_file_bytes, (last - first) * chunks_bytes))
        for cost, (first, last) in zip(costs, files, strict=True)
    ]
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
            for first, last in _even_runs(sizes, max(1, -(-sum(sizes) // piece_bytes))):
                yield begin + first, begin + last
        start = stop


def _cost(source: Source, groups: Sequence[RowGroup]) -> int:
    """Return what it costs to read a file's row groups, in bytes of a large file."""
    stored = source.stamps[groups[0].file].n_bytes
    return max(stored, sum(group.arrow_bytes for group in groups)) + source.tuning.open_bytes


def _even_runs(sizes: Sequence[int], n_runs: int) -> Iterable[tuple[int, int]]:
    total, start, before, passed = sum(sizes), 0, 0, 0
    for i, size in enumerate(sizes):
        passed += size
        run = min(n_runs - 1, round(before * n_runs / total)) if total else 0
        if i + 1 == len(sizes) or passed * n_runs >= total * (run + 1):
            yield start, i + 1
            start, before = i + 1, passed
