"""Picked rows are those that reading all, and taking some, gives; or none are picked."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import to_transport
from dlsort.io.parquet.picked_rows import pick_rows
from dlsort.io.source import FileGroups, Stamp
from dlsort.io.storage import stamp_of
from dlsort.sizes import UNBOUNDED

N = 5_000
CODECS = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")


def columns(rng: np.random.Generator, *, nulls: float) -> pa.Table:
    few = rng.integers(0, 7, N)
    made: dict[str, pa.Array] = {
        "i64": pa.array(rng.integers(-(1 << 60), 1 << 60, N)),
        "i32": pa.array(np.sort(rng.integers(-9, 1 << 20, N)).astype("i4")),
        "u8": pa.array(few.astype("u1")),
        "f64": pa.array(rng.random(N)),
        "f32": pa.array(rng.random(N).astype("f4")),
        "text": pa.array([f"row {i} of {'x' * (i % 90)}" for i in few.tolist()]),
        "note": pa.array([f"{i:x}" * (i % 5) for i in rng.integers(0, 1 << 30, N).tolist()]),
        "bytes": pa.array([bytes([i]) * 3 for i in few.tolist()], pa.binary(3)),
        "price": pa.array([Decimal(i) / 100 for i in few.tolist()], pa.decimal128(9, 2)),
        "wide": pa.array([Decimal(i) for i in few.tolist()], pa.decimal128(30, 0)),
        "day": pa.array([date(2024, 1, 1 + i) for i in few.tolist()]),
        "at": pa.array(
            [datetime(2024, 1, 1, i) for i in few.tolist()], pa.timestamp("ms", "UTC")
        ),
        "clock": pa.array([time(i) for i in few.tolist()], pa.time64("us")),
        "flag": pa.array(few < 3),
        "kind": pa.array([f"k{i}" for i in few.tolist()]).dictionary_encode(),
        "list": pa.array([[i] for i in few.tolist()]),
        "a.b": pa.array(few),
    }
    if not nulls:
        return pa.table(made)
    found = {}
    for name, array in made.items():
        is_null = pa.array(rng.random(N) < nulls)
        found[name] = pc.if_else(is_null, pa.scalar(None, array.type), array)
    return pa.table(found)


def of_file(path: Path, group: int = 0, **other: Any) -> FileGroups:
    n_rows = pq.read_metadata(path).row_group(group).num_rows
    given = {"row_groups": (group,), "n_rows": n_rows, "first_row": None, "told": ()}
    where = {"path": str(path), "stamp": Stamp(*stamp_of(str(path)))}
    return FileGroups(**{**where, **given, "fit": None, "runs": (), "keys": None, **other})


def check(
    path: Path, rows: np.ndarray, expected: set[str] | None = None, group: int = 0
) -> None:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        whole = to_transport(file.read_row_group(group))
    picked = pick_rows(of_file(path, group), rows, names, [], UNBOUNDED)
    assert picked is not None
    assert set(picked.column_names) == expected
    wanted = take_table(whole, rows.astype(np.uint32)).select(picked.column_names)
    for name in picked.column_names:
        assert plain(picked, name).equals(plain(wanted, name)), name


def plain(table: pa.Table, name: str) -> pa.Array:
    """Return a column without its dictionary, which of picked rows is shorter."""
    array = to_transport(table.select([name])).column(0).combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


NESTED_OR_BITS = {"list", "flag"}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("nulls", [0.0, 0.02, 0.7])
def test_all_types_and_codecs(tmp_path, version, codec, nulls):
    rng = np.random.default_rng(3)
    table = columns(rng, nulls=nulls)
    path = tmp_path / "x.parquet"
    pq.write_table(
        table,
        path,
        compression=codec,
        data_page_version=version,
        data_page_size=4_000,
        write_page_checksum=codec == "zstd",
    )
    rows = np.sort(rng.choice(N, 60, replace=False)).astype(np.int64)
    check(path, rows, set(table.column_names) - NESTED_OR_BITS)


@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_encodings(tmp_path, nulls):
    rng = np.random.default_rng(5)
    table = columns(rng, nulls=nulls).select(["i64", "i32", "f64", "note", "text"])
    encodings = {
        "i64": "DELTA_BINARY_PACKED",
        "i32": "DELTA_BINARY_PACKED",
        "f64": "BYTE_STREAM_SPLIT",
        "note": "DELTA_LENGTH_BYTE_ARRAY",
        "text": "DELTA_BYTE_ARRAY",
    }
    path = tmp_path / "x.parquet"
    how: dict[str, Any] = {"use_dictionary": False, "column_encoding": encodings}
    pq.write_table(table, path, data_page_size=8_000, **how)
    for n in (20, 400):
        rows = np.sort(rng.choice(N, n, replace=False)).astype(np.int64)
        check(path, rows, {"i64", "i32", "f64", "note"})


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=300),
    st.data(),
    st.sampled_from(["PLAIN", "DELTA_BINARY_PACKED", "dictionary"]),
    st.integers(16, 3_000),
)
def test_any_numbers(tmp_path, values, data, encoding, page_bytes):
    path = tmp_path / "x.parquet"
    how: dict[str, Any] = {"use_dictionary": encoding == "dictionary"}
    if encoding == "DELTA_BINARY_PACKED":
        how["column_encoding"] = {"x": encoding}
    table = pa.table({"x": pa.array(values, pa.int64())})
    pq.write_table(table, path, data_page_size=page_bytes, write_batch_size=8, **how)
    places = st.integers(0, len(values) - 1)
    rows = sorted(data.draw(st.sets(places, min_size=1)))
    check(path, np.array(rows, np.int64), {"x"})


def test_rows_of_a_slice_and_of_a_later_row_group(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": np.arange(N)}), path, row_group_size=1_000)
    rows = np.array([0, 3, 999])
    check(path, rows, {"x"}, group=3)
    of_slice = of_file(path, 2, first_row=400, n_rows=100)
    picked = pick_rows(of_slice, np.array([5, 99]), ["x"], [], UNBOUNDED)
    assert picked is not None
    assert picked["x"].to_pylist() == [2_405, 2_499]


def test_rows_of_several_row_groups(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": np.arange(N)}), path, row_group_size=1_000)
    some = of_file(path, row_groups=(1, 2, 4), n_rows=3_000)
    picked = pick_rows(some, np.array([0, 999, 2_000, 2_999]), ["x"], [], UNBOUNDED)
    assert picked is not None
    assert picked["x"].to_pylist() == [1_000, 1_999, 4_000, 4_999]


def test_dictionaries_are_kept_as_such(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [f"k{i % 9}" for i in range(N)]}), path)
    picked = pick_rows(of_file(path), np.array([4, 13]), ["x"], ["x"], UNBOUNDED)
    assert picked is not None
    assert pa.types.is_dictionary(picked["x"].type)
    assert picked["x"].to_pylist() == ["k4", "k4"]


def test_a_page_that_takes_too_much_memory_is_not_unpacked(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": ["a" * 100_000] * 9, "y": range(9)}), path, use_dictionary=False
    )
    picked = pick_rows(of_file(path), np.array([4]), ["x", "y"], [], 50_000)
    assert picked is not None
    assert picked.column_names == ["y"]


def test_damaged_bytes_give_what_reading_all_gives_or_nothing(tmp_path):
    """Any byte may be another: no crash, and no value that the ordinary way does not give."""
    rng = np.random.default_rng(9)
    table = columns(rng, nulls=0.1).select(["i64", "i32", "text", "note", "price"])
    path, damaged = tmp_path / "x.parquet", tmp_path / "y.parquet"
    pq.write_table(table.slice(0, 500), path, compression="none", data_page_size=900)
    data = path.read_bytes()
    rows = np.arange(0, 500, 7)
    n_picked = 0
    for _ in range(300):
        other = bytearray(data)
        other[rng.integers(4, len(data) - 8)] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(other)
        try:
            picked = pick_rows(of_file(damaged), rows, table.column_names, [], 1 << 20)
        except (OSError, pa.ArrowException):  # the footer, as of_file reads it
            continue
        if picked is None:
            continue
        n_picked += 1
        for name in picked.column_names:
            try:
                whole = to_transport(pq.read_table(damaged, columns=[name]))
                whole.validate(full=True)
            except (OSError, pa.ArrowException, UnicodeDecodeError):
                continue
            wanted = take_table(whole, rows.astype(np.uint32))
            assert to_transport(picked.select([name])).equals(wanted), name
    assert n_picked > 100


def test_few_rows_of_a_sort_and_a_filter_are_picked(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    table = columns(rng, nulls=0.1).select(["i64", "text", "f64", "list", "price", "kind"])
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, row_group_size=1_000)
    n_picked = []

    def counted(*given: Any) -> pa.Table | None:
        found = pick_rows(*given)
        n_picked.append(0 if found is None else found.num_columns)
        return found

    monkeypatch.setattr("dlsort.io.parquet.reader.pick_rows", counted)
    dlsort.sort_dataset(path, tmp_path / "first", by="i64", limit=20)
    assert n_picked
    assert min(n_picked) == 5  # all but the list
    numbers = np.flatnonzero(table["i64"].is_valid())
    values = table["i64"].to_numpy(zero_copy_only=False)[numbers]
    wanted = table.take(numbers[np.argsort(values, kind="stable")][:20])
    assert pq.read_table(tmp_path / "first").to_pylist() == wanted.to_pylist()
    n_picked.clear()
    dlsort.sort_dataset(path, tmp_path / "where", by="i64", where="f64 < 0.01")
    assert n_picked
    kept = table.filter(pc.less(table["f64"], 0.01)).sort_by("i64")
    assert pq.read_table(tmp_path / "where").to_pylist() == kept.to_pylist()
