"""Which engine lays an exchange's tasks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

from distributed import default_client

from dlsort_cluster import taskgraph
from dlsort_cluster.exchange import Exchange, Layer

__all__ = ["Engine", "build", "engine_of_clients", "pick_engine"]

Engine = Literal["p2p", "taskgraph"]

logger = logging.getLogger(__name__)
_said: set[str] = set()


def pick_engine() -> Engine:
    """Choose the engine: ``"p2p"`` where it can run, else ``"taskgraph"``.

    Call it where the user's client lives: a graph that is laid on the
    scheduler finds no client there, so hand the answer on to :func:`build`.

    Warns
    -----
    UserWarning
        Once, if ``distributed`` is not a tested version. That there is no
        client is only logged (at INFO): nothing is wrong then.
    """
    try:
        default_client()
    except ValueError:
        if "client" not in _said:
            _said.add("client")
            logger.info(
                "No Dask client is current: rows are exchanged by a plain task graph,"
                " in memory. Create a distributed.Client to spill and to spread."
            )
        return "taskgraph"
    return engine_of_clients()


def engine_of_clients() -> Engine:
    """Choose the engine for whoever has a client.

    Warns
    -----
    UserWarning
        Once, if ``distributed`` is not a tested version.
    """
    try:
        from dlsort_cluster.p2p import build as p2p

        fits = p2p.supported()
    except ImportError:
        fits = False
    if fits:
        return "p2p"
    if "version" not in _said:
        _said.add("version")
        warnings.warn(
            f"dlsort is not tested with distributed {version('distributed')}: rows are"
            " exchanged by a plain task graph, in memory and without a bound. Install a"
            " tested version to use Dask's P2P engine.",
            stacklevel=2,
        )
    return "taskgraph"


def build(
    exchange: Exchange,
    name: str,
    sources: Sequence[Any],
    context: Any,
    parts: Sequence[int] | None = None,
    *,
    engine: Engine | None = None,
) -> Layer:
    """Lay the tasks of an exchange; see :func:`dlsort_cluster.p2p.build.build`.

    Parameters
    ----------
    engine : {"p2p", "taskgraph"}, optional
        What :func:`pick_engine` said; asked here if None.
    """
    if (engine or pick_engine()) == "taskgraph":
        return taskgraph.build(exchange, name, sources, context, parts)
    from dlsort_cluster.p2p import build as p2p

    return p2p.build(exchange, name, sources, context, parts)
