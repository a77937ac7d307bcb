"""An exchange laid over a Dask DataFrame, as lazy expressions.

    frame ─┬─ a branch of some columns ─▶ Each ─▶ Together   (the context)
           └──────────────────────────▶ Transfer ◀──┘
                                            └─▶ Exchanged    (the output frame)

The branch and the transfer read the frame apart from one another, each in one task with
what it does with a partition (:mod:`dlsort_cluster.apart`): none waits in memory.

Nothing here knows how a row finds its partition.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dask._task_spec import DataNode, Task, TaskRef
from dask.dataframe.dask_expr._expr import Blockwise, Expr, PartitionsFiltered
from dask.delayed import Delayed
from dask.tokenize import tokenize
from distributed import default_client, get_worker

from dlsort_cluster.addresses import naming_this_worker
from dlsort_cluster.apart import Inlined, apart, inlined
from dlsort_cluster.exchange import Exchange, ExchangeError
from dlsort_cluster.joined import is_distributed
from dlsort_cluster.layers import Engine, build, pick_engine
from dlsort_cluster.memory import guard_of
from dlsort_cluster.parquet import PartitionReads, find_parquet
from dlsort_cluster.versions import check_versions_once

__all__ = ["check_cluster", "exchange_frame", "find", "is_async", "known", "learn"]

# Stand for tasks of other expressions until their names are known.
_SOURCE = "dlsort-source"
_CONTEXT = "dlsort-context"
_OUTPUT = "dlsort-output"

# How many times its size a pandas partition takes while it is split or merged: 142 MB of
# lineitem took 1.6 times that, beside itself, to be grouped and sent, and twice that to be
# read and gathered.
_COPIES = 2.0


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
            return _new(Together, _new(EachParquet, found, each_parquet), together)
    return _new(Together, _new(Each, inlined(apart(branch, frame)), each), together)


def _is_partitionwise(frame: Expr) -> bool:
    """Return whether partitions are made one by one, so that making them twice costs little.

    What is made by a shuffle is better made once, all columns of it.
    """
    return all(isinstance(e, Blockwise) or not e.dependencies() for e in frame.walk())


def known(context: Any, token: str) -> Expr:
    """Return a context that is there already, under a name made of ``token``."""
    return _new(Known, context, token)


def find(context: Expr) -> Any:
    """Compute what :func:`learn` returned, now, by the scheduler that is current."""
    check_cluster()
    found: Any = context.optimize()
    return Delayed((found._name, 0), found.__dask_graph__()).compute()


def check_cluster() -> None:
    """Look if the current client's cluster has our versions, when it is first met.

    Without dlsort its scheduler can't read our graphs, and its workers not our tasks; the first
    says so in words of its own, the second stop without any.

    Raises
    ------
    VersionsDifferError
    """
    if _engine() != "p2p" or is_async():
        return
    client = default_client()
    if client.status == "running":
        check_versions_once(client)


def is_async() -> bool:
    """Return whether the current client is asynchronous: nothing can be computed now."""
    try:
        client = default_client()
    except ValueError:
        return False
    return bool(client.asynchronous)


def exchange_frame(
    frame: Expr,
    context: Expr,
    *,
    split: Callable[..., Any],
    merge: Callable[..., Any],
    n_parts: int,
    meta: Any,
    divisions: tuple[Any, ...] | None = None,
    engine: Engine | None = None,
) -> Expr:
    """Return the frame that an exchange makes of another.

    Call it where the user's client lives (when an expression is lowered): the
    engine is chosen here, the tasks are laid on the scheduler.

    Parameters
    ----------
    frame : Expr
        The input, one split a partition.
    context : Expr
        From :func:`learn` or :func:`known`.
    split, merge : callable
        As in :class:`dlsort_cluster.exchange.Exchange`; ``merge`` returns a
        pandas object.
    n_parts : int
        Number of output partitions.
    meta : pandas object
        An empty output partition.
    divisions : tuple, optional
        ``n_parts + 1`` bounds of the output partitions' index, if known.
    engine : {"p2p", "taskgraph"}, optional
        What to lay the tasks on; chosen by the scheduler if None.

    Raises
    ------
    ExchangeError
        If the peer-to-peer engine was asked for and can't run.
    VersionsDifferError
        If the current client's cluster lacks dlsort, or has another version of something.
    """
    check_cluster()
    found = _engine()
    if engine == "p2p" and found != engine:
        msg = (
            "the peer-to-peer engine needs a distributed.Client, of a tested version, that is "
            "current; create one, or leave the choice of engine to the scheduler."
        )
        raise ExchangeError(msg)
    token = tokenize(frame._name, context._name, split, merge, n_parts)
    exchange = Exchange(token, n_parts, split, merge, copies=_COPIES)
    transfer = _new(Transfer, inlined(frame), context, exchange, engine or found)
    return _new(Exchanged, transfer, meta, divisions)


def _new(kind: Any, *operands: Any) -> Any:
    """Make an expression; Dask's constructor has no types."""
    return kind(*operands)


def _engine() -> Engine:
    """Choose the engine by the scheduler that will run the tasks."""
    return pick_engine() if is_distributed() else "taskgraph"


# ---------------------------------------------------------------- before the exchange


def _named(prefix: str, frame: Any, token: str) -> str:
    """Return the name of tasks, with what makes the partitions in them: errors show it."""
    made = frame.frame._name.rpartition("-")[0] if isinstance(frame, Inlined) else ""
    return "-".join(filter(None, [prefix, made, token]))


