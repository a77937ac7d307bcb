"""Words of few values, counted: one pass that counts and one that places."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Mask, Places, RowNumbers, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.threads import Pool, chunks
from dlsort_kernels.word_source import WordSource, blocks, scratch_for

__all__ = ["order_by_counting"]

NO_MASK: Mask = np.empty(0, np.bool)


def order_by_counting(
    source: WordSource, kind: npt.DTypeLike, workers: Pool, *, nulls_first: bool
) -> tuple[RowNumbers, Places]:
    """Return the stable order of words by the lowest ``source.bits`` of them.

    Returns
    -------
    order : (n,) ``kind``
    starts : (values + 2,) int64
        Value ``v``'s rows are ``order[starts[v]:starts[v + 1]]``; rows without a word
        have the last or the first of these.

    Notes
    -----
    Time O(n + 2**bits).
    """
    n, n_values = source.n, 1 << source.bits
    mask = np.uint64(n_values - 1)
    of_null = np.uint64(0 if nulls_first else n_values)
    first = np.uint64(nulls_first)
    parts = chunks(n, workers.threads)
    counts = np.zeros((len(parts), n_values + 1), np.int64)
    order: RowNumbers = empty(n, kind)

    def count(part: int, bounds: tuple[int, int]) -> None:
        scratch = scratch_for(source)
        for start, stop in blocks(source, *bounds):
            words, null = source.block(start, stop, scratch)
            nulls = NO_MASK if null is None else null
            _count(words, source.low_flip, mask, first, nulls, of_null, counts[part])

    workers.run(count, range(len(parts)), parts)
    starts = np.zeros(n_values + 2, np.int64)
    np.cumsum(counts.sum(axis=0), out=starts[1:])
    places = starts[:-1] + np.cumsum(counts, axis=0) - counts

    def place(part: int, bounds: tuple[int, int]) -> None:
        scratch = scratch_for(source)
        at = places[part].astype(np.uint64)
        for start, stop in blocks(source, *bounds):
            words, null = source.block(start, stop, scratch)
            nulls = NO_MASK if null is None else null
            _place(
                words, source.low_flip, mask, first, nulls, of_null, np.uint64(start), at, order
            )

    workers.run(place, range(len(parts)), parts)
    return order, starts


@inlined
def _value(
    word: np.uint64, mask: np.uint64, first: np.uint64, null: Mask, i: Any, of_null: np.uint64
) -> np.uint64:
    """Return which count a row adds to."""
    if len(null) and null[i]:
        return of_null
    return (word & mask) + first


@kernel(
    types.void(
        reads(types.uint64),
        types.uint64,
        types.uint64,
        types.uint64,
        reads(types.boolean),
        types.uint64,
        writes(types.int64),
    )
)
def _count(
    words: Words,
    flip: np.uint64,
    mask: np.uint64,
    first: np.uint64,
    null: Mask,
    of_null: np.uint64,
    counts: Places,
) -> None:
    for i in range(np.uint64(len(words))):
        counts[_value(words[i] ^ flip, mask, first, null, i, of_null)] += 1


@kernel(
    *(
        types.void(
            reads(types.uint64),
            types.uint64,
            types.uint64,
            types.uint64,
            reads(types.boolean),
            types.uint64,
            types.uint64,
            writes(types.uint64),
            writes(row),
        )
        for row in (types.uint32, types.int64)
    )
)
def _place(
    words: Words,
    flip: np.uint64,
    mask: np.uint64,
    first: np.uint64,
    null: Mask,
    of_null: np.uint64,
    first_row: np.uint64,
    at: Words,
    order: RowNumbers,
) -> None:
    for i in range(np.uint64(len(words))):
        value = _value(words[i] ^ flip, mask, first, null, i, of_null)
        place = at[value]
        order[place] = first_row + i
        at[value] = place + np.uint64(1)
