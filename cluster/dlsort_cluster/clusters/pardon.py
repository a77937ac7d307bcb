"""Pardon: tasks that were at work on workers that died are not suspected at once."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from distributed import Client

from dlsort_cluster.clusters.ask import ask
from dlsort_cluster.tasks import name_of

__all__ = ["Pardon"]

# Dask gives a task up that was at work on several workers when they died. Workers die over
# their tasks (for lack of memory) or by an operator's hand; that others get done between two
# deaths speaks for the second. So often it is taken for that, and no task is suspected.
_MOST_PARDONS = 10
_PARDON_S = 1.0


class Pardon:
    """Tells the scheduler to suspect no task of a job over workers that died, now and then.

    It does if something was done since the last time, and no more than ``_MOST_PARDONS``
    times: a task that takes down whatever worker it is on is found out in the end.
    """

    def __init__(self, client: Client, names: set[Any]) -> None:
        self._client = client
        self._names = names
        self._n_left = _MOST_PARDONS
        self._progressed = False
        self._next = time.monotonic() + _PARDON_S

    def __call__(self, *, progressed: bool) -> None:
        """Tell it, if it is time; ``progressed`` says whether something was done since."""
        self._progressed |= progressed
        if not self._progressed or not self._n_left or time.monotonic() < self._next:
            return
        self._progressed = False
        self._next = time.monotonic() + _PARDON_S
        with suppress(Exception):  # a scheduler may run no functions
            client = self._client
            self._n_left -= ask(
                client, lambda: client.run_on_scheduler(_pardon, self._names, asynchronous=True)
            )


def _pardon(names: set[Any], dask_scheduler: Any) -> bool:
    """Clear suspected tasks of these names that live on; tell whether there were any."""
    suspects = [t for key, t in dask_scheduler.tasks.items() if name_of(key) in names]
    suspects = [t for t in suspects if t.suspicious and t.state != "erred"]
    for task in suspects:
        task.suspicious = 0
    return bool(suspects)
