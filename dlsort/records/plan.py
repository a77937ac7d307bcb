"""How a sort of records is done: by keys and places, or with whole records; and in what sizes.

::

    keys      source ──keys and places──▶ parts      16 bytes of each record travel, and its
                └──────────records──────────▶        part fetches it from the source
    records   source ──────records────────▶ parts    what does not fit the memory goes to disk

By keys the source is read a second time, a record here and there. While the system has it in
its cache of files that is cheaper than to carry whole records; from a disk it would be dear. So
what both ways cost decides, by the size of the source and the memory that is free beside the job.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dlsort.records.format import RECORD_BYTES
from dlsort.records.source import RecordSource
from dlsort.records.tasks import KEY_ROW_BYTES
from dlsort.sizes import format_bytes
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import Budget, check_partitions, plan_budget
from dlsort.strategies.sizes import default_of
from dlsort.tuning import RecordTuning
from dlsort_cluster.machine import ClusterSize, machine_memory_bytes

__all__ = ["RecordsPlan", "available_bytes", "cost_s", "plan_records"]

# Bytes of memory for a record of an input partition while it is read and parted.
_PIECE_BYTES = {"keys": 100, "records": 300}


class RecordsPlan(NamedTuple):
    """How a sort is done.

    Attributes
    ----------
    strategy : str
        ``keys`` or ``records``.
    why : str
        For people.
    n_parts, piece_records : int
        Output partitions; records of an input partition.
    budget : Budget
        The memory, shared out.
    """

    strategy: str
    why: str
    n_parts: int
    piece_records: int
    budget: Budget


def plan_records(
    source: RecordSource, asked: Asked, memory_bytes: int, size: ClusterSize
) -> RecordsPlan:
    """Return how a sort is done.

    Parameters
    ----------
    source : RecordSource
        What is sorted.
    asked : Asked
        What is asked for.
    memory_bytes : int
        Of the whole job.
    size : ClusterSize
        Where it runs.

    Raises
    ------
    BadOptionError
        If the memory is too small, or there are more partitions than records.
    """
    tuning, n_rows, n_threads = asked.tuning, source.n_rows, max(1, size.n_threads)
    check_partitions(asked.partitions, n_rows, tuning.budget)
    budget = plan_budget(
        memory_bytes, size.n_processes, n_threads, tuning.budget, 0, default_of(asked)
    )
    store_bytes = budget.store_bytes * size.n_processes
    strategy, why = asked.strategy, "asked for"
    if strategy == "auto" and asked.scheduler is not None:
        strategy, why = "records", "workers may be on machines whose caches lack the source"
    elif strategy == "auto":
        # What travels by keys waits in memory, and is there three times as it is sorted.
        needed = size.n_processes * tuning.budget.base_bytes + 3 * KEY_ROW_BYTES * n_rows
        free = available_bytes() - min(needed, memory_bytes)
        room = free * tuning.records.cache_share
        costs = {
            name: cost_s(name, n_rows, int(room), store_bytes, n_threads, tuning.records)
            for name in ("keys", "records")
        }
        strategy = min(costs, key=lambda name: costs[name])
        lacks = "has" if room >= source.arrow_bytes else "lacks"
        why = (
            f"the system's cache {lacks} room for the source: {format_bytes(max(0, int(room)))}"
        )
    row_bytes = KEY_ROW_BYTES + (RECORD_BYTES if strategy == "records" else 0)
    n_parts = asked.partitions
    if n_parts is None:
        by_memory = -(-n_rows * row_bytes // budget.part_bytes)
        by_size = -(-source.arrow_bytes // tuning.records.partition_bytes)
        n_parts = -(-max(by_memory, by_size) // n_threads) * n_threads
        n_parts = max(1, min(n_parts, n_rows))
    most = budget.working_bytes // _PIECE_BYTES[strategy]
    piece = min(tuning.records.piece_records, most, -(-n_rows // (4 * n_threads)))
    return RecordsPlan(strategy, why, n_parts, max(1, piece), budget)


def cost_s(
    strategy: str,
    n_rows: int,
    room_bytes: int,
    store_bytes: int,
    n_threads: int,
    tuning: RecordTuning,
) -> float:
    """Return the seconds of a sort, but for what either strategy takes.

    Parameters
    ----------
    strategy : str
        ``keys`` or ``records``.
    n_rows : int
        Records.
    room_bytes : int
        Of the system's cache for the source.
    store_bytes : int
        Of the job's memory for records on their way.
    n_threads : int
        Of all processes.
    tuning : RecordTuning
        What was measured.

    Examples
    --------
    >>> how = 10**8, 12 << 30, 2 << 30, 2, RecordTuning()
    >>> [round(cost_s(strategy, *how), 1) for strategy in ("keys", "records")]
    [2.0, 26.7]
    """
    n_bytes = n_rows * RECORD_BYTES
    if strategy == "keys":
        missing = max(0, n_rows - max(0, room_bytes) // RECORD_BYTES)
        return (n_rows * tuning.fetch_ns + missing * tuning.miss_ns) / n_threads * 1e-9
    spilled = max(0, n_bytes - store_bytes)
    return (n_rows * tuning.carry_ns / n_threads + spilled * tuning.spill_ns) * 1e-9


def available_bytes() -> int:
    """Return the memory that the system could give to this job and to its cache of files."""
    most = machine_memory_bytes()
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(most, int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    return most // 2
