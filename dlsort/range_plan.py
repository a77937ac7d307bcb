"""The tasks of a job whose parts read the pieces that their ranges meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.model import Model
from dlsort.move_plan import Moved, lay_parts
from dlsort.partition import find_bands
from dlsort.plan import Clock, InputStats, Reader, model_tasks, write_partition
from dlsort.proof import prove, total
from dlsort.range_reads import RangeReads, Readers, find_readers
from dlsort.sample_plan import SamplePlan
from dlsort.sink import Writer
from dlsort.take import take_table
from dlsort_cluster.exchange import Layer, Slot
from dlsort_cluster.tasks import call, ref

__all__ = ["RangePlan"]


@dataclass(frozen=True)
class RangePlan:
    """All the tasks of a job by range; as :class:`dlsort.plan.DatasetPlan`.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    reader, writer : Reader, Writer
        The two ends.
    reads : RangeReads
        The pieces and their ranges.
    samples : SamplePlan
        What the model is fitted to.
    n_parts : int
        Number of output partitions.
    """

    token: str
    reader: Reader
    writer: Writer
    reads: RangeReads
    samples: SamplePlan
    n_parts: int

    def layer(self) -> Layer:
        """Return sample → model → who reads what → read, keep, sort and write, as tasks."""
        model = f"dlsort-model-{self.token}"
        readers = f"dlsort-readers-{self.token}"
        graph = model_tasks(model, self.token, self.reader, self.samples, self.n_parts)
        graph[readers] = call(readers, find_readers, self.reads, ref(model))
        calls = [
            (_read_and_keep, self.reader, self.writer, ref(model), ref(readers), part)
            for part in range(self.n_parts)
        ]
        return lay_parts(self.token, calls, graph)


def _read_and_keep(
    reader: Reader, writer: Writer, model: Model, readers: Readers, part: int
) -> Moved:
    """Read the pieces that a part may have rows of, one by one, and make it of its rows.

    Pieces are proved by the part that owns them, all of their rows.
    """
    clock = Clock()
    proofs = []
    # no row, but the columns as they are read
    shards = [reader.read(replace(readers.pieces[0], row_groups=(), n_rows=0))]
    for input_id in readers.pieces_of(part):
        with clock.step("read"):
            table = reader.read(readers.pieces[input_id])
        if readers.owner[input_id] == part:
            with clock.step("prove"):
                proofs.append(prove(table))
        with clock.step("classify"):
            kept = np.flatnonzero(find_bands(table, model, input_id) // model.n_bands == part)
        with clock.step("split"):
            shards.append(_take(table, kept))
        del table
    slot = Slot(part, model.n_parts, 0, sum(shard.num_rows for shard in shards))
    return Moved(InputStats(total(proofs), clock), write_partition(writer, shards, None, slot))


def _take(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """Return the rows of a piece that are kept: a copy, so that the others can go."""
    return table if len(rows) == table.num_rows else take_table(table, rows.astype(np.uint32))
