"""The plan: one call a phase, in order.

:func:`split_piece` is what every input partition goes through and
:func:`write_partition` what every output partition goes through; the cluster
package carries the shards between them. The model is fitted by a task of the
same graph, so nothing comes back to the client on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from dlsort.arrow.take import take_table
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import Piece
from dlsort.model.model import Model
from dlsort.model.partition import find_bands, group
from dlsort.model.sample_plan import SamplePlan
from dlsort.proof.checksum import prove
from dlsort.proof.stats import Clock, InputStats
from dlsort.publish.finished import find_output, finished_parts
from dlsort.strategies.part import write_partition
from dlsort.strategies.reader import Reader, model_tasks
from dlsort_cluster.engine import build, engine_of_clients
from dlsort_cluster.exchange import Exchange, Layer, Split
from dlsort_cluster.tasks import ref

__all__ = ["DatasetPlan", "split_piece"]


def split_piece(
    reader: Reader, folder: str, piece: Piece, model: Model, input_id: int
) -> Split:
    """Read, prove and partition one input partition; rows of finished parts end here."""
    clock = Clock()
    with clock.step("read"):
        table = reader.read(piece)
    with clock.step("prove"):
        proof = prove(table)
    with clock.step("classify"):
        band = find_bands(table, model, input_id)
    finished = finished_parts(folder)
    with clock.step("split"):
        if finished:
            rows = np.flatnonzero(~np.isin(band // model.n_bands, finished)).astype(np.uint32)
            table, band = take_table(table, rows), band[rows]
        grouped, starts = group(table, band, model.n_parts, model.n_bands)
    return Split(grouped, starts, InputStats(proof, clock))


@dataclass(frozen=True)
class DatasetPlan:
    """All the tasks of a Parquet-to-Parquet job.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    reader, writer : Reader, Writer
        The two ends.
    pieces : list of Piece
        The input partitions, in order.
    samples : SamplePlan
        What the model is fitted to.
    n_parts : int
        Number of output partitions.
    store_bytes : int or None
        Memory for waiting shards in each process.
    temp_dir : str or None
        Where shards beyond that go.
    n_bands : int or None
        Bands of each partition, or as many as are best for the cache.
    n_threads : int
        Threads of the cluster.
    """

    token: str
    reader: Reader
    writer: Writer
    pieces: list[Piece]
    samples: SamplePlan
    n_parts: int
    store_bytes: int | None
    temp_dir: str | None
    n_bands: int | None
    n_threads: int

    def layer(self) -> Layer:
        """Return sample → model → partition → exchange → sort and write, as tasks."""
        model = f"dlsort-model-{self.token}"
        graph = model_tasks(
            model,
            self.token,
            self.reader,
            self.writer.folder,
            self.samples,
            self.n_parts,
            self.n_threads,
            n_bands=self.n_bands,
        )
        exchange = Exchange(
            self.token,
            self.n_parts,
            partial(split_piece, self.reader, self.writer.folder),
            partial(write_partition, self.writer),
            self.store_bytes,
            self.temp_dir,
            partial(find_output, self.writer.folder),
        )
        name = f"dlsort-part-{self.token}"
        layer = build(exchange, name, self.pieces, ref(model), engine=engine_of_clients())
        return Layer({**graph, **layer.graph}, layer.transfer_keys, layer.output_keys)
