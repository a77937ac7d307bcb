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

from dlsort_kernels import natural_runs, radix, spread
from dlsort_kernels.arrays import Mask, Places, RowNumbers, Rows, Words
from dlsort_kernels.counting import order_by_counting
from dlsort_kernels.gather_fixed_width import gather_fixed
from dlsort_kernels.learned import GroupMap, OneGroup, Placer, SplitterGroups
from dlsort_kernels.memory import empty
from dlsort_kernels.scatter import Spread, rows_of
from dlsort_kernels.source import ArrayWords, WordSource, blocks, scratch_for
from dlsort_kernels.threads import Pool, chunks, pool
from dlsort_kernels.touch_up import copy_rows, pack_runs, put_rows, settle_short, unpack_runs

__all__ = ["NO_RUNS", "Runs", "refine_runs", "sort_source", "sort_words"]

# Rows of a group: with scratch 256 KB, which fit a second-level cache.
GROUP_ROWS = 1 << 14
# More open places in memory than this miss the cache of page addresses: 10 M rows spread
# over 1,024 groups take 18 ms, over 2,048 46.
MOST_GROUPS = 1024
# Sampled words to a group: enough that few groups are twice the size of the mean.
SAMPLED = 8
# Share of the rows that may be in groups too large, or tie in codes that can't tell that
# they are equal, before groups are told by a search among splitters: 2 ns a row more.
REPEATED = 0.1
# Times the mean from which a group is too large.
CROWD = 8
# Words of up to so many bits are counted, if there are so many rows to a value. 2 M rows:
# 8 bits 28 ms by groups, 16 bits the same.
COUNTED_BITS = 16
COUNTED_ROWS = 2
# Rows below which other threads cost more than they bring.
THREAD_ROWS = 1 << 17
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


class Groups(NamedTuple):
    """Packed rows by group, and what their codes are worth.

    Parameters
    ----------
    packed : (n,) uint64
    starts : (groups + 1,) int64
        Group ``g`` is ``packed[starts[g]:starts[g + 1]]``.
    inexact : (groups,) bool
        Whether equal codes may stand for unequal words.
    without : (2,) tuple of int
        Where the rows without a word are, which are in order.
    spread : Spread
        Which group each row is in, and from which place on.
    """

    packed: Words
    starts: Places
    inexact: Mask
    row_bits: int
    without: tuple[int, int]
    spread: Spread


class PlacedWords:
    """Takes a source's words by place instead of row."""

    def __init__(self, source: WordSource, spread_rows: Spread, workers: Pool) -> None:
        self._source = source
        self._rows = rows_of(spread_rows, workers)

    def take(self, places: Rows) -> Words:
        """Return the words of the rows at some places."""
        return self._source.take(gather_fixed(self._rows, places))


