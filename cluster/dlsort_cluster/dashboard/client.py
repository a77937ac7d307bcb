"""What a client does for the dashboard: it has the page put up, and tells of its job.

Nothing of it is waited for, but the last word, and a job goes on where it fails.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from distributed import Client

from dlsort_cluster.clusters.ask import TELL_S, ask, start
from dlsort_cluster.dashboard.board import Board
from dlsort_cluster.p2p.told import TOPIC

__all__ = ["put_up", "tell_of_job"]

logger = logging.getLogger(__name__)

_asked: WeakSet[Client] = WeakSet()


def put_up(client: Client) -> None:
    """Have the scheduler show the page, if it has a dashboard; once a client."""
    if client in _asked:
        return
    _asked.add(client)

    async def register() -> None:
        try:
            told: Any = client.register_plugin(Board(), name=Board.name)
            await told
        except Exception:
            logger.debug("the scheduler has no page of dlsort's", exc_info=True)

    with suppress(Exception):
        start(client, register)


def tell_of_job(client: Client, figures: dict[str, Any], *, is_last: bool = False) -> None:
    """Tell how a job is; it is waited for if it is the last word.

    Parameters
    ----------
    client : distributed.Client
        That of the job.
    figures : dict
        The fields of :class:`dlsort_cluster.dashboard.jobs.Job` that are known, and its ``id``.
    """

    def send() -> Awaitable[Any]:
        message = {"job": {**figures, "client": client.id}}
        told: Awaitable[Any] = client.log_event(TOPIC, message)
        return told

    sending: Callable[[], object] = lambda: start(client, send)  # noqa: E731
    if is_last:
        sending = lambda: ask(client, send, TELL_S)  # noqa: E731
    if client.status == "running":
        with suppress(Exception):
            sending()
