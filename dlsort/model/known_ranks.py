"""Known ranks: what some keys, whose ranks are known, tell of all others.

Of a dataset's rows it is known that so many are at or before a key, and so many at or behind
one. A sorted part tells its own key at every hundredth row; a row group its least and
greatest key; a frame's partition what a sorted part does. Counted up along the order they are
two steps::

    rank │          ┌────── upper: rows that may stand before a key
         │     ┌────┘ ┌────
         │ ┌───┘ ┌────┘
         │─┘─────┘          lower: rows that do stand before it
         └───────────────── key

between which the rank of every key lies, whatever the keys in between are. Both are exact at
the known keys, and a binary search over them answers in microseconds.

Keys are bytes (:mod:`dlsort.order.key_bytes`). Of a long text, or where only a key's first
column is known, they are the beginning of the key's, so a key that begins with these may stand
on either side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pyarrow as pa

from dlsort.keys import SortKey
from dlsort.order.key_bytes import END_BYTES, column_bytes

__all__ = ["KnownKeys", "KnownRanks", "Steps", "before", "is_before", "may_be_before"]


@dataclass(frozen=True)
class KnownKeys:
    """Keys, as far as they are known.

    Parameters
    ----------
    table : pyarrow.Table
        (k) rows: the first columns of the key, or all.
    codes : list of bytes
        Those of each.
    whole : list of int
        How many of each key's columns are known whole; what stands in the next one, if there
        is one, is what its value begins with.
    """

    table: pa.Table
    codes: list[bytes]
    whole: list[int]

    @classmethod
    def of(
        cls, table: pa.Table, keys: Sequence[SortKey], cut: Sequence[Sequence[bool]] = ()
    ) -> KnownKeys:
        """Return the keys of a table.

        Parameters
        ----------
        table : pyarrow.Table
            The first key columns, or all.
        keys : sequence of SortKey
            The key.
        cut : sequence of sequences of bool
            For each column whether a value is text, or bytes, of which only the beginning is
            there; empty: none is.
        """
        n_columns = table.num_columns
        each = [column_bytes(c, k) for c, k in zip(table.columns, keys, strict=False)]
        codes, whole = [], []
        for row, code in enumerate(zip(*each, strict=True)):
            at = next((c for c in range(n_columns) if cut and cut[c][row]), n_columns)
            of_cut = code[at][:-END_BYTES] if at < n_columns else b""
            codes.append(b"".join(code[:at]) + of_cut)
            whole.append(at)
        return cls(table, codes, whole)

    def take(self, rows: Sequence[int]) -> KnownKeys:
        """Return some of the keys."""
        table = self.table.take(pa.array(rows, pa.int64()))
        return KnownKeys(table, [self.codes[i] for i in rows], [self.whole[i] for i in rows])


@dataclass(frozen=True)
class Steps:
    """One of the two steps: ``rows[i]`` where ``i`` of the ascending keys stand before."""

    keys: KnownKeys
    rows: list[int]

    @classmethod
    def of(cls, keys: KnownKeys, counts: Sequence[int], first: int) -> Steps:
        """Return the steps of keys, each of so many rows, from ``first`` rows on."""
        order = sorted(range(len(keys.codes)), key=keys.codes.__getitem__)
        rows = accumulate((counts[i] for i in order), initial=first)
        return cls(keys.take(order), list(rows))


def before(known: bytes, key: bytes) -> int | None:
    """Return −1, 0 or 1: a known key's place before, among or behind those of a key.

    None if it may be any of these.

    Parameters
    ----------
    known : bytes
        A key's, or what it begins with.
    key : bytes
        A key's, or of its first columns, which stands for all keys that have these.
    """
    n = min(len(known), len(key))
    if known[:n] != key[:n]:
        return -1 if known[:n] < key[:n] else 1
    return 0 if len(known) >= len(key) else None


def is_before(known: bytes, key: bytes, *, right: bool) -> bool:
    """Return whether a known key stands before a key; or ties with it, if that counts."""
    found = before(known, key)
    return found == -1 or (right and found == 0)


def may_be_before(known: bytes, key: bytes, *, right: bool) -> bool:
    """Return whether it is not known that it does not."""
    return before(known, key) is None or is_before(known, key, right=right)


@dataclass(frozen=True)
class KnownRanks:
    """Both steps, of a dataset of so many rows."""

    n_rows: int
    lower: Steps
    upper: Steps

    @classmethod
    def of_cells(
        cls,
        n_rows: int,
        highs: KnownKeys,
        n_high: Sequence[int],
        lows: KnownKeys,
        n_low: Sequence[int],
    ) -> KnownRanks:
        """Return what is known if so many rows are at or before a high, or at or behind a low.

        Rows of which neither is known may be anywhere.
        """
        anywhere = n_rows - sum(n_low)
        return cls(n_rows, Steps.of(highs, n_high, 0), Steps.of(lows, n_low, anywhere))

    @classmethod
    def of_runs(cls, keys: KnownKeys, runs: Sequence[tuple[Sequence[int], int]]) -> KnownRanks:
        """Return what sorted runs of rows tell.

        Parameters
        ----------
        keys : KnownKeys
            The keys of some rows of each run, one run after the other.
        runs : sequence of (sequence of int, int)
            The numbers of these rows in the run, ascending, and how many rows it has.

        Examples
        --------
        >>> keys = [KnownKeys.of(pa.table({"x": x}), [SortKey("x")]) for x in ([1, 5, 9], [7])]
        >>> known = KnownRanks.of_runs(keys[0], [((0, 50, 99), 100)])
        >>> known.rank(keys[1].codes[0], right=False)
        (51, 99)
        """
        n_high: list[int] = []
        n_low: list[int] = []
        for rows, n_rows in runs:
            n_high += [row - above for above, row in pairwise([-1, *rows])]
            n_low += [below - row for row, below in pairwise([*rows, n_rows])]
        n_all = sum(n_rows for _, n_rows in runs)
        return cls.of_cells(n_all, keys, n_high, keys, n_low)

    def rank(self, key: bytes, *, right: bool) -> tuple[int, int]:
        """Return the least and the greatest number of rows that stand before a key.

        Parameters
        ----------
        key : bytes
            Of all of the key's columns, or of the first.
        right : bool
            Rows that tie with it count too.

        Notes
        -----
        Time O(log k) for k known keys.
        """
        codes = self.lower.keys.codes
        low = bisect_left(codes, True, key=lambda c: not is_before(c, key, right=right))
        codes = self.upper.keys.codes
        high = bisect_left(codes, True, key=lambda c: not may_be_before(c, key, right=right))
        return self.lower.rows[low], self.upper.rows[high]

    def ends_at(self, row: int) -> tuple[int | None, int | None]:
        """Return between which known keys a row of the sorted order stands.

        Returns
        -------
        low, high : int or None
            Number of the key in ``upper.keys`` that it is at or behind, and in ``lower.keys``
            that it is at or before; None where none is known.
        """
        low = bisect_left(self.upper.rows, row + 1) - 1
        high = bisect_left(self.lower.rows, row + 1) - 1
        return (
            low if low >= 0 else None,
            high if high < len(self.lower.keys.codes) else None,
        )
