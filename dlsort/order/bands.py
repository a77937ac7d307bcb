"""Bands: the ranges of a partition that fit the cache.

A partition has to be large enough for the network and the file system; a sort and a gather
want to stay in the cache. Rows are brought to bands when they are brought to partitions, by
the same model at the same cost, and each partition is then put in order band by band.

    input rows ── grouped by band ──▶ shard of partition 0 │ shard of partition 1 │ …
                                      band 0│band 1│band 2 │ band 3│ …
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.tuning import OrderTuning
from dlsort_cluster.exchange import Shards

__all__ = ["count_bands", "join_bands", "read_starts", "without_starts", "write_starts"]

Starts = npt.NDArray[np.int64]

# Where in a table's metadata each band's first row stands.
STARTS = b"dlsort.bands"


def count_bands(n_rows: float, n_parts: int, tuning: OrderTuning) -> int:
    """Return how many bands a partition is to have.

    Parameters
    ----------
    n_rows : float
        Rows of all partitions.
    n_parts : int
        Number of partitions, at least 1.
    tuning : OrderTuning
        Rows of a band, and the most bands.

    Examples
    --------
    >>> tuning = OrderTuning(band_rows=1 << 17, most_bands=1 << 14)
    >>> [count_bands(n, p, tuning) for n, p in ((1_000, 4), (64e6, 8), (1e12, 1_000))]
    [1, 61, 16]
    """
    wanted = round(n_rows / n_parts / tuning.band_rows)
    return max(1, min(wanted, tuning.most_bands // n_parts))


def write_starts(table: pa.Table, starts: Starts) -> pa.Table:
    """Return a table that says where each band begins.

    Parameters
    ----------
    table : pyarrow.Table
        Rows grouped by band.
    starts : (bands + 1,) int64
        Band ``b`` is ``table[starts[b]:starts[b + 1]]``.
    """
    metadata = {**(table.schema.metadata or {}), STARTS: starts.tobytes()}
    return table.replace_schema_metadata(metadata)


def without_starts(schema: pa.Schema) -> pa.Schema:
    """Return the schema of rows that are no longer grouped."""
    metadata = {k: v for k, v in (schema.metadata or {}).items() if k != STARTS}
    return schema.with_metadata(metadata) if metadata else schema.remove_metadata()


def read_starts(shards: Shards, part: int, n_parts: int) -> list[Starts]:
    """Return where each band of a partition begins in each of its shards.

    Parameters
    ----------
    shards : Shards
        All rows that each input has for the partition.
    part, n_parts : int
        Which partition of how many.

    Returns
    -------
    list of (bands + 1,) int64
        One a shard. A single band where the shards don't say.
    """
    found = []
    for schema, n_rows in zip(shards.schemas, shards.lengths, strict=True):
        data = (schema.metadata or {}).get(STARTS)
        if data is None:
            return _one_band(shards)
        starts = np.frombuffer(data, np.int64)
        n_bands = (len(starts) - 1) // n_parts
        here = starts[part * n_bands : (part + 1) * n_bands + 1]
        found.append(here - here[0])
        if len(found[-1]) != len(found[0]) or found[-1][-1] != n_rows:
            return _one_band(shards)
    return found


def join_bands(starts: Sequence[Starts], tuning: OrderTuning) -> list[Starts]:
    """Return fewer bands where a shard's rows in one would be too few to be worth their while.

    Parameters
    ----------
    starts : sequence of (bands + 1,) int64
        Where each band begins in each shard.
    tuning : OrderTuning
        How many are enough.
    """
    n_bands = len(starts[0]) - 1
    rows_each = sum(int(at[-1]) for at in starts) / len(starts)
    wanted = max(1, min(n_bands, int(rows_each / tuning.band_shard_rows)))
    kept = np.append(np.arange(0, n_bands, -(-n_bands // wanted)), n_bands)
    return [at[kept] for at in starts]


def _one_band(shards: Shards) -> list[Starts]:
    return [np.array([0, n_rows], np.int64) for n_rows in shards.lengths]
