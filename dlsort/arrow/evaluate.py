"""Expressions of Arrow's over the rows of a table, whatever layout its columns have.

Arrow compares no dictionaries, views or small decimals, so that expressions are of *plain*
types: those of the values, in the layout that Arrow has functions for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import empty_table
from dlsort.arrow.transport import combine

__all__ = ["columns_of", "evaluate", "is_true", "plain_schema", "plain_type", "type_of"]


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which expressions see a column's values.

    Examples
    --------
    >>> plain_type(pa.dictionary(pa.int8(), pa.string_view()))
    DataType(string)
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pt.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    if kind == pa.string_view():
        return pa.string()
    return pa.binary() if kind == pa.binary_view() else kind


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns as expressions see them."""
    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def _plain(table: pa.Table) -> pa.Table:
    columns = []
    for column in table.columns:
        kind = plain_type(column.type)
        if column.type == kind:
            columns.append(column)
            continue
        array = combine(column)
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        columns.append(array if array.type == kind else array.cast(kind))
    return pa.Table.from_arrays(columns, names=table.column_names)


def evaluate(expression: Any, table: pa.Table) -> pa.ChunkedArray:
    """Return an expression's value for each row.

    Parameters
    ----------
    expression : pyarrow.compute.Expression
        Of the table's columns, in plain types.
    table : pyarrow.Table
        The rows; it has a column.

    Raises
    ------
    pyarrow.ArrowException
        If there is no such column or function, or a value has no result.
    """
    from pyarrow.acero import Declaration, ProjectNodeOptions, TableSourceNodeOptions

    rows = Declaration("table_source", TableSourceNodeOptions(_plain(table)))
    project = Declaration("project", ProjectNodeOptions([expression], ["value"]), [rows])
    return project.to_table(use_threads=False).column(0)


def type_of(expression: Any, schema: pa.Schema) -> pa.DataType:
    """Return the type of an expression over columns of a schema; see :func:`evaluate`."""
    if not len(schema):
        schema = pa.schema([("none", pa.null())])
    return evaluate(expression, empty_table(plain_schema(schema))).type


def is_true(expression: Any, table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return for which rows a condition is true: neither false nor null.

    Notes
    -----
    Time O(rows) and what the expression's functions take.
    """
    found = combine(evaluate(expression, table))
    return found.fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_, copy=False)


def columns_of(expression: Any, schema: pa.Schema) -> list[str]:
    """Return the columns that an expression needs.

    Arrow does not tell: a column is needed if there is no result without it.

    Raises
    ------
    pyarrow.ArrowException
        If it has no result over the schema.
    """
    text = str(expression)
    named = [field for field in schema if field.name in text]
    type_of(expression, pa.schema(named))
    return [f.name for f in named if not _has_result(expression, named, without=f.name)]


def _has_result(expression: Any, fields: Collection[pa.Field], *, without: str) -> bool:
    try:
        type_of(expression, pa.schema([field for field in fields if field.name != without]))
    except pa.ArrowException:
        return False
    return True
