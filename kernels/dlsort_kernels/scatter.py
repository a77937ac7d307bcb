"""Rows brought to their groups, column by column: the first half of a gather.

A gather in random order from a column larger than the cache waits for memory at every row.
The sort knows a coarse order that costs little to make: its groups. Values are read in
order and written to as many open places as there are groups, and the gather that follows
stays inside a group, in the cache. 10 M rows of 8 bytes: 88 ms at once, 16 + 27 ms so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Groups, Offsets, Places, Rows
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.threads import Pool, chunks
from dlsort_kernels.unaligned import copy16

__all__ = [
    "Scratch",
    "Spread",
    "by_part",
    "places_of",
    "rows_of",
    "scatter_bytes",
    "scatter_fixed",
]

# What is cut off begins at a multiple of 64 bytes, some times.
SLACK_BYTES = 256

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Spread(NamedTuple):
    """Where rows stand once they are brought to their groups.

    Parameters
    ----------
    group : (n,) uint16
        The group of each row.
    parts : list of tuple of int
        Bounds of the parts of the input; each has its own places in each group.
    first, counts : (parts, groups) int64
        First place of each part in each group, and how many rows it has there.
    """

    group: Groups
    parts: list[tuple[int, int]]
    first: Places
    counts: Places


def by_part(
    spread: Spread, workers: Pool, function: Callable[[int, int, Groups, Rows], None]
) -> None:
    """Call a function for each part of the rows.

    Parameters
    ----------
    spread : Spread
        Where rows stand.
    workers : Pool
        Threads to share the work.
    function : callable
        Given the bounds of the part, the group of each of its rows, and, (groups,) uint32, the
        place of the first of them in each group. The next one's is one more: to count costs no
        more than to read places that are kept, and these would take 4 bytes a row.
    """

    def one(part: int, bounds: tuple[int, int]) -> None:
        function(*bounds, spread.group[slice(*bounds)], spread.first[part].astype(np.uint32))

    workers.run(one, range(len(spread.parts)), spread.parts)


def places_of(spread: Spread, workers: Pool) -> Rows:
    """Return the place of each row, (n,) uint32; rows keep their order inside a group."""
    places = empty(len(spread.group), np.uint32)
    by_part(spread, workers, lambda a, b, group, at: _number(group, at, places[a:b]))
    return places


def rows_of(spread: Spread, workers: Pool) -> Rows:
    """Return the row at each place, (n,) uint32."""
    rows = empty(len(spread.group), np.uint32)
    by_part(spread, workers, lambda a, b, group, at: _list_rows(group, at, a, rows))
    return rows


@kernel(
    types.void(reads(types.uint16), writes(types.uint32), types.int64, writes(types.uint32))
)
def _list_rows(group: Groups, at: Rows, first_row: int, rows: Rows) -> None:
    for i in range(len(group)):
        g = np.uint64(group[i])
        rows[at[g]] = first_row + i
        at[g] += np.uint32(1)


@kernel(types.void(reads(types.uint16), writes(types.uint32), writes(types.uint32)))
def _number(group: Groups, at: Rows, places: Rows) -> None:
    for i in range(np.uint64(len(group))):
        g = np.uint64(group[i])
        places[i] = at[g]
        at[g] += np.uint32(1)


class Scratch:
    """Memory that is used again: fresh pages cost as much as what is written to them."""

    def __init__(self) -> None:
        self._held: dict[str, Bytes | None] = {}

    def room(self, name: str, n_bytes: int) -> Bytes:
        """Return so many bytes, (n_bytes,) uint8, which are the same for the same name."""
        held = self._held.get(name)
        # What is much too large goes: beside results that grow it would be the peak.
        if held is None or not n_bytes <= len(held) < 2 * n_bytes:
            held = self._held[name] = None  # before there is another
            held = self._held[name] = empty(n_bytes + SLACK_BYTES, np.uint8)
        return held[:n_bytes]

    def spare(self, name: str, n_bytes: int, kept_bytes: int) -> Bytes | None:
        """Return so many bytes of a name's memory, for good, if as many as are kept are left.

        So a result takes the place of what a larger column has needed, which whoever gives
        memory may have no use for, and not give back for a while.
        """
        held = self._held.get(name)
        first = 0 if held is None else (len(held) - n_bytes) // 64 * 64
        if held is None or first < kept_bytes:
            return None
        self._held[name] = held[:first]
        return held[first : first + n_bytes]


def scatter_fixed(
    src: npt.NDArray[Any], spread: Spread, workers: Pool, scratch: Scratch
) -> npt.NDArray[Any] | None:
    """Return values by place: ``out[places] = src``; None for a width without a kernel.

    Parameters
    ----------
    src : (n,) or (n, k), any dtype but object
        C-contiguous.
    spread : Spread
        Where rows stand.
    scratch : Scratch
        Holds the result, until it is used again.
    """
    width = src.dtype.itemsize * (src.size // max(len(src), 1))
    flat = src.reshape(-1).view(np.uint8)
    if width == 16:
        out = scratch.room("values", flat.size)
        by_part(
            spread,
            workers,
            lambda a, b, group, at: _scatter_16(flat[16 * a : 16 * b], group, at, out),
        )
    elif width in _UNSIGNED:
        values = flat.view(_UNSIGNED[width])
        values = values if values.flags.aligned else values.copy()
        out = scratch.room("values", flat.size).view(values.dtype)
        by_part(spread, workers, lambda a, b, group, at: _scatter(values[a:b], group, at, out))
    else:
        return None
    return out.view(src.dtype).reshape(src.shape)


@kernel(
    *(
        types.void(reads(unsigned), reads(types.uint16), writes(types.uint32), writes(unsigned))
        for unsigned in (types.uint8, types.uint16, types.uint32, types.uint64)
    )
)
def _scatter(src: npt.NDArray[Any], group: Groups, at: Rows, out: npt.NDArray[Any]) -> None:
    for i in range(np.uint64(len(src))):
        g = np.uint64(group[i])
        out[at[g]] = src[i]
        at[g] += np.uint32(1)


@kernel(
    types.void(
        reads(types.uint8), reads(types.uint16), writes(types.uint32), writes(types.uint8)
    )
)
def _scatter_16(src: Bytes, group: Groups, at: Rows, out: Bytes) -> None:
    for i in range(len(group)):
        g = np.uint64(group[i])
        copy16(out, np.int64(at[g]) * 16, src, i * 16)
        at[g] += np.uint32(1)


def scatter_bytes(
    offsets: Offsets,
    data: Bytes,
    spread: Spread,
    workers: Pool,
    scratch: Scratch,
) -> tuple[Offsets, Bytes]:
    """Return variable-length values by place: their offsets and bytes.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``. Need not start at 0.
    data : (b,) uint8
    spread : Spread
        Where rows stand.
    scratch : Scratch
        Holds the result, until it is used again.

    Returns
    -------
    offsets : (n + 1,) same dtype
        Starts at 0.
    data : uint8
    """
    n = len(spread.group)
    out_offsets = scratch.room("offsets", (n + 1) * offsets.itemsize).view(offsets.dtype)
    out_offsets[0] = 0
    sizes = out_offsets[1:]
    by_part(
        spread,
        workers,
        lambda a, b, group, at: _scatter_sizes(offsets[a : b + 1], group, at, sizes),
    )
    _add_up(out_offsets, workers)
    out = scratch.room("values", int(out_offsets[-1]))
    # Where the places of a part in a group end, some other part's or group's begin.
    ends = out_offsets[spread.first + spread.counts].astype(np.int64)
    part_of = {bounds: part for part, bounds in enumerate(spread.parts)}

    def copy(start: int, stop: int, group: Groups, at: Rows) -> None:
        end = np.ascontiguousarray(ends[part_of[start, stop]])
        some = offsets[start : stop + 1]
        _scatter_values(some, data, group, at, end, out_offsets, out)

    by_part(spread, workers, copy)
    return out_offsets, out


def _add_up(sizes: Offsets, workers: Pool) -> None:
    """Turn sizes into where each value ends, in place, on several threads."""
    parts = chunks(len(sizes), workers.threads)
    totals = [0, *workers.run(lambda a, b: int(sizes[a:b].sum()), *zip(*parts, strict=True))]

    def add(start: int, stop: int, before: int) -> None:
        if start < stop:
            sizes[start] += before
            np.cumsum(sizes[start:stop], dtype=sizes.dtype, out=sizes[start:stop])

    before = np.cumsum(totals[:-1]).tolist()
    workers.run(add, *zip(*parts, strict=True), before)


_OFFSETS = (types.int32, types.int64)


@kernel(
    *(
        types.void(reads(offset), reads(types.uint16), writes(types.uint32), writes(offset))
        for offset in _OFFSETS
    )
)
def _scatter_sizes(offsets: Offsets, group: Groups, at: Rows, out: Offsets) -> None:
    for i in range(np.uint64(len(group))):
        g = np.uint64(group[i])
        out[at[g]] = offsets[i + np.uint64(1)] - offsets[i]
        at[g] += np.uint32(1)


@kernel(
    *(
        types.void(
            reads(offset),
            reads(types.uint8),
            reads(types.uint16),
            writes(types.uint32),
            reads(types.int64),
            reads(offset),
            writes(types.uint8),
        )
        for offset in _OFFSETS
    )
)
def _scatter_values(
    offsets: Offsets,
    data: Bytes,
    group: Groups,
    at: Rows,
    ends: Places,
    out_offsets: Offsets,
    out: Bytes,
) -> None:
    """Copy each value to its place, 16 bytes at a time up to ``ends[group]``.

    What a copy writes too much is overwritten by the next place of the group.
    """
    for i in range(len(group)):
        g = np.uint64(group[i])
        first = np.int64(offsets[i])
        n = np.int64(offsets[i + 1]) - first
        to = np.int64(out_offsets[at[g]])
        at[g] += np.uint32(1)
        whole = (n + 15) // 16 * 16
        if first + whole <= data.size and to + whole <= ends[g]:
            for step in range(0, n, 16):
                copy16(out, to + step, data, first + step)
        else:
            for step in range(n):
                out[to + step] = data[first + step]
