"""Eight and sixteen bytes at once, at any address: what NumPy indexing cannot say.

Variable-length values start anywhere, so a loop over them in numba goes byte by byte;
whole words at odd addresses make the same loop about three times as fast. Each function
has a plain Python body, which runs under ``NUMBA_DISABLE_JIT=1`` and states what the
instructions do that the compiler puts in its place. None of them checks a bound: the
caller does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["copy16", "load8", "prefetch", "store8"]

Bytes = npt.NDArray[np.uint8]
Index = int | np.int64 | np.uint64


def load8(data: Bytes, at: Index) -> np.uint64:
    """Return bytes ``data[at:at + 8]`` as a word in the machine's byte order.

    Examples
    --------
    >>> import numpy as np
    >>> int(load8(np.full(9, 1, dtype=np.uint8), 1)) == 0x0101_0101_0101_0101
    True
    """
    return np.frombuffer(data[at : at + 8].tobytes(), np.uint64)[0]


def store8(out: Bytes, to: Index, word: np.uint64) -> None:
    """Write a word in the machine's byte order to ``out[to:to + 8]``.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.zeros(10, np.uint8)
    >>> store8(out, 1, load8(np.arange(8, dtype=np.uint8), 0))
    >>> out.tolist()
    [0, 0, 1, 2, 3, 4, 5, 6, 7, 0]
    """
    out[to : to + 8] = np.frombuffer(np.uint64(word).tobytes(), np.uint8)


def copy16(out: Bytes, to: Index, data: Bytes, at: Index) -> None:
    """Copy bytes ``data[at:at + 16]`` to ``out[to:to + 16]``.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.zeros(20, np.uint8)
    >>> copy16(out, 1, np.arange(100, 120, dtype=np.uint8), 3)
    >>> out[:4].tolist()
    [0, 103, 104, 105]
    """
    out[to : to + 16] = data[at : at + 16]


def prefetch(data: npt.NDArray[Any], at: Index) -> None:
    """Ask for the cache line of ``data[at]``; nothing is read, so any index will do."""
