"""How many bytes a column would take in each encoding, from a sample of its rows.

The sample is some runs of neighbouring rows, so that both what repeats anywhere in the part
and what its order brings together shows. All functions here see valid values only, and return
bytes a value.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = [
    "Numbers",
    "Runs",
    "TextSizes",
    "changes_of",
    "compressed_bytes",
    "delta_bytes",
    "distinct_values",
    "index_bytes",
    "split_bytes",
    "text_sizes",
]

Numbers = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

MINIBLOCK = 32  # deltas that share a bit width; four make a block, which has one least delta
BLOCK_HEADER_BYTES = 5 / 128  # four bit widths and a short least delta
RUN_HEADER_BYTES = 1.5
LENGTH_BYTES = 4


class Runs:
    """Which run of neighbouring rows each sampled row comes from.

    Parameters
    ----------
    number : (m,) int32
        Ascending, from 0 on. A run has at most 129 rows, whose differences make one block of
        DELTA_BINARY_PACKED.
    """

    def __init__(self, number: npt.NDArray[np.int32]) -> None:
        self.number = number

    def __len__(self) -> int:
        return len(self.number)

    @cached_property
    def inside(self) -> Numbers:
        """Rows that the next row of the same run follows."""
        return np.flatnonzero(self.number[1:] == self.number[:-1])

    @cached_property
    def blocks(self) -> tuple[Numbers, Numbers]:
        """Where the differences of each run begin among those of all, and their number."""
        return _groups(self.number[self.inside])

    @cached_property
    def miniblocks(self) -> tuple[Numbers, Numbers]:
        """The same for the parts of a run that have a bit width of their own."""
        starts, lengths = self.blocks
        place = np.arange(len(self.inside)) - np.repeat(starts, lengths)
        return _groups(self.number[self.inside] * MINIBLOCK + place // MINIBLOCK)


def _groups(number: Numbers) -> tuple[Numbers, Numbers]:
    """Return where each group of equal neighbours begins, and its length."""
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return starts, np.diff(starts, append=len(number))


class TextSizes(NamedTuple):
    """Bytes a value of text in each encoding, compressed.

    Parameters
    ----------
    plain, delta_length, delta : float
        As PLAIN, DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY.
    ratio : float
        Compressed over raw size of the letters alone.
    """

    plain: float
    delta_length: float
    delta: float
    ratio: float


def compressed_bytes(values: Numbers, codec: pa.Codec | None) -> int:
    """Return the compressed size of an array's bytes, or their number if that is less."""
    if codec is None or not values.nbytes:
        return int(values.nbytes)
    packed = codec.compress(pa.py_buffer(np.ascontiguousarray(values)))
    return min(int(values.nbytes), packed.size)


def distinct_values(code: Numbers, changes: float, runs: Runs, n_values: float) -> float:
    """Return about how many different values there are among ``n_values``.

    Parameters
    ----------
    code : (m,) integer
        The number of each sampled value, from 0 on without a gap.
    changes : float
        The share of them that differ from the one before.
    runs : Runs
        Where the sampled values come from.
    n_values : float
        Values of the column chunk that the sample stands for, at least m.

    Notes
    -----
    A sample of half the runs, or a quarter, would have met so and so many of the values: those
    that come in k runs with the chance 1 − 2^−k, or 1 − (3/4)^k. So it is known by which share
    x their number grew when the sample was doubled, and y the time before. If all values are
    equally frequent x is y², if their frequencies follow a power law it is y; whatever lies
    between goes on alike, doubling by doubling. Values that order has brought together come in
    one run each and grow with the rows; each differs from the row before it, which bounds them.

    Examples
    --------
    >>> runs = Runs(np.repeat(np.arange(4, dtype=np.int32), 8))
    >>> round(distinct_values(np.arange(32) % 8, 1.0, runs, 1024)), "everywhere"
    (8, 'everywhere')
    >>> round(distinct_values(np.arange(32), 1.0, runs, 1024)), "never again"
    (1024, 'never again')
    """
    n_distinct, n_runs = int(code.max()) + 1, int(runs.number[-1]) + 1
    met = np.zeros((n_runs, n_distinct), np.uint8)
    met[runs.number, code] = 1
    values = np.bincount(np.add.reduce(met, axis=0, dtype=np.uint32), minlength=n_runs + 1)
    k = np.arange(len(values))
    halved = n_distinct - values @ 0.5**k
    quartered = n_distinct - values @ 0.75**k
    growth, before = float(n_distinct / halved - 1), float(halved / quartered - 1)
    power = 1.0
    if growth < 1 and before < 1:
        power = float(np.clip(np.log(growth) / np.log(before), 1.0, 2.0))
    estimate, doublings = float(n_distinct), float(np.log2(n_values / len(code)))
    while doublings > 0:
        growth = min(growth, 1.0) ** power
        estimate *= (1 + growth) ** min(doublings, 1.0)
        doublings -= 1
    return max(float(n_distinct), min(estimate, 1 + changes * n_values))


