"""What a store holds once every input's unit is there: in memory, and on disk.

Units in memory with a few rows for each partition are joined before the first read:
else the work would grow with inputs times partitions, not with their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.store import spill
from dlsort_cluster.wire import Unit, join

__all__ = [
    "Kept",
    "Ready",
    "Spilled",
    "find_shards",
    "is_small",
    "make_ready",
    "on_disk",
    "read_all",
]

# Units are joined until there are so many rows for a partition, on average: 2,000 units
# of 500 rows were read by 2,000 partitions in 36 s one by one, in 8 s joined.
_FEW_ROWS = 64


class Kept(NamedTuple):
    """A unit in memory, and the bytes that it counts for there."""

    unit: Unit
    n_bytes: int


class Spilled(NamedTuple):
    """Where on disk a unit is: the ``member``-th of a run."""

    run: spill.Run
    member: int


class Ready(NamedTuple):
    """All that was put, once all is there.

    Those in memory in input order, each with the number of its (first) input, their bytes
    and their starts, (n_units, n_parts + 1); and the runs on disk, with their units' inputs.
    """

    inputs: list[int]
    units: list[Unit]
    n_bytes: list[int]
    starts: npt.NDArray[np.int64]
    runs: list[tuple[spill.Run, list[int]]]


class _Shard(NamedTuple):
    """What one input has for a partition.

    Attributes
    ----------
    input_id : int
        The (first) input whose rows they are.
    where : pyarrow.Table or Run
        What holds them, in memory or on disk.
    place, member : int
        In a run: the partition's place, and which of the run's units.
    first : int
        In a table: the first row.
    n_rows, n_bytes : int
        Their number, and about what they take.
    """

    input_id: int
    where: pa.Table | spill.Run
    place: int
    member: int
    first: int
    n_rows: int
    n_bytes: int

    @property
    def schema(self) -> pa.Schema:
        """The types, and what the input tells of its rows."""
        where = self.where
        return where.schemas[self.member] if isinstance(where, spill.Run) else where.schema

    def read(self, first: int, last: int) -> tuple[pa.Table, int]:
        """Return some of the rows, and the bytes read of them."""
        if isinstance(self.where, spill.Run):
            return spill.read_rows(self.where, self.place, self.member, first, last)
        return self.where.slice(self.first + first, last - first), 0


def find_shards(ready: Ready, place: int) -> list[_Shard]:
    """Return a partition's shards with rows in input order, or one without, if there is any."""
    found = []
    firsts, lasts = ready.starts[:, place], ready.starts[:, place + 1]
    for i in np.flatnonzero(lasts > firsts).tolist():
        unit, n_rows = ready.units[i], int(lasts[i] - firsts[i])
        size = ready.n_bytes[i] * n_rows // unit.table.num_rows
        shard = _Shard(ready.inputs[i], unit.table, place, 0, int(firsts[i]), n_rows, size)
        found.append(shard)
    for run, inputs in ready.runs:
        row_bytes = run.n_bytes / max(1, int(run.starts[-1]))
        for member in np.flatnonzero(run.counts[:, place]).tolist():
            n_rows = int(run.counts[member, place])
            size = int(row_bytes * n_rows)
            found.append(_Shard(inputs[member], run, place, member, 0, n_rows, size))
    if not found:
        found += [_Shard(0, unit.table, place, 0, 0, 0, 0) for unit in ready.units[:1]]
        found += [_Shard(0, run, place, 0, 0, 0, 0) for run, _ in ready.runs[:1]]
        return found[:1]
    found.sort(key=lambda shard: shard.input_id)
    return found


def read_all(shards: Sequence[_Shard]) -> tuple[list[pa.Table], int]:
    """Return all rows of each shard, and the bytes read of them; a run is read once."""
    tables: list[pa.Table] = []
    n_bytes = 0
    runs: dict[int, list[pa.Table]] = {}
    for shard in shards:
        run = shard.where
        if isinstance(run, spill.Run):
            if id(run) not in runs:
                runs[id(run)], n_read = spill.read(run, shard.place)
                n_bytes += n_read
            tables.append(runs[id(run)][shard.member])
        else:
            tables.append(shard.read(0, shard.n_rows)[0])
    return tables, n_bytes


def is_small(unit: Unit, n_bytes: int) -> bool:
    """Return whether the partitions of a unit of so many bytes would share batches on disk."""
    return n_bytes < spill.BATCH_BYTES * (len(unit.starts) - 1)


def make_ready(units: dict[int, Kept | Spilled], n_parts: int) -> Ready:
    """Return what is in memory and what on disk, by input; small units in memory joined."""
    inputs: list[int] = []
    joined: list[Unit] = []
    runs: dict[int, tuple[spill.Run, list[int]]] = {}
    neighbours: list[Unit] = []

    def flush() -> None:
        together = _join_small(neighbours)
        joined.extend(together)
        # A number each, in order and below that of the next unit.
        inputs.extend(range(number - len(neighbours), number - len(neighbours) + len(together)))
        neighbours.clear()

    number = 0
    for number, found in units.items():
        if isinstance(found, Kept):
            neighbours.append(found.unit)
            continue
        flush()
        new = (found.run, [0] * len(found.run.schemas))
        members = runs.setdefault(id(found.run), new)[1]
        members[found.member] = number
    number = len(units)
    flush()
    n_bytes = [count_bytes(unit.table) for unit in joined]
    starts = [unit.starts for unit in joined] or np.zeros((0, n_parts + 1), np.int64)
    return Ready(inputs, joined, n_bytes, np.array(starts), list(runs.values()))


def on_disk(ready: Ready, place: int, run: spill.Run) -> Ready:
    """Return the same with one of the units in memory on disk, the only one of a run."""
    rest = [i for i in range(len(ready.units)) if i != place]
    return Ready(
        [ready.inputs[i] for i in rest],
        [ready.units[i] for i in rest],
        [ready.n_bytes[i] for i in rest],
        ready.starts[rest],
        [*ready.runs, (run, [ready.inputs[place]])],
    )


def _join_small(units: Sequence[Unit]) -> list[Unit]:
    """Join neighbours that have few rows for each partition."""
    joined: list[Unit] = []
    group: list[Unit] = []
    n_rows = 0

    def flush() -> None:
        nonlocal n_rows
        together = join(group) if len(group) > 1 else None
        joined.extend(group if together is None else [together])
        group.clear()
        n_rows = 0

    for unit in units:
        enough = _FEW_ROWS * (len(unit.starts) - 1)
        if unit.table.num_rows >= enough:
            flush()
            joined.append(unit)
            continue
        group.append(unit)
        n_rows += unit.table.num_rows
        if n_rows >= enough:
            flush()
    flush()
    return joined
