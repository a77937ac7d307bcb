"""The plan: one call a phase, in order.

:func:`split_piece` is what every input partition goes through and
:func:`write_partition` what every output partition goes through; the cluster
package carries the shards between them. The model is fitted by a task of the
same graph, so nothing comes back to the client on the way.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from dlsort.bounded_read import UNBOUNDED
from dlsort.buffers import concat_rows, to_transport, transport_schema
from dlsort.disorder import first_disorder
from dlsort.errors import OutOfOrderError
from dlsort.keys import SortKey
from dlsort.model import Model, fit_model
from dlsort.options import TUNING
from dlsort.partition import find_bands, group
from dlsort.pieces import sort_in_pieces
from dlsort.proof import Proof, prove
from dlsort.report import peak_memory_bytes
from dlsort.sample import (
    Sample,
    SampleTask,
    are_mixed,
    join_samples,
    move_keys,
    take_sample,
)
from dlsort.sample_plan import SamplePlan, batches
from dlsort.sink import Writer
from dlsort.source import Piece, Source, dictionary_columns, read_piece
from dlsort.words import key_table
from dlsort_cluster.exchange import Exchange, Layer, Shards, Slot, Split
from dlsort_cluster.layers import build
from dlsort_cluster.tasks import call, call_with_all, ref

__all__ = [
    "Clock",
    "DatasetPlan",
    "InputStats",
    "OutputStats",
    "Reader",
    "model_tasks",
    "split_piece",
    "write_partition",
]


@dataclass
class Clock:
    """Thread seconds by step, and where and when a task ran."""

    began: float = field(default_factory=time.time)
    ended: float = 0.0
    process: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    peak_bytes: int = 0
    work: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time inside to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.work[name] = self.work.get(name, 0.0) + time.perf_counter() - start
            self.ended = time.time()
            self.peak_bytes = peak_memory_bytes()


@dataclass(frozen=True)
class InputStats:
    """What an input partition amounted to."""

    proof: Proof
    clock: Clock


@dataclass(frozen=True)
class OutputStats:
    """What an output partition amounted to.

    Parameters
    ----------
    part : int
        Which one.
    proof : Proof
        Of the rows as they went to the writer.
    file_bytes : int
        Size of the part.
    edges : pyarrow.Table
        Key columns of its first and last row; no rows where it is empty.
    """

    part: int
    proof: Proof
    file_bytes: int
    edges: pa.Table
    clock: Clock


@dataclass(frozen=True)
class Reader:
    """How to read input partitions; the same for all of them."""

    schema: pa.Schema
    as_dictionary: tuple[str, ...]
    keys: tuple[SortKey, ...]
    most_bytes: int = UNBOUNDED

    @classmethod
    def of(cls, source: Source, keys: tuple[SortKey, ...]) -> Reader:
        """Return the reader of a dataset."""
        return cls(source.schema, dictionary_columns(source), keys, source.most_bytes)

    def read(self, piece: Piece) -> pa.Table:
        """Return the piece's rows, views cast, each column one chunk."""
        names = self.schema.names
        return to_transport(
            read_piece(piece, self.schema, names, self.as_dictionary, self.most_bytes)
        )

    def sample(self, tasks: Sequence[SampleTask]) -> Sample:
        """Return some keys of some row groups."""
        how = self.schema, self.keys, self.as_dictionary, self.most_bytes
        return self._join([take_sample(task, *how) for task in tasks])

    def sample_rest(self, tasks: Sequence[SampleTask], *, mixed: bool) -> Sample:
        """Return keys of row groups that weren't read, if that is needed."""
        return self.sample(() if mixed else tasks)

    def are_mixed(self, n_parts: int, samples: Sequence[Sample]) -> bool:
        """Return whether the row groups read first have keys of one distribution."""
        return are_mixed(self._join(samples), self.keys, n_parts)

    def fit(
        self,
        n_parts: int,
        n_bands: int | None,
        n_first: int,
        ranges: Mapping[int, tuple[Any, Any]],
        samples: Sequence[Sample],
    ) -> Model:
        """Return the model that the samples teach.

        The first ``n_first`` samples are of the row groups read first, the others of
        those that were read too, if they were.
        """
        sample = self._join(samples[:n_first])
        rest = [s for s in samples[n_first:] if len(s.part)]
        if rest:
            sample = self._join([sample.at(sample.group == sample.donor), *rest])
        elif ranges and not are_mixed(sample, self.keys, n_parts):
            sample = move_keys(sample, ranges)
        return fit_model(
            sample.keys, sample.part, sample.row, sample.weight, self.keys, n_parts, n_bands
        )

    def _join(self, samples: Sequence[Sample]) -> Sample:
        names = [key.column for key in self.keys]
        fields = pa.schema([self.schema.field(name) for name in names])
        return join_samples(samples, transport_schema(fields).empty_table())


