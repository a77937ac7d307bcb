"""The rows that may be among the first of the order: a selection, not a sort."""

from __future__ import annotations

import math

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Mask, Rows, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.word_source import WordSource, blocks, scratch_for

__all__ = ["lowest_rows"]

# Sampled words: enough that a threshold leaves few rows too many.
SAMPLE = 1 << 14
# Standard deviations above the expected number of sampled words below the threshold.
MARGIN = 4

NO_MASK: Mask = np.empty(0, np.bool)


def lowest_rows(source: WordSource, k: int, *, nulls_first: bool) -> Rows | None:
    """Return at least the first ``k`` rows of a source's stable order, in input order.

    Parameters
    ----------
    source : WordSource
    k : int
        From 1 to the number of rows.
    nulls_first : bool
        Whether rows without a word come first; otherwise they come last.

    Returns
    -------
    (m,) uint32 or None
        All rows up to some word, ``m`` at least ``k``. None if the sample misled, or if
        rows without a word may be needed though they come last.

    Notes
    -----
    Time O(n): one look at every word.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import ArrayWords, lowest_rows
    >>> words = np.arange(100_000, dtype=np.uint64)[::-1].copy()
    >>> rows = lowest_rows(ArrayWords(words), 10, nulls_first=False)
    >>> set(range(99_990, 100_000)) <= set(rows.tolist()), len(rows) < 1000
    (True, True)
    """
    rng = np.random.default_rng(source.n)
    sample = source.take(rng.integers(0, source.n, SAMPLE, dtype=np.uint32))
    sample.sort()
    expected = k * SAMPLE / source.n
    place = math.ceil(expected + MARGIN * math.sqrt(expected + 1))
    if place >= SAMPLE:
        return None
    most = sample[place]
    found = []
    scratch = scratch_for(source)
    step = min(source.block_rows, 1 << 16)
    for first, last in blocks(source, 0, source.n):
        for start in range(first, last, step):
            stop = min(start + step, last)
            words, null = source.block(start, stop, scratch)
            rows = np.empty(stop - start, np.uint32)
            mask = NO_MASK if null is None else null
            n_found = _up_to(words, source.flip, most, mask, nulls_first, start, rows)
            found.append(rows[:n_found].copy())
    rows = np.concatenate(found)
    return rows if len(rows) >= k else None


@kernel(
    types.int64(
        reads(types.uint64),
        types.uint64,
        types.uint64,
        reads(types.boolean),
        types.boolean,
        types.int64,
        writes(types.uint32),
    )
)
def _up_to(
    words: Words,
    flip: np.uint64,
    most: np.uint64,
    null: Mask,
    nulls_too: bool,  # noqa: FBT001 - a kernel's arguments have no names
    first_row: int,
    rows: Rows,
) -> int:
    """Write the rows whose words are up to ``most``; return how many there are."""
    n = 0
    for i in range(len(words)):
        wanted = (words[i] ^ flip) <= most
        if len(null) and null[i]:
            wanted = nulls_too
        # Written always, counted only if wanted: no branch to mispredict.
        rows[n] = first_row + i
        n += wanted
    return n
