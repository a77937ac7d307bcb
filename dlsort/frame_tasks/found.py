"""Columns whose partitions have other dtypes than the declared one: what all together have.

One partition can't tell. So its columns travel with the declared dtype where that holds all
their values, else as they were found, and :class:`Seen` says what they were. Who knows that of
all partitions settles on one dtype for them: the declared one if all travel with it, else its
nullable form if that does, else what pandas makes of those that were found. No value is
changed for good before, as an integer of 64 bits is lost where some are signed, others not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
from dask.dataframe.utils import pyarrow_strings_enabled

from dlsort.errors import SchemaMismatchError
from dlsort.frame_tasks.casts import (
    cast_exactly,
    common_dtype,
    differ_in_kind_only,
    has_value,
    kind_of,
)
from dlsort.frame_tasks.columns import Numbers, codec_for
from dlsort.frame_tasks.nulls import as_nullable
from dlsort.frame_tasks.plan import FramePlan, is_objects
from dlsort.order.shard_order import ShardOrder

__all__ = [
    "Joint",
    "Seen",
    "agrees",
    "encode_found",
    "gather_found",
    "names",
    "raise_unjoinable",
    "settle",
    "settle_all",
    "take_in",
]


@dataclass(frozen=True)
class Seen:
    """What a column of one partition was.

    Parameters
    ----------
    dtype : object
        As it was found; None if it held no value.
    travels : object
        The declared dtype if that holds all values, else its nullable form, else as found.
    has_gaps : bool
        It is numbers of the declared dtype with nulls, that are floats or objects in the end.
    """

    dtype: Any
    travels: Any
    has_gaps: bool = False


@dataclass(frozen=True)
class Joint:
    """The dtype of all partitions, and those that were found."""

    dtype: Any
    of: tuple[Any, ...]


@dataclass(frozen=True)
class Found:
    """What a piece of a column was, and the note of its codec."""

    seen: Seen
    note: Any


def agrees(found: Any, declared: Any) -> bool:
    """Return whether a column's dtype is the declared one."""
    if isinstance(found, pd.CategoricalDtype) and isinstance(declared, pd.CategoricalDtype):
        return True  # Dask may not know the categories
    return bool(found == declared)


def take_in(column: Any, dtype: Any, where: str) -> tuple[Any, Seen | None]:
    """Return a column as it travels, and what it was; None if that is what the frame declares.

    Parameters
    ----------
    column : pandas.Series or pandas.Index
        Of one partition.
    dtype : object
        The declared one.
    where : str
        Which column it is, for messages.

    Raises
    ------
    SchemaMismatchError
        If another kind of values would be needed.
    """
    if agrees(column.dtype, dtype):
        values = column if isinstance(column, pd.Index) else column.array
        return column, None if not len(values) or has_value(values) else Seen(None, dtype)
    column = pd.Series(column, copy=False)
    if not len(column):
        return cast_exactly(column, dtype), None
    found = column.dtype if has_value(column.array) else None
    if (nullable := as_nullable(column, dtype)) is not None:
        # Floats and objects with gaps, as pandas reads them from a file, are so again.
        again = isinstance(column.dtype, np.dtype) and column.dtype.kind in (
            ("f",) if dtype.kind in "iu" else ("f", "O")
        )
        return nullable, Seen(found, dtype if again else nullable.dtype, again)
    converted = cast_exactly(column, dtype)
    # The order of categories is lost with them, where there are any.
    keeps = isinstance(column.dtype, pd.CategoricalDtype) and found is not None
    if converted is not None and not keeps:
        return converted, Seen(found, dtype)
    if converted is not None or differ_in_kind_only(column, dtype):
        return column, Seen(found, column.dtype)
    why = ""
    if kind_of(column.dtype) == "text" and pyarrow_strings_enabled():
        why = (
            "Dask makes text of objects, whatever they are, unless its option "
            "dataframe.convert-string is off. "
        )
    msg = (
        f"{where} is {column.dtype}, but the frame says {dtype}, which can't hold it. {why}"
        "Give Dask the right meta, or convert the column first."
    )
    raise SchemaMismatchError(msg)


