"""Several threads over one list of tasks: kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["Pool", "chunks", "pool"]


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


@contextmanager
def pool(threads: int) -> Iterator[Pool]:
    """Give a pool of threads, which end with the block."""
    if threads <= 1:
        yield Pool(1, None)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="dlsort") as executor:
        yield Pool(threads, executor)


def chunks(n: int, count: int) -> list[tuple[int, int]]:
    """Return the bounds of up to ``count`` even chunks of ``n`` rows.

    Examples
    --------
    >>> chunks(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    edges = [int(edge) for edge in np.linspace(0, n, max(1, min(count, n)) + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
