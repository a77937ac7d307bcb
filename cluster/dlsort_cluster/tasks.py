"""Single tasks, for what comes before an exchange, and their names.

They know nothing of Dask, whose import takes as long as the sort of a small file: a job that
one thread does has no use for it. :func:`as_dask` makes Dask's tasks of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "Call",
    "Key",
    "Ref",
    "as_dask",
    "call",
    "call_with_all",
    "dask_argument",
    "name_of",
    "ref",
    "refs_of",
    "results_of",
]

Key = Any  # as Dask's are: a text, or a tuple that begins with one


class Ref(NamedTuple):
    """A placeholder for the result of another task."""

    key: Key


class Refs(NamedTuple):
    """A placeholder for the results of other tasks, as a list."""

    keys: tuple[Key, ...]


class Call(NamedTuple):
    """The task ``func(*args)``."""

    key: Key
    func: Callable[..., Any]
    args: tuple[Any, ...]


def call(key: Key, func: Callable[..., Any], *args: Any) -> Call:
    """Return the task ``func(*args)``; an argument may be a :func:`ref`."""
    return Call(key, func, args)


def call_with_all(key: Key, func: Callable[..., Any], keys: Sequence[Key]) -> Call:
    """Return the task ``func([results of keys])``."""
    return Call(key, func, (Refs(tuple(keys)),))


def ref(key: Key) -> Ref:
    """Return a placeholder for the result of another task."""
    return Ref(key)


def as_dask(graph: Mapping[Key, Any]) -> dict[Key, Any]:
    """Return a graph with Dask's tasks in the place of ours."""
    from dask._task_spec import Task

    return {
        key: Task(key, task.func, *map(dask_argument, task.args))
        if isinstance(task, Call)
        else task
        for key, task in graph.items()
    }


def dask_argument(given: Any) -> Any:
    """Return an argument of a task of Dask's: its placeholders in the place of ours."""
    from dask._task_spec import List, TaskRef

    if isinstance(given, Ref):
        return TaskRef(given.key)
    return List(*map(TaskRef, given.keys)) if isinstance(given, Refs) else given


def refs_of(task: Call) -> list[Key]:
    """Return the keys of the tasks whose results a task refers to."""
    found: list[Key] = []
    for given in task.args:
        found += [given.key] if isinstance(given, Ref) else []
        found += given.keys if isinstance(given, Refs) else []
    return found


def results_of(task: Call, results: Mapping[Key, Any]) -> list[Any]:
    """Return a task's arguments, with results in the place of what refers to them."""

    def argument(given: Any) -> Any:
        if isinstance(given, Ref):
            return results[given.key]
        return [results[key] for key in given.keys] if isinstance(given, Refs) else given

    return [argument(given) for given in task.args]


def name_of(key: Any) -> Any:
    """Return what a task's key has in common with those of its kind."""
    return key[0] if isinstance(key, tuple) else key