def settle(declared: Any, seen: Sequence[Seen | None]) -> Joint | None:
    """Return the dtype of all partitions; None if it is the declared one.

    Parameters
    ----------
    declared : object
        The declared dtype.
    seen : sequence of Seen or None
        What each partition with rows was; None where that was the declared one.
    """
    ways = {each.travels for each in seen if each and not agrees(each.travels, declared)}
    dtypes = [declared if each is None else each.dtype for each in seen]
    found = tuple(dtype for dtype in dict.fromkeys(dtypes) if dtype is not None)
    if isinstance(declared, np.dtype) and declared.kind in "iub":
        nullable = Numbers(declared).nullable
        # Floats of one partition would make floats of what pandas keeps of another.
        has_gaps = any(each and each.has_gaps for each in seen) and declared.kind != "b"
        are_numpy = all(isinstance(d, np.dtype) and d.kind in "iuf" for d in found)
        if ways == {nullable} or (has_gaps and not ways and not are_numpy):
            return Joint(nullable, found)
    if not ways:
        return None
    if not found:
        dtypes = [each.travels for each in seen if each]
    return Joint(common_dtype(dtypes), found)


def settle_all(
    plan: FramePlan, seen: Sequence[Mapping[int, Seen]] | Sequence[Sequence[tuple[int, Seen]]]
) -> dict[int, Joint]:
    """Return the dtypes of all partitions that are not the declared ones, by position."""
    found = {}
    partitions = [dict(each) for each in seen]
    for position in {position for each in partitions for position in each}:
        of_all = [each.get(position) for each in partitions]
        if (joint := settle(plan.dtype(position), of_all)) is not None:
            found[position] = joint
    return found


def encode_found(
    dtype: Any, label: Any, values: Any, seen: Seen | None
) -> tuple[pa.Array, Any]:
    """Return a column that :func:`take_in` gave as Arrow, and a note for what gathers it."""
    if seen is None:
        return codec_for(dtype, label).encode(values)
    array, note = codec_for(seen.travels, label).encode(values)
    return array, Found(seen, note)


def gather_found(
    dtype: Any,
    label: Any,
    joint: Joint | None,
    pieces: Sequence[pa.Table],
    notes: Sequence[Any],
    order: ShardOrder,
) -> Any:
    """Join the pieces of a column and return some rows of it, as :meth:`Codec.gather` does.

    Raises
    ------
    SchemaMismatchError
        If no dtype holds what the pieces hold.
    """
    seen = [note.seen if isinstance(note, Found) else Seen(dtype, dtype) for note in notes]
    notes = [note.note if isinstance(note, Found) else note for note in notes]
    if joint is None:
        return codec_for(dtype, label).gather(pieces, notes, order)
    held = [i for i, piece in enumerate(pieces) if len(piece)]
    if not held:
        return _array_of(pd.Series([], dtype=joint.dtype))
    if all(seen[i].travels == joint.dtype for i in held):
        order = ShardOrder([order.starts[i] for i in held], order.orders)
        of_held = [pieces[i] for i in held], [notes[i] for i in held]
        return codec_for(joint.dtype, label).gather(*of_held, order)
    parts = []
    for i in held:
        n = len(pieces[i])
        whole = ShardOrder.of_rows(np.arange(n, dtype=np.uint32), [n])
        values = codec_for(seen[i].travels, label).gather([pieces[i]], [notes[i]], whole)
        part = pd.Series(values, dtype=values.dtype)
        if is_objects(joint.dtype) and seen[i].dtype is not None:
            back = cast_exactly(part, seen[i].dtype)  # before it was cast they were others
            part = part if back is None else back
        parts.append(part)
    cast = [cast_exactly(part, joint.dtype) for part in parts]
    if any(part is None for part in cast):
        raise_unjoinable(label, joint)
    return _array_of(pd.concat(cast))[order.rows]


def raise_unjoinable(label: Any, joint: Joint) -> NoReturn:
    """Raise as a carried column would change if its partitions were joined.

    Raises
    ------
    SchemaMismatchError
    """
    msg = (
        f"partitions of column {label!r} are {', '.join(names(joint.of))}; joined they would "
        f"be {joint.dtype}, which can't hold all their values. Convert the column to one dtype "
        "first."
    )
    raise SchemaMismatchError(msg)


def _array_of(column: pd.Series[Any]) -> Any:
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def names(dtypes: Sequence[Any]) -> list[str]:
    """Return the names of dtypes, each once."""
    return list(dict.fromkeys(map(str, dtypes)))
