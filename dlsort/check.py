"""Check: is a dataset in order, and does it hold the rows of another one?

Pieces of a few row groups are read on several threads, the key columns alone
unless rows are compared too. A piece leaves behind its first row out of order,
its first and last key and its checksum, so memory holds one piece a thread
however large the dataset is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from dask.system import CPU_COUNT

from dlsort.arrow.hidden import visible_schema
from dlsort.arrow.paths import top_columns_of
from dlsort.arrow.shown import shown_value
from dlsort.arrow.transport import concat_rows, free_rows
from dlsort.events import Event
from dlsort.ingest.csv_options import read_csv_options
from dlsort.ingest.sources import Incoming
from dlsort.io.hive_folders import pieces_by_folder
from dlsort.io.listing.hive import read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.listing.passed_over import said
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.paths import read_places, shown_places
from dlsort.io.schema.differences import find_differences
from dlsort.io.schema.wanted import read_schema
from dlsort.io.source import Piece, Source, cut_pieces
from dlsort.io.told import check_all_told
from dlsort.key_expressions.flags import KeyFlags
from dlsort.keys import By, SortKey, format_by
from dlsort.options.doors import read_options
from dlsort.options.settings import with_settings
from dlsort.order.words import key_table
from dlsort.proof.checksum import Proof, prove
from dlsort.proof.disorder import Disorder, Place, first_disorder
from dlsort.proof.nan_places import has_nan, other_places
from dlsort.proof.ordered import first_break
from dlsort.publish.asked_key import AskedKey, asked_key
from dlsort.publish.manifest import read_manifest
from dlsort.strategies.to_check import chosen_of, cut_to_check, open_to_check
from dlsort.terminal.progress import NoProgress, Progress, progress_for
from dlsort.tuning import TUNING
from dlsort.wording import count, printable

if TYPE_CHECKING:
    from pyarrow.compute import Expression

__all__ = ["CheckReport", "Disorder", "Place", "check_dataset"]

# Of what a manifest tells that was asked for, what leaves rows out.
_CHOOSES_ROWS = ("unique", "where", "limit", "offset")


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check_dataset` found.

    Parameters
    ----------
    src, by : str
        The dataset and the key that were checked.
    files, row_groups, rows : int
        What the dataset holds, by its footers.
    disorder : Disorder or None
        The first row out of order, if any.
    sorted_if : str or None
        By which key rows are in order, if only the place of NaN differs, in a sentence.
    against : str or None
        The dataset that rows were compared with.
    differences : tuple of str
        One sentence for each difference between the two datasets, or where
        parts are not those of one sort.
    checksum : str or None
        Checksum of all rows, equal in both; None where rows were not compared
        or differ.
    passed_over : str
        How many files were not read of each dataset, and why.
    """

    src: str
    by: str
    files: int
    row_groups: int
    rows: int
    disorder: Disorder | None = None
    against: str | None = None
    differences: tuple[str, ...] = ()
    checksum: str | None = None
    passed_over: str = ""
    sorted_if: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the rows are in order and, if compared, the same."""
        return self.disorder is None and not self.differences

    def to_text(self) -> str:
        """Return the findings as a line or two for people."""
        lines = []
        if self.disorder is None:
            rows, files = count(self.rows, "row"), count(self.files, "file")
            lines.append(f"in order   {rows} by {self.by}, in {files} of {self.src}")
        else:
            lines.append(str(self.disorder))
            lines += [self.sorted_if] if self.sorted_if else []
        lines += self.differences
        if self.against is not None and self.checksum is not None:
            rows = count(self.rows, "row")
            lines.append(f"same rows  {rows}, checksum {self.checksum}, as in {self.against}")
        return "\n".join(map(printable, lines))


@dataclass(frozen=True)
class _Checked:
    """What a piece leaves behind: its edges are none, or its first and last key."""

    proof: Proof
    disorder: tuple[int, pa.Table] | None = None
    edges: pa.Table | None = None


@dataclass
class _Order:
    """The order across pieces, fed in order; remembers the last key so far."""

    source: Source
    keys: tuple[SortKey, ...]
    first: Disorder | None = None
    last: tuple[pa.Table, Piece] | None = field(default=None, repr=False)
    is_by_folder: bool = False

    def feed(self, piece: Piece, result: _Checked) -> None:
        """Take one more piece into account."""
        if self.first is not None or result.edges is None:
            return
        if self.is_by_folder and self.last and _folder(self.last[1]) != _folder(piece):
            self.last = None
        if self.last is not None:
            above, of = self.last
            below = result.edges.slice(0, 1)
            if first_break([above, below], self.keys, TUNING.order) >= 0:
                self.first = Disorder(
                    self._place(piece, 0, below),
                    self._place(of, of.n_rows - 1, above),
                    has_nan(above) or has_nan(below),
                )
                return
        if result.disorder is not None:
            row, pair = result.disorder
            self.first = Disorder(
                self._place(piece, row + 1, pair.slice(1)),
                self._place(piece, row, pair.slice(0, 1)),
                has_nan(pair),
            )
        self.last = result.edges.slice(1), piece

    def _place(self, piece: Piece, row: int, key: pa.Table) -> Place:
        groups = [self.source.row_groups[g] for g in piece.groups]
        ends = list(accumulate(group.n_rows for group in groups))
        which = bisect_right(ends, row)
        first = ends[which - 1] if which else 0
        group = groups[which]
        values = zip(key.column_names, key, strict=True)
        shown = ", ".join(f"{name}={shown_value(value)}" for name, value in values)
        row += (group.first_row or 0) - first
        path, number = self.source.files[group.file], group.index
        if (origin := self.source.origin) is not None:  # its pieces stand for row groups
            of = origin.of[group.file]
            path, number = origin.files[of], number + group.file - origin.of.index(of)
        return Place(path, number, row, shown)


@with_settings("check_dataset")
def check_dataset(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    by: By | None = None,
    ignore_case: bool = False,
    natural: bool = False,
    numeric: bool = False,
    collate: str | None = None,
    reverse: bool = False,
    nan_first: bool = False,
    nan_last: bool = False,
    against: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    columns: str | Sequence[str] | None = None,
    rename: str | Mapping[str, str] | None = None,
    where: str | Expression | None = None,
    schema: str | PathLike[str] | Mapping[str, Any] | pa.Schema = "union",
    threads: int | None = None,
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
    input_format: str | None = None,
    csv_options: str | PathLike[str] | Mapping[str, Any] | None = None,
    decryption: str | Callable[[], Any] | None = None,
    progress: Progress | Callable[[Event], object] | bool | None = None,
) -> CheckReport:
    """Check that a Parquet dataset is in order, and compare its rows with another's.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A Parquet file, a folder of them, a glob, a Delta or Iceberg table, or a list of such,
        as of :func:`dlsort.sort_dataset`; files are taken in natural order of their names.
    by : str, SortKey or a sequence of these, optional
        The key, as in ``"day,price:desc,note:asc:nulls_first"``. By default the one that the
        parts were sorted by, which is in the footers of dlsort's own; then it also finds
        parts that are missing, there twice, or another sort's.
    ignore_case, natural, numeric, collate, reverse, nan_first, nan_last
        As of :func:`dlsort.sort_dataset`; with ``by`` only.
    against : str, path-like or a sequence of these, optional
        A dataset that should hold the same rows, in any order: row count, columns and checksum
        are compared, whatever their order, nullability and layout (dictionary or not).
    columns : str or a sequence of str, optional
        The columns of ``against`` that the sort was to keep.
    rename : str or mapping, optional
        What it was to call them.
    where : str or pyarrow.compute.Expression, optional
        The rows of ``against`` that it was to keep.
    schema : str, path-like, mapping or pyarrow.Schema
        As of :func:`dlsort.sort_dataset`, of both datasets.
    threads : int, optional
        Threads that read; by default one a core.
    ignore : str or a sequence of str
        Patterns of files to leave out, of both datasets.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give, in either dataset.
    input_format : {"parquet", "csv", "jsonl", "arrow"}, optional
        As of :func:`dlsort.sort_dataset`, of ``against`` if that is given.
    csv_options : str, path-like or mapping, optional
        As of :func:`dlsort.sort_dataset`.
    decryption : str or callable, optional
        Gives the keys of encrypted files, as of :func:`dlsort.sort_dataset`.
    progress : bool, Progress or callable, optional
        As of :func:`dlsort.sort_dataset`.

    Returns
    -------
    CheckReport
        Its ``ok`` says whether all is well, its ``disorder`` the first row out of order.

    Raises
    ------
    DlsortError
        If a dataset can't be read or the key does not fit it. Without ``against`` only keys are
        read, up to the first row out of order.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/part.parquet"
    >>> pq.write_table(pa.table({"x": [1, 3, 2]}), path)
    >>> report = check_dataset(path, by="x")
    >>> report.ok, report.disorder.row.row, report.disorder.row.key
    (False, 2, 'x=2')
    >>> folder.cleanup()
    """
    asked = read_options("check_dataset", locals())
    flags = KeyFlags.of(asked)
    places = [read_places(src, "source (src)")]
    if against is not None:
        places.append(read_places(against, "source to compare (against)"))
    types = read_hive_types(hive_types)
    how = read_ignore(ignore), types, asked["decryption"]
    written = asked["input_format"], read_csv_options(csv_options)
    wanted = read_schema(schema)
    with progress_for(progress) as display, ExitStack() as stack:
        n = asked["threads"] or CPU_COUNT
        sources = []
        for i, place in enumerate(places, 1):
            format_ = written[0] if i == len(places) else None
            incoming = Incoming(place, how[0], wanted, format_, written[1])
            sources.append(stack.enter_context(open_to_check(incoming, how, n)))
        check_all_told(types, *sources)
        wanted = asked["columns"], asked["rename"]
        sources[1:] = [chosen_of(each, wanted, asked["where"]) for each in sources[1:]]
        names = [shown_places(place) for place in places]
        key = asked_key(sources[0], asked["by"], flags, names[0])
        sources = [cut_to_check(each, n) for each in (key.source, *sources[1:])]
        return _check(names, sources, key, n, display)


def _check(
    called: Sequence[str],
    sources: Sequence[ParquetSource],
    key: AskedKey,
    threads: int,
    progress: Progress,
) -> CheckReport:
    """Check the first of one or two datasets; errors and the report name them as called."""
    src, against = called[0], called[1] if len(called) > 1 else None
    source, other = sources[0], sources[1] if len(sources) > 1 else None
    _, keys, problems = key
    told = (footer.metadata.metadata for footer in source.footers[:1])
    manifests = [m for m in map(read_manifest, told) if m]
    is_by_folder = any(m.partition_by for m in manifests)
    chosen = [name for m in manifests for name in m.chosen if name in _CHOOSES_ROWS]
    hint = f" {src} was sorted with {', '.join(chosen)}." if chosen else ""
    differences: list[str] = []
    if other is not None:
        if source.n_rows != other.n_rows and not other.is_filtered:
            both = f"{source.n_rows:,} in {src}, {other.n_rows:,} in {against}"
            differences.append(f"not the same rows: {both}.{hint}")
        differences += find_differences(
            visible_schema(source.schema), src, other.schema, str(against)
        )
    whole = other is not None and not differences
    columns = source.schema.names if whole else top_columns_of(source.schema, keys)
    source.check_columns(columns, copied=False)
    order = _Order(source, keys, is_by_folder=is_by_folder)
    progress.phase("check", source.n_rows)
    if whole and other is not None:
        other.check_columns(columns, copied=False)
        progress.phase("against", other.n_rows)
    proof, other_proof = Proof(), Proof()
    with _pool(threads) as pool:
        pieces = _pieces(source, is_by_folder=is_by_folder)
        for piece, result in _read(source, pieces, keys, pool, progress, "check", whole=whole):
            order.feed(piece, result)
            proof += result.proof
            if order.first is not None and not whole:
                break
        if whole and other is not None:
            pieces = _pieces(other)
            for _, result in _read(other, pieces, (), pool, progress, "against", whole=True):
                other_proof += result.proof
            if proof.rows != other_proof.rows:
                both = f"{proof.rows:,} in {src}, {other_proof.rows:,} in {against}"
                differences.append(f"not the same rows: {both}.{hint}")
            elif proof != other_proof:
                differences.append(
                    f"not the same rows: both have {count(proof.rows, 'row')}, but their "
                    "checksum is "
                    f"{proof.checksum} in {src} and {other_proof.checksum} in {against}."
                )
    sorted_if = _sorted_if(order, threads)
    return CheckReport(
        src,
        format_by(keys),
        len(source.given[0]),
        len(source.row_groups),
        source.n_rows,
        order.first,
        against,
        (*problems, *differences),
        proof.checksum if whole and not differences else None,
        _passed_over(called, sources),
        sorted_if,
    )


def _passed_over(called: Sequence[str], sources: Sequence[Source]) -> str:
    """Return what was not read of each dataset, if anything."""
    each = zip(called, sources, strict=True)
    return "; ".join(f"{name}: {said(of.passed)}" for name, of in each if of.passed)


def _sorted_if(order: _Order, threads: int) -> str | None:
    """Return by which key rows are in order all the same, where that depends on NaN alone."""
    if order.first is None or not order.first.has_nan:
        return None
    for rule, keys in other_places(order.keys, order.source.schema):
        other = _Order(order.source, keys, is_by_folder=order.is_by_folder)
        pieces = _pieces(order.source, is_by_folder=order.is_by_folder)
        how = NoProgress(), ""
        with _pool(threads) as pool:
            for piece, found in _read(order.source, pieces, keys, pool, *how, whole=False):
                other.feed(piece, found)
                if other.first is not None:
                    break
        if other.first is None:
            return f"The rows are in order if {rule}: check by {format_by(keys)}."
    return None


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give a thread pool that drops what it has not begun when it is left."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="dlsort-check")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _folder(piece: Piece) -> str:
    return piece.files[0].path.rpartition("/")[0]


def _pieces(source: Source, *, is_by_folder: bool = False) -> list[Piece]:
    cut = pieces_by_folder if is_by_folder else cut_pieces
    return cut(source, TUNING.budget.input_bytes)


def _read(
    source: Source,
    pieces: Sequence[Piece],
    keys: tuple[SortKey, ...],
    pool: ThreadPoolExecutor,
    progress: Progress,
    phase: str,
    *,
    whole: bool,
) -> Iterator[tuple[Piece, _Checked]]:
    """Yield each piece with what it leaves behind, in order."""
    columns = source.schema.names if whole else top_columns_of(source.schema, keys)

    def look(piece: Piece) -> _Checked:
        table = source.read(piece, columns)
        proof = prove(table, TUNING.proof) if whole else Proof()
        return _look(table, keys, proof) if keys and table.num_rows else _Checked(proof)

    done = 0
    for piece, result in zip(pieces, pool.map(look, pieces), strict=True):
        yield piece, result
        done += piece.n_rows
        progress.rows(phase, done)
    progress.finish(phase)


def _look(table: pa.Table, keys: tuple[SortKey, ...], proof: Proof) -> _Checked:
    table = key_table(table, keys)
    bad = first_disorder(table, keys, TUNING.order)
    pair = None if bad < 0 else (bad, free_rows(table.slice(bad, 2)))
    last = table.num_rows - 1
    edges = free_rows(concat_rows([table.slice(0, 1), table.slice(last)]))
    return _Checked(proof, pair, edges)
