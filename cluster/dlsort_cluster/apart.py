"""Read a Dask DataFrame twice, apart from one another.

Where two expressions use the partitions of a frame at different times, Dask
makes each partition once and keeps it for the second: all of them wait in
memory. Renamed for one of the two, they are made twice and none waits.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from typing import Any

from dask._task_spec import Task, TaskRef
from dask.dataframe.dask_expr._expr import (
    Blockwise,
    Expr,
    MapOverlap,
    is_valid_blockwise_op,
)
from dask.dataframe.dask_expr._rolling import RollingReduction
from dask.dataframe.dask_expr.io.io import BlockwiseIO, FusedIO

__all__ = ["apart", "choose", "unfused"]


class Apart(Blockwise):
    """The partitions of a frame under another name, made by tasks of their own."""

    _parameters = ["source"]

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_apart-{self.deterministic_token}"

    @functools.cached_property
    def _meta(self) -> Any:
        return self.source._meta

    @property
    def _is_own(self) -> bool:
        """Whether the partitions are made by a task that can be repeated here."""
        return is_valid_blockwise_op(self.source) and not self.source.dependencies()

    def dependencies(self) -> list[Expr]:
        """Return nothing where the reading is repeated here."""
        return [] if self._is_own else [self.source]

    def _divisions(self) -> Any:
        return self.source.divisions

    def _task(self, name: Any, index: int) -> Task:
        if self._is_own:
            return self.source._task(name, index)
        return Task(name, _same, TaskRef((self.source._name, index)))


def _same(partition: Any) -> Any:
    return partition


def apart(branch: Expr, other: Expr) -> Expr:
    """Return a branch that shares no partition-wise task with another expression.

    Where a frame is made partition by partition, Dask would make each one once
    for both and keep it until the second has had it. What can't be made
    partition by partition (a shuffle, a persisted frame) stays shared.
    """
    shared = {expr._name for expr in other.walk()}
    done: dict[str, Expr] = {}
    make: Any = Apart

    def rename(expr: Expr) -> Expr:
        if expr._name not in done:
            done[expr._name] = anew(expr)
        return done[expr._name]

    def anew(expr: Expr) -> Expr:
        if not (is_valid_blockwise_op(expr) and expr.dependencies()):
            return make(expr) if expr._name in shared else expr
        operands = [rename(op) if isinstance(op, Expr) else op for op in expr.operands]
        pairs = zip(operands, expr.operands, strict=True)
        return expr if all(new is old for new, old in pairs) else type(expr)(*operands)

    return rename(branch)


def choose(frame: Expr, columns: list[Any]) -> Expr:
    """Return some columns of a frame.

    Dask moves the choice to before an overlap, and there it fails, or gives a series.
    """
    make: Any = Apart
    found: Any = frame
    if any(type(e) is MapOverlap or isinstance(e, RollingReduction) for e in frame.walk()):
        found = make(frame)
    chosen: Expr = found[columns]
    return chosen


def unfused(frame: Expr) -> Expr:
    """Return a frame that keeps its partitions.

    Where few columns of files are wanted, Dask would yet read several files as one partition.
    """
    make: Any = Apart
    found: Any = frame
    for source in list(frame.walk()):
        if (
            isinstance(source, BlockwiseIO)
            and not isinstance(source, FusedIO)
            and source._fusion_compression_factor < 1
        ):
            found = found.substitute(source, make(source))
    return found
