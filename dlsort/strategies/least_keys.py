"""Least keys: what footers tell of the first key column of pieces, compared with a row's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dlsort.io.source import Piece, Source
from dlsort.keys import SortKey

__all__ = ["Least", "least_of_pieces"]


class Least(NamedTuple):
    """The least that footers tell of the first key column of a piece, as they store it.

    Attributes
    ----------
    value : int, float, bytes or None
        Of those that are not null, the first in the order; None: all are null.
    has_nulls : bool
        Whether there are nulls.
    """

    value: Any
    has_nulls: bool

    def first(self, key: SortKey) -> Any:
        """Return the first value in the order; None is null."""
        return None if self.has_nulls and key.nulls_first else self.value

    def may_be_before(self, bound: Any, key: SortKey) -> bool:
        """Return whether a row of the piece may sort before another, or be its equal."""
        first = self.first(key)
        if first is None or bound is None:
            return first == bound or (first is None) == key.nulls_first
        return bool(first >= bound if key.descending else first <= bound)


def least_of_pieces(
    source: Source, pieces: Sequence[Piece], key: SortKey
) -> list[Least] | None:
    """Return what footers tell of each piece; None where values do not compare so."""
    ranges = source.exact_ranges(key.column)
    if ranges is None:
        return None
    found = []
    for piece in pieces:
        told = [ranges[g] for g in piece.groups if g in ranges]
        ends = [r.high if key.descending else r.low for r in told if r.low is not None]
        value = (max if key.descending else min)(ends, default=None)
        found.append(Least(value, any(r.n_nulls for r in told)))
    return found
