"""Range: what is told of a column's values in a row group."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Range"]


class Range(NamedTuple):
    """What is told of a column's values in a row group, as they are stored.

    Attributes
    ----------
    low, high : int, float or bytes
        Minimum and maximum, None where they are not told or all is null.
    n_nulls : int or None
        Nulls, None where it is not told.
    """

    low: Any
    high: Any
    n_nulls: int | None

    def times(self, factor: int) -> Range:
        """Return the range of values that are so many times as large."""
        low, high = (end if end is None else end * factor for end in (self.low, self.high))
        return Range(low, high, self.n_nulls)
