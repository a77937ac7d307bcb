"""Edges: keys at one distance from each other, of the types that have distances."""

from __future__ import annotations

import math
from decimal import localcontext

import pyarrow as pa
import pyarrow.types as pt

__all__ = ["even_edges", "have_edges"]

_DIGITS = 200  # more than any decimal has, twice


def have_edges(kind: pa.DataType) -> bool:
    """Return whether there are distances between values of a type."""
    is_number = pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind)
    return bool(is_number or (pt.is_temporal(kind) and not pt.is_interval(kind)))


def even_edges(ends: pa.Array, n_bins: int) -> pa.Array | None:
    """Return the edges of bins between two values, rounded down to the type's unit.

    Parameters
    ----------
    ends : pyarrow.Array
        The least value and the greatest.
    n_bins : int
        How many bins.

    Returns
    -------
    (n_bins + 1,) edges; None where the distance of two floats is not finite.

    Examples
    --------
    >>> even_edges(pa.array([1, 10]), 3).to_pylist()
    [1, 4, 7, 10]
    """
    kind = ends.type
    if pt.is_floating(kind):
        low, high = (float(end) for end in ends.to_pylist())
        if not math.isfinite(high - low):
            return None
        steps = [low + (high - low) * i / n_bins for i in range(n_bins)]
        return pa.array([*steps, high], pa.float64()).cast(kind, safe=False)
    if pt.is_decimal(kind):
        with localcontext(prec=_DIGITS):
            low, high = (int(end.scaleb(kind.scale)) for end in ends.to_pylist())
        return _unscaled(_whole_steps(low, high, n_bins), kind)
    if not pt.is_temporal(kind):
        low, high = ends.to_pylist()
        return pa.array(_whole_steps(low, high, n_bins), kind)
    raw = pa.int32() if kind.bit_width == 32 else pa.int64()
    low, high = ends.view(raw).to_pylist()
    return pa.array(_whole_steps(low, high, n_bins), raw).view(kind)


def _whole_steps(low: int, high: int, n_bins: int) -> list[int]:
    return [low + (high - low) * i // n_bins for i in range(n_bins + 1)]


def _unscaled(values: list[int], kind: pa.DataType) -> pa.Array:
    return pa.array([f"{value}e{-kind.scale}" for value in values], pa.string()).cast(kind)
