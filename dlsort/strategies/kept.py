"""Kept: the share of a source's rows that a condition keeps, estimated from a few of them."""

from __future__ import annotations

from dataclasses import replace

from dlsort.io.parquet.selected import SelectedSource
from dlsort.tuning import StrategyTuning

__all__ = ["with_kept_share"]


def with_kept_share(source: SelectedSource, tuning: StrategyTuning) -> SelectedSource:
    """Return a source with an estimate of the share of its rows that are kept.

    It decides how many parts there are, and no more than that. The columns that the condition
    needs are read of some row groups, evenly spaced, and of large ones in their middle only.

    Parameters
    ----------
    source : SelectedSource
        The source, its row groups whole.
    tuning : StrategyTuning
        How much is read.

    Raises
    ------
    DlsortError
        If a row group can't be read, or the condition has no result for a row.
    """
    if not source.is_filtered:
        return source
    filled = [group for group in source.row_groups if group.n_rows]
    n = min(len(filled), tuning.kept_groups)
    looked = []
    for i in range(n):
        group = filled[(2 * i + 1) * len(filled) // (2 * n)]
        slices = -(-group.n_rows // tuning.kept_rows)
        looked.append(group if slices < 2 else list(group.cut(slices))[slices // 2])
    some = replace(source, row_groups=tuple(looked))
    kept = read = 0
    for i, group in enumerate(looked):
        read += group.n_rows
        kept += some.count_kept(some.piece(i, i + 1))
    return replace(source, share=max(kept, 1) / max(read, 1))
