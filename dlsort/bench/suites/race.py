"""A race: one job of a suite, and those who take turns at it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dlsort.bench.engines import Share
from dlsort.bench.figures import Resources, Size
from dlsort.bench.rounds import Take

__all__ = ["Asked", "Race", "Suite"]


@dataclass(frozen=True)
class Asked:
    """What a user asks of the suites.

    Parameters
    ----------
    against : sequence of str
        Engines, beside dlsort.
    share : Share
        What each may use.
    cluster : Resources
        What those have that run on the cluster; on this machine alone the same as ``here``.
    here : Resources
        What those have that run in one process on this host.
    inputs, scratch : Path
        Existing folders for what is made to be sorted, and for results.
    rows : int
        Of each made input.
    data, by : str or None
        The user's own Parquet data, and their key.
    """

    against: Sequence[str]
    share: Share
    cluster: Resources
    here: Resources
    inputs: Path
    scratch: Path
    rows: int
    data: str | None = None
    by: str | None = None


@dataclass(frozen=True)
class Race:
    """One job.

    Parameters
    ----------
    title : str
    about : str
        A sentence of what is sorted.
    size : Size
    resources : mapping of str to Resources
        Of each engine.
    takers : context manager of a mapping of str to callable
        Starts the engines, and ends them; gives what has one take its turn.
    notes : sequence of str
    distributed : collection of str
        Engines that run on the cluster, where there is one.
    """

    title: str
    about: str
    size: Size
    resources: Mapping[str, Resources]
    takers: AbstractContextManager[Mapping[str, Take]]
    notes: Sequence[str]
    distributed: Collection[str] = ()


class Suite(Protocol):
    """What a module of a suite has."""

    def __call__(self, asked: Asked) -> Iterator[Race]:
        """Give the races one after the other; each input is made when its race is asked for."""
