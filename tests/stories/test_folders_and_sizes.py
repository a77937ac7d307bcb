"""Results of several files a part: of a size, or in folders that tell columns."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from commands import dlsort as command
from dlsort.errors import BadOptionError, ClusterError, ResumeError, UnknownColumnError
from dlsort.io.hive_folders import folder_runs, with_told_columns
from dlsort.publish.finished import finished_parts, keep_finished
from dlsort.publish.manifest import read_manifest
from dlsort.strategies import part as part_module
from dlsort_cluster.exchange import ExchangeError

KIB = 2**10
ODD = ["a", "b/c", "x=y", "50%", "a b", "+", "é", "ü/日本", "'q'", 'd"q', "#?*[]:\\", None]
ODD += [".."]


def rows(n: int = 6_000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": pa.array(np.arange(n)),
            "k": pa.array(rng.integers(0, n // 3, n)),
            "day": pa.array(rng.integers(19_000, 19_005, n).astype("int32")).cast(pa.date32()),
            "name": pa.array([ODD[i] for i in rng.integers(0, len(ODD), n)]),
            "x": pa.array(rng.random(n)),
        }
    )


def write(folder: Path, table: pa.Table, n_files: int = 3) -> Path:
    folder.mkdir()
    size = -(-table.num_rows // n_files)
    for i in range(n_files):
        piece = table.slice(i * size, size)
        pq.write_table(piece, folder / f"{i}.parquet", row_group_size=500)
    return folder


def sort(source: Path, name: str = "out", **options: Any) -> Path:
    out = source.parent / name
    dlsort.sort_dataset(source, out, **{"by": "k", "threads": 2, **options})
    return out


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(folder.iterdir())]


def expected(table: pa.Table, by: list[str]) -> Any:
    """Return pandas' stable sort, as the oracle."""
    return table.to_pandas().sort_values(by, kind="stable").reset_index(drop=True)


# ---------------------------------------------------------------- compression


@pytest.mark.parametrize(
    ("low", "high"), [("zstd:1", "zstd:19"), ("gzip:1", "gzip:9"), ("brotli:0", "brotli:9")]
)
def test_a_higher_level_makes_smaller_files_of_the_same_rows(tmp_path, low, high):
    source = write(tmp_path / "in", rows(20_000).drop_columns(["x"]))
    found = [sort(source, name, compression=name.replace("_", ":")) for name in (low, high)]
    codec = low.partition(":")[0].upper()
    for out in found:
        chunk = pq.ParquetFile(next(out.iterdir())).metadata.row_group(0).column(0)
        assert chunk.compression == codec
    assert sum(sizes(found[1])) < sum(sizes(found[0]))
    assert pq.read_table(found[0]).equals(pq.read_table(found[1]))


@pytest.mark.parametrize(
    ("codec", "says"),
    [
        ("zstd:23", "expected a level of zstd from 1 to 22"),
        ("gzip:0", "expected a level of gzip from 1 to 9"),
        ("zstd:", "expected a level of zstd from 1 to 22"),
        ("snappy:1", "snappy has no levels; leave it out"),
        ("rar:1", "expected one of snappy, zstd"),
    ],
)
def test_a_level_that_a_codec_has_not_is_refused(tmp_path, codec, says):
    source = write(tmp_path / "in", rows(10))
    with pytest.raises(BadOptionError, match=says):
        sort(source, compression=codec)
    assert not (tmp_path / "out").exists()


def test_a_level_is_part_of_the_job_that_is_resumed(tmp_path, monkeypatch):
    source = write(tmp_path / "in", rows())
    broken_off(source, monkeypatch, 1, partitions=4, compression="zstd:1")
    with pytest.raises(ResumeError, match=r"zstd:2.*zstd:1"):
        sort(source, partitions=4, compression="zstd:2", resume=True)


# ---------------------------------------------------------------- files of a size


@pytest.mark.parametrize("target", [20 * KIB, 64 * KIB, 200 * KIB])
@pytest.mark.parametrize("strategy", ["exchange", "auto"])
def test_files_have_about_the_size_that_is_wanted(tmp_path, target, strategy):
    table = rows(60_000).select(["id", "k", "x"])
    source = write(tmp_path / "in", table)
    how = {"target_file_size": target, "strategy": strategy, "compression": "zstd:3"}
    out = sort(source, **how)
    assert 0.75 * target <= median(sizes(out)) <= 1.25 * target
    got = pa.concat_tables(pq.read_table(path) for path in sorted(out.iterdir()))
    assert got.to_pandas().equals(expected(table, ["k"]))
    assert dlsort.check_dataset(out, against=source).ok


