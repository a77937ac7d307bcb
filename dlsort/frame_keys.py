"""The key columns of pandas partitions, as Arrow that sorts alike in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from dlsort.buffers import to_transport
from dlsort.errors import KeyTypeError
from dlsort.frame_plan import FramePlan
from dlsort.object_keys import Census, ObjectKey, agree
from dlsort.pandas_columns import codec_for, same_categories

__all__ = ["KeyTypes", "agree_on_categories", "encode_keys", "find_types", "recode"]


@dataclass(frozen=True)
class KeyTypes:
    """How the values of key columns become Arrow values that sort alike in all partitions.

    Parameters
    ----------
    objects : dict of int to ObjectKey
        How Python objects become keys, by place in the key.
    categories : dict of int to CategoricalDtype
        The categories of a categorical key, by place in the key.
    """

    objects: dict[int, ObjectKey]
    categories: dict[int, Any]


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
        Of each partition with rows: its number, and the dtypes of its key columns.

    Raises
    ------
    KeyTypeError
        If an object column holds several types, or categories differ between partitions.
    """
    objects, categories = {}, {}
    for place, position in enumerate(plan.by):
        label = plan.label(position)
        if plan.is_object(position):
            objects[place] = agree([each[place] for each in censuses], label)
        elif isinstance(plan.dtype(position), pd.CategoricalDtype):
            found = [(part, each[place]) for part, each in dtypes]
            categories[place] = agree_on_categories(found, label)
    return KeyTypes(objects, categories)


def agree_on_categories(found: Sequence[tuple[int, Any]], label: Any) -> Any:
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
    return values.set_categories(dtype.categories)
