"""The result as one file: parts put behind one another, published by one rename."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from arrow_data import payload
from commands import dlsort as command
from dlsort.errors import (
    BadOptionError,
    ClusterError,
    DestinationError,
    DestinationExistsError,
    DlsortWarning,
    ResumeError,
)
from dlsort.io.parquet.thrift import read_struct
from dlsort.io.parquet.thrift_out import struct_bytes
from dlsort.publish import to_folder
from dlsort.publish.finished import keep_finished
from dlsort.strategies import part as part_module
from dlsort_cluster.exchange import ExchangeError

N = 20_000


def rows(n: int = N) -> pa.Table:
    rng = np.random.default_rng(2)
    names = [None if i % 7 == 0 else f"name {i % 90}" for i in range(n)]
    lists = [None if i % 11 == 0 else list(range(i % 4)) for i in range(n)]
    return pa.table(
        {
            "id": np.arange(n),
            "k": rng.integers(0, max(n // 3, 1), n),
            "name": pa.array(names, pa.string()),
            "list": pa.array(lists, pa.list_(pa.int32())),
            "x": rng.random(n),
        }
    )


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path, rows())


def write(folder: Path, table: pa.Table) -> Path:
    path = folder / "in.parquet"
    pq.write_table(table, path, row_group_size=1_500)
    return path


def sort(source: Path, name: str = "out.parquet", **options: Any) -> Path:
    how = {"by": "k", "threads": 2, "row_group_rows": 1_000, **options}
    dlsort.sort_dataset(source, source.parent / name, **how)
    return source.parent / name


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"in.parquet", "out.parquet"}


@pytest.mark.parametrize("partitions", [1, 3, 8])
@pytest.mark.parametrize("manifest", [True, False])
def test_all_readers_see_the_rows_of_the_folder(source, partitions, manifest):
    how = {"partitions": partitions, "manifest": manifest}
    out, folder = sort(source, **how), sort(source, "folder", **how)
    wanted = pq.read_table(folder)
    assert out.is_file()
    assert pq.read_table(out).equals(wanted)
    assert pq.read_schema(out).equals(pq.read_schema(next(folder.iterdir())))
    assert pl.read_parquet(out).equals(pl.from_arrow(wanted))
    assert duckdb.sql(f"SELECT * FROM '{out}'").fetchall() == [
        tuple(row.values()) for row in wanted.to_pylist()
    ]
    assert dlsort.check_dataset(out, by="k", against=source).ok


def test_statistics_and_pages_are_where_the_footer_says(source):
    out = sort(source, partitions=4)
    keys = pq.read_table(out)["k"].to_numpy()
    with pq.ParquetFile(out) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    at = 0
    for group in groups:
        told = group.column(1).statistics
        part = keys[at : at + group.num_rows]
        assert (told.min, told.max) == (part[0], part[-1])
        assert group.column(1).has_offset_index
        assert group.sorting_columns[0].column_index == 1
        at += group.num_rows
    assert [group.column(1).file_offset >= 0 for group in groups]
    for low in (0, 3_000, N // 3 - 2):
        wanted = int((keys >= low).sum())
        assert pq.read_table(out, filters=[("k", ">=", low)]).num_rows == wanted
        found = pl.scan_parquet(out).filter(pl.col("k") >= low).select("id").collect()
        assert found.height == wanted
        sql = f"SELECT count(x) FROM '{out}' WHERE k >= {low}"
        assert duckdb.sql(sql).fetchall() == [(wanted,)]


def test_every_type_is_kept(tmp_path):
    table = payload(3_000).append_column("k", pa.array(np.arange(3_000)[::-1]))
    source = write(tmp_path, table)
    out = sort(source, partitions=3)
    assert dlsort.check_dataset(out, by="k", against=source).ok
    assert pq.read_table(out).equals(pq.read_table(sort(source, "folder", partitions=3)))


def test_one_manifest_tells_of_all_parts(source):
    out = sort(source, partitions=4)
    report = dlsort.check_dataset(out, against=source)
    assert report.ok
    keys = np.sort(pq.read_table(source)["k"].to_numpy())
    told = dlsort.distribution(out)
    for value in (0, 100, 5_000, N // 3):
        answer = told.rank(value)
        assert answer.low <= np.searchsorted(keys, value) <= answer.high
    again = dlsort.sort_dataset(source, source.parent / "again", by="k", model=out, threads=2)
    assert again.rows == N


def test_an_empty_source_is_a_file_without_rows(tmp_path):
    out = sort(write(tmp_path, rows(0)))
    assert pq.read_table(out).num_rows == 0
    assert pq.read_schema(out).names == ["id", "k", "name", "list", "x"]


def test_the_flag_makes_a_file_of_any_name(source):
    assert sort(source, "sorted.pq", single_file=True).is_file()
    assert (
        command("sort", source, source.parent / "b.dat", "--by", "k", "--single-file").exit_code
        == 0
    )
    assert pq.read_table(source.parent / "b.dat").num_rows == N


def test_a_slash_at_the_end_makes_a_folder(source):
    dlsort.sort_dataset(source, f"{source.parent}/out.parquet/", by="k", threads=2)
    assert (source.parent / "out.parquet").is_dir()
    sort(source, overwrite=True)  # as it was one before
    assert (source.parent / "out.parquet").is_dir()


def test_a_file_that_is_there_is_replaced_only_if_that_is_wanted(source):
    out = sort(source, by="x")
    out.chmod(0o640)
    before = out.read_bytes()
    with pytest.raises(DestinationExistsError, match=r"already holds 1 file\. Pass overwrite"):
        sort(source)
    assert out.read_bytes() == before
    sort(source, overwrite=True)
    assert dlsort.check_dataset(out).by == "k"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert not left_in(source.parent)


def test_a_file_is_sorted_in_place(source):
    before = pq.read_table(source)
    dlsort.sort_dataset(source, source, by="k", overwrite=True, threads=2)
    assert source.is_file()
    wanted = before.to_pandas().sort_values("k", kind="stable").reset_index(drop=True)
    assert pq.read_table(source)["id"].to_pylist() == wanted["id"].tolist()


def test_what_is_no_parquet_is_not_replaced(source):
    out = source.parent / "out.parquet"
    out.write_text("notes of many years")
    with pytest.raises(DestinationExistsError, match="is no Parquet file"):
        sort(source, overwrite=True)
    assert out.read_text() == "notes of many years"
    sort(source, overwrite="force")
    assert pq.read_table(out).num_rows == N


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_others_write_there_meanwhile_is_kept(source, monkeypatch, overwrite):
    out = source.parent / "out.parquet"
    if overwrite:
        sort(source)
    check = dlsort.dataset.check_visible

    def check_and_write(*args: Any) -> Any:
        out.write_text("theirs")
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_write)
    with pytest.raises(DestinationError, match="filled by someone meanwhile"):
        sort(source, overwrite=overwrite)
    assert out.read_text() == "theirs"
    assert not left_in(source.parent)


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("can_link", [True, False])
def test_file_systems_without_exchange_or_links(source, monkeypatch, can_exchange, can_link):
    if not can_exchange:
        monkeypatch.setattr(to_folder, "_exchange", lambda *_: False)
    if not can_link:

        def refuse(*_: Any) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    sort(source, by="x")
    out = sort(source, overwrite=True)
    assert dlsort.check_dataset(out, against=source).by == "k"
    assert not left_in(source.parent)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"partition_by": "name"}, "is to be one file, .* which partition_by .* excludes"),
        ({"target_file_size": 1000}, "which target_file_size .* excludes; name a folder"),
        ({"partition_by": "name", "single_file": True}, "exclude each other"),
    ],
)
def test_what_makes_several_files_is_refused(source, how, says):
    with pytest.raises(BadOptionError, match=says):
        sort(source, **how)
    assert not left_in(source.parent)


def test_a_folder_and_a_store_are_refused(source):
    (source.parent / "there").mkdir()
    with pytest.raises(DestinationExistsError, match="is a folder, but one file"):
        sort(source, "there", single_file=True)
    with pytest.raises(BadOptionError, match="in an object store a folder"):
        dlsort.sort_dataset(source, "memory://one/out", by="k", single_file=True)


def test_parts_that_are_finished_are_used_again(source, monkeypatch):
    done: list[int] = []

    def keep(folder: str, *args: Any) -> None:
        if len(done) == 2:
            msg = "the scheduler went away."
            raise ExchangeError(msg)
        keep_finished(folder, *args)
        done.append(1)

    how = {"partitions": 5, "threads": 1}
    with monkeypatch.context() as patched:
        patched.setattr(part_module, "keep_finished", keep)
        with pytest.raises(ClusterError):
            sort(source, **how)
    with pytest.raises(ResumeError, match="single_file"):
        dlsort.sort_dataset(
            source,
            f"{source.parent}/out.parquet/",
            by="k",
            resume=True,
            row_group_rows=1_000,
            **how,
        )
    out = source.parent / "out.parquet"
    report = dlsort.sort_dataset(source, out, by="k", resume=True, row_group_rows=1_000, **how)
    assert report.resumed_parts == 2
    assert out.read_bytes() == sort(source, "undisturbed.parquet", **how).read_bytes()
    assert left_in(source.parent) == {"undisturbed.parquet"}


def test_a_client_that_ended_once_it_had_published_is_told_so(source, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("dlsort.publish.staging.remove_folder", lambda _: None)
        with pytest.warns(DlsortWarning, match="is complete, but old files"):
            out = sort(source, partitions=3)
    assert left_in(source.parent)
    before = out.read_bytes()
    report = dlsort.sort_dataset(
        source, out, by="k", resume=True, row_group_rows=1_000, partitions=3, threads=2
    )
    assert report.rows == N
    assert out.read_bytes() == before
    assert not left_in(source.parent)


def test_more_row_groups_than_a_file_can_have_are_made_longer(tmp_path):
    table = pa.table({"k": np.arange(40_000)[::-1]})
    out = sort(write(tmp_path, table), row_group_rows=1, partitions=3)
    assert pq.read_metadata(out).num_row_groups <= 32_767
    assert pq.read_table(out)["k"].to_pylist() == list(range(40_000))


def test_a_footer_is_written_as_it_was_read(source):
    data = source.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    read, _ = read_struct(footer)
    assert struct_bytes(read) == footer
