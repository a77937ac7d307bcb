"""Ordered: the check of a part's rows, piece by piece, as they are written or read back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dlsort.arrow.transport import concat_rows
from dlsort.errors import OutOfOrderError
from dlsort.keys import SortKey
from dlsort.order.words import key_table
from dlsort.proof.checksum import Proof, prove
from dlsort.proof.disorder import first_disorder
from dlsort.tuning import Tuning

__all__ = ["Ordered"]


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
        self._wanted = np.array(wanted, np.int64)
        self.picked: list[pa.Table] = []

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
            self._edges.append(keys.take([0, keys.num_rows - 1]))
            pair = concat_rows(self._edges[-2:])
            if first_disorder(pair, self._keys, self._tuning.order) >= 0:
                bad = self.proof.rows - 1
        if bad >= 0:
            msg = (
                f"partition {self._part}: row {bad + 1:,} sorts before row {bad:,}. "
                "Nothing was published. This is a bug: please report it."
            )
            raise OutOfOrderError(msg)
        n_before = self.proof.rows
        begin, end = np.searchsorted(self._wanted, [n_before, n_before + keys.num_rows])
        self.picked.append(keys.take(self._wanted[begin:end] - n_before))
        self.proof += prove(table, self._tuning.proof)
        self._none = keys.slice(0, 0)

    def edges(self) -> pa.Table:
        """Return the first and last key, or no rows."""
        if not self._edges:
            assert self._none is not None
            return self._none
        first, last = self._edges[0].slice(0, 1), self._edges[-1].slice(1)
        return concat_rows([first, last])
