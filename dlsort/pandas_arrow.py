"""A pandas partition as an Arrow table, and shards of tables as a pandas partition.

Columns travel under names of their own, since labels need not be strings; the
index travels as columns too. What Arrow can't say (categories, what the nulls
of text were, ``attrs``) goes into the table's metadata.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dlsort.buffers import to_transport
from dlsort.errors import SchemaMismatchError
from dlsort.frame_plan import FramePlan, is_objects
from dlsort.pandas_columns import codec_for

__all__ = ["align", "plain_array", "replace_column", "to_frame", "to_table"]

NOTES = b"dlsort"


def align(frame: Any, like: pd.DataFrame, input_id: int) -> pd.DataFrame:
    """Return a partition with the columns, dtypes and index that the frame declares.

    Raises
    ------
    SchemaMismatchError
        If the partition has other columns, or values that its declared dtypes can't hold.
    """
    if not isinstance(frame, pd.DataFrame):
        msg = f"partition {input_id} is a {type(frame).__name__}; expected a pandas DataFrame."
        raise SchemaMismatchError(msg)
    if not frame.columns.equals(like.columns):
        msg = (
            f"partition {input_id} has the columns {list(frame.columns)}, but the frame says "
            f"{list(like.columns)}; give Dask the right meta."
        )
        raise SchemaMismatchError(msg)
    if frame.index.nlevels != like.index.nlevels:
        msg = (
            f"partition {input_id} has {frame.index.nlevels} index levels, but the frame says "
            f"{like.index.nlevels}; give Dask the right meta."
        )
        raise SchemaMismatchError(msg)
    for position, dtype in enumerate(like.dtypes):
        column = frame.iloc[:, position]
        if not _agrees(column.dtype, dtype):
            where = f"partition {input_id}: column {like.columns[position]!r}"
            frame = replace_column(frame, position, _convert(column, dtype, where))
    return frame


def replace_column(frame: pd.DataFrame, position: int, column: Any) -> pd.DataFrame:
    """Return a frame with another column at a position; its other columns are not copied."""
    frame = frame.copy(deep=False)
    frame.isetitem(position, column)
    return frame


def _agrees(found: Any, declared: Any) -> bool:
    if isinstance(found, pd.CategoricalDtype) and isinstance(declared, pd.CategoricalDtype):
        return True  # Dask may not know the categories
    return bool(found == declared)


def _convert(column: Any, dtype: Any, where: str) -> Any:
    """Return a column with another dtype, if that changes no value."""
    try:
        converted = column.astype(dtype)
        missing = column.isna()
        same = (converted.isna() == missing).all() and (
            converted.astype(object)[~missing] == column.astype(object)[~missing]
        ).all()
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException):
        same = False
    if not same:
        msg = (
            f"{where} is {column.dtype}, but the frame says {dtype}, which can't hold it. "
            "Give Dask the right meta, or convert the column first."
        )
        raise SchemaMismatchError(msg)
    return converted


def to_table(frame: pd.DataFrame, plan: FramePlan) -> pa.Table:
    """Return a partition's columns and index as Arrow.

    Parameters
    ----------
    frame : pandas.DataFrame
        As :func:`align` returns it.
    plan : FramePlan
        Names, dtypes and what becomes of the index.

    Returns
    -------
    pyarrow.Table
        Each column one chunk, views cast.
    """
    arrays, names, notes = [], [], {}
    for name, label, dtype, values in _columns(frame, plan):
        array, note = codec_for(dtype, label).encode(values)
        arrays.append(array)
        names.append(name)
        if note is not None:
            notes[name] = note
    metadata = {NOTES: pickle.dumps((notes, frame.attrs))}
    return to_transport(pa.Table.from_arrays(arrays, names=names, metadata=metadata))


def _columns(frame: pd.DataFrame, plan: FramePlan) -> list[tuple[str, Any, Any, Any]]:
    """Return name, label, dtype and values of all that travels."""
    found: list[tuple[str, Any, Any, Any]] = [
        (plan.name(position), label, dtype, plain_array(frame.iloc[:, position]))
        for position, (label, dtype) in enumerate(
            zip(frame.columns, plan.like.dtypes, strict=True)
        )
    ]
    if plan.ignore_index:
        return found
    for level, dtype in enumerate(_index_dtypes(plan.like.index)):
        values = frame.index.get_level_values(level)
        if not _agrees(values.dtype, dtype):
            where = f"index level {level}"
            values = pd.Index(_convert(values.to_series(), dtype, where), dtype=dtype)
        found.append((f"index {level}", values.name, dtype, plain_array(values)))
    return found


def _index_dtypes(index: pd.Index[Any]) -> list[Any]:
    return [index.get_level_values(level).dtype for level in range(index.nlevels)]


def plain_array(values: Any) -> Any:
    """Return a series' or index's values as a NumPy array, or as an extension array."""
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array


def to_frame(
    shards: Sequence[pa.Table], rows: npt.NDArray[np.uint32], plan: FramePlan, first_row: int
) -> pd.DataFrame:
    """Return some rows of the shards of a partition as pandas.

    Parameters
    ----------
    shards : sequence of pyarrow.Table
        At least one; parts of tables of :func:`to_table`.
    rows : (m,) uint32
        Row numbers in all shards together, in the order that is wanted.
    plan : FramePlan
        What the output looks like.
    first_row : int
        Rows in all partitions before this one.
    """
    found = [pickle.loads(shard.schema.metadata[NOTES]) for shard in shards]

    def gather(name: str, dtype: Any, label: Any) -> Any:
        pieces = [shard.select([name]) for shard in shards]
        notes = [note.get(name) for note, _ in found]
        return codec_for(dtype, label).gather(pieces, notes, rows)

    like = plan.like
    if plan.ignore_index:
        index: Any = pd.RangeIndex(first_row, first_row + len(rows))
    else:
        levels = [
            pd.Index(
                gather(f"index {level}", dtype, like.index.names[level]),
                dtype=object if is_objects(dtype) else None,
                tupleize_cols=False,
            )
            for level, dtype in enumerate(_index_dtypes(like.index))
        ]
        if isinstance(like.index, pd.MultiIndex):
            index = pd.MultiIndex.from_arrays(levels)
        else:
            (index,) = levels
        index.names = like.index.names
    columns = {}
    for position, (label, dtype) in enumerate(zip(like.columns, like.dtypes, strict=True)):
        values = gather(plan.name(position), dtype, label)
        # pandas would take an array of str objects for its own string dtype
        columns[position] = pd.Series(
            values, index=index, dtype=object if is_objects(dtype) else None, copy=False
        )
    frame = pd.DataFrame(columns, index=index, copy=False)
    frame.columns = like.columns
    attrs = found[0][1]
    if attrs and all(other == attrs for _, other in found):
        frame.attrs = attrs
    return frame
