"""Partition: one pass that brings an input piece's rows into partition order.

Keys become leads, leads find their place among the splitters, and a counting
sort and one gather lay the rows of each partition side by side. Rows whose lead
ties with a splitter's, without the lead being the whole key, are ranked among
the splitters by the whole key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.buffers import concat_rows
from dlsort.model import Model
from dlsort.order import argsort
from dlsort.take import take_table
from dlsort.words import key_table
from dlsort_kernels import classify, group_rows, settle_ties, tied_rows

__all__ = ["find_partitions", "group"]

Parts = npt.NDArray[np.uint32]


def find_partitions(table: pa.Table, model: Model, input_id: int) -> Parts:
    """Return the partition of each row.

    Parameters
    ----------
    table : pyarrow.Table
        (n) rows of one input partition, with at least the key columns.
    model : Model
        The splitters.
    input_id : int
        Number of the input partition, which decides between equal keys.

    Returns
    -------
    (n,) uint32
        How many splitters are at or before (key, ``input_id``, row).

    Notes
    -----
    Expected time O(n).
    """
    n = table.num_rows
    if not len(model.leads) or n == 0:
        return np.zeros(n, np.uint32)
    keys = key_table(table, model.keys)
    lead = model.code.lead(model.columns(keys))
    part, n_tied = classify(lead, model.leads, model.cells)
    if n_tied:
        rows = tied_rows(lead, model.leads, part)
        if model.code.complete == len(model.keys):
            settle_ties(
                part, rows, model.leads, model.splitter_part, model.splitter_row, input_id, lead
            )
        else:
            part[rows] = _ranks(keys, rows, model, input_id)
    return part


def _ranks(keys: pa.Table, rows: Parts, model: Model, input_id: int) -> Parts:
    """Return how many splitters are at or before each given row, by the whole key."""
    tied = take_table(keys, rows)
    n_splitters = model.splitters.num_rows
    both = concat_rows([model.splitters, tied])
    place = (
        np.concatenate([np.zeros(n_splitters, np.int8), np.ones(len(rows), np.int8)]),
        np.concatenate([model.splitter_row, rows.astype(np.int64)]),
        np.concatenate([model.splitter_part, np.full(len(rows), input_id, np.int64)]),
    )
    by_place = np.lexsort(place).astype(np.uint32)  # a splitter stands before its own row
    order = by_place[argsort(take_table(both, by_place), model.keys)]
    is_splitter = order < n_splitters
    passed = np.cumsum(is_splitter, dtype=np.uint32)
    ranks = np.empty(len(rows), np.uint32)
    ranks[order[~is_splitter] - np.uint32(n_splitters)] = passed[~is_splitter]
    return ranks


def group(table: pa.Table, part: Parts, n_parts: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Bring rows into partition order; rows keep their order inside a partition.

    Returns
    -------
    table : pyarrow.Table
        The same rows; not copied if they were in partition order already.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``table[starts[p]:starts[p + 1]]``.
    """
    order, starts = group_rows(part, n_parts)
    if _in_order(part):
        return table, starts
    return take_table(table, order), starts


def _in_order(part: Parts) -> bool:
    return not len(part) or bool((part[1:] >= part[:-1]).all())
