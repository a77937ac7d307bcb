"""A pandas partition as an Arrow table, and shards of tables as a pandas partition.

Columns travel under names of their own, since labels need not be strings; the
index travels as columns too. What Arrow can't say (categories, what the nulls
of text were, ``attrs``) goes into the table's metadata.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlsort.arrow.transport import to_transport
from dlsort.errors import SchemaMismatchError, shown, type_of
from dlsort.frame_tasks.found import Joint, Seen, encode_found, gather_found, take_in
from dlsort.frame_tasks.nulls import is_nullable
from dlsort.frame_tasks.plan import FramePlan, dtype_at, is_objects, positions_of
from dlsort.order.shard_order import ShardOrder

__all__ = [
    "align",
    "as_index",
    "plain_array",
    "replace_column",
    "replace_values",
    "to_frame",
    "to_table",
    "values_at",
]

NOTES = b"dlsort"


def align(
    frame: Any, like: pd.DataFrame, input_id: int | None = None
) -> tuple[pd.DataFrame, dict[int, Seen]]:
    """Return a partition with the columns, dtypes and index that the frame declares.

    A column whose dtype differs is cast, if all values compare equal then. If not, and the
    dtypes differ in kind only (a unit, a time zone, bits, who holds the nulls), it stays as
    it is. What was not as declared is told beside, by position.

    Parameters
    ----------
    frame : object
        What the partition is.
    like : pandas.DataFrame
        An empty frame as declared.
    input_id : int, optional
        Which partition it is, for messages.

    Raises
    ------
    SchemaMismatchError
        If the partition has other columns, or values that its declared dtypes can't hold.
    """
    part = "a partition" if input_id is None else f"partition {input_id}"
    if not isinstance(frame, pd.DataFrame):
        msg = f"{part} is {type_of(frame)}; expected a pandas DataFrame."
        raise SchemaMismatchError(msg)
    if not frame.columns.equals(like.columns):
        frame = _with_columns(frame, like.columns, part)
    if frame.index.nlevels != like.index.nlevels:
        msg = (
            f"{part} has {frame.index.nlevels} index levels, but the frame says "
            f"{like.index.nlevels}; give Dask the right meta."
        )
        raise SchemaMismatchError(msg)
    seen = {}
    for position in positions_of(like):
        column: Any
        if position >= 0:
            column, where = frame.iloc[:, position], f"column {like.columns[position]!r}"
        else:
            column = frame.index.get_level_values(-1 - position)
            where = f"index level {-1 - position}"
        found, was = take_in(column, dtype_at(like, position), f"{part}: {where}")
        if was is not None:
            seen[position] = was
        if found is not column:
            frame = replace_values(frame, position, plain_array(found))
    return frame, seen


def _with_columns(frame: pd.DataFrame, wanted: pd.Index[Any], part: str) -> pd.DataFrame:
    """Return a partition with its columns in another order, by name.

    One without rows has none to lose: Dask reads all columns where filters leave nothing.

    Raises
    ------
    SchemaMismatchError
        If some are missing, or there are more.
    """
    if not len(frame) and frame.columns.is_unique:
        return frame.reindex(columns=wanted)
    missing = [label for label in wanted if label not in frame.columns]
    more = [label for label in frame.columns if label not in wanted]
    twice = frame.columns[frame.columns.duplicated()].unique()
    if not (missing or more or len(twice)):
        return frame[list(wanted)]
    told = [
        f"{what} {', '.join(map(shown, labels))}"
        for what, labels in (("lacks", missing), ("has also", more), ("has twice", twice))
        if len(labels)
    ]
    msg = (
        f"{part} has not the columns that the frame says ({', '.join(map(shown, wanted))}): it "
        f"{' and '.join(told)}. Give Dask the right meta, or the partitions the same columns."
    )
    raise SchemaMismatchError(msg)


def replace_column(frame: pd.DataFrame, position: int, column: Any) -> pd.DataFrame:
    """Return a frame with another column at a position; its other columns are not copied."""
    frame = frame.copy(deep=False)
    frame.isetitem(position, column)
    return frame


def to_table(
    frame: pd.DataFrame, plan: FramePlan, seen: Mapping[int, Seen] | None = None
) -> pa.Table:
    """Return a partition's columns and index as Arrow.

    Parameters
    ----------
    frame : pandas.DataFrame
        As :func:`align` returns it.
    plan : FramePlan
        Names, dtypes and what becomes of the index.
    seen : mapping of int to Seen, optional
        What was not as declared, by position.

    Returns
    -------
    pyarrow.Table
        Each column one chunk, views cast.
    """
    arrays, names, notes = [], [], {}
    for at in [*range(len(frame.columns)), *(-1 - level for level in plan.levels)]:
        array, note = encode_found(
            plan.dtype(at), plan.label(at), values_at(frame, plan, at), (seen or {}).get(at)
        )
        arrays.append(array)
        names.append(plan.name(at))
        if note is not None:
            notes[plan.name(at)] = note
    metadata = {NOTES: pickle.dumps((notes, frame.attrs))}
    return to_transport(pa.Table.from_arrays(arrays, names=names, metadata=metadata))


def values_at(frame: pd.DataFrame, plan: FramePlan, position: int) -> Any:
    """Return the values of a column or index level of a partition, or of some of its columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        Some columns of a partition, aligned.
    position : int
        The position in the plan.

    Returns
    -------
    numpy.ndarray or pandas.api.extensions.ExtensionArray
    """
    if position >= 0:
        place: Any = frame.columns.get_loc(plan.label(position))
        return plain_array(frame.iloc[:, place])
    return plain_array(frame.index.get_level_values(-1 - position))


def replace_values(frame: pd.DataFrame, position: int, values: Any) -> pd.DataFrame:
    """Return a frame with other values in a column or its index; the rest is not copied."""
    if position >= 0:
        return replace_column(frame, position, _as_series(values, frame.index))
    index = frame.index
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    levels[-1 - position] = as_index(values)
    frame = frame.copy(deep=False)
    frame.index = levels[0] if len(levels) == 1 else pd.MultiIndex.from_arrays(levels)
    frame.index.names = index.names
    return frame


def plain_array(values: Any) -> Any:
    """Return a series' or index's values as a NumPy array, or as an extension array."""
    if is_nullable(values):
        return values
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array


def to_frame(
    shards: Sequence[pa.Table],
    order: ShardOrder,
    plan: FramePlan,
    first_row: int,
    settled: Mapping[int, Joint] | None = None,
) -> pd.DataFrame:
    """Return some rows of the shards of a partition as pandas.

    Parameters
    ----------
    shards : sequence of pyarrow.Table
        At least one; parts of tables of :func:`to_table`.
    order : ShardOrder
        Which of their rows, in which order.
    plan : FramePlan
        What the output looks like.
    first_row : int
        Rows in all partitions before this one.
    settled : mapping of int to Joint, optional
        The dtypes of all partitions that are not the declared ones, by position.
    """
    found = [pickle.loads(shard.schema.metadata[NOTES]) for shard in shards]

    def gather(position: int) -> Any:
        name = plan.name(position)
        pieces = [shard.select([name]) for shard in shards]
        notes = [note.get(name) for note, _ in found]
        joint = (settled or {}).get(position)
        dtype, label = plan.dtype(position), plan.label(position)
        return gather_found(dtype, label, joint, pieces, notes, order)

    like = plan.output
    index: Any
    if plan.ignore_index:
        index = pd.RangeIndex(first_row, first_row + len(order))
    elif plan.index_from is not None:
        index = as_index(gather(plan.index_from))
    else:
        levels = [as_index(gather(-1 - level)) for level in plan.levels]
        is_multi = isinstance(like.index, pd.MultiIndex)
        index = pd.MultiIndex.from_arrays(levels) if is_multi else levels[0]
    index.names = like.index.names
    columns = {
        place: _as_series(gather(position), index)
        for place, position in enumerate(plan.columns)
    }
    frame = pd.DataFrame(columns, index=index, copy=False)
    frame.columns = like.columns
    attrs = found[0][1]
    # By their bytes: arrays among them can't be compared by ==.
    if attrs and len({pickle.dumps(other) for _, other in found}) == 1:
        frame.attrs = attrs
    return frame


def as_index(values: Any) -> pd.Index[Any]:
    """Return values as an index that keeps their dtype."""
    return pd.Index(
        values, dtype=object if is_objects(values.dtype) else None, tupleize_cols=False
    )


def _as_series(values: Any, index: pd.Index[Any]) -> pd.Series[Any]:
    # pandas would take an array of str objects for its own string dtype
    dtype: Any = object if is_objects(values.dtype) else None
    return pd.Series(values, index=index, dtype=dtype, copy=False)
