"""Run a job's tasks: on a cluster, or in this process where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dlsort_cluster.exchange import Layer
from dlsort_cluster.in_process import Crew, results

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run"]


def run(
    client: Client | None,
    layer: Layer,
    on_progress: Callable[[list[Any], list[Any]], None] | None = None,
    *,
    on_spilled: Callable[[int], None] | None = None,
    threads: int | Crew = 1,
) -> tuple[list[Any], list[Any]]:
    """Run an exchange and return what its tasks gave.

    Parameters
    ----------
    client : distributed.Client or None
        Where to run; None: in this process, with nothing of Dask.
    layer, on_progress, on_spilled
        As of :func:`dlsort_cluster.clusters.jobs.run`.
    threads : int or Crew
        Of this process, if it is to run here; one is the calling thread.

    Returns
    -------
    stats, outputs : list
        As of the same.
    """
    if client is not None:
        from dlsort_cluster.clusters import jobs

        return jobs.run(client, layer, on_progress, on_spilled=on_spilled)
    inputs, outputs = set(layer.transfer_keys), set(layer.output_keys)
    found = {}
    try:
        crew = threads if isinstance(threads, Crew) else Crew(threads)
        for key, result in results(layer.graph, crew):
            if key in inputs:
                found[key] = result.stats
            elif key in outputs:
                found[key] = result
            if on_progress is not None and key in found:
                on_progress(*([[result.stats], []] if key in inputs else [[], [result]]))
        if on_spilled is not None:
            on_spilled(layer.store.spilled_bytes if layer.store else 0)
    finally:
        if layer.store is not None:
            layer.store.close()
    return [found[k] for k in layer.transfer_keys], [found[k] for k in layer.output_keys]
