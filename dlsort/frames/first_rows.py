"""The lazy expression of a sort's first or last rows."""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from typing import Any

import pandas as pd
from dask.dataframe.dask_expr._reductions import ApplyConcatApply

from dlsort.errors import ClusterError
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.frames.apart import made_in_turn
from dlsort_cluster.frames.scheduler import check_cluster

__all__ = ["FirstRows", "look_at_cluster"]


class FirstRows(ApplyConcatApply):
    """The first or last rows of a sort: some of every partition, and of these again."""

    _parameters = ["frame", "plan", "n", "last", "split_every"]
    _defaults = {"split_every": None}

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        return self.plan.output

    def _divisions(self) -> tuple[None, None]:
        return (None, None)

    def _lower(self) -> Any:
        look_at_cluster()
        made: Any = self.substitute_parameters({"frame": made_in_turn(self.frame)})
        this: Any = super(FirstRows, made)
        return this._lower()

    @property
    def chunk_kwargs(self) -> dict[str, Any]:  # type: ignore[override]
        """What a partition's rows are chosen by."""
        return {"plan": self.plan, "n": self.n, "last": self.last}

    combine_kwargs = aggregate_kwargs = chunk_kwargs

    # Dask names the tasks after what these are bound to.
    @classmethod
    def chunk(cls, frame: pd.DataFrame, **kwargs: Any) -> Any:
        """Return the first rows of a partition."""
        return _pick_first([frame], **kwargs)

    @classmethod
    def combine(cls, frames: list[Any], **kwargs: Any) -> Any:
        """Return the first rows of several partitions."""
        return _pick_first(frames, **kwargs)

    @classmethod
    def aggregate(cls, frames: list[Any], **kwargs: Any) -> pd.DataFrame:
        """Return the first rows of all, as the sort gives them."""
        from dlsort.frame_tasks.first_rows import finish_first

        return finish_first(_pick_first(frames, **kwargs), kwargs["plan"])


def look_at_cluster() -> None:
    """Make sure that the current client's cluster, if there is one, can run our tasks.

    Raises
    ------
    ClusterError
        If it lacks dlsort, or has another version of something.
    """
    try:
        check_cluster()
    except ExchangeError as error:
        raise ClusterError(str(error)) from error


def _pick_first(frames: list[Any], **kwargs: Any) -> Any:
    from dlsort.frame_tasks.first_rows import pick_first

    return pick_first(frames, **kwargs)
