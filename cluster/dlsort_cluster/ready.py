"""What a store holds once every input's unit is there: in memory, and on disk.

Units in memory with a few rows for each partition are joined before the first read:
else the work would grow with inputs times partitions, not with their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlsort_cluster import spill
from dlsort_cluster.wire import Unit, join

__all__ = ["Kept", "Ready", "Spilled", "is_small", "make_ready"]

# Units are joined until there are so many rows for a partition, on average: 2,000 units
# of 500 rows were read by 2,000 partitions in 36 s one by one, in 8 s joined.
_FEW_ROWS = 64


class Kept(NamedTuple):
    """A unit in memory, and the bytes that it counts for there."""

    unit: Unit
    n_bytes: int


class Spilled(NamedTuple):
    """Where on disk a unit is: the ``place``-th of a run."""

    run: spill.Run
    place: int


class Ready(NamedTuple):
    """All that was put, once all is there.

    Those in memory in input order, each with the number of its (first) input, and their
    starts, (n_units, n_parts + 1); and the runs on disk, with their units' inputs.
    """

    inputs: list[int]
    units: list[Unit]
    starts: np.ndarray
    runs: list[tuple[spill.Run, list[int]]]


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
        members[found.place] = number
    number = len(units)
    flush()
    starts = [unit.starts for unit in joined]
    return Ready(
        inputs,
        joined,
        np.stack(starts) if starts else np.zeros((0, n_parts + 1), np.int64),
        list(runs.values()),
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
