"""Known model: the keys that the footers of a sorted dataset tell, in the place of a sample.

Every hundredth row of each part is known by its key and its rank, so they cut rows of the same
distribution as well as the whole dataset would. What they do not tell is which input partition
a row came from, by which equal keys are split. A key that several of them share is heavy; its
rows are taken to lie evenly among the input, which holds where row groups are alike, and only
there is it used (:mod:`dlsort.model.reuse`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.transport import concat_rows
from dlsort.keys import SortKey
from dlsort.model.cuts import in_order
from dlsort.model.model import Model, model_at
from dlsort.model.sample import Sample
from dlsort.tuning import OrderTuning

__all__ = ["KnownModel", "Probe", "probe_at", "weights_of"]

BEHIND = 2**62  # further than any input partition


@dataclass(frozen=True)
class KnownModel:
    """The distribution of a dataset that was sorted before.

    Parameters
    ----------
    keys : pyarrow.Table
        (k) rows of the key columns.
    weight : (k,) float64
        Rows of the dataset that each stands for.
    cut : (k,) bool
        Which are texts of which only the beginning is known.
    n_rows : int
        Rows of the dataset.
    files : frozenset of str
        Marks of the files that these came from; empty if they are not told.
    name : str
        Tells it from others.
    """

    keys: pa.Table
    weight: npt.NDArray[np.float64]
    cut: npt.NDArray[np.bool_]
    n_rows: int
    files: frozenset[str]
    name: str

    def as_sample(
        self,
        keys: Sequence[SortKey],
        pieces: Sequence[tuple[int, int, int]],
        tuning: OrderTuning,
    ) -> Sample:
        """Return it as a sample of some rows, among which equal keys lie evenly.

        Parameters
        ----------
        keys : sequence of SortKey
            The key.
        pieces : sequence of (int, int, int)
            These rows: input partition, first row in it, and number.
        tuning : OrderTuning
            Of the sort of the keys.
        """
        none = np.zeros(self.keys.num_rows, np.int64)
        order, starts = in_order(self.keys, none, none, keys, tuning)
        run_rows = np.diff(np.append(starts, len(order)))
        in_run = np.arange(len(order)) - np.repeat(starts, run_rows)
        share = (in_run + 0.5) / np.repeat(run_rows, run_rows)
        part, first, n_rows = np.array(pieces, np.int64).reshape(-1, 3).T
        ends = np.cumsum(n_rows)
        total = int(ends[-1])
        at = np.empty(len(order), np.int64)
        at[order] = np.minimum((share * total).astype(np.int64), total - 1)
        piece = np.searchsorted(ends, at, "right")
        row = first[piece] + at - (ends - n_rows)[piece]
        weight = self.weight * (total / self.n_rows)
        nowhere = np.full(len(order), -1, np.int64)
        return Sample(self.keys, part[piece], row, weight, nowhere, nowhere)


def weights_of(runs: Sequence[tuple[Sequence[int], int]]) -> npt.NDArray[np.float64]:
    """Return how many rows each known row of sorted runs stands for.

    Parameters
    ----------
    runs : sequence of (sequence of int, int)
        The numbers of a run's known rows, ascending, and how many rows it has.

    Examples
    --------
    >>> weights_of([([0, 2, 4], 5), ([0], 1)])
    array([1.5, 2. , 1.5, 1. ])
    """
    found = [np.empty(0)]
    for rows, n_rows in runs:
        middle = np.array(rows) + 0.5
        edges = np.concatenate([[0.0], (middle[1:] + middle[:-1]) / 2, [float(n_rows)]])
        found.append(np.diff(edges)[: len(rows)])
    return np.concatenate(found)


@dataclass(frozen=True)
class Probe:
    """Which parts known keys cut, and what shows whether other rows are so distributed.

    Parameters
    ----------
    model : Model
        The different keys at which the parts begin, each twice: before and behind its ties.
    key : (p − 1,) int64
        Which of these each part begins at.
    share : (p − 1,) float64
        How much of this key's rows is before the part.
    has_heavy : bool
        A part begins within a key that several known rows share.
    has_cut : bool
        Or it may: of that key only the beginning is known.
    step : float
        Rows between known ones at the most, over those of a part.
    """

    model: Model
    key: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    has_heavy: bool
    has_cut: bool
    step: float

    def shares(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return how many rows of some row groups are in each part.

        Parameters
        ----------
        cells : (groups, cells) int64
            Rows by the cell of ``model`` that they are in.
        """
        before = np.cumsum(cells, axis=1)
        low, high = before[:, 2 * self.key], before[:, 2 * self.key + 1]
        edges = low + self.share * (high - low)
        ends = np.zeros((len(cells), 1)), before[:, -1:]
        return np.diff(np.concatenate([ends[0], edges, ends[1]], axis=1), axis=1)


def probe_at(
    known: KnownModel, keys: Sequence[SortKey], n_parts: int, tuning: OrderTuning
) -> Probe:
    """Return how known keys cut parts of equal length."""
    none = np.zeros(known.keys.num_rows, np.int64)
    order, starts = in_order(known.keys, none, none, keys, tuning)
    depth = np.cumsum(known.weight[order])
    total = float(depth[-1])
    targets = total * np.arange(1, n_parts) / n_parts
    at = np.searchsorted(depth - known.weight[order] / 2, targets, "left")
    at = np.minimum(at, len(order) - 1)
    run = np.searchsorted(starts, at, "right") - 1
    ends = np.append(starts[1:], len(order))
    runs, key = np.unique(run, return_inverse=True)
    low = np.where(starts > 0, depth[starts - 1], 0.0)[run]
    high = depth[ends[run] - 1]
    is_heavy = ends[run] - starts[run] > 1
    first = order[starts[runs]]
    table = known.keys.take(pa.array(np.repeat(first, 2).astype(np.int64)))
    n = len(runs)
    place = np.tile(np.array([-1, BEHIND]), n)
    none = np.zeros(2 * n, np.int64)
    model = model_at(concat_rows([table]), place, none, keys, 2 * n + 1, tuning)
    return Probe(
        model,
        key.reshape(-1).astype(np.int64),
        np.clip((targets - low) / np.maximum(high - low, 1e-9), 0.0, 1.0),
        bool(is_heavy.any()),
        bool((is_heavy & known.cut[order[starts[run]]]).any()),
        float(known.weight.max()) * n_parts / total,
    )
