"""Sample, for partitions that are pandas DataFrames: a few keys of every one.

Where Dask reads them from Parquet files, see :mod:`dlsort.frame_tasks.sample_parquet`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dlsort.frame_tasks.found import Joint, Seen, agrees
from dlsort.frame_tasks.keys import FrameSample, KeyTypes, census_of, encode_keys, with_dtypes
from dlsort.frame_tasks.objects import Census, agree
from dlsort.frame_tasks.plan import FramePlan
from dlsort.frame_tasks.table import align, values_at
from dlsort.model.sample import draw_by_place, rows_needed
from dlsort.model.sample_plan import Range
from dlsort.order.argsort import first_rows
from dlsort.order.ranks import normal_keys

__all__ = [
    "align_keys",
    "count_draws",
    "find_ends",
    "first_group",
    "lend_keys",
    "sample_keys",
    "span",
]

Ints = npt.NDArray[np.int64]


def sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> FrameSample:
    """Draw rows of one partition's key columns, which are here as a whole."""
    frame, seen = align_keys(plan, frame, input_id)
    rows = draw_by_place(len(frame), count_draws(plan), plan.tuning.sample.seed, input_id)
    keys = [values_at(frame, plan, position) for position in plan.by]
    censuses = {
        place: census_of(keys[place])
        for place, position in enumerate(plan.by)
        if plan.is_object(position)
        or (place in seen and not agrees(seen[place].travels, plan.dtype(position)))
    }
    ends, has_null = None, False
    if plan.together:
        ends, has_null = find_ends(plan, keys[0], seen.get(0), censuses)
    return FrameSample(
        [values[rows] for values in keys],
        input_id,
        rows,
        len(frame),
        np.full(len(rows), len(frame) / max(len(rows), 1)),
        censuses,
        ends,
        has_null,
        *2 * (np.full(len(rows), first_group(input_id)),),
        seen=seen,
    )


def align_keys(
    plan: FramePlan, frame: pd.DataFrame, input_id: int
) -> tuple[pd.DataFrame, dict[int, Seen]]:
    """Return the key columns, and the index, as the frame declares them.

    What was not as declared is told beside, by place in the key.
    """
    if not plan.column_labels:
        frame = frame.iloc[:, :0]  # one was read all the same, so that there are rows
    frame, seen = align(frame, plan.of_keys().like, input_id)
    places = {position: place for place, position in enumerate(plan.of_keys().by)}
    return frame, {
        places[position]: was for position, was in seen.items() if position in places
    }


def count_draws(plan: FramePlan) -> int:
    """Return how many rows to draw of a partition, if it has as many."""
    tuning = plan.tuning
    needed = rows_needed(plan.n_parts, tuning.sample.balance)
    share = tuning.frames.oversample * plan.upsample * needed
    return math.ceil(share / plan.n_inputs)


def first_group(input_id: int) -> int:
    """Return the number of a partition's first row group among those of all partitions."""
    return input_id << 32


def find_ends(
    plan: FramePlan, values: Any, seen: Seen | None, censuses: dict[int, Census]
) -> tuple[Any, bool]:
    """Return the first and last value of a key column that is not null; whether one is."""
    only = replace(plan, by=plan.by[:1], descending=plan.descending[:1])
    only = with_dtypes(only, {0: Joint(seen.travels, ())} if seen else {})
    (position,) = only.by
    objects = (
        {0: agree([censuses[0]], only.label(position))} if only.is_object(position) else {}
    )
    table = encode_keys(only, [values], KeyTypes(objects, {}))
    columns = normal_keys(table, only.keys, plan.tuning.order).columns()
    valid = np.flatnonzero(~columns[0].null) if columns[0].null is not None else None
    if valid is not None:
        columns = [columns[0].take(valid.astype(np.uint32))]
    if not len(columns[0]):
        return values[:0], valid is not None
    (key,) = only.keys
    turned = replace(key, descending=not key.descending)
    ends = [first_rows(columns, [k], 1, plan.tuning.order) for k in (key, turned)]
    rows = np.concatenate(ends)
    return values[rows if valid is None else valid[rows]], valid is not None


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
                groups=np.full(len(donor.rows), first_group(s.part)),
                donors=donor.donors,
                ranges={first_group(s.part): span(s.ranges)},
            )
        )
    return found


def span(ranges: Mapping[int, Range]) -> Range:
    """Return the range of all row groups together."""
    return min(r[0] for r in ranges.values()), max(r[1] for r in ranges.values())
