"""The model decides speed and balance, never correctness."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column, oracle
from dlsort.arrow.take import take_table
from dlsort.keys import SortKey
from dlsort.model.cuts import cut_between_keys
from dlsort.model.model import Model, fit_model
from dlsort.model.partition import find_bands, group
from dlsort.model.sample import rows_needed
from dlsort.order.words import key_table
from dlsort.tuning import TUNING
from dlsort_kernels import build_cells


def fit(tables: list[pa.Table], keys, n_parts: int, rng, n_sample: int) -> Model:
    """Fit a model to a uniform sample of all inputs' rows."""
    from dlsort.arrow.transport import concat_rows

    samples, parts, rows = [], [], []
    for part, table in enumerate(tables):
        n = min(table.num_rows, n_sample)
        drawn = np.sort(rng.choice(table.num_rows, n, replace=False)).astype(np.uint32)
        samples.append(take_table(key_table(table, keys), drawn))
        parts.append(np.full(n, part))
        rows.append(drawn.astype(np.int64))
    sample = concat_rows(samples)
    weight = np.concatenate(
        [
            np.full(len(r), t.num_rows / max(len(r), 1))
            for r, t in zip(rows, tables, strict=True)
        ]
    )
    return fit_model(
        sample, np.concatenate(parts), np.concatenate(rows), weight, keys, n_parts, TUNING.order
    )


def assert_exact(tables: list[pa.Table], model: Model, keys) -> list[np.ndarray]:
    """Compare each row's partition with a search over the splitters by whole keys."""
    got = [find_bands(t, model, i) for i, t in enumerate(tables)]
    names = [k.column for k in keys]
    plain = [t.select(names).to_pylist() for t in tables]
    splitters = model.splitters.rename_columns(names).to_pylist()
    rows = [
        {**row, "part": p, "row": r, "splitter": 0}
        for p, piece in enumerate(plain)
        for r, row in enumerate(piece)
    ] + [
        {**row, "part": int(p), "row": int(r), "splitter": 1}
        for row, p, r in zip(splitters, model.splitter_part, model.splitter_row, strict=True)
    ]
    everything = {
        name: [row[name] for row in rows] for name in [*names, "part", "row", "splitter"]
    }
    place = (SortKey("part"), SortKey("row"), SortKey("splitter", descending=True))
    order = oracle(_Columns(everything), (*keys, *place))
    passed = 0
    for i in order:
        if rows[i]["splitter"]:
            passed += 1
        else:
            assert got[rows[i]["part"]][rows[i]["row"]] == passed
    return got


class _Columns:
    """As much of a table as the oracle needs, for values of any Python type."""

    def __init__(self, columns):
        self.columns = list(columns.values())
        self.schema = pa.schema([(name, pa.null()) for name in columns])
        self.num_rows = len(self.columns[0])

    def column(self, i):
        return _Values(self.columns[i])


class _Values(list):
    type = pa.null()

    def to_pylist(self):
        return list(self)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_rows_partition_is_what_a_binary_search_gives(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    distinct = data.draw(st.sampled_from([None, 1, 3]))
    names = [f"k{i}" for i in range(len(kinds))]
    tables = [
        pa.table(
            {
                n: column(rng, k, size, distinct=distinct)
                for n, k in zip(names, kinds, strict=True)
            }
        )
        for size in data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))
    ]
    keys = tuple(SortKey(n, data.draw(st.booleans()), data.draw(st.booleans())) for n in names)
    model = fit(tables, keys, data.draw(st.integers(1, 9)), rng, data.draw(st.integers(1, 40)))
    model = pickle.loads(pickle.dumps(model))
    assert_exact(tables, model, keys)


def test_a_stale_model_is_still_exact():
    rng = np.random.default_rng(0)
    keys = (SortKey("k"),)
    model = fit([pa.table({"k": rng.normal(size=500)})], keys, 16, rng, 500)
    far = pa.table({"k": rng.normal(1e9, 1e8, 300)})
    assert_exact([far], model, keys)
    assert set(find_bands(far, model, 0).tolist()) == {15}


def test_a_model_with_hostile_cells_is_still_exact():
    rng = np.random.default_rng(0)
    keys = (SortKey("k"),)
    table = pa.table({"k": rng.integers(0, 1000, 2000)})
    model = fit([table], keys, 32, rng, 500)
    for lie in ([], [0], [2**64 - 1], [0, 2**64 - 1], list(range(5))):
        cells = build_cells(np.array(lie, np.uint64))
        assert_exact([table], dataclasses.replace(model, cells=cells), keys)


