"""How many partitions a sort of a frame gives, where they begin, and how rows get there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from dask.dataframe.core import check_divisions
from dask.dataframe.dask_expr import DataFrame
from dask.dataframe.dask_expr._expr import Expr
from dask.dataframe.dask_expr.io import FromPandas, ReadParquet
from dask.dataframe.dask_expr.io.parquet import ReadParquetPyarrowFS

from dlsort.errors import BadOptionError, shown
from dlsort.frame_tasks.plan import is_objects
from dlsort.tuning import Tuning

__all__ = ["parse_divisions", "parse_n_parts", "parse_shuffle_method", "parse_upsample"]

ENGINES = {None: None, "auto": None, "p2p": "p2p", "tasks": "taskgraph", "disk": "taskgraph"}


def parse_n_parts(
    npartitions: Any, ddf: DataFrame, partition_size: Any, tuning: Tuning
) -> int | None:
    """Return the number of output partitions; None for the input's."""
    if not _is_above_zero(partition_size):
        msg = (
            f"partition_size is {shown(partition_size)}; expected a number of bytes above zero."
        )
        raise BadOptionError(msg)
    if npartitions is None:
        return None
    if isinstance(npartitions, str) and npartitions == "auto":
        return _auto(ddf.expr, float(partition_size), tuning.frames.footers)
    is_whole = isinstance(npartitions, int | np.integer) and not isinstance(npartitions, bool)
    if not is_whole or not 1 <= npartitions <= tuning.budget.most_parts:
        msg = (
            f"npartitions is {shown(npartitions)}; expected a whole number of at least 1 and "
            f"at most {tuning.budget.most_parts:,}, or 'auto'."
        )
        raise BadOptionError(msg)
    return int(npartitions)


def _auto(expr: Expr, partition_size: float, n_footers: int) -> int:
    """Return how many partitions of a size what an expression reads from would take."""
    n_bytes = 0.0
    for source in expr.walk():
        if isinstance(source, FromPandas):
            n_bytes += float(source.frame._data.memory_usage(deep=True).sum())
        elif isinstance(source, ReadParquet):
            n_bytes += _parquet_bytes(source, n_footers)
        elif not source.dependencies():
            return int(expr.npartitions)
    return max(1, min(math.ceil(n_bytes / partition_size), int(expr.npartitions)))


def _parquet_bytes(source: Any, n_footers: int) -> float:
    """Return about how many bytes Parquet files have uncompressed, from a few footers."""
    if isinstance(source, ReadParquetPyarrowFS):
        fragments = source.fragments
    else:
        fragments = list(source._dataset_info["ds"].get_fragments())
    if not len(fragments):
        return 0.0
    step = math.ceil(len(fragments) / n_footers)
    sizes = [sum(g.total_byte_size for g in f.row_groups) for f in fragments[::step]]
    return float(sum(sizes)) / len(sizes) * len(fragments)


def parse_divisions(
    divisions: Any, npartitions: Any, dtype: Any = None
) -> tuple[Any, ...] | None:
    """Return given divisions as a tuple, or None.

    They have to be values of ``dtype``, if one is given.
    """
    if divisions is None:
        return None
    if not isinstance(divisions, list | tuple):
        msg = f"divisions is {shown(divisions)}; expected a list or a tuple."
        raise BadOptionError(msg)
    if len(divisions) < 2:
        msg = (
            f"divisions is {shown(divisions)}; expected the first value of each partition, and "
            "the last of all."
        )
        raise BadOptionError(msg)
    try:
        check_divisions(divisions)
    except (TypeError, ValueError) as error:
        found = f"divisions is {shown(divisions)}"
        msg = f"{found}; expected ascending values of the index ({error})."
        raise BadOptionError(msg) from error
    n_parts = len(divisions) - 1
    if npartitions is not None and not np.array_equal(npartitions, n_parts):
        msg = (
            f"npartitions is {shown(npartitions)}, but the divisions are those of "
            f"{n_parts} partitions; give one of the two."
        )
        raise BadOptionError(msg)
    # Of objects and categories only the values tell what they are.
    if dtype is None or is_objects(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return tuple(divisions)
    return _as_values(divisions, dtype)


def _as_values(divisions: Sequence[Any], dtype: Any) -> tuple[Any, ...]:
    """Return divisions as values of a dtype; times may be given as text."""
    msg = f"divisions is {shown(divisions)}; expected values of the index: {dtype}."
    try:
        found = pd.Series(list(divisions), dtype=dtype).tolist()
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        given_dtype = pd.Series(list(divisions)).dtype
        if given_dtype.kind == dtype.kind == "M":
            return tuple(divisions)  # only the zone differs: Dask's meta may be wrong of that
        raise BadOptionError(msg) from error
    as_text = isinstance(dtype, pd.PeriodDtype) or dtype.kind in "mM"
    for value, given in zip(found, divisions, strict=True):
        if value != given and not (as_text and isinstance(given, str)):
            raise BadOptionError(msg)
    return tuple(found)


def parse_upsample(upsample: Any) -> float:
    """Return how many times the usual sample to take."""
    if not _is_above_zero(upsample):
        msg = f"upsample is {shown(upsample)}; expected a number above zero."
        raise BadOptionError(msg)
    return float(upsample)


def parse_shuffle_method(method: Any) -> str | None:
    """Return the engine that a shuffle method stands for; None to let the scheduler decide."""
    if not (method is None or isinstance(method, str)) or method not in ENGINES:
        given = ", ".join(repr(name) for name in ENGINES if name)
        msg = f"shuffle_method is {shown(method)}; expected one of {given}, or None."
        raise BadOptionError(msg)
    return ENGINES[method]


def _is_above_zero(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:
        return False
