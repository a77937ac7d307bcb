"""The whole JIT policy: how a kernel is compiled, cached and loaded.

A kernel is compiled when its module is imported, for the array types it declares and no
others. So no sort ever waits for a compiler, and a call with an unexpected dtype is a
``TypeError`` rather than a slow surprise. One that is in the cache is loaded when it is first
called: all of them take 0.8 s, and a process calls a third.

Signatures name their arrays by what the kernel does with them: ``reads(uint64)`` takes
any aligned C-contiguous array, read-only ones too (Arrow buffers are read-only), and
``writes(uint64)`` a writable one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import filelock
import numba
import numpy as np
from numba import types
from numba.core.registry import cpu_target

__all__ = ["compile_apart", "compiled", "inlined", "kernel", "loading", "reads", "writes"]

F = TypeVar("F", bound=Callable[..., Any])

# What NUMBA_* environment variables say. numba adds its attributes as it reads them.
config: Any = numba.core.config

# Every kernel of this process, for `compiled`.
_kernels: list[Any] = []

# Packages of which the cache has every kernel.
_filled: set[str] = set()
_one_at_a_time = threading.Lock()

# Without any logging set up, Python writes a warning's text to standard error, and no more.
_log = logging.getLogger("dlsort")

# Names the cache that a process is to fill, for another that holds its lock.
_TO_FILL = "DLSORT_KERNELS_TO_FILL"
# A minute on an idle machine.
_COMPILING_S = 1800.0


def reads(dtype: Any, ndim: int = 1) -> Any:
    """Return the type of an array argument that the kernel only reads."""
    return types.Array(dtype, ndim, "C", readonly=True)


def writes(dtype: Any, ndim: int = 1) -> Any:
    """Return the type of an array argument that the kernel writes into."""
    return types.Array(dtype, ndim, "C")


def kernel(*signatures: Any) -> Callable[[F], F]:
    """Compile a function for the given signatures, now and for these only.

    With ``NUMBA_DISABLE_JIT=1`` the plain function runs and gives the same results.

    Parameters
    ----------
    *signatures : numba signature
        For example ``types.int64(reads(types.uint64), writes(types.uint32))``.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: F) -> F:
        if config.DISABLE_JIT:
            return _plain(function)
        policy: dict[str, Any] = {
            "nogil": True,
            # Division by zero is never reached; the checks for it would block SIMD.
            "error_model": "numpy",
            "boundscheck": False,
            "fastmath": False,
        }
        if function.__module__.partition(".")[0] in _filled:
            dispatcher = numba.njit(cache=True, **policy)(function)
            _kernels.append(dispatcher)
            return cast(F, _Loaded(dispatcher, signatures))
        try:
            dispatcher = numba.njit(list(signatures), cache=True, **policy)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            # Neither the package nor the home folder can be written: compile each time.
            dispatcher = numba.njit(list(signatures), **policy)(function)
        dispatcher.disable_compile()
        if dispatcher.stats.cache_misses and not compiled():
            _tell()
        _kernels.append(dispatcher)
        return cast(F, dispatcher)

    return decorate


class _Loaded:
    """A kernel in the cache, which is loaded by the first call."""

    def __init__(self, dispatcher: Any, signatures: tuple[Any, ...]) -> None:
        self._dispatcher = dispatcher
        self._signatures = signatures
        functools.update_wrapper(self, dispatcher.py_func)

    def __call__(self, *args: Any) -> Any:
        if self._signatures:
            # In a thread of its own: LLVM, at work, would not survive an exception, and a
            # handler of signals may raise one in this.
            with ThreadPoolExecutor(1, "dlsort-kernel") as apart:
                apart.submit(self._load).result()
        return self._dispatcher(*args)

    def _load(self) -> None:
        with _one_at_a_time:
            for signature in self._signatures:
                self._dispatcher.compile(signature)
            self._dispatcher.disable_compile()
            self._signatures = ()


@functools.cache
def _tell() -> None:
    _log.warning("compiling the kernels for this machine, once; under a minute …")


def inlined(function: F) -> F:
    """Make a small function callable from kernels, compiled into each of its callers."""
    jitable: F = numba.extending.register_jitable(function)
    return jitable


def compiled() -> int:
    """Return how many kernels this process had to compile; 0 if all came from the cache.

    Examples
    --------
    >>> from dlsort_kernels import compiled
    >>> compiled() >= 0
    True
    """
    return sum(sum(each.stats.cache_misses.values()) for each in _kernels)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Hold the lock under which kernels are compiled and loaded.

    Several processes that fill one cache index at once can mix up its entries (numba
    issue 4807), so they take turns. The cache lies in a folder named after the sources of
    all kernels: numba itself compares no more than a file's time and size, which an
    upgrade can leave as they were, and sees no change in a function of another file.
    """
    with contextlib.ExitStack() as stack:
        if folder_to_fill := os.environ.get(_TO_FILL):
            config.CACHE_DIR = folder_to_fill
        elif not config.DISABLE_JIT:
            for folder in _cache_folders():
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(filelock.FileLock(folder / "dlsort-kernels.lock"))
                except (OSError, NotImplementedError):
                    continue
                stack.callback(setattr, config, "CACHE_DIR", config.CACHE_DIR)
                config.CACHE_DIR = str(folder / f"dlsort-{_digest()}")
                break
        yield


def compile_apart(package: str) -> None:
    """Compile a package's kernels in a process of its own, unless the cache has them.

    LLVM and numba's types keep 220 MiB for as long as a process lives; a worker would have
    that much less for rows. Call it while :func:`loading`. Where no process can be started
    the kernels are compiled in this one, when they are imported.
    """
    if config.DISABLE_JIT or not config.CACHE_DIR or os.environ.get(_TO_FILL):
        return
    filled = Path(config.CACHE_DIR) / f"{package}-{_machine()}.filled"
    if filled.exists():
        _filled.add(package)
        return
    _tell()
    code = "import sys; sys.path[:] = sys.argv[2:]; __import__(sys.argv[1])"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [sys.executable or "", "-c", code, package, *sys.path],
            env={**os.environ, _TO_FILL: config.CACHE_DIR},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_COMPILING_S,
        )
        filled.touch()
        _filled.add(package)


def _machine() -> str:
    """Return what tells one machine's code from another's, as numba's cache does."""
    told = (sys.version, numba.__version__, *cpu_target.target_context.codegen().magic_tuple())
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _digest() -> str:
    """Return what tells one state of the kernels' sources from another."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_folders() -> list[Path]:
    """Return the folders to try for the cache: beside the sources, or the user's own."""
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR)]
    folders = [Path(__file__).parent / "__pycache__"]
    # No home folder at all (some containers): each process compiles for itself.
    with contextlib.suppress(RuntimeError):
        folders.append(Path.home() / ".cache" / "dlsort")
    return folders


def _plain(function: F) -> F:
    """Return the uncompiled function, with arithmetic that wraps round in silence."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return cast(F, run)
