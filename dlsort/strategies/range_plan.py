"""The tasks of a job whose parts read the pieces that their ranges meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.io.parquet.writer import Writer
from dlsort.model.model import Model
from dlsort.model.partition import find_bands
from dlsort.model.sample_plan import SamplePlan
from dlsort.order.bands import write_starts
from dlsort.proof.checksum import prove, total
from dlsort.proof.stats import Clock, InputStats
from dlsort.strategies.part import Moved, find_moved, lay_parts, write_partition
from dlsort.strategies.range_reads import RangeReads, Readers, find_readers
from dlsort.strategies.reader import Reader, model_tasks
from dlsort_cluster.exchange import Layer, Shards, Slot
from dlsort_cluster.tasks import call, ref

__all__ = ["RangePlan"]


@dataclass(frozen=True)
class RangePlan:
    """All the tasks of a job by range; as :class:`dlsort.strategies.exchange.DatasetPlan`.

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
    n_parts, n_threads : int
        Number of output partitions, and of threads of the cluster.
    """

    token: str
    reader: Reader
    writer: Writer
    reads: RangeReads
    samples: SamplePlan
    n_parts: int
    n_threads: int

    def layer(self) -> Layer:
        """Return sample → model → who reads what → read, keep, sort and write, as tasks."""
        model = f"dlsort-model-{self.token}"
        readers = f"dlsort-readers-{self.token}"
        graph = model_tasks(
            model,
            self.token,
            self.reader,
            self.writer.folder,
            self.samples,
            self.n_parts,
            self.n_threads,
        )
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

    Nothing is read if it is finished. Pieces are proved by the part that owns them, all of
    their rows.
    """
    if (found := find_moved(writer, part)) is not None:
        return found
    clock = Clock()
    proofs = []
    shards = []
    for input_id in readers.pieces_of(part):
        with clock.step("read"):
            table = reader.read(readers.pieces[input_id])
        if readers.owner[input_id] == part:
            with clock.step("prove"):
                proofs.append(prove(table))
        with clock.step("classify"):
            band = find_bands(table, model, input_id)
        with clock.step("split"):
            shard = _keep(table, band, part, model)
        if shard.num_rows:
            shards.append(shard)
        del table
    if not shards:  # the columns as they are read, without a row
        shards.append(reader.read(readers.pieces[0].without_rows()))
    slot = Slot(part, model.n_parts, 0, sum(shard.num_rows for shard in shards))
    read = total(proofs)
    written = write_partition(writer, Shards.of(shards), None, slot, read)
    return Moved(InputStats(read, clock), written)


def _keep(table: pa.Table, band: npt.NDArray[np.uint32], part: int, model: Model) -> pa.Table:
    """Return the rows of a piece that a part keeps, grouped by band.

    They are a copy if they are not all of them, so that the others can go.
    """
    rows = np.flatnonzero(band // model.n_bands == part).astype(np.uint32)
    bands = (band[rows] - part * model.n_bands).astype(np.uint16)
    if (bands[1:] < bands[:-1]).any():
        order = np.argsort(bands, kind="stable")
        rows, bands = rows[order], bands[order]
        table = take_table(table, rows)
    elif len(rows) < table.num_rows:
        table = take_table(table, rows)
    if model.n_bands == 1:
        return table
    of_all = np.arange(model.n_parts * model.n_bands + 1) - part * model.n_bands
    starts = np.searchsorted(bands, of_all)
    return write_starts(table, starts)
