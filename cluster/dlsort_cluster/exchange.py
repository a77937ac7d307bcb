"""The words of an exchange: what a caller hands in and what comes back.

    source ──split──▶ Split ──rows cross the cluster──▶ shards ──merge──▶ output
             (one task an input)                        (one task a partition)

``split`` groups one input's rows by output partition, ``merge`` makes one
output partition from the rows that every input had for it. What lies between
is the business of :mod:`dlsort_cluster.p2p.build` or :mod:`dlsort_cluster.taskgraph`;
neither knows how a row finds its partition, nor what happens to it then.

Everything here travels with the task graph, so this module imports nothing
heavy: Dask's scheduler loads it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dlsort_cluster.errors import DlsortError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = [
    "Exchange",
    "ExchangeError",
    "Layer",
    "MemoryNeededError",
    "Shards",
    "ShardsDamagedError",
    "ShardsLostError",
    "Slot",
    "SpillError",
    "SpillFullError",
    "Split",
    "Transferred",
]


class Split(NamedTuple):
    """One input's rows, grouped by output partition.

    Attributes
    ----------
    table : pyarrow.Table
        Rows grouped by output partition, in input order inside one.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``table[starts[p]:starts[p + 1]]``.
    stats : object
        Small and picklable; handed back to whoever runs the exchange.
    note : object
        Small, hashable and picklable: what every merge has to know of this input.
    """

    table: pa.Table
    starts: np.ndarray
    stats: Any = None
    note: Any = None


class Shards:
    """A partition's shards, in input order; those on disk are read when they are asked for.

    Parameters
    ----------
    schemas : sequence of pyarrow.Schema
        One a shard, with the metadata that its input gave it.
    lengths : sequence of int
        Rows of each.
    n_bytes : int
        About what all of them take in memory.
    read : callable
        ``read(shard, first, last)`` returns some of the rows of one, a pyarrow.Table.
    read_all : callable
        ``read_all()`` returns all shards, which may be quicker than one by one.
    """

    def __init__(
        self,
        schemas: Sequence[pa.Schema],
        lengths: Sequence[int],
        n_bytes: int,
        read: Callable[[int, int, int], pa.Table],
        read_all: Callable[[], list[pa.Table]],
    ) -> None:
        self.schemas = schemas
        self.lengths = lengths
        self.n_bytes = n_bytes
        self.read = read
        self.read_all = read_all

    @classmethod
    def of(cls, tables: Sequence[pa.Table]) -> Shards:
        """Return shards that are in memory."""
        from dlsort_cluster.arrow_sizes import value_bytes

        return cls(
            [table.schema for table in tables],
            [table.num_rows for table in tables],
            sum(map(value_bytes, tables)),
            lambda shard, first, last: tables[shard].slice(first, last - first),
            lambda: list(tables),
        )

    @property
    def n_rows(self) -> int:
        """Rows of all of them."""
        return sum(self.lengths)


class Slot(NamedTuple):
    """Where a merged partition stands among all rows.

    Attributes
    ----------
    part : int
        This partition.
    n_parts : int
        Number of partitions of the exchange, also where only some are asked for.
    first_row : int
        Rows in all partitions before this one.
    n_rows : int
        Rows of this partition: the sum of what every input reported for it.
    notes : tuple
        ``Split.note`` of all inputs, each once, in their order; None left out.
    """

    part: int
    n_parts: int
    first_row: int
    n_rows: int
    notes: tuple[Any, ...] = ()


class Transferred(NamedTuple):
    """What a transfer task returns: a receipt, not the rows, if it can be helped.

    Attributes
    ----------
    run_id : int
        The run that took the rows.
    counts : (n_parts,) int64 or str
        Rows handed over for each partition; or who knows, the address of a worker.
    stats, note : object
        ``Split.stats`` and ``Split.note``.
    split : Split or None
        The rows after all, where no run took them: on a scheduler of Dask's that has no engine.
    """

    run_id: int
    counts: np.ndarray | str
    stats: Any
    note: Any = None
    split: Split | None = None


class Totals(NamedTuple):
    """What all transfers together report.

    Attributes
    ----------
    counts : (n_parts,) int64
        Rows of each partition.
    notes : tuple
        ``Split.note`` of all inputs, each once, in their order; None left out.
    """

    counts: np.ndarray
    notes: tuple[Any, ...]


@dataclass(frozen=True)
class Exchange:
    """An exchange: how to split inputs and how to merge partitions.

    Attributes
    ----------
    token : str
        Unique; names the tasks and the run.
    n_parts : int
        Number of output partitions.
    split : callable
        ``split(source, context, input_id) -> Split``. A run may be started
        again after a worker was lost, so it must give the same rows in the
        same order every time.
    merge : callable
        ``merge(shards, context, slot) -> output``, with the :class:`Shards` in input
        order. Inputs without a row for the partition are left out, but one
        (empty) shard is always there, for its schema, if there is any input.
        It may run more than once, even at the same time on two workers: what
        it writes should bear a name of its own until it is complete.
    store_bytes : int or None
        Shards kept in memory by each worker before they go to disk. ``None``:
        as the worker's memory limit leaves it (:mod:`dlsort_cluster.store.memory`), or of the
        machine's memory where the worker has no limit.
    temp_dir : str or None
        Where they go then. ``None``: the worker's ``local_directory``.
    copies : float or None
        How many times its own size a partition takes beside it while it is split or merged,
        where the caller has not planned the memory. Workers that have a limit make room for
        it; what exceeds them fails in a sentence.
    find : callable, optional
        ``find(part)`` returns the output of a partition that was merged before and needs no
        rows, or None. What is found by then may be left out by ``split``.
    title : str
        What the dashboard calls it, as in ``sort_values by x``.
    """

    token: str
    n_parts: int
    split: Callable[[Any, Any, int], Split]
    merge: Callable[[Shards, Any, Slot], Any]
    store_bytes: int | None = None
    temp_dir: str | None = None
    find: Callable[[int], Any] | None = None
    copies: float | None = None
    title: str = ""


class Layer(NamedTuple):
    """The tasks of an exchange.

    Attributes
    ----------
    graph : dict
        Key to task.
    transfer_keys : list
        One an input; each gives a :class:`Transferred`.
    output_keys : list
        One a requested partition, ``(name, i)``; each gives what ``merge`` gave.
    store : ShardStore or None
        What holds the rows, where that is this process. It is closed once they have run.
    """

    graph: dict[Any, Any]
    transfer_keys: list[Any]
    output_keys: list[Any]
    store: Any = None


class ExchangeError(DlsortError, RuntimeError):
    """An exchange can't go on; the message says why and what to do."""


