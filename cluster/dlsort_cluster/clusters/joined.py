"""Clusters of others: one that a caller gives, or has made current, joined for a while.

Nothing of it is changed or closed: what is made here is a client of our own, where an address
or a cluster is given, and it does not become anyone's default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import dask
from distributed import Client, get_client, rejoin, secede
from distributed.core import Status
from distributed.deploy.cluster import Cluster

from dlsort_cluster.clusters.reach import SchedulerUnreachableError, reach
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import EMBEDDED

__all__ = [
    "ClientUnusableError",
    "Joinable",
    "check_usable",
    "current_client",
    "is_distributed",
    "is_joinable",
    "join",
]

Joinable = str | Client | Cluster


class ClientUnusableError(ExchangeError):
    """A client, or a cluster, that is closed, or that this thread can't wait for."""


def is_joinable(given: object) -> TypeGuard[Joinable]:
    """Return whether something is an address, a client or a cluster, as Dask's client knows."""
    if isinstance(given, str):
        return bool(given.strip())
    return isinstance(given, Client | Cluster) or (
        not isinstance(given, type)
        and isinstance(getattr(given, "scheduler_address", None), str)
    )


def is_distributed(asked: Any = None) -> bool:
    """Return whether Dask computes on a client's cluster, if there is one.

    So it does unless another scheduler is asked for, here or in its configuration.
    """
    asked = dask.config.get("scheduler", None) if asked is None else asked
    whose = getattr(asked, "__self__", asked)  # client.get is a scheduler too
    return asked is None or isinstance(whose, Client) or "distributed" in str(asked)


def current_client() -> Client | None:
    """Return the client that Dask's own computations would use here, if any.

    Inside of a task it is the worker's. One that is closed is none.
    """
    if not is_distributed():
        return None
    asked = dask.config.get("scheduler", None)
    try:
        client = asked if isinstance(asked, Client) else get_client()
    except ValueError:
        return None
    return None if client.status in ("closed", "closing") else client


def check_usable(given: Joinable, *, is_current: bool = False) -> None:
    """Raise if a client or a cluster is closed, or asynchronous in this thread.

    Raises
    ------
    ClientUnusableError
    """
    if isinstance(given, str):
        return
    what = "client" if isinstance(given, Client) else "cluster"
    whose = "that is current" if is_current else "that is given as scheduler"
    status = getattr(given, "status", None)
    if status in ("closed", "closing", Status.closed, Status.closing):
        msg = f"the Dask {what} {whose} is closed; give one that is running."
        raise ClientUnusableError(msg)
    if isinstance(given, Client) and status != "running":
        msg = f"the Dask client {whose} has lost its scheduler; give one that is connected."
        raise ClientUnusableError(msg)
    if getattr(given, "asynchronous", False):
        msg = (
            f"the Dask {what} {whose} is asynchronous: its event loop runs in this thread, "
            "which can't wait for it. Sort in another thread, as with await "
            f"asyncio.to_thread(dlsort.sort_dataset, …), or with scheduler={EMBEDDED!r}."
        )
        raise ClientUnusableError(msg)


@contextmanager
def join(given: Joinable, timeout_s: float) -> Iterator[Client]:
    """Yield a client of someone's cluster; on leaving, close it if it was made here.

    Raises
    ------
    SchedulerUnreachableError
        If nothing answers, or one side does not trust the other.
    ClientUnusableError
        If the client or the cluster can't be used.
    """
    check_usable(given)
    with _seceded():
        if isinstance(given, Client):
            yield given
            return
        client = reach(given, timeout_s) if isinstance(given, str) else _of(given, timeout_s)
        try:
            yield client
        finally:
            client.close()


def _of(cluster: Any, timeout_s: float) -> Client:
    try:
        return Client(cluster, timeout=timeout_s, set_as_default=False)
    except Exception as error:  # clusters are of many makers
        msg = (
            f"no connection to the Dask cluster that is given as scheduler ({error}); see if "
            "it is running."
        )
        raise SchedulerUnreachableError(msg) from error


@contextmanager
def _seceded() -> Iterator[None]:
    """Let other tasks have a task's place meanwhile: it may be the only one."""
    try:
        secede()
    except (ValueError, KeyError, AttributeError):  # in no task, or it did so itself
        yield
        return
    try:
        yield
    finally:
        rejoin()
