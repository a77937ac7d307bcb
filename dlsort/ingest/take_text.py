"""Take text: a file of CSV or JSON lines as Parquet pieces.

Types are inferred from the file's first rows. Where later ones need wider types (a fraction
among whole numbers, a value in a column that had none), they are inferred from all of its
rows, and it is read once more. What no such type holds is refused, by its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

import pyarrow as pa

from dlsort.errors import CorruptSourceError, DlsortError, SchemaMismatchError
from dlsort.ingest.formats import FileKind
from dlsort.ingest.pieces import Making, Piece, Pieces, in_order, write_piece
from dlsort.ingest.text_blocks import Counted, blocks_of, open_bytes
from dlsort.ingest.text_rows import TextRows
from dlsort.wording import count

__all__ = ["TextFile", "take_text"]

_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?(?:CSV conversion error to (.+?): )?(.*)", re.S
)
_LACKS = re.compile(r"CSV parse error: (?:Row #\d+: )?Expected (\d+) columns, got (\d+)")
_FIELD = re.compile(r"Column\(/(.*?)\) changed from (\w+) to (\w+)")
_WHERE = re.compile(r"(CSV|JSON) parse error: (Row #\d+: )?| in row \d+", re.S)


class TextFile(NamedTuple):
    """A file of text.

    Attributes
    ----------
    name : str
        As errors and the report call it.
    where : str or Counted
        Its path or URL, or a stream, which is read once.
    kind : FileKind
        What it is.
    number : int
        Its place in the source.
    rows : TextRows
        How it becomes rows.
    """

    name: str
    where: str | Counted
    kind: FileKind
    number: int
    rows: TextRows

    def blocks(self, n_bytes: int) -> Iterator[bytes]:
        """Yield its text in blocks of whole rows."""
        with open_bytes(self.where, self.kind) as stream:
            how = n_bytes, self.rows.row_end, self.rows.encoding, self.name
            yield from blocks_of(stream, *how)


class _MisfitError(Exception):
    """A block does not fit the schema."""

    def __init__(self, number: int, text: bytes, schema: pa.Schema, why: Exception) -> None:
        super().__init__(why)
        self.number, self.text, self.schema, self.why = number, text, schema, why


def take_text(file: TextFile, making: Making) -> Pieces:
    """Return what a file was made to.

    Raises
    ------
    CorruptSourceError
        If its text is none of the format, or can't be read.
    SchemaMismatchError
        If a value does not fit the type of its column.
    """
    try:
        try:
            return _take(file, making, None)
        except _MisfitError as misfit:
            return _take_again(file, making, misfit)
    except _MisfitError as misfit:
        raise _refused(file, making, misfit) from misfit.why
    except DlsortError:
        raise
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise _unreadable(file, error) from error


def _take_again(file: TextFile, making: Making, misfit: _MisfitError) -> Pieces:
    """Take a file by the types that all of its rows need."""
    wider = _united(file, misfit)
    if isinstance(file.where, Counted) or wider == misfit.schema:
        raise misfit
    schema = misfit.schema

    def infer(number: int, text: bytes) -> tuple[_MisfitError, pa.Schema | None]:
        try:
            found = file.rows.infer_more(text, misfit.schema, is_first=number == 0)
            return _MisfitError(number, text, misfit.schema, misfit.why), found
        except pa.ArrowException as error:
            return _MisfitError(number, text, misfit.schema, error), None

    blocks = file.blocks(making.tuning.io.text_block_bytes)
    for block, found in in_order(making, infer, blocks):
        if found is None:
            raise block
        block.schema = schema
        schema = _united(file, block, found)
    return _take(file, making, schema)


def _united(file: TextFile, misfit: _MisfitError, found: pa.Schema | None = None) -> pa.Schema:
    """Return the schema that a block needs too; raise the misfit if there is none."""
    try:
        if not len(misfit.schema):
            raise misfit.why
        if found is None:
            found = file.rows.infer_more(misfit.text, misfit.schema, is_first=not misfit.number)
        return pa.unify_schemas([misfit.schema, found], promote_options="permissive")
    except pa.ArrowException as error:
        raise misfit from error


def _take(file: TextFile, making: Making, schema: pa.Schema | None) -> Pieces:
    io = making.tuning.io
    rows, n_sampled = file.rows, None
    blocks = file.blocks(io.text_block_bytes)
    first = next(blocks, b"")
    if not first.strip() and rows.name == "CSV":
        msg = (
            f"{file.name} is empty; expected a row of names, at least. Leave it out by ignore "
            "(--ignore)."
        )
        raise CorruptSourceError(msg)
    if schema is None:
        sample = first[: rows.row_end(first[: io.text_sample_bytes])] or first
        try:
            schema = rows.infer(sample, is_first=True)
        except pa.ArrowException as error:
            raise _MisfitError(0, sample, pa.schema([]), error) from error
        n_sampled = None if sample is first else sample.count(b"\n") - rows.has_names
    types = schema

    def convert(number: int, text: bytes) -> Piece:
        try:
            table = rows.read(text, types, is_first=number == 0)
        except pa.ArrowException as error:
            raise _MisfitError(number, text, types, error) from error
        return write_piece(table, making.path(file.number, number), making)

    pieces = list(in_order(making, convert, chain([first], blocks)))
    if n_sampled is not None and len(pieces) == 1 and n_sampled >= pieces[0].proof.rows:
        n_sampled = None
    return Pieces(pieces, schema, n_sampled)


def _refused(file: TextFile, making: Making, misfit: _MisfitError) -> DlsortError:
    """Return the error that says which line is not as it should be."""
    rows, is_first = file.rows, misfit.number == 0

    def read(text: bytes) -> object:
        if len(misfit.schema):
            return rows.read(text, misfit.schema, is_first=is_first)
        return rows.infer(text, is_first=is_first)

    at = rows.bad_row(misfit.text, read)
    why: Exception = misfit.why
    try:
        read(misfit.text[: at + (rows.row_end(misfit.text[at:]) or len(misfit.text))])
    except pa.ArrowException as error:
        why = error
    line = misfit.text[:at].count(b"\n") + 1
    where = file.name
    if misfit.number == 0:
        where = f"{where}, line {line:,}"
    elif not isinstance(file.where, Counted):
        blocks = file.blocks(making.tuning.io.text_block_bytes)
        before = sum(text.count(b"\n") for text in islice(blocks, misfit.number))
        where = f"{where}, line {line + before:,}"
    text = " ".join(str(why).split()).rstrip(".")
    names = misfit.schema.names
    if lacks := _LACKS.search(text):
        msg = (
            f"{where} has {count(int(lacks[2]), 'value')}; expected one for each of "
            f"{count(int(lacks[1]), 'column')}. "
            "Correct the line, or say by csv_options (--csv-options) how the file is written."
        )
        return CorruptSourceError(msg)
    found = _CONVERSION.search(text)
    changed = _FIELD.search(text)
    if found and int(found[1]) < len(names):
        column = names[int(found[1])]
        kind = found[2] or str(misfit.schema.field(column).type)
        text = f"column {column!r} does not fit its type, {kind}: {found[3]}"
    elif changed:
        column = changed[1]
        text = f"column {column!r} changes from {changed[2]} to {changed[3]}"
    else:
        column = getattr(why, "column", "")
        text = _WHERE.sub("", text).rstrip(".")
    if found or changed or column:
        msg = (
            f"{where}: {text}. Correct the value, or give a type that holds all of them by "
            f"schema (--schema), as in {column or 'x'}:string or {column or 'x'}:decimal(38,0)."
        )
        return SchemaMismatchError(msg)
    return CorruptSourceError(f"{where} is no {rows.name}: {text}. Correct or remove it.")


def _unreadable(file: TextFile, error: Exception) -> CorruptSourceError:
    why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    msg = f"can't read {file.name} as {file.rows.name}: {why}. Replace it or leave it out."
    return CorruptSourceError(msg)
