"""Columns joined beyond what 32-bit offsets reach."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlsort.arrow.transport import combine, concat_rows, from_transport
from dlsort.arrow.views import bytes_views

LISTS = pa.large_list(pa.large_string())
FAR = 2**30  # nulls take no memory, however many


def lists(*lengths: int) -> pa.Array:
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.nulls(ends[-1]))


def structs(*lengths: int) -> pa.Array:
    return pa.StructArray.from_arrays([lists(*lengths)], names=["x"])


@pytest.mark.parametrize("make", [lists, structs])
def test_more_values_inside_than_narrow_offsets_reach(make):
    column = pa.chunked_array([make(FAR, 3), make(2, FAR - 1, 0)])
    found = combine(column)
    assert len(found) == 5
    inside = found if make is lists else found.field(0)
    assert inside.type == pa.large_list(pa.null())
    assert np.diff(bytes_views(inside)[0]).tolist() == [FAR, 3, 2, FAR - 1, 0]


def test_wide_rows_and_narrow_ones_are_joined():
    text = pa.ListArray.from_arrays([0, 1, 1, 3], pa.array(["a", None, "ccc"]))
    few = pa.table({"x": text, "y": pa.StructArray.from_arrays([text], ["z"])})
    wide = few.cast(pa.schema([("x", LISTS), ("y", pa.struct([("z", LISTS)]))]))
    for tables in ([wide, few], [few, wide]):
        rows = concat_rows(tables)
        assert rows.schema.types == wide.schema.types
        assert from_transport(rows, few.schema).to_pylist() == few.to_pylist() * 2


def test_what_fits_stays_narrow():
    column = pa.chunked_array([lists(1), lists(2, 3)])
    assert combine(column).type == pa.list_(pa.null())