def test_a_result_smaller_than_a_file_is_one(tmp_path):
    out = sort(write(tmp_path / "in", rows(100)), target_file_size="1GiB")
    assert [path.name for path in out.iterdir()] == ["part-00000-0000.parquet"]


def test_files_have_a_size_though_no_row_of_the_sample_is_kept(tmp_path):
    pq.write_table(pa.table({"k": [2, 1, 3]}), tmp_path / "in.parquet")
    for where, kept in (("k + 0 > 9", []), ("k + 0 > 1", [2, 3])):
        out = tmp_path / f"out{len(kept)}"
        how = {"by": "k", "where": where, "target_file_size": "4KiB"}
        dlsort.sort_dataset(tmp_path / "in.parquet", out, **how)
        assert pq.read_table(out)["k"].to_pylist() == kept


def test_rows_that_grow_longer_do_not_make_files_longer(tmp_path):
    rng, n = np.random.default_rng(1), 20_000
    texts = [rng.bytes(i // 100).hex() for i in range(n)]
    source = write(tmp_path / "in", pa.table({"k": np.arange(n), "text": texts}))
    target = 128 * KIB
    out = sort(source, target_file_size=target, row_group_rows=500, compression="none")
    assert max(sizes(out)) <= 1.5 * target


def test_the_footers_of_the_files_of_a_part_tell_their_keys(tmp_path):
    source = write(tmp_path / "in", rows(60_000))
    out = sort(source, target_file_size=64 * KIB)
    told = dlsort.distribution(out)
    keys = sorted(pq.read_table(source)["k"].to_pylist())
    for value in (0, 100, 5_000, 19_999):
        answer = told.rank(value)
        assert answer.low <= sum(key < value for key in keys) <= answer.high
    again = dlsort.sort_dataset(source, tmp_path / "again", by="k", model=out, threads=2)
    assert again.rows == 60_000


@pytest.mark.parametrize("which", [0, 2, -1])
def test_a_missing_file_of_a_part_is_found_out(tmp_path, which):
    out = sort(write(tmp_path / "in", rows(60_000)), target_file_size=64 * KIB)
    sorted(out.iterdir())[which].unlink()
    report = dlsort.check_dataset(out)
    assert not report.ok
    assert any("missing" in why for why in report.differences)


# ---------------------------------------------------------------- folders


def read_with(reader: str, out: Path) -> list[tuple[Any, ...]]:
    """Return all rows as (id, day, name), as a reader sees them; sorted by id."""
    if reader == "pyarrow":
        kinds = pa.schema([("day", pa.date32()), ("name", pa.string())])
        table = ds.dataset(out, partitioning=ds.partitioning(kinds, flavor="hive")).to_table()
        found = table.select(["id", "day", "name"]).to_pylist()
        return sorted((row["id"], row["day"], row["name"]) for row in found)
    if reader == "duckdb":
        types = "{'day': DATE, 'name': VARCHAR}"
        how = f"hive_partitioning=true, hive_types={types}"
        sql = f"SELECT id, day, name FROM read_parquet('{out}/*/*/*.parquet', {how})"
        return sorted(duckdb.sql(sql).fetchall())
    if reader == "polars":
        kinds = {"day": pl.Date, "name": pl.String}
        frame = pl.scan_parquet(out, hive_partitioning=True, hive_schema=kinds).collect()
        return sorted(frame.select("id", "day", "name").rows())
    again = out.parent / "again"
    dlsort.sort_dataset(out, again, by="id", hive_types="day:date32,name:string", threads=2)
    found = pq.read_table(again).to_pylist()
    return [(row["id"], row["day"], row["name"]) for row in found]


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb", "polars", "dlsort"])
def test_readers_of_folders_see_the_same_rows(tmp_path, reader):
    table = rows()
    out = sort(write(tmp_path / "in", table), partition_by=["day", "name"])
    wanted = table.select(["id", "day", "name"]).to_pylist()
    assert read_with(reader, out) == [tuple(row.values()) for row in wanted]


@pytest.mark.parametrize("how", [{}, {"partition_size": 40_000}, {"target_file_size": 4 * KIB}])
def test_rows_are_sorted_in_each_folder_and_equal_keys_keep_their_order(tmp_path, how):
    table = rows()
    source = write(tmp_path / "in", table)
    out = sort(source, partition_by="day", **how)
    frame = table.to_pandas()
    for day, of_day in frame.groupby("day"):
        files = sorted((out / f"day={day}").iterdir())
        got = pa.concat_tables(pq.ParquetFile(path).read() for path in files)
        wanted = of_day.drop(columns="day").sort_values("k", kind="stable")
        assert got.to_pandas().equals(wanted.reset_index(drop=True))
    assert len(list(out.iterdir())) == frame["day"].nunique()
    assert dlsort.check_dataset(out).ok
    assert dlsort.check_dataset(out, against=source, hive_types="day:date32").ok


@pytest.mark.parametrize(
    "values",
    [
        pa.array([3, -1, None, 7] * 50, pa.int8()),
        pa.array([True, False, None, True] * 50),
        pa.array([Decimal("1.50"), Decimal("-2.25"), None, Decimal("0.00")] * 50),
        pa.array([datetime(2024, 1, 1, 12, 30, 0, 5), None] * 100, pa.timestamp("us")),
        pa.array([datetime(2024, 1, 1), None] * 100, pa.timestamp("ms", "UTC")),
        pa.array([date(2024, 2, 29), date(1, 1, 1)] * 100),
        pa.array(["b", None, "a", "b"] * 50).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_values_are_read_as_they_were(tmp_path, values):
    table = pa.table({"id": np.arange(len(values)), "p": values})
    source = write(tmp_path / "in", table)
    out = sort(source, by="id:desc", partition_by="p")
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    report = dlsort.check_dataset(out, against=source, hive_types={"p": kind})
    assert report.ok, report


def test_thousands_of_folders_are_one_open_file_at_a_time(tmp_path):
    n = 3_000
    rng = np.random.default_rng(3)
    table = pa.table({"k": rng.permutation(4 * n), "p": rng.permutation(4 * n) % n})
    source = write(tmp_path / "in", table)
    out = sort(source, partition_by="p")
    assert {path.name for path in out.iterdir()} == {f"p={i}" for i in range(n)}
    files = sum(len(list(folder.iterdir())) for folder in out.iterdir())
    assert files <= n + 8  # a folder that two parts meet in has a file of each
    assert dlsort.check_dataset(out, against=source, hive_types="p:int64").ok


@pytest.mark.parametrize("by", ["day,k", "k", "day", "k:desc,day:desc"])
def test_the_key_may_hold_the_columns_that_are_folders(tmp_path, by):
    source = write(tmp_path / "in", rows())
    out = sort(source, by=by, partition_by="day")
    first = next(out.rglob("*.parquet"))
    keys = read_manifest(pq.read_metadata(first).metadata).by
    assert [key.column for key in keys] == (["day"] if by == "day" else ["k"])
    assert dlsort.check_dataset(out).ok


def test_rows_out_of_order_in_a_folder_are_found_out(tmp_path):
    out = sort(write(tmp_path / "in", rows()), partition_by="day")
    path = next(out.rglob("*.parquet"))
    with pq.ParquetFile(path) as file:
        table, metadata = file.read(), file.metadata.metadata
    turned = table.take(np.arange(table.num_rows)[::-1])
    pq.write_table(turned.replace_schema_metadata({b"dlsort": metadata[b"dlsort"]}), path)
    assert dlsort.check_dataset(out).disorder is not None


def test_a_missing_file_of_a_folder_is_found_out(tmp_path):
    source = write(tmp_path / "in", rows())
    out = sort(source, partition_by="day", threads=1)
    sorted(out.rglob("*.parquet"))[1].unlink()
    report = dlsort.check_dataset(out)
    assert any("missing" in why for why in report.differences)


def test_a_dataset_without_rows_keeps_its_columns(tmp_path):
    source = write(tmp_path / "in", rows(0), 1)
    out = sort(source, partition_by="day")
    (path,) = out.rglob("*.parquet")
    assert path.parent.name == "day=__HIVE_DEFAULT_PARTITION__"
    assert pq.ParquetFile(path).schema_arrow.names == ["id", "k", "name", "x"]


NESTED = pa.table({"k": [1], "s": [{"a": 1}], "f": [1.5], "b": [b"x"], "_h": [1], "a=b": [1]})


@pytest.mark.parametrize(
    ("columns", "error", "says"),
    [
        ("f", BadOptionError, "has 'f', of type double; expected a column of whole numbers"),
        ("s", BadOptionError, "has 's', of type struct<a: int64>; expected"),
        ("b", BadOptionError, "has 'b', of type binary; expected"),
        ("_h", BadOptionError, "has '_h', which not all readers take for a folder's column"),
        ('"a=b"', BadOptionError, "has 'a=b', which not all readers take"),
        ("K", UnknownColumnError, "which is none of the source's columns: .* mean 'k'"),
        ("k,k", BadOptionError, "names a column twice"),
        ("", BadOptionError, "expected names such as 'day,price'"),
    ],
)
def test_what_can_be_no_folder_is_refused(tmp_path, columns, error, says):
    source = write(tmp_path / "in", NESTED, 1)
    with pytest.raises(error, match=says):
        sort(source, partition_by=columns)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("value", ["", "__HIVE_DEFAULT_PARTITION__", "x" * 300, "/" * 90])
def test_a_value_that_would_be_read_as_another_is_refused(tmp_path, value):
    table = pa.table({"k": range(100), "p": ["a"] * 99 + [value]})
    source = write(tmp_path / "in", table)
    with pytest.raises(BadOptionError, match=r"partition_by \(--partition-by\) has 'p'"):
        sort(source, partition_by="p")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_all_columns_can_not_be_folders(tmp_path):
    source = write(tmp_path / "in", pa.table({"k": [1], "p": [2]}), 1)
    with pytest.raises(BadOptionError, match="has all columns of the source"):
        sort(source, partition_by=["p", "k"])


def test_the_command_has_the_options_too(tmp_path):
    source = write(tmp_path / "in", rows(60_000))
    how = ("--partition-by", "day", "--target-file-size", "64KiB", "--compression", "zstd:5")
    result = command("sort", str(source), str(tmp_path / "out"), "--by", "k", *how)
    assert result.exit_code == 0, result.stderr
    assert command("check", str(tmp_path / "out")).exit_code == 0


@given(
    st.lists(st.tuples(st.none() | st.text(max_size=8), st.none() | st.integers(-3, 3))),
)
@settings(max_examples=60, deadline=None)
def test_runs_are_those_of_equal_values_and_tell_them(values):
    values = [(text, n) for text, n in values if text not in ("", "__HIVE_DEFAULT_PARTITION__")]
    texts, numbers = zip(*values, strict=True) if values else ((), ())
    table = pa.table({"a": pa.array(texts, pa.string()), "b": pa.array(numbers, pa.int16())})
    table = table.append_column("row", pa.array(range(len(values)), pa.int64()))
    found = []
    for folder, run in folder_runs(table, ["a", "b"], table.schema):
        told = with_told_columns(run.select(["row"]), f"{folder}x", ["a", "b"], table.schema)
        assert len(set(zip(told["a"].to_pylist(), told["b"].to_pylist(), strict=True))) == 1
        found.append(told)
    if found:
        got = pa.concat_tables(found).select(["a", "b", "row"])
        assert got.to_pylist() == table.to_pylist()
    folders = [folder for folder, _ in folder_runs(table, ["a", "b"], table.schema)]
    assert all(one != other for one, other in pairwise(folders))


# ---------------------------------------------------------------- stopped, and resumed


def broken_off(source: Path, monkeypatch, n_parts: int, **how: Any) -> None:
    """Have a sort lose its cluster once so many parts are finished."""
    done: list[int] = []

    def keep(folder: str, *args: Any) -> None:
        if len(done) == n_parts:
            msg = "the scheduler went away."
            raise ExchangeError(msg)
        keep_finished(folder, *args)
        done.append(1)

    with monkeypatch.context() as patched:
        patched.setattr(part_module, "keep_finished", keep)
        with pytest.raises(ClusterError):
            sort(source, threads=1, **how)


HOW = [
    {"partition_by": ["day", "name"], "partition_size": 60_000},
    {"target_file_size": 8 * KIB, "memory": "1GiB"},
]


@pytest.mark.parametrize("how", HOW, ids=["folders", "size"])
def test_a_sort_that_ended_between_files_is_resumed(tmp_path, monkeypatch, how):
    source = write(tmp_path / "in", rows(20_000))
    broken_off(source, monkeypatch, 1, **how)
    (kept,) = tmp_path.glob(".out.*.partial")
    (strategy,) = [path for path in kept.iterdir() if path.is_dir()]
    assert len(finished_parts(str(strategy))) == 1
    undisturbed = sort(source, "undisturbed", threads=1, **how)
    report = dlsort.sort_dataset(
        source, tmp_path / "out", by="k", threads=1, resume=True, **how
    )
    assert report.resumed_parts == 1
    assert tree(tmp_path / "out") == tree(undisturbed)
    assert not list(tmp_path.glob(".out*"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def test_a_finished_file_that_was_spoiled_is_made_again(tmp_path, monkeypatch):
    how = HOW[0]
    source = write(tmp_path / "in", rows(20_000))
    broken_off(source, monkeypatch, 1, **how)
    (kept,) = tmp_path.glob(".out.*.partial")
    path = next(kept.rglob("parts/*/*/*.parquet"))
    data = bytearray(path.read_bytes())
    data[20] ^= 255
    path.write_bytes(data)
    report = dlsort.sort_dataset(
        source, tmp_path / "out", by="k", threads=1, resume=True, **how
    )
    assert dlsort.check_dataset(tmp_path / "out").ok
    assert report.rows == 20_000


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"partition_by": "day"}, "partition_by"),
        ({}, "partition_by"),
        ({"partition_by": ["day", "name"], "target_file_size": KIB}, "target_file_size"),
    ],
)
def test_another_job_is_not_resumed(tmp_path, monkeypatch, other, says):
    source = write(tmp_path / "in", rows())
    broken_off(source, monkeypatch, 1, partition_by=["day", "name"], partition_size=60_000)
    with pytest.raises(ResumeError, match=says):
        sort(source, resume=True, **other)


def test_worker_processes_make_the_same_files(tmp_path):
    source = write(tmp_path / "in", rows())
    how = {"partition_by": ["day", "name"], "target_file_size": 16 * KIB, "profile": "spark"}
    here = sort(source, **how, strategy="exchange")
    there = sort(source, "there", **how, strategy="exchange", workers=2, threads=2)
    assert tree(here) == tree(there)
    assert dlsort.check_dataset(there, against=here).ok


def test_a_value_is_refused_in_the_same_words_by_worker_processes(tmp_path):
    source = write(tmp_path / "in", pa.table({"k": range(9), "p": ["a"] * 8 + [""]}))
    with pytest.raises(BadOptionError, match=r"has 'p', which is '' in some row"):
        sort(source, partition_by="p", workers=2, threads=2)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_folders_replace_what_was_there(tmp_path):
    source = write(tmp_path / "in", rows())
    out = sort(source, partition_by=["day", "name"])
    before = tree(out)
    with pytest.raises(dlsort.DlsortError, match="already holds"):
        sort(source, partition_by="day")
    assert tree(out) == before
    sort(source, partition_by="day", overwrite=True)
    assert {len(Path(name).parts) for name in tree(out)} == {2}
    assert not list(tmp_path.glob(".out*"))


def test_folders_in_a_store(tmp_path):
    import fsspec

    place = "memory://folders-of-a-sort"
    source = write(tmp_path / "in", rows())
    for n in range(2):
        dlsort.sort_dataset(
            source,
            f"{place}/out",
            by="k",
            partition_by=["day", "name"],
            threads=2,
            overwrite=n > 0,
        )
        found = dlsort.check_dataset(
            f"{place}/out", against=source, hive_types="day:date32,name:string"
        )
        assert found.ok, found
    store = fsspec.filesystem("memory")
    names = store.find("/folders-of-a-sort")
    assert sum(name.endswith("_SUCCESS") for name in names) == 1
    assert not [name for name in names if ".partial" in name]
    store.rm("/folders-of-a-sort", recursive=True)
