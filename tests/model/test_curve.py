"""The curve: a kept model's splitters as numbers, of every type of key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from dlsort.keys import SortKey
from dlsort.model.curve import curve_of
from dlsort.model.model import model_at
from dlsort.model.model_file import keep_model
from dlsort.tuning import TUNING

DAY = dt.date(2024, 1, 1)
MS = 1_704_067_200_000

CASES = [
    (pa.array([1, 2, 5]), "number", [1, 2, 5]),
    (pa.array([1.5, 2.5, None]), "number", [1.5, 2.5, np.nan]),
    (pa.array([Decimal("1.5"), Decimal("2.5"), Decimal(3)]), "number", [1.5, 2.5, 3]),
    (pa.array([DAY, DAY, None]), "time", [MS, MS, np.nan]),
    (pa.array([1, 2, 3], pa.timestamp("s", "UTC")), "time", [1e3, 2e3, 3e3]),
    (pa.array([1, 2, 3], pa.timestamp("ns")), "time", [0, 0, 0]),
    (pa.array([1, 2, 3], pa.duration("s")), "number", [1, 2, 3]),
    (pa.array([1, 2, 3], pa.time32("s")), "number", [1, 2, 3]),
    (pa.array([False, True, True]), "number", [0, 1, 1]),
    (pa.array(["a", "a", "b"]), "rank", [0, 0, 1]),
    (pa.array(["a", None, None]), "rank", [0, 1, 1]),
    (pa.array([b"a", b"b", b"c"]), "rank", [0, 1, 2]),
    (pa.array(["a", "a", "b"]).dictionary_encode(), "rank", [0, 0, 1]),
    (pa.array([{"x": 1}, {"x": 1}, {"x": 2}]), "rank", [0, 1, 2]),
]


def kept(path, values: pa.Array, n_parts: int = 2, n_bands: int = 2) -> str:
    key = (SortKey("k"),)
    ids = np.zeros(len(values), np.int64)
    table = pa.table({"k": values})
    model = model_at(table, ids, ids, key, n_parts, TUNING.order, n_bands)
    keep_model(model, str(path))
    return str(path)


@pytest.mark.parametrize(("values", "unit", "keys"), CASES, ids=lambda v: str(v)[:30])
def test_splitters_are_numbers(tmp_path, values, unit, keys):
    found = curve_of(kept(tmp_path / "model", values), "k")
    assert found["unit"] == unit
    assert found["quantiles"] == [0.25, 0.5, 0.75]
    np.testing.assert_array_equal(found["keys"], keys)
    assert [q for q, _ in found["cuts"]] == [0.5]


def test_many_splitters_are_thinned_and_keep_the_ends(tmp_path):
    found = curve_of(kept(tmp_path / "model", pa.array(range(999)), 10, 100), "k", most=50)
    assert (len(found["keys"]), found["n_splitters"]) == (50, 999)
    assert (found["keys"][0], found["keys"][-1]) == (0, 998)
    assert len(found["cuts"]) == 9


def test_without_splitters_the_curve_is_empty(tmp_path):
    values = pa.array([], pa.string())
    assert curve_of(kept(tmp_path / "model", values, 1, 1), "k")["keys"] == []


def test_no_model_is_no_curve(tmp_path):
    assert curve_of(str(tmp_path / "none"), "k") is None
    (tmp_path / "broken").write_bytes(b"no Arrow")
    assert curve_of(str(tmp_path / "broken"), "k") is None
