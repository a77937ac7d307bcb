"""What an expression comes to, on rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.layouts import recast, without_views
from dlsort.arrow.paths import column_at
from dlsort.arrow.transport import combine
from dlsort.errors import KeyTypeError, shown
from dlsort.key_expressions.functions import FUNCTIONS, Function
from dlsort.key_expressions.tree import Arrow, Column, Node, Value

__all__ = ["evaluate"]


def evaluate(node: Node, rows: pa.Table, text: str) -> pa.Array:
    """Return what an expression comes to, a value a row.

    Parameters
    ----------
    node : Node
        The expression; it names a column.
    rows : pyarrow.Table
        Has the columns that it names.
    text : str
        What to call it in messages.

    Raises
    ------
    KeyTypeError
        If a function can't have what it is given: a value of that type, or one out of range.
    """
    try:
        found = _of_arrow(node, rows) if isinstance(node, Arrow) else _evaluate(node, rows)
    except (pa.ArrowException, KeyTypeError, TypeError, ValueError, OverflowError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        msg = f"cannot compute the key {shown(text)}: {lines[0].rstrip('.')}."
        raise KeyTypeError(msg) from error
    if isinstance(found, pa.Scalar):
        return pa.repeat(found, rows.num_rows)
    array = combine(found)
    # The same type, however the columns that it is made of lie in memory.
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array


def _evaluate(node: Node, rows: pa.Table) -> Any:
    if isinstance(node, Column):
        array = combine(column_at(rows, node.name))
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        return recast(array, without_views(array.type))
    if isinstance(node, Value):
        return pa.scalar(node.value)
    assert not isinstance(node, Arrow)  # stands alone
    args = [_evaluate(each, rows) for each in node.args]
    return _called(FUNCTIONS[node.name], args)


def _called(function: Function, args: list[Any]) -> Any:
    """Return what a function makes of arguments, of which some may be dictionaries."""
    if all(isinstance(each, pa.Scalar) for each in args):
        first = pa.array([args[0].as_py()], args[0].type)
        found = function.of(first, *args[1:])
        return found if isinstance(found, pa.Scalar) else found[0]
    is_coded = [pt.is_dictionary(each.type) for each in args]
    if function.of_values and is_coded[0] and not any(is_coded[1:]):
        coded = args[0]
        # Values that become the same are one, as in any dictionary.
        made = combine(function.of(coded.dictionary, *args[1:])).dictionary_encode()
        return pa.DictionaryArray.from_arrays(made.indices.take(coded.indices), made.dictionary)
    plain = [
        each.dictionary_decode() if coded else each
        for each, coded in zip(args, is_coded, strict=True)
    ]
    return function.of(*plain)


def _of_arrow(node: Arrow, rows: pa.Table) -> pa.ChunkedArray:
    """Return what pyarrow makes of an expression of its own."""
    from pyarrow.acero import Declaration, ProjectNodeOptions, TableSourceNodeOptions

    source = Declaration("table_source", TableSourceNodeOptions(rows))
    project = Declaration("project", ProjectNodeOptions([node.expression], ["key"]), [source])
    return project.to_table(use_threads=False).column(0)
