"""Write: a report or a page, whole or not at all."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that what was there stays until all of it is written.

    A pipe, a device, or a file in a folder that can't be written is written to as it is.
    """
    whole = Path(os.path.realpath(path))  # a link stays one
    is_as_is = path.exists() and not path.is_file()
    is_open = path.absolute().is_relative_to("/dev")  # as standard output is
    if is_as_is or is_open or not os.access(whole.parent, os.W_OK):
        path.write_bytes(data)
        return
    attempt = whole.with_name(f".dlsort-{uuid.uuid4().hex[:12]}")
    try:
        attempt.write_bytes(data)
        if whole.exists():
            attempt.chmod(stat.S_IMODE(whole.stat().st_mode))
        attempt.replace(whole)
    finally:
        attempt.unlink(missing_ok=True)
