"""Which worker makes an output: the one that has its rows, or one that came meanwhile.

Rows are on their way to the workers that were there when a run began. A worker that comes
later, until the barrier, is lent its share of the outputs: their tasks run there and fetch
the rows (:mod:`dlsort_cluster.p2p.lend`).
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dask._task_spec import Task
from distributed.protocol.pickle import dumps
from distributed.shuffle._core import ShuffleId, barrier_key, id_from_key
from distributed.utils import sync

if TYPE_CHECKING:
    from distributed import Scheduler
    from distributed.scheduler import TaskState
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

__all__ = ["give_back", "tell_places"]

logger = logging.getLogger(__name__)

_TRIES = 3


def tell_places(
    plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, makes: Callable[..., Any]
) -> dict[int, str]:
    """Have the scheduler send each output's task to the worker that is to make it.

    The engine has them run anywhere and sends them on from there: one worker may
    try all of them, one after the other, while the rest has nothing to do.

    Parameters
    ----------
    plugin : ShuffleWorkerPlugin
        This worker's.
    run, run_id : str, int
        The run, all of whose rows have arrived.
    makes : callable
        The function whose tasks make outputs: of a run, and of its third argument's partition.

    Returns
    -------
    dict of int to str
        Partitions that were lent, and who has their rows.
    """
    for _ in range(_TRIES):
        try:
            return _on_scheduler(plugin, _place_outputs, run=run, run_id=run_id, makes=makes)
        except OSError:  # it may have been done all the same: then it tells the same again
            logger.debug("run %s: no answer about its outputs", run[:8], exc_info=True)
        except Exception:
            logger.debug("run %s: outputs find workers by trying", run[:8], exc_info=True)
            break
    return {}


def give_back(
    plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, key: Any, owner: str
) -> None:
    """Have an output's task run where its rows are after all, if its run goes on."""
    try:
        _on_scheduler(plugin, _give_back, run=run, run_id=run_id, key=key, owner=owner)
    except Exception:
        logger.debug("run %s: %s stays where it is", run[:8], key, exc_info=True)


def _on_scheduler(
    plugin: ShuffleWorkerPlugin, function: Callable[..., Any], **kwargs: Any
) -> Any:
    worker = plugin.worker
    said = sync(
        worker.loop,
        worker.scheduler.run_function,
        function=dumps(function),
        kwargs=dumps(kwargs),
    )
    return said["result"]


# ---------------------------------------------------------------- on the scheduler


class _Output(NamedTuple):
    """A task that makes one partition."""

    part: int
    owner: str  # has its rows
    task: TaskState


def _place_outputs(
    run: ShuffleId, run_id: int, makes: Callable[..., Any], dask_scheduler: Scheduler
) -> dict[int, str]:
    """Restrict the tasks of a run's outputs to one worker each."""
    plugin: Any = dask_scheduler.plugins["shuffle"]
    state = plugin.active_shuffles.get(run)
    if state is None or state.run_id != run_id:
        return {}
    owner_of = state.run_spec.worker_for
    barrier = dask_scheduler.tasks[barrier_key(run)]
    outputs = []
    for task in barrier.dependents:
        parts = set(_parts_made(task.run_spec, run, makes))
        if len(parts) == 1:  # a task that makes several is left to the engine
            part = parts.pop()
            outputs.append(_Output(part, owner_of[part], task))
    outputs.sort(key=lambda output: output.part)
    free = [output for output in outputs if output.task.state == "waiting"]
    newcomers = _newcomers(dask_scheduler, set(owner_of.values()))
    lendable = [output for output in free if _is_free_to_move(output.task)]
    threads = {at: found.nthreads for at, found in dask_scheduler.workers.items()}
    lent = lend([output.owner for output in lendable], newcomers, threads)
    for place, newcomer in lent.items():
        plugin._set_restriction(lendable[place].task, newcomer)
        # If the newcomer goes again, any other worker may fetch the rows.
        lendable[place].task.loose_restrictions = True
    for output in free:
        if not _is_placed(output.task):
            plugin._set_restriction(output.task, output.owner)
            output.task.loose_restrictions = False
    # With those of before, if the barrier's result was lost and this is the second time.
    return {
        output.part: output.owner
        for output in outputs
        if _is_placed(output.task) and output.task.worker_restrictions != {output.owner}
    }


