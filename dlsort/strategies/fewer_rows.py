"""Fewer rows: one of each key, and a range of the sorted order.

Rows that nobody asked for go as early as they can: of each key, an input partition sends one
row. What is left for the parts to leave out is proved as what they write is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows, to_transport
from dlsort.keys import SortKey
from dlsort.order.bands import without_starts
from dlsort.order.unique_rows import KeyGroups, group_keys, starts_in_order
from dlsort.order.words import key_table
from dlsort.proof.checksum import NOTHING, Proof, prove
from dlsort.proof.left_out import check_same_keys
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import Tuning
from dlsort_cluster.exchange import Shards, Slot

__all__ = ["FewerRows", "KeptOfPart"]


@dataclass(frozen=True)
class FewerRows:
    """Which rows of the sorted order are wanted.

    Parameters
    ----------
    keys : tuple of SortKey
        The key.
    n_unique : int
        How many of its first columns no two rows may have in common; 0: any may.
    keep : {"first", "last"}
        Which of such rows is kept.
    offset : int
        Of what is left, rows that are passed over.
    limit : int or None
        Rows after these; None: all.
    """

    keys: tuple[SortKey, ...]
    n_unique: int = 0
    keep: str = "first"
    offset: int = 0
    limit: int | None = None

    @property
    def unique_by(self) -> tuple[SortKey, ...]:
        """The columns that tell rows apart; none: any two rows may be wanted."""
        return self.keys[: self.n_unique]

    @property
    def is_cut(self) -> bool:
        """Whether a range of the order is wanted."""
        return self.offset > 0 or self.limit is not None

    def stop(self, n_rows: int) -> int:
        """Return the row of the order, of so many, behind the last that is wanted."""
        stop = n_rows if self.limit is None else min(n_rows, self.offset + self.limit)
        return max(stop, 0)

    def of_input(self, table: pa.Table, tuning: Tuning) -> pa.Table:
        """Return one row of each key of an input partition, in the order of the rows.

        Raises
        ------
        RowsLostError
            If another than a row of the same key was left out.

        Notes
        -----
        Expected time O(n).
        """
        if not self.n_unique:
            return table
        groups = self.groups_of(key_table(table, self.keys), tuning)
        if len(groups.starts) == table.num_rows:
            return table
        return take_table(table, np.sort(groups.kept(self.keep)))

    def groups_of(self, keys: pa.Table, tuning: Tuning) -> KeyGroups:
        """Return the order of rows by their key columns, and which of them are told apart.

        Raises
        ------
        RowsLostError
            If rows with different keys were not.
        """
        groups = group_keys(keys, self.keys, self.n_unique, tuning.order)
        self._check(keys, groups, tuning)
        return groups

    def of_part(self, table: pa.Table, tuning: Tuning) -> tuple[pa.Table, KeyGroups]:
        """Return one row of each key among rows in order, and where each key has its rows."""
        keys = key_table(table, self.unique_by)
        starts = starts_in_order(keys, self.unique_by, tuning.order)
        groups = KeyGroups(np.arange(table.num_rows, dtype=np.uint32), starts)
        self._check(keys, groups, tuning)
        if len(starts) == table.num_rows:
            return table, groups
        return take_table(table, groups.kept(self.keep)), groups

    def _check(self, keys: pa.Table, groups: KeyGroups, tuning: Tuning) -> None:
        ends = groups.order[groups.starts], groups.order[groups.ends]
        told_apart = keys.select(range(self.n_unique))
        check_same_keys(told_apart, *ends, self.unique_by, tuning.order)


class KeptOfPart:
    """The rows of a part that are kept, piece by piece.

    Parameters
    ----------
    fewer : FewerRows
        Which rows are wanted.
    slot : Slot
        Which part it is, and where it stands among all rows.
    is_whole : bool
        There is one piece: no key goes on in another.
    tuning : Tuning
        Of the order and the proof.

    Attributes
    ----------
    left_out : Proof
        Of the rows that were left out so far.
    """

    def __init__(self, fewer: FewerRows, slot: Slot, *, is_whole: bool, tuning: Tuning) -> None:
        self._fewer = fewer
        self._slot = slot
        self._is_whole = is_whole
        self._tuning = tuning
        self.left_out: Proof = NOTHING

    def among(
        self, pieces: Iterator[pa.Table], shards: Shards
    ) -> tuple[Iterator[pa.Table], int]:
        """Return what is kept of a part's sorted rows, and how many; 0 if it is not known yet.

        Parameters
        ----------
        pieces : iterator of pyarrow.Table
            The rows in order.
        shards : Shards
            The same rows, unsorted: those of a part of which nothing is kept are not sorted.
        """
        if self._fewer.n_unique:
            kept = self._unique(pieces)
            if not self._is_whole:
                return kept, 0
            table = next(kept)
            return iter([table]), table.num_rows
        first, stop = self._range()
        if first == stop:
            return self._none_of(shards), 0
        return self._cut(pieces, first, stop), stop - first

    def _range(self) -> tuple[int, int]:
        """Return the first row that is kept, and that behind the last."""
        before, n_rows = self._slot.first_row, self._slot.n_rows
        first = min(max(self._fewer.offset - before, 0), n_rows)
        return first, max(min(self._fewer.stop(UNBOUNDED) - before, n_rows), first)

    def _unique(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield one row of each key; the last one waits, as its key may go on."""
        held: pa.Table | None = None
        for piece in pieces:
            rows = piece if held is None else concat_rows([held, piece])
            del piece
            kept, groups = self._fewer.of_part(rows, self._tuning)
            if kept.num_rows < rows.num_rows:
                left_out = np.ones(rows.num_rows, np.bool_)
                left_out[groups.kept(self._fewer.keep)] = False
                dropped = take_table(rows, np.flatnonzero(left_out).astype(np.uint32))
                self._leave_out(dropped)
                del dropped
            del rows
            if self._is_whole:
                yield kept
                return
            n_kept = max(0, kept.num_rows - 1)
            held = take_table(kept, np.arange(n_kept, kept.num_rows, dtype=np.uint32))
            yield kept.slice(0, n_kept)
            del kept
        if held is not None:
            yield held

    def _cut(self, pieces: Iterator[pa.Table], first: int, stop: int) -> Iterator[pa.Table]:
        """Yield the rows of the range that is wanted."""
        at = 0
        for piece in pieces:
            n_rows = piece.num_rows
            begin, end = (min(max(edge - at, 0), n_rows) for edge in (first, stop))
            at += n_rows
            for outside in (range(begin), range(end, n_rows)):
                if outside:
                    self._leave_out(piece.slice(outside.start, len(outside)))
            piece = piece.slice(begin, end - begin)
            yield piece
            del piece  # before there is another

    def _none_of(self, shards: Shards) -> Iterator[pa.Table]:
        """Leave all rows out, and yield none."""
        for shard, n_rows in enumerate(shards.lengths):
            self._leave_out(shards.read(shard, 0, n_rows))
        none = to_transport(shards.read(0, 0, 0))
        yield none.replace_schema_metadata(without_starts(none.schema).metadata)

    def _leave_out(self, rows: pa.Table) -> None:
        self.left_out += prove(rows, self._tuning.proof)
