"""First rows: a range near the begin of the sorted order, without a sort of the others.

Only key columns are read to find which rows are wanted. The others' columns are read of row
groups that have such rows.

    pieces ──keys──▶ first rows of some pieces ──▶ first rows of all: piece, row and part
                     (one task a few pieces, and                 │
                      the last key so far drops                  ▼
                      most of the next)          pieces ──▶ their wanted rows ──▶ parts

A task takes its pieces by the least key that their footers tell. Once it has as many rows as
are wanted, it reads no piece whose least key is beyond the last of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.made import empty_table
from dlsort.arrow.paths import field_at
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows, transport_schema
from dlsort.io.parquet.statistics import rank_raw, raw_values
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Piece, Source, cut_pieces
from dlsort.keys import SortKey
from dlsort.model.cuts import in_order
from dlsort.model.partition import group
from dlsort.order.argsort import argsort, first_rows
from dlsort.order.ranks import normal_keys
from dlsort.order.unique_rows import KeyGroups, starts_in_order
from dlsort.proof.checksum import prove
from dlsort.proof.left_out import check_cut
from dlsort.proof.stats import Clock, InputStats
from dlsort.publish.finished import find_output, finished_parts
from dlsort.strategies.exchange import ExchangePlan, merge_part
from dlsort.strategies.fewer_rows import FewerRows
from dlsort.strategies.least_keys import Least, least_of_pieces
from dlsort.strategies.reader import Reader
from dlsort.strategies.strategy import Job
from dlsort.tuning import Tuning
from dlsort_cluster.exchange import Exchange, Layer, Split
from dlsort_cluster.tasks import call, call_with_all

__all__ = ["FirstRows", "FirstRowsPlan", "Winners", "first_rows_fit"]

Ids = npt.NDArray[np.int64]

# Row groups are pieces of their own, so that few are read, unless they are very many.
MOST_PIECES = 1024
# Tasks that look for first rows, for each thread: each begins without a row to compare with.
TASKS_A_THREAD = 2
# What a row that may be wanted takes beside its key: piece, row and places while it is sorted.
PLACE_BYTES = 40


class Found(NamedTuple):
    """The first rows of some pieces, in order.

    Attributes
    ----------
    keys : pyarrow.Table
        The key of each.
    piece, row : (n,) int64
        Where it is.
    left_out : pyarrow.Table
        The first key of those that were left out; no row if none was.
    """

    keys: pa.Table
    piece: Ids
    row: Ids
    left_out: pa.Table

    @property
    def last(self) -> pa.Table:
        """The last key; no row if there is none."""
        return self.keys.slice(max(0, self.keys.num_rows - 1))


class Winners(NamedTuple):
    """The rows that are wanted, in the order of the source.

    Attributes
    ----------
    starts : (pieces + 1,) int64
        Where those of each piece are.
    row : (n,) uint32
        In the piece.
    part : (n,) uint32
        The part that each belongs to.
    """

    starts: Ids
    row: npt.NDArray[np.uint32]
    part: npt.NDArray[np.uint32]

    def of(self, piece: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return the wanted rows of a piece, ascending, and the part of each."""
        here = slice(*self.starts[piece : piece + 2].tolist())
        return self.row[here], self.part[here]


def first_rows_fit(job: Job) -> bool:
    """Return whether wanted rows are few enough to be found by their keys, in memory."""
    fewer, source = job.fewer, job.source
    if fewer is None or not fewer.is_cut:
        return False
    stop = fewer.stop(source.n_rows)
    if not fewer.n_unique and 2 * (stop - fewer.offset) > source.n_rows:
        return False  # to exchange all of them is as good
    row_bytes = _key_bytes(source, job.keys) + PLACE_BYTES
    n_held = (
        TASKS_A_THREAD * job.n_threads + 2
    )  # those of each task, and what they are made into
    return n_held * stop * row_bytes <= job.store_bytes


def _key_bytes(source: Source, keys: Sequence[SortKey]) -> float:
    """Return what a key takes in memory; of text at most what a row does."""
    row_bytes = source.arrow_bytes / max(1, source.n_rows)
    widths = [field_at(source.schema, key.column).type for key in keys]
    return sum(
        kind.bit_width / 8 if pt.is_primitive(kind) or pt.is_decimal(kind) else row_bytes
        for kind in widths
    )


# ---------------------------------------------------------------- which rows are wanted


