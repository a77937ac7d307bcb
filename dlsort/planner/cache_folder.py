"""The cache folder: where what dlsort learns of a machine is kept, beside compiled kernels."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path | None:
    """Return the folder, which may have to be made; None where there is none that is ours.

    It is the one that ``NUMBA_CACHE_DIR`` names, as for the kernels; else ``~/.cache/dlsort``;
    else, where that can't be written, a folder of the user's among the temporary ones.
    """
    for folder in _places():
        with suppress(OSError):
            if _can_be_written(folder):
                return folder
    return None


def _places() -> Iterator[Path]:
    if told := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(told)
    with suppress(RuntimeError):  # no home folder at all (some containers)
        yield Path.home() / ".cache" / "dlsort"
    with suppress(OSError, AttributeError):  # no folder for temporary files; no users
        shared = Path(tempfile.gettempdir()) / f"dlsort-{os.getuid()}"
        # Anyone may have made it, and would tell us how fast we are.
        if not shared.exists() or _is_ours(shared):
            yield shared


def _can_be_written(folder: Path) -> bool:
    """Return whether files can be put into a folder, made if it is not there."""
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
