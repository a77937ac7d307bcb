"""Sources whose pieces span narrow ranges that overlap, and those that only seem so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
import ordered_sources
from dlsort.errors import RowsLostError
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.source import Piece, Range
from dlsort.keys import parse_by
from dlsort.strategies import move as moves
from dlsort.strategies import range_reads
from dlsort.strategies.range_reads import plan_range_reads
from dlsort.strategies.reader import Reader
from dlsort.tuning import TUNING, OrderTuning, Tuning
from ordered_sources import MAKERS, rows_of, write


def two_sorted(n_rows: int = 20_000, *, seed: int = 0, width: int = 10**9) -> list[pa.Table]:
    """Return four files of which the first two are in order, and the last two again."""
    rng = np.random.default_rng(seed)
    keys = [np.sort(rng.integers(0, width, n_rows)) for _ in range(2)]
    tables = [pa.table({"k": k, "v": rng.integers(0, 1000, n_rows)}) for k in keys]
    half = n_rows // 2
    return [table.slice(at, half) for table in tables for at in (0, half)]


def late_events(n_rows: int = 20_000) -> list[pa.Table]:
    """Return files in the order in which events came, some of them late."""
    rng = np.random.default_rng(3)
    made = np.arange(n_rows) * 10
    came = made + rng.exponential(1000, n_rows).astype(np.int64)
    table = pa.table({"made": made[np.argsort(came, kind="stable")], "v": range(n_rows)})
    return [table.slice(at, n_rows // 4) for at in range(0, n_rows, n_rows // 4)]


sort = partial(ordered_sources.sort, strategy="range")


def claim(monkeypatch: pytest.MonkeyPatch, lie: dict[int, Range]) -> None:
    """Have footers say something else of some row groups."""

    exact_ranges = ParquetSource.exact_ranges

    def told(source: ParquetSource, column: str) -> dict[int, Range] | None:
        return {**(exact_ranges(source, column) or {}), **lie}

    monkeypatch.setattr(ParquetSource, "exact_ranges", told)


@pytest.mark.parametrize("by", ["k", "k:desc", "k,v", "k:desc,v:asc"])
def test_two_sorted_datasets_put_together(tmp_path, by):
    source = write(tmp_path / "in", two_sorted(), row_group_size=500)
    report = sort(source, by, 4)
    assert report.moved
    assert report.spilled_bytes == 0


def test_files_with_late_rows(tmp_path):
    source = write(tmp_path / "in", late_events(), row_group_size=200)
    assert sort(source, "made", 4).moved


def test_shuffled_rows_are_exchanged(tmp_path):
    rng = np.random.default_rng(4)
    table = pa.table({"k": rng.integers(0, 10**9, 20_000)})
    source = write(tmp_path / "in", [table], row_group_size=200)
    for partitions in (2, 4):
        assert not ordered_sources.sort(source, "k", partitions).moved


def test_two_of_each_key_far_apart(tmp_path):
    """A value that fills whole pieces is read by the part of their place alone."""
    keys = np.repeat(np.arange(3), 4000)
    tables = [pa.table({"k": keys, "v": np.arange(len(keys)) + n}) for n in range(2)]
    source = write(tmp_path / "in", tables, row_group_size=200)
    report = sort(source, "k", 8)
    assert report.moved
    assert report.balance < 1.2
    # The same value is now in any part.
    assert not ordered_sources.sort(source, "k,v", 8).moved


def test_parts_are_even(tmp_path):
    source = write(tmp_path / "in", two_sorted(400_000), row_group_size=10_000)
    report = dlsort.sort_dataset(
        source, tmp_path / "out", by="k", partitions=4, threads=2, strategy="range"
    )
    assert report.moved
    assert report.balance <= 1.05


def test_bands_are_put_in_order_one_by_one(tmp_path):
    small = Tuning(order=OrderTuning(band_rows=500, band_shard_rows=10))
    source = write(tmp_path / "in", late_events(), row_group_size=200)
    assert sort(source, "made:desc", 4, small).moved


def test_worker_processes_read_by_range(tmp_path):
    source = write(tmp_path / "in", two_sorted(4000), row_group_size=100)
    report = dlsort.sort_dataset(
        source, tmp_path / "out", by="k", partitions=4, workers=2, strategy="range"
    )
    assert report.moved
    assert report.proved
    assert np.array_equal(rows_of(tmp_path / "out")["k"], np.sort(rows_of(source)["k"]))


def test_rows_are_read_about_as_often_as_was_guessed(tmp_path, monkeypatch):
    source = write(tmp_path / "in", two_sorted(), row_group_size=500)
    footers = open_source(source, TUNING.io)
    guess = range_reads._expected_rows(
        plan_range_reads(footers, parse_by("k"), 4, TUNING.strategies), 4
    )
    read = Reader.read
    n_read = []

    def count(self: Reader, piece: Piece) -> pa.Table:
        n_read.append(piece.n_rows)
        return read(self, piece)

    monkeypatch.setattr(Reader, "read", count)
    assert sort(source, "k", 4).moved
    assert footers.n_rows < sum(n_read) <= 1.1 * guess


def with_nulls(files: Sequence[pa.Table], share: float) -> list[pa.Table]:
    rng = np.random.default_rng(5)
    found = []
    for table in files:
        mask = rng.random(table.num_rows) < share
        found.append(table.set_column(0, "k", pa.array(table["k"].to_numpy(), mask=mask)))
    return found


@pytest.mark.parametrize("share", [0.01, 0.6, 1.0])
@pytest.mark.parametrize("by", ["k", "k:desc,v", "k:nulls_first", "k:desc:nulls_first,v"])
def test_nulls_are_read_by_the_parts_at_their_end(tmp_path, by, share):
    files = with_nulls(two_sorted(2000), share)
    source = write(tmp_path / "in", files, row_group_size=100)
    assert sort(source, by, 5).moved


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("kind", MAKERS)
def test_every_type_with_ordered_statistics(tmp_path, kind, direction):
    rng = np.random.default_rng(6)
    values = [np.sort(rng.integers(0, 1000, 300)) for _ in range(3)]
    files = [pa.table({"k": MAKERS[kind](v), "v": rng.integers(0, 9, 300)}) for v in values]
    source = write(tmp_path / "in", files, row_group_size=40)
    assert sort(source, f"k:{direction}", 3).moved
    assert sort(source, f"k:{direction},v", 4).moved


@pytest.mark.parametrize("kind", [pa.float64(), pa.uint64(), pa.bool_()])
def test_other_types_are_exchanged(tmp_path, kind):
    source = write(tmp_path / "in", [pa.table({"k": pa.array([0, 1] * 50).cast(kind)})] * 2)
    assert not sort(source, "k", 2).moved


def test_footers_without_ranges_are_exchanged(tmp_path):
    source = write(tmp_path / "in", two_sorted(400), write_statistics=False)
    assert not sort(source, "k", 3).moved


@pytest.mark.parametrize("by", ["k", "k,v"])
def test_a_range_that_leaves_rows_out_costs_time_only(tmp_path, monkeypatch, by):
    source = write(tmp_path / "in", two_sorted(), row_group_size=500)
    assert sort(source, by, 4).moved
    claim(monkeypatch, {25: Range(0, 1, 0)})
    assert not sort(source, by, 4).moved


def test_nulls_that_are_not_told_cost_time_only(tmp_path, monkeypatch):
    files = [*two_sorted(), pa.table({"k": pa.array([None] * 9, pa.int64()), "v": [0] * 9})]
    source = write(tmp_path / "in", files, row_group_size=500)
    claim(monkeypatch, {80: Range(5, 6, 0)})
    assert not sort(source, "k", 4).moved


def test_ranges_that_are_too_wide_cost_reads_only(tmp_path, monkeypatch):
    source = write(tmp_path / "in", two_sorted(), row_group_size=500)
    claim(monkeypatch, {g: Range(-5, 10**10, 0) for g in (3, 30)})
    assert sort(source, "k", 4).moved


def test_rows_that_change_on_the_way_are_told_whatever_the_ranges_say(tmp_path, monkeypatch):
    source = write(tmp_path / "in", two_sorted(2000), row_group_size=50)
    prove = dlsort.proof.ordered.prove

    def prove_another_row(*given: object) -> dlsort.proof.checksum.Proof:
        return replace(prove(*given), low=1)

    monkeypatch.setattr(dlsort.proof.ordered, "prove", prove_another_row)
    with pytest.raises(RowsLostError, match="checksum"):
        sort(source, "k", 4)
    assert not (tmp_path / "out-4").exists()


def test_an_empty_part_has_the_columns(tmp_path):
    files = [pa.table({"k": [1, 2], "s": ["a", "b"]}), pa.table({"k": [1, 3], "s": ["a", "c"]})]
    source = write(tmp_path / "in", files)
    assert sort(source, "k", 7).moved
    for part in (tmp_path / "out-7").iterdir():
        assert pa.parquet.read_schema(part).names == ["k", "s"]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_by_range_or_not_the_result_is_the_stable_sort(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranges")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    make = MAKERS[data.draw(st.sampled_from(sorted(MAKERS)))]
    width = data.draw(st.sampled_from([1, 3, 20, 200]))
    nulls = data.draw(st.sampled_from([0, 0, 0.1, 0.9]))
    files = []
    for _ in range(data.draw(st.integers(1, 4))):
        n = data.draw(st.integers(0, 60))
        values = np.sort(rng.integers(0, width, n)) + data.draw(st.integers(0, 100))
        late = np.argsort(np.arange(n) + rng.exponential(data.draw(st.integers(0, 9)), n))
        key = make(values[late])
        null = rng.random(n) < nulls
        key = pa.array([None if m else v for m, v in zip(null, key, strict=True)], key.type)
        files.append(pa.table({"k": key, "v": rng.integers(0, 3, n)}))
    source = write(folder / "in", files, row_group_size=data.draw(st.integers(1, 20)))
    by = data.draw(
        st.sampled_from(
            ["k", "k:desc", "k,v", "k:desc,v", "k:nulls_first", "k:desc:nulls_first"]
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moves, "plan_moves", lambda *args: None)
        partitions = data.draw(st.integers(1, 6))
        report = sort(source, by, partitions)
    n_rows = sum(table.num_rows for table in files)
    assert report.moved == (n_rows > 0 and partitions > 1)
