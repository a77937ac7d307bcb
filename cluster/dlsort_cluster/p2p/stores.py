"""The memory of a worker's runs: their stores, also once they have ended, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distributed.shuffle._core import id_from_key
from distributed.shuffle._limiter import ResourceLimiter

from dlsort_cluster.store.memory import MemoryGuard
from dlsort_cluster.store.store import ShardStore

__all__ = ["keep_store", "sending_limiter", "spilled_bytes"]


# The stores of the latest runs by worker and run; closed ones are empty but can
# still tell what they wrote. A run is closed before anyone could ask.
_stores: dict[tuple[str, str | None], list[ShardStore]] = {}
_N_STORES = 100


def sending_limiter(engines: ResourceLimiter[Any], guard: MemoryGuard) -> ResourceLimiter[Any]:
    """Return what holds back rows that wait to be sent: less than the engine's if need be.

    Parameters
    ----------
    engines : ResourceLimiter
        The engine's own, of a fixed size.
    guard : MemoryGuard
        The worker's, which knows its limit.
    """
    if not guard.limit_bytes:
        return engines
    return ResourceLimiter(
        min(engines.limit, int(guard.limit_bytes * guard.tuning.sending_share))
    )


def keep_store(address: str, run: str, store: ShardStore) -> None:
    """Keep the store of one of a worker's runs, and forget that of a run long ago."""
    _stores.setdefault((address, run), []).append(store)
    while len(_stores) > _N_STORES:
        del _stores[next(iter(_stores))]


def spilled_bytes(keys: Sequence[Any], dask_worker: Any) -> int:
    """Return what one worker's stores have written to disk for a graph's runs.

    Parameters
    ----------
    keys : sequence
        The graph's keys.
    dask_worker : distributed.Worker
        Passed by ``Client.run``.
    """
    address = dask_worker.address
    stores = [s for key in keys for s in _stores.get((address, id_from_key(key)), ())]
    return sum(store.spilled_bytes for store in stores)
