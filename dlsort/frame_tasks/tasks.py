"""The phases of a sort, for partitions that are pandas DataFrames.

:mod:`dlsort.frame_tasks.sample` gives the samples from which :func:`fit` learns the
model, :func:`split` is what every input partition goes through and
:func:`merge` what every output partition goes through. What lies between is
:mod:`dlsort_cluster`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows
from dlsort.errors import BadOptionError, shown
from dlsort.frame_tasks.found import settle_all
from dlsort.frame_tasks.keys import (
    FrameSample,
    KeyTypes,
    align_agreed,
    as_agreed,
    encode_keys,
    find_types,
    recode,
    with_dtypes,
)
from dlsort.frame_tasks.plan import FramePlan
from dlsort.frame_tasks.sample import lend_keys
from dlsort.frame_tasks.table import (
    align,
    plain_array,
    replace_values,
    to_frame,
    to_table,
    values_at,
)
from dlsort.model.cuts import cut_between_keys, cut_inside
from dlsort.model.model import Model, fit_model, model_at
from dlsort.model.partition import find_bands, group
from dlsort.model.sample import Sample, join_samples, move_keys
from dlsort.order.argsort import argsort, order_columns
from dlsort.order.bands import count_bands, join_bands, read_starts
from dlsort.order.ranks import begins_key, normal_keys
from dlsort.order.shard_order import order_shards
from dlsort_cluster.exchange import Shards, Slot, Split

__all__ = [
    "Context",
    "call_sort_function",
    "fit",
    "fit_divisions",
    "merge",
    "split",
]


@dataclass(frozen=True)
class Context:
    """What all partitions were found to agree on.

    Parameters
    ----------
    model : Model
        Where a key belongs.
    types : KeyTypes
        What the keys are.
    divisions : tuple or None
        The first key of each partition and the last of all, if these are to be known.
    is_presorted : bool
        The input partitions' keys ascend from one to the next, and as many are wanted.
    """

    model: Model
    types: KeyTypes
    divisions: tuple[Any, ...] | None
    is_presorted: bool = False


def fit(plan: FramePlan, samples: Sequence[FrameSample]) -> Context:
    """Return the model that the samples teach, and the key's types.

    Raises
    ------
    KeyTypeError
        If an object column holds several types, or categories differ between partitions.
    """
    asked, found, types = plan, samples, find_types(plan, samples)
    tuning = plan.tuning.order
    plan, samples = _as_agreed(plan, samples, types)
    samples = lend_keys(samples)
    weighed = [
        Sample(
            encode_keys(plan, s.keys, types),
            np.full(len(s.rows), s.part, np.int64),
            s.rows,
            s.weights,
            s.groups,
            s.donors,
        )
        for s in samples
    ]
    sample = join_samples(weighed, weighed[0].keys)
    ranges = {group: found for s in samples for group, found in s.ranges.items()}
    if ranges:
        sample = move_keys(sample, ranges)
    if not plan.together:
        model = fit_model(
            sample.keys, sample.part, sample.row, sample.weight, plan.keys, plan.n_parts, tuning
        )
        return Context(model, types, None)
    bounds = _bounds(plan, samples, types)
    if bounds is not None:
        return replace(fit_divisions(asked, bounds, found), is_presorted=True)
    chosen = cut_between_keys(
        sample.keys, sample.part, sample.row, sample.weight, plan.keys, plan.n_parts, tuning
    )
    n_rows = float(sample.weight.sum())
    n_bands = count_bands(n_rows, plan.n_parts, tuning) if len(chosen) else 1
    rows, is_cut = cut_inside(
        sample.keys, sample.part, sample.row, sample.weight, plan.keys, chosen, n_bands, tuning
    )
    # Before all rows of their key, so that it stays together.
    part, row = (np.where(is_cut, -1, place[rows]) for place in (sample.part, sample.row))
    splitters = take_table(sample.keys, rows)
    model = model_at(splitters, part, row, plan.keys, plan.n_parts, tuning, n_bands)
    return Context(model, types, _find_divisions(plan, samples, types, chosen))


def _bounds(
    plan: FramePlan, samples: Sequence[FrameSample], types: KeyTypes
) -> tuple[Any, ...] | None:
    """Return the first key of each input partition and the last of all, if they ascend.

    None if they don't: if two partitions share a key, one has none, one before the last a
    null, or another number of partitions is wanted.
    """
    # Dask may have read several files as one partition, as only the key columns are wanted.
    if not plan.n_parts == plan.n_inputs == len(samples):
        return None
    if not (all(len(s.ends) for s in samples) and _can_be_looked_up(types)):
        return None
    if any(s.has_null for s in samples[:-1]):
        return None
    tuning, keys = plan.tuning.order, plan.keys[:1]
    columns = normal_keys(_encode_ends(plan, samples, types), keys, tuning).columns()
    found = order_columns(columns, keys, tuning, runs=True)
    n = 2 * len(samples)
    if not np.array_equal(found.rows, np.arange(n)):
        return None
    # Equal keys may be the first and last of one partition, never of two.
    begins = begins_key(n, *found.runs)
    if not begins[2::2].all():
        return None
    return (*(_scalar(s.ends, 0) for s in samples), _scalar(samples[-1].ends, 1))


def _can_be_looked_up(types: KeyTypes) -> bool:
    """Return whether values compare as they sort: Dask compares divisions by value."""
    dtype = types.categories.get(0)
    return dtype is None or bool(dtype.categories.is_monotonic_increasing)


def _encode_ends(plan: FramePlan, samples: Sequence[FrameSample], types: KeyTypes) -> pa.Table:
    """Return the first and last key of each partition that has one."""
    only = replace(plan, by=plan.by[:1], descending=plan.descending[:1])
    objects, categories = types.objects, types.categories
    of_first = KeyTypes(
        {0: objects[0]} if 0 in objects else {}, {0: categories[0]} if 0 in categories else {}
    )
    return concat_rows([encode_keys(only, [s.ends], of_first) for s in samples if len(s.ends)])


def _as_agreed(
    plan: FramePlan, samples: Sequence[FrameSample], types: KeyTypes
) -> tuple[FramePlan, Sequence[FrameSample]]:
    """Return the plan and the samples with the dtypes that all partitions agreed on."""
    agreed = types.dtypes
    if not agreed:
        return plan, samples
    of_first = {0: agreed[0]} if 0 in agreed else {}
    found = []
    for s in samples:
        ends = s.ends if s.ends is None else as_agreed(plan, [s.ends], of_first)[0]
        found.append(replace(s, keys=as_agreed(plan, s.keys, agreed), ends=ends))
    return with_dtypes(plan, agreed), found


def _find_divisions(
    plan: FramePlan,
    samples: Sequence[FrameSample],
    types: KeyTypes,
    chosen: npt.NDArray[np.uint32],
) -> tuple[Any, ...]:
    """Return the first key of all, those of the splitters, and the last of all."""
    ends = [s.ends for s in samples if len(s.ends)]
    if not (ends and _can_be_looked_up(types)):
        return (None,) * (len(chosen) + 2)
    starts = np.cumsum([0, *(len(s.rows) for s in samples)])
    which = np.searchsorted(starts, chosen, side="right") - 1
    splitters = [
        _scalar(samples[i].keys[0], row - starts[i])
        for i, row in zip(which, chosen, strict=True)
    ]
    order = argsort(_encode_ends(plan, samples, types), plan.keys[:1], plan.tuning.order)
    first, last = (_scalar(ends[row // 2], row % 2) for row in (order[0], order[-1]))
    return (first, *splitters, last)


def _scalar(values: Any, row: int) -> Any:
    """Return one value as Python or pandas has it: times as timestamps."""
    value = pd.Series(values[[row]], dtype=values.dtype).iloc[0]
    return value.item() if isinstance(value, np.generic) else value


def fit_divisions(
    plan: FramePlan, divisions: Sequence[Any], samples: Sequence[FrameSample]
) -> Context:
    """Return the model whose partitions are those of given divisions.

    Parameters
    ----------
    divisions : sequence
        The first key of each partition, and the last of all.
    samples : sequence of FrameSample
        For the key's types; needed for objects and categories only.

    Raises
    ------
    BadOptionError
        If the divisions are no values of the index.
    """
    types = find_types(plan, samples)
    plan = with_dtypes(plan, types.dtypes)
    (position,) = plan.by
    dtype = plan.dtype(position)
    try:
        inner = pd.Series(list(divisions), dtype=dtype).iloc[1:-1]
    except (TypeError, ValueError) as error:
        msg = (
            f"divisions is {shown(divisions)}; expected values of the index, which is {dtype} "
            "in the partitions."
        )
        raise BadOptionError(msg) from error
    splitters = encode_keys(plan, [plain_array(inner)], types)
    none = np.full(len(inner), -1, np.int64)
    model = model_at(splitters, none, none, plan.keys, plan.n_parts, plan.tuning.order)
    return Context(model, types, tuple(divisions))


def split(plan: FramePlan, frame: pd.DataFrame, context: Context, input_id: int) -> Split:
    """Turn one input partition into Arrow and group its rows by output partition."""
    frame, seen = align(frame, plan.like, input_id)
    plan, frame, seen = align_agreed(plan, frame, seen, context.types.dtypes)
    for place, dtype in context.types.categories.items():
        position = plan.by[place]
        frame = replace_values(frame, position, recode(values_at(frame, plan, position), dtype))
    table = to_table(frame, plan, seen)
    for place, objects in context.types.objects.items():
        position = plan.by[place]
        values = objects.encode(values_at(frame, plan, position))
        table = table.append_column(plan.key_name(position), values)
    model = context.model
    keys = table.select([key.column for key in plan.keys])
    keys = keys.rename_columns([key.column for key in model.keys])
    band = find_bands(keys, model, input_id)
    note = tuple(seen.items()) if len(frame) else None
    return Split(*group(table, band, plan.n_parts, model.n_bands), note=note)


def merge(plan: FramePlan, shards: Shards, context: Context, slot: Slot) -> pd.DataFrame:
    """Return one output partition, sorted, as pandas."""
    plan = with_dtypes(plan, context.types.dtypes)
    names = [key.column for key in plan.keys]
    tables = shards.read_all()
    keys = [table.select(names) for table in tables]
    tuning = plan.tuning.order
    starts = join_bands(read_starts(shards, slot.part, slot.n_parts), tuning)
    order = order_shards(keys, plan.keys, starts, tuning)
    return to_frame(tables, order, plan, slot.first_row, settle_all(plan, slot.notes))


def call_sort_function(
    rows: pd.DataFrame, function: Callable[..., Any], /, **kwargs: Any
) -> pd.DataFrame:
    """Return a partition as a user's function sorts it.

    Raises
    ------
    BadOptionError
        If that gives no frame.
    """
    found = function(rows, **kwargs)
    if not isinstance(found, pd.DataFrame):
        msg = f"sort_function returned {shown(found)}; expected a DataFrame."
        raise BadOptionError(msg)
    return found
