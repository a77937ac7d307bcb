"""Several threads over one list of tasks: kernels release the GIL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SERIAL", "Pool", "batches", "chunks", "pool", "threads_for"]

# Rows below which other threads cost more than they bring.
THREAD_ROWS = 1 << 17


class Pool:
    """Runs tasks on some threads, or at once where there is one."""

    def __init__(self, threads: int, executor: ThreadPoolExecutor | None) -> None:
        self.threads = threads
        self._executor = executor

    def run(self, task: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Return what the task gives for each set of arguments, in their order."""
        if self._executor is None:
            return [task(*each) for each in zip(*arguments, strict=True)]
        return list(self._executor.map(task, *arguments))


SERIAL = Pool(1, None)


@contextmanager
def pool(threads: int) -> Iterator[Pool]:
    """Give a pool of threads, which end with the block."""
    if threads <= 1:
        yield SERIAL
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="dlsort") as executor:
        yield Pool(threads, executor)


def chunks(n: int, count: int, *, step: int = 1) -> list[tuple[int, int]]:
    """Return the bounds of up to ``count`` even chunks of ``n`` rows.

    All but the last edge are multiples of ``step``.

    Examples
    --------
    >>> chunks(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    >>> chunks(20, 2, step=8)
    [(0, 8), (8, 20)]
    """
    count = max(1, min(count, n))
    edges = [n * i // count // step * step for i in range(count)]
    return list(zip(edges, [*edges[1:], n], strict=True))


def batches(sizes: npt.NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    """Return the bounds of batches of sizes, in order, that add up to about ``most`` each.

    Examples
    --------
    >>> import numpy as np
    >>> batches(np.array([2, 2, 9, 1]), 4)
    [(0, 1), (1, 2), (2, 4)]
    """
    if not len(sizes):
        return []
    filled = np.cumsum(sizes) // most
    edges = [0, *(np.flatnonzero(np.diff(filled)) + 1).tolist(), len(sizes)]
    return list(itertools.pairwise(edges))


def threads_for(n_rows: int, threads: int) -> int:
    """Return how many of some threads so many rows keep busy; one at the least."""
    return max(1, min(threads, n_rows // THREAD_ROWS))