def changes_of(code: Numbers, runs: Runs) -> float:
    """Return the share of rows that differ from the one before."""
    differs = code[1:] != code[:-1]
    return float(np.count_nonzero(differs[runs.inside]) / len(runs.inside))


def index_bytes(n_distinct: float, changes: float) -> float:
    """Return the bytes a value of a dictionary's indices, bit-packed or as runs of one value.

    Examples
    --------
    >>> index_bytes(200, changes=0.9), index_bytes(200, changes=0.01)
    (1.0, 0.025)
    """
    packed = np.ceil(np.log2(round(n_distinct))) / 8
    return float(min(packed, changes * (packed + RUN_HEADER_BYTES)))


def delta_bytes(values: Numbers, runs: Runs) -> float:
    """Return the bytes a value of DELTA_BINARY_PACKED, not compressed.

    Parameters
    ----------
    values : (m,) int32 or int64
    runs : Runs

    Examples
    --------
    >>> delta_bytes(np.arange(0, 516, 4), Runs(np.zeros(129, np.int32))) == BLOCK_HEADER_BYTES
    True
    """
    # differences wrap round, as those of the encoding do
    delta = np.diff(values.astype(np.int64, copy=False))[runs.inside]
    starts, lengths = runs.blocks
    least = np.repeat(np.minimum.reduceat(delta, starts), lengths)
    above = delta.view(np.uint64) - least.view(np.uint64)
    starts, lengths = runs.miniblocks
    _, n_bits = np.frexp(np.maximum.reduceat(above, starts).astype(np.float64))
    bits = np.minimum(n_bits, 8 * values.itemsize) @ lengths
    return float(bits) / 8 / len(delta) + BLOCK_HEADER_BYTES


def split_bytes(values: Numbers, codec: pa.Codec | None) -> float:
    """Return the bytes a value of BYTE_STREAM_SPLIT, compressed."""
    streams = values.view(np.uint8).reshape(len(values), -1).T
    return compressed_bytes(streams, codec) / len(values)


def text_sizes(
    offsets: Numbers, data: Bytes, runs: Runs, codec: pa.Codec | None, most_letters: int
) -> TextSizes:
    """Return the bytes a value of text in each of its encodings.

    Parameters
    ----------
    offsets : (m + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``; only its first bytes are read.
    data : (b,) uint8
    runs : Runs
    codec : pyarrow.Codec or None
        What compresses the pages.
    most_letters : int
        Bytes of each value that are read; the others count as compressed as these.
    """
    n, lengths = len(offsets) - 1, np.diff(offsets)
    # one place more than letters: where even equal texts end
    place = np.arange(min(most_letters, int(lengths.max())) + 1, dtype=offsets.dtype)
    within = place < np.minimum(lengths, place[-1])[:, None]
    text = data[(offsets[:-1, None] + place)[within]]
    letters = np.zeros(within.shape, np.uint8)
    letters[within] = text
    same = (letters[1:] == letters[:-1]) & within[1:] & within[:-1]
    shared = np.zeros(n, lengths.dtype)
    shared[1:] = np.argmin(same, axis=1)
    suffixes = letters[within & (place >= shared[:, None])]
    prefixed = lengths.astype("<u4").view(np.uint8).reshape(n, LENGTH_BYTES)
    written = np.concatenate([np.ones(prefixed.shape, np.bool_), within], axis=1)
    plain = np.concatenate([prefixed, letters], axis=1)[written]
    alone = compressed_bytes(text, codec)
    ratio = alone / max(1, len(text))
    rest = (int(lengths.sum()) - len(text)) * ratio
    return TextSizes(
        (compressed_bytes(plain, codec) + rest) / n,
        (alone + rest) / n + delta_bytes(lengths, runs),
        (compressed_bytes(suffixes, codec) + rest) / n
        + delta_bytes(shared, runs)
        + delta_bytes(lengths - shared, runs),
        ratio,
    )
