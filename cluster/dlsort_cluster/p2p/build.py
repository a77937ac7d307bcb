"""An exchange on Dask's peer-to-peer shuffle engine.

With :mod:`dlsort_cluster.p2p.run` (a worker's share of a run), ``p2p_places`` and
``p2p_lend`` (which worker makes an output) the only module that knows
``distributed.shuffle``, and tied to the versions that it is tested with. From
the engine come run ids, restarts when a worker is lost, back-pressure on sending,
retries and the dashboard's shuffle page. Replaced is all that touches rows:

====================  =====================================================
engine's own          here
====================  =====================================================
split in the engine   ``Exchange.split``, outside of the engine's errors
sorted again on       rows come grouped by partition, so what a worker gets
arrival               from one input is one slice
sent to oneself too   a worker's own rows go to its store as they are, those
                      of a neighbour through shared memory
one writer on the     spilled by the threads that bring the rows
event loop
popped on read, an    kept until the run is closed, every input accounted
empty frame if gone   for, rows counted
a worker found by     told to the scheduler before the first output is made;
trying each output    workers that came meanwhile have their share, and
on any of them        fetch the rows
====================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from dask._task_spec import Task, TaskRef
from dask.context import thread_state
from dask.sizeof import sizeof
from dask.utils import format_bytes
from distributed import get_worker
from distributed.exceptions import Reschedule
from distributed.shuffle._core import (
    P2PBarrierTask,
    ShuffleId,
    barrier_key,
    get_worker_plugin,
)
from distributed.shuffle._exceptions import P2PConsistencyError, ShuffleClosedError
from distributed.utils import sync

from dlsort_cluster import taskgraph
from dlsort_cluster.exchange import (
    Exchange,
    ExchangeError,
    Layer,
    Slot,
    Split,
    Totals,
    Transferred,
    add_up,
    check_rows,
    check_split,
    notes_of,
    slot_of,
)
from dlsort_cluster.p2p.counts import ask_counts
from dlsort_cluster.p2p.lend import Lender
from dlsort_cluster.p2p.places import give_back, tell_places
from dlsort_cluster.p2p.run import ExchangeSpec
from dlsort_cluster.p2p.stores import spilled_bytes
from dlsort_cluster.p2p.told import tell_rows
from dlsort_cluster.store.memory import guard_of
from dlsort_cluster.tasks import dask_argument
from dlsort_cluster.versions import installed

__all__ = ["build", "spilled_bytes", "supported"]

# Calendar versions; the engine's classes are private and may change with any.
_TESTED = ((2026, 1), (2026, 8))
_NO_RUN = -1


def supported() -> bool:
    """Tell whether the installed ``distributed`` is in the tested range."""
    year, month = version("distributed").split(".")[:2]
    return _TESTED[0] <= (int(year), int(month)) <= _TESTED[1]


def build(
    exchange: Exchange,
    name: str,
    sources: Sequence[Any],
    context: Any,
    parts: Sequence[int] | None = None,
) -> Layer:
    """Lay the tasks of an exchange.

    Parameters
    ----------
    exchange : Exchange
        What to run.
    name : str
        Name of the output keys, unique to this exchange.
    sources : sequence
        One an input: picklable objects, or ``TaskRef`` to other tasks.
    context : object
        Handed to each split and merge: a small picklable object or ``TaskRef``.
    parts : sequence of int, optional
        Ascending output partitions that are wanted; all if None. Output
        ``(name, i)`` is partition ``parts[i]``.
    """
    if not sources or (parts is not None and not len(parts)):
        return taskgraph.build(exchange, name, sources, context, parts)
    run = ShuffleId(taskgraph.graph_token(exchange, parts))
    spec = ExchangeSpec(
        id=run,
        disk=False,
        n_inputs=len(sources),
        parts=range(exchange.n_parts) if parts is None else tuple(parts),
        store_bytes=exchange.store_bytes,
        temp_dir=exchange.temp_dir,
        versions=installed(),
        title=exchange.title,
    )
    context = dask_argument(context)
    transfer_keys = [(f"dlsort-transfer-{run}", i) for i in range(len(sources))]
    graph: dict[Any, Any] = {
        key: Task(key, _transfer, run, exchange, source, context, i)
        for i, (key, source) in enumerate(zip(transfer_keys, sources, strict=True))
    }
    barrier = barrier_key(run)
    refs = [TaskRef(key) for key in transfer_keys]
    graph[barrier] = P2PBarrierTask(barrier, _barrier, run, *refs, spec=spec)
    output_keys = [(name, i) for i in range(len(spec.parts))]
    for key, part in zip(output_keys, spec.parts, strict=True):
        graph[key] = Task(
            key,
            _unpack,
            run,
            exchange.merge,
            part,
            TaskRef(barrier),
            context,
            exchange.find,
            exchange.copies,
        )
    return Layer(graph, transfer_keys, output_keys)


class _Passed(NamedTuple):
    """What the barrier gives: the run that holds all rows, and where they are.

    Attributes
    ----------
    run_id : int
        The run.
    totals : Totals
        What all inputs report.
    lent : dict of int to str
        Partitions that others make than those that have their rows; and who has.
    splits : list of Split or None
        All rows, where there is no run.
    """

    run_id: int
    totals: Totals
    lent: dict[int, str]
    splits: list[Split] | None = None


# ---------------------------------------------------------------- tasks


def _transfer(
    run: ShuffleId, exchange: Exchange, source: Any, context: Any, input_id: int
) -> Transferred:
    """Split one input and hand its rows to the run, or back, where no worker runs the task."""
    own = _is_workers_own()
    copies = exchange.copies if own else None
    with _room_for(copies, lambda: _measure(source), f"input partition {input_id}"):
        found = exchange.split(source, context, input_id)
        check_split(found, exchange.n_parts, input_id)
        run_id = _hand_over(run, found, input_id) if own else _NO_RUN
    if run_id == _NO_RUN:
        counts = np.diff(found.starts)
        return Transferred(run_id, counts, found.stats, found.note, found)
    # With a number for each partition the barrier would hold inputs x partitions.
    return Transferred(run_id, get_worker().address, found.stats, found.note)


def _is_workers_own() -> bool:
    """Return whether this thread is a worker's: who computes can ask for another scheduler."""
    try:
        get_worker()
    except ValueError:
        return False
    # Those that a task starts take over its context, but are none of the worker's.
    return hasattr(thread_state, "key")


