"""Move opaque Arrow rows across a Dask cluster, once.

Knows Dask and Arrow, and nothing of how a row finds its partition: callers
hand in ``split`` and ``merge``.

================  =====================================================
``exchange``      the words of an exchange; nothing heavy, safe anywhere
``engine``        lay an exchange's tasks on the engine that fits
``p2p``           on Dask's peer-to-peer engine
``taskgraph``     as a plain graph, for any scheduler
``store``         where a worker keeps shards, in memory or on disk
``wire``          how shards look between workers and on disk
``frames``        an exchange laid over a Dask DataFrame
``clusters``      a cluster to run on; jobs submitted, watched, cleaned up
``dashboard``     the page that shows jobs on Dask's dashboard
``tuning``        what a process may hold, for stores and whoever plans it
================  =====================================================
"""

from __future__ import annotations

from dlsort_cluster.exchange import (
    Exchange,
    ExchangeError,
    Layer,
    ShardsLostError,
    Slot,
    SpillError,
    SpillFullError,
    Split,
    Transferred,
)

__all__ = [
    "Exchange",
    "ExchangeError",
    "Layer",
    "ShardsLostError",
    "Slot",
    "SpillError",
    "SpillFullError",
    "Split",
    "Transferred",
]
