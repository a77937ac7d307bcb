"""Sample: a few keys of every row group, read without touching the payload.

Which row groups are read follows from the footers. Where the row groups'
ranges of the first key column overlap, the rows lie about at random and a few
row groups of each file tell the distribution; where they are disjoint (a
time-ordered table) each one counts. A row group that isn't read borrows the
keys of a read neighbour and keeps its own place and weight, so that sampled
rows always stand for all rows and equal keys are split evenly.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.buffers import concat_rows
from dlsort.keys import SortKey
from dlsort.options import TUNING
from dlsort.source import Piece, RowGroup, Source, read_piece
from dlsort.take import take_table
from dlsort.words import key_table

__all__ = [
    "Draw",
    "Sample",
    "SampleTask",
    "join_samples",
    "plan_sample",
    "rows_needed",
    "take_sample",
]


@dataclass(frozen=True)
class Draw:
    """Keys to draw for one row group from the row group that is read.

    Parameters
    ----------
    group : int
        The row group's number in the source; seeds the draw.
    part, first_row : int
        Input partition it belongs to, and where its rows begin in that.
    n_rows, n_draws : int
        Its rows; how many to draw for them.
    """

    group: int
    part: int
    first_row: int
    n_rows: int
    n_draws: int


@dataclass(frozen=True)
class SampleTask:
    """One row group to read the key columns of, and what to draw from it."""

    piece: Piece
    draws: tuple[Draw, ...]


@dataclass(frozen=True)
class Sample:
    """Sampled rows: their keys, their places, and how many rows each stands for.

    Parameters
    ----------
    keys : pyarrow.Table
        (m) rows of the key columns.
    part, row : (m,) int64
        Input partition and row in it.
    weight : (m,) float64
        Rows of the input each one stands for.
    read_bytes : int
        Stored bytes of key columns that were read for it.
    """

    keys: pa.Table
    part: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    read_bytes: int = 0


def rows_needed(n_parts: int, balance: float = TUNING.balance) -> int:
    """Return how many rows to sample so that the largest partition stays in balance.

    Notes
    -----
    The largest of p partitions with k sampled keys each is about
    1 + √(2 ln p / k) of the mean, so k = 2 ln p / (balance − 1)².
    """
    if n_parts < 2:
        return 1
    return math.ceil(n_parts * 2 * math.log(max(n_parts, 3)) / (balance - 1) ** 2)


def plan_sample(
    source: Source, pieces: Sequence[Piece], keys: Sequence[SortKey], n_parts: int
) -> list[SampleTask]:
    """Choose the row groups to read and the draws for all row groups.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    pieces : sequence of Piece
        The input partitions, in order.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions.

    Returns
    -------
    list of SampleTask
        One a row group to read.
    """
    groups = source.row_groups
    place = _places(pieces, groups)
    read = _choose_groups(source, keys)
    donors = _donors(groups, read)
    n_rows = max(source.n_rows, 1)
    wanted = rows_needed(n_parts)
    draws: dict[int, list[Draw]] = {g: [] for g in read}
    for g, group in enumerate(groups):
        if group.n_rows:
            n_draws = min(group.n_rows, math.ceil(wanted * group.n_rows / n_rows))
            draws[donors[g]].append(Draw(g, *place[g], group.n_rows, n_draws))
    return [
        SampleTask(
            Piece(source.files[groups[g].file], (groups[g].index,), groups[g].n_rows, 0, g),
            tuple(draws[g]),
        )
        for g in read
        if draws[g]
    ]


def _places(pieces: Sequence[Piece], groups: Sequence[RowGroup]) -> list[tuple[int, int]]:
    """Return for each row group the input partition it is in and its first row there."""
    places = []
    for part, piece in enumerate(pieces):
        row = 0
        for g in range(piece.first_group, piece.first_group + len(piece.row_groups)):
            places.append((part, row))
            row += groups[g].n_rows
    return places


def _choose_groups(source: Source, keys: Sequence[SortKey]) -> list[int]:
    groups = source.row_groups
    names = [key.column for key in keys]
    key_bytes = [sum(g.column_bytes.get(n, 0) for n in names) for g in groups]
    total = max(sum(key_bytes), 1)
    mixed = _overlap(source, names[0]) >= TUNING.sample_overlap
    allowed = TUNING.sample_share * source.stored_bytes if mixed else float(total)
    if source.stored_bytes >= TUNING.large_bytes:
        allowed = min(allowed, TUNING.sample_key_share * total)
        filled = [g for g, group in enumerate(groups) if group.n_rows]
        return _stratified(filled, key_bytes, allowed) if filled else []
    chosen: list[int] = []
    for file in range(len(source.files)):
        of_file = [g for g, group in enumerate(groups) if group.file == file and group.n_rows]
        share = sum(key_bytes[g] for g in of_file) / total
        chosen += _stratified(of_file, key_bytes, allowed * share) if of_file else []
    return chosen


def _stratified(candidates: Sequence[int], cost: Sequence[int], allowed: float) -> list[int]:
    """Return about as many candidates as the cost allows, one at random from each stratum."""
    mean = max(sum(cost[g] for g in candidates) / max(len(candidates), 1), 1e-9)
    n = min(len(candidates), max(1, int(allowed / mean + 1e-9)))
    rng = np.random.default_rng([TUNING.sample_seed, n, len(candidates)])
    edges = [len(candidates) * i // n for i in range(n + 1)]
    return [candidates[int(rng.integers(a, b))] for a, b in pairwise(edges)]


def _overlap(source: Source, name: str) -> float:
    """Return how much of all row groups' ranges one row group spans, on average, 0 to 1.

    By rank among all minima and maxima, so that outliers and types don't matter;
    0 where the footers don't tell.
    """
    ranges: list[tuple[Any, Any]] = []
    for footer in source.footers:
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            for i in range(group.num_columns):
                if group.column(i).path_in_schema == name:
                    stats = group.column(i).statistics
                    if stats is None or not stats.has_min_max:
                        return 0.0
                    ranges.append((stats.min, stats.max))
    if len(ranges) < 2:
        return 1.0
    low = sorted(r[0] for r in ranges)
    high = sorted(r[1] for r in ranges)
    # a row group overlaps all that neither end before it nor begin after it
    n = len(ranges)
    shared = [n - bisect_left(high, a) - (n - bisect_right(low, b)) for a, b in ranges]
    return sum(shared) / (n * n)


def _donors(groups: Sequence[RowGroup], read: Sequence[int]) -> list[int]:
    """Return for each row group the one that is read for it: itself or the nearest."""
    if not read:
        return []
    chosen = np.array(sorted(read))
    numbers = np.arange(len(groups))
    files = np.array([group.file for group in groups])
    right = np.minimum(np.searchsorted(chosen, numbers), len(chosen) - 1)
    left = np.maximum(right - 1, 0)
    # nearest by number, but a neighbour in the same file before one in another
    far_left = np.abs(numbers - chosen[left]) + len(groups) * (files[chosen[left]] != files)
    far_right = np.abs(numbers - chosen[right]) + len(groups) * (files[chosen[right]] != files)
    return [int(g) for g in np.where(far_left < far_right, chosen[left], chosen[right])]


def take_sample(
    task: SampleTask, schema: pa.Schema, keys: tuple[SortKey, ...], as_dictionary: Sequence[str]
) -> Sample:
    """Read one row group's key columns and draw from them.

    Returns
    -------
    Sample
        Places of borrowed keys are scaled to the row group they stand for.
    """
    names = [key.column for key in keys]
    table = key_table(read_piece(task.piece, schema, names, as_dictionary), keys)
    n = table.num_rows
    rows, parts, places, weights = [], [], [], []
    for draw in task.draws:
        rng = np.random.default_rng([TUNING.sample_seed, draw.group])
        drawn = np.sort(rng.choice(n, min(n, draw.n_draws), replace=False, shuffle=False))
        rows.append(drawn.astype(np.uint32))
        parts.append(np.full(len(drawn), draw.part, np.int64))
        places.append(draw.first_row + drawn * draw.n_rows // n)
        weights.append(np.full(len(drawn), draw.n_rows / len(drawn)))
    return Sample(
        take_table(table, np.concatenate(rows)),
        np.concatenate(parts),
        np.concatenate(places),
        np.concatenate(weights),
    )


def join_samples(samples: Sequence[Sample], empty: pa.Table) -> Sample:
    """Return all samples as one; ``empty`` gives the schema where there is none."""
    if not samples:
        none = np.empty(0, np.int64)
        return Sample(empty, none, none, np.empty(0))
    return Sample(
        concat_rows([s.keys for s in samples]),
        np.concatenate([s.part for s in samples]),
        np.concatenate([s.row for s in samples]),
        np.concatenate([s.weight for s in samples]),
        sum(s.read_bytes for s in samples),
    )