def find_first(
    reader: Reader,
    fewer: FewerRows,
    stop: int,
    pieces: Sequence[tuple[int, Piece, Least | None]],
) -> Found:
    """Return the first ``stop`` rows of some pieces, read in this order as far as needed."""
    none = empty_table(reader.key_schema())
    found = Found(none, np.empty(0, np.int64), np.empty(0, np.int64), none)
    waiting: list[Found] = []  # to be joined, once they are many
    key = reader.keys[0]
    for number, piece, least in pieces:
        is_full = 0 < stop <= len(found.row)
        if is_full and least is not None:
            (bound,) = raw_values(found.last.column(0))
            if not least.may_be_before(bound, key):
                continue
        table = reader.read_keys(piece)
        is_near = None
        if is_full:
            is_near = _may_be_before(table.column(0), found.last.column(0)[0], key)
        waiting.append(_first_of(table, number, fewer, stop, reader.tuning, is_near))
        if sum(len(each.row) for each in waiting) >= stop:
            found = join_found([found, *waiting], fewer, stop, reader.tuning)
            waiting = []
    return join_found([found, *waiting], fewer, stop, reader.tuning)


def _may_be_before(
    values: pa.ChunkedArray, bound: pa.Scalar, key: SortKey
) -> npt.NDArray[np.bool_] | None:
    """Return which values sort no later than a bound; None where Arrow compares otherwise."""
    kind = values.type
    if pt.is_floating(kind) or not (pt.is_primitive(kind) or pt.is_decimal(kind)):
        return None
    if not bound.is_valid:
        return None
    compare = pc.greater_equal if key.descending else pc.less_equal
    is_near = pc.fill_null(compare(values, bound), key.nulls_first)
    return np.asarray(is_near.to_numpy(), np.bool_)


def _first_beyond(table: pa.Table, is_near: npt.NDArray[np.bool_], key: SortKey) -> pa.Table:
    """Return the row that is first by the first column of the key, of those that are not near.

    It is found in another way than they were: by Arrow's least value, not by a comparison.
    """
    beyond = table.filter(pa.array(~is_near))
    if not beyond.num_rows:
        return beyond
    values = beyond.column(0)
    least = pc.min_max(values)["max" if key.descending else "min"]
    return beyond.slice(max(0, pc.index(values, least).as_py()) if least.is_valid else 0, 1)


def _first_of(
    table: pa.Table,
    piece: int,
    fewer: FewerRows,
    stop: int,
    tuning: Tuning,
    is_near: npt.NDArray[np.bool_] | None,
) -> Found:
    """Return the first rows of a piece, of which the keys are given.

    ``is_near``: which of them can be among the first of all, by what is known of others.
    """
    if is_near is not None and not is_near.all():
        numbers = np.flatnonzero(is_near).astype(np.uint32)
        near = take_table(table, numbers)
        found = _first_of(near, piece, fewer, stop, tuning, None)
        beyond = _first_beyond(table, is_near, fewer.keys[0])
        left_out = concat_rows([found.left_out, beyond])
        return found._replace(row=numbers[found.row].astype(np.int64), left_out=left_out)
    n_rows, keys = table.num_rows, fewer.keys
    if fewer.n_unique:
        chosen = fewer.groups_of(table, tuning).kept(fewer.keep)
        rows, rest = chosen[:stop], chosen[stop : stop + 1]
    else:
        columns = normal_keys(table, keys, tuning.order).columns()
        rows = first_rows(columns, keys, stop, tuning.order)
        is_left_out = np.ones(n_rows, np.bool_)
        is_left_out[rows] = False
        rest = np.flatnonzero(is_left_out).astype(np.uint32)
        if len(rest):  # found in another way than the rows were
            others = [column.take(rest) for column in columns]
            rest = rest[first_rows(others, keys, 1, tuning.order)]
    places = np.full(len(rows), piece, np.int64), rows.astype(np.int64)
    return Found(take_table(table, rows), *places, take_table(table, rest))


def join_found(parts: Sequence[Found], fewer: FewerRows, stop: int, tuning: Tuning) -> Found:
    """Return the first rows of all pieces, from those of some of them.

    Notes
    -----
    Time O(n log n) in what is joined, which has at most ``stop`` rows for each of ``parts``.
    """
    keys = concat_rows([found.keys for found in parts])
    piece = np.concatenate([found.piece for found in parts])
    row = np.concatenate([found.row for found in parts])
    order, starts = in_order(keys, piece, row, fewer.keys, tuning.order)
    if fewer.n_unique:
        if fewer.n_unique < len(fewer.keys):
            told_apart = take_table(keys, order).select(range(fewer.n_unique))
            starts = starts_in_order(told_apart, fewer.unique_by, tuning.order)
        order = KeyGroups(order, starts).kept(fewer.keep)
    chosen, rest = order[:stop], order[stop : stop + 1]
    left_out = [found.left_out for found in parts if found.left_out.num_rows]
    left_out.append(take_table(keys, rest))
    first = concat_rows(left_out)
    first = take_table(first, argsort(first, fewer.keys, tuning.order)[:1])
    return Found(take_table(keys, chosen), piece[chosen], row[chosen], first)


