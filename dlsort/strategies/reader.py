"""Reader: how tasks read pieces, and the tasks that sample them and fit the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.made import empty_table
from dlsort.arrow.paths import field_at, top_columns_of
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import to_transport, transport_schema
from dlsort.io.parquet.reader import read_piece, read_rows_of_piece
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.source import Piece
from dlsort.io.storage import is_there, join
from dlsort.keys import SortKey
from dlsort.model.cuts import in_order
from dlsort.model.model import Model, fit_model
from dlsort.model.model_file import LEARNED, MODEL, keep_model, read_model
from dlsort.model.partition import find_bands
from dlsort.model.reuse import Reuse
from dlsort.model.sample import (
    Sample,
    SampleTask,
    are_mixed,
    join_samples,
    move_keys,
    take_sample,
)
from dlsort.model.sample_plan import SamplePlan, batches
from dlsort.order.words import key_table
from dlsort.proof.stats import PieceEnds
from dlsort.sizes import UNBOUNDED
from dlsort.strategies.sorted_files import check_files, ends_of
from dlsort.strategies.strategy import Job
from dlsort.tuning import Tuning
from dlsort_cluster.tasks import call, call_with_all, ref

__all__ = ["Reader", "model_tasks"]

Cells = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """How to read, prove and sample input partitions; the same for all of them.

    ``is_unique``: of each key one row is wanted, so no key may be in two parts. ``in_order``:
    the key by which files are said to be in order; none if nothing is said.
    """

    schema: pa.Schema
    as_dictionary: tuple[str, ...]
    keys: tuple[SortKey, ...]
    tuning: Tuning
    most_bytes: int = UNBOUNDED
    is_filtered: bool = False
    is_unique: bool = False
    in_order: tuple[SortKey, ...] = ()

    @classmethod
    def of(
        cls,
        source: ParquetSource,
        keys: tuple[SortKey, ...],
        tuning: Tuning,
        *,
        is_unique: bool = False,
    ) -> Reader:
        """Return the reader of a dataset."""
        how = source.as_dictionary, keys, tuning, source.most_bytes, source.is_filtered
        return cls(source.schema, *how, is_unique)

    def checking(self, job: Job) -> Reader:
        """Return the reader of a job, which checks the order if files are said to have one."""
        return replace(self, in_order=job.keys) if job.is_merge else self

    def __dask_tokenize__(self) -> object:
        """Tell it from others, without a look at each of thousands of columns a task."""
        return self.keys, self.as_dictionary, self.tuning, self.most_bytes, len(self.schema)

    def read(self, piece: Piece) -> pa.Table:
        """Return the piece's rows, views cast, each column one chunk."""
        names, how = self.schema.names, (self.tuning.io, self.as_dictionary, self.most_bytes)
        table = to_transport(read_piece(piece, self.schema, names, *how))
        if self.in_order:
            check_files(table, piece, self.in_order, self.tuning.order)
        return table

    def read_rows(self, piece: Piece, rows: npt.NDArray[np.uint32]) -> pa.Table:
        """Return some of the rows that :meth:`read` returns, by their numbers, ascending."""
        if self.in_order:  # which all of them show
            return take_table(self.read(piece), rows)
        names, how = self.schema.names, (self.tuning.io, self.as_dictionary, self.most_bytes)
        return read_rows_of_piece(piece, rows, self.schema, names, *how)

    def ends(self, table: pa.Table, piece: Piece) -> tuple[PieceEnds, ...]:
        """Return the ends of a piece that was read, if it is said to be in order."""
        found = ends_of(table, piece, self.in_order) if self.in_order else None
        return () if found is None else (found,)

    def read_keys(self, piece: Piece) -> pa.Table:
        """Return the key columns of the piece's rows, in key order."""
        names = top_columns_of(self.schema, self.keys)
        how = self.tuning.io, self.as_dictionary, self.most_bytes
        table = to_transport(read_piece(piece, self.schema, names, *how))
        if self.in_order:
            check_files(table, piece, self.in_order, self.tuning.order)
        return key_table(table, self.keys)

    def sample(self, tasks: Sequence[SampleTask]) -> Sample:
        """Return some keys of some row groups."""
        how = self.schema, self.keys, self.as_dictionary, self.tuning, self.most_bytes
        return self._join([take_sample(task, *how) for task in tasks])

    def sample_rest(self, tasks: Sequence[SampleTask], *, mixed: bool) -> Sample:
        """Return keys of row groups that weren't read, if that is needed."""
        return self.sample(() if mixed else tasks)

    def are_mixed(self, n_parts: int, samples: Sequence[Sample]) -> bool:
        """Return whether the row groups read first have keys of one distribution.

        Or whether there were none to read, as a known model serves; where rows are left out,
        those may have been all.
        """
        if not any(len(sample.part) for sample in samples):
            return not self.is_filtered
        return are_mixed(self._join(samples), self.keys, n_parts, self.tuning)

    def compare(self, reuse: Reuse, numbers: range) -> list[Cells]:
        """Return how many rows of some row groups are in each cell of a known model."""
        found = []
        for i in numbers:
            model = reuse.probe.model
            band = find_bands(self.read_keys(reuse.compared[i]), model, 0)
            found.append(np.bincount(band, minlength=model.n_parts).astype(np.int64))
        return found

    def try_known(
        self, reuse: Reuse, n_parts: int, n_bands: int | None, found: Sequence[Any]
    ) -> Model | None:
        """Return the model that is known, mended by samples of what is new, if it holds."""
        samples = [each for each in found if isinstance(each, Sample)]
        cells = [cells for each in found if not isinstance(each, Sample) for cells in each]
        if not reuse.holds(cells):
            return None
        return self._fitted(self._join([reuse.old, *samples]), n_parts, n_bands)

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
        elif ranges and not are_mixed(sample, self.keys, n_parts, self.tuning):
            sample = move_keys(sample, ranges)
        return self._fitted(sample, n_parts, n_bands)

    def _fitted(self, sample: Sample, n_parts: int, n_bands: int | None) -> Model:
        part, row = sample.part, sample.row
        if (
            self.is_unique
        ):  # of heavy keys one row is left too; and before all rows, none is cut
            order, starts = in_order(sample.keys, part, row, self.keys, self.tuning.order)
            sample = sample.at(order[starts])
            part = row = np.full(len(starts), -1)
        return fit_model(
            sample.keys,
            part,
            row,
            sample.weight,
            self.keys,
            n_parts,
            self.tuning.order,
            n_bands,
        )

    def key_schema(self) -> pa.Schema:
        """Return the key columns, in order, as rows are partitioned by them."""
        return transport_schema(pa.schema([field_at(self.schema, k.column) for k in self.keys]))

    def _join(self, samples: Sequence[Sample]) -> Sample:
        return join_samples(samples, empty_table(self.key_schema()))


