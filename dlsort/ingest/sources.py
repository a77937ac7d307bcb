"""Sources: whatever a caller names, as files of Parquet for the time of a job.

Parquet files stay as they are. Others are read once, in their order, and written as plain
Parquet pieces to a private folder for temporary files; what is read once only (standard input,
files of web servers) is kept there too, if its format has to be read in more than one place.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.errors import (
    BadOptionError,
    ClusterError,
    CorruptSourceError,
    DlsortError,
    SourceChangedError,
    SourceNotFoundError,
)
from dlsort.ingest.csv_options import CsvOptions
from dlsort.ingest.csv_rows import CsvRows
from dlsort.ingest.formats import (
    PARQUET,
    FileKind,
    is_direct,
    is_web,
    kind_of_bytes,
    kinds_of,
    packed_by,
)
from dlsort.ingest.json_rows import JsonRows
from dlsort.ingest.pieces import Making, Piece, Pieces
from dlsort.ingest.take_arrow import ArrowFile, take_arrow
from dlsort.ingest.take_text import TextFile, take_text
from dlsort.ingest.text_blocks import Counted
from dlsort.io.find import Listing, SourceFile, find_files
from dlsort.io.listing.names import is_document
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.paths import Places, list_of
from dlsort.io.schema.united import ColumnTypes, SchemaWanted
from dlsort.io.source import Origin, Stamp
from dlsort.io.storage import filesystem, stamp_of
from dlsort.proof.checksum import NOTHING, Proof
from dlsort.tuning import Tuning
from dlsort.wording import count
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.scratch import make_scratch

__all__ = ["Incoming", "TakenIn", "take_in"]

_MOST_SHOWN = 6  # types of columns
_TRIES = 3  # of a file of a web server


@dataclass(frozen=True)
class Incoming:
    """What is known of a source before it is opened.

    Parameters
    ----------
    src : str or tuple of str
        The places.
    ignore : sequence of str
        Patterns of files to leave out.
    schema : "union", "strict", pyarrow.Schema or ColumnTypes
        What is asked of it.
    input_format : str or None
        What its files are.
    csv : CsvOptions
        How CSV is written.
    """

    src: Places
    ignore: Sequence[str]
    schema: SchemaWanted
    input_format: str | None = None
    csv: CsvOptions = field(default_factory=CsvOptions)

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Types of columns that are given."""
        if isinstance(self.schema, pa.Schema):
            return {field.name: field.type for field in self.schema}
        return self.schema if isinstance(self.schema, ColumnTypes) else {}


@dataclass(frozen=True)
class TakenIn:
    """A source, as Parquet.

    Parameters
    ----------
    listing : Listing
        The files of Parquet.
    schema : SchemaWanted
        What is asked of them.
    origin : Origin or None
        What they were made from, if not all of them are the source's own.
    """

    listing: Listing
    schema: SchemaWanted
    origin: Origin | None = None

    def open(
        self, open_listing: Callable[[Listing, SchemaWanted], ParquetSource]
    ) -> ParquetSource:
        """Return the source; errors name what its files were made from.

        Raises
        ------
        DlsortError
            As opening it does.
        """
        if self.origin is None:
            return open_listing(self.listing, self.schema)
        origin = self.origin
        names = {
            file.path: origin.files[i]
            for file, i in zip(self.listing.files, origin.of, strict=True)
        }
        try:
            source = open_listing(self.listing, self.schema)
        except DlsortError as error:
            raise type(error)(_renamed(str(error.args[0]), names)) from error
        is_whole = not any(source.fits) and not any(source.told)
        origin = origin._replace(checksum=origin.checksum if is_whole else "")
        changes = tuple(_renamed(each, names) for each in source.changes)
        return replace(source, origin=origin, changes=changes)


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text


