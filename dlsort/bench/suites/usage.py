"""Usage of a cluster: what its workers' own monitors have seen while an engine had its turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from dlsort.bench.rounds import Take, Turn
from dlsort.bench.watch import Sample
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.peer import usage_of_last

__all__ = ["samples_of", "with_usage"]

_BIN_S = 0.5  # as often as Dask's monitors look


@contextmanager
def with_usage(scheduler: str | None) -> Iterator[Callable[[Take], Take]]:
    """Yield what has a turn at a cluster tell what the workers used; as it is, without one."""
    with nullcontext() if scheduler is None else connect(scheduler=scheduler) as client:

        def asking(take: Take) -> Take:
            return take if client is None else lambda number: _asked(client, take(number))

        yield asking


def _asked(client: Any, turn: Turn) -> Turn:
    """Return a turn with what the workers used: it was checked meanwhile, so they look back."""
    with suppress(OSError, TimeoutError):
        samples = samples_of(usage_of_last(client, turn.ago_s), turn.outcome.seconds)
        most = max((sample.memory_bytes for sample in samples), default=0)
        return turn._replace(samples=samples, peak_bytes=most)
    return turn._replace(samples=())


def samples_of(told: Sequence[Mapping[str, Any]], seconds: float) -> list[Sample]:
    """Return what all workers used together, in bins of half a second.

    Disk and network are those of each host once, whichever of its workers tells most.

    Examples
    --------
    >>> one = {"host": "a", "at_s": [0.4], "cpu": [50.0], "memory": [10],
    ...        "disk_read": [None], "disk_write": [8.0], "sent": [4.0]}
    >>> samples_of([one, one], 0.5)[0][2:]
    (1.0, 20, 0.0, 8.0, 4.0)
    """
    bins: list[list[tuple[Mapping[str, Any], int]]] = [
        [] for _ in range(max(1, math.ceil(seconds / _BIN_S)))
    ]
    for worker in told:
        last = {int(at // _BIN_S): i for i, at in enumerate(worker["at_s"]) if at <= seconds}
        for place, i in last.items():
            bins[place].append((worker, i))
    found = []
    for place, seen in enumerate(bins):
        by_host: dict[tuple[str, str], float] = {}
        for worker, i in seen:
            for name in ("disk_read", "disk_write", "sent"):
                key = (worker["host"], name)
                by_host[key] = max(by_host.get(key, 0.0), worker[name][i] or 0.0)
        rates = [
            sum(rate for (_, name), rate in by_host.items() if name == wanted)
            for wanted in ("disk_read", "disk_write", "sent")
        ]
        cores = sum((worker["cpu"][i] or 0.0) / 100 for worker, i in seen)
        memory = sum(int(worker["memory"][i] or 0) for worker, i in seen)
        found.append(Sample((place + 1) * _BIN_S, _BIN_S, cores, memory, *rates))
    return found
