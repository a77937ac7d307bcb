"""Where the words of a sort come from: an array, or what is made of one block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from dlsort_kernels.arrays import Mask, Rows, Words
from dlsort_kernels.gather_fixed_width import gather_fixed

__all__ = ["ArrayWords", "WordSource", "blocks", "scratch_for"]


class WordSource(Protocol):
    """The words of ``n`` rows, which need not be in memory at once.

    Attributes
    ----------
    n : int
        Rows.
    flip : uint64
        A row's word is ``block ^ flip``: so that an array can be sorted where it lies.
    floats : bool
        Words are those of float64 values, turned by ``turn``.
    turn : uint64
        All ones if the words are those of descending order.
    bits : int
        Width of the values beneath. Up to 32, ``block ^ low_flip`` has them in order in
        its lowest bits.
    low_flip : uint64
        As ``flip``, for those bits.
    row_bytes : float
        What a row takes in memory, in what the words are made of.
    block_rows : int
        Rows to ask for at once: words that are made should stay in the cache.
    """

    n: int
    flip: np.uint64
    floats: bool
    turn: np.uint64
    bits: int
    low_flip: np.uint64
    row_bytes: float
    block_rows: int

    def block(self, start: int, stop: int, scratch: Words) -> tuple[Words, Mask | None]:
        """Return the words of some rows, before ``flip``, and which rows have none.

        ``scratch``, from :func:`scratch_for`, may hold them until the next call with it.
        """
        ...

    def take(self, rows: Rows) -> Words:
        """Return the words of rows by number, after ``flip``; of a row without, anything."""
        ...


class ArrayWords:
    """Words that lie in memory."""

    def __init__(self, words: Words, flip: np.uint64 | None = None) -> None:
        self.words = words
        self.n = len(words)
        self.flip = np.uint64(0) if flip is None else flip
        self.floats = False
        self.turn = np.uint64(0)
        self.bits = 64
        self.low_flip = self.flip
        self.row_bytes = 8.0
        self.block_rows = max(self.n, 1)

    def block(self, start: int, stop: int, scratch: Words) -> tuple[Words, Mask | None]:
        """Return the words of some rows."""
        return self.words[start:stop], None

    def take(self, rows: Rows) -> Words:
        """Return the words of rows by number."""
        out = gather_fixed(self.words, rows)
        if self.flip:
            out ^= self.flip
        return out


def scratch_for(source: WordSource) -> Words:
    """Return room for the words of a block, and one more row.

    It is not touched where words lie in memory; elsewhere it saves 1 ns a row for fresh
    memory in each block.
    """
    return np.empty(min(source.block_rows, source.n) + 1, np.uint64)


def blocks(source: WordSource, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Give the bounds of the blocks of some rows."""
    for first in range(start, stop, source.block_rows):
        yield first, min(first + source.block_rows, stop)
