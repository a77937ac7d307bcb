"""Whatever an engine gives, what is wrong with it is seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import write
from dlsort.bench.engines import Work
from dlsort.bench.verify import _in_order, verdict
from dlsort.keys import parse_by

N = 200


def table() -> pa.Table:
    rng = np.random.default_rng(1)
    keys = pa.array(rng.integers(0, 50, N), pa.int64())
    return pa.table({"key": keys, "x": rng.random(N), "t": [f"t{i}" for i in range(N)]})


@pytest.fixture
def work(tmp_path):
    write(tmp_path / "in" / "0.parquet", table().slice(0, 90))
    write(tmp_path / "in" / "1.parquet", table().slice(90))
    return Work.of(tmp_path / "in", "key")


def told(work: Work, tmp_path, *parts: pa.Table, **how: bool) -> str:
    for i, part in enumerate(parts):
        write(tmp_path / "out" / f"part.{i}.parquet", part)
    return verdict(work, tmp_path / "out", **how)


def test_what_is_right_is_ok(work, tmp_path):
    good = table().sort_by("key")
    parts = [good.slice(at, 15) for at in range(0, N, 15)]  # part.10 stands after part.9
    assert told(work, tmp_path, *parts) == "ok"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t, "out of order in part.0.parquet"),
        (lambda t: t.sort_by("key").slice(1), "199 rows of 200"),
        (lambda t: pa.concat_tables([t.sort_by("key")[:-1], t[:1]]), "other rows"),
        (lambda t: t.sort_by([("key", "descending")]), "out of order in part.0.parquet"),
        (lambda t: t.sort_by("key").drop(["x"]), "other rows"),
    ],
)
def test_what_is_wrong_is_told(work, tmp_path, change, expected):
    assert told(work, tmp_path, change(table())) == expected


def test_parts_in_the_wrong_order_are_out_of_order(work, tmp_path):
    good = table().sort_by("key")
    found = told(work, tmp_path, good.slice(100), good.slice(0, 100))
    assert found == "out of order in part.1.parquet"


def test_other_types_are_compared_after_a_cast(work, tmp_path):
    good = table().sort_by("key")
    other = good.set_column(0, "key", good["key"].cast(pa.float64()))
    other = other.set_column(2, "t", other["t"].cast(pa.large_string()))
    assert told(work, tmp_path, other) == "other rows"
    assert told(work, tmp_path, other, same_types=False) == "ok"
    wrong = other.set_column(1, "x", pa.array(np.zeros(N)))
    assert told(work, tmp_path, wrong, same_types=False) == "other rows"


ROWS = st.lists(st.tuples(st.none() | st.integers(0, 3), st.integers(0, 2)), max_size=12)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.booleans(), st.booleans())
def test_order_is_that_of_pandas(rows, descending, nulls_first):
    data = pa.table(
        {
            "a": pa.array([a for a, _ in rows], pa.int64()),
            "b": pa.array([b for _, b in rows], pa.int64()),
        }
    )
    marks = (":desc" if descending else "") + (":nulls_first" if nulls_first else "")
    keys = parse_by(f"a{marks},b")
    frame = data.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    by_last = frame.sort_values("b", kind="stable")
    position = "first" if nulls_first else "last"
    order = by_last.sort_values(
        "a", ascending=not descending, na_position=position, kind="stable"
    ).index
    assert _in_order(data.take(pa.array(order.to_numpy())), keys)
    is_sorted = [rows[i] for i in order] == rows
    assert _in_order(data, keys) == is_sorted


def test_beside_nan_all_is_in_order(tmp_path):
    keys = parse_by("x")
    nan = float("nan")
    assert _in_order(pa.table({"x": [nan, 1.0, 2.0, nan, 3.0]}), keys)
    assert not _in_order(pa.table({"x": [nan, 2.0, 1.0]}), keys)


def test_text_of_any_layout_has_one_order(work, tmp_path):
    words = pa.table({"key": pa.array(["a", "b"]).dictionary_encode()})
    src = write(tmp_path / "w" / "0.parquet", pa.table({"key": ["b", "a"]}))
    pq.write_table(words, tmp_path / "o.parquet")
    (tmp_path / "res").mkdir()
    (tmp_path / "o.parquet").rename(tmp_path / "res" / "0.parquet")
    assert verdict(Work.of(src, "key"), tmp_path / "res", same_types=False) == "ok"
