"""A stable argsort of words, and of the ties it leaves by their next words.

Method
------
A code and a row number are packed into one integer, ``code << row_bits | row``, which
NumPy's SIMD sort orders in place: no two are equal, so the order is stable. The code is
``(word - lowest) >> shift``, or, where that would tie too often, the word's place on a
learned curve (`learned`). Then the touch-up: rows whose codes tie are sorted by the bits
that their codes left out. A tied run's words span at most ``2**shift``, so each round
has fewer bits to settle: there are never more than a few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlsort_kernels import pack
from dlsort_kernels.arrays import Places, Rows, Words
from dlsort_kernels.group import group_rows
from dlsort_kernels.learned import draw, fit_curve, pack_learned, worth_learning
from dlsort_kernels.touch_up import copy_rows, pack_runs, settle_short, unpack_runs

__all__ = ["NO_RUNS", "Runs", "refine_runs", "sort_words"]

# Width of a range up to which counting is quicker: 13 ms against 33 for 4 M rows and two
# values, 17 against 32 for 4,096. Far beyond, its scattered writes miss the cache.
FEW_VALUES = 1 << 13
# Rows below which ties cost less than looking for them.
LEARN_FROM = 1 << 18
# Longest run sorted by insertion; longer ones are packed.
SHORT = 16
# Longest run packed together with others; longer ones are sorted as arrays of their own.
LONG_BITS = 16
# Rows packed at once: they and their words stay in the second-level cache.
BATCH = 1 << 17


class Runs(NamedTuple):
    """Runs of tied rows: ``order[starts[r]:ends[r]]`` for each ``r``, in order."""

    starts: Places
    ends: Places


NO_RUNS = Runs(np.empty(0, np.int64), np.empty(0, np.int64))


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
    Time O(n log n) at the speed of NumPy's sort of integers; memory 8 bytes a row beside
    the result.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import sort_words
    >>> order, starts, ends = sort_words(np.array([7, 5, 7, 6], dtype=np.uint64))
    >>> order.tolist(), starts.tolist(), ends.tolist()
    ([1, 3, 0, 2], [2], [4])
    """
    order, tied = _sort_words(words, runs=runs)
    return (order, *tied) if runs else (order, *NO_RUNS)


def _sort_words(words: Words, *, runs: bool) -> tuple[Rows, Runs]:
    n = len(words)
    if n == 0:
        return np.empty(0, np.uint32), NO_RUNS
    found, lowest, highest = pack.scan(words)
    if found == pack.SORTED:
        return np.arange(n, dtype=np.uint32), _equal_runs(words) if runs else NO_RUNS
    if found == pack.REVERSED:
        return np.arange(n - 1, -1, -1, dtype=np.uint32), NO_RUNS

    span = int(highest) - int(lowest)
    if span < FEW_VALUES and n > 4 * span:
        return _sort_few(words, lowest, span)

    row_bits = (n - 1).bit_length()
    code_bits = 64 - row_bits
    shift = max(0, span.bit_length() - code_bits)
    packed = np.empty(n, np.uint64)
    sample = draw(words) if shift and n >= LEARN_FROM else None
    learned = sample is not None and worth_learning(sample, n, shift)
    if sample is not None and learned:
        curve = fit_curve(sample, int(lowest), int(highest), code_bits)
        pack_learned(words, curve, row_bits, packed)
    else:
        pack.pack(words, np.uint64(lowest), np.uint64(shift), np.uint64(row_bits), packed)
    packed.sort()
    order = np.empty(n, np.uint32)
    n_runs, n_tied = (int(count) for count in pack.unpack(packed, np.uint64(row_bits), order))
    if not n_runs or not (shift or runs):
        return order, NO_RUNS

    starts, ends = np.empty(n_runs + 1, np.int64), np.empty(n_runs + 1, np.int64)
    inexact = np.empty(n_runs + 1, np.bool)
    pack.list_ties(packed, np.uint64(row_bits), starts, ends, inexact)
    tied, inexact = Runs(starts[:-1], ends[:-1]), inexact[:-1]
    if not shift:
        return order, tied
    # The packed codes are done with: their memory can serve the words.
    if not learned:
        return order, _touch_up(order, tied, n_tied, words, packed)
    exact = Runs(tied.starts[~inexact], tied.ends[~inexact])
    rest = Runs(tied.starts[inexact], tied.ends[inexact])
    n_rest = int((rest.ends - rest.starts).sum())
    return order, _joined([exact, _touch_up(order, rest, n_rest, words, packed)])


def _sort_few(words: Words, lowest: np.uint64, span: int) -> tuple[Rows, Runs]:
    """Sort words of a narrow range by counting."""
    order, starts = group_rows((words - lowest).astype(np.uint32), span + 1)
    tied = np.diff(starts) > 1
    return order, Runs(starts[:-1][tied], starts[1:][tied])


def _equal_runs(words: Words) -> Runs:
    """Return the runs of equal words among sorted ones."""
    n_runs = pack.list_equal(words, *NO_RUNS)
    if not n_runs:
        return NO_RUNS
    tied = Runs(np.empty(n_runs, np.int64), np.empty(n_runs, np.int64))
    pack.list_equal(words, *tied)
    return tied


def _touch_up(order: Rows, tied: Runs, n_tied: int, words: Words, scratch: Words) -> Runs:
    """Sort rows whose codes tie by their words; return the runs of equal words."""
    if 2 * n_tied > len(order):
        # Taking all words in one flat loop is quicker than run by run.
        pack.take_words(words, order, scratch)
        return refine_runs(order, tied, tied.starts, scratch)
    rows = np.empty(n_tied, np.uint32)
    copy_rows(order, *tied, rows)
    next_words = scratch[:n_tied]
    pack.take_words(words, rows, next_words)
    lengths = tied.ends - tied.starts
    return refine_runs(order, tied, np.cumsum(lengths) - lengths, next_words)


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
        suborder, tied = _sort_words(words[base : base + end - start], runs=True)
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
    packed.sort()
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
