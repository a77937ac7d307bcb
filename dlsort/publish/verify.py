"""Verify: finished parts of an earlier attempt, read back before they are relied on."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.transport import concat_rows, to_transport
from dlsort.errors import ClusterError, OutOfOrderError
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import PARTS
from dlsort.io.storage import join, open_to_read
from dlsort.keys import SortKey
from dlsort.proof.disorder import first_disorder
from dlsort.proof.ordered import Ordered
from dlsort.publish.finished import find_finished, finished_parts, forget_finished
from dlsort.tuning import OrderTuning, Tuning
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.tasks import call

__all__ = ["verify_finished"]


def verify_finished(client: Any, writer: Writer) -> int:
    """Read the finished parts of a folder; forget those that are not what was recorded.

    Parameters
    ----------
    client : distributed.Client
        Where to read them, all at once.
    writer : Writer
        Wrote them.

    Returns
    -------
    int
        How many are as they should be. The others will be made again.

    Raises
    ------
    ClusterError
        If the cluster can't go on.
    """
    token = uuid.uuid4().hex
    graph = {}
    for part in finished_parts(writer.folder):
        key = f"dlsort-verify-{token}-{part}"
        graph[key] = call(key, _verify, writer.folder, writer.keys, part, writer.tuning)
    if not graph:
        return 0
    try:
        _, found = run(client, Layer(graph, [], list(graph)))
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    return sum(found)


def _verify(folder: str, keys: tuple[SortKey, ...], part: int, tuning: Tuning) -> bool:
    if _is_as_recorded(folder, keys, part, tuning):
        return True
    forget_finished(folder, part)
    return False


def _is_as_recorded(folder: str, keys: tuple[SortKey, ...], part: int, tuning: Tuning) -> bool:
    """Return whether a part's rows have the order and the proof of its record."""
    finished = find_finished(folder, part)
    if finished is None:
        return False
    ordered = Ordered(keys, part, tuning)
    recorded = finished.written
    try:
        with (
            open_to_read(join(folder, PARTS, finished.name)) as where,
            pq.ParquetFile(where, pre_buffer=False) as file,
        ):
            for group in range(file.num_row_groups):
                ordered.add(to_transport(file.read_row_group(group, use_threads=False)))
        if ordered.proof != recorded.proof:
            return False
        if not recorded.proof.rows:
            return True
        return _are_equal(ordered.edges(), recorded.edges, keys, tuning.order)
    except (OSError, pa.ArrowException, OutOfOrderError, LookupError, ValueError):
        return False


def _are_equal(
    edges: pa.Table, recorded: pa.Table, keys: tuple[SortKey, ...], tuning: OrderTuning
) -> bool:
    """Return whether the first and the last key are the same, NaN too."""
    others = recorded.replace_schema_metadata().cast(edges.schema.remove_metadata())
    if others.num_rows != edges.num_rows:
        return False
    for row in range(edges.num_rows):
        one, other = edges.slice(row, 1).replace_schema_metadata(), others.slice(row, 1)
        for pair in ([one, other], [other, one]):
            if first_disorder(concat_rows(pair), keys, tuning) >= 0:
                return False
    return True
