"""Sources whose order makes an exchange unnecessary, and those that only seem so."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.parquet.statistics import Range
from dlsort.keys import parse_by
from dlsort.strategies import move as moves
from dlsort.strategies.exchange import ExchangePlan
from dlsort.tuning import TUNING
from ordered_sources import MAKERS, sort, write


def is_planned(source: Path, by: str, partitions: int) -> bool:
    return (
        moves.plan_moves(open_source(source, TUNING.io), parse_by(by), partitions, TUNING)
        is not None
    )


def day_files(kind: str = "int64", *, seed: int = 0, n_rows: int = 200) -> list[pa.Table]:
    """Return files of which each has keys of its own, with repeats, in no order."""
    rng = np.random.default_rng(seed)
    files = []
    for day in (2, 0, 3, 1):
        values = 1000 * day + rng.integers(0, 90, n_rows)
        files.append(pa.table({"k": MAKERS[kind](values), "v": rng.integers(0, 1000, n_rows)}))
    return files


@pytest.fixture
def no_exchange(monkeypatch):
    def refuse(*args):
        pytest.fail("an exchange was begun")

    monkeypatch.setattr(ExchangePlan, "layer", refuse)


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("kind", MAKERS)
def test_files_apart_from_one_another_are_moved(tmp_path, no_exchange, kind, direction):
    source = write(tmp_path / "in", day_files(kind))
    report = sort(source, f"k:{direction},v", 4)
    assert report.moved
    assert report.balance == 1.0


@pytest.mark.parametrize("partitions", [2, 3, 7, 40])
@pytest.mark.parametrize("by", ["k", "k,v", "k:desc,v:asc", "k,v:desc:nulls_first"])
def test_a_sorted_source_is_cut_anywhere(tmp_path, request, partitions, by):
    rng = np.random.default_rng(1)
    v = pa.array(rng.integers(0, 9, 500), mask=rng.random(500) < 0.2)
    table = pa.table({"k": rng.integers(0, 12, 500), "v": v})
    shuffled = write(tmp_path / "shuffled", [table.slice(0, 200), table.slice(200)])
    dlsort.sort_dataset(shuffled, tmp_path / "in", by=by, partitions=5, row_group_rows=9)
    request.getfixturevalue("no_exchange")
    report = sort(tmp_path / "in", by, partitions, strategy="move")
    assert report.moved
    assert max(report.part_rows) - min(report.part_rows) <= 1


def test_a_source_sorted_by_more_than_is_asked_for(tmp_path, no_exchange):
    table = pa.table({"k": np.arange(100) // 9, "v": np.arange(100) % 9, "w": range(100)})
    claims = [pq.SortingColumn(0), pq.SortingColumn(1)]
    source = write(tmp_path / "in", [table], sorting_columns=claims, row_group_size=7)
    assert sort(source, "k", 3).moved


def uneven() -> list[pa.Table]:
    return [pa.table({"k": np.arange(n) + 1000 * n}) for n in (10, 200)]


def touching() -> list[pa.Table]:
    return [pa.table({"k": [0, 3, 1]}), pa.table({"k": [5, 3, 4]})]


def with_nulls() -> list[pa.Table]:
    return [pa.table({"k": [1, 2, None]}), pa.table({"k": [5, 3, 4]})]


def of(kind: pa.DataType) -> list[pa.Table]:
    return [pa.table({"k": pa.array(v, kind)}) for v in ([4, 3, 5], [1, 2, 0])]


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (uneven(), {}),
        (touching(), {}),
        (with_nulls(), {}),
        (of(pa.float64()), {}),
        (of(pa.uint64()), {}),
        (of(pa.decimal128(38, 0)), {"store_decimal_as_integer": False}),
        (of(pa.int64()), {"write_statistics": False}),
    ],
)
def test_what_may_not_be_moved_whole_is_not(tmp_path, files, options):
    source = write(tmp_path / "in", files, **options)
    assert not is_planned(source, "k", 2)
    sort(source, "k", 2)


def test_more_partitions_than_ranges_are_not_moved_whole(tmp_path):
    source = write(tmp_path / "in", day_files(), row_group_size=1000)
    assert is_planned(source, "k", 4)
    assert not is_planned(source, "k", 5)
    sort(source, "k", 5)


def test_how_often_rows_are_read_is_told(tmp_path):
    claims = [pq.SortingColumn(0)]
    table = pa.table({"k": range(100)})
    source = write(tmp_path / "in", [table], sorting_columns=claims, row_group_size=50)
    opened = open_source(source, TUNING.io)
    for partitions, rereads in ((2, 1.0), (4, 2.0), (10, 5.0)):
        planned = moves.plan_moves(opened, parse_by("k"), partitions, TUNING)
        assert moves.MovePlan(SimpleNamespace(source=opened), planned).rereads == rereads


def test_more_parts_than_rows(tmp_path):
    claims = [pq.SortingColumn(0)]
    source = write(tmp_path / "in", [pa.table({"k": [1, 2, 3]})], sorting_columns=claims)
    sort(source, "k", 5)


@pytest.mark.parametrize("by", ["k:desc", "k,w", "w,k"])
def test_another_order_than_the_claimed_one_is_not_moved_whole(tmp_path, by):
    table = pa.table({"k": np.arange(100) // 30, "v": [0] * 100, "w": range(100, 0, -1)})
    claims = [pq.SortingColumn(0), pq.SortingColumn(1)]
    source = write(tmp_path / "in", [table], sorting_columns=claims, row_group_size=10)
    assert not is_planned(source, by, 3)
    sort(source, by, 3)


def test_a_claim_that_is_not_so_costs_time_only(tmp_path):
    rng = np.random.default_rng(2)
    files = [
        pa.table({"k": [low, *rng.permutation(48) + low, low + 50], "v": range(50)})
        for low in (0, 50)
    ]
    claims = [pq.SortingColumn(0)]
    source = write(tmp_path / "in", files, sorting_columns=claims, row_group_size=1000)
    assert moves.plan_moves(open_source(source, TUNING.io), parse_by("k"), 3, TUNING).is_sorted
    assert not sort(source, "k", 3).moved


def test_ranges_that_are_not_so_cost_time_only(tmp_path, monkeypatch):
    """Equal keys in two files that the footers tell apart must keep the source's order."""
    files = [pa.table({"k": [7] * 10, "v": range(10)}) for _ in range(2)]
    source = write(tmp_path / "in", files)
    told = dict(enumerate([Range(9, 9, 0), Range(1, 1, 0)]))
    monkeypatch.setattr(ParquetSource, "exact_ranges", lambda *args: told)
    assert not sort(source, "k", 2).moved


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_moved_or_not_the_result_is_the_stable_sort(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moves")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    days = data.draw(st.permutations(range(data.draw(st.integers(1, 5)))))
    width = data.draw(st.sampled_from([1, 3, 9, 10, 11, 15]))
    files = []
    for day in days:
        n = data.draw(st.integers(0, 40))
        key = 10 * day + rng.integers(0, width, n)
        key = np.sort(key) if data.draw(st.booleans()) else key
        files.append(pa.table({"k": key, "v": rng.integers(0, 3, n)}))
    claims = data.draw(st.sampled_from([None, [pq.SortingColumn(0)]]))
    source = write(
        folder / "in",
        files,
        row_group_size=data.draw(st.integers(1, 50)),
        sorting_columns=claims,
    )
    by = data.draw(st.sampled_from(["k", "k:desc", "k,v", "k:desc,v:desc"]))
    sort(source, by, data.draw(st.integers(1, 5)))


def test_times_of_year_one_are_told_apart(tmp_path, no_exchange):
    epoch = (datetime.date(1, 1, 1) - datetime.date(1970, 1, 1)).days
    files = [
        pa.table({"k": pa.array([d - 9, d], pa.int32()).cast(pa.date32())}) for d in (0, epoch)
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    for number, table in enumerate(files):
        pq.write_table(table, folder / f"{number}.parquet")
    report = dlsort.sort_dataset(folder, tmp_path / "out", by="k", partitions=2, threads=2)
    assert report.moved
