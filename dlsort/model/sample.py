"""Sample: a few keys of every row group, read without touching the payload.

A row group that isn't read borrows the keys of a read neighbour and keeps its
own place and weight, so that sampled rows always stand for all rows and equal
keys are split evenly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import array_of
from dlsort.arrow.paths import top_columns_of
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import combine, concat_rows
from dlsort.arrow.views import fixed_view, nulls
from dlsort.io.parquet.reader import read_piece
from dlsort.io.source import Piece
from dlsort.keys import SortKey
from dlsort.order.argsort import argsort
from dlsort.order.bands import count_bands
from dlsort.order.words import key_table
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import SampleTuning, Tuning

__all__ = [
    "Draw",
    "Sample",
    "SampleTask",
    "are_mixed",
    "draw_by_place",
    "draw_in_order",
    "draws_by_place",
    "draws_needed",
    "join_samples",
    "move_keys",
    "promised",
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
    """One row group to read the key columns of, and what to draw from it.

    ``by_place``: rows are drawn at random, and not put in order to be drawn evenly.
    """

    piece: Piece
    draws: tuple[Draw, ...]
    by_place: bool = False


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
    group, donor : (m,) int64
        The row group it stands for, and the one that its key was read from.
    """

    keys: pa.Table
    part: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    group: npt.NDArray[np.int64]
    donor: npt.NDArray[np.int64]

    def at(self, rows: npt.NDArray[Any]) -> Sample:
        """Return some of its rows, by number or by mask."""
        numbers = np.arange(len(self.part), dtype=np.uint32)[rows]
        return Sample(
            take_table(self.keys, numbers),
            self.part[rows],
            self.row[rows],
            self.weight[rows],
            self.group[rows],
            self.donor[rows],
        )


def rows_needed(n_parts: int, balance: float) -> int:
    """Return how many rows to sample so that the largest partition stays in balance.

    Notes
    -----
    The largest of p partitions with k sampled keys each is about
    1 + √(2 ln p / k) of the mean, so k = 2 ln p / (balance − 1)².
    """
    if n_parts < 2:
        return 1
    return math.ceil(n_parts * 2 * math.log(max(n_parts, 3)) / (balance - 1) ** 2)


def draws_needed(n_parts: int, n_groups: int, n_rows: int, tuning: Tuning) -> int:
    """Return how many rows to draw from sorted row groups for a balance well within reach.

    Parameters
    ----------
    n_parts : int
        Number of output partitions.
    n_groups, n_rows : int
        Row groups and rows of the source.
    tuning : Tuning
        The balance that is wanted, and how many bands a partition has.

    Notes
    -----
    With m rows for each drawn one, the rank of a key in a row group is off by a uniform
    error of deviation m / √12, a partition of g row groups by m √(g / 6), and the largest of p
    by √(2 ln p) times that. Half of what the balance allows is spent on it: what else there is
    comes from the row groups that aren't read (:func:`rows_needed`).
    """
    if n_parts < 2:
        return 1
    spread = math.sqrt(n_groups * math.log(max(n_parts, 3)) / 3)
    even = n_parts * spread / ((tuning.sample.balance - 1) / 2)
    n_bands = n_parts * count_bands(n_rows, n_parts, tuning.order)
    bands = tuning.sample.draws_a_band * n_bands
    return min(rows_needed(n_parts, tuning.sample.balance), math.ceil(max(even, bands)))


def draws_by_place(
    n_looked: int, n_parts: int, n_rows: int, tuning: Tuning, *, has_text: bool
) -> int:
    """Return how many rows to draw by their places; 0 where rows in order cost less.

    Parameters
    ----------
    n_looked : int
        Rows of the row groups that are read: as many would be put in order.
    n_parts, n_rows : int
        Output partitions, and rows of the source.
    tuning : Tuning
        The balance that is promised, and what rows take.
    has_text : bool
        Some key column is of text.

    Notes
    -----
    Both are of the same kind, processor time for a row, so that their ratio is that of any
    machine. Drawn by place, the largest partition is expected (:func:`rows_needed`) within
    three tenths of the promise, which costs that share of a part at the end of a job. In order
    as many are drawn as show whether row groups are alike.
    """
    how = tuning.sample
    aimed = 1 + how.by_place_share * (promised(n_rows, n_parts, how) - 1)
    wanted = rows_needed(n_parts, aimed)
    in_order = min(rows_needed(n_parts, how.balance), how.compared_rows)
    saved = n_looked * (how.ordered_text_ns if has_text else how.ordered_ns)
    is_cheaper = wanted <= how.compared_rows and (wanted - in_order) * how.draw_ns < saved
    return wanted if is_cheaper else 0


