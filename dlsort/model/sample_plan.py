"""Which row groups the sample is read from, by the footers alone.

Where the row groups' ranges of the first key column overlap, the rows seem to
lie about at random, and a few row groups of each file may show the distribution:
they are read first, and compared, and the others are read too if those differ.
Where the ranges are disjoint (a time-ordered table) each row group counts from
the start. From 1 GiB on no more than a tenth of the key columns is read; then
keys for the others are moved to their own ranges. Small files are read in runs, and each run
counts as one row group of all of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort.arrow.kinds import is_bytes
from dlsort.arrow.paths import field_at, top_columns_of
from dlsort.io.source import Piece, RowGroup, Source
from dlsort.io.source import Range as Told
from dlsort.keys import SortKey
from dlsort.model.sample import (
    Draw,
    SampleTask,
    draws_by_place,
    draws_needed,
    rows_needed,
)
from dlsort.tuning import SampleTuning, Tuning

__all__ = [
    "Range",
    "SamplePlan",
    "batches",
    "choose_donors",
    "choose_evenly",
    "expected_draws",
    "known_ends",
    "overlap",
    "plan_sample",
]

Range = tuple[Any, Any]


class _Unit(NamedTuple):
    """What is read for the sample at once: a row group, or some small files of one piece.

    ``groups`` are its row groups; ``file`` is one for all units of a piece that span files.
    """

    groups: range
    file: int
    part: int
    first_row: int
    n_rows: int
    key_bytes: int


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
    tuning: Tuning,
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
    tuning : Tuning
        How much is read, and how many rows are drawn.
    memory_bytes : int, optional
        What the sample and the fitting of the model may take; balance comes second.

    Returns
    -------
    SamplePlan
    """
    n_rows = max(source.n_rows, 1)
    names = top_columns_of(source.schema, keys)
    units = _units(source, pieces, names, tuning.sample)
    wanted = draws_needed(n_parts, len(units), n_rows, tuning)
    how = tuning.sample
    compared = min(rows_needed(n_parts, how.balance), how.compared_rows)
    if memory_bytes is not None:
        wanted = min(wanted, max(memory_bytes // how.row_bytes, n_parts))
    ranges = _ranges(source, keys[0].column, units)
    seem_mixed = overlap(list(ranges.values())) >= how.overlap
    seem_mixed &= len(ranges) == len(units)
    read = _choose_units(source, units, how, seem_mixed=seem_mixed)
    chosen = set(read)
    n_looked = sum(units[u].n_rows for u in read)
    has_text = _has_text(source, keys)
    by_place = draws_by_place(n_looked, n_parts, n_rows, tuning, has_text=has_text)
    if by_place and (memory_bytes is None or by_place <= memory_bytes // how.row_bytes):
        wanted, compared = max(by_place, wanted), by_place
    else:
        by_place = 0
    donors = choose_donors(np.array([unit.file for unit in units]), read)

    def draw(u: int) -> Draw:
        unit = units[u]
        n_draws = math.ceil(wanted * unit.n_rows / n_rows)
        if u in chosen:
            n_draws = max(n_draws, compared // len(chosen))
        place = unit.groups.start, unit.part, unit.first_row
        return Draw(*place, unit.n_rows, min(unit.n_rows, n_draws))

    def task(u: int, draws: Iterable[Draw]) -> SampleTask:
        groups = units[u].groups
        piece = source.piece(groups.start, groups.stop)
        return SampleTask(piece, tuple(draws), by_place > 0)

    filled = [u for u, unit in enumerate(units) if unit.n_rows]
    of_donor: dict[int, list[int]] = {}
    for u in filled:
        of_donor.setdefault(donors[u], []).append(u)
    first = tuple(task(u, map(draw, of_donor[u])) for u in read)
    unread = [u for u in filled if donors[u] != u]
    if not unread:
        return SamplePlan(first)
    if source.stored_bytes >= how.large_bytes:
        return SamplePlan(first, ranges=ranges)
    return SamplePlan(first, tuple(task(u, [draw(u)]) for u in unread))


def expected_draws(
    source: Source, keys: Sequence[SortKey], n_parts: int, tuning: Tuning
) -> int:
    """Return about how many rows :func:`plan_sample` has drawn, before there are pieces."""
    if n_parts < 2 or not source.n_rows:
        return 0
    how, n_rows, n_groups = tuning.sample, source.n_rows, len(source.row_groups)
    n_looked = min(n_rows, round(max(how.fewest_groups / n_groups, how.share) * n_rows))
    has_text = _has_text(source, keys)
    compared = min(rows_needed(n_parts, how.balance), how.compared_rows)
    in_order = max(draws_needed(n_parts, n_groups, n_rows, tuning), compared)
    by_place = draws_by_place(n_looked, n_parts, n_rows, tuning, has_text=has_text)
    return min(by_place or in_order, n_rows)


def _has_text(source: Source, keys: Sequence[SortKey]) -> bool:
    return any(is_bytes(field_at(source.schema, key.column).type) for key in keys)


def _units(
    source: Source, pieces: Sequence[Piece], names: Sequence[str], tuning: SampleTuning
) -> list[_Unit]:
    """Return what can be read for the sample, in order: all row groups."""
    enough = min(tuning.unit_rows, source.n_rows // tuning.fewest_units)
    units = []
    for part, piece in enumerate(pieces):
        row = 0
        for groups in _runs(source.row_groups, piece, enough):
            of_unit = [source.row_groups[g] for g in groups]
            key_bytes = sum(_stored_bytes(g, name) for g in of_unit for name in names)
            n_rows = sum(g.n_rows for g in of_unit)
            file = of_unit[0].file
            if file != of_unit[-1].file:
                file = source.row_groups[piece.first_group].file
            units.append(_Unit(groups, file, part, row, n_rows, key_bytes))
            row += n_rows
    return units


def _stored_bytes(group: RowGroup, name: str) -> int:
    """Return the stored size of a column; of a nested one that of all its leaves."""
    sizes = group.column_bytes
    if name in sizes:
        return sizes[name]
    return sum(size for path, size in sizes.items() if path.startswith(f"{name}."))


def _runs(groups: Sequence[RowGroup], piece: Piece, enough: int) -> Iterator[range]:
    """Yield the row groups of a piece: each by itself, or runs of several in small files."""
    numbers = piece.groups
    if len(piece.files) == 1:
        yield from (range(g, g + 1) for g in numbers)
        return
    start, n_rows = piece.first_group, 0
    for g in numbers:
        n_rows += groups[g].n_rows
        if n_rows >= enough or g + 1 == numbers.stop:
            yield range(start, g + 1)
            start, n_rows = g + 1, 0


def batches(
    tasks: Sequence[SampleTask], batch_rows: int, most: int | None = None
) -> list[tuple[SampleTask, ...]]:
    """Return the tasks in runs that are worth a task of the cluster each, in order.

    Parameters
    ----------
    tasks : sequence of SampleTask
        Row groups to sample.
    batch_rows : int
        Rows that are worth a task.
    most : int, optional
        About how many runs, at the most.
    """
    found: list[list[SampleTask]] = []
    rows = [max(task.piece.n_rows, batch_rows // 64) for task in tasks]
    enough = max(batch_rows, -(-sum(rows) // most) if most else 0)
    n_rows = enough
    for task, its_rows in zip(tasks, rows, strict=True):
        if n_rows >= enough:
            found.append([])
            n_rows = 0
        found[-1].append(task)
        n_rows += its_rows
    return [tuple(batch) for batch in found]


def _choose_units(
    source: Source, units: Sequence[_Unit], tuning: SampleTuning, *, seem_mixed: bool
) -> list[int]:
    """Return the numbers of the units to read first."""
    key_bytes = [unit.key_bytes for unit in units]
    filled = [u for u, unit in enumerate(units) if unit.n_rows]
    total = max(sum(key_bytes), 1)
    allowed = tuning.share * source.stored_bytes if seem_mixed else float(total)
    if not filled:
        return []
    if source.stored_bytes >= tuning.large_bytes:
        return choose_evenly(
            filled, key_bytes, min(allowed, tuning.key_share * total), tuning.seed, fewest=1
        )
    files = [list(of_file) for _, of_file in groupby(filled, lambda u: units[u].file)]
    fewest = -(-tuning.fewest_groups // len(files))
    chosen: list[int] = []
    for of_file in files:
        share = sum(key_bytes[u] for u in of_file) / total
        chosen += choose_evenly(of_file, key_bytes, allowed * share, tuning.seed, fewest=fewest)
    return chosen


def choose_evenly(
    candidates: Sequence[int], cost: Sequence[int], allowed: float, seed: int, *, fewest: int
) -> list[int]:
    """Return about as many candidates as the cost allows, one at random from each stratum."""
    mean = max(sum(cost[g] for g in candidates) / max(len(candidates), 1), 1e-9)
    n = min(len(candidates), max(fewest, int(allowed / mean + 1e-9)))
    rng = np.random.default_rng([seed, n, len(candidates)])
    edges = [len(candidates) * i // n for i in range(n + 1)]
    return [candidates[int(rng.integers(a, b))] for a, b in pairwise(edges)]


def _ranges(source: Source, name: str, units: Sequence[_Unit]) -> dict[int, Range]:
    """Return the footers' range of a column, by unit, as it is stored."""
    ends = known_ends(source.ranges(name))
    ranges: dict[int, Range] = {}
    for unit in units:
        of_unit = [ends[g] for g in unit.groups if g in ends]
        if len(of_unit) == len(unit.groups):
            low, high = min(r[0] for r in of_unit), max(r[1] for r in of_unit)
            ranges[unit.groups.start] = low, high
    return ranges


def known_ends(told: Mapping[int, Told]) -> dict[int, Range]:
    """Return minimum and maximum of the row groups that tell them, by number.

    None does where files store the column in two ways: decimals as numbers, and as bytes.
    """
    ends = {g: (r.low, r.high) for g, r in told.items() if r.low is not None}
    return ends if len({type(low) for low, _ in ends.values()}) < 2 else {}


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
