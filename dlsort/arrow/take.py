"""Gather rows of an Arrow array or table, with a kernel for every layout.

Arrow's own ``take`` has no kernel for views and is several times slower on
fixed widths that fit the cache; nested columns recurse into their children,
and only what Parquet can't hold (unions) falls back on it.

A column larger than the cache is gathered in two steps if the order came from
a sort that spread its rows over groups: its values are brought to the groups
first, and gathered inside each group then (:mod:`dlsort_kernels.scatter`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.blocks import in_blocks
from dlsort.arrow.kinds import widened
from dlsort.arrow.made import array_of
from dlsort.arrow.transport import combined
from dlsort.arrow.views import bitmap, bytes_views, nulls, raw_view
from dlsort_kernels import (
    SERIAL,
    Pool,
    Scratch,
    Spread,
    gather_bits,
    gather_bytes,
    gather_fixed,
    gather_lists,
    gather_slots,
    group_rows,
    places_of,
    rows_of,
    scatter_bytes,
    scatter_fixed,
    scatter_slots,
    slot_bytes,
)

__all__ = ["Grouped", "Picked", "take_array", "take_table"]

Rows = npt.NDArray[np.uint32]

# Short columns are taken together up to here: to copy them takes less than a call for each.
SHORT_ROWS = 4_096
# Groups are numbered by uint16.
MOST_GROUPS = 1 << 16
# Row numbers are uint32.
MOST_ROWS = 2**32 - 1


class Picked:
    """Rows to gather, in their new order.

    Parameters
    ----------
    order : (m,) uint32
        Row numbers; or, if ``by_place``, their places in ``spread``.
    workers : Pool
        Threads to share the work.
    spread : Spread or None
        How the sort that gave ``order`` brought all rows to groups.
    by_place : bool
        What ``order`` holds.
    spread_bytes : int
        Columns from this size on are brought to the groups before they are gathered.
    """

    def __init__(
        self,
        order: Rows,
        *,
        workers: Pool = SERIAL,
        spread: Spread | None = None,
        by_place: bool = False,
        spread_bytes: int = 0,
    ) -> None:
        self._order = order
        self.workers = workers
        self.spread = spread
        self._by_place = by_place
        self._spread_bytes = spread_bytes
        self._scratch = Scratch()
        self._in_block: dict[int, Picked] = {}

    def __len__(self) -> int:
        """Return the number of rows picked."""
        return len(self._order)

    @cached_property
    def rows(self) -> Rows:
        """The row numbers, (m,) uint32."""
        if not self._by_place:
            return self._order
        assert self.spread is not None
        rows = rows_of(self.spread, self.workers)
        return gather_fixed(rows, self._order, workers=self.workers)

    @cached_property
    def _places(self) -> Rows:
        """The places in the new order, (m,) uint32."""
        assert self.spread is not None
        if self._by_place:
            return self._order
        places = places_of(self.spread, self.workers)
        return gather_fixed(places, self._order, workers=self.workers)

    def in_block(self, n_columns: int, n_rows: int) -> Picked:
        """Return the rows to gather of so many columns, one after the other in an array."""
        if n_columns not in self._in_block:
            starts = np.arange(n_columns, dtype=np.uint32) * np.uint32(n_rows)
            rows = np.add.outer(starts, self.rows).ravel()
            self._in_block[n_columns] = Picked(rows, workers=self.workers)
        return self._in_block[n_columns]

    def fixed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of a fixed width, (n,) or (n, k), in the new order."""
        if self.spread is not None and values.nbytes >= self._spread_bytes:
            into = self._spare(values)
            by_group = scatter_fixed(values, self.spread, self.workers, self._scratch)
            if by_group is not None:
                return gather_fixed(by_group, self._places, workers=self.workers, into=into)
        return gather_fixed(values, self.rows, workers=self.workers)

    def _spare(self, values: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return room for values in the new order, where a larger column has left some."""
        shape = (len(self), *values.shape[1:])
        n_bytes = values.nbytes // len(values) * len(self)
        room = self._scratch.spare("values", n_bytes, values.nbytes)
        return None if room is None else room.view(values.dtype).reshape(shape)

    def bytes(
        self, offsets: npt.NDArray[Any], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        """Return offsets and bytes of variable-length values in the new order."""
        n_bytes = int(offsets[-1]) - int(offsets[0])
        if self.spread is not None and n_bytes + offsets.nbytes >= self._spread_bytes:
            order, how = self._places, (self.spread, self.workers, self._scratch)
            if width := slot_bytes(offsets):
                slots = scatter_slots(offsets, data, width, *how)
                return gather_slots(slots, width, order, offsets.dtype, self.workers)
            grouped = scatter_bytes(offsets, data, *how)
            return gather_bytes(*grouped, order, workers=self.workers)
        return gather_bytes(offsets, data, self.rows, workers=self.workers)

    def bits(self, buffer: npt.NDArray[np.uint8], offset: int) -> tuple[pa.Buffer, int]:
        """Return a bitmap's bits in the new order, and how many are 0."""
        out, n_unset = gather_bits(buffer, offset, self.rows, workers=self.workers)
        return pa.py_buffer(out), n_unset


class Grouped(Picked):
    """All rows, grouped by a number that each has.

    Values are read in order and written to as many places as there are groups, which is
    quicker than to read as many places in turn.

    Parameters
    ----------
    group : (n,) uint32
        Each below ``n_groups``.
    n_groups : int

    Attributes
    ----------
    starts : (n_groups + 1,) int64
        Where each group begins.
    """

    def __init__(self, group: Rows, n_groups: int) -> None:
        order, self.starts = group_rows(group, n_groups)
        super().__init__(order)
        self._spread: Spread | None = None
        if n_groups <= MOST_GROUPS:
            first, counts = self.starts[None, :-1], np.diff(self.starts)[None]
            self._spread = Spread(group.astype(np.uint16), [(0, len(group))], first, counts)

    def fixed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of a fixed width, (n,) or (n, k), grouped."""
        if self._spread is not None:
            found = scatter_fixed(values, self._spread, self.workers, Scratch())
            if found is not None:
                return found
        return super().fixed(values)

    def bytes(
        self, offsets: npt.NDArray[Any], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        """Return offsets and bytes of variable-length values, grouped."""
        if self._spread is None:
            return super().bytes(offsets, data)
        return scatter_bytes(offsets, data, self._spread, self.workers, Scratch())


def take_table(table: pa.Table, rows: Rows | Picked) -> pa.Table:
    """Return ``table`` at ``rows``, each column one chunk.

    Parameters
    ----------
    table : pyarrow.Table
        Views must have been cast (:func:`dlsort.arrow.transport.to_transport`).
    rows : (m,) uint32 or Picked
        Row numbers, each below ``table.num_rows``; not checked here.

    Returns
    -------
    pyarrow.Table
        ``m`` rows; same schema, but a string column of over 2 GiB comes with
        64-bit offsets.

    Notes
    -----
    Time O(m) a column.
    """
    picked = rows if isinstance(rows, Picked) else Picked(rows)
    columns = combined(table)
    blocks, others = in_blocks(columns, SHORT_ROWS)
    # The largest first: what is held beside a column is of its size, and used again.
    for number in sorted(others, key=lambda number: -columns[number].nbytes):
        columns[number] = _take(columns[number], picked)
    for block in blocks:
        values = _take(block.values, picked.in_block(len(block.numbers), table.num_rows))
        made = _columns_of(values, len(block.numbers), len(picked))
        for number, column in zip(block.numbers, made, strict=True):
            columns[number] = column
    fields = [f.with_type(c.type) for f, c in zip(table.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _columns_of(values: pa.Array, n_columns: int, n_rows: int) -> Iterator[pa.Array]:
    """Yield the columns of a block, each with buffers of its own size: these are pickled."""
    _, data = values.buffers()
    null, size = nulls(values), n_rows * values.type.bit_width // 8
    bits: list[pa.Buffer | None] = [None] * n_columns
    if null is not None:
        valid = np.packbits(~null.reshape(n_columns, n_rows), axis=1, bitorder="little")
        bits = [pa.py_buffer(column) for column in valid]
    for i, validity in enumerate(bits):
        buffers = [validity, data.slice(i * size, size)]
        yield pa.Array.from_buffers(values.type, n_rows, buffers)


def take_array(array: pa.Array, rows: Rows) -> pa.Array:
    """Return ``array`` at ``rows``; see :func:`take_table`."""
    return _take(array, Picked(rows))


def _take(array: pa.Array, picked: Picked) -> pa.Array:
    kind, n = array.type, len(picked)
    if pt.is_null(kind):
        return pa.nulls(n)
    if n == 0:
        return array.slice(0, 0)
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, _take(array.storage, picked))
    if pt.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            _take(array.indices, picked), array.dictionary, ordered=kind.ordered, safe=False
        )
    if pt.is_run_end_encoded(kind):
        rows_of_runs = _take(pc.run_end_decode(array), picked)
        return pc.run_end_encode(rows_of_runs, run_end_type=kind.run_end_type)
    if pt.is_union(kind) or _is_view(kind):
        return array.take(array_of(picked.rows))
    validity, n_null = _take_validity(array, picked)
    if pt.is_struct(kind):
        children = [_take(array.field(i), picked) for i in range(kind.num_fields)]
        # field() applies the slice offset; an empty struct has no child to ask
        return pa.Array.from_buffers(kind, n, [validity], n_null, children=children)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind):
        offsets, items = bytes_views(array)[0], _list_child(array)
        first, last = int(offsets[0]), int(offsets[-1])
        if last > MOST_ROWS:
            # A slice late in its child: rows are counted from its first item.
            offsets, items = (
                offsets - offsets.dtype.type(first),
                items.slice(first, last - first),
            )
        if last - first > MOST_ROWS:
            return array.take(array_of(picked.rows))
        offsets, child_rows = gather_lists(offsets, picked.rows)
        child = _take(items, Picked(child_rows, workers=picked.workers))
        return pa.Array.from_buffers(
            kind, n, [validity, pa.py_buffer(offsets)], n_null, children=[child]
        )
    if pt.is_fixed_size_list(kind):
        size, n_rows = kind.list_size, len(array)
        if n_rows * size > MOST_ROWS or n * size > MOST_ROWS:
            return array.take(array_of(picked.rows))
        starts = picked.rows * np.uint32(size)
        child_rows = np.add.outer(starts, np.arange(size, dtype=np.uint32)).ravel()
        items = array.values.slice(array.offset * size, n_rows * size)
        child = _take(items, Picked(child_rows, workers=picked.workers))
        return pa.Array.from_buffers(kind, n, [validity], n_null, children=[child])
    return _take_flat(array, picked, validity, n_null)


def _is_view(kind: pa.DataType) -> bool:
    views = (pa.string_view(), pa.binary_view())
    return kind in views or pt.is_list_view(kind) or pt.is_large_list_view(kind)


def _take_validity(array: pa.Array, picked: Picked) -> tuple[pa.Buffer | None, int]:
    bits = bitmap(array) if array.null_count else None
    return (None, 0) if bits is None else picked.bits(*bits)


def _list_child(array: pa.Array) -> pa.Array:
    """Return the child that a list's offsets point into; a map's as its struct of entries."""
    if not pt.is_map(array.type):
        return array.values
    return pa.StructArray.from_arrays(
        [array.keys, array.items], fields=[array.type.key_field, array.type.item_field]
    )


def _take_flat(
    array: pa.Array, picked: Picked, validity: pa.Buffer | None, n_null: int
) -> pa.Array:
    kind, n = array.type, len(picked)
    if pt.is_boolean(kind):
        bits = bitmap(array, 1)
        out = picked.bits(*bits)[0] if bits else pa.py_buffer(b"")
        return pa.Array.from_buffers(kind, n, [validity, out], n_null)
    if pt.is_primitive(kind) or pt.is_decimal(kind) or pt.is_fixed_size_binary(kind):
        out = pa.py_buffer(picked.fixed(raw_view(array)))
        return pa.Array.from_buffers(kind, n, [validity, out], n_null)
    offsets, data = bytes_views(array)
    try:
        new_offsets, new_data = picked.bytes(offsets, data)
    except OverflowError:
        kind = widened(kind)
        new_offsets, new_data = picked.bytes(offsets.astype(np.int64), data)
    buffers = [validity, pa.py_buffer(new_offsets), pa.py_buffer(new_data)]
    return pa.Array.from_buffers(kind, n, buffers, n_null)
