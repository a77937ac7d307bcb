"""Left out: the proof that rows were left out on purpose, and no others.

Whoever leaves rows out has found them by the words of their keys. Here the keys themselves are
compared, as for the order of a part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows
from dlsort.errors import RowsLostError
from dlsort.keys import SortKey
from dlsort.proof.disorder import first_disorder
from dlsort.tuning import OrderTuning

__all__ = ["check_cut", "check_same_keys"]

Rows = npt.NDArray[np.integer]

_BUG = "Nothing was published. This is a bug: please report it."


def check_same_keys(
    table: pa.Table, first: Rows, last: Rows, keys: Sequence[SortKey], tuning: OrderTuning
) -> None:
    """Make sure that rows of which one is kept have the same key.

    Parameters
    ----------
    table : pyarrow.Table
        The key columns that tell rows apart, in key order.
    first, last : (k,) integer
        The first and the last row of each such group; groups are in order.
    keys : sequence of SortKey
        Direction and null place of each column.
    tuning : OrderTuning
        As for a sort.

    Raises
    ------
    RowsLostError
        If some have not: a row was left out that is the only one of its key.

    Notes
    -----
    Time O(k): groups are in order, so no last row may sort after its first one.
    """
    several = np.flatnonzero(first != last)
    pairs = np.empty(2 * len(several), np.uint32)
    pairs[::2], pairs[1::2] = last[several], first[several]
    if first_disorder(take_table(table, pairs), keys, tuning) >= 0:
        msg = f"rows with different keys were taken for the same, and one was left out. {_BUG}"
        raise RowsLostError(msg)


def check_cut(
    last_kept: pa.Table,
    first_left_out: pa.Table,
    keys: Sequence[SortKey],
    tuning: OrderTuning,
) -> None:
    """Make sure that no row was left out which sorts before the last one that is kept.

    Parameters
    ----------
    last_kept, first_left_out : pyarrow.Table
        The key of each; no rows where there is none.
    keys, tuning
        As of :func:`check_same_keys`.

    Raises
    ------
    RowsLostError
        If one was.
    """
    both = [rows for rows in (last_kept, first_left_out) if rows.num_rows]
    if len(both) == 2 and first_disorder(concat_rows(both), keys, tuning) >= 0:
        msg = f"a row was left out that sorts before the last one that is kept. {_BUG}"
        raise RowsLostError(msg)