def _newcomers(scheduler: Scheduler, owners: set[str]) -> list[str]:
    """Return the workers that are up and have no share of the rows."""
    return sorted(found.address for found in scheduler.running if found.address not in owners)


def _is_placed(task: TaskState) -> bool:
    return "shuffle_original_restrictions" in (task.annotations or {})


def _is_free_to_move(task: TaskState) -> bool:
    """Tell whether a task may run anywhere, and needs no other run's rows."""
    restricted = (
        task.worker_restrictions or task.host_restrictions or task.resource_restrictions
    )
    n_runs = sum(id_from_key(needed.key) is not None for needed in task.dependencies)
    return not restricted and n_runs == 1


def lend(
    owners: Sequence[str], newcomers: Sequence[str], threads: Mapping[str, int]
) -> dict[int, str]:
    """Choose outputs that newcomers make, so that each thread of all workers has as many.

    Parameters
    ----------
    owners : sequence of str
        Who has the rows of each output, in the order in which outputs are made.
    newcomers : sequence of str
        Workers that have none.
    threads : mapping of str to int
        Threads of each worker, at least of these.

    Returns
    -------
    dict of int to str
        Places in ``owners`` of outputs that are lent, and to whom: of each owner the last.

    Examples
    --------
    >>> lend(["a", "a", "b", "b", "b"], ["c"], {"a": 1, "b": 1, "c": 1})
    {4: 'c'}
    >>> lend(["a"] * 6, ["b", "c"], {"a": 1, "b": 1, "c": 1})
    {2: 'b', 3: 'c', 4: 'b', 5: 'c'}
    >>> lend(["a", "a", "a", "b", "b", "b", "c", "c"], ["d"], dict.fromkeys("abcd", 1))
    {2: 'd', 5: 'd'}
    >>> lend(["a", "b"], [], {"a": 1, "b": 1})
    {}
    """
    lenders = sorted(set(owners))
    n_threads = sum(threads.get(worker, 0) for worker in [*lenders, *newcomers])
    takers = [newcomer for newcomer in newcomers for _ in range(threads[newcomer])]
    # What each has left, and how many of that a thread of it.
    has = {
        lender: [i for i, owner in enumerate(owners) if owner == lender] for lender in lenders
    }
    fullest = [
        (-len(has[lender]) / max(1, threads.get(lender, 0)), lender) for lender in lenders
    ]
    heapq.heapify(fullest)
    chosen = []
    for _ in range(len(owners) * len(takers) // max(1, n_threads)):
        _, lender = fullest[0]
        chosen.append(has[lender].pop())
        left = len(has[lender]) / max(1, threads.get(lender, 0))
        heapq.heapreplace(fullest, (-left, lender))
    return {place: takers[i % len(takers)] for i, place in enumerate(sorted(chosen))}


def _parts_made(node: Any, run: ShuffleId, makes: Callable[..., Any]) -> Iterator[int]:
    """Yield the partitions that a task makes of a run, also one that is fused with others."""
    if isinstance(node, Task):
        if node.func is makes and node.args[0] == run:
            yield node.args[2]
        for value in node.args:
            yield from _parts_made(value, run, makes)
    elif isinstance(node, dict):
        for value in node.values():
            yield from _parts_made(value, run, makes)


def _give_back(
    run: ShuffleId, run_id: int, key: Any, owner: str, dask_scheduler: Scheduler
) -> None:
    plugin: Any = dask_scheduler.plugins["shuffle"]
    state = plugin.active_shuffles.get(run)
    task = dask_scheduler.tasks.get(key)
    if state is not None and state.run_id == run_id and task is not None:
        dask_scheduler.set_restrictions({key: {owner}})
        task.loose_restrictions = False
