"""Sorted files: the check, as they are read, that files are in the order asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.made import array_of
from dlsort.arrow.transport import concat_rows
from dlsort.errors import BadOptionError
from dlsort.io.source import FileGroups, Piece, Source
from dlsort.io.storage import open_to_read
from dlsort.keys import SortKey, format_by
from dlsort.order.words import key_table
from dlsort.proof.disorder import first_disorder
from dlsort.proof.stats import PieceEnds
from dlsort.tuning import OrderTuning

__all__ = ["check_across_pieces", "check_files", "ends_of"]


def check_files(
    table: pa.Table, piece: Piece, keys: tuple[SortKey, ...], tuning: OrderTuning
) -> None:
    """Make sure that the rows of each file of a piece are in order.

    Raises
    ------
    BadOptionError
        If some are not; the message names file and row.
    """
    rows = key_table(table, keys)
    first = 0
    for file in piece.files:
        bad = first_disorder(rows.slice(first, file.n_rows), keys, tuning)
        if bad >= 0:
            raise _not_in_order(file.path, _first_row(file) + bad + 1, keys)
        first += file.n_rows


def ends_of(table: pa.Table, piece: Piece, keys: tuple[SortKey, ...]) -> PieceEnds | None:
    """Return the first and the last key of a piece; None if it has no rows."""
    if not table.num_rows:
        return None
    ends = key_table(table, keys).take(array_of(np.array([0, table.num_rows - 1])))
    return PieceEnds(piece.groups.start, piece.groups.stop, ends)


def check_across_pieces(
    source: Source, found: Iterable[PieceEnds], keys: tuple[SortKey, ...], tuning: OrderTuning
) -> None:
    """Make sure that files go on in order from one piece to the next.

    Raises
    ------
    BadOptionError
        If one does not; the message names file and row.
    """
    groups = source.row_groups
    by_place = sorted(found, key=lambda ends: ends.first)
    for above, below in pairwise(by_place):
        file = groups[below.first].file
        if above.stop != below.first or groups[above.stop - 1].file != file:
            continue
        both = concat_rows([above.keys.slice(1), below.keys.slice(0, 1)])
        if first_disorder(both, keys, tuning) >= 0:
            row = sum(g.n_rows for g in groups[: below.first] if g.file == file)
            raise _not_in_order(source.files[file], row, keys)


def _first_row(file: FileGroups) -> int:
    """Return which row of its file is the first of some row groups of it."""
    with open_to_read(file.path) as where, pq.ParquetFile(where) as opened:
        before = range(file.row_groups[0])
        n_rows = sum(opened.metadata.row_group(g).num_rows for g in before)
    return n_rows + (file.first_row or 0)


def _not_in_order(path: str, row: int, keys: Sequence[SortKey]) -> BadOptionError:
    return BadOptionError(
        f"merge (--merge) is for files that are in order by {format_by(keys)}, but row {row:,} "
        f"of {path}, counted from 0, sorts before the row above it. Leave merge out to sort it."
    )