def promised(n_rows: int, n_parts: int, tuning: SampleTuning) -> float:
    """Return the balance that is promised for parts of so many rows."""
    return tuning.promised if n_rows >= tuning.promised_rows * n_parts else tuning.promised_few


def take_sample(
    task: SampleTask,
    schema: pa.Schema,
    keys: tuple[SortKey, ...],
    as_dictionary: Sequence[str],
    tuning: Tuning,
    most_bytes: int = UNBOUNDED,
) -> Sample:
    """Read one row group's key columns and draw from them.

    Returns
    -------
    Sample
        Places of borrowed keys are scaled to the row group they stand for, and all of them to
        the rows that are kept. Nothing is drawn where none is.
    """
    names = top_columns_of(schema, keys)
    rows_read = read_piece(task.piece, schema, names, tuning.io, as_dictionary, most_bytes)
    table = key_table(rows_read, keys)
    n = table.num_rows
    if not n:
        return join_samples((), table)
    share = n / task.piece.n_rows
    order = None if task.by_place else argsort(table, keys, tuning.order)
    rows, parts, places, weights, groups = [], [], [], [], []
    for draw in task.draws:
        seed = tuning.sample.seed, draw.group
        if order is None:
            drawn = draw_by_place(n, draw.n_draws, *seed)
        else:
            drawn = draw_in_order(order, draw.n_draws, *seed).astype(np.int64)
        rows.append(drawn.astype(np.uint32))
        parts.append(np.full(len(drawn), draw.part, np.int64))
        place = draw.first_row + drawn * draw.n_rows // n
        places.append(place if share == 1 else (place * share).astype(np.int64))
        weights.append(np.full(len(drawn), draw.n_rows * share / len(drawn)))
        groups.append(np.full(len(drawn), draw.group))
    return Sample(
        take_table(table, np.concatenate(rows)),
        np.concatenate(parts),
        np.concatenate(places),
        np.concatenate(weights),
        np.concatenate(groups),
        np.full(sum(map(len, groups)), task.piece.first_group),
    )


def draw_in_order(
    order: npt.NDArray[np.uint32], n_draws: int, *seed: int
) -> npt.NDArray[np.uint32]:
    """Draw rows whose keys are evenly spaced, where the sorted order of all is known.

    Returns
    -------
    (min(n_draws, n),) uint32
        Row numbers, ascending.

    Notes
    -----
    Systematic sampling: evenly spaced rows of the sorted order (ties in the order of rows),
    from a start of its own for each draw. The distribution is then known to one drawn row at
    any place, where rows drawn at random are off by the square root of their number.
    """
    n = len(order)
    n_draws = min(n, n_draws)
    start = np.random.default_rng(seed).random()
    ranks = ((np.arange(n_draws) + start) * n / n_draws).astype(np.int64)
    return np.sort(order[np.minimum(ranks, n - 1)])


def draw_by_place(n_rows: int, n_draws: int, *seed: int) -> npt.NDArray[np.int64]:
    """Draw one row from each of equally long runs of rows, where no order is known.

    Returns
    -------
    (min(n_draws, n_rows),) int64
        Row numbers, ascending.

    Notes
    -----
    Stratified sampling: as good as a uniform sample where rows lie at random, and better
    where they are in order. It wants about ten times the draws of :func:`draw_in_order` for the
    same balance, and reads none of the other rows: the way where rows are in memory as pandas
    has them, and where sorting all keys costs more than the draws (:func:`draws_by_place`).
    """
    n_draws = min(n_rows, n_draws)
    edges = np.arange(n_draws + 1) * n_rows // max(n_draws, 1)
    rng = np.random.default_rng(seed)
    return edges[:-1] + (rng.random(n_draws) * np.diff(edges)).astype(np.int64)


def join_samples(samples: Sequence[Sample], empty: pa.Table) -> Sample:
    """Return all samples as one; ``empty`` gives the schema where there is none."""
    if not samples:
        none = np.empty(0, np.int64)
        return Sample(empty, none, none, np.empty(0), none, none)
    return Sample(
        concat_rows([s.keys for s in samples]),
        np.concatenate([s.part for s in samples]),
        np.concatenate([s.row for s in samples]),
        np.concatenate([s.weight for s in samples]),
        np.concatenate([s.group for s in samples]),
        np.concatenate([s.donor for s in samples]),
    )