def _sample_unless(reader: Reader, tasks: Sequence[SampleTask], known: Model | None) -> Sample:
    return reader.sample(() if known is not None else tasks)


def _sample_rest(reader: Reader, tasks: Sequence[SampleTask], mixed: bool) -> Sample:  # noqa: FBT001 - a task's arguments have no names
    return reader.sample_rest(tasks, mixed=mixed)


def model_tasks(
    key: str,
    token: str,
    reader: Reader,
    folder: str,
    samples: SamplePlan,
    n_parts: int,
    n_threads: int,
    *,
    n_bands: int | None = None,
    reuse: Reuse | None = None,
) -> dict[str, Any]:
    """Return the tasks sample → model; that of the model is named ``key``.

    The model is kept in the folder. If it is there already, one task reads it. If one that is
    known holds, the tasks that sample have nothing to do.
    """
    path = join(folder, MODEL)
    if is_there(path):
        how = reader.key_schema(), reader.keys, reader.tuning.order
        return {key: call(key, read_model, path, *how)}
    graph: dict[str, Any] = {}
    tuning = reader.tuning.sample
    # Most often there is nothing to do for them: a few for each thread.
    most = tuning.rest_tasks * n_threads
    first: list[str] = []
    known = f"dlsort-known-{token}"
    if reuse is not None:
        graph.update(_known_tasks(known, reader, reuse, n_parts, n_bands))
    for i, tasks in enumerate(
        batches(samples.first, tuning.batch_rows, most if reuse else None)
    ):
        sample = f"dlsort-sample-{token}-{i}"
        graph[sample] = (
            call(sample, reader.sample, tasks)
            if reuse is None
            else call(sample, _sample_unless, reader, tasks, ref(known))
        )
        first.append(sample)
    sampled = list(first)
    if samples.rest:
        mixed = f"dlsort-mixed-{token}"
        graph[mixed] = call_with_all(mixed, partial(reader.are_mixed, n_parts), first)
        for i, tasks in enumerate(batches(samples.rest, tuning.batch_rows, most)):
            sample = f"dlsort-rest-{token}-{i}"
            graph[sample] = call(sample, _sample_rest, reader, tasks, ref(mixed))
            sampled.append(sample)
    fit = partial(reader.fit, n_parts, n_bands, len(first), samples.ranges)
    if reuse is None:
        graph[key] = call_with_all(key, partial(_fit_and_keep, fit, path), sampled)
    else:
        made = "mended" if reuse.new else "reused"
        keep = partial(_keep_known, fit, path, made)
        graph[key] = call_with_all(key, keep, [known, *sampled])
    return graph


def _known_tasks(
    key: str, reader: Reader, reuse: Reuse, n_parts: int, n_bands: int | None
) -> dict[str, Any]:
    """Return the tasks that compare row groups with a known model, and sample what is new."""
    graph: dict[str, Any] = {}
    for i in range(len(reuse.compared)):
        name = f"{key}-compare-{i}"
        graph[name] = call(name, reader.compare, reuse, range(i, i + 1))
    for i, tasks in enumerate(batches(reuse.new, reader.tuning.sample.batch_rows)):
        name = f"{key}-new-{i}"
        graph[name] = call(name, reader.sample, tasks)
    tried = partial(reader.try_known, reuse, n_parts, n_bands)
    return {**graph, key: call_with_all(key, tried, list(graph))}


def _keep_known(
    fit: Callable[[Sequence[Sample]], Model],
    path: str,
    how: str,
    found: Sequence[Any],
) -> Model:
    known, *samples = found
    model = fit(samples) if known is None else known
    keep_model(model, path, LEARNED if known is None else how)
    return model


def _fit_and_keep(
    fit: Callable[[Sequence[Sample]], Model], path: str, samples: Sequence[Sample]
) -> Model:
    model = fit(samples)
    keep_model(model, path)
    return model
