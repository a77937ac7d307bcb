"""Files whose schemas differ a little, at every door: sorts, the command, checks, stores."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import dlsort as command
from dlsort.arrow.unite import spelled
from dlsort.errors import BadOptionError, ResumeError, SchemaMismatchError
from dlsort.io.schema.wanted import told_of
from dlsort.publish.job_file import JobFile, Wanted

N = 400  # rows of each file
S = pa.string()


def many(first: int, *, apart: bool) -> list[Any]:
    """Return tables of the same columns by several writers, with keys of their own or not."""
    rng = np.random.default_rng(first)

    def keys(i: int) -> np.ndarray:
        return rng.integers(0, 900, N) + (1_000 * i if apart else 0)

    row = np.arange(N)
    not_null = pa.map_(S, pa.field("value", pa.int64(), nullable=False))
    return [
        pa.table(
            {
                "k": pa.array(keys(2), pa.int32()),
                "row": pa.array(row, pa.int16()),
                "text": pa.array([f"a{i % 7}" for i in row]).dictionary_encode(),
                "note": pa.nulls(N),
                "price": pa.array([Decimal(int(i)) / 4 for i in row], pa.decimal128(7, 2)),
                "m": pa.array([[("x", int(i))] for i in row], not_null),
            }
        ),
        pd.DataFrame(
            {
                "row": row + 0.5,
                "k": keys(0),
                "text": [f"b{i}" for i in row],
                "note": [{"a": int(i)} for i in row],
            }
        ),
        pl.DataFrame(
            {"k": keys(1).astype(np.int16), "text": [f"c{i % 3}" for i in row], "lang": "en"}
        ),
    ]


def lay(folder: str, tables: list[Any]) -> str:
    fs, _ = fsspec.core.url_to_fs(folder)
    fs.makedirs(folder, exist_ok=True)
    for i, table in enumerate(tables):
        with fsspec.open(f"{folder}/{i}.parquet", "wb") as file:
            if isinstance(table, pa.Table):
                pq.write_table(table, file, row_group_size=N // 2)
            elif isinstance(table, pd.DataFrame):
                table.to_parquet(file, row_group_size=N // 2)
            else:
                table.write_parquet(file, row_group_size=N // 2)
    return folder


def rows(folder: str) -> list[dict[str, Any]]:
    fs, _ = fsspec.core.url_to_fs(folder)
    found = []
    for name in sorted(fs.find(folder)):
        if name.endswith(".parquet"):
            with fs.open(name) as file:
                found += pq.read_table(file).to_pylist()
    return found


def expected(folder: str) -> list[dict[str, Any]]:
    names = ("k", "row", "text", "note", "price", "m", "lang")
    return sorted(
        ({name: row.get(name) for name in names} for row in rows(folder)), key=lambda r: r["k"]
    )


UNITED = pa.schema(
    [
        ("k", pa.int64()),
        ("row", pa.float64()),
        ("text", pa.large_string()),
        ("note", pa.struct([("a", pa.int64())])),
        ("price", pa.decimal128(7, 2)),
        ("m", pa.map_(S, pa.field("value", pa.int64(), nullable=False))),
        ("lang", pa.large_string()),
    ]
)


@pytest.fixture(params=["folder", "store"])
def place(request, tmp_path):
    if request.param == "folder":
        yield str(tmp_path)
    else:
        url = f"memory://{uuid.uuid4().hex}"
        yield url
        fsspec.filesystem("memory").rm(url, recursive=True)


@pytest.mark.parametrize("apart", [False, True], ids=["exchange", "move"])
def test_a_sorted_copy_has_each_row_of_all_files_in_one_schema(place, apart):
    src = lay(f"{place}/in", many(3, apart=apart))
    report = dlsort.sort_dataset(src, f"{place}/out", by="k", partitions=3, threads=1)
    assert rows(f"{place}/out") == expected(src)
    fs, _ = fsspec.core.url_to_fs(f"{place}/out")
    part = next(name for name in fs.find(f"{place}/out") if name.endswith(".parquet"))
    with fs.open(part) as file:
        assert [*map(spelled, pq.read_schema(file))] == [*map(spelled, UNITED)]
    assert report.moved == apart
    assert [change.partition(" ")[0] for change in report.united_columns] == UNITED.names
    assert "united     columns of files that differ: k (int32, int64, int16" in " ".join(
        report.to_text().replace("\n", " ").split(" ")
    )
    assert dlsort.check_dataset(f"{place}/out", against=src).ok
    assert dlsort.check_dataset(src, by="row", against=f"{place}/out").differences == ()


@pytest.mark.parametrize("by", ["text:desc,k", "price,row", "lang:asc:nulls_first,text"])
def test_keys_of_united_types_sort_as_pandas_has_them(tmp_path, by):
    src = lay(f"{tmp_path}/in", many(4, apart=False))
    dlsort.sort_dataset(src, f"{tmp_path}/out", by=by, partitions=3, threads=1)
    assert dlsort.check_dataset(f"{tmp_path}/out", against=src).ok


def test_units_and_scales_of_keys_are_told_apart_in_footers(tmp_path):
    moments = np.arange(N)
    tables = [
        pa.table({"t": pa.array(moments + 2 * N, pa.timestamp("ms")), "i": np.arange(N)}),
        pa.table({"t": pa.array(moments * 1_000, pa.timestamp("us")), "i": np.arange(N)}),
        pa.table(
            {"t": pa.array(moments * 10**6 + N * 10**6, pa.timestamp("ns")), "i": [0] * N}
        ),
    ]
    src = lay(f"{tmp_path}/in", tables)
    report = dlsort.sort_dataset(src, f"{tmp_path}/out", by="t", partitions=3, threads=1)
    assert report.moved
    assert report.part_rows == [N] * 3
    found = pa.concat_tables(
        pq.read_table(p) for p in sorted(Path(tmp_path, "out").glob("*.p*"))
    )
    assert found["t"].cast(pa.int64()).to_pylist() == [i * 10**6 for i in range(3 * N)]


def test_strict_refuses_what_differs_at_each_door(tmp_path):
    tables = [pa.table({"k": [2]}), pa.table({"k": pa.array([1], pa.int32())})]
    src = lay(f"{tmp_path}/in", tables)
    words = r"'k': it is int64 in \S+0.parquet and int32 in \S+1.parquet"
    with pytest.raises(SchemaMismatchError, match=words):
        dlsort.sort_dataset(src, tmp_path / "out", by="k", schema="strict")
    with pytest.raises(SchemaMismatchError, match=words):
        dlsort.check_dataset(tmp_path / "in/0.parquet", by="k", against=src, schema="strict")
    found = command("sort", src, tmp_path / "out", "--by", "k", "--schema", "strict")
    assert found.exit_code == 2
    assert "the files disagree on column 'k'" in found.stderr
    assert not (tmp_path / "out").exists()
    found = command("check", src, "--by", "k", "--schema", "strict")
    assert found.exit_code == 2


@pytest.mark.parametrize("kind", ["parquet", "arrow file", "arrow stream", "schema"])
def test_the_schema_of_a_file_is_taken(tmp_path, kind):
    wanted = pa.schema([("new", S), ("k", pa.int16()), ("t", pa.large_string())])
    path = tmp_path / "wanted"
    if kind == "parquet":
        pq.write_table(wanted.empty_table(), path)
    else:
        make = pa.ipc.new_stream if kind == "arrow stream" else pa.ipc.new_file
        with make(path, wanted):
            pass
    asked = wanted if kind == "schema" else path
    src = lay(
        f"{tmp_path}/in", [pa.table({"k": [2], "t": ["b"]}), pa.table({"t": [1], "k": [1]})]
    )
    dlsort.sort_dataset(src, tmp_path / "out", by="k", schema=asked, threads=1)
    assert pq.read_schema(tmp_path / "out/part-00000.parquet").equals(wanted)
    assert rows(f"{tmp_path}/out") == [
        {"new": None, "k": 1, "t": "1"},
        {"new": None, "k": 2, "t": "b"},
    ]
    assert dlsort.check_dataset(tmp_path / "out", against=src, schema=asked).ok
    if kind != "schema":
        out = "check", tmp_path / "out", "--against", src
        assert command(*out, "--schema", path, "--no-progress").exit_code == 0


@pytest.mark.parametrize("asked", ["unions", 3, None, b"strict", pa.schema([])])
def test_a_schema_that_is_none_is_refused(tmp_path, asked):
    src = lay(f"{tmp_path}/in", [pa.table({"k": [2]})])
    with pytest.raises(BadOptionError, match='expected "union", "strict"'):
        dlsort.sort_dataset(src, tmp_path / "out", by="k", schema=asked)
    with pytest.raises(BadOptionError, match='expected "union", "strict"'):
        dlsort.check_dataset(src, by="k", schema=asked)


def test_a_value_that_does_not_fit_is_refused_and_nothing_is_left(tmp_path):
    src = lay(f"{tmp_path}/in", [pa.table({"k": [2**53 + 1]}), pa.table({"k": [0.5]})])
    for workers in ({"threads": 1}, {"workers": 1}):
        with pytest.raises(
            SchemaMismatchError, match=r"'k': it is int64 in \S+0.parquet and do"
        ):
            dlsort.sort_dataset(src, tmp_path / "out", by="k", **workers)
    with pytest.raises(SchemaMismatchError, match="double can't hold each of its values"):
        dlsort.check_dataset(src, by="k")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_sort_that_goes_on_has_the_same_schema():
    asked = {"by": "k", "files": [], "compression": "none", "row_group_rows": 1}
    asked |= {"partition_size": None, "manifest": True}
    kept = JobFile(**asked, schema="union", n_parts=1, piece_bytes=1, part_bytes=1)
    for other in ("strict", told_of(UNITED)):
        with pytest.raises(ResumeError, match="schema is another than"):
            Wanted(**asked, schema=other).check_same(kept, partitions=None)
    Wanted(**asked, schema="union").check_same(kept, partitions=None)


@pytest.mark.parametrize(
    ("index", "options"),
    [
        (pd.RangeIndex(10, 13), {}),
        (pd.RangeIndex(6, 0, -2), {"partitions": 2}),
        (pd.RangeIndex(1, 4, name="row"), {}),
        (pd.Index([7, 5, 6]), {}),
        (pd.Index(["x", "y", "z"], name="id"), {"partitions": 3}),
    ],
)
def test_labels_of_pandas_stay_with_their_rows(tmp_path, index, options):
    frame = pd.DataFrame({"k": [5, 3, 4]}, index=index)
    Path(tmp_path, "in").mkdir()
    frame.to_parquet(tmp_path / "in/0.parquet")
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="k", threads=1, **options)
    parts = [pd.read_parquet(part) for part in sorted((tmp_path / "out").glob("*.parquet"))]
    pd.testing.assert_frame_equal(pd.concat(parts), frame.sort_values("k"))
    assert dlsort.check_dataset(tmp_path / "out", against=tmp_path / "in").ok


def test_labels_that_count_rows_count_those_of_each_part(tmp_path):
    src = lay(f"{tmp_path}/in", [pd.DataFrame({"k": [5, 3, 4]}), pd.DataFrame({"k": [9, 1]})])
    dlsort.sort_dataset(src, tmp_path / "out", by="k", threads=1, partitions=2)
    assert pd.read_parquet(tmp_path / "out").to_dict("list") == {"k": [1, 3, 4, 5, 9]}
    assert list(pd.read_parquet(tmp_path / "out/part-00001.parquet").index) == [0, 1, 2]


def test_shapes_are_in_the_box_of_each_part(tmp_path):
    def table(k: int, *box: float) -> pa.Table:
        column = {"encoding": "WKB", "geometry_types": [], "bbox": box}
        told = {"version": "1.0.0", "primary_column": "g", "columns": {"g": column}}
        metadata = {"geo": json.dumps(told), "own": str(k), "hoodie_min_record_key": "1"}
        return pa.table({"k": [k], "g": [b"x"]}).replace_schema_metadata(metadata)

    src = lay(f"{tmp_path}/in", [table(2, 0, 0, 1, 1), table(1, 90, -5, 91, 0)])
    report = dlsort.sort_dataset(src, tmp_path / "out", by="k", threads=1, partitions=2)
    for part in (tmp_path / "out").glob("*.parquet"):
        told = json.loads(pq.read_schema(part).metadata[b"geo"])
        assert told["columns"]["g"]["bbox"] == [0, -5, 91, 1]
    assert report.dropped_metadata == ["own", "hoodie_min_record_key"]
    assert "metadata that is not true of all rows: own; hoodie_min" in report.to_text()
