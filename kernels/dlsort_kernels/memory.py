"""Memory for large arrays, from whoever keeps some at hand.

NumPy gives the memory of a large array back to the system at once, and the next one pays
for every page again: 80 MB take 10 ms to write the first time on a quiet machine and 170 on
a virtual one whose host has to find the pages, but 3 from an allocator that kept them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["empty", "use_allocator"]

# Arrays below this size are NumPy's: it has no cost a page to spare there.
LARGE_BYTES = 1 << 20

_allocate: Callable[[int], npt.NDArray[np.uint8]] | None = None


def use_allocator(allocate: Callable[[int], npt.NDArray[np.uint8]] | None) -> None:
    """Let large arrays be made from what ``allocate(n_bytes)`` returns; None for NumPy's own.

    Parameters
    ----------
    allocate : callable or None
        Returns (n_bytes,) uint8, writable and aligned to 64 bytes.
    """
    global _allocate
    _allocate = allocate


def empty(n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return (n,) values of a dtype without Python objects, not set to anything.

    Examples
    --------
    >>> import numpy as np
    >>> empty(3, np.uint32).shape
    (3,)
    """
    kind = np.dtype(dtype)
    n_bytes = n * kind.itemsize
    if _allocate is None or n_bytes < LARGE_BYTES:
        return np.empty(n, kind)
    return _allocate(n_bytes).view(kind)
