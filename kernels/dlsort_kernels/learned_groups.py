"""Rows spread over learned groups of the order, and each group sorted in the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlsort_kernels import radix, spread
from dlsort_kernels.arrays import Mask, Places, RowNumbers, Words
from dlsort_kernels.learned import GroupMap, OneGroup, Placer, SplitterGroups
from dlsort_kernels.memory import empty
from dlsort_kernels.scatter import Spread
from dlsort_kernels.threads import Pool, chunks
from dlsort_kernels.word_source import WordSource, blocks, scratch_for

__all__ = ["Groups", "sort_groups", "spread_words"]

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
    row_bits : int
        Low bits of a packed row that are its number, or its place.
    spread : Spread or None
        Which group each row is in, and from which place on; None if there is one group.
    """

    packed: Words
    starts: Places
    inexact: Mask
    row_bits: int
    without: tuple[int, int]
    spread: Spread | None


def spread_words(
    source: WordSource, workers: Pool, *, nulls_first: bool, by_place: bool
) -> Groups:
    """Bring every row to its group.

    Parameters
    ----------
    source : WordSource
        One row at the least.
    workers : Pool
        Threads, each of which gets a part of the rows.
    nulls_first : bool
        Where the rows without a word go.
    by_place : bool
        Pack a row's place instead of its number, if there are several groups.
    """
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
    spread_rows = Spread(group, parts, places, counts) if n_groups > 1 else None
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


def sort_groups(
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
