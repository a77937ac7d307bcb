"""The scheduler that will run a frame's tasks: its engine, and whether it has our versions."""

from __future__ import annotations

import sys
from typing import Any

from distributed import default_client

from dlsort_cluster.clusters.check_versions import check_versions_once
from dlsort_cluster.clusters.joined import is_distributed
from dlsort_cluster.dashboard.client import put_up
from dlsort_cluster.engine import Engine, pick_engine

__all__ = ["asked_for", "check_cluster", "engine_of_client", "is_async"]


def check_cluster() -> None:
    """Look if the current client's cluster has our versions, when it is first met.

    Without dlsort its scheduler can't read our graphs, and its workers not our tasks; the first
    says so in words of its own, the second stop without any.

    Raises
    ------
    VersionsDifferError
    """
    if not is_distributed(asked_for()) or engine_of_client() != "p2p" or is_async():
        return
    client = default_client()
    if client.status == "running":
        check_versions_once(client)
        put_up(client)


def asked_for() -> Any:
    """Return the scheduler that a call of Dask's names, from which we are called; or None.

    ``compute(scheduler="threads")`` lowers an expression before it looks for a scheduler, and
    tells nobody.
    """
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        is_dasks = str(frame.f_globals.get("__name__")).partition(".")[0] == "dask"
        if is_dasks and frame.f_code.co_name in ("compute", "persist"):
            told = frame.f_locals
            return told.get("scheduler", told.get("kwargs", {}).get("scheduler"))
    return None


def is_async() -> bool:
    """Return whether the current client is asynchronous: nothing can be computed now."""
    try:
        client = default_client()
    except ValueError:
        return False
    return bool(client.asynchronous)


def engine_of_client() -> Engine:
    """Choose the engine by the scheduler that will run the tasks."""
    return pick_engine() if is_distributed() else "taskgraph"
