"""Ordered: the order across pieces of rows, and the check of a part's as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dlsort.arrow.made import array_of
from dlsort.arrow.transport import concat_rows
from dlsort.errors import OutOfOrderError
from dlsort.keys import SortKey
from dlsort.order.words import key_table
from dlsort.proof.checksum import Proof, prove
from dlsort.proof.disorder import first_disorder
from dlsort.tuning import OrderTuning, Tuning

__all__ = ["Ordered", "first_break"]


def first_break(edges: Sequence[pa.Table], keys: Sequence[SortKey], tuning: OrderTuning) -> int:
    """Return the first piece of rows that begins before one above it ends, or −1.

    Parameters
    ----------
    edges : sequence of pyarrow.Table
        One a piece, in order: its first and last key, or no rows.
    keys : sequence of SortKey
        Direction and null place of each key column.
    tuning : OrderTuning
        As for a sort.
    """
    filled = [i for i, ends in enumerate(edges) if ends.num_rows]
    if not filled:
        return -1
    bad = first_disorder(concat_rows([edges[i] for i in filled]), keys, tuning)
    passed = np.cumsum([edges[i].num_rows for i in filled])
    return -1 if bad < 0 else filled[int(np.searchsorted(passed, bad + 1, "right"))]


class Ordered:
    """Order, proof and edges of the rows of a part, piece by piece.

    Attributes
    ----------
    proof : Proof
        Of all rows so far.
    picked : list of pyarrow.Table
        The keys of those rows whose numbers, ascending, were given as ``wanted``.
    """

    def __init__(
        self,
        keys: tuple[SortKey, ...],
        part: int,
        tuning: Tuning,
        wanted: Sequence[int] = (),
    ) -> None:
        self.proof = Proof()
        self._keys = keys
        self._part = part
        self._tuning = tuning
        self._edges: list[pa.Table] = []  # keys of the first and last row of each piece
        self._none: pa.Table | None = None
        self.begin_file(wanted)

    def begin_file(self, wanted: Sequence[int]) -> None:
        """Pick keys anew, of the rows with these numbers, ascending from the next one on."""
        self._began = self.proof
        self._wanted = np.array(wanted, np.int64) + self.proof.rows
        self.picked: list[pa.Table] = []

    def end_file(self) -> tuple[Proof, list[int], list[pa.Table]]:
        """Return what the rows since :meth:`begin_file` amount to.

        Returns
        -------
        proof : Proof
            Of them.
        places : list of int
            Numbers of the rows that were wanted, as far as there were so many; and the last.
        picked : list of pyarrow.Table
            Their keys.
        """
        proof, picked = self.proof - self._began, list(self.picked)
        numbers = (self._wanted - self._began.rows).tolist()
        places = [number for number in numbers if number < proof.rows]
        if proof.rows and places[-1:] != [proof.rows - 1] and numbers:
            places.append(proof.rows - 1)
            picked.append(self._edges[-1].slice(1))
        return proof, places, picked

    def add(self, table: pa.Table) -> None:
        """Check and prove the next rows.

        Raises
        ------
        OutOfOrderError
            If they are not in order, or not after those before.
        """
        keys = key_table(table, self._keys)
        bad = first_disorder(keys, self._keys, self._tuning.order)
        if bad >= 0:
            bad += self.proof.rows
        elif keys.num_rows:
            self._edges.append(keys.take(array_of(np.array([0, keys.num_rows - 1]))))
            if first_break(self._edges[-2:], self._keys, self._tuning.order) >= 0:
                bad = self.proof.rows - 1
        if bad >= 0:
            msg = (
                f"partition {self._part}: row {bad + 1:,} sorts before row {bad:,}. "
                "Nothing was published. This is a bug: please report it."
            )
            raise OutOfOrderError(msg)
        n_before = self.proof.rows
        begin, end = np.searchsorted(self._wanted, [n_before, n_before + keys.num_rows])
        self.picked.append(keys.take(array_of(self._wanted[begin:end] - n_before)))
        self.proof += prove(table, self._tuning.proof)
        self._none = keys.slice(0, 0)

    def edges(self) -> pa.Table:
        """Return the first and last key, or no rows."""
        if not self._edges:
            assert self._none is not None
            return self._none
        first, last = self._edges[0].slice(0, 1), self._edges[-1].slice(1)
        return concat_rows([first, last])
