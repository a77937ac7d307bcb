"""Columns that travel as they were found, as the declared dtype can't hold them.

A note beside the column says which dtype it has. Where an output partition receives such a
piece, all pieces are restored each by itself, and joined as pandas joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlsort.errors import SchemaMismatchError
from dlsort.frame_tasks.casts import cast_exactly, common_dtype, filled_dtype
from dlsort.frame_tasks.columns import codec_for
from dlsort.frame_tasks.nulls import is_nullable
from dlsort.frame_tasks.plan import MASKED
from dlsort.order.shard_order import ShardOrder

__all__ = ["agrees", "encode_found", "gather_found", "is_of", "names"]


@dataclass(frozen=True)
class Found:
    """The dtype of a piece that is not the declared one, and the note of its codec."""

    dtype: Any
    note: Any


def agrees(found: Any, declared: Any) -> bool:
    """Return whether a column's dtype is the declared one."""
    if isinstance(found, pd.CategoricalDtype) and isinstance(declared, pd.CategoricalDtype):
        return True  # Dask may not know the categories
    return bool(found == declared)


def is_of(found: Any, declared: Any) -> bool:
    """Return whether a dtype is the declared one, or that of its nullable numbers."""
    if agrees(found, declared):
        return True
    is_whole = isinstance(declared, np.dtype) and declared.kind in "iub"
    return is_whole and isinstance(found, MASKED) and bool(found.type == declared.type)


def encode_found(
    dtype: Any, label: Any, values: Any, *, as_found: bool
) -> tuple[pa.Array, Any]:
    """Return an array as Arrow, and a note for :func:`gather_found`.

    Parameters
    ----------
    dtype, label : object
        The column's, as declared.
    values : numpy.ndarray or pandas.api.extensions.ExtensionArray
        Of the declared dtype, nullable instead, or of another.
    as_found : bool
        It was nullable before, and stays so.
    """
    is_declared = agrees(values.dtype, dtype) or (
        not as_found and is_nullable(values) and is_of(values.dtype, dtype)
    )
    array, note = codec_for(dtype if is_declared else values.dtype, label).encode(values)
    return array, note if is_declared else Found(values.dtype, note)


def gather_found(
    dtype: Any, label: Any, pieces: Sequence[pa.Table], notes: Sequence[Any], order: ShardOrder
) -> Any:
    """Join the pieces of a column and return some rows of it, as :meth:`Codec.gather` does.

    Raises
    ------
    SchemaMismatchError
        If no dtype holds what the pieces hold.
    """
    held = [i for i, piece in enumerate(pieces) if len(piece)]
    if not held and any(isinstance(note, Found) for note in notes):
        none = pd.Series([], dtype=dtype)
        return none.to_numpy() if isinstance(dtype, np.dtype) else none.array
    if not any(isinstance(notes[i], Found) for i in held):
        plain = [note.note if isinstance(note, Found) else note for note in notes]
        return codec_for(dtype, label).gather(pieces, plain, order)
    pieces = [pieces[i] for i in held]
    found = [n if isinstance(n := notes[i], Found) else Found(dtype, n) for i in held]
    order = ShardOrder([order.starts[i] for i in held], order.orders)
    if all(each.dtype == found[0].dtype for each in found):
        codec = codec_for(found[0].dtype, label)
        return codec.gather(pieces, [each.note for each in found], order)
    parts = []
    for piece, each in zip(pieces, found, strict=True):
        whole = ShardOrder.of_rows(np.arange(len(piece), dtype=np.uint32), [len(piece)])
        values = codec_for(each.dtype, label).gather([piece], [each.note], whole)
        parts.append(pd.Series(values, dtype=values.dtype))
    joined = join(parts, label)
    values = joined.to_numpy() if isinstance(joined.dtype, np.dtype) else joined.array
    return values[order.rows]


def join(parts: Sequence[pd.Series[Any]], label: Any) -> pd.Series[Any]:
    """Join columns of several dtypes as pandas does, if that changes no value."""
    dtypes = [filled_dtype(part.array) for part in parts]
    is_empty = all(dtype is None for dtype in dtypes)
    dtype = common_dtype([part.dtype for part in parts] if is_empty else dtypes)
    cast = [cast_exactly(part, dtype) for part in parts]
    if any(part is None for part in cast):
        msg = (
            f"partitions of column {label!r} are {', '.join(names([p.dtype for p in parts]))}; "
            f"joined they would be {dtype}, which can't hold all their values. Convert the "
            "column to one dtype first."
        )
        raise SchemaMismatchError(msg)
    return pd.concat(cast)


def names(dtypes: Sequence[Any]) -> list[str]:
    """Return the names of dtypes, each once."""
    return list(dict.fromkeys(map(str, dtypes)))