def _hand_over(run: ShuffleId, found: Split, input_id: int) -> int:
    """Hand rows to the run and return its id, or that the cluster knows of none.

    A task may compute a graph by itself, in its own thread: then no other worker has a part
    in it.
    """
    try:
        with _engine_errors(run, "transfer"):
            return int(get_worker_plugin().add_partition(found, input_id, run))
    except P2PConsistencyError:
        return _NO_RUN


def _barrier(run: ShuffleId, *receipts: Transferred) -> _Passed:
    """Wait until every row has arrived, in one run, and add up what was reported."""
    run_ids = [receipt.run_id for receipt in receipts]
    splits = [receipt.split for receipt in receipts if receipt.split is not None]
    if len(splits) == len(receipts):
        return _Passed(_NO_RUN, add_up(len(splits[0].starts) - 1, receipts), {}, splits)
    with _engine_errors(run, "barrier"):
        plugin = get_worker_plugin()
        try:
            run_id = plugin.barrier(run, run_ids)
        except ShuffleClosedError:
            raise
        except P2PConsistencyError:
            # The receipts outlived their run: it was closed when all outputs were
            # made, and then a worker died that held some. A run that knows none of
            # the receipts makes the scheduler start all over.
            fresh = plugin.get_or_create_shuffle(run)
            run_id = sync(plugin.worker.loop, fresh.barrier, run_ids)
        if any(each != run_id for each in run_ids):
            raise Reschedule  # the scheduler starts all over
        counts = ask_counts(plugin, run, run_id, [receipt.counts for receipt in receipts])
        tell_rows(plugin.worker, run, run_id, counts)
        lent = tell_places(plugin, run, run_id, _unpack)
    return _Passed(run_id, Totals(counts, notes_of(receipts)), lent)