def sort_words(words: Words, *, runs: bool = True) -> tuple[Rows, Places, Places]:
    """Return the stable order of the words, and where equal words lie in it.

    Parameters
    ----------
    words : (n,) uint64
        Fewer than 2^32.
    runs : bool
        Whether to look for equal words.

    Returns
    -------
    order : (n,) uint32
        ``words[order]`` is non-decreasing; equal words keep their order.
    starts, ends : (k,) int64
        ``order[starts[r]:ends[r]]`` are the runs of equal words, of two rows or more. None
        are listed if not ``runs``.

    Notes
    -----
    Expected time O(n); memory 8 bytes a row beside the result.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import sort_words
    >>> order, starts, ends = sort_words(np.array([7, 5, 7, 6], dtype=np.uint64))
    >>> order.tolist(), starts.tolist(), ends.tolist()
    ([1, 3, 0, 2], [2], [4])
    """
    order, tied, _ = sort_source(ArrayWords(words), runs=runs)
    return (order.astype(np.uint32, copy=False), *tied)


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
    """
    n = source.n
    kind = np.int64 if wide else np.uint32
    if n == 0:
        none: Any = np.empty(0, kind)
        return none, NO_RUNS, None
    found = _few_runs(source, kind)
    if found is not None:
        return found, _equal_runs(source, found) if runs else NO_RUNS, None
    threads = max(1, min(threads, n // THREAD_ROWS))
    with pool(threads) as workers:
        if source.bits <= COUNTED_BITS and n >= COUNTED_ROWS << source.bits:
            counted, starts = order_by_counting(source, kind, workers, nulls_first=nulls_first)
            if not runs:
                return counted, NO_RUNS, None
            several = np.flatnonzero(np.diff(starts) > 1)
            return counted, Runs(starts[:-1][several], starts[1:][several]), None
        groups = _grouped(source, workers, nulls_first=nulls_first, by_place=by_place)
        order: RowNumbers = groups.packed.view(np.int64) if wide else empty(n, np.uint32)
        n_runs, n_tied = _sort_groups(groups, order, workers, runs=runs)
        takes: WordSource | PlacedWords = source
        if by_place and len(groups.inexact) > 1 and n_runs.any():
            takes = PlacedWords(source, groups.spread, workers)
    tied = _settle(takes, groups, order, n_runs, n_tied, keep=runs)
    spread_rows = groups.spread if len(groups.inexact) > 1 else None
    return order, tied if runs else NO_RUNS, spread_rows


# ---------------------------------------------------------------- groups


def _grouped(source: WordSource, workers: Pool, *, nulls_first: bool, by_place: bool) -> Groups:
    """Bring every row to its group."""
    n = source.n
    row_bits = (n - 1).bit_length()
    code_bits = 64 - row_bits
    parts = chunks(n, workers.threads)
    placer = _placer(source, code_bits)
    n_groups = placer.n_groups
    of_null = n_groups
    counts = np.zeros((len(parts), n_groups + 1), np.int64)
    group = empty(n, np.uint16)

    def count(part: int, bounds: tuple[int, int]) -> tuple[int, int, int]:
        lo, hi, differs = 2**64 - 1, 0, 0
        any_word = None
        scratch = scratch_for(source)
        for start, stop in blocks(source, *bounds):
            words, null = source.block(start, stop, scratch)
            valid = words if null is None else words[~null]
            if len(valid):
                low, high, bits = map(int, spread.word_range(valid, source.flip))
                lo, hi, differs = min(lo, low), max(hi, high), differs | bits
                any_word = low if any_word is None else any_word
                differs |= any_word ^ low
            ids = group[start:stop]
            placer.find(words, source.flip, ids)
            if null is not None:
                spread.set_nulls(ids, null, np.uint16(of_null))
            spread.count_groups(ids, counts[part])
        return lo, hi, differs

    ranges = workers.run(count, range(len(parts)), parts)
    lo, hi = min(r[0] for r in ranges), max(r[1] for r in ranges)
    lo = min(lo, hi)
    lowest, highest = placer.bounds(lo, hi)
    shift = _shifts(lowest, highest, code_bits)
    # Low bits that all words share need no place in a code.
    differs = lo ^ hi
    for r in ranges:
        differs |= r[2] | (r[0] ^ lo if r[0] <= r[1] else 0)
    shared = 64 if not differs else (differs & -differs).bit_length() - 1
    inexact = shift > shared
    lowest, shift = np.append(lowest, np.uint64(0)), np.append(shift, np.uint64(0))

    totals = counts.sum(axis=0)
    n_null = int(totals[n_groups])
    first = n_null if nulls_first else 0
    starts = np.full(n_groups + 1, first, np.int64)
    np.cumsum(totals[:n_groups], out=starts[1:])
    starts[1:] += first
    base = np.append(starts[:-1], 0 if nulls_first else n - n_null)
    # Where each part of the input begins in each group.
    places = base + np.cumsum(counts, axis=0) - counts
    packed = empty(n, np.uint64)

    def place(part: int, bounds: tuple[int, int]) -> None:
        at = places[part].astype(np.uint64)
        bits, placed = np.uint64(row_bits), np.uint64(by_place and n_groups > 1)
        scratch = scratch_for(source)
        for start, stop in blocks(source, *bounds):
            words, _ = source.block(start, stop, scratch)
            row = np.uint64(start)
            if n_groups == 1 and not n_null:
                out = packed[start:stop]
                spread.pack_all(words, source.flip, row, lowest[0], shift[0], bits, out)
                continue
            ids = group[start:stop]
            spread.place_rows(
                words,
                source.flip,
                ids,
                np.uint64(of_null),
                row,
                placed,
                lowest,
                shift,
                bits,
                at,
                packed,
            )

    workers.run(place, range(len(parts)), parts)
    without = (0, n_null) if nulls_first else (n - n_null, n)
    spread_rows = Spread(group, parts, places, counts)
    return Groups(packed, starts, inexact, row_bits, without, spread_rows)


def _placer(source: WordSource, code_bits: int) -> Placer:
    """Return what says which group a word belongs to, by a sample of the words."""
    n_groups = min(MOST_GROUPS, -(-source.n // GROUP_ROWS))
    if n_groups == 1:
        return OneGroup()
    sample = _draw(source, SAMPLED * n_groups)
    found = GroupMap.fit(sample, n_groups, floats=source.floats, turn=source.turn)
    ids = np.empty(len(sample), np.uint16)
    found.find(sample, np.uint64(0), ids)
    lowest, highest = found.bounds(int(sample[0]), int(sample[-1]))
    inexact = _shifts(lowest, highest, code_bits) > 0
    equal = sample[1:] == sample[:-1]
    # Equal words in a group whose codes can't tell that they are; rows in a group so large
    # that it leaves the cache.
    repeated = float((equal & inexact[ids[1:]]).mean())
    sizes = np.bincount(ids, minlength=n_groups)
    alike = np.bincount(ids[1:], weights=equal, minlength=n_groups)
    crowd = (sizes > CROWD * len(sample) / n_groups) & (alike < 0.9 * sizes)
    if repeated < REPEATED and float(sizes[crowd].sum()) < REPEATED * len(sample):
        return found
    if repeated >= REPEATED:
        sample = _draw(source, 4 * SAMPLED * n_groups)
    return SplitterGroups(sample, n_groups)


def _draw(source: WordSource, size: int) -> Words:
    """Return a sorted sample of the words. Drawn at random: strides miss periodic data."""
    rng = np.random.default_rng(source.n)
    rows = rng.integers(0, source.n, max(size, 1024), dtype=np.uint32)
    sample = source.take(rows)
    sample.sort()
    return sample


def _shifts(lowest: Words, highest: Words, code_bits: int) -> Words:
    """Return how many low bits don't fit the codes of each group."""
    spans = (np.maximum(highest, lowest) - lowest).tolist()
    return np.array([_shift(span, code_bits) for span in spans], np.uint64)


