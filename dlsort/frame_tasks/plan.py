"""What a sort of a Dask DataFrame is: plain, picklable and light.

It travels with the task graph, so Dask's scheduler loads this module too; the
phases, and with them the kernels, are imported by the tasks that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlsort.errors import KeyTypeError, shown
from dlsort.keys import SortKey
from dlsort.tuning import Tuning

__all__ = [
    "FramePlan",
    "check_key_dtypes",
    "dtype_at",
    "is_nested",
    "is_objects",
    "label_at",
    "positions_of",
]

MASKED = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype),
    *(pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype),
)


@dataclass(frozen=True, eq=False, repr=False)
class FramePlan:
    """A sort of a frame.

    Positions are those of columns; ``-1 - i`` is level ``i`` of the index.

    Parameters
    ----------
    like : pandas.DataFrame
        An empty input partition: columns, dtypes and index as the frame declares them.
    by : tuple of int
        Positions of the key columns.
    descending : tuple of bool
        One a key column.
    nulls_first : bool
        Where nulls go, in every key column.
    n_inputs, n_parts : int
        Number of input and output partitions.
    tuning : Tuning
        The tunables.
    ignore_index : bool
        Number the rows from 0 on instead of carrying the index.
    n_added : int
        How many columns, the last ones, are keys only and not part of the output.
    index_from : int or None
        Position of the column that becomes the index.
    index_name : object
        The name of that index.
    drop : bool
        That column is no longer a column then.
    together : bool
        Rows with equal keys stay in one partition.
    upsample : float
        How many times the usual sample to take.
    nan_first : bool or None
        Where NaN goes among the numbers; None: with the nulls.
    """

    like: pd.DataFrame
    by: tuple[int, ...]
    descending: tuple[bool, ...]
    nulls_first: bool
    n_inputs: int
    n_parts: int
    tuning: Tuning
    ignore_index: bool = False
    n_added: int = 0
    index_from: int | None = None
    index_name: Any = None
    drop: bool = True
    together: bool = False
    upsample: float = 1.0
    nan_first: bool | None = None

    def __repr__(self) -> str:
        """Return what tells one sort from another."""
        return f"FramePlan({', '.join(map(str, self.keys))}; {self.n_inputs} → {self.n_parts})"

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what names the sort's tasks, beside the name of the frame they sort.

        Not the empty frame itself: pandas' cached properties change its token.
        """
        columns = zip(self.like.columns, map(str, self.like.dtypes), strict=True)
        rest = [getattr(self, field.name) for field in fields(self)[4:]]
        return ("FramePlan", *columns, *map(str, self.keys), *rest)

    def with_parts(self, n_parts: int) -> FramePlan:
        """Return the plan with another number of output partitions."""
        return replace(self, n_parts=n_parts)

    def of_keys(self) -> FramePlan:
        """Return the plan of the key columns alone, whatever else the frame has."""
        columns = iter(range(len(self.by)))
        by = tuple(position if position < 0 else next(columns) for position in self.by)
        return FramePlan(
            self.like[self.column_labels],
            by,
            self.descending,
            self.nulls_first,
            self.n_inputs,
            self.n_parts,
            self.tuning,
            together=self.together,
            upsample=self.upsample,
            nan_first=self.nan_first,
        )

    def label(self, position: int) -> Any:
        """Return the label of a column, or the name of an index level."""
        return label_at(self.like, position)

    @property
    def shown_by(self) -> str:
        """The key's columns, for people."""
        labels = (self.label(position) for position in self.by)
        return ", ".join("the index" if label is None else str(label) for label in labels)

    def dtype(self, position: int) -> Any:
        """Return the dtype of a column or index level."""
        return dtype_at(self.like, position)

    @property
    def column_labels(self) -> list[Any]:
        """Labels of the key columns that are columns."""
        return [self.label(position) for position in self.by if position >= 0]

    @property
    def levels(self) -> list[int]:
        """Levels of the index that travel."""
        if self.ignore_index or self.index_from is not None:
            return [-1 - position for position in self.by if position < 0]
        return list(range(self.like.index.nlevels))

    @property
    def columns(self) -> list[int]:
        """Positions of the columns of the output."""
        n = self.like.shape[1] - self.n_added
        dropped = self.index_from if self.drop else None
        return [position for position in range(n) if position != dropped]

    @property
    def output(self) -> pd.DataFrame:
        """An empty output partition."""
        like = self.like.iloc[:0]
        found = like.iloc[:, self.columns]
        if self.n_added and found.columns.nlevels == 1:
            # Labels of another type may have come in with the added columns.
            found.columns = found.columns.infer_objects(copy=False)
        if self.index_from is not None:
            label = self.label(self.index_from)
            found.index = like.set_index(label).index.rename(self.index_name)
        elif self.ignore_index:
            found = found.reset_index(drop=True)
        return found

    def name(self, position: int) -> str:
        """Return the name under which a column travels; labels need not be strings."""
        if position < 0:
            return f"index {-1 - position}"
        return f"{position}: {self.like.columns[position]}"

    def is_object(self, position: int) -> bool:
        """Return whether a column holds Python objects."""
        return is_objects(self.dtype(position))

    def key_name(self, position: int) -> str:
        """Return the name of a key column; objects are sorted by a column beside their own."""
        return f"key {self.name(position)}" if self.is_object(position) else self.name(position)

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """The key, by the names under which its columns travel."""
        return tuple(
            SortKey(self.key_name(position), descending, self.nulls_first, self.nan_first)
            for position, descending in zip(self.by, self.descending, strict=True)
        )


