"""Row labels that pandas does not store: a RangeIndex is told in a file's metadata alone.

``RangeIndex(0, n)`` counts rows, and counts them again when they are sorted. Any other one has
labels that belong to their rows, so they become a column, as pandas writes other indexes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.types as pt

__all__ = ["PANDAS", "Labels", "chosen_pandas", "find_labels", "read_pandas", "unite_pandas"]

PANDAS = b"pandas"


class Labels(NamedTuple):
    """The labels of a file's rows: ``start``, ``start + step`` and so on, in a column."""

    column: str
    start: int
    step: int

    def of(self, runs: Iterable[tuple[int, int]]) -> pa.ChunkedArray:
        """Return the labels of some runs of rows: a first, and one behind the last."""
        chunks = []
        for first, last in runs:
            ends = self.start + self.step * first, self.start + self.step * last
            chunks.append(pa.array(range(*ends, self.step), pa.int64()))
        return pa.chunked_array(chunks, pa.int64())


class _Range(NamedTuple):
    name: str | None
    start: int
    step: int

    @property
    def counts_rows(self) -> bool:
        return self == (None, 0, 1)


@lru_cache(maxsize=256)
def read_pandas(told: bytes | None) -> dict[str, Any]:
    """Return what pandas has written of a file; nothing if it has not, or it makes no sense."""
    try:
        found = json.loads(told or b"")
        if isinstance(found["index_columns"], list) and isinstance(found["columns"], list):
            return dict(found)
    except (ValueError, LookupError, TypeError):
        pass
    return {}


def find_labels(schemas: Sequence[pa.Schema], n_rows: Sequence[int]) -> list[Labels | None]:
    """Return the labels of each file that are to be a column; None where there are none.

    Parameters
    ----------
    schemas : sequence of pyarrow.Schema
        The files', with their metadata.
    n_rows : sequence of int
        Rows of each file.
    """
    ranges = [_range(schema, n) for schema, n in zip(schemas, n_rows, strict=True)]
    stored = {
        schema.field(name).type
        for schema in schemas
        for name in read_pandas((schema.metadata or {}).get(PANDAS)).get("index_columns", [])
        if name == _column(0) and name in schema.names
    }
    is_kept = any(found is not None and not found.counts_rows for found in ranges)
    if not is_kept and not (stored and all(map(pt.is_integer, stored))):
        return [None] * len(schemas)
    names = {found.name for found in ranges if found is not None}
    name = names.pop() if len(names) == 1 else None
    taken = {name for schema in schemas for name in schema.names}
    column = _column(0) if name is None or name in taken else name
    labels: list[Labels | None] = []
    for schema, found in zip(schemas, ranges, strict=True):
        is_other = bool(stored) and not all(map(pt.is_integer, stored))
        if found is None or column in schema.names or (is_other and found.counts_rows):
            labels.append(None)
        else:
            labels.append(Labels(column, found.start, found.step))
    return labels


def _range(schema: pa.Schema, n_rows: int) -> _Range | None:
    """Return the labels that pandas gives a file's rows; None if it has stored them."""
    index = read_pandas((schema.metadata or {}).get(PANDAS)).get("index_columns", [])
    if any(isinstance(each, str) for each in index):
        return None
    try:
        (told,) = index
        found = range(told["start"], told["stop"], told["step"])
        if told["kind"] == "range" and len(found) == n_rows > 0:
            return _Range(told["name"], found.start, found.step)
    except (ValueError, LookupError, TypeError):
        pass
    return _Range(None, 0, 1) if n_rows else None


def _column(number: int) -> str:
    return f"__index_level_{number}__"


def unite_pandas(
    schemas: Sequence[pa.Schema], column: str | None, united: pa.Schema
) -> bytes | None:
    """Return what pandas is told of all files; None where none tells anything.

    Parameters
    ----------
    schemas : sequence of pyarrow.Schema
        The files', with their metadata.
    column : str or None
        That of labels that were not stored, if there are any.
    united : pyarrow.Schema
        The one of all files.
    """
    told = [read_pandas((schema.metadata or {}).get(PANDAS)) for schema in schemas]
    first = next((one for one in told if one), None)
    if first is None:
        return None
    indexes = []
    for one in filter(None, told):
        stored = [name for name in one["index_columns"] if isinstance(name, str)]
        indexes.append(stored or ([] if column is None else [column]))
    index = indexes[0] if all(one == indexes[0] for one in indexes) else []
    entries: dict[str, list[tuple[Any, pa.DataType]]] = {}
    for schema, one in zip(schemas, told, strict=True):
        for entry in one.get("columns", []):
            name = entry.get("field_name", entry.get("name"))
            if name in schema.names:
                entries.setdefault(name, []).append((entry, schema.field(name).type))
    columns = [_entry(entries[f.name], f) for f in united if f.name in entries]
    if column is not None and column not in entries:
        columns.append(_label_entry(column, told))
    found = {**first, "index_columns": index, "columns": columns}
    for key in ("attributes", "column_indexes"):
        if any(one.get(key) != first.get(key) for one in told if one):
            found[key] = {} if key == "attributes" else []
    return json.dumps(found).encode()


def _entry(told: Sequence[tuple[Any, pa.DataType]], field: pa.Field) -> Any:
    """Return what pandas is told of a column: what a file of its type tells, nullable first."""
    same = [entry for entry, kind in told if kind == field.type]
    nullable = [one for one in same if str(one.get("numpy_type", ""))[:1].isupper()]
    if same:
        return (nullable or same)[0]
    return {**told[0][0], **_types(field.type)}


def _types(kind: pa.DataType) -> dict[str, Any]:
    from pyarrow.pandas_compat import get_logical_type

    try:
        numpy_type = str(kind.to_pandas_dtype()().dtype)
    except (NotImplementedError, TypeError, AttributeError):
        numpy_type = "object"
    return {"pandas_type": get_logical_type(kind), "numpy_type": numpy_type, "metadata": None}


def _label_entry(column: str, told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = {
        index.get("name")
        for one in told
        for index in one.get("index_columns", [])
        if isinstance(index, dict)
    }
    name = names.pop() if len(names) == 1 else None
    return {"name": name, "field_name": column, **_types(pa.int64())}


def chosen_pandas(told: bytes, names: Mapping[str, str]) -> bytes:
    """Return what pandas is told of some columns.

    Parameters
    ----------
    told : bytes
        What it is told of all of them.
    names : mapping of str to str
        What those are called that are kept, by the names that they had.
    """
    found = read_pandas(told)
    if not found:
        return told
    index = [
        names[each] if isinstance(each, str) else each
        for each in found["index_columns"]
        if not isinstance(each, str) or each in names
    ]
    columns = []
    for entry in found["columns"]:
        old = entry.get("field_name", entry.get("name"))
        if old in names:
            name = names[old] if entry.get("name") == old else entry.get("name")
            columns.append({**entry, "name": name, "field_name": names[old]})
    return json.dumps({**found, "index_columns": index, "columns": columns}).encode()
