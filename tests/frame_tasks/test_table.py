"""Partitions become Arrow and come back as they were, whatever their dtypes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import frame_data as data
from dlsort.frame_tasks.columns import codec_for
from dlsort.frame_tasks.plan import FramePlan
from dlsort.frame_tasks.table import to_frame, to_table
from dlsort.order.shard_order import ShardOrder
from dlsort.tuning import TUNING


class Local:
    """A class that pickle can't find by its name."""


Local.__qualname__ = "nowhere.Local"


def plan_for(like: pd.DataFrame, *, ignore_index: bool = False) -> FramePlan:
    return FramePlan(like.iloc[:0], (0,), (False,), False, 2, 2, TUNING, ignore_index)


def in_place(n):
    return ShardOrder.of_rows(np.arange(n, dtype=np.uint32), [n])


@pytest.mark.parametrize("name", data.KEYS | data.PAYLOADS)
def test_every_dtype_comes_back(name):
    """Also those that Dask itself can't hold."""
    rng = np.random.default_rng(1)
    one, two = (pd.DataFrame({"c": data.column(rng, name, n)}) for n in (20, 30))
    plan = plan_for(one)
    tables = [to_table(part, plan) for part in (one, two)]
    shards = [tables[0].slice(3, 9), tables[1].slice(0, 0), tables[1].slice(5, 20)]
    rows = rng.permutation(29).astype(np.uint32)
    got = to_frame(shards, ShardOrder.of_rows(rows, [9, 0, 20]), plan, 0)
    assert got["c"].dtype == one["c"].dtype
    expected = data.listed(one["c"])[3:12] + data.listed(two["c"])[5:25]
    assert data.listed(got["c"]) == [expected[row] for row in rows]
    none = to_frame([shards[1]], ShardOrder.of_rows(rows[:0], [0]), plan, 0)
    assert none["c"].dtype == one["c"].dtype
    assert len(none) == 0


def test_columns_are_ours_to_write_into():
    """A user may change a partition; the shards that it came from must not change."""
    frame = pd.DataFrame({"i": [1, 2], "t": np.array([1, 2], "M8[ns]"), "b": [True, False]})
    plan = plan_for(frame)
    table = to_table(frame, plan)
    got = to_frame([table], in_place(2), plan, 0)
    got.iloc[0] = [7, pd.NaT, False]
    again = to_frame([table], in_place(2), plan, 0)
    pd.testing.assert_frame_equal(again, frame)
    pd.testing.assert_frame_equal(frame, frame.copy())
    assert frame["i"].tolist() == [1, 2]


def test_strided_and_foreign_endian_columns():
    matrix = np.arange(20.0).reshape(10, 2)
    frame = pd.DataFrame(matrix, columns=["x", "y"])
    plan = plan_for(frame)
    rows = in_place(10)
    pd.testing.assert_frame_equal(to_frame([to_table(frame, plan)], rows, plan, 0), frame)
    codec = codec_for(np.dtype(">i4"))
    array, note = codec.encode(np.array([1, -2], ">i4"))
    back = codec.gather([pa.table({"c": array})], [note], in_place(2))
    assert back.dtype == np.dtype(">i4")
    assert back.tolist() == [1, -2]


def test_objects_that_plain_pickle_refuses():
    objects = np.array([lambda: 1, len, Local], dtype=object)
    codec = codec_for(np.dtype(object))
    array, note = codec.encode(objects)
    rows = ShardOrder.of_rows(np.array([2, 0], np.uint32), [3])
    back = codec.gather([pa.table({"c": array})], [note], rows)
    assert back[1]() == 1
    assert back[0].__name__ == "Local"


def test_text_is_not_pickled():
    codec = codec_for(np.dtype(object))
    array, _ = codec.encode(np.array(["a", None, "b"], dtype=object))
    assert array.type == pa.string()
    array, _ = codec.encode(np.array([b"a", np.nan], dtype=object))
    assert array.type == pa.binary()


def test_an_ignored_index_does_not_travel():
    frame = pd.DataFrame({"k": [1]}, index=["x"])
    plan = plan_for(frame, ignore_index=True)
    table = to_table(frame, plan)
    assert table.num_columns == 1
    got = to_frame([table], in_place(1), plan, 41)
    assert got.index.equals(pd.RangeIndex(41, 42))


def test_what_lies_under_a_null_does_not_count():
    array = pa.array([1, None, 2], pa.int64())
    assert codec_for(np.dtype("M8[ns]")).restore(array).astype(int)[1] == np.iinfo(np.int64).min
    codec = codec_for(pd.CategoricalDtype(["a", "b", "c"]))
    rows = in_place(3)
    got = codec.gather([pa.table({"c": array.cast(pa.int32())})], [None], rows)
    assert got.tolist()[0] == "b"
    assert pd.isna(got[1])
