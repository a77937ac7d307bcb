"""Known groups: what row groups' statistics tell of keys' ranks, in whatever order rows are.

A row group tells the least and the greatest value of the key's first column, and its nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.source import Range
from dlsort.keys import SortKey
from dlsort.model.known_ranks import KnownKeys, KnownRanks

__all__ = ["ranks_of_groups"]

Spans = dict[int, tuple[bytes, bytes]]


def ranks_of_groups(
    source: ParquetSource, keys: Sequence[SortKey], kinds: pa.Schema
) -> tuple[KnownRanks, Spans]:
    """Return what statistics tell, and the first and last key of row groups that tell them.

    Nothing is told of types whose statistics don't say where all rows are, as of floats (NaN).

    Parameters
    ----------
    keys : sequence of SortKey
        The key.
    kinds : pyarrow.Schema
        The key columns' types.
    """
    key, kind = keys[0], kinds.field(0).type
    has_path = key.column not in source.schema.names
    ranges: Mapping[int, Range] | None = None if has_path else source.exact_ranges(key.column)
    found = sorted((ranges or {}).items())
    firsts: list[Any] = []
    lasts: list[Any] = []
    counts: list[int] = []
    ends: dict[int, list[int]] = {}
    for g, told in found:
        n_nulls = told.n_nulls or 0
        n_valid = source.row_groups[g].n_rows - n_nulls
        cells = [(told.low, told.high, n_valid)] if n_valid else []
        cells += [(None, None, n_nulls)] if n_nulls else []
        ends[g] = list(range(len(counts), len(counts) + len(cells)))
        for low, high, n in cells:
            firsts.append(high if key.descending else low)
            lasts.append(low if key.descending else high)
            counts.append(n)
    low, high = (KnownKeys.of(_table(v, kind, key), keys) for v in (firsts, lasts))
    known = KnownRanks.of_cells(source.n_rows, high, counts, low, counts)
    spans = {
        g: (min(low.codes[i] for i in cells), max(high.codes[i] for i in cells))
        for g, cells in ends.items()
    }
    return known, spans


def _table(raw: Sequence[Any], kind: pa.DataType, key: SortKey) -> pa.Table:
    """Return raw values, as statistics have them, in the column's type."""
    if pt.is_decimal(kind):
        scaled = [v if v is None else str(Decimal(v).scaleb(-kind.scale)) for v in raw]
        array = pa.array(scaled, pa.string()).cast(kind)
    elif pt.is_temporal(kind):
        array = pa.array(raw, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    else:
        array = pa.array(raw, pa.binary() if is_bytes(kind) else kind)
    return pa.Table.from_arrays([array], names=[key.column])
