"""The key columns of pandas partitions, as Arrow that sorts alike in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from dlsort.arrow.transport import to_transport
from dlsort.errors import KeyTypeError, shown
from dlsort.frame_tasks.casts import cast_exactly, common_dtype, filled_dtype, kind_of
from dlsort.frame_tasks.columns import codec_for, have_same_values, same_categories
from dlsort.frame_tasks.found import is_of, names
from dlsort.frame_tasks.objects import (
    AWARE,
    Census,
    ObjectKey,
    agree,
    nanoseconds_of,
    take_census,
)
from dlsort.frame_tasks.plan import FramePlan, is_objects
from dlsort.frame_tasks.table import plain_array, replace_values, values_at

__all__ = [
    "KeyTypes",
    "agree_on_categories",
    "agree_on_dtypes",
    "align_agreed",
    "as_agreed",
    "census_of",
    "dtype_of",
    "encode_keys",
    "find_types",
    "recode",
    "with_dtypes",
]


@dataclass(frozen=True)
class KeyTypes:
    """How the values of key columns become Arrow values that sort alike in all partitions.

    Parameters
    ----------
    objects : dict of int to ObjectKey
        How Python objects become keys, by place in the key.
    categories : dict of int to CategoricalDtype
        The categories of a categorical key, by place in the key.
    dtypes : dict of int to dtype
        Those of keys whose partitions the declared dtype can't hold, by place in the key.
    """

    objects: dict[int, ObjectKey]
    categories: dict[int, Any]
    dtypes: dict[int, Any] = field(default_factory=dict)


def find_types(
    plan: FramePlan,
    censuses: Sequence[dict[int, Census]],
    dtypes: Sequence[tuple[int, Sequence[Any]]],
) -> KeyTypes:
    """Return what all partitions' keys are.

    Parameters
    ----------
    censuses : sequence of dict
        Of each partition's object columns, by place in the key.
    dtypes : sequence of tuple
        Of each partition with rows: its number, and the dtypes of its key columns; None for
        one without any value.

    Raises
    ------
    KeyTypeError
        If a column holds several types, or categories differ between partitions.
    """
    agreed = agree_on_dtypes(plan, [each for _, each in dtypes])
    plan = with_dtypes(plan, agreed)
    objects, categories = {}, {}
    for place, position in enumerate(plan.by):
        label = plan.label(position)
        if plan.is_object(position):
            found = [each.get(place) for each in censuses]
            filled = [each[place] for _, each in dtypes if each[place] is not None]
            if place in agreed and found.count(None) > len(found) - len(filled):
                raise_mixed(label, filled)
            objects[place] = agree([each or Census() for each in found], label)
        elif isinstance(plan.dtype(position), pd.CategoricalDtype):
            of_key = [(part, each[place]) for part, each in dtypes if each[place] is not None]
            categories[place] = agree_on_categories(of_key, label)
    return KeyTypes(objects, categories, agreed)


def dtype_of(plan: FramePlan, position: int, values: Any) -> Any:
    """Return a key column's dtype, or None if it is the declared one and all are null."""
    is_declared = is_of(values.dtype, plan.dtype(position))
    return filled_dtype(values) if is_declared else values.dtype


def agree_on_dtypes(plan: FramePlan, found: Sequence[Sequence[Any]]) -> dict[int, Any]:
    """Return the dtypes of key columns that are not the declared ones, by place in the key.

    Parameters
    ----------
    found : sequence
        The dtypes of the key columns, of each partition with rows; None for one without any
        value, which every dtype holds.
    """
    agreed = {}
    for place, position in enumerate(plan.by):
        declared = plan.dtype(position)
        dtypes = [each[place] for each in found]
        if not all(dtype is None or is_of(dtype, declared) for dtype in dtypes):
            agreed[place] = common_dtype(dtypes)
    return agreed


