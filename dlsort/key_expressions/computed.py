"""Computed keys: the hidden columns that rows are sorted by, and what each is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from dlsort.arrow.made import empty_table
from dlsort.arrow.paths import find_path
from dlsort.errors import BadKeyError, KeyTypeError, UnknownColumnError, shown
from dlsort.key_expressions.evaluate import evaluate
from dlsort.key_expressions.tree import Arrow, Column, Node, names_in, text_of
from dlsort.key_parts import COMPUTED, expression_of
from dlsort.keys import SortKey

__all__ = ["ComputedKey", "computed_keys", "names_of", "with_computed", "with_kinds"]


@dataclass(frozen=True)
class ComputedKey:
    """A key that is computed, row by row; it can be pickled.

    Parameters
    ----------
    columns : tuple of str
        The source's columns that it needs, or that hold the fields it needs.
    tree : Node
        Its expression.
    """

    columns: tuple[str, ...]
    tree: Node

    @classmethod
    def of_tree(cls, tree: Node, schema: pa.Schema) -> ComputedKey:
        """Return the key that an expression computes of the columns of a schema.

        Raises
        ------
        BadKeyError
            If it names no column.
        UnknownColumnError, KeyTypeError
            If a column is missing, or can't be had there.
        """
        if isinstance(tree, Arrow):
            needed = _needed_by(tree, schema)
        else:
            places = [find_path(schema, name)[0] for name in names_in(tree)]
            needed = [schema.names[i] for i in dict.fromkeys(places)]
        if not needed:
            msg = f"the key {shown(text_of(tree))} names no column; expected one at least."
            raise BadKeyError(msg)
        key = cls(tuple(needed), tree)
        key.kind(schema)
        return key

    @property
    def text(self) -> str:
        """Its expression, as ``--by`` has it."""
        return text_of(self.tree)

    @property
    def name(self) -> str:
        """The name of the hidden column that holds it."""
        return COMPUTED + self.text

    def kind(self, schema: pa.Schema) -> pa.DataType:
        """Return the type of its values, of columns as a schema has them.

        Raises
        ------
        KeyTypeError
            If a function can't have values of a column's type.
        """
        fields = [schema.field(schema.get_field_index(name)) for name in self.columns]
        return self.of(empty_table(pa.schema(fields))).type

    def of(self, rows: pa.Table) -> pa.Array:
        """Return its values, one a row.

        Raises
        ------
        KeyTypeError
            If a value is none that can be computed with.
        """
        return evaluate(self.tree, rows, self.text)


def _needed_by(tree: Arrow, schema: pa.Schema) -> list[str]:
    """Return the columns without which pyarrow's expression has no value."""
    said = _said(tree)
    named = [i for i, name in enumerate(schema.names) if name in said]
    whole = empty_table(pa.schema([schema.field(i) for i in named]))
    try:
        evaluate(tree, whole, said)
    except KeyTypeError as error:
        if "FieldRef" in str(error):
            why = str(error.__cause__).partition(" in ")[0]
            msg = f"the key {shown(said)} names a column that is not there: {why}."
            raise UnknownColumnError(msg) from error
        raise
    return [name for i, name in enumerate(whole.schema.names) if _is_needed(tree, whole, i)]


def _is_needed(tree: Arrow, whole: pa.Table, place: int) -> bool:
    try:
        evaluate(tree, whole.remove_column(place), "")
    except KeyTypeError:
        return True
    return False


def names_of(keys: Iterable[SortKey], names: Sequence[str]) -> list[str]:
    """Return the columns that a key names, of some that there are: its own, or in expressions.

    Parameters
    ----------
    keys : iterable of SortKey
        As :func:`dlsort.keys.parse_by` reads them.
    names : sequence of str
        The columns that there are; pyarrow's expressions do not tell theirs, so that these
        are all that occur in its text.

    Raises
    ------
    BadKeyError
        If an expression can't be read.
    """
    found: list[str] = []
    for key in keys:
        tree = _tree_of(key)
        if isinstance(tree, Arrow):
            found += [name for name in names if name in _said(tree)]
        else:
            found += names_in(tree)
    return found


def _tree_of(key: SortKey) -> Node:
    """Return what a key is sorted by. sqlglot is imported if it is computed."""
    text = expression_of(key.column)
    if text is None:
        return Column(key.column)
    from dlsort.key_expressions.parse import read_expression

    return read_expression(text)


def _said(tree: Arrow) -> str:
    """Return what pyarrow shows of its expression."""
    try:
        return str(tree.expression)
    except (ValueError, OSError, pa.ArrowException) as error:
        msg = f"can't read the key {shown(text_of(tree))}: it is no expression of pyarrow's."
        raise BadKeyError(msg) from error


def computed_keys(
    keys: Iterable[SortKey], schema: pa.Schema
) -> tuple[tuple[SortKey, ...], tuple[ComputedKey, ...]]:
    """Return a key with its computed columns under their own names, and what they are.

    Parameters
    ----------
    keys : iterable of SortKey
        As :func:`dlsort.keys.parse_by` reads them.
    schema : pyarrow.Schema
        The source's.

    Raises
    ------
    BadKeyError, UnknownColumnError, KeyTypeError
        If an expression can't be read, or computed of these columns.

    Notes
    -----
    sqlglot is imported if a key is computed.
    """
    found: list[SortKey] = []
    computed: list[ComputedKey] = []
    for key in keys:
        tree = _tree_of(key)
        if isinstance(tree, Column):  # as it is, or in parentheses
            found.append(replace(key, column=tree.name))
            continue
        one = ComputedKey.of_tree(tree, schema)
        computed.append(one)
        found.append(replace(key, column=one.name))
    return tuple(found), tuple(computed)


def with_computed(rows: pa.Table, computed: Sequence[ComputedKey]) -> pa.Table:
    """Return rows with the hidden columns after the others."""
    for key in computed:
        rows = rows.append_column(key.name, key.of(rows))
    return rows


def with_kinds(schema: pa.Schema, computed: Sequence[ComputedKey]) -> pa.Schema:
    """Return a schema with the hidden columns after the others."""
    for key in computed:
        schema = schema.append(pa.field(key.name, key.kind(schema)))
    return schema