def choose_rows(
    fewer: FewerRows,
    n_pieces: int,
    n_parts: int,
    stop: int,
    tuning: Tuning,
    parts: Sequence[Found],
) -> Winners:
    """Return the rows that are wanted of all pieces.

    Raises
    ------
    RowsLostError
        If one was left out that sorts before the last of them.
    """
    found = join_found(parts, fewer, stop, tuning)
    told_apart = range(fewer.n_unique or len(fewer.keys))
    check_cut(
        found.last.select(told_apart),
        found.left_out.select(told_apart),
        [fewer.keys[i] for i in told_apart],
        tuning.order,
    )
    piece, row = found.piece[fewer.offset :], found.row[fewer.offset :]
    n = len(row)
    part = np.arange(n) * n_parts // max(1, n)
    by_place = np.lexsort((row, piece))
    starts = np.searchsorted(piece[by_place], np.arange(n_pieces + 1))
    return Winners(
        starts.astype(np.int64),
        row[by_place].astype(np.uint32),
        part[by_place].astype(np.uint32),
    )


# ---------------------------------------------------------------- the rows themselves


def split_winners(
    reader: Reader, n_parts: int, folder: str, piece: Piece, winners: Winners, input_id: int
) -> Split:
    """Read a piece, if it has rows that are wanted, and prove and send these."""
    clock = Clock()
    rows, part = winners.of(input_id)
    with clock.step("read"):
        if len(rows):
            table = reader.read_rows(piece, rows)
        else:
            table = empty_table(transport_schema(reader.schema))
    with clock.step("prove"):
        proof = prove(table, reader.tuning.proof)
    finished = finished_parts(folder)
    with clock.step("split"):
        if finished and len(rows):
            wanted = np.flatnonzero(~np.isin(part, finished)).astype(np.uint32)
            table, part = take_table(table, wanted), part[wanted]
        grouped, starts = group(table, part, n_parts, 1)
    return Split(grouped, starts, InputStats(proof, clock, piece.n_rows - proof.rows))


class FirstRows:
    """Rows are found by their keys, and only row groups that have such are read whole."""

    name = "first"
    trusts_footers = False
    cuts_by_model = False
    moves_rows = False

    def plan(self, job: Job) -> FirstRowsPlan:
        """Return the tasks."""
        source = job.source
        most_bytes = min(job.piece_bytes, source.arrow_bytes // MOST_PIECES + 1)
        return FirstRowsPlan(job, cut_pieces(source, most_bytes))


class FirstRowsPlan(ExchangePlan):
    """The tasks of a job that wants a range near the begin of the sorted order."""

    @property
    def balance(self) -> float:
        """Largest part over the mean: how many rows there are is known."""
        return 1.0

    def layer(self, writer: Writer) -> Layer:
        """Return find → choose → read and send → sort and write, as tasks."""
        job, token = self.job, uuid.uuid4().hex
        fewer, tuning = job.fewer, job.tuning
        assert fewer is not None
        stop = fewer.stop(job.source.n_rows)
        reader = Reader.of(job.source, job.keys, tuning).checking(job)
        graph: dict[str, Any] = {}
        for i, some in enumerate(self._shared_out()):
            find = f"dlsort-find-{token}-{i}"
            graph[find] = call(find, find_first, reader, fewer, stop, some)
        winners = f"dlsort-winners-{token}"
        how = fewer, len(self.pieces), job.n_parts, stop, tuning
        graph[winners] = call_with_all(winners, partial(choose_rows, *how), list(graph))
        exchange = Exchange(
            token,
            job.n_parts,
            partial(split_winners, reader, job.n_parts, writer.folder),
            partial(merge_part, writer),
            job.store_bytes,
            job.temp_dir,
            partial(find_output, writer.folder),
        )
        return self.laid(exchange, graph, winners)

    def _shared_out(self) -> list[list[tuple[int, Piece, Least | None]]]:
        """Return the pieces that each task looks through, in turn the ones of least keys."""
        key = self.job.keys[0]
        least = least_of_pieces(self.job.source, self.pieces, key)
        numbers = np.arange(len(self.pieces))
        if least is not None:
            numbers = np.argsort(
                rank_raw([one.first(key) for one in least], key), kind="stable"
            )
        some = [
            (n, self.pieces[n], None if least is None else least[n]) for n in numbers.tolist()
        ]
        n_tasks = min(len(some), TASKS_A_THREAD * self.job.n_threads)
        return [some[i::n_tasks] for i in range(n_tasks)]
