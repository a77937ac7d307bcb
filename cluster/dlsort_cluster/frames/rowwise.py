"""Which of Dask's expressions make a row's values from that row alone."""

from __future__ import annotations

from typing import Any

from dask.dataframe.dask_expr._expr import (
    Abs,
    Assign,
    AsType,
    Between,
    Binop,
    Clip,
    Expr,
    Fillna,
    Filter,
    Index,
    Isin,
    IsNa,
    NotNull,
    Projection,
    RenameFrame,
    Round,
    Unaryop,
)

__all__ = ["gives_a_value_a_row", "is_rowwise"]

# What gives a value a row from values of that row alone, and never asks for its label.
VALUES = (Abs, AsType, Between, Binop, Clip, Fillna, IsNa, Isin, NotNull, Round, Unaryop)
# What leaves rows, or leaves rows out, each for itself.
ROWS = (Projection, Filter, Assign, RenameFrame, *VALUES)


def gives_a_value_a_row(expr: Any, frame: Expr, *, use_index: bool) -> bool:
    """Return whether an expression gives a value a row of a frame, from that row alone.

    The frame itself is only to be asked for single columns, and for its index if that stays.
    """
    if not isinstance(expr, Expr):
        return True
    if isinstance(expr, Projection | Index) and expr.frame._name == frame._name:
        return expr.ndim == 1 and (use_index or isinstance(expr, Projection))
    if not isinstance(expr, VALUES):
        return all(each._name != frame._name for each in expr.walk())
    return all(gives_a_value_a_row(each, frame, use_index=use_index) for each in expr.operands)


def is_rowwise(expr: Any, source: Any) -> bool:
    """Return whether some rows of a source give just those rows of an expression."""
    if expr._name == source._name:
        return True
    if not isinstance(expr, ROWS):
        return False
    needed: Any = expr
    return all(is_rowwise(each, source) for each in needed.dependencies())
