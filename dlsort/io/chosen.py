"""Chosen: what a result has of its source: columns, names, and key columns beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from dlsort.arrow.hidden import HIDDEN, is_hidden
from dlsort.arrow.paths import find_path
from dlsort.errors import BadOptionError, shown
from dlsort.io.schema.metadata import chosen_metadata
from dlsort.io.selection import Computed, Selection
from dlsort.keys import SortKey, check_columns

__all__ = ["Chosen", "choose"]


class Chosen(NamedTuple):
    """What travels of a source, and its key by the names that it has then.

    Attributes
    ----------
    selection : Selection
        What is read.
    schema : pyarrow.Schema
        The travelling columns: those of the result, then hidden ones.
    keys : tuple of SortKey
        The key.
    dropped : list of str
        Keys of metadata that would not be true of the result.
    """

    selection: Selection
    schema: pa.Schema
    keys: tuple[SortKey, ...]
    dropped: list[str]


def choose(
    schema: pa.Schema,
    keys: Sequence[SortKey],
    columns: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    *,
    predicate: Any = None,
    needed: Sequence[str] = (),
    told: str = "",
    computed: Sequence[Computed] = (),
) -> Chosen:
    """Return what is read of a source for a result of some columns.

    Parameters
    ----------
    schema : pyarrow.Schema
        The source's.
    keys : sequence of SortKey
        By the source's names, or by those of computed columns.
    columns : sequence of str, optional
        The columns of the result, in order, by the source's names; by default all.
    rename : mapping of str to str, optional
        What some of them are called in the result.
    predicate, needed, told
        Which rows are kept, the columns that this needs, and what the caller wrote.
    computed : sequence of Computed
        Key columns that are made.

    Raises
    ------
    UnknownColumnError
        If a column is not there.
    BadOptionError
        If two columns of the result would have one name.
    """
    names = result_names(schema, columns, rename or {})
    fields = [schema.field(old).with_name(new) for old, new in names.items()]
    view = pa.schema(fields)
    hidden: dict[str, str] = {}
    found = []
    for key in keys:
        if is_hidden(key.column):
            found.append(key)
            continue
        old = schema.names[find_path(schema, key.column)[0]]
        inside = key.column[len(old) :]
        column = names.get(old, "") + inside
        if old not in names or not _leads_to(view, column, names[old]):
            hidden[HIDDEN + old] = old
            column = HIDDEN + old + inside
        found.append(replace(key, column=column))
    fields += [schema.field(old).with_name(name) for name, old in hidden.items()]
    fields += [pa.field(made.name, made.kind(schema)) for made in computed]
    wanted = dict.fromkeys([*needed, *(name for made in computed for name in made.columns)])
    first = tuple(needed) or (schema.names[:1] and (schema.names[0],)) or ()
    if predicate is not None:
        wanted = dict.fromkeys([*wanted, *first])
    metadata, dropped = chosen_metadata(schema, names)
    selection = Selection(
        {new: old for old, new in names.items() if old != new} | hidden,
        pa.schema([schema.field(name) for name in wanted]),
        tuple(computed),
        predicate,
        first if predicate is not None else (),
        told,
    )
    return Chosen(selection, pa.schema(fields, metadata), tuple(found), dropped)


def _leads_to(view: pa.Schema, column: str, name: str) -> bool:
    """Return whether a path is still of the column that has this name."""
    return view.names[find_path(view, column)[0]] == name


def result_names(
    schema: pa.Schema, columns: Sequence[str] | None, rename: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns of a result, by the source's names, and what they are called there.

    Raises
    ------
    UnknownColumnError
        If one is not in the source.
    BadOptionError
        If one is there twice, or renamed and not there.
    """
    chosen = list(schema.names) if columns is None else list(columns)
    check_columns([SortKey(name) for name in (*chosen, *rename)], schema.names)
    for old in rename:
        if old not in chosen:
            msg = (
                f"rename (--rename) names {shown(old)}, which is not among columns "
                "(--columns). Add it there, or leave it out."
            )
            raise BadOptionError(msg)
    names = {old: rename.get(old, old) for old in chosen}
    _check_once(chosen, "columns (--columns)")
    _check_once(list(names.values()), "rename (--rename)")
    return names


def _check_once(names: Collection[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            msg = (
                f"by {what} the result would have two columns {shown(name)}; expected a name "
                "of its own for each."
            )
            raise BadOptionError(msg)
        seen.add(name)