class ShardsLostError(ExchangeError):
    """A partition does not hold the rows that the inputs reported for it."""


class ShardsDamagedError(ExchangeError):
    """Rows arrived at a worker other than they were sent, again and again."""


class MemoryNeededError(ExchangeError):
    """A partition is too large for the memory of a worker."""


class SpillError(ExchangeError):
    """Shards could not be written to, or read from, the temporary folder."""


class SpillFullError(SpillError):
    """There is no space left where shards are spilled."""


def add_up(n_parts: int, receipts: Sequence[Transferred]) -> Totals:
    """Return what the receipts of all inputs report together."""
    import numpy as np

    counts = np.zeros(n_parts, np.int64)
    for receipt in receipts:
        assert not isinstance(receipt.counts, str)
        counts += receipt.counts
    return Totals(counts, notes_of(receipts))


def notes_of(receipts: Iterable[Transferred]) -> tuple[Any, ...]:
    """Return the notes of all inputs, each once, in their order."""
    return tuple(dict.fromkeys(r.note for r in receipts if r.note is not None))


def slot_of(part: int, totals: Totals) -> Slot:
    """Return where partition ``part`` stands, from what all inputs report."""
    counts, notes = totals
    first_row = int(counts[:part].sum())
    return Slot(part, len(counts), first_row, int(counts[part]), notes)


def check_split(found: Split, n_parts: int, input_id: int) -> None:
    """Refuse a split whose starts don't cover its table.

    Raises
    ------
    ValueError
        If ``starts`` has the wrong length, descends, or misses rows.
    """
    starts, n_rows = found.starts, found.table.num_rows
    lengths = starts[1:] - starts[:-1]
    whole = len(starts) == n_parts + 1 and starts[0] == 0 and starts[-1] == n_rows
    if not whole or (lengths < 0).any():
        msg = (
            f"split of input {input_id}: starts must be {n_parts + 1} non-decreasing"
            f" numbers from 0 to {n_rows:,} (rows); got {len(starts)} from"
            f" {starts[:1]} to {starts[-1:]}."
        )
        raise ValueError(msg)


def check_rows(shards: Shards, slot: Slot, run: str) -> None:
    """Compare a partition's rows with what the inputs reported.

    Raises
    ------
    ShardsLostError
        If they differ.
    """
    if shards.n_rows != slot.n_rows:
        msg = (
            f"run {run}: partition {slot.part} has {shards.n_rows:,} rows, the inputs sent"
            f" {slot.n_rows:,}. This is a bug: please report it."
        )
        raise ShardsLostError(msg)
