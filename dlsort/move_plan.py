"""The tasks of a job whose source's order makes an exchange unnecessary: one a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from dlsort.moves import Moves, Slice
from dlsort.plan import Clock, InputStats, OutputStats, Reader, write_partition
from dlsort.proof import prove, total
from dlsort.sink import Writer
from dlsort_cluster.exchange import Layer, Shards, Slot, Transferred
from dlsort_cluster.tasks import call, ref

__all__ = ["MovePlan"]


class _Moved(NamedTuple):
    """What was read and what was written for a part."""

    read: InputStats
    written: OutputStats


@dataclass(frozen=True)
class MovePlan:
    """All the tasks of a job without an exchange; as :class:`dlsort.plan.DatasetPlan`.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    reader, writer : Reader, Writer
        The two ends.
    moves : Moves
        Which rows make which part.
    part_bytes : int
        Arrow size of a part that fits.
    """

    token: str
    reader: Reader
    writer: Writer
    moves: Moves
    part_bytes: int

    @property
    def n_inputs(self) -> int:
        """Number of pieces that are read."""
        return sum(len(slices) for slices in self.moves.parts)

    def layer(self) -> Layer:
        """Return read → sort → write of each part, as tasks."""
        graph: dict[Any, Any] = {}
        receipts, outputs = [], []
        n_parts = len(self.moves.parts)
        for part, slices in enumerate(self.moves.parts):
            moved = f"dlsort-move-{self.token}-{part}"
            receipt, output = (
                f"dlsort-read-{self.token}-{part}",
                f"dlsort-part-{self.token}-{part}",
            )
            write = partial(write_partition, self.writer, self.part_bytes)
            graph[moved] = call(
                moved, _move, self.reader, write, slices, Slot(part, n_parts, 0, 0)
            )
            graph[receipt] = call(receipt, _receipt, ref(moved))
            graph[output] = call(output, _output, ref(moved))
            receipts.append(receipt)
            outputs.append(output)
        return Layer(graph, receipts, outputs)


def _move(
    reader: Reader, write: Callable[..., OutputStats], slices: Sequence[Slice], slot: Slot
) -> _Moved:
    """Read, sort, check, prove and write the rows of one part."""
    clock = Clock()
    with clock.step("read"):
        tables = [reader.read(s.piece).slice(s.first, s.n_rows) for s in slices]
    with clock.step("prove"):
        proof = total(prove(table) for table in tables)
    slot = slot._replace(n_rows=proof.rows)
    return _Moved(InputStats(proof, clock), write(Shards(tables), None, slot))


def _receipt(moved: _Moved) -> Transferred:
    return Transferred(0, np.empty(0, np.int64), moved.read)


def _output(moved: _Moved) -> OutputStats:
    return moved.written
