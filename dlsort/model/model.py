"""The model: which partition a key belongs to.

Exact splitters at equal-depth quantiles of a weighted sample, and a table over
their leads that finds a key's place among them in O(1). A splitter is a whole
key together with the input partition and row it was sampled from, so that equal
keys are split too: rows are compared by (key, input partition, row).

Whatever the sample was, a row's partition is exactly what a binary search over
the splitters gives. A bad sample costs balance, never correctness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.keys import SortKey
from dlsort.model.codebook import Codebook, coded, fit_codebooks
from dlsort.model.cuts import cut_evenly
from dlsort.order.bands import count_bands
from dlsort.order.lead import LeadCode, fit_lead
from dlsort.order.words import Column, Words
from dlsort.tuning import OrderTuning
from dlsort_kernels import build_cells

__all__ = ["Model", "fit_model", "model_at"]

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The learned CDF, cut at the quantiles.

    Parameters
    ----------
    keys : tuple of SortKey
        The key.
    n_parts, n_bands : int
        Number of output partitions, and of bands in each.
    splitters : pyarrow.Table
        First key of bands 1 … n_parts · n_bands − 1: the key columns, in order.
    splitter_part, splitter_row : (s,) int64
        Input partition and row each splitter was sampled from.
    codebooks : dict of int to Codebook
        For each dictionary column, by its place in the key.
    code : LeadCode
        How a key becomes its lead.
    leads : (s,) uint64
        The splitters' leads, ascending.
    cells : object
        Lookup table over the leads (kernels).
    tuning : OrderTuning
        For keys with equal leads.
    """

    keys: tuple[SortKey, ...]
    n_parts: int
    n_bands: int
    splitters: pa.Table
    splitter_part: npt.NDArray[np.int64]
    splitter_row: npt.NDArray[np.int64]
    codebooks: dict[int, Codebook]
    code: LeadCode
    leads: Words
    cells: Any
    tuning: OrderTuning

    def columns(self, table: pa.Table) -> list[Column]:
        """Return a table's key columns as words, dictionaries by the codebooks."""
        return coded(table, self.keys, self.codebooks, self.tuning).columns()


def fit_model(
    sample: pa.Table,
    part: npt.NDArray[np.int64],
    row: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
    keys: Sequence[SortKey],
    n_parts: int,
    tuning: OrderTuning,
    n_bands: int | None = None,
) -> Model:
    """Fit the model to a sample.

    Parameters
    ----------
    sample : pyarrow.Table
        (m) rows of exactly the key columns, in key order.
    part, row : (m,) int64
        Input partition and row number in it of each sampled row.
    weight : (m,) float64
        Rows of the input that each sampled row stands for.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions, at least 1.
    tuning : OrderTuning
        Of the sort of the sample.
    n_bands : int, optional
        Bands of each; by default as many as are best for the cache.

    Returns
    -------
    Model

    Notes
    -----
    Time O(m log m). Equal-depth splitters from a sample follow ELSAR (Kristo
    and Kraska, 2023); carrying (partition, row) in them to split equal keys
    exactly is cudf-polars' idea.
    """
    n_bands = n_bands or count_bands(float(weight.sum()), n_parts, tuning)
    chosen = cut_evenly(sample, part, row, weight, keys, n_parts * n_bands, tuning)
    splitters = take_table(sample, chosen)
    return model_at(splitters, part[chosen], row[chosen], keys, n_parts, tuning, n_bands)


def model_at(
    splitters: pa.Table,
    part: Ids,
    row: Ids,
    keys: Sequence[SortKey],
    n_parts: int,
    tuning: OrderTuning,
    n_bands: int = 1,
) -> Model:
    """Return the model with given splitters.

    Parameters
    ----------
    splitters : pyarrow.Table
        (s) rows of the key columns, in order.
    part, row : (s,) int64
        Input partition and row of each. Below all of those, −1, no key is split.
    keys : sequence of SortKey
        The key.
    n_parts, n_bands : int
        Number of output partitions, and of bands in each: together at least s + 1; those
        after that are empty.
    tuning : OrderTuning
        Of the sort of the splitters.

    Returns
    -------
    Model
    """
    codebooks = fit_codebooks(splitters, keys, tuning)
    columns = coded(splitters, keys, codebooks, tuning).columns()
    code = fit_lead(columns, keys, tuning, for_others=True)
    leads = code.lead(columns)
    cells = build_cells(leads)
    return Model(
        tuple(keys),
        n_parts,
        n_bands,
        splitters,
        part,
        row,
        codebooks,
        code,
        leads,
        cells,
        tuning,
    )
