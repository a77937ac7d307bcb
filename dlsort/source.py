"""Source: Parquet files as pieces that can be read one by one.

Only footers are read here, until :func:`read_piece` reads the rows. A piece is
a run of row groups of one file, cut so that its Arrow size suits the memory;
pieces in order are the input's row order, which the stable sort keeps.
"""

from __future__ import annotations

import glob as globbing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from dask.utils import natural_sort_key

from dlsort.bounded_read import UNBOUNDED, read_bounded
from dlsort.destination import check_path
from dlsort.encoding import ColumnLayout, layouts, readable_as_dictionary
from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    SchemaMismatchError,
    SourceChangedError,
    SourceNotFoundError,
)
from dlsort.footers import BadFooterError, open_file, read_footer
from dlsort.pages import BadPageError
from dlsort.replaceable import SUFFIXES
from dlsort.storage import filesystem, is_store, open_to_read, stamp_of

__all__ = [
    "Piece",
    "RowGroup",
    "Source",
    "Stamp",
    "column_chunks",
    "cut_pieces",
    "dictionary_columns",
    "find_files",
    "open_source",
    "read_piece",
    "top_columns",
]

FOOTER_THREADS = 8  # footers are small reads: latency, not bandwidth, is what costs

# What reading a file raises that is not as it should be.
_UNREADABLE = (pa.ArrowException, OSError, IndexError, BadFooterError, BadPageError)


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
    footers : tuple of pyarrow.parquet.FileMetaData
        The footers; they stay on the client.
    stamps : tuple of Stamp
        One a file, from before its footer was read.
    most_bytes : int
        Memory for the row groups that are read together.
    """

    files: tuple[str, ...]
    schema: pa.Schema
    row_groups: tuple[RowGroup, ...]
    layouts: dict[str, ColumnLayout]
    footers: tuple[pq.FileMetaData, ...]
    stamps: tuple[Stamp, ...]
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

    def piece(self, groups: Sequence[int]) -> Piece:
        """Return some row groups of one file, by their numbers, ascending, as a piece."""
        chosen = [self.row_groups[g] for g in groups]
        file = chosen[0].file
        return Piece(
            self.files[file],
            self.stamps[file],
            tuple(group.index for group in chosen),
            sum(group.n_rows for group in chosen),
            sum(group.arrow_bytes for group in chosen),
            groups[0],
        )


@dataclass(frozen=True)
class Piece:
    """One input partition: some row groups of one file. Small and picklable.

    Parameters
    ----------
    path : str
        The file.
    stamp : Stamp
        As it was when the job began.
    row_groups : tuple of int
        Their numbers in the file, ascending.
    n_rows, arrow_bytes : int
        Their rows and estimated Arrow size.
    first_group : int
        Number of the first one in ``Source.row_groups``.
    """

    path: str
    stamp: Stamp
    row_groups: tuple[int, ...]
    n_rows: int
    arrow_bytes: int
    first_group: int


def find_files(src: str | Path) -> list[str]:
    """Return the Parquet files that a path, folder or glob names, in natural order.

    In a folder, files at any depth count that end in ``.parquet``, ``.parq`` or
    ``.pq``, but none whose name, or a folder's on the way, begins with ``_`` or
    ``.``. A link to a file counts as the file; links to folders are not followed.

    Raises
    ------
    SourceNotFoundError
        If there is none.
    """
    check_path(src, "source")
    if is_store(src):
        return _find_objects(str(src))
    path = Path(src).absolute()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = [p for p in path.rglob("*") if not _hidden(p.relative_to(path))]
        named = [p for p in found if p.suffix in SUFFIXES and not p.is_dir()]
        _refuse_lost_links(named)
        if not named:
            msg = f"{src} holds no Parquet file; expected at least one *.parquet in it."
            raise SourceNotFoundError(msg)
        _refuse_partition_folders(path, named)
        return sorted(map(str, named), key=natural_sort_key)
    matched = globbing.glob(str(src), recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    matched = [str(Path(m).absolute()) for m in matched if Path(m).is_file()]
    if not matched:
        what = "matches no file" if globbing.has_magic(str(src)) else "does not exist"
        msg = f"{src} {what}; expected a Parquet file, a folder of them or a glob."
        raise SourceNotFoundError(msg)
    return sorted(matched, key=natural_sort_key)


def _find_objects(url: str) -> list[str]:
    """Return the URLs of the objects that one names: an object, a prefix or a glob."""
    fs, path = filesystem(url)
    try:
        if globbing.has_magic(path):
            found = [name for name in fs.glob(path) if fs.isfile(name)]
        elif fs.isfile(path):
            found = [path]
        else:
            below = PurePosixPath(path)
            found = [
                name
                for name in fs.find(path)
                if PurePosixPath(name).suffix in SUFFIXES
                and not _hidden(PurePosixPath(name).relative_to(below))
            ]
            _refuse_partition_folders(below, map(PurePosixPath, found))
    except OSError as error:
        raise CorruptSourceError(f"can't read {url}: {error.strerror or error}.") from error
    if not found:
        msg = f"{url} holds no Parquet file; expected an object, a prefix of some or a glob."
        raise SourceNotFoundError(msg)
    return sorted((fs.unstrip_protocol(name) for name in found), key=natural_sort_key)


def _refuse_lost_links(files: Iterable[Path]) -> None:
    """Raise if one is no file, nor a link to one: its rows would be missing in silence."""
    for file in files:
        if not file.is_file():
            what = "links to no file" if file.is_symlink() else "is not a file"
            msg = f"{file} {what}; remove it, or put the file there."
            raise SourceNotFoundError(msg)


def _refuse_partition_folders(folder: PurePath, files: Iterable[PurePath]) -> None:
    """Raise if files lie in folders such as ``day=1``, whose values they don't hold."""
    for file in files:
        for name in file.relative_to(folder).parent.parts:
            if "=" in name:
                msg = (
                    f"{file} lies in {name!r}: columns kept in folder names are not in "
                    "the files and would be lost. Write them into the files first."
                )
                raise BadOptionError(msg)