class Each(Blockwise):
    """Call a function with every partition and its number."""

    _parameters = ["frame", "func"]
    _meta = None

    @functools.cached_property
    def _name(self) -> str:
        return _named("dlsort_sample", self.frame, self.deterministic_token)

    @property
    def _projection_columns(self) -> list[Any]:
        return self.frame.columns

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    def _task(self, name: Any, index: int) -> Task:
        source = self.frame
        if isinstance(source, Inlined):
            task = Task(name, _call_each, self.func, TaskRef((_SOURCE, index)), index)
            return source.into(task, (_SOURCE, index), index)
        return Task(name, _call_each, self.func, TaskRef((source._name, index)), index)


class EachParquet(Blockwise):
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


class Together(Expr):
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


class Known(Expr):
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


# ---------------------------------------------------------------- the exchange


class Laid:
    """The tasks of an exchange, parted where Dask's own fusion may come between.

    Parameters
    ----------
    exchange, engine
        What to lay, on what.
    n_inputs : int
        Number of input partitions.
    parts : list of int, optional
        Ascending output partitions that are wanted; all if None.

    Attributes
    ----------
    inputs : list of Task
        One an input: reads the source and the context, splits, hands over.
    outputs : list of Task
        One a wanted partition.
    between : list of Task
        All others.
    """

    def __init__(
        self, exchange: Exchange, engine: Engine, n_inputs: int, parts: list[int] | None
    ) -> None:
        sources = {(_SOURCE, i): i for i in range(n_inputs)}
        layer = build(
            exchange,
            _OUTPUT,
            [TaskRef(key) for key in sources],
            TaskRef(_CONTEXT),
            parts,
            engine=engine,
        )
        graph: dict[Any, Task] = dict(layer.graph)
        self.outputs = [graph.pop(key) for key in layer.output_keys]
        by_source = {
            source: graph.pop(key)
            for key, task in layer.graph.items()
            for source in task.dependencies & sources.keys()
        }
        self.inputs = [by_source[source] for source in sources]
        self.between = list(graph.values())


class Transfer(Blockwise):
    """Split every partition and hand its rows over; Dask fuses it with the reading."""

    _parameters = ["frame", "context", "exchange", "engine", "parts"]
    _defaults = {"parts": None}
    _meta = None
    _pickle_functools_cache = False

    @functools.cached_property
    def _name(self) -> str:
        return _named("dlsort_split", self.frame, self.deterministic_token)

    @property
    def _projection_columns(self) -> list[Any]:
        return self.frame.columns

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    @functools.cached_property
    def _laid(self) -> Laid:
        return Laid(self.exchange, self.engine, self.npartitions, self.parts)

    def _task(self, name: Any, index: int) -> Task:
        source, frame = (_SOURCE, index), self.frame
        known: dict[Any, Any] = {_CONTEXT: (self.context._name, 0)}
        if not isinstance(frame, Inlined):
            known[source] = (frame._name, index)
        task = self._laid.inputs[index].substitute(known, key=name)
        return frame.into(task, source, index) if isinstance(frame, Inlined) else task


class Exchanged(PartitionsFiltered, Expr):
    """The output frame.

    Only the partitions that are asked for are exchanged: who asks for some
    (``head``, ``partitions[…]``) sets ``_partitions``, and the transfer is told.
    """

    _parameters = ["transfer", "like", "known_as", "_partitions"]
    _defaults = {"known_as": None, "_partitions": None}

    def __str__(self) -> str:
        return f"Exchanged({self._name[-7:]})"

    def __dask_tokenize__(self) -> str:
        """Leave the empty frame out: it follows from the rest, and pandas changes its token."""
        if not self._determ_token:
            self._determ_token = tokenize("Exchanged", self.transfer, *self.operands[2:])
        return self._determ_token

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort-{self.deterministic_token}"

    @property
    def _meta(self) -> Any:
        return self.like

    def _divisions(self) -> tuple[Any, ...]:
        return self.known_as or (None,) * (self._plain_transfer.exchange.n_parts + 1)

    @property
    def _plain_transfer(self) -> Transfer:
        """The transfer, also where Dask has fused it with the reading."""
        transfer = self.transfer
        return transfer if isinstance(transfer, Transfer) else transfer.exprs[0]

    def _simplify_down(self) -> Expr | None:
        transfer = self.transfer
        parts = sorted(set(self._partitions)) if self._filtered else None
        if not isinstance(transfer, Transfer) or transfer.parts == parts:
            return None
        transfer = transfer.substitute_parameters({"parts": parts})
        return type(self)(transfer, *self.operands[1:])

    def _layer(self) -> dict[Any, Any]:
        plain = self._plain_transfer
        laid = plain._laid
        known: dict[Any, Any] = {
            task.key: (self.transfer._name, i) for i, task in enumerate(laid.inputs)
        }
        known[_CONTEXT] = (plain.context._name, 0)
        tasks = [task.substitute(known) for task in laid.between]
        place = {part: i for i, part in enumerate(plain.parts or range(len(laid.outputs)))}
        tasks += [
            laid.outputs[place[part]].substitute(known, key=(self._name, i))
            for i, part in enumerate(self._partitions)
        ]
        return {task.key: task for task in tasks}
