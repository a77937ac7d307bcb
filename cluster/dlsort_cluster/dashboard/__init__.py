"""The page ``/dlsort`` of Dask's dashboard: sorts at work, and the last that ended.

::

    client    a sort's own words: phases, rows, state ──events──▶ ┐
    workers   bytes and rows of their shares ──heartbeats, events──▶ board ──▶ page
    scheduler tasks of each exchange ──transitions──▶             ┘

A job puts the page up where it begins. ``dask scheduler --preload dlsort_cluster.dashboard``
has it from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Scheduler

__all__ = ["dask_setup"]


async def dask_setup(scheduler: Scheduler) -> None:
    """Put the page up on a scheduler that preloads this module."""
    from dlsort_cluster.dashboard.board import Board

    await scheduler.register_scheduler_plugin(Board(), Board.name, idempotent=True)
