"""Which strategies are tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import dlsort
from dlsort.publish.staging import Staging
from dlsort.tuning import TUNING
from dlsort_cluster.exchange import ExchangeError
from ordered_sources import write

CUT = replace(TUNING, strategies=replace(TUNING.strategies, surprise=1e-9))  # no part fits


@pytest.mark.parametrize(
    ("partitions", "tuning", "is_moved"),
    [(2, TUNING, True), (1, TUNING, False), (2, CUT, False)],
)
def test_one_part_and_parts_that_are_cut_are_exchanged(tmp_path, partitions, tuning, is_moved):
    days = [pa.table({"k": 100 * day + np.arange(50)}) for day in (1, 0)]
    report = dlsort.sort_dataset(
        write(tmp_path / "in", days),
        tmp_path / "out",
        by="k",
        partitions=partitions,
        threads=1,
        _tuning=tuning,
    )
    assert report.moved == is_moved
    assert dlsort.check_dataset(tmp_path / "out", against=tmp_path / "in").ok


@pytest.mark.parametrize("strategy", ["move", "range"])
def test_what_was_begun_is_gone_on_with_whatever_costs_less_by_now(
    tmp_path, monkeypatch, strategy
):
    days = [pa.table({"k": 100 * day + np.arange(50)}) for day in (1, 0, 2)]
    source = write(tmp_path / "in", days)

    def sort(strategy: str) -> dlsort.SortReport:
        return dlsort.sort_dataset(
            source,
            tmp_path / "out",
            by="k",
            partitions=3,
            threads=1,
            strategy=strategy,
            resume=True,
        )

    def fail(*_) -> None:
        raise ExchangeError("the scheduler went away.")

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "prove", fail)
        with pytest.raises(ExchangeError):
            sort(strategy)
    report = sort("exchange")
    assert report.moved
    assert report.resumed_parts == 3
    assert report.predicted["strategy"] == strategy
