"""How many partitions a sort of a frame gives, where they begin, and how rows get there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from dask.dataframe.core import check_divisions
from dask.dataframe.dask_expr import DataFrame
from dask.dataframe.dask_expr._expr import Expr
from dask.dataframe.dask_expr.io import FromPandas, ReadParquet
from dask.dataframe.dask_expr.io.parquet import ReadParquetPyarrowFS

from dlsort.errors import BadOptionError

__all__ = ["parse_divisions", "parse_n_parts", "parse_shuffle_method", "parse_upsample"]

ENGINES = {None: None, "auto": None, "p2p": "p2p", "tasks": "taskgraph", "disk": "taskgraph"}
FOOTERS = 8  # read to estimate the size of a Parquet dataset


def parse_n_parts(npartitions: Any, ddf: DataFrame, partition_size: Any) -> int | None:
    """Return the number of output partitions; None for the input's."""
    if npartitions is None:
        return None
    if isinstance(npartitions, str) and npartitions == "auto":
        if not (isinstance(partition_size, int | float) and partition_size > 0):
            msg = (
                f"partition_size is {partition_size!r}; expected a number of bytes above zero."
            )
            raise BadOptionError(msg)
        return _auto(ddf.expr, float(partition_size))
    is_whole = isinstance(npartitions, int | np.integer) and not isinstance(npartitions, bool)
    if not is_whole or npartitions < 1:
        msg = (
            f"npartitions is {npartitions!r}; expected a whole number of at least 1, or 'auto'."
        )
        raise BadOptionError(msg)
    return int(npartitions)


def _auto(expr: Expr, partition_size: float) -> int:
    """Return how many partitions of a size what an expression reads from would take."""
    n_bytes = 0.0
    for source in expr.walk():
        if isinstance(source, FromPandas):
            n_bytes += float(source.frame._data.memory_usage(deep=True).sum())
        elif isinstance(source, ReadParquet):
            n_bytes += _parquet_bytes(source)
        elif not source.dependencies():
            return int(expr.npartitions)
    return max(1, min(math.ceil(n_bytes / partition_size), int(expr.npartitions)))


def _parquet_bytes(source: Any) -> float:
    """Return about how many bytes Parquet files have uncompressed, from a few footers."""
    if isinstance(source, ReadParquetPyarrowFS):
        fragments = source.fragments
    else:
        fragments = list(source._dataset_info["ds"].get_fragments())
    if not len(fragments):
        return 0.0
    step = math.ceil(len(fragments) / FOOTERS)
    sizes = [sum(g.total_byte_size for g in f.row_groups) for f in fragments[::step]]
    return float(sum(sizes)) / len(sizes) * len(fragments)


def parse_divisions(divisions: Any, npartitions: Any) -> tuple[Any, ...] | None:
    """Return given divisions as a tuple, or None."""
    if divisions is None:
        return None
    if not isinstance(divisions, list | tuple):
        msg = f"divisions is a {type(divisions).__name__}; expected a list or a tuple."
        raise BadOptionError(msg)
    check_divisions(divisions)
    if npartitions is not None and npartitions != len(divisions) - 1:
        msg = (
            f"npartitions is {npartitions!r}, but the divisions are those of "
            f"{len(divisions) - 1} partitions; give one of the two."
        )
        raise BadOptionError(msg)
    return tuple(divisions)


def parse_upsample(upsample: Any) -> float:
    """Return how many times the usual sample to take."""
    is_number = isinstance(upsample, int | float | np.number) and not isinstance(upsample, bool)
    if not is_number or not 0 < float(upsample) < math.inf:
        msg = f"upsample is {upsample!r}; expected a number above zero."
        raise BadOptionError(msg)
    return float(upsample)


def parse_shuffle_method(method: Any) -> str | None:
    """Return the engine that a shuffle method stands for; None to let the scheduler decide."""
    if not (method is None or isinstance(method, str)) or method not in ENGINES:
        given = ", ".join(repr(name) for name in ENGINES if name)
        msg = f"shuffle_method is {method!r}; expected one of {given}, or None."
        raise BadOptionError(msg)
    return ENGINES[method]
