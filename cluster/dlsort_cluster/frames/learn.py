"""The context of an exchange, learned from a branch of the frame before it begins."""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dask._task_spec import DataNode, Task, TaskRef
from dask.dataframe.dask_expr._expr import Blockwise, Expr
from dask.delayed import Delayed
from dask.tokenize import tokenize
from distributed import get_worker

from dlsort_cluster.addresses import naming_this_worker
from dlsort_cluster.frames.apart import Inlined, apart, inlined
from dlsort_cluster.frames.parquet import PartitionReads, find_parquet
from dlsort_cluster.frames.scheduler import asked_for, check_cluster
from dlsort_cluster.frames.singleton import Singleton
from dlsort_cluster.store.memory import guard_of

__all__ = ["Each", "EachParquet", "Known", "Together", "find", "known", "learn"]


# Stand for tasks of other expressions until their names are known.
SOURCE = "dlsort-source"
CONTEXT = "dlsort-context"


def learn(
    frame: Expr,
    branch: Expr,
    *,
    each: Callable[[Any, int], Any],
    each_parquet: Callable[[PartitionReads, int], Any],
    together: Callable[[list[Any]], Any],
    ahead: bool = False,
) -> Expr:
    """Return the task that learns an exchange's context.

    Parameters
    ----------
    frame : Expr
        What is exchanged.
    branch : Expr
        What the context is learned from: some columns of ``frame``, with as
        many partitions.
    each : callable
        ``each(partition, i)`` for each partition of ``branch``.
    each_parquet : callable
        ``each_parquet(reads, i)`` instead where it is read from Parquet files, and some of
        its rows can be read without the others.
    together : callable
        ``together([what each gave, …])`` is the context.
    ahead : bool
        It is learned by a computation of its own.
    """
    if ahead or _is_partitionwise(frame):
        # So that a reader is asked for these columns only.
        simplified: Any = branch.simplify()
        branch = simplified
        if (found := find_parquet(branch, frame.npartitions)) is not None:
            return new(Together, new(EachParquet, found, each_parquet), together)
    return new(Together, new(Each, inlined(apart(branch, frame)), each), together)


def _is_partitionwise(frame: Expr) -> bool:
    """Return whether partitions are made one by one, so that making them twice costs little.

    What is made by a shuffle is better made once, all columns of it.
    """
    return all(isinstance(e, Blockwise) or not e.dependencies() for e in frame.walk())


def known(context: Any, token: str) -> Expr:
    """Return a context that is there already, under a name made of ``token``."""
    return new(Known, context, token)


def find(context: Expr) -> Any:
    """Compute what :func:`learn` returned, now, by the scheduler that is asked for."""
    check_cluster()
    found: Any = context.optimize()
    task = Delayed((found._name, 0), found.__dask_graph__())
    return task.compute(scheduler=asked_for())


def new(kind: Any, *operands: Any) -> Any:
    """Make an expression; Dask's constructor has no types."""
    return kind(*operands)


def named(prefix: str, frame: Any, token: str) -> str:
    """Return the name of tasks, with what makes the partitions in them: errors show it."""
    made = frame.frame._name.rpartition("-")[0] if isinstance(frame, Inlined) else ""
    return "-".join(filter(None, [prefix, made, token]))


class Each(Singleton, Blockwise):
    """Call a function with every partition and its number."""

    _parameters = ["frame", "func"]
    _meta = None

    @functools.cached_property
    def _name(self) -> str:
        return named("dlsort_sample", self.frame, self.deterministic_token)

    @property
    def _projection_columns(self) -> list[Any]:
        return self.frame.columns

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    def _task(self, name: Any, index: int) -> Task:
        source = self.frame
        if isinstance(source, Inlined):
            task = Task(name, _call_each, self.func, TaskRef((SOURCE, index)), index)
            return source.into(task, (SOURCE, index), index)
        return Task(name, _call_each, self.func, TaskRef((source._name, index)), index)


class EachParquet(Singleton, Blockwise):
    """Call a function with how each partition is read from Parquet files, and its number."""

    _parameters = ["source", "func"]
    _meta = None

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_sample-{self.deterministic_token}"

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (len(self.source.parts) + 1)

    def _task(self, name: Any, index: int) -> Task:
        return Task(name, _call_each, self.func, self.source.reads(index), index)


class Together(Singleton, Expr):
    """Call a function once, with the list of what :class:`Each` gave."""

    _parameters = ["frame", "func"]
    _meta = None

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_model-{self.deterministic_token}"

    def _divisions(self) -> tuple[None, ...]:
        return (None, None)

    def _task(self, name: Any, index: int) -> Task:
        keys = [(self.frame._name, i) for i in range(self.frame.npartitions)]
        return Task(name, _call_with_all, self.func, *map(TaskRef, keys))


class Known(Singleton, Expr):
    """A value that is known before anything runs."""

    _parameters = ["value", "token"]
    _meta = None

    def __dask_tokenize__(self) -> str:
        """Leave the value out: the token stands for it."""
        if not self._determ_token:
            self._determ_token = tokenize("Known", self.token)
        return self._determ_token

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_model-{self.deterministic_token}"

    def _divisions(self) -> tuple[None, ...]:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        return {(self._name, 0): DataNode((self._name, 0), self.value)}


def _call_each(func: Callable[[Any, int], Any], source: Any, index: int) -> Any:
    with suppress(ValueError):  # on no worker
        guard_of(get_worker()).wake()  # the partitions are read next
    with naming_this_worker():
        return func(source, index)


def _call_with_all(func: Callable[[list[Any]], Any], *results: Any) -> Any:
    return func(list(results))
