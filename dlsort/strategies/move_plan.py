"""The tasks of a job whose source's order makes an exchange unnecessary: one a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dlsort.io.parquet.writer import Writer
from dlsort.proof.checksum import prove, total
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.publish.finished import find_finished
from dlsort.strategies.exchange import Reader, write_partition
from dlsort.strategies.move import Moves, Slice
from dlsort_cluster.exchange import Layer, Shards, Slot, Transferred
from dlsort_cluster.tasks import call, ref

__all__ = ["MovePlan", "Moved", "find_moved", "lay_parts"]


class Moved(NamedTuple):
    """What was read and what was written for a part."""

    read: InputStats
    written: OutputStats


def lay_parts(token: str, calls: Iterable[Sequence[Any]], before: Mapping[Any, Any]) -> Layer:
    """Return the tasks that make the parts, and what they refer to.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    calls : iterable of (function, *arguments)
        One a part, in order; each gives a :class:`Moved`.
    before : mapping
        The tasks that arguments refer to.
    """
    graph = dict(before)
    receipts, outputs = [], []
    for part, (function, *arguments) in enumerate(calls):
        moved, receipt, output = (
            f"dlsort-{step}-{token}-{part}" for step in ("move", "read", "part")
        )
        graph[moved] = call(moved, function, *arguments)
        graph[receipt] = call(receipt, _receipt, ref(moved))
        graph[output] = call(output, _output, ref(moved))
        receipts.append(receipt)
        outputs.append(output)
    return Layer(graph, receipts, outputs)


@dataclass(frozen=True)
class MovePlan:
    """All the tasks of a job without an exchange; as ``exchange.DatasetPlan``.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    reader, writer : Reader, Writer
        The two ends.
    moves : Moves
        Which rows make which part.
    """

    token: str
    reader: Reader
    writer: Writer
    moves: Moves

    @property
    def n_inputs(self) -> int:
        """Number of pieces that are read."""
        return sum(len(slices) for slices in self.moves.parts)

    def layer(self) -> Layer:
        """Return read → sort → write of each part, as tasks."""
        n_parts = len(self.moves.parts)
        calls = [
            (_move, self.reader, self.writer, slices, part, n_parts)
            for part, slices in enumerate(self.moves.parts)
        ]
        return lay_parts(self.token, calls, {})


def _move(
    reader: Reader, writer: Writer, slices: Sequence[Slice], part: int, n_parts: int
) -> Moved:
    """Read, sort, check, prove and write the rows of one part, unless it is finished."""
    if (found := find_moved(writer, part)) is not None:
        return found
    clock = Clock()
    with clock.step("read"):
        tables = [reader.read(s.piece).slice(s.first, s.n_rows) for s in slices]
    with clock.step("prove"):
        proof = total(prove(table) for table in tables)
    slot = Slot(part, n_parts, 0, proof.rows)
    written = write_partition(writer, Shards.of(tables), None, slot, proof)
    return Moved(InputStats(proof, clock), written)


def find_moved(writer: Writer, part: int) -> Moved | None:
    """Return what was read and written for a part, if it is finished."""
    found = find_finished(writer.folder, part)
    if found is None or found.read is None:
        return None
    return Moved(InputStats(found.read, Clock()), found.written)


def _receipt(moved: Moved) -> Transferred:
    return Transferred(0, np.empty(0, np.int64), moved.read)


def _output(moved: Moved) -> OutputStats:
    return moved.written