@contextmanager
def take_in(
    incoming: Incoming,
    tuning: Tuning,
    *,
    threads: int,
    temp_dir: str | None,
    key_columns: Callable[[list[str]], list[str]],
) -> Iterator[TakenIn]:
    """Give a source as Parquet, as long as it is entered.

    Parameters
    ----------
    incoming : Incoming
        The source.
    tuning : Tuning
        Sizes.
    threads : int
        Threads that read.
    temp_dir : str or None
        Where what is made is kept; None: the system's folder.
    key_columns : callable
        Given columns' names, returns those to be sorted by.

    Raises
    ------
    DlsortError
        If there is no such source, or it can't be read.
    """
    listing = _find(incoming)
    kinds = kinds_of(listing.files, incoming.input_format)
    if not any(kinds) and not any(is_direct(file.path) for file in listing.files):
        yield TakenIn(listing, incoming.schema)
        return
    passed = {why: list(names) for why, names in listing.passed.items()}
    chosen = []
    for file, kind in zip(listing.files, kinds, strict=True):
        if kind is not None and not file.is_named and is_document(file.path):
            passed.setdefault("document", []).append(file.path)
        else:
            chosen.append((file, kind))
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(make_scratch(temp_dir))
        except ExchangeError as error:
            raise ClusterError(str(error)) from error
        readers = stack.enter_context(ThreadPoolExecutor(min(threads, len(chosen))))
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        # each thread has one at work, and one waits for it
        waiting = 2 * -(-threads // min(threads, len(chosen)))
        making = Making(folder, pool, waiting, key_columns, tuning)
        taking = [_Taking(incoming, making, i, *each) for i, each in enumerate(chosen)]
        taken = _all(readers, taking)
        files = [
            _moved(each.file, piece.path)
            for each, made in zip(taking, taken, strict=True)
            for piece in made.pieces
        ]
        of = [i for i, made in enumerate(taken) for _ in made.pieces]
        proof = sum((made.proof for made in taken if made.proof is not None), NOTHING)
        is_all = all(made.proof is not None for made in taken)
        origin = Origin(
            tuple(made.name for made in taken),
            tuple(made.stamp for made in taken),
            tuple(of),
            tuple(_told(taken)),
            proof.checksum if is_all else "",
            proof.rows if is_all else -1,
        )
        yield TakenIn(Listing(tuple(files), passed), _schema(incoming.schema, taken), origin)


def _moved(file: SourceFile, path: str) -> SourceFile:
    """Return a file that lies elsewhere now."""
    return file if file.path == path else file._replace(path=path, is_named=True)


def _find(incoming: Incoming) -> Listing:
    """Return the files, in the order in which places are named."""
    places = list_of(incoming.src)
    if not any(map(is_direct, places)):
        return find_files(incoming.src, incoming.ignore)
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        msg = f"{twice} is in the source twice; name it once."
        raise BadOptionError(msg)
    files: list[SourceFile] = []
    passed: dict[str, list[str]] = {}
    for place in places:
        if is_direct(place):
            files.append(SourceFile(place, is_named=True))
            continue
        found = find_files((place,), incoming.ignore)
        files += found.files
        for why, names in found.passed.items():
            passed.setdefault(why, []).extend(names)
    return Listing(tuple(files), passed)


@dataclass(frozen=True)
class _Made:
    """A file of a source, as Parquet; ``proof`` is None of a file that was Parquet before."""

    name: str
    stamp: Stamp
    pieces: Sequence[Piece]
    proof: Proof | None = None
    of: Pieces | None = None
    kind: str = PARQUET


@dataclass(frozen=True)
class _Taking:
    """A file to take in."""

    incoming: Incoming
    making: Making
    number: int
    file: SourceFile
    kind: FileKind | None

    def take(self) -> _Made:
        path = self.file.path
        if path == "-":
            return self._take_stdin()
        if is_web(path):
            return self._take_web()
        try:
            stamp = Stamp(*stamp_of(path))
        except OSError as error:
            raise CorruptSourceError(f"can't read {path}: {error}.") from error
        if self.kind is None:
            return _Made(path, stamp, [Piece(path, NOTHING)])
        made = self._make(path, path, self.kind)
        if Stamp(*stamp_of(path)) != stamp:
            msg = f"{path} was changed while it was read. Sort it again once it is complete."
            raise SourceChangedError(msg)
        return self._made(path, stamp, made, self.kind)

    def _made(self, name: str, stamp: Stamp, made: Pieces, kind: FileKind) -> _Made:
        return _Made(name, stamp, made.pieces, made.proof, made, kind.format)

    def _make(self, name: str, where: str | Counted, kind: FileKind) -> Pieces:
        if kind.format == "arrow":
            return take_arrow(ArrowFile(name, where, kind, self.number), self.making)
        types = self.incoming.types
        rows = (
            CsvRows(self.incoming.csv, types, is_tabbed=kind.is_tabbed)
            if kind.format == "csv"
            else JsonRows(types)
        )
        return take_text(TextFile(name, where, kind, self.number, rows), self.making)

    def _take_stdin(self) -> _Made:
        raw = sys.stdin.buffer
        head = raw.read(64)
        name = "standard input"
        if not head:
            msg = f"{name} is empty; expected the rows to sort."
            raise SourceNotFoundError(msg)
        asked = self.incoming.input_format
        packed = packed_by(head)
        if packed and not asked:  # blocks of zstd are unpacked whole
            head += raw.read(1 << 17)
        kind = FileKind(asked) if asked else kind_of_bytes(head)
        if kind is None:
            msg = (
                f"the first bytes of {name} do not say what it is; give input_format "
                "(--input-format): parquet, csv, jsonl or arrow."
            )
            raise BadOptionError(msg)
        stream = Counted(raw, head)
        if kind.format == PARQUET or head[:6] == b"ARROW1":
            path = self._spool(stream)
            stamp = Stamp(stream.n_bytes, stream.mark)
            if kind.format == PARQUET:
                return _Made("-", stamp, [Piece(path, NOTHING)])
            return self._made("-", stamp, self._make(name, path, kind), kind)
        kind = kind._replace(packed=packed)
        made = self._make(name, stream, kind)
        return self._made("-", Stamp(stream.n_bytes, stream.mark), made, kind)

    def _spool(self, stream: Any) -> str:
        path = Path(self.making.folder, f"{self.number:06}.spooled")
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        return str(path)

    def _take_web(self) -> _Made:
        url = self.file.path
        fs, inner = filesystem(url)
        for tries in range(_TRIES):
            try:
                with fs.open(inner, "rb", block_size=0) as far:
                    stream = Counted(far)
                    path = self._spool(stream)
                break
            except FileNotFoundError as error:
                raise SourceNotFoundError(f"{url} does not exist on its server.") from error
            except Exception as error:  # whatever its package raises
                if tries + 1 == _TRIES:
                    why = str(error) or type(error).__name__
                    msg = f"can't read {url}: {why.rstrip('.')}. Tried {_TRIES} times."
                    raise CorruptSourceError(msg) from error
        stamp = Stamp(stream.n_bytes, stream.mark)
        with Path(path).open("rb") as near:
            kind = self.kind or kind_of_bytes(near.read(64))
        if kind is None or kind.format == PARQUET:
            return _Made(url, stamp, [Piece(path, NOTHING)])
        return self._made(url, stamp, self._make(url, path, kind), kind)


def _all(readers: Executor, taking: Sequence[_Taking]) -> list[_Made]:
    """Take all files in; the first that fails stops those that have not begun."""
    futures = [readers.submit(each.take) for each in taking]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _schema(wanted: SchemaWanted, taken: Sequence[_Made]) -> SchemaWanted:
    """Return what is asked of the pieces: a column without any value is text."""
    kinds: dict[str, list[pa.DataType]] = {}
    for made in taken:
        if made.of is None:
            return wanted
        for each in made.of.schema:
            kinds.setdefault(each.name, []).append(each.type)
    empty = [name for name, of in kinds.items() if all(map(pt.is_null, of))]
    is_text = any(made.kind in ("csv", "jsonl") for made in taken)
    if not empty or not is_text or isinstance(wanted, pa.Schema) or wanted == "strict":
        return wanted
    given = wanted if isinstance(wanted, ColumnTypes) else {}
    return ColumnTypes({**dict.fromkeys(empty, pa.string()), **given})


def _told(taken: Sequence[_Made]) -> Iterator[str]:
    """Yield what each format was read as, for people."""
    names = {"csv": "CSV", "jsonl": "JSON lines", "arrow": "Arrow IPC"}
    for kind, name in names.items():
        found = [made.of for made in taken if made.kind == kind and made.of is not None]
        if not found:
            continue
        text = f"{name}, {count(len(found), 'file')}"
        if kind != "arrow":
            few = [made.n_sampled for made in found if made.n_sampled is not None]
            of = f"the first {min(few):,} rows" if few else "all rows"
            each = " of each" if few and len(found) > 1 else ""
            shown = [f"{f.name} {f.type}" for f in found[0].schema]
            more = ", …" if len(shown) > _MOST_SHOWN else ""
            text += f"; types inferred from {of}{each}: {', '.join(shown[:_MOST_SHOWN])}{more}"
        yield text
