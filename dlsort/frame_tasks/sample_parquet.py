"""Sample, for partitions that Dask reads from Parquet files: of a few row groups of each.

Only key columns are read. The row groups of a partition that were read are compared, and if
they differ, the others are read too. From 1 GiB on, what is left unread borrows the keys of
what was read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.types as pt

from dlsort.frame_tasks.keys import FrameSample, KeyTypes, encode_keys
from dlsort.frame_tasks.plan import FramePlan, dtype_at, is_objects
from dlsort.frame_tasks.sample import (
    align_keys,
    count_draws,
    find_ends,
    first_group,
    sample_keys,
    span,
)
from dlsort.frame_tasks.table import values_at
from dlsort.io.parquet.statistics import range_of
from dlsort.keys import SortKey
from dlsort.model.sample import Sample, are_mixed, draw_by_place
from dlsort.model.sample_plan import Range, choose_donors, choose_evenly, known_ends, overlap
from dlsort.order.words import key_table
from dlsort.tuning import Tuning
from dlsort_cluster.frames.parquet import PartitionReads, RowGroup

__all__ = ["sample_parquet"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Footer:
    """What a partition's footers say of its row groups.

    Parameters
    ----------
    groups : list of RowGroup
        Where they are.
    n_rows, key_bytes : (g,) int64
        Rows; stored bytes of the key columns.
    stored_bytes : int
        Stored bytes of all columns and row groups.
    ranges : dict of int to (low, high)
        Range of the first key column, as it is stored, by row group.
    n_nulls : dict of int to int
        Nulls in the first key column, by row group, where the footer tells.
    """

    groups: list[RowGroup]
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
        Of the key columns. Where one holds objects or categories, all of it is read.
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
    # From that size on keys are moved to where the footers say that unread ones are.
    can_move = (
        footer.stored_bytes * plan.n_inputs >= plan.tuning.sample.large_bytes
        and not plan.together
        and len(footer.ranges) == len(footer.filled) > 0
    )
    chosen = _choose(plan, footer, input_id, can_move=can_move)
    first = first_group(input_id)
    if chosen is None:
        found = sample_keys(plan, reads.read_all(), input_id)
        return replace(found, ranges={first: span(footer.ranges)} if can_move else {})
    read = (
        reads.read([footer.groups[g] for g in chosen])
        if chosen
        else plan.like[plan.column_labels]
    )
    frame, _ = align_keys(plan, read, input_id)
    if chosen and not _is_declared(plan, read):
        return sample_keys(plan, reads.read_all(), input_id)  # some values do not tell of all
    found = _draw_from(plan, frame, footer, chosen, input_id)
    if can_move:
        return replace(found, ranges={first + g: r for g, r in footer.ranges.items()})
    if not are_mixed(*_to_compare(plan, found)):
        return sample_keys(plan, reads.read_all(), input_id)
    if not plan.together:
        return found
    ends, has_null = find_ends(plan, values_at(frame, plan, plan.by[0]), None, {})
    return replace(found, ends=ends, has_null=has_null or any(footer.n_nulls.values()))


def _is_declared(plan: FramePlan, read: pd.DataFrame) -> bool:
    """Return whether key columns have the declared dtypes, or hold nulls beside them."""
    for position in plan.by:
        declared = plan.dtype(position)
        found = read[plan.label(position)].dtype if position >= 0 else dtype_at(read, position)
        gaps = {"i": np.float64, "u": np.float64, "b": object}
        as_read = gaps.get(declared.kind) if isinstance(declared, np.dtype) else None
        if found not in (declared, as_read):
            return False
    return True


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
    n_rows, key_bytes = np.zeros((2, len(groups)), np.int64)
    told = {}
    stored = 0
    for g, group in enumerate(groups):
        metadata, leaves = group.footer.row_group(group.number), group.footer.schema
        columns = [leaves.column(i) for i in range(metadata.num_columns)]
        # A column "a.b" has the path of the field b of a struct a.
        places = {leaf.name: i for i, leaf in enumerate(columns) if leaf.name == leaf.path}
        chunks = [metadata.column(i) for i in range(metadata.num_columns)]
        stored += sum(chunk.total_compressed_size for chunk in chunks)
        of_keys = [chunks[places[name]] for name in names if name in places]
        key_bytes[g] = sum(chunk.total_compressed_size for chunk in of_keys or chunks)
        is_stored = names[0] in reads.columns and names[0] in places
        if is_stored and (found := range_of(chunks[places[names[0]]])):
            told[g] = found
        n_rows[g] = metadata.num_rows
    n_nulls = {g: r.n_nulls for g, r in told.items() if r.n_nulls is not None}
    return Footer(groups, n_rows, key_bytes, stored, known_ends(told), n_nulls)


def _choose(
    plan: FramePlan, footer: Footer, input_id: int, *, can_move: bool
) -> list[int] | None:
    """Return the row groups to read, ascending; None for all."""
    filled, key_bytes = footer.filled, footer.key_bytes
    if not filled or (plan.together and not _tells_ends(plan, footer)):
        return None
    total = float(key_bytes.sum())
    ranges, tuning = footer.ranges, plan.tuning.sample
    seem_mixed = not ranges or overlap(list(ranges.values())) >= tuning.overlap
    allowed = tuning.share * footer.stored_bytes if seem_mixed else total
    if can_move:
        allowed = min(allowed, tuning.key_share * total)
        share = allowed * len(filled) / max(total, 1.0)
        rng = np.random.default_rng([tuning.seed, input_id])
        if rng.random() >= max(share, plan.tuning.frames.fewest_partitions / plan.n_inputs):
            return []
    rows_each = footer.n_rows.sum() / len(filled)
    fewest = 1 if can_move else max(2, math.ceil(count_draws(plan) / rows_each))
    chosen = set(choose_evenly(filled, key_bytes.tolist(), allowed, tuning.seed, fewest=fewest))
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
    n_draws = count_draws(plan)
    rows, places, weights, groups, sources = [], [], [], [], []
    for group in footer.filled if chosen else []:
        i = chosen.index(donors[group])
        n_here = int(ends[i + 1] - ends[i])
        share = n_draws * footer.n_rows[group] / footer.n_rows.sum()
        drawn = draw_by_place(
            n_here, math.ceil(share), plan.tuning.sample.seed, input_id, group
        )
        n_rows = n_here * footer.n_rows[group] / footer.n_rows[donors[group]]
        rows.append(ends[i] + drawn)
        places.append((starts[group] * kept + drawn * n_rows / max(n_here, 1)).astype(np.int64))
        weights.append(np.full(len(drawn), n_rows / max(len(drawn), 1)))
        groups.append(np.full(len(drawn), group))
        sources.append(np.full(len(drawn), donors[group]))
    none = np.empty(0, np.int64)
    first = first_group(input_id)
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


def _to_compare(
    plan: FramePlan, found: FrameSample
) -> tuple[Sample, Sequence[SortKey], int, Tuning]:
    """Return what :func:`are_mixed` takes."""
    keys = key_table(encode_keys(plan, found.keys, KeyTypes({}, {})), plan.keys)
    part = np.full(len(found.rows), found.part, np.int64)
    sample = Sample(keys, part, found.rows, found.weights, found.groups, found.donors)
    return sample, plan.keys, plan.n_parts, plan.tuning
