"""The record of the sort benchmark: 100 bytes, of which the first 10 are its key."""

from __future__ import annotations

__all__ = ["KEY_BYTES", "RECORD_BYTES"]

RECORD_BYTES = 100
KEY_BYTES = 10