def _sample_rest(reader: Reader, tasks: Sequence[SampleTask], mixed: bool) -> Sample:  # noqa: FBT001 - a task's arguments have no names
    return reader.sample_rest(tasks, mixed=mixed)


def split_piece(reader: Reader, piece: Piece, model: Model, input_id: int) -> Split:
    """Read, prove and partition one input partition."""
    clock = Clock()
    with clock.step("read"):
        table = reader.read(piece)
    with clock.step("prove"):
        proof = prove(table)
    with clock.step("classify"):
        band = find_bands(table, model, input_id)
    with clock.step("split"):
        grouped, starts = group(table, band, model.n_parts, model.n_bands)
    return Split(grouped, starts, InputStats(proof, clock))


def write_partition(
    writer: Writer, shards: Shards, model: Model | None, slot: Slot
) -> OutputStats:
    """Sort, check, prove and write one output partition; no model is needed for that.

    Raises
    ------
    OutOfOrderError
        If the rows are not in order after the sort.
    """
    del model
    clock = Clock()
    pieces = sort_in_pieces(shards, writer.keys, slot.part, slot.n_parts, writer.part_bytes)
    checked = _Checked(writer.keys, slot.part)
    with writer.open(slot.part, slot.n_parts) as file:
        while True:
            with clock.step("sort"):
                table = next(pieces, None)
            if table is None:
                break
            with clock.step("prove"):
                checked.add(table)
            with clock.step("write"):
                file.write(table)
            del table  # before there is another
        with clock.step("write"):
            file.close()
    return OutputStats(slot.part, checked.proof, file.n_bytes, checked.edges(), clock)


class _Checked:
    """What was found of the rows of a part, piece by piece."""

    def __init__(self, keys: tuple[SortKey, ...], part: int) -> None:
        self.proof = Proof()
        self._keys = keys
        self._part = part
        self._edges: list[pa.Table] = []  # keys of the first and last row of each piece
        self._none: pa.Table | None = None

    def add(self, table: pa.Table) -> None:
        """Check and prove the next rows.

        Raises
        ------
        OutOfOrderError
            If they are not in order, or not after those before.
        """
        keys = key_table(table, self._keys)
        bad = first_disorder(keys, self._keys)
        if bad >= 0:
            bad += self.proof.rows
        elif keys.num_rows:
            self._edges.append(keys.take([0, keys.num_rows - 1]))
            if first_disorder(concat_rows(self._edges[-2:]), self._keys) >= 0:
                bad = self.proof.rows - 1
        if bad >= 0:
            msg = (
                f"partition {self._part}: row {bad + 1:,} sorts before row {bad:,}. "
                "Nothing was published. This is a bug: please report it."
            )
            raise OutOfOrderError(msg)
        self.proof += prove(table)
        self._none = keys.slice(0, 0)

    def edges(self) -> pa.Table:
        """Return the first and last key, or no rows."""
        if not self._edges:
            assert self._none is not None
            return self._none
        first, last = self._edges[0].slice(0, 1), self._edges[-1].slice(1)
        return concat_rows([first, last])


def model_tasks(
    key: str,
    token: str,
    reader: Reader,
    samples: SamplePlan,
    n_parts: int,
    n_threads: int,
    *,
    n_bands: int | None = None,
) -> dict[str, Any]:
    """Return the tasks sample → model; that of the model is named ``key``."""
    graph: dict[str, Any] = {}
    for i, tasks in enumerate(batches(samples.first)):
        sample = f"dlsort-sample-{token}-{i}"
        graph[sample] = call(sample, reader.sample, tasks)
    first = list(graph)
    sampled = list(first)
    if samples.rest:
        mixed = f"dlsort-mixed-{token}"
        graph[mixed] = call_with_all(mixed, partial(reader.are_mixed, n_parts), first)
        # Most often there is nothing to do for them: a few for each thread.
        most = TUNING.sample_rest_tasks * n_threads
        for i, tasks in enumerate(batches(samples.rest, most)):
            sample = f"dlsort-rest-{token}-{i}"
            graph[sample] = call(sample, _sample_rest, reader, tasks, ref(mixed))
            sampled.append(sample)
    fit = partial(reader.fit, n_parts, n_bands, len(first), samples.ranges)
    graph[key] = call_with_all(key, fit, sampled)
    return graph


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
            self.samples,
            self.n_parts,
            self.n_threads,
            n_bands=self.n_bands,
        )
        exchange = Exchange(
            self.token,
            self.n_parts,
            partial(split_piece, self.reader),
            partial(write_partition, self.writer),
            self.store_bytes,
            self.temp_dir,
        )
        layer = build(exchange, f"dlsort-part-{self.token}", self.pieces, ref(model))
        return Layer({**graph, **layer.graph}, layer.transfer_keys, layer.output_keys)
