"""Partition: one pass that brings an input piece's rows into partition order.

Keys become leads, leads find their place among the splitters, and a counting
sort lays the rows of each partition, and of each band in it, side by side. Rows whose lead
ties with a splitter's, without the lead being the whole key, are ranked among
the splitters by the whole key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import Grouped, take_table
from dlsort.arrow.transport import concat_rows
from dlsort.model.model import Model
from dlsort.order.argsort import argsort
from dlsort.order.bands import write_starts
from dlsort.order.words import key_table
from dlsort_kernels import classify, settle_ties, tied_rows

__all__ = ["find_bands", "group"]

Parts = npt.NDArray[np.uint32]


def find_bands(table: pa.Table, model: Model, input_id: int) -> Parts:
    """Return the band of each row; ``band // model.n_bands`` is its partition.

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
    order = by_place[argsort(take_table(both, by_place), model.keys, model.tuning)]
    is_splitter = order < n_splitters
    passed = np.cumsum(is_splitter, dtype=np.uint32)
    ranks = np.empty(len(rows), np.uint32)
    ranks[order[~is_splitter] - np.uint32(n_splitters)] = passed[~is_splitter]
    return ranks


def group(
    table: pa.Table, band: Parts, n_parts: int, n_bands: int
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Bring rows into band order; rows keep their order inside a band.

    Parameters
    ----------
    table : pyarrow.Table
        (n) rows.
    band : (n,) uint32
        The band of each.
    n_parts, n_bands : int
        Number of partitions, and of bands in each.

    Returns
    -------
    table : pyarrow.Table
        The same rows; not copied if they were in band order already. Its metadata says where
        bands begin, if a partition has several.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``table[starts[p]:starts[p + 1]]``.
    """
    if _in_order(band):
        starts = np.searchsorted(band, np.arange(n_parts * n_bands + 1)).astype(np.int64)
    else:
        grouped = Grouped(band, n_parts * n_bands)
        table, starts = take_table(table, grouped), grouped.starts
    return (table if n_bands == 1 else write_starts(table, starts)), starts[::n_bands]


def _in_order(band: Parts) -> bool:
    return not len(band) or bool((band[1:] >= band[:-1]).all())
