"""Single tasks, for what comes before an exchange, and their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dask._task_spec import List, Task, TaskRef
from dask.typing import Key

__all__ = ["call", "call_with_all", "name_of", "ref"]


def call(key: Key, func: Callable[..., Any], *args: Any) -> Task:
    """Return the task ``func(*args)``; an argument may be a :func:`ref`."""
    return Task(key, func, *args)


def call_with_all(key: Key, func: Callable[..., Any], keys: Sequence[Key]) -> Task:
    """Return the task ``func([results of keys])``."""
    return Task(key, func, List(*[TaskRef(k) for k in keys]))


def ref(key: Key) -> TaskRef:
    """Return a placeholder for the result of another task."""
    return TaskRef(key)


def name_of(key: Any) -> Any:
    """Return what a task's key has in common with those of its kind."""
    return key[0] if isinstance(key, tuple) else key
