"""Bands of a few rows, so that small inputs have many."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from dlsort.order import bands
from dlsort.tuning import TUNING

__all__ = ["bands_of"]


@contextmanager
def bands_of(n_rows: int) -> Iterator[None]:
    """Let bands have so many rows, and be used however short shards are."""
    tuning = dataclasses.replace(TUNING, band_rows=n_rows, band_shard_rows=1e-9)
    with patch.object(bands, "TUNING", tuning):
        yield
