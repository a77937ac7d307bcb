"""The key columns of pandas partitions, as Arrow that sorts alike in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dlsort.arrow.transport import to_transport
from dlsort.errors import KeyTypeError, shown
from dlsort.frame_tasks.casts import cast_exactly, has_value, kind_of, numpy_dtype
from dlsort.frame_tasks.columns import codec_for, have_same_values, same_categories
from dlsort.frame_tasks.found import Joint, Seen, agrees, names, settle
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
from dlsort.model.sample_plan import Range

__all__ = [
    "FrameSample",
    "KeyTypes",
    "agree_on_categories",
    "agree_on_dtypes",
    "agree_on_objects",
    "align_agreed",
    "as_agreed",
    "census_of",
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
    dtypes : dict of int to Joint
        Those of keys whose partitions the declared dtype can't hold, by place in the key.
    """

    objects: dict[int, ObjectKey]
    categories: dict[int, Any]
    dtypes: dict[int, Joint] = field(default_factory=dict)


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
    seen : dict of int to Seen
        What key columns were that were not as declared, by place in the key.
    """

    keys: list[Any]
    part: int
    rows: npt.NDArray[np.int64]
    n_rows: int
    weights: npt.NDArray[np.float64]
    censuses: dict[int, Census]
    ends: Any
    has_null: bool
    groups: npt.NDArray[np.int64]
    donors: npt.NDArray[np.int64]
    ranges: Mapping[int, Range] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)


def find_types(plan: FramePlan, samples: Sequence[FrameSample]) -> KeyTypes:
    """Return what all partitions' keys are.

    Raises
    ------
    KeyTypeError
        If a column holds several types, or categories differ between partitions.
    """
    filled = [sample for sample in samples if sample.n_rows]
    agreed = agree_on_dtypes(plan, [sample.seen for sample in filled])
    asked, plan = plan, with_dtypes(plan, agreed)
    objects, categories = {}, {}
    for place, position in enumerate(plan.by):
        label = plan.label(position)
        if plan.is_object(position):
            censuses = [sample.censuses.get(place) for sample in samples]
            for i, sample in enumerate(samples if place in agreed else ()):
                if censuses[i] is None and sample.n_rows:
                    seen = sample.seen.get(place)
                    censuses[i] = census_of_dtype(seen.dtype if seen else asked.dtype(position))
                    if censuses[i] is None:
                        raise_mixed(label, agreed[place].of)
            found = [each or Census() for each in censuses]
            objects[place] = agree_on_objects(found, label, agreed.get(place))
        elif isinstance(plan.dtype(position), pd.CategoricalDtype):
            of_key = [
                (s.part, s.keys[place].dtype)
                for s in filled
                if place not in s.seen or s.seen[place].dtype is not None
            ]
            categories[place] = agree_on_categories(of_key, label)
    return KeyTypes(objects, categories, agreed)


def agree_on_dtypes(plan: FramePlan, seen: Sequence[dict[int, Seen]]) -> dict[int, Joint]:
    """Return the dtypes of key columns that are not the declared ones, by place in the key.

    Parameters
    ----------
    seen : sequence of dict
        What the key columns of each partition with rows were, by place in the key.
    """
    agreed = {}
    for place, position in enumerate(plan.by):
        joint = settle(plan.dtype(position), [each.get(place) for each in seen])
        if joint is not None:
            agreed[place] = joint
    return agreed


def with_dtypes(plan: FramePlan, agreed: dict[int, Joint]) -> FramePlan:
    """Return the plan of a frame that declares other dtypes for some key columns."""
    like = plan.like
    for place, joint in agreed.items():
        none = pd.Series([], dtype=joint.dtype)
        like = replace_values(like, plan.by[place], plain_array(none))
    return replace(plan, like=like) if agreed else plan


def as_agreed(plan: FramePlan, values: Sequence[Any], agreed: dict[int, Joint]) -> list[Any]:
    """Return key columns, in key order, with the dtypes that were agreed on."""
    found = list(values)
    for place, joint in agreed.items():
        column = cast_exactly(pd.Series(found[place], dtype=found[place].dtype), joint.dtype)
        if column is None:
            raise_mixed(plan.label(plan.by[place]), joint.of)
        found[place] = plain_array(column)
    return found


def align_agreed(
    plan: FramePlan, frame: pd.DataFrame, seen: dict[int, Seen], agreed: dict[int, Joint]
) -> tuple[FramePlan, pd.DataFrame, dict[int, Seen]]:
    """Return the plan and an aligned partition with the dtypes that were agreed on.

    Raises
    ------
    KeyTypeError
        If they can't hold the partition's keys.
    """
    values = as_agreed(plan, [values_at(frame, plan, p) for p in plan.by], agreed)
    seen = dict(seen)
    for place, position in enumerate(plan.by):
        if place in agreed:
            frame = replace_values(frame, position, values[place])
            seen.pop(position, None)
        elif position in seen and not agrees(seen[position].travels, plan.dtype(position)):
            # Nobody looked at the keys, as divisions were given that are of the declared dtype.
            raise_mixed(plan.label(position), [seen[position].dtype, plan.dtype(position)])
    return with_dtypes(plan, agreed), frame, seen


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
    if not len(values) or not has_value(values):
        return Census()
    if (found := census_of_dtype(values.dtype)) is not None:
        return found
    kind = kind_of(values.dtype)
    if kind not in {"datetime", AWARE}:
        return take_census(np.asarray(values, dtype=object))
    column = pd.Series(values, dtype=values.dtype)
    low, high = column.min(), column.max()
    if pd.isna(low):
        return Census()
    return Census(frozenset({kind}), nanoseconds_of(low), nanoseconds_of(high))


def census_of_dtype(dtype: Any) -> Census | None:
    """Return what objects of a dtype could be, or None if that takes a look at them."""
    kind = None if dtype is None else kind_of(dtype)
    if kind is None:
        return Census()
    if kind == "decimal":
        digits, scale = dtype.pyarrow_dtype.precision, dtype.pyarrow_dtype.scale
        return Census(frozenset({"Decimal"}), 0, 0, max(digits - scale, 0), max(scale, 0))
    if kind == "integer":
        limits = np.iinfo(numpy_dtype(dtype))
        return Census(frozenset({"int"}), int(limits.min), int(limits.max))
    names = {"boolean": "bool", "floating": "float", "text": "str"}
    return Census(frozenset({names[kind]})) if kind in names else None


def agree_on_objects(censuses: Sequence[Census], label: Any, joint: Joint | None) -> ObjectKey:
    """Return what objects become, from a census of each partition.

    Raises
    ------
    KeyTypeError
        If they are of several types, or columns that are no objects have none in common.
    """
    kinds = {kind for census in censuses for kind in census.kinds}
    if joint and len(kinds) > 1 and not any(map(is_objects, joint.of)):
        raise_mixed(label, joint.of)
    return agree(censuses, label)


def agree_on_categories(found: Sequence[tuple[int, Any]], label: Any) -> Any:
    """Return the categories of all partitions together.

    Those of the first one if all others have the same values: unordered ones may come in
    another order elsewhere, and pandas goes by the first when it joins them. Else, if no
    partition's are ordered, all values that there are, ascending, as
    ``union_categoricals(…, sort_categories=True)`` has it.

    Raises
    ------
    KeyTypeError
        If ordered ones differ, or values of several types have no order.
    """
    if not found:
        return None
    first_part, first = found[0]
    others = [
        (part, dtype)
        for part, dtype in found
        if not (dtype == first or have_same_values(dtype, first))
    ]
    if not others:
        return first
    united = unite_categories([dtype for _, dtype in found])
    if united is None:
        part, other = others[0]
        are_ordered = first.ordered or other.ordered
        msg = (
            f"cannot sort by {shown(label)}: its {'ordered ' if are_ordered else ''}categories "
            f"differ between partitions {first_part} and {part}"
            f"{'' if are_ordered else ' and have no order together'}. Make them agree first, "
            "with ddf.categorize() or .cat.set_categories(…)."
        )
        raise KeyTypeError(msg)
    return united


def unite_categories(dtypes: Sequence[Any]) -> Any:
    """Return the dtype of all categories, ascending; None if some are ordered or can't be."""
    if any(dtype.ordered for dtype in dtypes):
        return None
    held = [dtype.categories for dtype in dtypes]
    if len({categories.dtype for categories in held}) > 1:
        held = [categories.astype(object) for categories in held]
    try:
        return pd.CategoricalDtype(held[0].append(held[1:]).unique().sort_values())
    except TypeError:  # numbers beside text
        return None


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
