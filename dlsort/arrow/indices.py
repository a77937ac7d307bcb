"""Indices of dictionaries, which kernels trust and Parquet's C++ reader does not check."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

__all__ = ["check_indices"]


def check_indices(name: str, array: pa.Array) -> None:
    """Raise where a dictionary's index, at any depth, is beyond its values.

    Raises
    ------
    IndexError
        If one is; the message has the column's name.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        check_indices(name, array.storage)
    elif pt.is_dictionary(kind):
        ends = pc.min_max(array.indices)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low is not None and (low < 0 or high >= len(array.dictionary)):
            msg = (
                f"column {name!r} has values {low:,} to {high:,} of a dictionary of "
                f"{len(array.dictionary):,}"
            )
            raise IndexError(msg)
    elif pt.is_struct(kind):
        for i in range(kind.num_fields):
            check_indices(name, array.field(i))
    elif pt.is_map(kind):
        check_indices(name, array.keys)
        check_indices(name, array.items)
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        check_indices(name, array.values)
