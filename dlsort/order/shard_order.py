"""The order of a partition's rows, and its columns in that order, band by band.

The rows of a band from all shards are joined, sorted and gathered while they are in the
cache, then the next band's, into memory that is made once. Columns that can't be cut for
nothing (dictionaries, nested ones, bits) are joined whole and gathered at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_fixed_width, is_variable, is_wide, widened
from dlsort.arrow.take import take_array
from dlsort.arrow.transport import NARROW_BYTES, combine, concat_rows
from dlsort.arrow.views import bytes_views, nulls, raw_view
from dlsort.keys import SortKey
from dlsort.order.argsort import argsort
from dlsort.order.bands import without_starts
from dlsort.order.ranks import normal_keys
from dlsort.tuning import OrderTuning
from dlsort_kernels import empty, gather_bytes_into, gather_fixed

__all__ = ["ShardOrder", "order_shards"]

Rows = npt.NDArray[np.uint32]
Starts = npt.NDArray[np.int64]
Values = npt.NDArray[Any]


class ShardOrder:
    """The order of the rows of some shards.

    Parameters
    ----------
    starts : list of (bands + 1,) int64
        Where each band begins in each shard.
    orders : list of (k,) uint32
        For each band, the order of its rows in all shards together.
    """

    def __init__(self, starts: Sequence[Starts], orders: Sequence[Rows]) -> None:
        self.starts = starts
        self.orders = orders

    @classmethod
    def of_rows(cls, rows: Rows, lengths: Sequence[int]) -> ShardOrder:
        """Return the order that takes some rows of shards of given lengths."""
        return cls([np.array([0, n], np.int64) for n in lengths], [rows])

    def __len__(self) -> int:
        """Return the number of rows taken."""
        return sum(map(len, self.orders))

    @cached_property
    def rows(self) -> Rows:
        """The rows in order, by their numbers in all shards together, (n,) uint32."""
        if len(self.orders) == 1:
            return self.orders[0]
        firsts = np.cumsum([0, *(starts[-1] for starts in self.starts)])
        found = []
        for band, order in enumerate(self.orders):
            numbers = [
                np.arange(first + starts[band], first + starts[band + 1], dtype=np.uint32)
                for first, starts in zip(firsts[:-1], self.starts, strict=True)
            ]
            found.append(np.concatenate(numbers)[order])
        return np.concatenate(found)

    def take_table(self, shards: Sequence[pa.Table]) -> pa.Table:
        """Return all columns in order."""
        schema = without_starts(shards[0].schema)
        columns = [self.take([s.select([i]) for s in shards]) for i in range(len(schema))]
        fields = [f.with_type(c.type) for f, c in zip(schema, columns, strict=True)]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))

    def take(self, pieces: Sequence[pa.Table]) -> pa.Array:
        """Return a column in order, in memory of its own.

        Parameters
        ----------
        pieces : sequence of pyarrow.Table
            The column, one a shard.
        """
        first, *others = kinds = [piece.schema.field(0).type for piece in pieces]
        is_one = all(kind == first for kind in others)
        if len(self.orders) > 1 and is_one and is_fixed_width(first):
            return self._take_fixed([combine(piece.column(0)) for piece in pieces])
        if len(self.orders) > 1 and all(map(is_variable, kinds)):
            return self._take_bytes([combine(piece.column(0)) for piece in pieces])
        return take_array(combine(concat_rows(pieces).column(0)), self.rows)

    def _take_fixed(self, arrays: Sequence[pa.Array]) -> pa.Array:
        values = self._gather([raw_view(array) for array in arrays])
        validity, n_null = self._take_validity(arrays)
        buffers = [validity, pa.py_buffer(values)]
        return pa.Array.from_buffers(arrays[0].type, len(self), buffers, n_null)

    def _take_validity(self, arrays: Sequence[pa.Array]) -> tuple[pa.Buffer | None, int]:
        if not any(array.null_count for array in arrays):
            return None, 0
        found = [nulls(array) for array in arrays]
        missing = self._gather(
            [
                np.zeros(len(array), np.bool_) if null is None else null
                for array, null in zip(arrays, found, strict=True)
            ]
        )
        bits = np.packbits(~missing, bitorder="little")
        return pa.py_buffer(bits), int(np.count_nonzero(missing))

    def _gather(self, pieces: Sequence[Values]) -> Values:
        """Return fixed-width values, (n,) or (n, k), in order."""
        shape = pieces[0].shape[1:]
        per_row = int(np.prod(shape, dtype=np.int64))
        most = max(map(len, self.orders))
        out = empty(len(self) * per_row, pieces[0].dtype).reshape(-1, *shape)
        room = empty(most * per_row, pieces[0].dtype).reshape(-1, *shape)
        first = 0
        for band, order in enumerate(self.orders):
            joined = room[: len(order)]
            at = 0
            for piece, starts in zip(pieces, self.starts, strict=True):
                start, stop = starts[band : band + 2]
                joined[at : at + stop - start] = piece[start:stop]
                at += stop - start
            if len(order):
                gather_fixed(joined, order, into=out[first : first + len(order)])
            first += len(order)
        return out

    def _take_bytes(self, arrays: Sequence[pa.Array]) -> pa.Array:
        pieces = [bytes_views(array) for array in arrays]
        # Bytes before each band, by shard; they are not copied in between.
        edges = [
            offsets[starts].astype(np.int64)
            for (offsets, _), starts in zip(pieces, self.starts, strict=True)
        ]
        sizes = np.sum([np.diff(edge) for edge in edges], axis=0)
        n_bytes = int(sizes.sum())
        kind = _widest(arrays, n_bytes)
        dtype = np.int64 if is_wide(kind) else np.int32
        out_offsets, out = empty(len(self) + 1, dtype), empty(n_bytes, np.uint8)
        offsets = empty(max(map(len, self.orders)) + 1, dtype)
        data = empty(int(sizes.max()), np.uint8)
        out_offsets[0] = offsets[0] = first = 0
        for band, order in enumerate(self.orders):
            at, to = 0, 0
            for (old, values), edge, starts in zip(pieces, edges, self.starts, strict=True):
                start, stop = starts[band : band + 2]
                n, size = stop - start, edge[band + 1] - edge[band]
                np.add(
                    old[start + 1 : stop + 1],
                    to - edge[band],
                    out=offsets[at + 1 : at + 1 + n],
                    casting="unsafe",
                )
                data[to : to + size] = values[edge[band] : edge[band + 1]]
                at, to = at + n, to + size
            if at:
                gather_bytes_into(
                    offsets[: at + 1],
                    data[:to],
                    order,
                    out_offsets[first : first + at + 1],
                    out,
                )
            first += at
        validity, n_null = self._take_validity(arrays)
        buffers = [validity, pa.py_buffer(out_offsets), pa.py_buffer(out)]
        return pa.Array.from_buffers(kind, len(self), buffers, n_null)


def _widest(arrays: Sequence[pa.Array], n_bytes: int) -> pa.DataType:
    """Return the type of text or binary that can hold so many bytes of all arrays."""
    kind = arrays[0].type
    large = [a.type for a in arrays if is_wide(a.type)]
    if large:
        return large[0]
    if n_bytes > NARROW_BYTES:
        kind = widened(kind)
    return kind


def order_shards(
    keys: Sequence[pa.Table],
    by: Sequence[SortKey],
    starts: Sequence[Starts],
    tuning: OrderTuning,
) -> ShardOrder:
    """Return the stable order of the rows of a partition.

    Parameters
    ----------
    keys : sequence of pyarrow.Table
        The key columns of its shards, in (input partition, row) order; at least one.
    by : sequence of SortKey
        The key.
    starts : list of (bands + 1,) int64
        From :func:`dlsort.order.bands.read_starts`.
    tuning : OrderTuning
        When another way is quicker.

    Notes
    -----
    Expected time O(n).
    """
    if len(starts[0]) == 2:
        return ShardOrder(starts, [argsort(concat_rows(keys), by, tuning)])
    if any(pt.is_dictionary(field.type) for field in keys[0].schema):
        ranked = normal_keys(concat_rows(keys), by, tuning).table
        firsts = np.cumsum([0, *(table.num_rows for table in keys)])
        keys = [
            ranked.slice(first, table.num_rows)
            for first, table in zip(firsts[:-1], keys, strict=True)
        ]
    bands = range(len(starts[0]) - 1)
    return ShardOrder(
        starts, [argsort(_join_band(keys, starts, band), by, tuning) for band in bands]
    )


def _join_band(shards: Sequence[pa.Table], starts: Sequence[Starts], band: int) -> pa.Table:
    """Return the rows of a band, those of all shards one after the other."""
    here = [
        shard.slice(at[band], at[band + 1] - at[band])
        for shard, at in zip(shards, starts, strict=True)
        if at[band + 1] > at[band]
    ]
    return concat_rows(here or [shards[0].slice(0, 0)])