def label_at(like: pd.DataFrame, position: int) -> Any:
    """Return the label of a column, or the name of index level ``-1 - position``."""
    return like.index.names[-1 - position] if position < 0 else like.columns[position]


def dtype_at(like: pd.DataFrame, position: int) -> Any:
    """Return the dtype of a column, or of index level ``-1 - position``."""
    if position < 0:
        return like.index.get_level_values(-1 - position).dtype
    return like.dtypes.iloc[position]


def positions_of(like: pd.DataFrame) -> list[int]:
    """Return the positions of all columns and index levels."""
    return [*range(like.shape[1]), *(-1 - level for level in range(like.index.nlevels))]


def is_objects(dtype: Any) -> bool:
    """Return whether a dtype is NumPy's of Python objects (pandas' own test knows no views)."""
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def is_nested(dtype: Any) -> bool:
    """Return whether a dtype is Arrow's of structs, lists or maps."""
    return isinstance(dtype, pd.ArrowDtype) and bool(pa.types.is_nested(dtype.pyarrow_dtype))


def check_key_dtypes(like: pd.DataFrame, positions: Sequence[int]) -> None:
    """Raise unless each key column has a dtype that can be a key.

    What an object column holds shows only when it is read.

    Raises
    ------
    KeyTypeError
        If a column is nested, complex, an interval or of another dtype without order.
    """
    for position in positions:
        dtype = dtype_at(like, position)
        if not _is_key_dtype(dtype):
            usable = [
                str(label)
                for label, d in zip(like.columns, like.dtypes, strict=True)
                if _is_key_dtype(d)
            ]
            here = f" (here: {', '.join(usable)})" if usable else ""
            msg = (
                f"cannot sort by {shown(label_at(like, position))}: its dtype is {dtype}. Keys "
                "can be numbers, booleans, dates and times, decimals, strings, binary, "
                "categories of these, and Arrow's structs and lists"
                f"{here}."
            )
            raise KeyTypeError(msg)


def _is_key_dtype(dtype: Any) -> bool:
    if isinstance(dtype, pd.SparseDtype):
        return dtype.subtype.kind != "O" and _is_key_dtype(dtype.subtype)
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biumMO" or (dtype.kind == "f" and dtype.itemsize <= 8)
    if isinstance(dtype, pd.ArrowDtype):
        from dlsort.order.key_types import check_key_types

        try:
            check_key_types(pa.schema([("key", dtype.pyarrow_dtype)]), (SortKey("key"),))
        except KeyTypeError:
            return False
        return True
    kinds = (pd.CategoricalDtype, pd.DatetimeTZDtype, pd.PeriodDtype, pd.StringDtype, *MASKED)
    return isinstance(dtype, kinds)
