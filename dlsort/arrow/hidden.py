"""Hidden columns: key columns that travel with the rows of a sort, and are in no result.

A key may be computed, or be a column that the result is not to have. Such a column has a name
that no file's can have, travels and is compared as any other, is no part of the proof, and
goes before rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from dlsort.key_parts import COMPUTED as HIDDEN
from dlsort.key_parts import shown_name

__all__ = ["HIDDEN", "is_hidden", "shown_name", "visible_schema", "without_hidden"]


def is_hidden(name: str) -> bool:
    """Return whether a column, or a field of a struct in one, is hidden."""
    return name.startswith(HIDDEN)


def _visible(names: Iterable[str]) -> list[str]:
    return [name for name in names if not is_hidden(name)]


def without_hidden(table: pa.Table) -> pa.Table:
    r"""Return a table without its hidden columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> without_hidden(pa.table({"x": [1], "\0dlsort:x": [2]})).column_names
    ['x']
    """
    names = _visible(table.column_names)
    return table if len(names) == table.num_columns else table.select(names)


def visible_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema without its hidden columns."""
    names = _visible(schema.names)
    if len(names) == len(schema):
        return schema
    return pa.schema([schema.field(name) for name in names], schema.metadata)
