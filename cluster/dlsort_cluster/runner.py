"""Run a job's tasks: on a cluster, or in this thread where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dlsort_cluster.exchange import Layer
from dlsort_cluster.tasks import in_turn

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run"]


def run(
    client: Client | None,
    layer: Layer,
    on_progress: Callable[[list[Any], list[Any]], None] | None = None,
    *,
    on_spilled: Callable[[int], None] | None = None,
) -> tuple[list[Any], list[Any]]:
    """Run an exchange and return what its tasks gave.

    Parameters
    ----------
    client : distributed.Client or None
        Where to run; None: in this thread, with nothing of Dask.
    layer, on_progress, on_spilled
        As of :func:`dlsort_cluster.clusters.jobs.run`.

    Returns
    -------
    stats, outputs : list
        As of the same.
    """
    if client is not None:
        from dlsort_cluster.clusters import jobs

        return jobs.run(client, layer, on_progress, on_spilled=on_spilled)
    results = {}
    inputs, outputs = set(layer.transfer_keys), set(layer.output_keys)
    for key, result in in_turn(layer.graph):
        results[key] = result
        if on_progress is not None and key in inputs | outputs:
            on_progress(
                [result.stats] if key in inputs else [], [result] if key in outputs else []
            )
    stats = [results[key].stats for key in layer.transfer_keys]
    return stats, [results[key] for key in layer.output_keys]
