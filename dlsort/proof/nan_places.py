"""Where NaN stands in rows that are in order but for that: each writer has its own rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.paths import field_at
from dlsort.keys import SortKey

__all__ = ["has_nan", "other_places"]


def other_places(
    keys: Sequence[SortKey], schema: pa.Schema
) -> Iterator[tuple[str, tuple[SortKey, ...]]]:
    """Yield the other rules for NaN that rows may be in order by: in words, and the key.

    Parameters
    ----------
    keys : sequence of SortKey
        The key that rows are not in order by.
    schema : pyarrow.Schema
        With the key columns.

    Examples
    --------
    >>> keys = [SortKey("x", descending=True)]
    >>> for rule, other in other_places(keys, pa.schema([("x", pa.float32())])):
    ...     print(rule, str(other[0]))
    NaN is greater than every number x:desc:nan_first
    NaN is less than every number x:desc:nan_last
    """
    for is_greater, rule in (
        (True, "NaN is greater than every number"),
        (False, "NaN is less than every number"),
        (None, "NaN counts as null"),
    ):
        found = []
        for key in keys:
            first = None if is_greater is None else is_greater == key.descending
            is_one = _has_floats(field_at(schema, key.column).type)
            found.append(replace(key, nan_first=first) if is_one else key)
        if found != list(keys):
            yield rule, tuple(found)


def _has_floats(kind: pa.DataType) -> bool:
    """Return whether there are floats in values of a type, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return _has_floats(kind.storage_type)
    if pt.is_dictionary(kind):
        return _has_floats(kind.value_type)
    if pt.is_nested(kind):
        return any(_has_floats(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pt.is_floating(kind))


def has_nan(rows: pa.Table) -> bool:
    """Return whether a few rows hold NaN, at any depth."""
    return any(_holds_nan(chunk) for column in rows.columns for chunk in column.chunks)


def _holds_nan(array: pa.Array) -> bool:
    kind = array.type
    if not _has_floats(kind):
        return False
    if isinstance(array, pa.ExtensionArray):
        return _holds_nan(array.storage)
    if pt.is_dictionary(kind):
        return _holds_nan(array.dictionary_decode())
    if pt.is_struct(kind):
        return any(map(_holds_nan, array.flatten()))
    if pt.is_map(kind):
        array = array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    if pt.is_nested(kind):
        return _holds_nan(array.flatten())
    return bool(np.isnan(array.drop_null().to_numpy(zero_copy_only=False)).any())
