"""Touch-up: sorting many runs of rows at once by their next words."""

from __future__ import annotations

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Places, RowNumbers, Rows, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["copy_rows", "pack_runs", "put_rows", "settle_short", "unpack_runs"]

U0 = np.uint64(0)
U1 = np.uint64(1)
U64 = np.uint64(64)

_RUNS = (reads(types.int64), reads(types.int64), reads(types.int64))
_LISTS = (writes(types.int64), writes(types.int64), writes(types.int64))


@kernel(
    types.UniTuple(types.int64, 2)(
        writes(types.uint32),
        *_RUNS,
        reads(types.uint64),
        types.int64,
        writes(types.uint64),
        writes(types.int64),
        writes(types.int64),
        writes(types.int64),
    )
)
def settle_short(
    order: Rows,
    starts: Places,
    ends: Places,
    bases: Places,
    words: Words,
    short: int,
    held: Words,
    out_starts: Places,
    out_ends: Places,
    left: Places,
) -> tuple[int, int]:
    """Sort the runs of up to ``short`` rows, and list what is left to do.

    Run ``r``'s words are ``words[bases[r]:]``. Writes the runs that are still tied, and
    the numbers of runs too long to do here; returns how many of each. A long run that
    needs no sorting is done here too.
    """
    n_out = 0
    n_left = 0
    for run in range(len(starts)):
        start = starts[run]
        n = ends[run] - start
        base = bases[run]
        first = words[base]
        if n == 2:
            second = words[base + 1]
            if second < first:
                row = order[start]
                order[start] = order[start + 1]
                order[start + 1] = row
            elif second == first:
                out_starts[n_out] = start
                out_ends[n_out] = start + 2
                n_out += 1
            continue
        i = 1
        while i < n and words[base + i] == first:
            i += 1
        if i == n:
            out_starts[n_out] = start
            out_ends[n_out] = start + n
            n_out += 1
            continue
        if n > short:
            left[n_left] = run
            n_left += 1
            continue
        for i in range(n):
            word = words[base + i]
            row = order[start + i]
            j = i
            while j > 0 and held[j - 1] > word:
                held[j] = held[j - 1]
                order[start + j] = order[start + j - 1]
                j -= 1
            held[j] = word
            order[start + j] = row
        i = 1
        while i < n:
            if held[i] != held[i - 1]:
                i += 1
                continue
            out_starts[n_out] = start + i - 1
            while i < n and held[i] == held[i - 1]:
                i += 1
            out_ends[n_out] = start + i
            n_out += 1
    return n_out, n_left


@kernel(
    types.uint64(
        *_RUNS,
        reads(types.uint64),
        types.uint64,
        writes(types.uint64),
        writes(types.uint64),
        writes(types.uint64),
    )
)
def pack_runs(
    starts: Places,
    ends: Places,
    bases: Places,
    words: Words,
    at_bits: np.uint64,
    lows: Words,
    spans: Words,
    packed: Words,
) -> np.uint64:
    """Pack (run, code of the word, place in the run) for runs that lie one after another.

    The codes of a run are ``(word - lowest) >> shift``, after the codes of the run before;
    the shift is the least that makes room for all. Returns the shift.
    """
    n_runs = len(starts)
    widest = U0
    for run in range(n_runs):
        base = bases[run]
        lo = words[base]
        hi = lo
        for i in range(base, base + ends[run] - starts[run]):
            lo = min(lo, words[i])
            hi = max(hi, words[i])
        lows[run] = lo
        spans[run] = hi - lo
        widest = max(widest, hi - lo)
    code_bits = U64 - at_bits
    room = U1 << code_bits
    shift = U0
    while (widest >> shift) >= room:
        shift += U1
    while True:
        total = U0
        for run in range(n_runs):
            total += (spans[run] >> shift) + U1
            if total > room:
                break
        if total <= room:
            break
        shift += U1
    at = 0
    code_base = U0
    for run in range(n_runs):
        base = bases[run]
        lo = lows[run]
        for i in range(ends[run] - starts[run]):
            code = code_base + ((words[base + i] - lo) >> shift)
            packed[at] = (code << at_bits) | np.uint64(i)
            at += 1
        code_base += (spans[run] >> shift) + U1
    return shift


@kernel(
    types.int64(
        writes(types.uint32),
        *_RUNS,
        reads(types.uint64),
        types.uint64,
        reads(types.uint64),
        writes(types.uint32),
        writes(types.uint64),
        *_LISTS,
    )
)
def unpack_runs(
    order: Rows,
    starts: Places,
    ends: Places,
    bases: Places,
    words: Words,
    at_bits: np.uint64,
    packed: Words,
    rows: Rows,
    sorted_words: Words,
    out_starts: Places,
    out_ends: Places,
    out_bases: Places,
) -> int:
    """Put the rows of sorted ``packed`` runs in place; list the runs whose codes tie.

    ``rows`` is scratch for the longest run. ``sorted_words`` takes the words in their new
    places, and ``out_bases`` says where in it a listed run lies. Returns their number.
    """
    mask = (U1 << at_bits) - U1
    n_out = 0
    at = 0
    for run in range(len(starts)):
        start = starts[run]
        n = ends[run] - start
        base = bases[run]
        for i in range(n):
            rows[i] = order[start + i]
        tied = False
        for i in range(n):
            place = packed[at + i] & mask
            order[start + i] = rows[place]
            sorted_words[at + i] = words[np.uint64(base) + place]
            ties = i > 0 and (packed[at + i] ^ packed[at + i - 1]) <= mask
            if ties and not tied:
                out_starts[n_out] = start + i - 1
                out_bases[n_out] = at + i - 1
            if tied and not ties:
                out_ends[n_out] = start + i
                n_out += 1
            tied = ties
        if tied:
            out_ends[n_out] = start + n
            n_out += 1
        at += n
    return n_out


@kernel(
    *(
        types.void(reads(row), reads(types.int64), reads(types.int64), writes(types.uint32))
        for row in (types.uint32, types.int64)
    )
)
def copy_rows(order: RowNumbers, starts: Places, ends: Places, out: Rows) -> None:
    """Write the rows of all runs, run after run."""
    at = 0
    for run in range(len(starts)):
        for i in range(starts[run], ends[run]):
            out[at] = order[i]
            at += 1


@kernel(
    *(
        types.void(writes(row), reads(types.int64), reads(types.int64), reads(types.uint32))
        for row in (types.uint32, types.int64)
    )
)
def put_rows(order: RowNumbers, starts: Places, ends: Places, rows: Rows) -> None:
    """Write rows that stand run after run back to their runs."""
    at = 0
    for run in range(len(starts)):
        for i in range(starts[run], ends[run]):
            order[i] = rows[at]
            at += 1
