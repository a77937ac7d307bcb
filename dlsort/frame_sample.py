"""Sample, for partitions that are pandas DataFrames: a few keys of every one.

Where Dask reads them from Parquet files, a few row groups of each are read, with their key
columns only; those of a partition are compared, and if they differ, the others are read too.
From 1 GiB on, what is left unread borrows the keys of what was read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.types as pt

from dlsort.frame_keys import KeyTypes, encode_keys
from dlsort.frame_plan import FramePlan, is_objects
from dlsort.keys import SortKey
from dlsort.object_keys import Census, agree, take_census
from dlsort.options import TUNING
from dlsort.order import first_rows
from dlsort.pandas_arrow import align, values_at
from dlsort.ranks import rank_dictionaries
from dlsort.sample import Sample, are_mixed, rows_needed
from dlsort.sample_plan import Range, choose_donors, choose_evenly, overlap
from dlsort.words import key_columns, key_table
from dlsort_cluster.parquet import PartitionReads

__all__ = ["FrameSample", "lend_keys", "sample_keys", "sample_parquet"]

Ints = npt.NDArray[np.int64]
FEWEST_PARTITIONS = 32  # that are read of a large source, on average, at the least


@dataclass(frozen=True)
class FrameSample:
    """Some keys of one partition, and what its whole key columns are.

    Parameters
    ----------
    keys : list of array
        (k) values of each key column, as pandas has them.
    part : int
        The input partition.
    rows : (k,) int64
        Which rows of it these are, or stand for.
    n_rows : int
        How many rows it has, about.
    weights : (k,) float64
        How many of its rows each one stands for.
    censuses : dict of int to Census
        Of each object column, by its place in the key.
    ends : array
        The first and last value of the first key column that is not null; none, if all are
        or nobody asked.
    has_null : bool
        Whether one is, if somebody asked.
    groups, donors : (k,) int64
        The row group that each one stands for, and that it was read from.
    ranges : dict of int to (low, high)
        The footers' range of the first key column, by row group, where some stay unread
        although they may differ.
    """

    keys: list[Any]
    part: int
    rows: Ints
    n_rows: int
    weights: npt.NDArray[np.float64]
    censuses: dict[int, Census]
    ends: Any
    has_null: bool
    groups: Ints
    donors: Ints
    ranges: Mapping[int, Range] = field(default_factory=dict)


def sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> FrameSample:
    """Draw rows of one partition's key columns, which are here as a whole."""
    frame = _align_keys(plan, frame, input_id)
    rows = _draw(len(frame), _n_draws(plan), input_id)
    keys = [values_at(frame, plan, position) for position in plan.by]
    censuses = {
        place: take_census(keys[place])
        for place, position in enumerate(plan.by)
        if plan.is_object(position)
    }
    ends, has_null = _ends(plan, keys[0], censuses) if plan.together else (None, False)
    return FrameSample(
        [values[rows] for values in keys],
        input_id,
        rows,
        len(frame),
        np.full(len(rows), len(frame) / max(len(rows), 1)),
        censuses,
        ends,
        has_null,
        *2 * (np.full(len(rows), _first_group(input_id)),),
    )


def _align_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> pd.DataFrame:
    """Return the key columns, and the index, as the frame declares them."""
    if not plan.column_labels:
        frame = frame.iloc[:, :0]  # one was read all the same, so that there are rows
    return align(frame, plan.like[plan.column_labels], input_id)


def _n_draws(plan: FramePlan) -> int:
    """Return how many rows to draw of a partition, if it has as many."""
    share = TUNING.frame_oversample * plan.upsample * rows_needed(plan.n_parts)
    return math.ceil(share / plan.n_inputs)


def _draw(n_rows: int, n_draws: int, *seed: int) -> Ints:
    """Draw one row from each of equally long runs of rows.

    As good as a uniform sample where rows lie at random, and better where they are in order.
    """
    n_draws = min(n_rows, n_draws)
    edges = np.arange(n_draws + 1) * n_rows // max(n_draws, 1)
    rng = np.random.default_rng([TUNING.sample_seed, *seed])
    return edges[:-1] + (rng.random(n_draws) * np.diff(edges)).astype(np.int64)


def _first_group(input_id: int) -> int:
    """Return the number of a partition's first row group among those of all partitions."""
    return input_id << 32


def _ends(plan: FramePlan, values: Any, censuses: dict[int, Census]) -> tuple[Any, bool]:
    """Return the first and last value of a key column that is not null; whether one is."""
    only = replace(plan, by=plan.by[:1], descending=plan.descending[:1])
    objects = {0: agree([censuses[0]], plan.label(plan.by[0]))} if censuses else {}
    table = encode_keys(only, [values], KeyTypes(objects, {}))
    columns = key_columns(rank_dictionaries(table))
    valid = np.flatnonzero(~columns[0].null) if columns[0].null is not None else None
    if valid is not None:
        columns = [columns[0].take(valid.astype(np.uint32))]
    if not len(columns[0]):
        return values[:0], valid is not None
    (key,) = only.keys
    turned = SortKey(key.column, not key.descending, key.nulls_first)
    rows = np.concatenate([first_rows(columns, [k], 1) for k in (key, turned)])
    return values[rows if valid is None else valid[rows]], valid is not None