def test_grouping_keeps_input_order_inside_a_partition():
    rng = np.random.default_rng(0)
    part = rng.integers(0, 5, 1000).astype(np.uint32)
    grouped, starts = group(pa.table({"row": np.arange(1000)}), part, 7, 1)
    rows = grouped["row"].to_numpy()
    for p in range(7):
        assert rows[starts[p] : starts[p + 1]].tolist() == np.flatnonzero(part == p).tolist()


def skewed(name: str, n: int, rng: np.random.Generator) -> list[pa.Array]:
    """Return the columns of a key that is hard to partition evenly."""
    if name == "uniform":
        return [rng.integers(0, 2**62, n)]
    if name == "zipf 1.1":
        return [rng.zipf(1.1, n).astype(np.int64)]
    if name == "60 % one value":
        return [np.where(rng.random(n) < 0.6, 7, rng.integers(0, 1000, n))]
    if name == "all equal":
        return [np.zeros(n)]
    if name == "three distinct values":
        return [rng.choice([2, 5, 8], n, p=[0.7, 0.1, 0.2])]
    if name == "three first keys":
        return [rng.integers(0, 3, n), rng.normal(size=n)]
    if name == "sorted":
        return [np.arange(n)]
    if name == "reversed":
        return [-np.arange(n)]
    if name == "outliers":
        return [
            np.where(
                rng.random(n) < 0.01, 2**62 + rng.integers(0, 9, n), rng.integers(0, 2**20, n)
            )
        ]
    if name == "common prefix":
        return [
            np.char.add(
                "a prefix of forty bytes that all share //",
                rng.integers(0, 10**6, n).astype(str),
            )
        ]
    if name == "half nulls":
        return [pa.array(rng.integers(0, 10**6, n), mask=rng.random(n) < 0.5)]
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    [
        "uniform",
        "zipf 1.1",
        "60 % one value",
        "all equal",
        "three distinct values",
        "three first keys",
        "sorted",
        "reversed",
        "outliers",
        "common prefix",
        "half nulls",
    ],
)
@pytest.mark.parametrize(
    ("n_parts", "part_rows", "bound"), [(16, 20_000, 1.15), (8, 200_000, 1.05)]
)
def test_partitions_are_even_under_skew(name, n_parts, part_rows, bound):
    rng = np.random.default_rng(11)
    n = n_parts * part_rows
    columns = skewed(name, n, rng)
    names = [f"k{i}" for i in range(len(columns))]
    keys = tuple(SortKey(n) for n in names)
    whole = pa.table(dict(zip(names, columns, strict=True)))
    tables = [whole.slice(i * n // 8, n // 8) for i in range(8)]
    model = fit(tables, keys, n_parts, rng, rows_needed(n_parts, TUNING.sample.balance) // 8)
    counts = sum(
        np.bincount(find_bands(t, model, i) // model.n_bands, minlength=n_parts)
        for i, t in enumerate(tables)
    )
    assert counts.sum() == n
    assert counts.max() / counts.mean() <= bound


# ---------------------------------------------------------------- keys that stay together


def largest_of_several(sizes: list[int], cuts: tuple[int, ...]) -> int:
    """Return the rows of the largest part that has more than one key."""
    edges = [0, *cuts, len(sizes)]
    parts = [sizes[a:b] for a, b in itertools.pairwise(edges)]
    return max((sum(part) for part in parts if len(part) > 1), default=0)


@given(
    sizes=st.lists(st.integers(1, 9) | st.integers(20, 60), min_size=1, max_size=8),
    n_parts=st.integers(1, 6),
    n_null=st.integers(0, 5),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=300)
def test_cuts_between_keys_make_the_largest_part_as_small_as_can_be(
    sizes, n_parts, n_null, seed
):
    values = [k for k, size in enumerate(sizes) for _ in range(size)] + [None] * n_null
    np.random.default_rng(seed).shuffle(values)
    sample = pa.table({"k": pa.array(values, pa.int64())})
    n = len(values)
    rows, zeros = np.arange(n), np.zeros(n, np.int64)
    chosen = cut_between_keys(
        sample, zeros, rows, np.ones(n), [SortKey("k")], n_parts, TUNING.order
    )
    cuts = tuple(values[row] for row in chosen)
    assert None not in cuts
    assert list(cuts) == sorted(set(cuts))
    assert 0 not in cuts
    assert len(cuts) == min(n_parts, len(sizes)) - 1
    with_nulls = [*sizes[:-1], sizes[-1] + n_null]  # nulls go with the last
    inner = range(1, len(sizes))
    best = min(
        largest_of_several(with_nulls, tried)
        for count in range(min(n_parts, len(sizes)))
        for tried in itertools.combinations(inner, count)
    )
    assert largest_of_several(with_nulls, cuts) == best
