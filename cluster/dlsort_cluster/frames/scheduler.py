"""The scheduler that will run a frame's tasks: its engine, and whether it has our versions."""

from __future__ import annotations

from distributed import default_client

from dlsort_cluster.clusters.check_versions import check_versions_once
from dlsort_cluster.clusters.joined import is_distributed
from dlsort_cluster.engine import Engine, pick_engine

__all__ = ["check_cluster", "engine_of_client", "is_async"]


def check_cluster() -> None:
    """Look if the current client's cluster has our versions, when it is first met.

    Without dlsort its scheduler can't read our graphs, and its workers not our tasks; the first
    says so in words of its own, the second stop without any.

    Raises
    ------
    VersionsDifferError
    """
    if engine_of_client() != "p2p" or is_async():
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


def engine_of_client() -> Engine:
    """Choose the engine by the scheduler that will run the tasks."""
    return pick_engine() if is_distributed() else "taskgraph"
