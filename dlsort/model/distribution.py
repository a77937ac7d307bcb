"""Distribution: what is known of keys' ranks, asked in values.

All answers come from two steps of known keys (:mod:`dlsort.model.known_ranks`), and, where they
are to be exact, from the rows that lie between (:mod:`dlsort.model.group_rows`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.given import array_of_given
from dlsort.arrow.shown import next_text, values_at
from dlsort.arrow.transport import combine
from dlsort.errors import BadOptionError, shown
from dlsort.keys import SortKey, format_by
from dlsort.model.edges import even_edges, have_edges
from dlsort.model.group_rows import ExactRows
from dlsort.model.known_ranks import KnownKeys, KnownRanks
from dlsort.options.arguments import QUANTILE, read_choice, read_count, read_flag

__all__ = ["Distribution", "Estimate", "Histogram"]


class Estimate(NamedTuple):
    """An answer, and between what the exact one lies, both included.

    A named tuple rather than a number with attributes: what is estimated may be a key, of any
    type, and ``value, low, high = …`` takes it apart.

    Parameters
    ----------
    value : int, float or key
        The answer: of numbers, the middle.
    low, high : int, float or key
        Its bounds. They hold whatever the keys are, as far as the footers are true. Those of
        a key come in the order of ``by``; they are shorter tuples where only its first columns
        are known, and the empty one where nothing is.
    """

    value: Any
    low: Any
    high: Any

    @property
    def is_exact(self) -> bool:
        """Whether the bounds are the same."""
        return bool(self.low == self.high)


class Histogram(NamedTuple):
    """How many rows there are between edges.

    Parameters
    ----------
    edges : list of keys
        (b + 1) edges, in the order of ``by``.
    counts : list of Estimate
        (b) Rows at or behind an edge and before the next one; of the last, at it too.
    before, after : Estimate
        Rows before the first edge and behind the last one, nulls among them.
    """

    edges: list[Any]
    counts: list[Estimate]
    before: Estimate
    after: Estimate


@dataclass(frozen=True)
class Distribution:
    """The distribution of a key's values; made by :func:`dlsort.distribution`.

    All is meant in the order of ``by``: with ``"price:desc"``, rows *below* 10 are those that
    come before it, which have a larger price; nulls and NaN are where ``by`` puts them. A value
    is an object of the column's type (``datetime.date``, ``Decimal``, ``bytes``, …), None for
    null. With several key columns it is a tuple, as long as the key or shorter: (a,) ties with
    all rows that have a.

    Parameters
    ----------
    by : tuple of SortKey
        The key.
    n_rows, n_parts : int
        Rows, and files or partitions.
    told_by : {"parts", "statistics", "partitions"}
        What the bounds are from: keys in sorted parts' footers, row groups' statistics, or a
        pass over a frame's partitions.
    """

    by: tuple[SortKey, ...]
    n_rows: int
    n_parts: int
    told_by: str
    kinds: pa.Schema
    _known: KnownRanks
    _rows: ExactRows

    def __repr__(self) -> str:
        """Return what it is of."""
        return (
            f"Distribution(by={format_by(self.by)!r}, n_rows={self.n_rows}, "
            f"n_parts={self.n_parts}, told_by={self.told_by!r})"
        )

    def rank(self, value: Any, *, side: str = "left", exact: bool = False) -> Estimate:
        """Return how many rows are below a value.

        Parameters
        ----------
        value : object or tuple
            Of the key's type.
        side : {"left", "right"}
            As of :func:`numpy.searchsorted`: "left" counts rows before the value, "right"
            those that tie with it too.
        exact : bool
            Read the keys of the row groups that the value may lie in. A frame is computed
            again.

        Raises
        ------
        BadOptionError
            If the value is not of the key's type, or the side neither.

        Notes
        -----
        Time O(log k) for k known keys; no file is read unless ``exact``.
        """
        right = read_choice(side, "side", ("left", "right")) == "right"
        return self._rank(self._read(value), right=right, exact=read_flag(exact, "exact"))

    def fraction_below(
        self, value: Any, *, side: str = "left", exact: bool = False
    ) -> Estimate:
        """Return the share of rows below a value, from 0 to 1; as of :meth:`rank`.

        Of no rows it is 0.
        """
        n = max(self.n_rows, 1)
        return Estimate(*(count / n for count in self.rank(value, side=side, exact=exact)))

    def count_between(self, a: Any, b: Any, *, exact: bool = False) -> Estimate:
        """Return how many rows are between two values, both included, whichever comes first."""
        exact = read_flag(exact, "exact")
        keys = sorted((self._read(value) for value in (a, b)), key=lambda key: key.codes[0])
        first, last = (
            self._rank(key, right=right, exact=exact)
            for key, right in zip(keys, (False, True), strict=True)
        )
        return _difference(first, last)

    def quantile(self, q: float, *, exact: bool = False) -> Estimate:
        """Return the key of row ``floor(q * (n_rows - 1))`` of the sorted order.

        That is pandas' ``interpolation="lower"``, nulls counted as the rows that they are.

        Parameters
        ----------
        q : float
            From 0 to 1.
        exact : bool
            Read the row group that the row is in; of a dataset that is not sorted by the key,
            the key columns once.

        Returns
        -------
        Estimate
            Of Python's objects; of tuples, if the key has several columns. Of a text longer
            than 64 bytes the footers have the beginning, and so has ``value``.

        Raises
        ------
        BadOptionError
            If ``q`` is no such number, or there is no row.
        """
        q = QUANTILE.read(q, "q")
        if not self.n_rows:
            raise BadOptionError("there is no quantile of no rows.")
        return self._key_at(math.floor(q * (self.n_rows - 1)), exact=read_flag(exact, "exact"))

    def histogram(self, bins: int | Sequence[Any], *, exact: bool = False) -> Histogram:
        """Return how many rows there are in each bin.

        Parameters
        ----------
        bins : int or sequence
            Edges, in the order of ``by``; or a number of bins of one width between the first
            and the last key that is known and not null, of a key of one column of numbers,
            dates, times or durations (whole ones, of their unit). With ``exact`` these are
            the very first and last.
        exact : bool
            As of :meth:`rank`, for every edge.

        Raises
        ------
        BadOptionError
            If edges are not in order, or there are no keys to make them of.
        """
        exact = read_flag(exact, "exact")
        if isinstance(bins, Integral):
            edges = self._even_edges(read_count(bins, "bins"), exact=exact)
        elif isinstance(bins, Sequence | np.ndarray) and not isinstance(bins, str | bytes):
            edges = list(bins)
        else:
            msg = f"bins is {shown(bins)}; expected a number of bins, or their edges."
            raise BadOptionError(msg)
        keys = [self._read(edge) for edge in edges]
        codes = [key.codes[0] for key in keys]
        if len(edges) < 2 or codes != sorted(codes):
            msg = f"bins is {shown(edges)}; expected two edges or more, in the key's order."
            raise BadOptionError(msg)
        ranks = [self._rank(key, right=False, exact=exact) for key in keys[:-1]]
        ranks.append(self._rank(keys[-1], right=True, exact=exact))
        counts = [_difference(first, last) for first, last in pairwise(ranks)]
        before, behind = ranks[0], ranks[-1]
        after = Estimate(*(self.n_rows - behind[i] for i in (0, 2, 1)))
        return Histogram(edges, counts, before, after)

    # ------------------------------------------------------------ inside

    def _read(self, value: Any) -> KnownKeys:
        """Return a value as a key of one row."""
        n_columns = len(self.by)
        values = value if isinstance(value, tuple) and n_columns > 1 else (value,)
        if not 1 <= len(values) <= n_columns:
            msg = (
                f"a value has {len(values)} columns; expected at most {n_columns}, as the key "
                f"{format_by(self.by)} has."
            )
            raise BadOptionError(msg)
        arrays = [
            array_of_given(v, field.type, f"column {shown(field.name)}")
            for v, field in zip(values, self.kinds, strict=False)
        ]
        names = self.kinds.names[: len(arrays)]
        return KnownKeys.of(pa.Table.from_arrays(arrays, names=names), self.by)

    def _rank(self, key: KnownKeys, *, right: bool, exact: bool) -> Estimate:
        low, high = self._known.rank(key.codes[0], right=right)
        if exact:
            low = high = self._rows.rank(key.table, key.codes[0], (low, high), right=right)
        return Estimate((low + high) // 2, low, high)

    def _key_at(self, row: int, *, exact: bool) -> Estimate:
        low, high = self._known.ends_at(row)
        before, behind = self._known.upper, self._known.lower
        if exact:
            ends = [
                None if place is None else steps.keys.table.slice(place, 1)
                for steps, place in ((before, low), (behind, high))
            ]
            key = self._python(self._rows.key_at(row, *ends), 0)
            return Estimate(key, key, key)
        bounds = [
            () if place is None else self._bound(steps.keys, place, is_high=is_high)
            for steps, place, is_high in ((before, low, False), (behind, high, True))
        ]
        is_nearer = high is not None and (
            low is None or behind.rows[high + 1] - 1 - row < row - before.rows[low]
        )
        keys, place = (behind.keys, high) if is_nearer else (before.keys, low)
        if place is None:
            return Estimate((), *bounds)
        is_cut = keys.whole[place] < keys.table.num_columns
        return Estimate(self._python(keys.table, place, is_cut=is_cut), *bounds)

    def _bound(self, keys: KnownKeys, place: int, *, is_high: bool) -> Any:
        """Return a key that a known one is not behind, or not before: it may be cut."""
        whole = keys.whole[place]
        if whole == keys.table.num_columns:
            return self._python(keys.table, place)
        values = values_at(keys.table.select(range(whole + 1)), place, self.kinds, is_cut=True)
        # What a text begins with is no greater than the text.
        end = values[-1] if self.by[whole].descending == is_high else next_text(values[-1])
        found = values[:-1] if end is None else (*values[:-1], end)
        return found if len(self.by) > 1 or not found else found[0]

    def _python(self, table: pa.Table, row: int, *, is_cut: bool = False) -> Any:
        values = values_at(table, row, self.kinds, is_cut=is_cut)
        return values if len(self.by) > 1 else values[0]

    def _even_edges(self, n_bins: int, *, exact: bool) -> list[Any]:
        kind = self.kinds.field(0).type
        if len(self.by) > 1 or not have_edges(kind):
            msg = (
                f"there are no bins of one width between keys of {format_by(self.by)}; "
                "expected one column of numbers, dates or times. Give the edges (bins)."
            )
            raise BadOptionError(msg)
        ends = self._ends(exact=exact)
        if self.by[0].descending:
            ends = ends[::-1]
        edges = even_edges(pa.concat_arrays(ends), n_bins) if ends else None
        if edges is None:
            found = "infinite ones are the outermost keys" if ends else "no key is known"
            msg = f"{found}, so there are no even bins; give the edges (bins), or exact=True."
            raise BadOptionError(msg)
        table = pa.Table.from_arrays([edges], names=[self.by[0].column])
        listed = [values_at(table, i, self.kinds)[0] for i in range(n_bins + 1)]
        return listed[::-1] if self.by[0].descending else listed

    def _ends(self, *, exact: bool) -> list[pa.Array]:
        """Return the first and last key that is a value, of those known or of all."""
        tables = [self._known.upper.keys.table, self._known.lower.keys.table]
        if exact:
            first, last = self._valued_rows()
            rows = [first, last] if first <= last else []
            tables = [self._rows.key_at(row, None, None) for row in rows]
        found = []
        for table, at in zip(tables, (0, -1), strict=False):
            column = table.column(0)
            values = combine(column.filter(pc.invert(column.is_null(nan_is_null=True))))
            if len(values):
                found.append(values.slice(at % len(values), 1))
        return found if len(found) == 2 else []

    def _valued_rows(self) -> tuple[int, int]:
        """Return the first and the last row whose key is neither null nor NaN."""
        first, last, key = 0, self.n_rows - 1, self.by[0]
        missing: list[tuple[float | None, bool]] = [(None, key.nulls_first)]
        if pt.is_floating(self.kinds.field(0).type) and key.nan_first is not None:
            missing.append((math.nan, key.nan_first))
        for value, is_first in missing:
            n_before = self._rank(self._read(value), right=is_first, exact=True).value
            first, last = (
                (max(first, n_before), last) if is_first else (first, min(last, n_before - 1))
            )
        return first, last


def _difference(first: Estimate, last: Estimate) -> Estimate:
    """Return how many rows are between two ranks."""
    low, high = max(last.low - first.high, 0), max(last.high - first.low, 0)
    return Estimate(min(max(last.value - first.value, low), high), low, high)
