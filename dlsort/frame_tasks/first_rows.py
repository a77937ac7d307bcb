"""The first or last rows of a sort, from the first or last of every partition.

No row changes partitions: :func:`pick_first` is called with every partition, then with what it
returned for several of them, until one is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from dask.dataframe.dispatch import concat

from dlsort.frame_tasks.casts import cast_exactly, has_value, is_number
from dlsort.frame_tasks.found import Joint, Seen, agrees, raise_unjoinable, settle_all
from dlsort.frame_tasks.keys import (
    KeyTypes,
    agree_on_categories,
    agree_on_objects,
    encode_keys,
    raise_mixed,
    recode,
    with_dtypes,
)
from dlsort.frame_tasks.nulls import as_pandas_reads, is_nullable
from dlsort.frame_tasks.objects import take_census
from dlsort.frame_tasks.plan import FramePlan, dtype_at, positions_of
from dlsort.frame_tasks.table import align, as_index, plain_array, replace_values, values_at
from dlsort.order.argsort import first_rows
from dlsort.order.ranks import normal_keys

__all__ = ["Picked", "finish_first", "pick_first", "sort_alone"]


class Picked(NamedTuple):
    """Some rows, and what the columns were of the partitions that they are from.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows, with the dtypes that these partitions have together.
    seen : tuple
        What was not as declared, by position; once for partitions that are alike, and none
        for those without rows.
    """

    frame: pd.DataFrame
    seen: tuple[tuple[tuple[int, Seen], ...], ...]


def pick_first(
    found: Sequence[pd.DataFrame | Picked], plan: FramePlan, n: int, *, last: bool
) -> Picked:
    """Return the first or last rows of some partitions together, by the key, in order.

    Parameters
    ----------
    found : sequence of pandas.DataFrame or Picked
        Partitions, or what this returned for some, in their order.
    n : int
        How many rows.
    last : bool
        The last ones.

    Raises
    ------
    KeyTypeError, SchemaMismatchError
        If no dtype holds what the partitions hold.
    """
    picked = [each if isinstance(each, Picked) else _take_in(each, plan) for each in found]
    seen = tuple(dict.fromkeys(each for part in picked for each in part.seen))
    settled = settle_all(plan, seen)
    agreed = {i: settled[p] for i, p in enumerate(plan.by) if p in settled}
    frames = [_settle(part.frame, plan, settled) for part in picked]
    plan = with_dtypes(plan, agreed)
    for position in plan.by:
        if isinstance(plan.dtype(position), pd.CategoricalDtype):
            of_key = [values_at(f, plan, position) for f in frames]
            dtype = agree_on_categories(
                [(i, v.dtype) for i, v in enumerate(of_key) if len(v) and has_value(v)],
                plan.label(position),
            )
            dtype = of_key[0].dtype if dtype is None else dtype
            frames = [
                replace_values(f, position, recode(values_at(f, plan, position), dtype))
                for f in frames
                if len(f)
            ] or frames[:1]
    frames = _with_categories(frames, plan)
    frame = frames[0] if len(frames) == 1 else concat(list(frames))
    if last:
        frame = frame.iloc[::-1]
    values = [values_at(frame, plan, position) for position in plan.by]
    objects = {
        place: agree_on_objects(
            [take_census(values[place])], plan.label(position), agreed.get(place)
        )
        for place, position in enumerate(plan.by)
        if plan.is_object(position)
    }
    table = encode_keys(plan, values, KeyTypes(objects, {}))
    columns = normal_keys(table, plan.keys, plan.tuning.order).columns()
    keys = [
        replace(key, descending=key.descending ^ last, nulls_first=key.nulls_first ^ last)
        for key in plan.keys
    ]
    rows = first_rows(columns, keys, n, plan.tuning.order)
    return Picked(frame.iloc[rows[::-1] if last else rows], seen)


def _take_in(frame: pd.DataFrame, plan: FramePlan) -> Picked:
    frame, seen = align(frame, plan.like)
    return Picked(frame, (tuple(seen.items()),) if len(frame) else ())


def _settle(frame: pd.DataFrame, plan: FramePlan, settled: dict[int, Joint]) -> pd.DataFrame:
    """Return rows with the dtypes of all partitions."""
    for at, joint in settled.items():
        values = values_at(frame, plan, at)
        if not agrees(values.dtype, joint.dtype):
            column = cast_exactly(pd.Series(values, dtype=values.dtype), joint.dtype)
            if column is None and at in plan.by:
                raise_mixed(plan.label(at), joint.of)
            if column is None:
                raise_unjoinable(plan.label(at), joint)
            frame = replace_values(frame, at, plain_array(column))
    return frame


def sort_alone(frame: pd.DataFrame, plan: FramePlan) -> pd.DataFrame:
    """Return a partition, sorted, that shares no row with another.

    What all partitions have together is not known, so numbers stay as they were found: pandas
    would make floats of integers of 64 bits if some had been cast to signed ones, say.
    """
    align(frame, plan.like)
    like = plan.like
    for at in positions_of(like) if len(frame) else ():
        found, declared = dtype_at(frame, at), dtype_at(like, at)
        if is_number(declared) and found != declared:
            like = replace_values(like, at, plain_array(pd.Series([], dtype=found)))
    plan = replace(plan, like=like)
    return finish_first(pick_first([frame], plan, len(frame), last=False), plan)


def _with_categories(frames: list[pd.DataFrame], plan: FramePlan) -> list[pd.DataFrame]:
    """Give categoricals without any category, which are null, those of another frame."""
    for at in [*range(plan.like.shape[1]), *(-1 - i for i in range(plan.like.index.nlevels))]:
        if isinstance(plan.dtype(at), pd.CategoricalDtype):
            values = [values_at(frame, plan, at) for frame in frames]
            dtypes = [v.dtype for v in values if isinstance(v, pd.Categorical)]
            first = next((dtype for dtype in dtypes if len(dtype.categories)), None)
            for i, each in enumerate(values):
                if isinstance(each, pd.Categorical) and not len(each.categories):
                    frames[i] = replace_values(frames[i], at, recode(each, first))
    return frames


def finish_first(picked: Picked, plan: FramePlan) -> pd.DataFrame:
    """Return rows of the input as the sort gives them: columns and index of the output."""
    frame, seen = picked
    settled = settle_all(plan, seen)
    for at in positions_of(plan.like):
        values = values_at(frame, plan, at)
        if is_nullable(values) and isinstance(plan.dtype(at), np.dtype) and at not in settled:
            frame = replace_values(frame, at, as_pandas_reads(values))
    like = plan.output
    found = frame.iloc[:, plan.columns]
    if plan.index_from is not None:
        found.index = as_index(values_at(frame, plan, plan.index_from))
        found.index.names = like.index.names
    elif plan.ignore_index:
        found = found.reset_index(drop=True)
    found.columns = like.columns
    return found
