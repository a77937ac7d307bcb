"""Versions: a worker that has others than the client is refused before it touches a row.

Parts are the same byte for byte on any number of workers, and tasks travel as pickles: both
need the same packages everywhere. A worker that joins later is asked by the run that it is to
take part in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from weakref import WeakKeyDictionary

from distributed import Client

from dlsort_cluster.addresses import worker_name
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.jobs import ANSWER_S, of_each_worker

__all__ = [
    "PACKAGES",
    "VersionsDifferError",
    "check_versions",
    "check_versions_once",
    "compare",
    "installed",
]

PACKAGES = ("dlsort", "numpy", "pyarrow", "dask", "distributed")


class VersionsDifferError(ExchangeError):
    """A worker or the scheduler has other versions than the client."""


@cache
def installed() -> Mapping[str, str]:
    """Return this process's version of each package that matters, and of Python."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a checkout on the path
            found[package] = str(getattr(import_module(package), "__version__", "unknown"))
    found["python"] = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return found


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
    asked = _workers(client) if workers is None else workers
    told = of_each_worker(client, look, workers=asked, most_s=ANSWER_S)
    # Neither says anything of the versions: no answer in time, or a connection that was lost.
    answers = {
        where: theirs for where, theirs in told.items() if not isinstance(theirs, OSError)
    }
    found = {worker_name(address): theirs for address, theirs in answers.items()}
    try:
        found["the scheduler"] = client.run_on_scheduler(look)
    except Exception as error:
        found["the scheduler"] = error
    for where, theirs in found.items():
        if isinstance(theirs, BaseException):
            theirs = {"dlsort": f"none that answers ({type(theirs).__name__})"}
        compare(installed(), theirs, where)
    return frozenset(answers)


def _workers(client: Client) -> frozenset[str]:
    return frozenset(client.scheduler_info(n_workers=-1)["workers"])


# The workers that were found to have our versions, for each client.
_alike: WeakKeyDictionary[Client, frozenset[str]] = WeakKeyDictionary()


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
    now = _workers(client)
    if known is None or not now <= known:
        known = known or frozenset()
        now = now & known | check_versions(client, workers=now - known)
    _alike[client] = now


def compare(ours: Mapping[str, str], theirs: Mapping[str, str], where: str) -> None:
    """Raise if some versions are not those of the client, or are not known.

    Raises
    ------
    VersionsDifferError
    """
    for package, wanted in ours.items():
        has = theirs.get(package)
        if has == wanted:
            continue
        if has is None:
            msg = f"{where} has no {package}; install {package} {wanted} there, as here."
            raise VersionsDifferError(msg)
        msg = (
            f"{where} has {package} {has}, and the client has {wanted}. Install the same"
            f" versions of {', '.join(PACKAGES[:-1])} and {PACKAGES[-1]} everywhere."
        )
        raise VersionsDifferError(msg)


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
