"""Where: the rows and columns that a caller asks for, in the words of a source."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.evaluate import columns_of, type_of
from dlsort.errors import BadOptionError, shown
from dlsort.io.chosen import Chosen, choose
from dlsort.io.selection import Computed
from dlsort.keys import SortKey

__all__ = ["choose_rows", "told_where"]

_NUMBERED = "FieldPath("  # as Arrow shows a column that is named by its number


def told_where(where: Any) -> str:
    """Return what tells a condition from others: its text, of an expression with a digest.

    Arrow shortens what it shows of long lists.
    """
    if where is None or isinstance(where, str):
        return where or ""
    digest = hashlib.blake2b(pickle.dumps(where), digest_size=8).hexdigest()
    return f"{shown(where)} ({digest})"


def choose_rows(
    schema: pa.Schema,
    keys: Sequence[SortKey],
    wanted: tuple[Sequence[str] | None, Mapping[str, str] | None],
    where: Any,
    computed: Sequence[Computed] = (),
) -> Chosen:
    """Return what is read of a source.

    Parameters
    ----------
    schema : pyarrow.Schema
        The source's.
    keys : sequence of SortKey
        The key, by its names.
    wanted : (columns, rename)
        Columns of the result, and what they are called there.
    where : str, pyarrow.compute.Expression or None
        Which rows are kept.
    computed : sequence of Computed
        Key columns that are made.

    Raises
    ------
    BadOptionError, UnknownColumnError
        If there is no such column, or the condition is none of the source.
    """
    if where is None:
        return choose(schema, keys, *wanted, computed=computed)
    if isinstance(where, str):
        from dlsort.sql.condition import read_condition

        predicate, needed = read_condition(where, schema)
    else:
        predicate, needed = where, tuple(_needed(where, schema))
    told = where if isinstance(where, str) else shown(where)
    more: dict[str, Any] = {"predicate": predicate, "needed": needed, "told": told}
    return choose(schema, keys, *wanted, computed=computed, **more)


def _needed(where: Any, schema: pa.Schema) -> list[str]:
    """Return the columns that an expression needs.

    Raises
    ------
    BadOptionError
        If it is no condition over these columns.
    """
    if _NUMBERED in str(where):
        msg = (
            f"where (--where) is {shown(where)}, which gives a column's number; expected "
            "names, as in pyarrow.compute.field('day')."
        )
        raise BadOptionError(msg)
    try:
        found = columns_of(where, schema)
        kind = type_of(where, pa.schema([schema.field(name) for name in found]))
    except pa.ArrowException as error:
        why = str(error).partition("\n")[0].rstrip(".")
        msg = f"where (--where) is {shown(where)}, which the source has no value for: {why}."
        raise BadOptionError(msg) from error
    if not pt.is_boolean(kind):
        msg = f"where (--where) is {shown(where)}, of type {kind}; expected a condition."
        raise BadOptionError(msg)
    return found
