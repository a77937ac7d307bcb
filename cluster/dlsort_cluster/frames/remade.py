"""Whether something costly is made a second time to learn an exchange's context.

Little costs what is at hand (pandas, arrays, persisted partitions), the key columns of Parquet
files, and what Dask itself does with rows. Other readers and functions of the user's cost what
they cost; so does a shuffle where the context is learned by a computation of its own. Where it
is not, what can't be made partition by partition is made once, and kept.
"""

from __future__ import annotations

from typing import Any

from dask._task_spec import Task
from dask.dataframe.dask_expr._concat import Concat
from dask.dataframe.dask_expr._expr import (
    Apply,
    Blockwise,
    DelayedsExpr,
    Expr,
    Map,
    MapPartitions,
    is_valid_blockwise_op,
)
from dask.dataframe.dask_expr._repartition import Repartition
from dask.dataframe.dask_expr.io import FromArray, FromPandas, ReadParquet
from dask.dataframe.dask_expr.io.io import BlockwiseIO, FromGraph, FusedIO
from dask.delayed import Delayed
from dask.utils import key_split

from dlsort_cluster.frames.apart import Apart, Inlined
from dlsort_cluster.frames.learn import EachParquet

__all__ = ["find_remade"]

_AT_HAND = (FromPandas, FromArray, ReadParquet)
_FUNCTIONS = {MapPartitions: "func", Apply: "function", Map: "arg"}
_CHEAP = {"dlsort", "dlsort_cluster", "dask", "numpy", "pandas"}


def find_remade(context: Expr, *, ahead: bool = False) -> str | None:
    """Return the name of something costly that :func:`learn` makes again, or None.

    Parameters
    ----------
    context : Expr
        What :func:`dlsort_cluster.frames.learn.learn` returned.
    ahead : bool
        It is learned by a computation of its own.
    """
    each: Any = context.frame
    if isinstance(each, EachParquet):
        return None
    left = each.frame.exprs if isinstance(each.frame, Inlined) else [each.frame]
    while left:
        expr = left.pop()
        if isinstance(expr, Apart):
            if not (ahead or is_valid_blockwise_op(expr.source)):
                continue
            expr = expr.source
        if isinstance(expr, FusedIO):
            expr = expr.operand("_expr")
        if _is_costly(expr):
            return key_split(expr._name)
        left += expr.dependencies()
    return None


def _is_costly(expr: Any) -> bool:
    if isinstance(expr, FromGraph):
        return any(isinstance(task, Task) for task in expr.operand("layer").values())
    if isinstance(expr, DelayedsExpr):
        return isinstance(expr.operands[0], Delayed)
    if isinstance(expr, BlockwiseIO):
        return not (isinstance(expr, _AT_HAND) or expr.dependencies())
    for kind, operand in _FUNCTIONS.items():
        if isinstance(expr, kind):
            return operand in expr._parameters and _is_users(expr.operand(operand))
    return bool(expr.dependencies()) and not isinstance(expr, Blockwise | Repartition | Concat)


def _is_users(function: Any) -> bool:
    home = str(getattr(function, "__module__", "")).partition(".")[0]
    return callable(function) and home not in _CHEAP