def _shift(span: int, code_bits: int) -> int:
    shift = max(0, span.bit_length() - code_bits)
    # Codes are rounded up, so the highest may need a bit more than the span has.
    return shift + (-(-span >> shift) >> code_bits)


def _sort_groups(
    groups: Groups, order: RowNumbers, workers: Pool, *, runs: bool
) -> tuple[Places, Places]:
    """Sort each group; return the runs of tied codes in each, and the rows in them.

    Groups that have some stay packed; the rows of the others are in ``order``.
    """
    n_groups = len(groups.inexact)
    row_bits = np.uint64(groups.row_bits)
    look = np.ones(n_groups, np.bool) if runs else groups.inexact
    least = np.full(n_groups, 0 if runs else 1 << groups.row_bits, np.uint64)
    n_runs, n_tied = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    sizes = np.diff(groups.starts)

    def sort(bounds: tuple[int, int]) -> None:
        first, last = bounds
        radix.sort_groups(
            groups.packed,
            groups.starts,
            first,
            last,
            row_bits,
            look,
            least,
            np.empty(int(sizes[first:last].max(initial=0)), np.uint64),
            np.empty(radix.COUNTS, np.uint32),
            order,
            n_runs,
            n_tied,
        )

    # Several tasks a thread, as groups are uneven.
    workers.run(sort, chunks(n_groups, 1 if workers.threads == 1 else 8 * workers.threads))
    start, stop = groups.without
    if order.dtype == np.uint32:
        order[start:stop] = groups.packed[start:stop]
    return n_runs, n_tied


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
    batch = np.cumsum(n_tied[which]) // TOUCH_UP_ROWS
    found = []
    for some in np.split(which, np.flatnonzero(np.diff(batch)) + 1):
        if len(some):
            exact, unsure = _listed(groups, order, some, n_runs, runs=keep)
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


# ---------------------------------------------------------------- few runs


def _few_runs(source: WordSource, kind: type) -> RowNumbers | None:
    """Return the order of input that is a few runs which are in order, or None."""
    n = source.n
    if n > 1024:
        rng = np.random.default_rng(n)
        at = rng.integers(0, n - natural_runs.WIDTH, natural_runs.WINDOWS, dtype=np.uint32)
        rows: Any = at[:, None] + np.arange(natural_runs.WIDTH, dtype=np.uint32)
        if not natural_runs.worth_a_look(source.take(rows.ravel()).reshape(rows.shape)):
            return None
    starts = np.zeros(natural_runs.MOST_RUNS, np.int64)
    directions = np.zeros(natural_runs.MOST_RUNS, np.int8)
    n_runs, direction = 1, 0
    scratch = scratch_for(source)
    for start, stop in blocks(source, 0, n):
        before = max(start - 1, 0)
        words, null = source.block(before, stop, scratch)
        if null is not None and null.any():
            return None
        n_runs, direction = natural_runs.find_runs(
            words, source.flip, before, n_runs, direction, starts, directions
        )
        if n_runs < 0:
            return None
    return natural_runs.ordered(source, starts[:n_runs], directions[:n_runs], kind)


def _equal_runs(source: WordSource, order: RowNumbers) -> Runs:
    """Return the runs of equal words in a finished order."""
    words = source.take(order.astype(np.uint32, copy=False))
    n_runs = natural_runs.list_equal(words, *NO_RUNS)
    if not n_runs:
        return NO_RUNS
    tied = Runs(np.empty(n_runs, np.int64), np.empty(n_runs, np.int64))
    natural_runs.list_equal(words, *tied)
    return tied


# ---------------------------------------------------------------- touch-up


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
    filled = np.cumsum(lengths[medium]) // BATCH
    cuts = np.flatnonzero(np.diff(filled)) + 1
    for first, last in zip([0, *cuts], [*cuts, len(starts)], strict=True):
        if first < last:
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
