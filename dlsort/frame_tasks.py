"""The phases of a sort, for partitions that are pandas DataFrames.

:func:`sample_keys` and :func:`fit` learn the model, :func:`split` is what every
input partition goes through and :func:`merge` what every output partition
goes through. What lies between is :mod:`dlsort_cluster`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dlsort.buffers import concat_rows, to_transport
from dlsort.errors import KeyTypeError
from dlsort.frame_plan import FramePlan
from dlsort.model import Model, fit_model
from dlsort.object_keys import Census, ObjectKey, agree, take_census
from dlsort.options import TUNING
from dlsort.order import argsort
from dlsort.pandas_arrow import align, plain_array, replace_column, to_frame, to_table
from dlsort.pandas_columns import codec_for, same_categories
from dlsort.partition import find_partitions, group
from dlsort.sample import Sample, join_samples, rows_needed
from dlsort_cluster.exchange import Slot, Split

__all__ = ["Context", "FrameSample", "fit", "merge", "sample_keys", "split"]


@dataclass(frozen=True)
class FrameSample:
    """Some keys of one partition, and what its whole key columns are.

    Parameters
    ----------
    keys : pandas.DataFrame
        (k) rows of the key columns.
    part : int
        The input partition.
    rows : (k,) int64
        Which rows of it these are.
    n_rows : int
        How many rows it has.
    censuses : dict of int to Census
        Of each object column, by its place in the key.
    """

    keys: pd.DataFrame
    part: int
    rows: npt.NDArray[np.int64]
    n_rows: int
    censuses: dict[int, Census]


@dataclass(frozen=True)
class Context:
    """What all partitions were found to agree on.

    Parameters
    ----------
    model : Model
        Where a key belongs.
    objects : dict of int to ObjectKey
        How Python objects become keys, by place in the key.
    categories : dict of int to CategoricalDtype
        The categories of a categorical key, by place in the key.
    """

    model: Model
    objects: dict[int, ObjectKey]
    categories: dict[int, Any]


def sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> FrameSample:
    """Draw rows of one partition's key columns.

    One row from each of equally long runs of rows: as good as a uniform sample
    where rows lie at random, and better where they are in order.
    """
    frame = align(frame, plan.like[plan.labels], input_id)
    n_rows = len(frame)
    share = TUNING.frame_oversample * rows_needed(plan.n_parts) / plan.n_inputs
    n_draws = min(n_rows, math.ceil(share))
    edges = np.arange(n_draws + 1) * n_rows // max(n_draws, 1)
    rng = np.random.default_rng([TUNING.sample_seed, input_id])
    rows = edges[:-1] + (rng.random(n_draws) * np.diff(edges)).astype(np.int64)
    censuses = {
        place: take_census(frame.iloc[:, place].to_numpy())
        for place, position in enumerate(plan.by)
        if plan.is_object(position)
    }
    return FrameSample(frame.iloc[rows], input_id, rows, n_rows, censuses)


def fit(plan: FramePlan, samples: Sequence[FrameSample]) -> Context:
    """Return the model that the samples teach, and the key's types.

    Raises
    ------
    KeyTypeError
        If an object column holds several types, or categories differ between partitions.
    """
    objects, categories = {}, {}
    for place, (position, label) in enumerate(zip(plan.by, plan.labels, strict=True)):
        if plan.is_object(position):
            objects[place] = agree([s.censuses[place] for s in samples], label)
        elif isinstance(plan.like.dtypes.iloc[position], pd.CategoricalDtype):
            found = [(s.part, s.keys.dtypes.iloc[place]) for s in samples if s.n_rows]
            categories[place] = _agree_on_categories(found, label)
    weighed = [
        Sample(
            _encode_keys(plan, s.keys, objects, categories),
            np.full(len(s.rows), s.part, np.int64),
            s.rows,
            np.full(len(s.rows), s.n_rows / max(len(s.rows), 1)),
            *2 * (np.full(len(s.rows), s.part, np.int64),),
        )
        for s in samples
    ]
    sample = join_samples(weighed, weighed[0].keys)
    model = fit_model(
        sample.keys, sample.part, sample.row, sample.weight, plan.keys, plan.n_parts
    )
    return Context(model, objects, categories)


def _agree_on_categories(found: Sequence[tuple[int, Any]], label: Any) -> Any:
    """Return the first partition's categories if all others have the same.

    Unordered ones may come in another order elsewhere: pandas goes by the first
    when it joins them.
    """
    if not found:
        return None
    first_part, first = found[0]
    for part, dtype in found:
        if not (dtype == first or same_categories(dtype, first)):
            msg = (
                f"cannot sort by {label!r}: its categories differ between partitions "
                f"{first_part} and {part}. Make them agree first, with "
                "ddf.categorize() or .cat.set_categories(…)."
            )
            raise KeyTypeError(msg)
    return first


def _encode_keys(
    plan: FramePlan,
    frame: pd.DataFrame,
    objects: dict[int, ObjectKey],
    categories: dict[int, Any],
) -> pa.Table:
    """Return key columns, in key order, as Arrow that sorts alike in all partitions."""
    arrays = []
    for place, position in enumerate(plan.by):
        values = plain_array(frame.iloc[:, place])
        if place in objects:
            arrays.append(objects[place].encode(values))
        else:
            if place in categories:
                values = _recode(values, categories[place])
            codec = codec_for(plan.like.dtypes.iloc[position])
            arrays.append(codec.encode(values)[0])
    return to_transport(pa.Table.from_arrays(arrays, names=[key.column for key in plan.keys]))


def _recode(values: Any, dtype: Any) -> Any:
    """Return a categorical with its categories in the order of another's."""
    if dtype is None or same_categories(values.dtype, dtype):
        return values
    return values.set_categories(dtype.categories)


def split(plan: FramePlan, frame: pd.DataFrame, context: Context, input_id: int) -> Split:
    """Turn one input partition into Arrow and group its rows by output partition."""
    frame = align(frame, plan.like, input_id)
    for place, dtype in context.categories.items():
        position = plan.by[place]
        recoded = _recode(plain_array(frame.iloc[:, position]), dtype)
        frame = replace_column(frame, position, recoded)
    table = to_table(frame, plan)
    for place, objects in context.objects.items():
        position = plan.by[place]
        values = objects.encode(frame.iloc[:, position].to_numpy())
        table = table.append_column(plan.key_name(position), values)
    part = find_partitions(table, context.model, input_id)
    return Split(*group(table, part, plan.n_parts))


def merge(
    plan: FramePlan, shards: list[pa.Table], context: Context, slot: Slot
) -> pd.DataFrame:
    """Return one output partition, sorted, as pandas."""
    del context
    names = [key.column for key in plan.keys]
    keys = concat_rows([shard.select(names) for shard in shards])
    return to_frame(shards, argsort(keys, plan.keys), plan, slot.first_row)
