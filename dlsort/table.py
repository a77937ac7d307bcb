"""The local doors for tables: sorted rows, or the first of them, with no cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.buffers import from_transport, to_transport
from dlsort.errors import BadOptionError, KeyTypeError
from dlsort.keys import By, SortKey, parse_by
from dlsort.local_sort import sort_rows
from dlsort.words import check_key_types

__all__ = ["argsort", "sort_table"]

NULL_PLACES = {"first": True, "last": False}


def sort_table(table: Any, by: By, *, threads: int | None = None) -> pa.Table:
    """Return a table's rows in stable sorted order.

    Parameters
    ----------
    table : object
        A pyarrow table or record batch, or anything with the Arrow C stream or
        array interface (Polars, pandas, DuckDB results, …).
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``.

    Returns
    -------
    pyarrow.Table
        The same rows and schema. Rows with equal keys keep their order.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If the key can't be read, isn't there, or can't be sorted by.

    Notes
    -----
    Expected time O(n) for the order and O(n) a column for the gather; memory
    one copy of the table.

    Examples
    --------
    >>> import pyarrow as pa
    >>> t = pa.table({"x": [2, 1, None, 2], "y": ["a", "b", "c", "d"]})
    >>> sort_table(t, "x:desc:nulls_first")["y"].to_pylist()
    ['c', 'a', 'd', 'b']
    """
    rows = _as_table(table)
    keys = parse_by(by)
    check_key_types(rows.schema, keys)
    return from_transport(sort_rows(to_transport(rows), keys), rows.schema)


def _as_table(table: Any) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        try:
            return pa.table(table)
        except pa.ArrowInvalid:
            pass  # a single column: no table
    msg = (
        f"cannot sort a {type(table).__name__}; expected a table with the Arrow C stream "
        "or array interface, such as a pyarrow, Polars or pandas one."
    )
    raise KeyTypeError(msg)
