"""Whether disks can be made that are small, or only to be read."""

from __future__ import annotations

import subprocess
from functools import cache
from tempfile import TemporaryDirectory

__all__ = ["can_mount"]


@cache
def can_mount() -> bool:
    """Return whether this process may mount a file system."""
    with TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        try:
            if subprocess.run(mount, capture_output=True, check=False).returncode:
                return False
        except FileNotFoundError:
            return False
        subprocess.run(["umount", folder], check=True)
    return True
