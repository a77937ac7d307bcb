"""Types that files tell beside those of Parquet: Arrow's, which parts tell as the source does.

Writers of Arrow tables store their schema (``ARROW:schema``), and each reader makes of it what
it can: one reads a date64 as such that another stores as plain integers. pyarrow itself knows
less of it than others do. So what files tell of a column is told again as it is, and nothing is
told where they tell nothing: a reader then goes by Parquet's types, of parts as of the source.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.ipc

from dlsort.arrow.same_names import with_own_names

__all__ = ["ARROW", "told_types"]

ARROW = b"ARROW:schema"

Kinds = dict[str, pa.DataType]  # by column


def told_types(
    files: Iterable[tuple[pa.Schema, bytes | None]], schema: pa.Schema, *, has_own: bool = False
) -> pa.Schema | None:
    """Return the Arrow schema that the parts of a dataset are to tell, None if none.

    Parameters
    ----------
    files : iterable of (pyarrow.Schema, bytes or None)
        What pyarrow reads of each different file, and the schema that the file tells.
    schema : pyarrow.Schema
        The dataset's.
    has_own : bool
        Some of its types are of no file, and Parquet may not have them.

    Returns
    -------
    pyarrow.Schema or None
        ``schema``, with the types that files tell of columns which they agree on.

    Notes
    -----
    Time O(columns) for each file.
    """
    pairs = [(read, _schema_in(told, read)) for read, told in files]
    if not has_own and all(told is None for _, told in pairs):
        return None
    by_name = [(_kinds(read), None if told is None else _kinds(told)) for read, told in pairs]
    return pa.schema([_told(field, by_name) for field in schema], schema.metadata)


def _kinds(schema: pa.Schema) -> Kinds:
    return dict(zip(schema.names, schema.types, strict=True))


def _told(field: pa.Field, files: Sequence[tuple[Kinds, Kinds | None]]) -> pa.Field:
    """Return a column as the files that have it tell it, if all tell the same."""
    kinds = []
    for read, told in files:
        if field.name in read:
            if told is None or read[field.name] != field.type:
                return field
            kinds.append(told[field.name])
    is_one = bool(kinds) and all(kind.equals(kinds[0], check_metadata=True) for kind in kinds)
    return field.with_type(kinds[0]) if is_one else field


def _schema_in(told: bytes | None, read: pa.Schema) -> pa.Schema | None:
    """Return the schema that a file tells, None if it tells none of its columns."""
    if told is None:
        return None
    try:
        stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(told)))
        schema = with_own_names(stored)
    except (binascii.Error, OSError, UnicodeDecodeError, pa.ArrowException):
        return None
    return schema if schema.names == read.names else None
