"""The first or last rows of a sort, from the first or last of every partition.

No row changes partitions: :func:`pick_first` is called with every partition, then with what it
returned for several of them, until one is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from dask.dataframe.dispatch import concat

from dlsort.frame_tasks.keys import (
    KeyTypes,
    agree_on_categories,
    agree_on_dtypes,
    align_agreed,
    dtype_of,
    encode_keys,
    recode,
)
from dlsort.frame_tasks.nulls import as_pandas_reads, is_nullable
from dlsort.frame_tasks.objects import agree, take_census
from dlsort.frame_tasks.plan import FramePlan
from dlsort.frame_tasks.table import align, as_index, replace_column, replace_values, values_at
from dlsort.keys import SortKey
from dlsort.order.argsort import first_rows
from dlsort.order.ranks import rank_dictionaries
from dlsort.order.words import key_columns

__all__ = ["finish_first", "pick_first"]


def pick_first(
    frames: Sequence[pd.DataFrame], plan: FramePlan, n: int, *, last: bool
) -> pd.DataFrame:
    """Return the first or last rows of some partitions together, by the key, in order.

    Parameters
    ----------
    frames : sequence of pandas.DataFrame
        Partitions, or what this returned for some, in their order.
    n : int
        How many rows.
    last : bool
        The last ones.
    """
    frames = [align(frame, plan.like) for frame in frames]
    found = [
        [dtype_of(plan, p, values_at(f, plan, p)) for p in plan.by] for f in frames if len(f)
    ]
    agreed, asked = agree_on_dtypes(plan, found), plan
    for i, each in enumerate(frames):
        plan, frames[i] = align_agreed(asked, each, agreed)
    for position in plan.by:
        if isinstance(plan.dtype(position), pd.CategoricalDtype):
            of_key = [dtype_of(plan, position, values_at(f, plan, position)) for f in frames]
            dtype = agree_on_categories(
                [(i, each) for i, each in enumerate(of_key) if each is not None],
                plan.label(position),
            )
            dtype = values_at(frames[0], plan, position).dtype if dtype is None else dtype
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
        place: agree([take_census(values[place])], plan.label(position))
        for place, position in enumerate(plan.by)
        if plan.is_object(position)
    }
    table = encode_keys(plan, values, KeyTypes(objects, {}))
    columns = key_columns(rank_dictionaries(table, plan.tuning.order))
    keys = [
        SortKey(key.column, key.descending ^ last, key.nulls_first ^ last) for key in plan.keys
    ]
    rows = first_rows(columns, keys, n, plan.tuning.order)
    return frame.iloc[rows[::-1] if last else rows]


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


def finish_first(frame: pd.DataFrame, plan: FramePlan) -> pd.DataFrame:
    """Return rows of the input as the sort gives them: columns and index of the output."""
    like = plan.output
    found = frame.iloc[:, plan.columns]
    if plan.index_from is not None:
        values = values_at(frame, plan, plan.index_from)
        found.index = as_index(values)
        found.index.names = like.index.names
    elif plan.ignore_index:
        found = found.reset_index(drop=True)
    for place, dtype in enumerate(like.dtypes):
        values = found.iloc[:, place].array
        if is_nullable(values) and isinstance(dtype, np.dtype):
            found = replace_column(found, place, as_pandas_reads(values))
    found.columns = like.columns
    return found
