"""Whether a cluster's scheduler and workers have the client's versions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from weakref import WeakKeyDictionary

from distributed import Client

from dlsort_cluster.clusters.ask import ANSWER_S, name_of, of_each_worker, workers_of
from dlsort_cluster.versions import compare, installed

__all__ = ["check_versions", "check_versions_once"]


def check_versions(client: Client, *, workers: Collection[str] | None = None) -> frozenset[str]:
    """Compare the versions of scheduler and workers with this process's.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster. Nothing is asked for that takes a dlsort on the other side.
    workers : collection of str, optional
        Addresses of those to ask; all by default.

    Returns
    -------
    frozenset of str
        Addresses of those that answered. One that is silent for ``ANSWER_S``, or has gone, is
        left to the run: it is asked there before it takes part.

    Raises
    ------
    VersionsDifferError
        If one has others, or no dlsort.
    """
    look = _make_look()
    asked = frozenset(workers_of(client)) if workers is None else workers
    told = of_each_worker(client, look, workers=asked, most_s=ANSWER_S)
    # Neither says anything of the versions: no answer in time, or a connection that was lost.
    answers = {
        where: theirs for where, theirs in told.items() if not isinstance(theirs, OSError)
    }
    ours = installed()
    found = {
        address if theirs == ours else name_of(client, address): theirs
        for address, theirs in answers.items()
    }
    try:
        found["the scheduler"] = client.run_on_scheduler(look)
    except Exception as error:
        found["the scheduler"] = error
    for where, theirs in found.items():
        if isinstance(theirs, BaseException):
            theirs = {"dlsort": f"none that answers ({type(theirs).__name__})"}
        compare(ours, theirs, where)
    return frozenset(answers)


def check_versions_once(client: Client) -> None:
    """Compare the versions of scheduler and workers, but of none that were asked before.

    For graphs that Dask sends by itself: what lacks dlsort can't read them, and would not say
    so, or say something else.

    Raises
    ------
    VersionsDifferError
        If one has others, or no dlsort.
    """
    known = _alike.get(client)
    now = frozenset(workers_of(client))
    if known is None or not now <= known:
        known = known or frozenset()
        now = now & known | check_versions(client, workers=now - known)
    _alike[client] = now


def _make_look() -> Callable[[], dict[str, str]]:
    """Return a function that is sent whole, as the other side may not have this module."""

    def look() -> dict[str, str]:
        try:
            from dlsort_cluster.versions import installed

            return dict(installed())
        except ImportError:
            from importlib.metadata import PackageNotFoundError, version

            try:
                return {"dlsort": f"{version('dlsort')}, which can't be imported"}
            except PackageNotFoundError:
                return {}

    return look


# The workers that were found to have our versions, for each client.
_alike: WeakKeyDictionary[Client, frozenset[str]] = WeakKeyDictionary()
