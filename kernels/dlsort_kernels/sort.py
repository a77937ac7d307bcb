"""A stable argsort of words, and of the ties it leaves by their next words.

Method
------
A map learned from a sample says which *group* of the order a word belongs to; one pass
counts the groups and one brings every row to its group, as ``code << row_bits | row``. The
code is the word's distance from the lowest word of the group, so in most groups it holds
the whole word. Groups fit the cache, where a few counting passes and a touch-up sort them
(`radix`). Where a group's words span more than a code holds, rows whose codes tie are
sorted by their words.

Before that, a look at a few neighbours tells whether the input may be in order already, or
be made of a few runs that are: these are merged.

After Kristo et al., "The Case for a Learned Sorting Algorithm" (SIGMOD 2020), and Balanced
Learned Sort (2025).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlsort_kernels import natural_runs, radix
from dlsort_kernels.arrays import Places, RowNumbers, Rows, Words
from dlsort_kernels.counting import order_by_counting
from dlsort_kernels.gather_fixed_width import gather_fixed
from dlsort_kernels.learned_groups import Groups, sort_groups, spread_words
from dlsort_kernels.memory import empty
from dlsort_kernels.scatter import Spread, rows_of
from dlsort_kernels.threads import Pool, batches, pool, threads_for
from dlsort_kernels.touch_up import copy_rows, pack_runs, put_rows, settle_short, unpack_runs
from dlsort_kernels.word_source import ArrayWords, WordSource

__all__ = ["NO_RUNS", "Runs", "refine_runs", "sort_source"]

# Words of up to so many bits are counted, if there are so many rows to a value. 2 M rows:
# 8 bits 28 ms by groups, 16 bits the same.
COUNTED_BITS = 16
COUNTED_ROWS = 2
# Longest run sorted by insertion; longer ones are packed.
SHORT = 16
# Longest run packed together with others; longer ones are sorted as arrays of their own.
LONG_BITS = 16
# Rows of tied codes that are settled at once.
TOUCH_UP_ROWS = 1 << 19
# Rows packed at once: they and their words stay in the second-level cache.
BATCH = 1 << 17


class Runs(NamedTuple):
    """Runs of tied rows: ``order[starts[r]:ends[r]]`` for each ``r``, in order."""

    starts: Places
    ends: Places


NO_RUNS = Runs(np.empty(0, np.int64), np.empty(0, np.int64))


class PlacedWords:
    """Takes a source's words by place instead of row."""

    def __init__(self, source: WordSource, spread_rows: Spread, workers: Pool) -> None:
        self._source = source
        self._rows = rows_of(spread_rows, workers)

    def take(self, places: Rows) -> Words:
        """Return the words of the rows at some places."""
        return self._source.take(gather_fixed(self._rows, places))


