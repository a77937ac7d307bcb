"""Cuts: where rows of a sorted batch fall among a dataset's parts, and where patches are cut.

Both are questions to a model, whose splitters are keys that are known: a row belongs before
the first splitter that is after it. Rows of equal keys are kept apart by where they come from:
those of the dataset are before those of the batch. Keys alone are read, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.source import cut_groups
from dlsort.model.model import Model, model_at
from dlsort.model.partition import find_bands
from dlsort.order.argsort import argsort
from dlsort.upkeep.sorted_dataset import SortedDataset

__all__ = ["Cut", "Fallen", "cut_patch", "find_fallen"]

Counts = npt.NDArray[np.int64]

# Candidates for a cut, for each part that a patch is cut into: it lies within a quarter of a
# part of where it should.
CANDIDATES = 8


class Fallen(NamedTuple):
    """Rows of a batch before the first part, within each, and between it and the next."""

    before: int
    within: list[int]
    after: list[int]


class Cut(NamedTuple):
    """A new part: which rows of a patch's parts, and which of the batch, make it."""

    old: tuple[int, int]
    new: tuple[int, int]


def find_fallen(dataset: SortedDataset, batch: ParquetSource, n_threads: int) -> Fallen:
    """Return how many rows of a sorted batch fall where.

    Parameters
    ----------
    dataset : SortedDataset
        What they are put into.
    batch : ParquetSource
        Columns as the dataset's.
    n_threads : int
        That read.

    Notes
    -----
    Time O(rows of the batch + parts). A row that ties with a part's last key comes after it.
    """
    rows = dataset.rows
    filled = [part for part, n in enumerate(rows) if n]
    within, after = [0] * len(rows), [0] * len(rows)
    if not filled:
        return Fallen(batch.n_rows, within, after)
    edges = concat_rows([dataset.edges[part] for part in filled])
    n = edges.num_rows
    model = _model(dataset, edges, np.zeros(n, np.int64), np.arange(n))
    counts = np.zeros(n + 1, np.int64)
    pieces = list(cut_groups(batch, batch.row_groups, dataset.tuning.budget.input_bytes))

    def count(piece: tuple[int, int]) -> Counts:
        bands = find_bands(dataset.keys_of(batch, *piece), model, 1)
        return np.bincount(bands, minlength=n + 1).astype(np.int64)

    with ThreadPoolExecutor(n_threads, thread_name_prefix="dlsort-append") as pool:
        for found in pool.map(count, pieces):
            counts += found
    for place, part in enumerate(filled):
        within[part] = int(counts[2 * place + 1])
        after[part] = int(counts[2 * place + 2])
    return Fallen(int(counts[0]), within, after)


def cut_patch(
    dataset: SortedDataset,
    source: ParquetSource,
    old: Sequence[int],
    new: Sequence[int],
    between: tuple[int, int],
    n_parts: int,
) -> list[Cut]:
    """Return where a patch is cut into parts of about as many rows.

    Parameters
    ----------
    dataset : SortedDataset
        What the patch is of.
    source : ParquetSource
        Its parts that are made anew, and the batch.
    old, new : sequence of int
        Row groups in ``source`` that have rows: of the patch's parts; of the batch.
    between : (int, int)
        The first of the batch's rows that are the patch's, and the one behind the last.
    n_parts : int
        How many parts are wanted.

    Notes
    -----
    Where rows of both meet, keys are read twice; memory holds some of them, and a piece.
    """
    begin, end = between
    n_old = sum(source.row_groups[group].n_rows for group in old)
    n_rows = n_old + end - begin
    if n_parts == 1:
        return [Cut((0, n_old), (begin, end))]
    targets = [n_rows * i // n_parts for i in range(n_parts + 1)]
    if end == begin or not n_old:
        return [
            Cut((a, b), (begin, begin)) if n_old else Cut((0, 0), (begin + a, begin + b))
            for a, b in pairwise(targets)
        ]
    pieces = [*_pieces(source, old, (0, n_old)), *_pieces(source, new, between)]
    n_pieces_of_old = sum(1 for _ in _pieces(source, old, (0, n_old)))
    step = max(1, n_rows // (CANDIDATES * n_parts))
    tables, part, row = [], [], []
    for number, (first, last, rows) in enumerate(pieces):
        keys = dataset.keys_of(source, first, last)
        chosen = np.arange(rows[0], rows[1], step, dtype=np.uint32)
        tables.append(take_table(keys, chosen))
        part.append(np.full(len(chosen), number, np.int64))
        row.append(chosen.astype(np.int64))
    sample, of_part, of_row = concat_rows(tables), np.concatenate(part), np.concatenate(row)
    order = argsort(sample, dataset.keys, dataset.tuning.order).astype(np.uint32)
    model = _model(dataset, take_table(sample, order), of_part[order], of_row[order])
    counts = np.zeros((2, len(order) + 1), np.int64)
    for number, (first, last, rows) in enumerate(pieces):
        bands = find_bands(dataset.keys_of(source, first, last), model, number)
        counts[int(number >= n_pieces_of_old)] += np.bincount(
            bands[rows[0] : rows[1]], minlength=len(order) + 1
        )
    passed = np.concatenate([np.zeros((2, 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    edges = np.searchsorted(passed.sum(axis=0), targets[1:-1])
    cuts = [0, *edges.tolist(), passed.shape[1] - 1]
    return [
        Cut(
            (int(passed[0, a]), int(passed[0, b])),
            (begin + int(passed[1, a]), begin + int(passed[1, b])),
        )
        for a, b in pairwise(dict.fromkeys(cuts))
    ]


def _pieces(
    source: ParquetSource, groups: Sequence[int], between: tuple[int, int]
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield row groups with the rows of each that are between two of all."""
    at = 0
    for group in groups:
        n_rows = source.row_groups[group].n_rows
        first, last = max(0, between[0] - at), min(n_rows, between[1] - at)
        if first < last:
            yield group, group + 1, (first, last)
        at += n_rows


def _model(dataset: SortedDataset, keys: pa.Table, part: Counts, row: Counts) -> Model:
    return model_at(keys, part, row, dataset.keys, len(part) + 1, dataset.tuning.order)