def are_mixed(sample: Sample, keys: Sequence[SortKey], n_parts: int, tuning: Tuning) -> bool:
    """Return whether the row groups that were read have keys of one distribution.

    Parameters
    ----------
    sample : Sample
        Of all row groups that were read so far.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions.
    tuning : Tuning
        Of the sort, and the seed.

    Returns
    -------
    bool
        True if a chi-squared test of homogeneity, over cells of equal depth,
        finds no more between row groups than chance gives (three deviations).
    """
    own = sample.at(sample.group == sample.donor)
    numbers, of_group = np.unique(own.group, return_inverse=True)
    n, n_groups = len(own.part), len(numbers)
    n_cells = min(max(n_parts, 4), 64, n // max(5 * n_groups, 1))
    if n_groups < 2 or n_cells < 2:
        return False
    # equal keys fall into cells at random, so that ties don't look like order
    shuffled = np.random.default_rng(tuning.sample.seed).permutation(n).astype(np.uint32)
    order = shuffled[argsort(take_table(own.keys, shuffled), keys, tuning.order)]
    cell = np.empty(n, np.int64)
    cell[order] = np.arange(n) * n_cells // n
    seen = np.zeros((n_groups, n_cells))
    np.add.at(seen, (of_group, cell), 1)
    expected = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / n
    freedom = (n_groups - 1) * (n_cells - 1)
    chi_squared = float(((seen - expected) ** 2 / expected).sum())
    return chi_squared <= freedom + 3 * math.sqrt(2 * freedom)


def move_keys(sample: Sample, ranges: Mapping[int, tuple[Any, Any]]) -> Sample:
    """Move borrowed keys into the ranges of the row groups they stand for.

    Parameters
    ----------
    sample : Sample
        Its first key column is moved, if it is a number, a date or a time.
    ranges : mapping of int to (low, high)
        Range of that column by row group, as stored.

    Returns
    -------
    Sample
        The same where the ranges don't help.
    """
    column = combine(sample.keys.column(0))
    if not _is_movable(column.type):
        return sample
    values = fixed_view(column).copy()
    null = nulls(column)
    here = np.ones(len(values), np.bool_) if null is None else ~null
    for donor in np.unique(sample.donor):
        read = here & (sample.donor == donor)
        if donor not in ranges or not read.any():
            continue
        low, high = values[read].min(), values[read].max()
        stored_low, stored_high = ranges[donor]
        if not low < high or not stored_low < stored_high:
            continue
        with np.errstate(all="ignore"):  # infinite values have no place in a range
            share = (values.astype(np.float64) - float(low)) / (float(high) - float(low))
        unit = (float(high) - float(low)) / (float(stored_high) - float(stored_low))
        for group in np.unique(sample.group[read]):
            if group != donor and group in ranges:
                at = read & (sample.group == group)
                start, stop = (float(end) - float(stored_low) for end in ranges[group])
                with np.errstate(all="ignore"):
                    there = float(low) + unit * (start + share[at] * (stop - start))
                values[at] = _fitted(there, values[at])
    moved = pa.Array.from_buffers(column.type, len(column), [None, pa.py_buffer(values)], 0)
    if null is not None:
        moved = moved.take(array_of(np.arange(len(values)), null))
    keys = sample.keys.set_column(0, sample.keys.schema.field(0), moved)
    return replace(sample, keys=keys)


def _fitted(
    wanted: npt.NDArray[np.float64], values: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Return what a column can hold of the values wanted for it, or those that it has."""
    wanted = np.where(np.isfinite(wanted), wanted, values)
    if values.dtype.kind == "f":
        return np.where(np.abs(wanted) <= np.finfo(values.dtype).max, wanted, values)
    limits = np.iinfo(values.dtype)
    last = float(limits.max)
    return np.clip(wanted, limits.min, last if last <= limits.max else np.nextafter(last, 0))


def _is_movable(kind: pa.DataType) -> bool:
    flat = pt.is_integer(kind) or pt.is_float32(kind) or pt.is_float64(kind)
    return bool(flat or pt.is_temporal(kind))
