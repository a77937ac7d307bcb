"""Words that are handed out a few rows at a time, and the order that a sort must find."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import ArrayWords, sort_source
from patterns import MOST, Words

Places = npt.NDArray[np.int64]


class SomeWords:
    """The words of rows, some of which have none; a block holds until the next one."""

    def __init__(
        self,
        words: Words,
        *,
        null: npt.NDArray[np.bool] | None = None,
        flip: int = 0,
        floats: bool = False,
        turn: int = 0,
        block_rows: int = 1000,
    ) -> None:
        self.words = words
        self.null = null
        self.n = len(words)
        self.flip = np.uint64(flip)
        self.floats = floats
        self.turn = np.uint64(turn)
        self.block_rows = block_rows
        self.bits = 64
        self.low_flip = self.flip
        self.row_bytes = 8.0

    def block(
        self, start: int, stop: int, scratch: Words
    ) -> tuple[Words, npt.NDArray[np.bool] | None]:
        scratch[:] = 0xBAD
        words = scratch[: stop - start]
        words[:] = self.words[start:stop] ^ self.flip
        if self.null is None or not self.null[start:stop].any():
            return words, None
        return words, self.null[start:stop]

    def take(self, rows: npt.NDArray[np.uint32]) -> Words:
        return self.words[rows]


def tied_runs(words: npt.NDArray) -> tuple[list[int], list[int]]:
    """Return where runs of two or more equal words start and end among sorted ones."""
    same = np.concatenate([[False], words[1:] == words[:-1], [False]])
    edge = np.diff(same.astype(int))
    return np.flatnonzero(edge == 1).tolist(), (np.flatnonzero(edge == -1) + 1).tolist()


def expected(source: SomeWords, *, nulls_first: bool) -> tuple[Places, tuple[list, list]]:
    """Return the stable order, and the runs of equal words; rows without one are equal."""
    null = np.zeros(source.n, np.bool) if source.null is None else source.null
    end = ~null if nulls_first else null
    order = np.lexsort((np.where(null, np.uint64(MOST), source.words), end))
    _, ranks = np.unique(source.words, return_inverse=True)
    return order, tied_runs(np.where(null, -1, ranks)[order])


def sort_words(words: Words, *, runs: bool = True) -> tuple[np.ndarray, ...]:
    """Return the stable order of words in memory, and where runs of equal ones are."""
    order, tied, _ = sort_source(ArrayWords(words), runs=runs)
    return order, *tied
