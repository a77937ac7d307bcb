"""Row groups larger than the memory: read in slices of rows, sorted and checked as others."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort.check
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, SourceUnsupportedError
from dlsort.io.parquet.source import open_source
from dlsort.io.source import cut_pieces
from dlsort.strategies import to_check
from dlsort.tuning import TUNING

MIB = 2**20
MEMORY = TUNING.budget.base_bytes + 40 * MIB  # of which a thread may read 9 MiB at once
N = 1000
COLUMNS = {
    "number": pa.array(np.arange(N) % 7),
    "text": pa.array([None if i % 11 == 0 else f"text {i}" for i in range(N)]),
    "few": pa.array(["a", "b", None, "c"] * (N // 4)),
    "list": pa.array([[{"x": i, "y": [f"{i}"] * (i % 3)}] * (i % 4) for i in range(N)]),
    "struct": pa.array([{"x": i, "y": None} for i in range(N)]),
    "far": pa.array([dt.datetime(1 + i, 1, 1) for i in range(N)], pa.timestamp("us")),
    "decimal": pa.array(range(N), pa.decimal128(30, 2)),
}
WAYS = {
    "plain": {},
    "pages": {"data_page_size": 512, "write_batch_size": 10},
    "v2": {"data_page_version": "2.0", "data_page_size": 512},
    "zstd": {"compression": "zstd", "use_dictionary": False},
    "int96": {"use_deprecated_int96_timestamps": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("piece_bytes", [1, 5_000, 30_000, 10**9])
def test_slices_are_the_rows_of_the_row_groups(tmp_path, way, piece_bytes):
    table = pa.table(COLUMNS)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=600, **WAYS[way])
    source = open_source(path, TUNING.io).within(20_000, max(2_000, piece_bytes))
    assert all(group.first_row is not None for group in source.row_groups)
    pieces = cut_pieces(source, piece_bytes)
    read = pa.concat_tables([source.read(piece, table.column_names) for piece in pieces])
    assert sum(piece.n_rows for piece in pieces) == N
    assert read.to_pylist() == table.to_pylist()
    assert [g for piece in pieces for g in piece.groups] == list(range(len(source.row_groups)))


def test_row_groups_that_fit_stay_whole(tmp_path):
    pq.write_table(pa.table({"k": range(1000)}), tmp_path / "a.parquet", row_group_size=900)
    source = open_source(tmp_path / "a.parquet", TUNING.io)
    assert source.within(10_000, 100) is source
    first, *slices, last = source.within(5_000, 1_000).row_groups
    assert (first.first_row, last.first_row, last.n_rows) == (0, None, 100)
    assert sum(group.n_rows for group in (first, *slices)) == 900
    assert source.within(5_000, 1_000).exact_ranges("k") is None


@pytest.mark.parametrize("by", ["k", "v", "half"])
def test_a_row_group_larger_than_the_memory_is_sorted(tmp_path, by):
    n = 3_000_000  # 51 MB, where a process has 40 MiB
    rng = np.random.default_rng(0)
    table = pa.table(
        {"k": rng.integers(0, n, n), "v": np.arange(n), "half": np.arange(n) % 2 == 0}
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=n)
    sort_dataset(tmp_path / "in", tmp_path / "out", by=by, threads=1, memory=MEMORY)
    found = pq.read_table(tmp_path / "out")
    order = np.argsort(table[by].to_numpy(), kind="stable")
    assert found["v"].to_numpy().tobytes() == table["v"].to_numpy()[order].tobytes()


def test_check_reads_slices_too_and_tells_places_in_the_row_group(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    keys = np.arange(1000)
    keys[777] = 0
    pq.write_table(pa.table({"k": keys, "v": keys}), path)
    budget = replace(TUNING.budget, input_bytes=1_000)
    monkeypatch.setattr(dlsort.check, "TUNING", replace(TUNING, budget=budget))
    monkeypatch.setattr(to_check, "machine_memory_bytes", lambda: 80_000)
    report = check_dataset(path, by="k", threads=1, against=path)
    assert (report.disorder.row.row_group, report.disorder.row.row) == (0, 777)
    assert report.disorder.above.row == 776
    assert not report.differences


def test_a_row_that_does_not_fit_is_refused(tmp_path):
    table = pa.table({"k": [2, 1], "text": ["a" * 45 * MIB, "b" * 45 * MIB]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(BadOptionError, match=r"takes 90\.0 MiB in memory, .* for 2 rows"):
        sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="k", threads=1, memory=MEMORY)


TOO_MUCH = "Nested data conversions not implemented for chunked array outputs"


@pytest.fixture
def few_at_once(monkeypatch):
    """Have Arrow read nested values of 70 rows at most, as it does 2 GiB of text."""

    def limit(name: str, n_rows_of) -> None:
        read = getattr(pq.ParquetFile, name)

        def limited(self, *args, columns, **options):
            nested = {"list", "struct"} & set(columns)
            if nested and n_rows_of(self, *args) > 70:
                raise pa.ArrowNotImplementedError(TOO_MUCH)
            return read(self, *args, columns=columns, **options)

        monkeypatch.setattr(pq.ParquetFile, name, limited)

    def n_rows(file: pq.ParquetFile, row_group: int) -> int:
        return file.metadata.row_group(row_group).num_rows

    limit("read_row_group", n_rows)
    limit("read_row_groups", lambda file, groups: sum(n_rows(file, g) for g in groups))
    limit("iter_batches", lambda _, n_rows, __: n_rows)


@pytest.mark.parametrize("way", WAYS)
def test_nested_text_that_fits_no_array_is_read_in_batches(tmp_path, few_at_once, way):
    table = pa.table(COLUMNS)
    (tmp_path / "in").mkdir()
    for i in range(2):
        rows = table.slice(500 * i, 500)
        pq.write_table(rows, tmp_path / "in" / f"{i}.parquet", row_group_size=300, **WAYS[way])
    sort_dataset(tmp_path / "in", tmp_path / "out", by="number", threads=1)
    found = pq.ParquetDataset(tmp_path / "out").read()
    order = np.argsort(table["number"].to_numpy(), kind="stable")
    assert found.to_pylist() == table.take(order).to_pylist()


def test_one_row_that_fits_no_array_is_refused_in_words(tmp_path, few_at_once, monkeypatch):
    def none(*args, **options):
        raise pa.ArrowNotImplementedError(TOO_MUCH)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", none)
    pq.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")
    says = "a row has more than 2 GiB of text inside of a list or struct"
    with pytest.raises(SourceUnsupportedError, match=says) as told:
        sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="number", threads=1)
    assert "corrupt" not in str(told.value)


def test_what_else_arrow_lacks_is_not_called_too_long(tmp_path, monkeypatch):
    def lack(*args, **options):
        raise pa.ArrowNotImplementedError("no such thing")

    for name in ("read_row_groups", "read_row_group"):
        monkeypatch.setattr(pq.ParquetFile, name, lack)
    pq.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")
    with pytest.raises(SourceUnsupportedError, match=r"can't read what it holds .no such"):
        sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="number", threads=1)
