"""Arrays made without pandas, which Arrow's ``pa.array`` imports: 0.15 s for a small job."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["array_of", "empty_table"]


def array_of(values: npt.NDArray[Any], null: npt.NDArray[np.bool] | None = None) -> pa.Array:
    """Return numbers as an array that shares their memory.

    Parameters
    ----------
    values : (n,) array
        Of a fixed width, and no truth values.
    null : (n,) bool, optional
        Where it is null.

    Examples
    --------
    >>> import numpy as np
    >>> array_of(np.array([3, 4]), np.array([False, True])).to_pylist()
    [3, None]
    """
    values = np.ascontiguousarray(values)
    valid = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values)])


def empty_table(schema: pa.Schema) -> pa.Table:
    """Return a table without rows."""
    return pa.Table.from_arrays([pa.nulls(0, each.type) for each in schema], schema=schema)
