"""The base of all errors that are raised on purpose, here and by who uses this package."""

from __future__ import annotations

__all__ = ["DlsortError"]


class DlsortError(Exception):
    """Base of all errors that dlsort raises on purpose."""

    def __str__(self) -> str:
        """Return the message alone (``KeyError`` would print its repr)."""
        return str(self.args[0]) if self.args else ""
