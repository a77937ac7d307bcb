"""Versions: a worker that has others than the client is refused before it touches a row.

Parts are the same byte for byte on any number of workers, and tasks travel as pickles: both
need the same packages everywhere. A worker that joins later is asked by the run that it is to
take part in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distributed import Client

from dlsort_cluster.exchange import ExchangeError

__all__ = ["PACKAGES", "VersionsDifferError", "check_versions", "compare", "installed"]

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


def check_versions(client: Client) -> None:
    """Compare the versions of scheduler and workers with this process's.

    Raises
    ------
    VersionsDifferError
        If one has others, or no dlsort.
    """
    look = _make_look()
    found: dict[str, Any] = client.run(look, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(look)
    except Exception as error:
        found["the scheduler"] = error
    for where, theirs in found.items():
        if isinstance(theirs, BaseException):
            theirs = {"dlsort": f"none that answers ({type(theirs).__name__})"}
        compare(installed(), theirs, where)


def compare(ours: Mapping[str, str], theirs: Mapping[str, str], where: str) -> None:
    """Raise if some versions are not those of the client, or are not known.

    Raises
    ------
    VersionsDifferError
    """
    for package, wanted in ours.items():
        has = theirs.get(package, "not installed")
        if has != wanted:
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
                return {"dlsort": "not installed"}

    return look
