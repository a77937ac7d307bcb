"""An exchange as a plain task graph, for any of Dask's schedulers.

Splits stay whole in memory (or in Dask's own spill space), and a merge task
depends on all of them: N inputs and P partitions take N + P tasks, not N × P,
and each merge slices what it needs without a copy. On one machine that is as
good as the engine while the rows fit in memory; on several, each worker ends
up with all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlsort_cluster.exchange import (
    Exchange,
    Layer,
    Shards,
    Split,
    Totals,
    Transferred,
    add_up,
    check_rows,
    check_split,
    slot_of,
)
from dlsort_cluster.tasks import as_dask, call, ref

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["build", "graph_token", "merge_splits"]


def graph_token(exchange: Exchange, parts: Sequence[int] | None) -> str:
    """Name the tasks of an exchange and a selection of its partitions."""
    if parts is None or len(parts) == exchange.n_parts:
        return exchange.token
    from dask.base import tokenize

    return f"{exchange.token}-{tokenize(tuple(parts))[:8]}"


def build(
    exchange: Exchange,
    name: str,
    sources: Sequence[Any],
    context: Any,
    parts: Sequence[int] | None = None,
) -> Layer:
    """Lay the tasks of an exchange; see :func:`dlsort_cluster.p2p.build.build`."""
    token = graph_token(exchange, parts)
    split_keys = [(f"dlsort-split-{token}", i) for i in range(len(sources))]
    transfer_keys = [(f"dlsort-transfer-{token}", i) for i in range(len(sources))]
    counts_key = f"dlsort-counts-{token}"
    graph: dict[Any, Any] = {}
    for i, source in enumerate(sources):
        split, transfer = split_keys[i], transfer_keys[i]
        graph[split] = call(split, _split, exchange, source, context, i)
        graph[transfer] = call(transfer, _receipt, ref(split))
    receipts = [ref(key) for key in transfer_keys]
    graph[counts_key] = call(counts_key, _add_up, exchange.n_parts, *receipts)
    splits = [ref(key) for key in split_keys]
    wanted = range(exchange.n_parts) if parts is None else parts
    output_keys = [(name, i) for i in range(len(wanted))]
    for key, part in zip(output_keys, wanted, strict=True):
        graph[key] = call(
            key,
            merge_splits,
            token,
            exchange.merge,
            exchange.find,
            int(part),
            ref(counts_key),
            context,
            *splits,
        )
    return Layer(as_dask(graph), transfer_keys, output_keys)


def _split(exchange: Exchange, source: Any, context: Any, input_id: int) -> Split:
    found = exchange.split(source, context, input_id)
    check_split(found, exchange.n_parts, input_id)
    return found


def _receipt(found: Split) -> Transferred:
    return Transferred(0, np.diff(found.starts), found.stats, found.note)


def _add_up(n_parts: int, *receipts: Transferred) -> Totals:
    return add_up(n_parts, receipts)


def merge_splits(
    token: str,
    merge: Callable[..., Any],
    find: Callable[[int], Any] | None,
    part: int,
    totals: Totals,
    context: Any,
    *splits: Split,
) -> Any:
    """Merge one partition from what all inputs were split into, unless that was done before."""
    if find is not None and (found := find(part)) is not None:
        return found
    slot = slot_of(part, totals)
    tables: list[pa.Table] = []
    for table, starts, *_ in splits:
        if starts[part + 1] > starts[part]:
            tables.append(table.slice(starts[part], starts[part + 1] - starts[part]))
    if not tables and splits:
        tables.append(splits[0].table.slice(0, 0))
    shards = Shards.of(tables)
    check_rows(shards, slot, token[:8])
    return merge(shards, context, slot)
