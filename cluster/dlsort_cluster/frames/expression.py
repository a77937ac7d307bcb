"""An exchange laid over a Dask DataFrame, as lazy expressions.

    frame ─┬─ a branch of some columns ─▶ Each ─▶ Together   (the context)
           └──────────────────────────▶ Transfer ◀──┘
                                            └─▶ Exchanged    (the output frame)
                                                 or Followed (what is made of it)

The branch and the transfer read the frame apart from one another, each in one task with
what it does with a partition (:mod:`dlsort_cluster.frames.apart`): none waits in memory.

Nothing here knows how a row finds its partition.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from dask._task_spec import Task, TaskRef
from dask.dataframe.dask_expr._expr import Blockwise, Expr, PartitionsFiltered
from dask.tokenize import tokenize

from dlsort_cluster.engine import Engine, build
from dlsort_cluster.exchange import Exchange, ExchangeError
from dlsort_cluster.frames.apart import Inlined, inlined
from dlsort_cluster.frames.followed import Then, followed
from dlsort_cluster.frames.learn import CONTEXT, SOURCE, named, new
from dlsort_cluster.frames.scheduler import check_cluster, engine_of_client
from dlsort_cluster.frames.singleton import Singleton
from dlsort_cluster.tuning import MEMORY

__all__ = ["exchange_frame"]

_OUTPUT = "dlsort-output"


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
    copies: float = MEMORY.frame_copies,
    title: str = "",
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
    copies, title : float, str
        As in :class:`dlsort_cluster.exchange.Exchange`.

    Raises
    ------
    ExchangeError
        If the peer-to-peer engine was asked for and can't run.
    VersionsDifferError
        If the current client's cluster lacks dlsort, or has another version of something.
    """
    check_cluster()
    found = engine_of_client()
    if engine == "p2p" and found != engine:
        msg = (
            "the peer-to-peer engine needs a distributed.Client, of a tested version, that is "
            "current; create one, or leave the choice of engine to the scheduler."
        )
        raise ExchangeError(msg)
    token = tokenize(frame._name, context._name, split, merge, n_parts)
    exchange = Exchange(token, n_parts, split, merge, copies=copies, title=title)
    transfer = new(Transfer, inlined(frame), context, exchange, engine or found)
    return new(Exchanged, transfer, meta, divisions)


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
        sources = {(SOURCE, i): i for i in range(n_inputs)}
        layer = build(
            exchange,
            _OUTPUT,
            [TaskRef(key) for key in sources],
            TaskRef(CONTEXT),
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


class Transfer(Singleton, Blockwise):
    """Split every partition and hand its rows over; Dask fuses it with the reading."""

    _parameters = ["frame", "context", "exchange", "engine", "parts"]
    _defaults = {"parts": None}
    _meta = None
    _pickle_functools_cache = False

    @functools.cached_property
    def _name(self) -> str:
        return named("dlsort_split", self.frame, self.deterministic_token)

    @property
    def _projection_columns(self) -> list[Any]:
        return self.frame.columns

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.frame.npartitions + 1)

    @functools.cached_property
    def _laid(self) -> Laid:
        return Laid(self.exchange, self.engine, self.npartitions, self.parts)

    def _task(self, name: Any, index: int) -> Task:
        source, frame = (SOURCE, index), self.frame
        known: dict[Any, Any] = {CONTEXT: (self.context._name, 0)}
        if not isinstance(frame, Inlined):
            known[source] = (frame._name, index)
        task = self._laid.inputs[index].substitute(known, key=name)
        return frame.into(task, source, index) if isinstance(frame, Inlined) else task


class Exchanged(Singleton, PartitionsFiltered, Expr):
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

    def _simplify_up(self, parent: Expr, dependents: Mapping[str, Any]) -> Expr | None:
        # Only once the transfer is told what is asked for.
        if self._simplify_down() is not None:
            return None
        return followed(self, parent, dependents)

    def _layer(self) -> dict[Any, Any]:
        return self.lay(self._name)

    def lay(
        self, name: str, after: Callable[[int], tuple[Task, Any]] | None = None
    ) -> dict[Any, Any]:
        """Return the tasks, those of the outputs under a name.

        Parameters
        ----------
        name : str
            Output ``i`` is ``(name, i)``.
        after : callable, optional
            ``after(i)`` returns what the task of output ``i`` does with it, and its name there.
        """
        plain = self._plain_transfer
        laid = plain._laid
        known: dict[Any, Any] = {
            task.key: (self.transfer._name, i) for i, task in enumerate(laid.inputs)
        }
        known[CONTEXT] = (plain.context._name, 0)
        tasks = [task.substitute(known) for task in laid.between]
        place = {part: i for i, part in enumerate(plain.parts or range(len(laid.outputs)))}
        merge = plain.exchange.merge
        for i, part in enumerate(self._partitions):
            task: Any = laid.outputs[place[part]].substitute(known, key=(name, i))
            if after is not None:
                then = Then(merge, *after(i))
                args = [then if arg is merge else arg for arg in task.args]
                task = Task(task.key, task.func, *args)
            tasks.append(task)
        return {task.key: task for task in tasks}