def _unpack(
    run: ShuffleId,
    merge: Callable[..., Any],
    part: int,
    passed: _Passed,
    context: Any,
    find: Callable[[int], Any] | None,
    copies: float | None,
) -> Any:
    """Fetch one partition's rows and merge them, unless that was done before."""
    if passed.splits is not None:
        return taskgraph.merge_splits(
            run, merge, find, part, passed.totals, context, *passed.splits
        )
    if find is not None and (found := find(part)) is not None:
        return found
    slot = slot_of(part, passed.totals)
    plugin = get_worker_plugin()
    owner = passed.lent.get(part)
    if owner is None:
        with _engine_errors(run, "unpack"):
            found_run: Any = plugin.get_shuffle_run(run, passed.run_id)
            owner = found_run.owner_of(part, thread_state.key)
    if owner != plugin.worker.address:
        lender = Lender(plugin, run, passed.run_id, part, owner)
        return _unpack_lent(lender, run, merge, slot, passed, context, copies)
    with _engine_errors(run, "unpack"):
        shards = plugin.get_output_partition(run, passed.run_id, part)
        check_rows(shards, slot, f"{run[:8]}[{passed.run_id}]")
    with _room_for(copies, lambda: shards.n_bytes, f"partition {part}"):
        return merge(shards, context, slot)


def _unpack_lent(
    lender: Lender,
    run: ShuffleId,
    merge: Callable[..., Any],
    slot: Slot,
    passed: _Passed,
    context: Any,
    copies: float | None,
) -> Any:
    """Merge another worker's rows; if it is lost while they are read, let it be done there."""
    key = thread_state.key
    try:
        with _engine_errors(run, "unpack"):
            shards = lender.shards()
            check_rows(shards, slot, f"{run[:8]}[{passed.run_id}]")
        with _room_for(copies, lambda: shards.n_bytes, f"partition {slot.part}"):
            return merge(shards, context, slot)
    except Exception:
        if not lender.lost:
            raise
        give_back(get_worker_plugin(), run, passed.run_id, key, lender.address)
        raise Reschedule from None


def _measure(source: Any) -> int:
    """Return a partition's size, and note it for the next."""
    n_bytes = sizeof(source)
    guard_of(get_worker()).partition_bytes = n_bytes
    return n_bytes


@contextmanager
def _room_for(copies: float | None, size: Callable[[], int], what: str) -> Iterator[None]:
    """Make room on this worker for what a partition takes beside itself."""
    if copies is None:
        yield
        return
    n_bytes = size()
    with guard_of(get_worker()).working(
        int(n_bytes * copies), f"{what} takes {format_bytes(n_bytes)}"
    ):
        yield


@contextmanager
def _engine_errors(run: ShuffleId, phase: str) -> Iterator[None]:
    """Let errors that say what is wrong pass, and run a task again whose run is over.

    A task may still be at work for a run that was given up, and Dask may take
    that attempt for the new one: then its failure would end the whole job.
    """
    try:
        yield
    except (Reschedule, ExchangeError):
        raise
    except ShuffleClosedError:
        raise Reschedule from None
    except P2PConsistencyError as error:
        # Without its barrier task no new attempt could do better.
        if "does not exist" in str(error):
            raise
        raise Reschedule from None
    except Exception as error:
        # The engine's own words for a worker that died while the barrier was told to it: the
        # run starts again by itself, and this attempt may be taken for the new one.
        if "left during shuffle" in str(error):
            raise Reschedule from None
        msg = f"run {run[:8]} failed during {phase}: {error!r}"
        raise ExchangeError(msg) from error
