"""A partition that is larger than the memory for it, put in order piece by piece.

Bands are pieces already: rows of a run of them that fits are read, sorted and handed on, and
then the next. Where a band alone is too large (a sample that was wrong, very long rows), its
own rows are sampled, and read again for each piece of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows, to_transport
from dlsort.keys import SortKey
from dlsort.model.cuts import cut_evenly
from dlsort.model.model import Model, model_at
from dlsort.model.partition import find_bands
from dlsort.model.sample import rows_needed
from dlsort.order.bands import read_starts, without_starts
from dlsort.order.sort_rows import sort_rows, sort_shards
from dlsort.order.words import key_table
from dlsort.sizes import GIB
from dlsort.tuning import Tuning
from dlsort_cluster.exchange import Shards

__all__ = ["is_one_piece", "sort_in_pieces"]

Starts = npt.NDArray[np.int64]

# Most bytes of one of several pieces: each column of text then has 32-bit offsets.
_PIECE_BYTES = GIB
# Pieces are numbered by uint16.
_MOST_PIECES = 1 << 16


def is_one_piece(shards: Shards, most_bytes: int, tuning: Tuning) -> bool:
    """Return whether a partition is sorted whole, where so many bytes fit."""
    return shards.n_bytes <= most_bytes * tuning.strategies.surprise


def sort_in_pieces(
    shards: Shards,
    keys: tuple[SortKey, ...],
    part: int,
    n_parts: int,
    most_bytes: int,
    tuning: Tuning,
) -> Iterator[pa.Table]:
    """Yield the stable sort of the shards of a partition, in one table if it fits.

    Parameters
    ----------
    shards : Shards
        At least one; in (input partition, row) order.
    keys : tuple of SortKey
        The key.
    part, n_parts : int
        Which partition it is of how many.
    most_bytes : int
        Arrow size that fits.
    tuning : Tuning
        How much more is sorted whole all the same; of the sort.

    Yields
    ------
    pyarrow.Table
        The next rows, each column one chunk.

    Notes
    -----
    Expected time O(n); memory O(``most_bytes``) and 2 bytes a row of a band that does not fit.
    """
    starts = read_starts(shards, part, n_parts)
    if is_one_piece(shards, most_bytes, tuning):
        yield sort_shards(shards.read_all(), starts, keys, tuning.order)
        return
    most_rows = max(1, shards.n_rows * min(most_bytes, _PIECE_BYTES) // shards.n_bytes)
    for first, last in _runs(starts, most_rows):
        run = [at[first : last + 1] for at in starts]
        n_rows = sum(int(at[-1] - at[0]) for at in run)
        n_pieces = min(-(-n_rows // most_rows), _MOST_PIECES)
        if n_pieces < 2:
            rows = [shards.read(i, int(at[0]), int(at[-1])) for i, at in enumerate(run)]
            yield sort_shards(rows, [at - at[0] for at in run], keys, tuning.order)
        else:
            yield from _cut(shards, run, keys, n_pieces, tuning)


def _runs(starts: Sequence[Starts], most_rows: int) -> Iterator[tuple[int, int]]:
    """Yield runs of bands of so many rows together, or one of more."""
    ends = np.sum(starts, axis=0)
    first, n_bands = 0, len(ends) - 1
    while first < n_bands:
        last = int(np.searchsorted(ends, ends[first] + most_rows, "right")) - 1
        last = min(max(last, first + 1), n_bands)
        yield first, last
        first = last


def _cut(
    shards: Shards,
    starts: Sequence[Starts],
    keys: tuple[SortKey, ...],
    n_pieces: int,
    tuning: Tuning,
) -> Iterator[pa.Table]:
    """Yield the sorted rows of some bands in several pieces; rows are read for each of them."""
    edges = [(int(at[0]), int(at[-1])) for at in starts]
    model = _fit(shards, edges, keys, n_pieces, tuning)
    piece_of = [
        find_bands(key_table(shards.read(i, *rows), keys), model, i).astype(np.uint16)
        for i, rows in enumerate(edges)
    ]
    for piece in range(model.n_parts):
        tables = []
        for i, (first, last) in enumerate(edges):
            rows = np.flatnonzero(piece_of[i] == piece).astype(np.uint32)
            tables.append(take_table(to_transport(shards.read(i, first, last)), rows))
        table = concat_rows(tables)
        metadata = without_starts(table.schema).metadata
        yield sort_rows(table.replace_schema_metadata(metadata), keys, tuning.order)


def _fit(
    shards: Shards,
    edges: Sequence[tuple[int, int]],
    keys: tuple[SortKey, ...],
    n_pieces: int,
    tuning: Tuning,
) -> Model:
    """Return a model of some rows of each shard; ties are cut by (shard, row)."""
    n_rows = sum(last - first for first, last in edges)
    step = max(1, n_rows // rows_needed(n_pieces, tuning.sample.balance))
    rows = [np.arange(0, last - first, step, dtype=np.uint32) for first, last in edges]
    sample = concat_rows(
        [
            take_table(key_table(shards.read(i, *edge), keys), some)
            for i, (edge, some) in enumerate(zip(edges, rows, strict=True))
        ]
    )
    shard = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    row = np.concatenate(rows).astype(np.int64)
    order = tuning.order
    chosen = cut_evenly(sample, shard, row, np.ones(len(row)), keys, n_pieces, order)
    splitters = take_table(sample, chosen)
    return model_at(splitters, shard[chosen], row[chosen], keys, n_pieces, order)
