"""What makes a function a kernel: compiled ahead, loaded when it is first called.

A kernel is compiled for the array types it declares and no others, so no sort ever waits
for a compiler in its midst, and a call with an unexpected dtype is a ``TypeError`` rather
than a slow surprise. The compiler itself is a matter of :mod:`dlsort_kernels.build`, which
runs in processes of its own; where the machine code lies, of :mod:`dlsort_kernels.objects`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dlsort_kernels.declare import KERNELS, Declared
from dlsort_kernels.kernel_types import Signature

__all__ = ["compiled", "kernel", "warm"]

F = TypeVar("F", bound=Callable[..., Any])

# Plain functions give the same results, and a debugger sees into them.
PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def kernel(*signatures: Signature) -> Callable[[F], F]:
    """Make a function a kernel.

    With ``NUMBA_DISABLE_JIT=1`` the plain function runs and gives the same results.

    Parameters
    ----------
    *signatures : Signature
        For example ``types.int64(types.reads(types.uint64), types.writes(types.uint32))``.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: F) -> F:
        if PLAIN:
            return _plain(function)
        KERNELS.append(Declared(function, signatures))
        return cast(F, _Kernel(KERNELS[-1]))

    return decorate


class _Kernel:
    """A compiled function, which its first call loads."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._call = self._load
        functools.update_wrapper(self, declared.function)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def _load(self, *arguments: Any) -> Any:
        from dlsort_kernels import objects  # LLVM takes 50 ms, and a job may need no kernel

        self._call = objects.entry(self._declared)
        return self._call(*arguments)


def compiled() -> int:
    """Return how many kernels were compiled for this process; 0 if all were there.

    Examples
    --------
    >>> from dlsort_kernels import compiled
    >>> compiled() >= 0
    True
    """
    from dlsort_kernels import objects

    return objects.n_compiled


def warm() -> Path | None:
    """Compile the kernels unless they are compiled, so that no job waits for it.

    Returns
    -------
    Path or None
        The folder that they are in; None where no folder can be written, so that each
        process compiles what it needs.
    """
    from dlsort_kernels import objects

    return objects.warm(__name__.partition(".")[0])


def _plain(function: F) -> F:
    """Return the uncompiled function, with arithmetic that wraps round in silence."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return cast(F, run)