def sort_source(
    source: WordSource,
    *,
    runs: bool = True,
    wide: bool = False,
    nulls_first: bool = False,
    by_place: bool = False,
    threads: int = 1,
) -> tuple[RowNumbers, Runs, Spread | None]:
    """Return the stable order of a source's words, and where equal words lie in it.

    Parameters
    ----------
    source : WordSource
        Fewer than 2^32 rows.
    runs : bool
        Whether to look for equal words.
    wide : bool
        Row numbers of 64 bits.
    nulls_first : bool
        Where the rows without a word go.
    by_place : bool
        Return the order as places in ``spread`` instead of row numbers, if there is one.
    threads : int
        At most so many; the result does not depend on it.

    Returns
    -------
    order : (n,) uint32, or int64 if ``wide``
    runs : Runs
        Runs of equal words, of two rows or more, if ``runs``. Rows without a word are
        one of them.
    spread : Spread or None
        How rows were brought to groups of the order on the way, for a gather of columns
        that are larger than the cache. None if there was one group, or no need to.

    Notes
    -----
    Expected time O(n). Memory beside the source and the result: the rows' groups (2 bytes
    a row), 8 bytes a row unless ``wide`` (where the result's memory serves), and, where
    codes tie, 12 bytes a row that ties.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import ArrayWords, sort_source
    >>> words = ArrayWords(np.array([7, 5, 7, 6], dtype=np.uint64))
    >>> order, runs, _ = sort_source(words)
    >>> order.tolist(), runs.starts.tolist(), runs.ends.tolist()
    ([1, 3, 0, 2], [2], [4])
    """
    n = source.n
    kind = np.int64 if wide else np.uint32
    if n == 0:
        none: Any = np.empty(0, kind)
        return none, NO_RUNS, None
    found = natural_runs.few_runs(source, kind)
    if found is not None:
        return found, Runs(*natural_runs.equal_runs(source, found)) if runs else NO_RUNS, None
    with pool(threads_for(n, threads)) as workers:
        if source.bits <= COUNTED_BITS and n >= COUNTED_ROWS << source.bits:
            counted, starts = order_by_counting(source, kind, workers, nulls_first=nulls_first)
            if not runs:
                return counted, NO_RUNS, None
            several = np.flatnonzero(np.diff(starts) > 1)
            return counted, Runs(starts[:-1][several], starts[1:][several]), None
        groups = spread_words(source, workers, nulls_first=nulls_first, by_place=by_place)
        order: RowNumbers = groups.packed.view(np.int64) if wide else empty(n, np.uint32)
        n_runs, n_tied = sort_groups(groups, order, workers, runs=runs)
        takes: WordSource | PlacedWords = source
        if by_place and groups.spread is not None and n_runs.any():
            takes = PlacedWords(source, groups.spread, workers)
    tied = _settle(takes, groups, order, n_runs, n_tied, keep=runs)
    return order, tied, groups.spread


# ---------------------------------------------------------------- touch-up


