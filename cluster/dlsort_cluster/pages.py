"""Fresh memory in small pages, where huge ones are dear.

Arrow's and NumPy's allocators ask Linux for pages of 2 MiB. On most machines these are the
cheapest memory there is: 0.1 ms a MiB at the first touch, and small pages 0.2 to 0.4. But a
virtual machine may tell its host which memory is free ("free page reporting"). The host then
takes free pages of that size away, and finds them again 4 KiB at a time while the guest waits:
2.5 ms a MiB, half of the time of a first sort. Small pages come from what was in use a moment
ago, and cost what they cost anywhere. Measuring it does not tell: the first few huge pages
come from such memory too.

Linux knows the choice a process, and hands it on to what a process starts meanwhile.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["cheap_pages", "hold_small_pages", "release_small_pages"]

_DEVICES = Path("/sys/bus/virtio/devices")
_BALLOON = "0x0005"  # what gives a guest's memory back to its host
_REPORTING = 5  # the bit that says that it does so without being asked

# NumPy asks for huge pages from there on.
_LEAST_BYTES = 1 << 22
_SET_THP_DISABLE, _GET_THP_DISABLE = 41, 42  # of prctl

_lock = threading.Lock()
_holders: set[object] = set()
_is_ours = False  # the choice of small pages, since when it was about to be made


@contextmanager
def cheap_pages(n_bytes: int) -> Iterator[None]:
    """Let this process have so many bytes of fresh memory in the cheaper pages."""
    if n_bytes < _LEAST_BYTES or not _huge_are_dear():
        yield
        return
    holder = object()
    try:
        hold_small_pages(holder)
        yield
    finally:
        release_small_pages(holder)


def hold_small_pages(holder: object) -> None:
    """Let this process have small pages, if huge ones are dear; what others chose stays."""
    global _is_ours
    if not _huge_are_dear():
        return
    with _lock:
        if not _is_ours:
            if _prctl(_GET_THP_DISABLE) != 0:
                return
            _is_ours = True
        _holders.add(holder)
        _prctl(_SET_THP_DISABLE, 1)


def release_small_pages(holder: object) -> None:
    """Let this process have huge pages again, if nobody else holds small ones."""
    global _is_ours
    with _lock:
        _holders.discard(holder)
        if _is_ours and not _holders:
            _prctl(_SET_THP_DISABLE)
            _is_ours = False


def _after_fork() -> None:
    """Hold nothing in a child: those who do are the parent's."""
    global _lock, _is_ours
    _lock = threading.Lock()
    _holders.clear()
    if _is_ours:
        _prctl(_SET_THP_DISABLE)
        _is_ours = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _huge_are_dear() -> bool:
    """Return whether this is a virtual machine that reports its free pages."""
    try:
        kinds = [(device / "device", device / "features") for device in _DEVICES.iterdir()]
        return any(
            kind.read_text().strip() == _BALLOON and features.read_text()[_REPORTING] == "1"
            for kind, features in kinds
        )
    except (OSError, IndexError):  # another system, or a place that shows nothing
        return False


def _prctl(option: int, value: int = 0) -> Any:
    import ctypes

    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
