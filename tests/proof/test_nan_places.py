"""Whether a few rows hold NaN, wherever it stands in their values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlsort.proof.nan_places import has_nan

NAN = float("nan")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0, None, NAN]),
        pa.array([np.float16(NAN)]),
        pa.array([1.0, NAN]).dictionary_encode(),
        pa.array([[1.0], None, [NAN]]),
        pa.array([[NAN, 1]], pa.list_(pa.float64(), 2)),
        pa.array([None, {"a": {"b": NAN}}]),
        pa.array([[(1, NAN)]], pa.map_(pa.int8(), pa.float32())),
    ],
    ids=lambda values: str(values.type),
)
def test_nan_is_found_at_any_depth(values):
    assert has_nan(pa.table({"s": ["x"] * len(values), "x": values}))
    assert not has_nan(pa.table({"s": ["x"] * len(values), "x": values}).slice(0, 0))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**60], pa.timestamp("ms")),  # Python has none of these
        pa.array([0.5, None]),
        pa.array([[float("inf")], None]),
        pa.array(["nan"]),
    ],
    ids=lambda values: str(values.type),
)
def test_what_is_no_nan_is_not_taken_for_one(values):
    assert not has_nan(pa.table({"x": values}))