def _hidden(path: PurePath) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def open_source(src: str | Path) -> Source:
    """Read the footers of a dataset.

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
    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        footers = list(pool.map(_footer, files))
    schema = footers[0][0]
    for path, (other, _, _) in zip(files, footers, strict=True):
        schema = _agreed(schema, files[0], other, path)
    groups = tuple(
        _row_group(metadata, number, index, schema)
        for number, (_, metadata, _) in enumerate(footers)
        for index in range(metadata.num_row_groups)
    )
    metadata = tuple(footer for _, footer, _ in footers)
    stamps = tuple(stamp for _, _, stamp in footers)
    return Source(tuple(files), schema, groups, layouts(metadata), metadata, stamps)


def _footer(path: str) -> tuple[pa.Schema, pq.FileMetaData, Stamp]:
    try:
        stamp = Stamp(*stamp_of(path))
        with open_to_read(path) as where:
            return *read_footer(where, stamp.n_bytes), stamp
    except _UNREADABLE as error:
        raise _corrupt(path, error) from error


def _corrupt(path: str, error: BaseException) -> CorruptSourceError:
    first_line = (
        str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    )
    if isinstance(error, PermissionError):
        return CorruptSourceError(f"can't read {path}: permission denied.")
    return CorruptSourceError(
        f"can't read {path}: it is truncated, corrupt or not Parquet ({first_line}). "
        "Replace the file or leave it out of the source."
    )


def _agreed(schema: pa.Schema, path: str, other: pa.Schema, other_path: str) -> pa.Schema:
    """Return the schema, nullable where either is; raise if types differ."""
    if len(set(other.names)) < len(other.names):
        name = next(n for n in other.names if other.names.count(n) > 1)
        msg = (
            f"{other_path} has several columns named {name!r}; each name may stand there once."
        )
        raise SchemaMismatchError(msg)
    for name in [*schema.names, *(n for n in other.names if n not in schema.names)]:
        left = schema.field(name).type if name in schema.names else "missing"
        right = other.field(name).type if name in other.names else "missing"
        if left != right:
            msg = (
                f"the files disagree on column {name!r}: it is {left} in {path} "
                f"and {right} in {other_path}; expected the same schema in every file."
            )
            raise SchemaMismatchError(msg)
    for i, field in enumerate(schema):
        if not field.nullable and other.field(field.name).nullable:
            schema = schema.set(i, field.with_nullable(True))
    return schema


def _row_group(metadata: pq.FileMetaData, file: int, index: int, schema: pa.Schema) -> RowGroup:
    group = metadata.row_group(index)
    column_bytes: dict[str, int] = {}
    stored = arrow = 0
    for i in range(group.num_columns):
        chunk = group.column(i)
        stored += chunk.total_compressed_size
        path = chunk.path_in_schema
        arrow += _arrow_bytes(chunk, schema.field(path).type if path in schema.names else None)
        column_bytes[path] = column_bytes.get(path, 0) + chunk.total_compressed_size
    return RowGroup(file, index, group.num_rows, arrow, stored, column_bytes)


def _arrow_bytes(chunk: pq.ColumnChunkMetaData, kind: pa.DataType | None) -> int:
    """Estimate the Arrow size of a column chunk; exact for fixed widths."""
    n_values: int = chunk.num_values
    if kind is not None and not pt.is_nested(kind):
        try:
            return n_values * kind.bit_width // 8
        except ValueError:
            pass  # variable width
    return max(chunk.total_uncompressed_size, 4 * n_values)


def top_columns(footer: pq.FileMetaData) -> dict[str, int]:
    """Return the places of the columns that are not nested, by name.

    Paths would not do: a column "a.b" has that of the field b of a struct a.
    """
    leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
    return {leaf.name: i for i, leaf in enumerate(leaves) if leaf.name == leaf.path}


def column_chunks(source: Source, name: str) -> Iterator[tuple[int, pq.ColumnChunkMetaData]]:
    """Yield the chunks of a column that is not nested, with their numbers in ``row_groups``."""
    places = [top_columns(footer).get(name) for footer in source.footers]
    for g, group in enumerate(source.row_groups):
        place = places[group.file]
        if place is not None:
            yield g, source.footers[group.file].row_group(group.index).column(place)


def cut_pieces(source: Source, piece_bytes: int) -> list[Piece]:
    """Return the input partitions: runs of row groups of at most ``piece_bytes`` Arrow size.

    A row group is never cut, so one that is larger makes a piece by itself.
    Runs of one file are evened out, so that no small rest is left. A dataset
    without any row group is one piece of none, which still has the columns.
    """
    pieces: list[Piece] = []
    groups = source.row_groups
    if not groups:
        return [Piece(source.files[0], source.stamps[0], (), 0, 0, 0)]
    start = 0
    while start < len(groups):
        stop = start
        while stop < len(groups) and groups[stop].file == groups[start].file:
            stop += 1
        of_file = groups[start:stop]
        n_pieces = max(1, -(-sum(g.arrow_bytes for g in of_file) // piece_bytes))
        pieces += [
            source.piece(range(start + first, start + last))
            for first, last in _even_runs(of_file, n_pieces)
        ]
        start = stop
    return pieces


def _even_runs(groups: Sequence[RowGroup], n_runs: int) -> Iterable[tuple[int, int]]:
    total = sum(g.arrow_bytes for g in groups)
    start, before, passed = 0, 0, 0
    for i, group in enumerate(groups):
        passed += group.arrow_bytes
        run = min(n_runs - 1, round(before * n_runs / total)) if total else 0
        if i + 1 == len(groups) or passed * n_runs >= total * (run + 1):
            yield start, i + 1
            start, before = i + 1, passed


def read_piece(
    piece: Piece,
    source_schema: pa.Schema,
    columns: list[str],
    as_dictionary: Iterable[str] = (),
    most_bytes: int = UNBOUNDED,
) -> pa.Table:
    """Read the rows of a piece.

    Parameters
    ----------
    piece : Piece
        What to read.
    source_schema : pyarrow.Schema
        The dataset's schema; its nullability is given to the columns.
    columns : list of str
        Which columns, in this order.
    as_dictionary : iterable of str
        Columns of strings to keep as dictionaries.
    most_bytes : int
        Memory for the rows.

    Returns
    -------
    pyarrow.Table
        ``piece.n_rows`` rows; dictionary columns differ from the schema's type.

    Raises
    ------
    CorruptSourceError
        If the file can't be read, holds other rows than its footer says, or takes more memory.
    SourceChangedError
        If it is not the one any more that it was when the job began.
    """
    dictionaries = [c for c in as_dictionary if c in columns]
    try:
        with (
            open_to_read(piece.path) as where,
            open_file(
                where,
                piece.stamp.n_bytes,
                read_dictionary=dictionaries,
                pre_buffer=is_store(piece.path),  # few large reads of what is far away
                page_checksum_verification=True,  # of pages that have one; takes 3 % longer
            ) as file,
        ):
            path = None if is_store(piece.path) else piece.path
            table = read_bounded(
                file, path, piece.row_groups, columns, dictionaries, most_bytes
            )
    except _UNREADABLE as error:
        _check_unchanged(piece)
        raise _corrupt(piece.path, error) from error
    _check_unchanged(piece)
    # "a.b" also reads field b of a struct a, if there is one
    if table.num_rows != piece.n_rows or not set(columns) <= set(table.column_names):
        found = ValueError(f"{table.num_rows:,} rows where there were {piece.n_rows:,}")
        raise _corrupt(piece.path, found)
    table = table.select(columns)
    fields = [
        table.schema.field(i).with_nullable(source_schema.field(name).nullable)
        for i, name in enumerate(columns)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _check_unchanged(piece: Piece) -> None:
    """Raise if a piece's file was changed, replaced or removed since the job began."""
    try:
        now = Stamp(*stamp_of(piece.path))
    except FileNotFoundError:
        what = "removed"
    except OSError as error:
        raise _corrupt(piece.path, error) from error
    else:
        if now == piece.stamp:
            return
        sizes = f"it had {piece.stamp.n_bytes:,} bytes, now {now.n_bytes:,}"
        what = "changed" if now.n_bytes == piece.stamp.n_bytes else f"changed ({sizes})"
    msg = (
        f"{piece.path} was {what} while it was being read; start again when nobody writes "
        "to it any more."
    )
    raise SourceChangedError(msg)


def dictionary_columns(source: Source) -> tuple[str, ...]:
    """Return the string columns that are best kept as dictionaries on the way through."""
    return tuple(
        field.name for field in source.schema if readable_as_dictionary(field, source.layouts)
    )
