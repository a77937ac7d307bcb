"""Read a Dask DataFrame twice, apart from one another, and when its partitions are taken.

Where two expressions use the partitions of a frame at different times, Dask
makes each partition once and keeps it for the second: all of them wait in
memory. Renamed for one of the two, they are made twice and none waits.

Nor should they wait for what takes them: Dask 2026.8 fuses tasks when a frame is
optimized, not when it is computed, and then reads ahead while a model is still learned.
So tasks that make a partition become part of the one that takes it (:func:`inlined`).
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dask._task_spec import Task, TaskRef
from dask.dataframe.dask_expr._expr import (
    Blockwise,
    Expr,
    MapOverlap,
    is_valid_blockwise_op,
    optimize_blockwise_fusion,
)
from dask.dataframe.dask_expr._rolling import RollingReduction
from dask.dataframe.dask_expr.io.io import BlockwiseIO, FusedIO
from distributed import get_worker

from dlsort_cluster.addresses import naming_this_worker
from dlsort_cluster.frames.singleton import Singleton
from dlsort_cluster.store.memory import guard_of

__all__ = ["Inlined", "apart", "choose", "inlined", "made_in_turn", "unfused"]


class Apart(Singleton, Blockwise):
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


class Inlined:
    """A frame whose partitions are made by the tasks that take them.

    Not an expression, so that Dask lays no tasks of its own for it.

    Parameters
    ----------
    frame : Expr
        A frame that can be made partition by partition, lowered and fused, of which nothing
        else is wanted.
    """

    def __init__(self, frame: Expr) -> None:
        self.frame: Any = frame

    def __dask_tokenize__(self) -> str:
        """Name it as the frame is named."""
        return str(self.frame._name)

    @property
    def exprs(self) -> list[Any]:
        """The expressions that make it."""
        return list(getattr(self.frame, "exprs", [self.frame]))

    @property
    def npartitions(self) -> int:
        """How many partitions there are."""
        return int(self.frame.npartitions)

    @property
    def columns(self) -> list[Any]:
        """The frame's."""
        return list(self.frame.columns)

    def into(self, task: Task, source: Any, index: int) -> Task:
        """Return a task with the one that makes a partition in it.

        Parameters
        ----------
        task : Task
            What takes the partition, as the value of the key ``source``.
        index : int
            The partition's number.
        """
        fused: Any = Task.fuse(self.frame._task(source, index), task, key=task.key)
        return Task(fused.key, _take_turns, fused.func, *fused.args)


def _take_turns(make: Callable[..., Any], *args: Any) -> Any:
    """Make and take a partition once there is memory for it, where this is a worker."""
    try:
        guard = guard_of(get_worker())
    except ValueError:
        return make(*args)
    guard.wake()
    with guard.reading(), naming_this_worker():
        return make(*args)


def inlined(frame: Expr, *, any_number: bool = False) -> Expr | Inlined:
    """Return a frame to be made by the tasks that take its partitions, if they alone can.

    A frame with another source than files or functions (a shuffle, persisted or pandas data)
    is returned as it is: its partitions are there, or are made once for all. So is one that
    Dask would read in fewer partitions, unless ``any_number`` will do.
    """
    if not all(is_valid_blockwise_op(expr) for expr in frame.walk()):
        return frame
    lowered: Any = frame.simplify().lower_completely().simplify()
    found: Any = optimize_blockwise_fusion(lowered)
    is_as_many = found.npartitions == frame.npartitions
    if found.dependencies() or not (is_as_many or any_number):
        return frame
    return Inlined(found)


class MadeInTurn(Singleton, Blockwise):
    """The partitions of a frame, each made once there is memory for it."""

    _parameters = ["source"]

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_read-{self.deterministic_token}"

    @functools.cached_property
    def _meta(self) -> Any:
        return self.source.frame._meta

    def _divisions(self) -> Any:
        return self.source.frame.divisions

    def _task(self, name: Any, index: int) -> Task:
        source = ("dlsort-made", index)
        return self.source.into(Task(name, _same, TaskRef(source)), source, index)


def made_in_turn(frame: Expr) -> Expr:
    """Return a frame whose tasks wait for memory, and tell the worker that lacks a file.

    For what takes partitions of any number, by tasks of Dask's. What is not read or made by a
    function is returned as it is.
    """
    make: Any = MadeInTurn
    source = inlined(frame, any_number=True)
    found: Expr = make(source) if isinstance(source, Inlined) else frame
    return found
