"""What follows an exchange partition by partition, done by the tasks that make its outputs.

As tasks of their own, these would wait: a worker begins its next output while the scheduler
still hears of the last one. So outputs pile up, Dask writes them to disk, and what follows
brings them back one by one, each three times in memory on its way.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dask._task_spec import Task
from dask.dataframe.dask_expr._expr import Expr, is_valid_blockwise_op

from dlsort_cluster.frames.learn import new
from dlsort_cluster.frames.singleton import Singleton

__all__ = ["Followed", "Then", "followed"]


@dataclass(frozen=True)
class Then:
    """A merge, and what becomes of its output.

    Parameters
    ----------
    merge : callable
        As in :class:`dlsort_cluster.exchange.Exchange`.
    rest : Task
        Called with the output as ``{source: output}``.
    source : tuple
        The output's name there.
    """

    merge: Callable[..., Any]
    rest: Task
    source: tuple[Any, ...]

    def __call__(self, shards: Any, context: Any, slot: Any) -> Any:
        """Merge a partition and do what follows."""
        return self.rest({self.source: self.merge(shards, context, slot)})


class Steps:
    """An exchange's output, and the expressions that take it, from the first to the last.

    Not an expression, so that Dask lays no tasks of its own for them.
    """

    def __init__(self, output: Expr, *exprs: Expr) -> None:
        self.output: Any = output
        self.exprs: Any = exprs

    def __dask_tokenize__(self) -> str:
        """Name them as the last is named, which follows from the others."""
        return str(self.exprs[-1]._name)

    def after(self, index: int) -> tuple[Task, tuple[Any, ...]]:
        """Return what becomes of an output, as one task, and the output's name in it."""
        names = [*(expr.dependencies()[0]._name for expr in self.exprs), "dlsort-followed"]
        tasks = [
            expr._task((name, index), index)
            for expr, name in zip(self.exprs, names[1:], strict=True)
        ]
        fused: Any = Task.fuse(*tasks, key=tasks[-1].key)
        return fused, (names[0], index)


class Followed(Singleton, Expr):
    """The frame that steps make of the output of an exchange."""

    _parameters = ["transfer", "steps"]

    @functools.cached_property
    def _name(self) -> str:
        last = self.steps.exprs[-1]._name.rpartition("-")[0]
        return f"dlsort-{last}-{self.deterministic_token}"

    @functools.cached_property
    def _meta(self) -> Any:
        return self.steps.exprs[-1]._meta

    def _divisions(self) -> Any:
        return self.steps.exprs[-1].divisions

    def _simplify_up(self, parent: Expr, dependents: Mapping[str, Any]) -> Expr | None:
        return followed(self, parent, dependents)

    def _layer(self) -> dict[Any, Any]:
        output = self.steps.output
        made: Any = type(output)(self.transfer, *output.operands[1:])
        layer: dict[Any, Any] = made.lay(self._name, self.steps.after)
        return layer


def followed(frame: Expr, parent: Expr, dependents: Mapping[str, Any]) -> Expr | None:
    """Return what does the same as an expression over an exchange's output, but waits nowhere.

    Parameters
    ----------
    frame : Expr
        The output of an exchange, or that and what follows.
    parent : Expr
        What takes it.
    dependents : mapping of str to list of weak references
        What takes each expression, by its name.

    Returns
    -------
    Expr or None
        None if ``parent`` takes more than one partition at a time, or another frame, or if it
        is not alone.
    """
    takers = {taker._name for ref in dependents[frame._name] if (taker := ref()) is not None}
    needed = {needed._name for needed in parent.dependencies()}
    if (
        not is_valid_blockwise_op(parent)
        or takers != {parent._name}
        or needed != {frame._name}
        or parent.npartitions != frame.npartitions
    ):
        return None
    before = frame.steps if isinstance(frame, Followed) else Steps(frame)
    steps = Steps(before.output, *before.exprs, parent)
    found: Expr = new(Followed, frame.transfer, steps)
    return found
