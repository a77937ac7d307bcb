"""``distribution``: bounds hold, exact answers are, and only what is needed is read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import KEY_TYPES, column, compare
from benchmarks.scale.families import FAMILIES
from commands import write
from dlsort.cdf import Distribution
from dlsort.errors import BadKeyError, BadOptionError, KeyTypeError, UnknownColumnError
from dlsort.io.parquet.source import ParquetSource
from dlsort.keys import SortKey

#: Key types that a Parquet file keeps as they are.
STORED = [k for k in KEY_TYPES if k not in ("date64", "decimal32", "decimal64", "decimal256")]

SIDES = ("left", "right")


def lay(folder: Path, table: pa.Table, n_files: int = 2, row_group_size: int = 70) -> Path:
    """Write a table to a few files."""
    edges = np.linspace(0, table.num_rows, n_files + 1).astype(int)
    for i, first in enumerate(edges[:-1]):
        rows = table.slice(first, edges[i + 1] - first)
        write(folder / f"{i}.parquet", rows, row_group_size=row_group_size)
    return folder


def sort(src: Path, by: Any, **options: Any) -> Path:
    """Sort a dataset beside it."""
    dst = src.with_name(f"{src.name}-sorted")
    options = {"partitions": 3, "threads": 1, "row_group_rows": 50, **options}
    dlsort.sort_dataset(src, dst, by=by, **options)
    return dst


def sign(row: Sequence[Any], key: Sequence[Any], keys: Sequence[SortKey]) -> int:
    """Return where a row stands beside a key, as long as the key is."""
    found = (compare(a, b, k) for a, b, k in zip(row, key, keys, strict=False))
    return next(filter(None, found), 0)


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def check(found: Distribution, rows: list[tuple[Any, ...]], value: Any) -> None:
    """Compare a value's ranks with those by Python's comparisons."""
    key = as_tuple(value)
    signs = [sign(row, key, found.by) for row in rows]
    for side, true in zip(SIDES, (signs.count(-1), len(rows) - signs.count(1)), strict=True):
        answer = found.rank(value, side=side)
        assert answer.low <= true <= answer.high
        assert answer.low <= answer.value <= answer.high
        assert found.rank(value, side=side, exact=True) == (true, true, true)
        share = found.fraction_below(value, side=side)
        assert share.low <= true / max(len(rows), 1) <= share.high


def check_quantile(found: Distribution, ordered: list[tuple[Any, ...]], q: float) -> None:
    """Compare a quantile with the row of it."""
    true = ordered[int(q * (len(ordered) - 1))]
    _, low, high = found.quantile(q)
    assert sign(true, as_tuple(low), found.by) >= 0
    assert sign(true, as_tuple(high), found.by) <= 0
    assert sign(true, as_tuple(found.quantile(q, exact=True).value), found.by) == 0


# ---------------------------------------------------------------- bounds


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_bounds_hold_for_keys_of_any_types(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(STORED), min_size=1, max_size=3))
    n, distinct = data.draw(st.integers(0, 300)), data.draw(st.sampled_from([1, 3, 50, None]))
    nulls = data.draw(st.sampled_from([0.0, 0.2, 1.0]))
    columns = {
        f"k{i}": column(rng, k, n, distinct=distinct, nulls=nulls) for i, k in enumerate(kinds)
    }
    flags = st.tuples(st.booleans(), st.booleans(), st.sampled_from([None, False, True]))
    keys = [SortKey(name, *data.draw(flags)) for name in columns]
    src = lay(folder / "in", pa.table(columns))
    n_columns = data.draw(st.integers(1, len(keys)))
    dst = sort(src, keys)
    read = pq.read_table(dst).select([key.column for key in keys[:n_columns]])
    ordered = [tuple(row.values()) for row in read.to_pylist()]
    sources = [
        dlsort.distribution(dst, keys[:n_columns]),
        dlsort.distribution(src, keys[:n_columns]),
    ]
    assert [found.told_by for found in sources] == ["parts", "statistics"]
    for found in sources:
        assert found.n_rows == n
        for _ in range(3 if n else 0):
            row = ordered[data.draw(st.integers(0, n - 1))]
            key = row[: data.draw(st.integers(1, n_columns))]
            check(found, ordered, key if n_columns > 1 else key[0])
            check_quantile(found, ordered, data.draw(st.floats(0, 1)))


def test_a_thousand_ranks_of_the_benchmarks_keys(tmp_path):
    """As of the promise: bounds hold, against NumPy's and pandas' own answers."""
    n_rows, n_files, checks = 6_000, 4, 0
    for family, make in FAMILIES.items():
        parts = [
            pa.array(
                make(
                    np.random.default_rng([7, i]),
                    n_rows // n_files,
                    i * n_rows // n_files,
                    n_rows,
                )
            )
            for i in range(n_files)
        ]
        table = pa.table({"key": pa.chunked_array(parts)})
        src = lay(tmp_path / family.replace(" ", "-").replace("%", ""), table, n_files, 400)
        dst = sort(src, "key", partitions=4, row_group_rows=300)
        valued = np.sort(table["key"].drop_null().to_numpy(zero_copy_only=False))
        some = np.random.default_rng(11).choice(valued, 23)
        for found in (dlsort.distribution(dst), dlsort.distribution(src, "key")):
            for value in some:
                value = value if isinstance(value, str) else int(value)
                for side in SIDES:
                    true = int(np.searchsorted(valued, value, side))
                    low, high = found.rank(value, side=side)[1:]
                    assert low <= true <= high, (family, found.told_by, value, side)
                    if found.told_by == "parts":
                        assert high - low <= n_rows // 4 // 100 + 1
                    checks += 1
    assert checks >= 1000


def test_long_text_is_known_by_its_beginning(tmp_path):
    """Footers have 64 bytes of a text; these end inside of a character."""
    stem = "é" * 31 + "x"
    texts = sorted(
        f"{stem}{end}" for end in ("é", "éa", "ê", "", "z" * 9, "日本") for _ in range(60)
    )
    for by in ("t,n", "t:desc,n:desc"):
        src = lay(tmp_path / f"in{len(by)}", pa.table({"t": texts, "n": range(len(texts))}))
        found = dlsort.distribution(sort(src, by))
        rows = list(zip(texts, range(len(texts)), strict=True))
        rows.sort(reverse=":desc" in by)
        for value in (*rows[::45], (texts[50],), (stem,), ("a",), (stem + "\U0010ffff",)):
            check(found, rows, value)
        for q in np.linspace(0, 1, 23):
            check_quantile(found, rows, float(q))


def test_values_that_python_has_not_are_taken_as_they_are_given(tmp_path):
    text = pa.array([b"\xff\xfe", b"a", b"\xc3", None], pa.binary()).view(pa.string())
    days = pa.array([10**9, 5, None, 7], pa.int32()).view(pa.date32())
    src = lay(tmp_path / "in", pa.table({"t": text, "d": days}))
    found = dlsort.distribution(sort(src, "t"))
    assert found.quantile(0.5, exact=True).value == "\udcc3"
    assert found.rank("\udcc3", exact=True).value == 1
    found = dlsort.distribution(src, "d")
    last = found.quantile(0.7, exact=True).value
    assert isinstance(last, pa.Scalar)
    assert found.rank(last, exact=True).value == 2


def test_nested_keys_longer_than_footers_have_them(tmp_path):
    rng = np.random.default_rng(5)
    lists = [[1] * int(n) for n in rng.integers(0, 30, 240)]
    structs = [{"a": "y" * int(n), "b": int(n)} for n in rng.integers(50, 80, 240)]
    table = pa.table({"l": lists, "s": structs})
    found = dlsort.distribution(sort(lay(tmp_path / "in", table), "l,s:desc"))
    rows = list(zip(lists, structs, strict=True))
    for value in (*rows[:4], ([1] * 15,), ([1] * 16,), ([1] * 17,)):
        check(found, rows, value)
    assert found.rank(([1] * 15,)).high < 240


# ---------------------------------------------------------------- histograms, between

NOON = dt.datetime(2024, 3, 31, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(range(0, 1000, 3), pa.uint64()),
        pa.array(np.linspace(-1, 1, 300)),
        pa.array([NOON + i * DAY for i in range(200)], pa.timestamp("ms", "Europe/Paris")),
        pa.array([dt.date(2024, 1, 1) + i * DAY for i in range(200)]),
        pa.array([Decimal(i).scaleb(-2) for i in range(500)], pa.decimal128(38, 2)),
        pa.array([i * DAY for i in range(70)], pa.duration("s")),
    ],
    ids=lambda keys: str(keys.type),
)
@pytest.mark.parametrize("by", ["k", "k:desc", "k:nulls_first:nan_first"])
def test_bins_of_one_width_hold_every_key(tmp_path, keys, by):
    values = [None, None, *keys.to_pylist()]
    values += [float("nan")] if pa.types.is_floating(keys.type) else []
    src = lay(tmp_path / "in", pa.table({"k": pa.array(values, keys.type)}))
    found = dlsort.distribution(sort(src, by))
    edges, counts, before, after = found.histogram(7, exact=True)
    assert {edges[0], edges[-1]} == {min(keys.to_pylist()), max(keys.to_pylist())}
    assert sum(count.value for count in counts) == len(keys)
    assert before.value + after.value == len(values) - len(keys)
    rough = found.histogram(edges)
    for one, other in zip([*rough.counts, *rough[2:]], [*counts, before, after], strict=True):
        assert one.low <= other.value <= one.high
    some = found.histogram(7)
    assert len(some.counts) == 7


def test_between_takes_both_ends_in_either_order(tmp_path):
    src = lay(tmp_path / "in", pa.table({"k": [1, 2, 2, 3, 4, None]}))
    for by in ("k", "k:desc"):
        found = dlsort.distribution(sort(src, by, overwrite=True))
        for ends in ((2, 3), (3, 2)):
            assert found.count_between(*ends, exact=True) == (3, 3, 3)


# ---------------------------------------------------------------- what is read


@pytest.fixture
def opened(monkeypatch) -> list[Any]:
    """Give the pieces that are read."""
    pieces: list[Any] = []
    read = ParquetSource.read
    monkeypatch.setattr(
        ParquetSource,
        "read",
        lambda self, piece, columns: (
            pieces.append((piece, columns)) or read(self, piece, columns)
        ),
    )
    return pieces


def test_only_footers_are_read_and_for_exact_answers_a_row_group(tmp_path, opened):
    table = pa.table({"k": np.random.default_rng(3).permutation(6_000), "v": np.zeros(6_000)})
    dst = sort(lay(tmp_path / "in", table), "k", partitions=3, row_group_rows=200)
    opened.clear()
    found = dlsort.distribution(dst)
    for value in (-1, 0, 2_500, 9_999):
        found.rank(value)
        found.quantile(0.3)
    assert not opened
    assert found.rank(-5, exact=True).value == 0
    assert found.rank(9_999, exact=True).value == 6_000
    assert not opened  # the footers know it exactly
    assert found.rank(2_505, exact=True).value == 2_505
    assert sum(len(piece.groups) for piece, _ in opened) <= 2
    assert all(columns == ["k"] for _, columns in opened)
    opened.clear()
    assert found.quantile(0.5, exact=True).value == 2_999
    assert len(opened) == 1


def test_of_an_unsorted_dataset_row_groups_are_read_that_may_hold_the_value(tmp_path, opened):
    for day in range(5):
        hours = np.random.default_rng(day).permutation(100) + 100 * day
        write(tmp_path / "in" / f"{day}.parquet", pa.table({"h": hours}), row_group_size=50)
    found = dlsort.distribution(tmp_path / "in", "h")
    assert found.told_by == "statistics"
    assert found.rank(250)[1:] == (200, 300)
    assert not opened
    assert found.rank(250, exact=True).value == 250
    assert len(opened) == 2
    low, high = found.quantile(0.5)[1:]
    assert 200 == low <= 249 <= high < 300
    assert found.quantile(0.5, exact=True).value == 249


def test_a_dataset_whose_parts_were_changed_is_no_sorted_one(tmp_path):
    dst = sort(lay(tmp_path / "in", pa.table({"k": range(1_000)})), "k")
    first, *_, last = sorted(dst.glob("*.parquet"))
    table = pq.read_table(last)
    pq.write_table(table.slice(1), last)
    assert dlsort.distribution(dst, "k").told_by == "statistics"
    with pytest.raises(BadKeyError, match="do not say by what it is sorted"):
        dlsort.distribution(dst)
    last.unlink()
    found = dlsort.distribution(dst)  # those that are left are sorted still
    assert (found.told_by, found.n_parts) == ("parts", 2)
    first.unlink()
    assert dlsort.distribution(dst).quantile(0, exact=True).value > 0


# ---------------------------------------------------------------- Dask frames


@pytest.mark.parametrize("by", ["x", "x:desc:nulls_first,s", "s,x", "i"])
def test_a_frame_is_looked_at_once(by):
    rng = np.random.default_rng(9)
    data = {"x": rng.normal(size=400).round(1), "s": rng.choice(["a", "b", "日"], 400)}
    frame = pd.DataFrame(data, index=pd.Index(rng.integers(0, 99, 400), name="i"))
    frame.loc[rng.random(400) < 0.1, "x"] = np.nan
    found = dlsort.distribution(dd.from_pandas(frame, npartitions=4, sort=False), by)
    plain = frame.reset_index()
    names = [key.column for key in found.by]
    rows = [
        tuple(None if v != v else v for v in row) for row in plain[names].to_numpy().tolist()
    ]
    assert (found.told_by, found.n_rows, found.n_parts) == ("partitions", 400, 4)
    for row in rows[::80]:
        check(found, rows, row if len(names) > 1 else row[0])
    in_order = dlsort.sort_table(pa.table(plain[names]), by)
    ordered = [tuple(row.values()) for row in in_order.to_pylist()]
    for q in (0.0, 0.33, 1.0):
        check_quantile(found, ordered, q)


# ---------------------------------------------------------------- values, refusals


@pytest.fixture(scope="module")
def times(tmp_path_factory) -> Distribution:
    names = {
        "n": pa.array([1, 2], pa.int8()),
        "f": pa.array([0.5, None], pa.float32()),
        "d": pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
        "t": pa.array([NOON.replace(tzinfo=None)] * 2, pa.timestamp("s")),
        "z": pa.array([NOON, NOON], pa.timestamp("us", "Asia/Tokyo")),
        "day": pa.array([NOON.date()] * 2),
        "s": ["x", "y"],
        "b": [b"x", b"y"],
        "yes": [True, False],
    }
    return write(tmp_path_factory.mktemp("values") / "a.parquet", pa.table(names))


@pytest.mark.parametrize(
    ("by", "value", "said"),
    [
        ("n", "1", "column 'n' is compared with '1', a str; expected a whole number"),
        ("n", 1.5, "a float; expected a whole number"),
        ("n", True, "a bool; expected a whole number"),
        ("n", 300, "column 'n' is compared with 300, which is no int8"),
        ("f", "x", "a str; expected a number"),
        ("d", 1.5, "a float; expected a Decimal"),
        ("d", Decimal("1.555"), "which is no decimal128"),
        ("t", NOON, "expected a datetime.datetime without a time zone"),
        ("t", dt.datetime(2024, 1, 1, 1, 1, 1, 5), "which is no timestamp"),
        ("z", NOON.replace(tzinfo=None), "expected a datetime.datetime with a time zone"),
        ("day", NOON, "expected a datetime.date"),
        ("day", "2024-01-01", "expected a datetime.date"),
        ("s", b"x", "a bytes; expected text"),
        ("b", "x", "a str; expected bytes"),
        ("yes", 1, "expected True or False"),
        ("n,s", (1, "a", 2), "a value has 3 columns; expected at most 2"),
        ("n,s", (), "a value has 0 columns"),
        ("n", (1, 2), "a tuple; expected a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused(times, by, value, said):
    found = dlsort.distribution(times, by)
    with pytest.raises(BadOptionError, match=re.escape(said)):
        found.rank(value)


@pytest.mark.parametrize(
    ("by", "value"),
    [
        ("n", np.int64(2)),
        ("f", np.float64(0.5)),
        ("f", 1),
        ("d", 2),
        ("z", NOON.astimezone(dt.timezone(DAY / 8))),
        ("z", pd.Timestamp(NOON)),
        ("t", np.datetime64("2024-03-31T12:00")),
        ("t", pd.Timestamp("2024-03-31T12:00")),
        ("s", None),
        ("n", pa.scalar(2, pa.int16())),
    ],
)
def test_what_libraries_have_for_a_type_is_taken(times, by, value):
    found = dlsort.distribution(times, by)
    assert found.rank(value, exact=True).value in (0, 1, 2)


def test_what_can_not_be_answered_is_refused(times, tmp_path):
    found = dlsort.distribution(times, "n")
    for ask, said in (
        (lambda: found.rank(1, side="up"), "side is 'up'"),
        (lambda: found.rank(1, exact=1), "exact is 1"),
        (lambda: found.quantile(1.5), "q is 1.5"),
        (lambda: found.histogram([1]), "expected two edges or more"),
        (lambda: found.histogram([2, 1]), "in the key's order"),
        (lambda: found.histogram("ab"), "bins is 'ab'"),
        (lambda: found.histogram(0), "bins is 0"),
        (lambda: dlsort.distribution(times, "s").histogram(3), "no bins of one width"),
        (lambda: dlsort.distribution(pd.DataFrame(), "n"), "src is a pandas DataFrame"),
    ):
        with pytest.raises(BadOptionError, match=re.escape(said)):
            ask()
    with pytest.raises(UnknownColumnError, match="no column 'm'"):
        dlsort.distribution(times, "m")
    frame = dd.from_pandas(pd.DataFrame({"c": pd.Categorical(["b"], ["b", "a"], ordered=True)}))
    with pytest.raises(KeyTypeError, match="an order of their own"):
        dlsort.distribution(frame, "c")
    with pytest.raises(UnknownColumnError, match="no one column 'm'"):
        dlsort.distribution(frame, "m")
    with pytest.raises(BadKeyError, match="a frame does not say"):
        dlsort.distribution(frame)
    empty = write(tmp_path / "none.parquet", pa.table({"n": pa.array([], pa.int64())}))
    nothing = dlsort.distribution(empty, "n")
    assert nothing.rank(1, exact=True) == (0, 0, 0)
    assert nothing.fraction_below(1) == (0, 0, 0)
    with pytest.raises(BadOptionError, match="no quantile of no rows"):
        nothing.quantile(0.5)
