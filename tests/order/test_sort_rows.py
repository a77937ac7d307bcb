"""Tables sorted by way of groups: columns are brought there, and gathered in them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from arrow_data import oracle, payload
from dlsort import SortKey, sort_table, top_k
from dlsort.tuning import OrderTuning
from dlsort_kernels import learned_groups as groups
from dlsort_kernels import threads as kernel_threads


@pytest.fixture
def always_spread(monkeypatch):
    """Let few rows take the way of many; return what lets small columns do so too."""
    monkeypatch.setattr(groups, "GROUP_ROWS", 64)
    monkeypatch.setattr(kernel_threads, "THREAD_ROWS", 100)
    return OrderTuning(spread_bytes=0, arrow_rows=0, numpy_rows=0)


KEYS: dict[str, object] = {
    "far integers": lambda rng, n: rng.integers(-(2**63), 2**63 - 1, n),
    "integers that tie": lambda rng, n: rng.integers(0, 90, n) << 55,
    "codes that tie": lambda rng, n: (rng.integers(0, 9, n) << 59) + rng.integers(0, 5, n),
    "floats and nulls": lambda rng, n: np.where(
        rng.random(n) < 0.3, np.nan, rng.normal(size=n)
    ),
    "strings": lambda rng, n: rng.integers(0, 10**9, n).astype(str),
}


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_layout_is_gathered_by_way_of_groups(always_spread, name, descending, threads):
    n = 2_000
    values = KEYS[name](np.random.default_rng(5), n)
    table = payload(n).append_column("key", pa.array(values, from_pandas=True))
    keys = (SortKey("key", descending, descending),)
    got = sort_table(table, keys, threads=threads, _tuning=always_spread)
    got.validate(full=True)
    rows = oracle(table, keys)
    assert got["id"].to_pylist() == rows
    assert got.schema == table.schema
    want = table.to_pylist()
    assert str(got.to_pylist()) == str([want[row] for row in rows])


@pytest.mark.parametrize("threads", [1, 3])
def test_strings_at_the_ends_of_groups_are_whole(always_spread, threads):
    rng = np.random.default_rng(6)
    n = 3_000
    # around the 16 bytes that are copied at once, and none
    text = ["x" * int(size) + str(i) for i, size in enumerate(rng.integers(0, 40, n))]
    text = ["" if rng.random() < 0.2 else each for each in text]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary()):
        table = pa.table({"key": rng.permutation(n), "s": pa.array(text).cast(kind)})
        sliced = table.slice(7)
        got = sort_table(sliced, "key", threads=threads, _tuning=always_spread)
        got.validate(full=True)
        expected = [sliced["s"][i].as_py() for i in np.argsort(sliced["key"].to_numpy())]
        assert got["s"].to_pylist() == expected


def test_several_keys_of_which_a_word_holds_some(always_spread):
    rng = np.random.default_rng(7)
    n = 3_000
    table = pa.table(
        {
            "a": rng.integers(0, 20, n),
            "s": pa.array(["common prefix of all " + str(v) for v in rng.integers(0, 50, n)]),
            "b": rng.integers(-(2**63), 2**63 - 1, n),
            "id": np.arange(n),
        }
    )
    keys = (SortKey("a", descending=True), SortKey("s"), SortKey("b"))
    for threads in (1, 4):
        got = sort_table(table, keys, threads=threads, _tuning=always_spread)
        assert got["id"].to_pylist() == oracle(table, keys)


@pytest.mark.parametrize("by", ["key", "key:desc", "key:nulls_first", "key:desc:nulls_first"])
@pytest.mark.parametrize("k", [0, 1, 10, 100, 600, 40_000, 50_000])
def test_the_first_rows_are_those_of_the_whole_sort(by, k):
    rng = np.random.default_rng(8)
    n = 40_000
    for values in (
        rng.normal(size=n),
        np.where(rng.random(n) < 0.999, np.nan, 1.0),
        rng.integers(0, 3, n),
        np.arange(n),
    ):
        table = pa.table({"key": pa.array(values, from_pandas=True), "id": np.arange(n)})
        assert top_k(table, k, by).equals(sort_table(table, by).slice(0, k))