def _settle(
    source: WordSource | PlacedWords,
    groups: Groups,
    order: RowNumbers,
    n_runs: Places,
    n_tied: Places,
    *,
    keep: bool,
) -> Runs:
    """Sort the rows that codes can't tell apart; return the runs of equal words, if kept.

    Some groups at a time: what lists their runs takes little memory.
    """
    which = np.flatnonzero(n_runs)
    found = []
    for first, last in batches(n_tied[which], TOUCH_UP_ROWS):
        exact, unsure = _listed(groups, order, which[first:last], n_runs, runs=keep)
        touched = _touch_up(source, order, unsure, keep=keep)
        if keep:
            found.append(_joined([exact, touched]))
    start, stop = groups.without
    if keep and stop - start > 1:
        found.insert(0 if start == 0 else len(found), Runs(np.array([start]), np.array([stop])))
    if not found:
        return NO_RUNS
    return Runs(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _listed(
    groups: Groups, order: RowNumbers, which: Places, n_runs: Places, *, runs: bool
) -> tuple[Runs, Runs]:
    """Write the rows of groups that stayed packed.

    Returns the runs of equal words, and of rows whose codes can't tell whether they are.
    """
    found = []
    bits = np.uint64(groups.row_bits)
    for inexact in (False, True):
        some = which[groups.inexact[which] == inexact]
        count = int(n_runs[some].sum())
        starts, ends = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
        lowest = np.empty(count + 1, np.bool)
        least = np.uint64(0 if runs else 1 << groups.row_bits)
        if count:
            radix.list_ties(
                groups.packed, groups.starts, some, bits, least, order, starts, ends, lowest
            )
        found.append((Runs(starts[:-1], ends[:-1]), lowest[:-1]))
    exact, (tied, lowest) = found[0][0], found[1]
    if lowest.any():
        exact = _joined([exact, Runs(tied.starts[lowest], tied.ends[lowest])])
        tied = Runs(tied.starts[~lowest], tied.ends[~lowest])
    return exact, tied


def _touch_up(
    source: WordSource | PlacedWords, order: RowNumbers, tied: Runs, *, keep: bool
) -> Runs:
    """Sort rows whose codes tie by their words; return the runs of equal words, if kept."""
    if not len(tied.starts):
        return NO_RUNS
    lengths = tied.ends - tied.starts
    bases = np.cumsum(lengths) - lengths
    rows = np.empty(int(lengths.sum()), np.uint32)
    copy_rows(order, *tied, rows)
    left = refine_runs(rows, Runs(bases, bases + lengths), bases, source.take(rows))
    put_rows(order, *tied, rows)
    if not keep:
        return NO_RUNS
    moved = (tied.starts - bases)[np.searchsorted(bases, left.starts, side="right") - 1]
    return Runs(left.starts + moved, left.ends + moved)


def refine_runs(order: Rows, runs: Runs, bases: Places, words: Words) -> Runs:
    """Sort each run by ``words[bases[r]:]``; return what still ties."""
    if not len(runs.starts):
        return NO_RUNS
    n_rows = int((runs.ends - runs.starts).sum())
    out = Runs(np.empty(n_rows // 2, np.int64), np.empty(n_rows // 2, np.int64))
    left = np.empty(len(runs.starts), np.int64)
    held = np.empty(SHORT, np.uint64)
    n_out, n_left = settle_short(order, *runs, bases, words, SHORT, held, *out, left)
    done = [Runs(out.starts[:n_out], out.ends[:n_out])]
    if not n_left:
        return Runs(done[0].starts.copy(), done[0].ends.copy())
    left = left[:n_left]
    starts, ends, bases = runs.starts[left], runs.ends[left], bases[left]
    lengths = ends - starts
    long = lengths > 1 << LONG_BITS
    for start, end, base in zip(starts[long], ends[long], bases[long], strict=True):
        rows = order[start:end]
        suborder, tied, _ = sort_source(ArrayWords(words[base : base + end - start]))
        rows[:] = rows[suborder]
        done.append(Runs(tied.starts + start, tied.ends + start))
    medium = ~long
    starts, ends, bases = starts[medium], ends[medium], bases[medium]
    for first, last in batches(lengths[medium], BATCH):
        batch = Runs(starts[first:last], ends[first:last])
        done.append(_refine_packed(order, batch, bases[first:last], words))
    return _joined(done)


def _refine_packed(order: Rows, runs: Runs, bases: Places, words: Words) -> Runs:
    """Sort runs of up to 2^16 rows together, with run, code and place packed."""
    n_runs = len(runs.starts)
    lengths = runs.ends - runs.starts
    n_rows = int(lengths.sum())
    longest = int(lengths.max())
    at_bits = np.uint64((longest - 1).bit_length())
    packed = np.empty(n_rows, np.uint64)
    low, span = np.empty(n_runs, np.uint64), np.empty(n_runs, np.uint64)
    shift = pack_runs(*runs, bases, words, at_bits, low, span, packed)
    radix.sort_packed(
        packed, at_bits, np.empty(n_rows, np.uint64), np.empty(radix.COUNTS, np.uint32)
    )
    out = [np.empty(n_rows // 2, np.int64) for _ in range(3)]
    sorted_words = np.empty(n_rows, np.uint64)
    rows = np.empty(longest, np.uint32)
    n_out = unpack_runs(order, *runs, bases, words, at_bits, packed, rows, sorted_words, *out)
    tied = Runs(out[0][:n_out], out[1][:n_out])
    if shift:
        return refine_runs(order, tied, out[2][:n_out], sorted_words)
    return tied


def _joined(parts: list[Runs]) -> Runs:
    """Return the runs of several lists as one, in order."""
    starts = np.concatenate([part.starts for part in parts])
    ends = np.concatenate([part.ends for part in parts])
    # Runs lie apart, so the sorted ends belong to the sorted starts.
    starts.sort()
    ends.sort()
    return Runs(starts, ends)
