"""Which row groups the sample is read from, by the footers alone.

Where the row groups' ranges of the first key column overlap, the rows seem to
lie about at random, and a few row groups of each file may tell the distribution:
they are read first, and compared, and the others are read too if those differ.
Where the ranges are disjoint (a time-ordered table) each row group counts from
the start. From 1 GiB on no more than a tenth of the key columns is read; then
keys for the others are moved to their own ranges.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dlsort.keys import SortKey
from dlsort.options import TUNING
from dlsort.sample import Draw, SampleTask, draws_needed, rows_needed
from dlsort.source import Piece, RowGroup, Source, column_chunks

__all__ = [
    "Range",
    "SamplePlan",
    "batches",
    "choose_donors",
    "choose_evenly",
    "overlap",
    "plan_sample",
]

Range = tuple[Any, Any]


@dataclass(frozen=True)
class SamplePlan:
    """Which row groups are read for the sample.

    Parameters
    ----------
    first : tuple of SampleTask
        Read in any case.
    rest : tuple of SampleTask
        Read if those of ``first`` turn out not to be mixed.
    ranges : dict of int to (low, high)
        Footers' range of the first key column, by row group, where row groups
        stay unread although they may not be mixed.
    """

    first: tuple[SampleTask, ...]
    rest: tuple[SampleTask, ...] = ()
    ranges: Mapping[int, Range] = field(default_factory=dict)


def plan_sample(
    source: Source,
    pieces: Sequence[Piece],
    keys: Sequence[SortKey],
    n_parts: int,
    memory_bytes: int | None = None,
) -> SamplePlan:
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
    memory_bytes : int, optional
        What the sample and the fitting of the model may take; balance comes second.

    Returns
    -------
    SamplePlan
    """
    groups = source.row_groups
    places = _places(pieces, groups)
    n_rows = max(source.n_rows, 1)
    wanted = draws_needed(n_parts, len(groups), n_rows)
    compared = min(rows_needed(n_parts), TUNING.sample_compared_rows)
    if memory_bytes is not None:
        wanted = min(wanted, max(memory_bytes // TUNING.sample_row_bytes, n_parts))
    names = [key.column for key in keys]
    key_bytes = [sum(g.column_bytes.get(n, 0) for n in names) for g in groups]
    ranges = _ranges(source, names[0])
    seem_mixed = overlap(list(ranges.values())) >= TUNING.sample_overlap
    seem_mixed &= len(ranges) == len(groups)
    read = _choose_groups(source, key_bytes, seem_mixed=seem_mixed)
    chosen = set(read)
    donors = choose_donors(np.array([group.file for group in groups]), read)

    def draw(g: int) -> Draw:
        n_draws = math.ceil(wanted * groups[g].n_rows / n_rows)
        if g in chosen:
            n_draws = max(n_draws, compared // len(chosen))
        return Draw(g, *places[g], groups[g].n_rows, min(groups[g].n_rows, n_draws))

    def task(g: int, draws: Iterable[Draw]) -> SampleTask:
        return SampleTask(source.piece([g]), tuple(draws))

    filled = [g for g, group in enumerate(groups) if group.n_rows]
    first = tuple(task(g, (draw(h) for h in filled if donors[h] == g)) for g in read)
    unread = [g for g in filled if donors[g] != g]
    if not unread:
        return SamplePlan(first)
    if source.stored_bytes >= TUNING.large_bytes:
        return SamplePlan(first, ranges=ranges)
    return SamplePlan(first, tuple(task(g, [draw(g)]) for g in unread))


def batches(
    tasks: Sequence[SampleTask], most: int | None = None
) -> list[tuple[SampleTask, ...]]:
    """Return the tasks in runs that are worth a task of the cluster each, in order.

    Parameters
    ----------
    tasks : sequence of SampleTask
        Row groups to sample.
    most : int, optional
        About how many runs, at the most.
    """
    found: list[list[SampleTask]] = []
    rows = [max(task.piece.n_rows, TUNING.sample_batch_rows // 64) for task in tasks]
    enough = max(TUNING.sample_batch_rows, -(-sum(rows) // most) if most else 0)
    n_rows = enough
    for task, its_rows in zip(tasks, rows, strict=True):
        if n_rows >= enough:
            found.append([])
            n_rows = 0
        found[-1].append(task)
        n_rows += its_rows
    return [tuple(batch) for batch in found]


def _places(pieces: Sequence[Piece], groups: Sequence[RowGroup]) -> list[tuple[int, int]]:
    """Return for each row group the input partition it is in and its first row there."""
    places = []
    for part, piece in enumerate(pieces):
        row = 0
        for g in range(piece.first_group, piece.first_group + len(piece.row_groups)):
            places.append((part, row))
            row += groups[g].n_rows
    return places


def _choose_groups(source: Source, key_bytes: Sequence[int], *, seem_mixed: bool) -> list[int]:
    groups = source.row_groups
    filled = [g for g, group in enumerate(groups) if group.n_rows]
    total = max(sum(key_bytes), 1)
    allowed = TUNING.sample_share * source.stored_bytes if seem_mixed else float(total)
    if not filled:
        return []
    if source.stored_bytes >= TUNING.large_bytes:
        return choose_evenly(
            filled, key_bytes, min(allowed, TUNING.sample_key_share * total), fewest=1
        )
    files = sorted({groups[g].file for g in filled})
    fewest = -(-TUNING.sample_fewest_groups // len(files))
    chosen: list[int] = []
    for file in files:
        of_file = [g for g in filled if groups[g].file == file]
        share = sum(key_bytes[g] for g in of_file) / total
        chosen += choose_evenly(of_file, key_bytes, allowed * share, fewest=fewest)
    return chosen


def choose_evenly(
    candidates: Sequence[int], cost: Sequence[int], allowed: float, *, fewest: int
) -> list[int]:
    """Return about as many candidates as the cost allows, one at random from each stratum."""
    mean = max(sum(cost[g] for g in candidates) / max(len(candidates), 1), 1e-9)
    n = min(len(candidates), max(fewest, int(allowed / mean + 1e-9)))
    rng = np.random.default_rng([TUNING.sample_seed, n, len(candidates)])
    edges = [len(candidates) * i // n for i in range(n + 1)]
    return [candidates[int(rng.integers(a, b))] for a, b in pairwise(edges)]


def _ranges(source: Source, name: str) -> dict[int, Range]:
    """Return the footers' range of a column, by row group, as it is stored."""
    ranges: dict[int, Range] = {}
    for g, chunk in column_chunks(source, name):
        statistics = chunk.statistics
        # raw: a date may be one that Python has no date for
        if statistics is not None and statistics.has_min_max:
            ranges[g] = (statistics.min_raw, statistics.max_raw)
    return ranges


def overlap(ranges: Sequence[Range]) -> float:
    """Return how much of all row groups' ranges one row group spans, on average, 0 to 1.

    By rank among all minima and maxima, so that outliers and types don't matter.
    It is a hint: one outlier in each row group makes all of them overlap.
    """
    if len(ranges) < 2:
        return 1.0
    low = sorted(r[0] for r in ranges)
    high = sorted(r[1] for r in ranges)
    # a row group overlaps all that neither end before it nor begin after it
    n = len(ranges)
    shared = [n - bisect_left(high, a) - (n - bisect_right(low, b)) for a, b in ranges]
    return sum(shared) / (n * n)


def choose_donors(files: npt.NDArray[np.int64], read: Sequence[int]) -> list[int]:
    """Return for each row group the one that is read for it: itself or the nearest.

    Parameters
    ----------
    files : (g,) int64
        The file that each row group is in.
    read : sequence of int
        Those that are read.
    """
    if not read:
        return []
    chosen = np.array(sorted(read))
    numbers = np.arange(len(files))
    right = np.minimum(np.searchsorted(chosen, numbers), len(chosen) - 1)
    left = np.maximum(right - 1, 0)
    # nearest by number, but a neighbour in the same file before one in another
    far_left = np.abs(numbers - chosen[left]) + len(files) * (files[chosen[left]] != files)
    far_right = np.abs(numbers - chosen[right]) + len(files) * (files[chosen[right]] != files)
    return [int(g) for g in np.where(far_left < far_right, chosen[left], chosen[right])]
