"""Which strategies are tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import dlsort
from dlsort.tuning import TUNING
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