def with_dtypes(plan: FramePlan, agreed: dict[int, Any]) -> FramePlan:
    """Return the plan of a frame that declares other dtypes for some key columns."""
    like = plan.like
    for place, dtype in agreed.items():
        like = replace_values(like, plan.by[place], plain_array(pd.Series([], dtype=dtype)))
    return replace(plan, like=like) if agreed else plan


def as_agreed(plan: FramePlan, values: Sequence[Any], agreed: dict[int, Any]) -> list[Any]:
    """Return key columns, in key order, with the dtypes that were agreed on."""
    found = list(values)
    for place, dtype in agreed.items():
        column = cast_exactly(pd.Series(found[place], dtype=found[place].dtype), dtype)
        if column is None:
            raise_mixed(plan.label(plan.by[place]), [found[place].dtype, dtype])
        found[place] = plain_array(column)
    return found


def align_agreed(
    plan: FramePlan, frame: pd.DataFrame, agreed: dict[int, Any]
) -> tuple[FramePlan, pd.DataFrame]:
    """Return the plan and an aligned partition with the dtypes that were agreed on.

    Raises
    ------
    KeyTypeError
        If they can't hold the partition's keys.
    """
    values = as_agreed(plan, [values_at(frame, plan, p) for p in plan.by], agreed)
    plan = with_dtypes(plan, agreed)
    for place, (position, each) in enumerate(zip(plan.by, values, strict=True)):
        if not is_of(each.dtype, plan.dtype(position)):
            raise_mixed(plan.label(position), [each.dtype, plan.dtype(position)])
        if place in agreed:
            frame = replace_values(frame, position, each)
    return plan, frame


def raise_mixed(label: Any, dtypes: Sequence[Any]) -> NoReturn:
    """Raise as no dtype holds the keys of all partitions.

    Raises
    ------
    KeyTypeError
    """
    msg = (
        f"cannot sort by {shown(label)}: its partitions are {' and '.join(names(dtypes))}, and "
        "none of these holds all their values. Convert the column to one dtype first."
    )
    raise KeyTypeError(msg)


def census_of(values: Any) -> Census:
    """Return what objects are, or would be that a typed array holds; of times in O(n)."""
    if is_objects(values.dtype):
        return take_census(values)
    kind = kind_of(values.dtype)
    if kind not in {"datetime", AWARE}:
        return take_census(np.asarray(values, dtype=object))
    column = pd.Series(values, dtype=values.dtype)
    low, high = column.min(), column.max()
    if pd.isna(low):
        return Census()
    return Census(frozenset({kind}), nanoseconds_of(low), nanoseconds_of(high))


def agree_on_categories(found: Sequence[tuple[int, Any]], label: Any) -> Any:
    """Return the first partition's categories if all others have the same values.

    Unordered ones may come in another order elsewhere: pandas goes by the first
    when it joins them.
    """
    if not found:
        return None
    first_part, first = found[0]
    for part, dtype in found:
        if not (dtype == first or have_same_values(dtype, first)):
            msg = (
                f"cannot sort by {shown(label)}: its categories differ between partitions "
                f"{first_part} and {part}. Make them agree first, with "
                "ddf.categorize() or .cat.set_categories(…)."
            )
            raise KeyTypeError(msg)
    return first


def encode_keys(plan: FramePlan, values: Sequence[Any], types: KeyTypes) -> pa.Table:
    """Return key columns, in key order, as Arrow that sorts alike in all partitions."""
    arrays = []
    for place, (position, each) in enumerate(zip(plan.by, values, strict=True)):
        if place in types.objects:
            arrays.append(types.objects[place].encode(each))
        else:
            recoded = recode(each, types.categories.get(place))
            arrays.append(codec_for(plan.dtype(position)).encode(recoded)[0])
    return to_transport(pa.Table.from_arrays(arrays, names=[key.column for key in plan.keys]))


def recode(values: Any, dtype: Any) -> Any:
    """Return a categorical with its categories in the order of another's."""
    if dtype is None or same_categories(values.dtype, dtype):
        return values
    return values.set_categories(dtype.categories, ordered=dtype.ordered)
