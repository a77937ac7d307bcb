"""Pieces: a file's rows as plain Parquet files, counted and hashed on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.errors import DestinationFullError
from dlsort.io.storage import FULL, join
from dlsort.proof.checksum import NOTHING, Proof, prove
from dlsort.tuning import Tuning

__all__ = ["Piece", "Pieces", "in_order", "write_piece"]

T = TypeVar("T")


class Piece(NamedTuple):
    """A Parquet file that was made of some of a file's rows."""

    path: str
    proof: Proof


@dataclass(frozen=True)
class Pieces:
    """What was made of a file.

    Parameters
    ----------
    pieces : tuple of Piece
        In the order of its rows, at least one.
    schema : pyarrow.Schema
        The columns.
    n_sampled : int or None
        Rows that types were inferred from; None: all, or there was nothing to infer.
    """

    pieces: Sequence[Piece]
    schema: pa.Schema
    n_sampled: int | None = None

    @property
    def proof(self) -> Proof:
        """Of all rows."""
        return sum((piece.proof for piece in self.pieces), NOTHING)


@dataclass(frozen=True)
class Making:
    """How pieces are made.

    Parameters
    ----------
    folder : str
        Where.
    pool : Executor
        The threads that make them.
    most_waiting : int
        Pieces that are being made of one file.
    key_columns : callable
        Given columns' names, returns those whose statistics are written.
    tuning : Tuning
        Sizes.
    """

    folder: str
    pool: Executor
    most_waiting: int
    key_columns: Callable[[list[str]], list[str]]
    tuning: Tuning

    def path(self, file: int, piece: int) -> str:
        """Return where a piece goes."""
        return join(self.folder, f"{file:06}-{piece:06}.parquet")


def write_piece(table: pa.Table, path: str, making: Making) -> Piece:
    """Write some rows: uncompressed, as they lie in memory, as they are read once or twice.

    Raises
    ------
    DestinationFullError
        If there is no space.
    """
    kinds = [_kept(kind) for kind in table.schema.types]
    if kinds != table.schema.types:
        fields = [f.with_type(kind) for f, kind in zip(table.schema, kinds, strict=True)]
        table = table.cast(pa.schema(fields, table.schema.metadata))
    proof = prove(table, making.tuning.proof)
    try:
        pq.write_table(
            table,
            path,
            row_group_size=max(1, table.num_rows),
            use_dictionary=False,
            compression="none",
            write_statistics=making.key_columns(table.column_names),
        )
    except OSError as error:
        if error.errno in FULL:
            msg = (
                f"no space left in {making.folder} for the source's rows, which are kept there "
                "as Parquet meanwhile. Set temp_dir (--temp-dir) to a larger disk."
            )
            raise DestinationFullError(msg) from error
        raise
    return Piece(path, proof)


def _kept(kind: pa.DataType) -> pa.DataType:
    """Return as what Parquet keeps a type: times of day have milliseconds, dates none."""
    if pt.is_date64(kind):
        return pa.date32()
    if kind == pa.time32("s"):
        return pa.time32("ms")
    if pt.is_struct(kind):
        return pa.struct([field.with_type(_kept(field.type)) for field in kind])
    if pt.is_list(kind):
        return pa.list_(kind.value_field.with_type(_kept(kind.value_type)))
    return kind


def in_order(
    making: Making, call: Callable[[int, Any], T], items: Iterable[Any]
) -> Iterator[T]:
    """Yield what a call returns for each item, in order; a few of them are at work at once."""
    pending: deque[Future[T]] = deque()
    try:
        for number, item in enumerate(items):
            pending.append(making.pool.submit(call, number, item))
            del item
            if len(pending) > making.most_waiting:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for each in pending:
            each.cancel()
        wait(pending)
