"""Sorts with another tuning: bands of a few rows, so that small inputs have many."""

from __future__ import annotations

from typing import Any

from dlsort.tuning import OrderTuning, Tuning

__all__ = ["bands_of", "tuned"]


def bands_of(n_rows: int) -> Tuning:
    """Return a tuning whose bands have so many rows, and are used however short shards are."""
    return Tuning(order=OrderTuning(band_rows=n_rows, band_shard_rows=1e-9))


def tuned(frame: Any, tuning: Tuning) -> Any:
    """Return a sorted frame that goes by another tuning."""
    return type(frame)(frame.expr.substitute_parameters({"tuning": tuning}))
