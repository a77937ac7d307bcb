"""The tasks of a job whose source's order makes an exchange unnecessary: one a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlsort.io.parquet.writer import Writer
from dlsort.proof.checksum import prove, total
from dlsort.proof.stats import Clock, InputStats
from dlsort.strategies.move import Moves, Slice
from dlsort.strategies.part import Moved, find_moved, lay_parts, write_partition
from dlsort.strategies.reader import Reader
from dlsort_cluster.exchange import Layer, Shards, Slot

__all__ = ["MovePlan"]


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