# ---------------------------------------------------------------- from Parquet


@dataclass(frozen=True)
class Footer:
    """What a partition's footers say of its row groups.

    Parameters
    ----------
    n_rows, key_bytes : (g,) int64
        Rows; stored bytes of the key columns.
    stored_bytes : int
        Stored bytes of all columns and row groups.
    ranges : dict of int to (low, high)
        Range of the first key column, as it is stored, by row group.
    n_nulls : dict of int to int
        Nulls in the first key column, by row group, where the footer tells.
    """

    n_rows: Ints
    key_bytes: Ints
    stored_bytes: int
    ranges: Mapping[int, Range]
    n_nulls: Mapping[int, int]

    @property
    def filled(self) -> list[int]:
        """Numbers of the row groups that have rows."""
        return [int(g) for g in np.flatnonzero(self.n_rows)]


def sample_parquet(plan: FramePlan, reads: PartitionReads, input_id: int) -> FrameSample:
    """Draw rows of one partition's key columns, of as few row groups as will do.

    Parameters
    ----------
    plan : FramePlan
        Of the key columns; none of them objects or a categorical.
    reads : PartitionReads
        What the partition is read from.
    input_id : int
        Its number.

    Notes
    -----
    A twentieth of the partition's bytes is read, at least two row groups and as many rows as
    are drawn, if the ranges of the first key column overlap or are not known; then a
    chi-squared test compares the keys of those. For an index with known divisions, the row
    groups with the lowest and the highest value are read too.
    """
    if not _can_read_some(plan, reads):
        return sample_keys(plan, reads.read_all(), input_id)
    footer = _read_footer(plan, reads)
    # From there on keys are moved to where the footers say that unread row groups have theirs.
    can_move = (
        footer.stored_bytes * plan.n_inputs >= TUNING.large_bytes
        and not plan.together
        and len(footer.ranges) == len(footer.filled) > 0
    )
    chosen = _choose(plan, footer, input_id, can_move=can_move)
    first = _first_group(input_id)
    if chosen is None:
        found = sample_keys(plan, reads.read_all(), input_id)
        return replace(found, ranges={first: _union(footer.ranges)} if can_move else {})
    read = reads.read(chosen) if chosen else plan.like[plan.column_labels]
    frame = _align_keys(plan, read, input_id)
    found = _draw_from(plan, frame, footer, chosen, input_id)
    if can_move:
        return replace(found, ranges={first + g: r for g, r in footer.ranges.items()})
    if not are_mixed(*_to_compare(plan, found)):
        return sample_keys(plan, reads.read_all(), input_id)
    if not plan.together:
        return found
    ends, has_null = _ends(plan, values_at(frame, plan, plan.by[0]), {})
    return replace(found, ends=ends, has_null=has_null or any(footer.n_nulls.values()))


def _can_read_some(plan: FramePlan, reads: PartitionReads) -> bool:
    """Return whether some values tell what all of a key column are, and where they are."""
    dtypes = [plan.dtype(position) for position in plan.by]
    if any(is_objects(d) or isinstance(d, pd.CategoricalDtype) for d in dtypes):
        return False
    # An index that is not stored is made up, from 0 on, of whatever is read.
    return all(p >= 0 or plan.label(p) in reads.columns for p in plan.by)


def _read_footer(plan: FramePlan, reads: PartitionReads) -> Footer:
    groups = reads.row_groups()
    names = [plan.label(position) for position in plan.by]
    key_bytes = np.zeros(len(groups), np.int64)
    ranges: dict[int, Range] = {}
    n_nulls: dict[int, int] = {}
    stored = 0
    for g, group in enumerate(groups):
        chunks = [group.metadata.column(i) for i in range(group.metadata.num_columns)]
        stored += sum(chunk.total_compressed_size for chunk in chunks)
        of_keys = [chunks[group.columns[name]] for name in names if name in group.columns]
        key_bytes[g] = sum(chunk.total_compressed_size for chunk in of_keys or chunks)
        is_stored = names[0] in reads.columns and names[0] in group.columns
        statistics = chunks[group.columns[names[0]]].statistics if is_stored else None
        if statistics is not None and statistics.has_null_count:
            n_nulls[g] = statistics.null_count
        if statistics is not None and statistics.has_min_max:
            ranges[g] = (statistics.min_raw, statistics.max_raw)
    n_rows = np.array([group.metadata.num_rows for group in groups], np.int64)
    return Footer(n_rows, key_bytes, stored, ranges, n_nulls)


