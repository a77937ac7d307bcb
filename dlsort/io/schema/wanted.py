"""What a caller may ask of the schema: united, the same in all files, or a given one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from dlsort.arrow.same_names import with_own_names
from dlsort.errors import BadOptionError, shown
from dlsort.io.listing.hive import read_types
from dlsort.io.schema.united import ColumnTypes, SchemaWanted
from dlsort.io.storage import is_store, open_to_read, without_scheme

__all__ = ["read_schema", "told_of"]

EXPECTED = (
    'expected "union", "strict" or a schema: one of pyarrow, or a Parquet or Arrow file\'s'
)


def read_schema(value: Any) -> SchemaWanted:
    """Return what is asked for; a file is opened, and its schema taken.

    Parameters
    ----------
    value : str, path-like, mapping or pyarrow.Schema
        ``"union"``, ``"strict"``, a schema, or a file: Parquet, or Arrow's IPC file or stream.
        Or types of some columns, as a mapping or as in ``"x:string,y:decimal(9,2)"``.

    Raises
    ------
    BadOptionError
        If it is none of these, or the file can't be read.
    """
    if isinstance(value, pa.Schema):
        return _checked(value, "schema")
    if isinstance(value, str) and value in ("union", "strict"):
        return "union" if value == "union" else "strict"
    if isinstance(value, Mapping) or _is_types(value):
        return ColumnTypes(read_types(value, "schema"))
    if not isinstance(value, str | PathLike):
        msg = f"schema (--schema) is {shown(value)}; {EXPECTED}."
        raise BadOptionError(msg)
    path = str(without_scheme(str(value)))
    try:
        with open_to_read(path) as where:
            found = _read(where)
    except FileNotFoundError as error:
        msg = f"schema (--schema) is {shown(path)}, and there is no such file; {EXPECTED}."
        raise BadOptionError(msg) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        why = str(error).partition("\n")[0].rstrip(".")
        msg = f"schema (--schema) is {shown(path)}, which can't be read ({why}); {EXPECTED}."
        raise BadOptionError(msg) from error
    return _checked(found, path)


def _is_types(value: Any) -> bool:
    is_text = isinstance(value, str) and ":" in value
    return is_text and not is_store(value) and not Path(value).exists()


def _read(where: Any) -> pa.Schema:
    """Return the schema of a file of any of the kinds."""
    with suppress(pa.ArrowInvalid):
        return pq.read_schema(where)
    with pa.memory_map(where) if isinstance(where, str) else pa.PythonFile(where) as file:
        with suppress(pa.ArrowInvalid):
            return pa.ipc.open_file(file).schema
        file.seek(0)
        return pa.ipc.open_stream(file).schema


def _checked(schema: pa.Schema, name: str) -> pa.Schema:
    try:
        found = with_own_names(schema)
    except pa.ArrowInvalid as error:
        msg = f"the schema of {name} can't be taken ({error}); {EXPECTED}."
        raise BadOptionError(msg) from error
    if not found.names:
        msg = f"the schema of {name} has no columns; {EXPECTED}."
        raise BadOptionError(msg)
    return found


def told_of(wanted: SchemaWanted) -> str:
    """Return what is asked for as a text that is the same whenever that is the same."""
    if isinstance(wanted, ColumnTypes):
        return ",".join(f"{name}:{kind}" for name, kind in wanted.items())
    return wanted if isinstance(wanted, str) else wanted.serialize().to_pybytes().hex()
