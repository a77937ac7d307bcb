"""Cuts: at which sampled rows partitions, and their bands, begin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.take import take_table
from dlsort.keys import SortKey
from dlsort.order.argsort import order_columns
from dlsort.order.ranks import begins_key, normal_keys
from dlsort.tuning import OrderTuning

__all__ = ["cut_between_keys", "cut_evenly", "cut_inside", "in_order"]

# Enough to find the size of a part to a row.
BISECTIONS = 60
Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float64]


def cut_evenly(
    sample: pa.Table,
    part: Ids,
    row: Ids,
    weight: Weights,
    keys: Sequence[SortKey],
    n_parts: int,
    tuning: OrderTuning,
) -> Rows:
    """Return which sampled rows cut all rows into parts of equal length.

    Parameters
    ----------
    sample, part, row, weight, keys, n_parts, tuning
        As in :func:`dlsort.model.model.fit_model`.

    Returns
    -------
    (n_parts − 1,) uint32
        Rows of the sample in order, or none if it is empty.
    """
    order, _ = in_order(sample, part, row, keys, tuning)
    depth = np.cumsum(weight[order])
    n_rows = float(depth[-1]) if len(depth) else 0.0
    targets = n_rows * np.arange(1, n_parts) / n_parts
    # a sampled row stands for the weight around it, so its own depth is at the middle
    at = np.searchsorted(depth - weight[order] / 2, targets, "left")
    at = np.minimum(at, max(len(order) - 1, 0)) if len(order) else at[:0]
    return order[at]


def cut_between_keys(
    sample: pa.Table,
    part: Ids,
    row: Ids,
    weight: Weights,
    keys: Sequence[SortKey],
    n_parts: int,
    tuning: OrderTuning,
) -> Rows:
    """Return which sampled rows cut all rows into nearly equal parts, no key in two of them.

    Parameters
    ----------
    sample, part, row, weight, keys, n_parts, tuning
        As in :func:`dlsort.model.model.fit_model`.

    Returns
    -------
    (s,) uint32
        Rows of the sample in order, with different keys, none the lowest and none null;
        n_parts − 1 of them, or fewer if the sample has too few different keys.

    Notes
    -----
    The largest part of several keys is as small as it can be. Where heavy keys leave cuts
    over, these halve the largest parts.
    """
    order, starts = in_order(sample, part, row, keys, tuning)
    if len(starts) < 2:
        return order[:0]
    depth = np.cumsum(weight[order])
    cuts, total = starts[1:], float(depth[-1])
    null = normal_keys(take_table(sample, order[cuts]), keys, tuning).columns()[0].null
    if null is not None:
        cuts = cuts[~null]
    ends = np.append(depth[cuts - 1], total)
    chosen = _fewest_rows_in_the_largest(ends, n_parts)
    while len(chosen) < min(n_parts - 1, len(cuts)):
        chosen.append(_next_cut(ends, chosen))
        chosen.sort()
    return order[cuts[chosen]]


def _fewest_rows_in_the_largest(ends: Weights, n_parts: int) -> list[int]:
    """Return the cuts that make the largest part as small as can be, lone keys left out.

    Parameters
    ----------
    ends : (k,) float64
        Rows up to the end of each key.
    n_parts : int
        Most parts.

    Returns
    -------
    list of int
        Keys after which to cut, ascending.

    Notes
    -----
    Bisects the most rows that a part of several keys may have: O(n_parts log k) a step.
    """
    low, high = 0.0, float(ends[-1])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if len(_filled(ends, middle, n_parts)) < n_parts:
            high = middle
        else:
            low = middle
    return _filled(ends, high, n_parts)


def _filled(ends: Weights, most: float, n_parts: int) -> list[int]:
    """Return the cuts that fill one part after the other, up to ``n_parts`` of them."""
    cuts: list[int] = []
    first, depth = 0, 0.0
    while len(cuts) < n_parts:
        last = max(int(np.searchsorted(ends, depth + most, "right")) - 1, first)
        if last >= len(ends) - 1:
            break
        cuts.append(last)
        first, depth = last + 1, float(ends[last])
    return cuts


def _next_cut(ends: Weights, chosen: list[int]) -> int:
    """Return the cut through the middle of the largest part that has one left."""
    firsts, lasts = [0, *(c + 1 for c in chosen)], [*chosen, len(ends) - 1]
    depths = [0.0, *ends[chosen].tolist()]
    parts = [
        (float(ends[last]) - depth, depth, first, last)
        for first, last, depth in zip(firsts, lasts, depths, strict=True)
        if last > first
    ]
    size, depth, first, last = max(parts)
    distance = np.abs(ends[first:last] - (depth + size / 2))
    return first + int(distance.argmin())


def cut_inside(
    sample: pa.Table,
    part: Ids,
    row: Ids,
    weight: Weights,
    keys: Sequence[SortKey],
    cuts: Rows,
    n_bands: int,
    tuning: OrderTuning,
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return which sampled rows cut parts that are given into bands of about equal length.

    Parameters
    ----------
    sample, part, row, weight, keys, tuning
        As in :func:`dlsort.model.model.fit_model`.
    cuts : (c,) uint32
        From :func:`cut_between_keys`.
    n_bands : int
        Bands of each part.

    Returns
    -------
    rows : ((c + 1) · n_bands − 1,) uint32
        Rows of the sample in order, ``cuts`` among them; a row may stand there several times.
    is_cut : same length, bool
        Which are of ``cuts``.
    """
    order, _ = in_order(sample, part, row, keys, tuning)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    bounds = [0, *place[cuts].tolist(), len(order)]
    depth = np.cumsum(weight[order])
    middle = depth - weight[order] / 2
    found: list[Rows] = []
    for i, (first, last) in enumerate(itertools.pairwise(bounds)):
        low = depth[first - 1] if first else 0.0
        high = depth[last - 1] if last > first else low
        targets = low + (high - low) * np.arange(1, n_bands) / n_bands
        inside = np.clip(np.searchsorted(middle, targets), first, max(last - 1, first))
        found += [cuts[i - 1 : i] if i else cuts[:0], order[inside]]
    is_cut = np.arange(1, len(bounds) * n_bands - n_bands) % n_bands == 0
    return np.concatenate(found), is_cut


def in_order(
    sample: pa.Table, part: Ids, row: Ids, keys: Sequence[SortKey], tuning: OrderTuning
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Return the sampled rows by (key, part, row), and where each key begins among them."""
    by_place = np.lexsort((row, part)).astype(np.uint32)
    columns = normal_keys(take_table(sample, by_place), keys, tuning).columns()
    found = order_columns(columns, keys, tuning, runs=True)
    return by_place[found.rows], np.flatnonzero(begins_key(len(by_place), *found.runs))