def _choose(
    plan: FramePlan, footer: Footer, input_id: int, *, can_move: bool
) -> list[int] | None:
    """Return the row groups to read, ascending; None for all."""
    filled, key_bytes = footer.filled, footer.key_bytes
    if not filled or (plan.together and not _tells_ends(plan, footer)):
        return None
    total = float(key_bytes.sum())
    ranges = footer.ranges
    seem_mixed = not ranges or overlap(list(ranges.values())) >= TUNING.sample_overlap
    allowed = TUNING.sample_share * footer.stored_bytes if seem_mixed else total
    if can_move:
        allowed = min(allowed, TUNING.sample_key_share * total)
        share = allowed * len(filled) / max(total, 1.0)
        rng = np.random.default_rng([TUNING.sample_seed, input_id])
        if rng.random() >= max(share, FEWEST_PARTITIONS / plan.n_inputs):
            return []
    rows_each = footer.n_rows.sum() / len(filled)
    fewest = 1 if can_move else max(2, math.ceil(_n_draws(plan) / rows_each))
    chosen = set(choose_evenly(filled, key_bytes.tolist(), allowed, fewest=fewest))
    if plan.together:
        chosen |= {min(ranges, key=lambda g: ranges[g][0])}
        chosen |= {max(ranges, key=lambda g: ranges[g][1])}
    return sorted(chosen) if len(chosen) < len(filled) else None


def _tells_ends(plan: FramePlan, footer: Footer) -> bool:
    """Return whether the footers tell where the first and the last value are.

    Text may be cut short there, and what is stored as unsigned be shown as signed.
    """
    kind = (
        encode_keys(plan, [values_at(plan.like, plan, p) for p in plan.by], KeyTypes({}, {}))
        .schema.field(0)
        .type
    )
    if not (pt.is_signed_integer(kind) or pt.is_temporal(kind)):
        return False
    # A row group of nulls alone has no range.
    return bool(footer.ranges) and all(
        g in footer.n_nulls and (g in footer.ranges or footer.n_nulls[g] == footer.n_rows[g])
        for g in footer.filled
    )


def _draw_from(
    plan: FramePlan, frame: pd.DataFrame, footer: Footer, chosen: list[int], input_id: int
) -> FrameSample:
    """Draw for every row group, from its own rows or those of the nearest that was read."""
    n_read = int(footer.n_rows[chosen].sum())
    kept = len(frame) / max(n_read, 1)  # a filter may have left rows out
    ends = np.cumsum([0, *footer.n_rows[chosen]]) * len(frame) // max(n_read, 1)
    starts = np.cumsum([0, *footer.n_rows])
    donors = choose_donors(np.zeros(len(footer.n_rows), np.int64), chosen)
    n_draws = _n_draws(plan)
    rows, places, weights, groups, sources = [], [], [], [], []
    for group in footer.filled if chosen else []:
        i = chosen.index(donors[group])
        n_here = int(ends[i + 1] - ends[i])
        share = n_draws * footer.n_rows[group] / footer.n_rows.sum()
        drawn = _draw(n_here, math.ceil(share), input_id, group)
        n_rows = n_here * footer.n_rows[group] / footer.n_rows[donors[group]]
        rows.append(ends[i] + drawn)
        places.append((starts[group] * kept + drawn * n_rows / max(n_here, 1)).astype(np.int64))
        weights.append(np.full(len(drawn), n_rows / max(len(drawn), 1)))
        groups.append(np.full(len(drawn), group))
        sources.append(np.full(len(drawn), donors[group]))
    none = np.empty(0, np.int64)
    first = _first_group(input_id)
    at = np.concatenate([none, *rows])
    n_rows = footer.n_rows.sum() * (kept if chosen else 1.0)
    return FrameSample(
        [values_at(frame, plan, position)[at] for position in plan.by],
        input_id,
        np.concatenate([none, *places]),
        round(float(n_rows)),
        np.concatenate([none.astype(np.float64), *weights]),
        {},
        None,
        has_null=False,
        groups=first + np.concatenate([none, *groups]),
        donors=first + np.concatenate([none, *sources]),
    )


def _to_compare(plan: FramePlan, found: FrameSample) -> tuple[Sample, Sequence[SortKey], int]:
    """Return what :func:`are_mixed` takes."""
    keys = key_table(encode_keys(plan, found.keys, KeyTypes({}, {})), plan.keys)
    part = np.full(len(found.rows), found.part, np.int64)
    sample = Sample(keys, part, found.rows, found.weights, found.groups, found.donors)
    return sample, plan.keys, plan.n_parts


def lend_keys(samples: Sequence[FrameSample]) -> list[FrameSample]:
    """Give partitions of which nothing was read the keys of the nearest that was."""
    lenders = np.array([s.part for s in samples if len(s.rows)])
    if not len(lenders):
        return list(samples)
    by_part = {s.part: s for s in samples}
    found = []
    for s in samples:
        if len(s.rows) or not s.n_rows or not s.ranges:
            found.append(s)
            continue
        donor = by_part[int(lenders[np.abs(lenders - s.part).argmin()])]
        found.append(
            replace(
                s,
                keys=donor.keys,
                rows=donor.rows * s.n_rows // max(donor.n_rows, 1),
                weights=donor.weights * (s.n_rows / max(float(donor.weights.sum()), 1.0)),
                groups=np.full(len(donor.rows), _first_group(s.part)),
                donors=donor.donors,
                ranges={_first_group(s.part): _union(s.ranges)},
            )
        )
    return found


def _union(ranges: Mapping[int, Range]) -> Range:
    return min(r[0] for r in ranges.values()), max(r[1] for r in ranges.values())
