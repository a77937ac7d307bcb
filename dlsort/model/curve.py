"""Curve: a model's splitters as points of the distribution that it has learned."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import array_of
from dlsort.io import storage

__all__ = ["MOST_POINTS", "curve_of"]

MOST_POINTS = 2000


def curve_of(path: str, column: str, most: int = MOST_POINTS) -> dict[str, Any] | None:
    """Return points of the distribution that a kept model has learned; None without a model.

    Parameters
    ----------
    path : str
        The model's file, as :func:`dlsort.model.model_file.keep_model` writes it.
    column : str
        What to call the key's first column.
    most : int
        How many splitters to return, evenly chosen.

    Returns
    -------
    dict
        ``column``; ``unit``: what ``keys`` are, a ``number``, a ``time`` in milliseconds since
        1970, or the ``rank`` among the different ones shown; ``quantiles`` and ``keys`` of the
        splitters; ``cuts``: (quantile, key) of those between two parts; ``n_splitters``.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(storage.read_bytes(path))) as stream:
            table = stream.read_all()
        numbers = table.schema.metadata or {}
        n_parts, n_bands = int(numbers[b"n_parts"]), int(numbers[b"n_bands"])
        at = np.arange(table.num_rows)
        shown, cuts = _thinned(at, most), _thinned(at[n_bands - 1 :: n_bands], most)
        places = np.union1d(shown, cuts)
        values, unit = _as_numbers(table.column(0).take(array_of(places)))
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError):
        return None  # it is for a page alone
    quantiles = (places + 1) / (n_parts * n_bands)
    is_shown, is_cut = np.isin(places, shown), np.isin(places, cuts)
    return {
        "column": column,
        "unit": unit,
        "quantiles": quantiles[is_shown].tolist(),
        "keys": values[is_shown].tolist(),
        "cuts": list(zip(quantiles[is_cut].tolist(), values[is_cut].tolist(), strict=True)),
        "n_splitters": table.num_rows,
    }


def _thinned(places: Any, most: int) -> Any:
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]


def _as_numbers(column: pa.ChunkedArray) -> tuple[Any, str]:
    """Return keys in order as numbers, null as NaN, and what they are."""
    values = column.combine_chunks()
    kind = values.type
    if pt.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if pt.is_date(kind) or pt.is_timestamp(kind):
        at = values.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False)
        return _floats(at.cast(pa.int64())), "time"
    if pt.is_time(kind) or pt.is_duration(kind):
        whole = pa.int64() if kind.bit_width == 64 else pa.int32()
        return _floats(values.cast(whole)), "number"
    if pt.is_boolean(kind):
        return _floats(values.cast(pa.int8())), "number"
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        return _floats(values), "number"
    if pt.is_nested(kind):
        return np.arange(len(values), dtype=np.float64), "rank"
    texts = values.to_pylist()
    is_new = [False, *(a != b for a, b in pairwise(texts))][: len(texts)]
    return np.cumsum(np.array(is_new, dtype=np.float64)), "rank"


def _floats(values: pa.Array) -> Any:
    # Arrow's own way to NumPy imports pandas.
    found = values.cast(pa.float64(), safe=False).to_pylist()
    return np.array([np.nan if value is None else value for value in found], np.float64)
