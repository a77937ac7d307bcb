"""Other formats than Parquet, in files, folders and pipes: as pandas sorts, and read again."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from commands import COMMAND
from commands import dlsort as command
from dlsort.errors import (
    BadOptionError,
    DestinationExistsError,
    DestinationFullError,
    RowsLostError,
)
from dlsort.io.sinks import pour as pour_module
from dlsort.publish import poured

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]),
    max_size=6,
)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-3, 3),
        st.none() | TEXT,
        st.none() | st.integers(-(2**62), 2**62).map(lambda n: n / 8),
        st.none() | st.booleans(),
    ),
    max_size=40,
)
SCHEMA = pa.schema(
    [("k", pa.int64()), ("s", pa.string()), ("f", pa.float64()), ("b", pa.bool_())]
)
TYPES = {"k": "int64", "s": "string", "f": "float64", "b": "bool"}
ENDS = [
    "csv",
    "csv.gz",
    "tsv.zst",
    "jsonl",
    "ndjson.gz",
    "jsonl.zst",
    "arrow",
    "feather",
    "arrows",
]


def sort(src, dst, **options):
    return dlsort.sort_dataset(src, dst, **{"by": "k", "threads": 2, **options})


def source(folder: Path, rows: list[tuple], name: str = "in.parquet") -> Path:
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
        if rows
        else [pa.nulls(0, f.type) for f in SCHEMA],
        schema=SCHEMA,
    )
    pq.write_table(table, folder / name, row_group_size=7)
    return folder / name


def some(folder: Path, n: int = 1_000) -> Path:
    return source(folder, [(-i % 7, f"row {i}", i / 2, i % 3 == 0) for i in range(n)])


def in_order(src: Path) -> list[dict]:
    rows = pq.read_table(src).to_pylist()
    keys = pd.Series([row["k"] for row in rows], dtype="Int64")
    return [rows[i] for i in keys.sort_values(kind="stable", na_position="last").index]


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, end=st.sampled_from(ENDS), partitions=st.integers(1, 4))
def test_what_is_written_is_read_again_in_pandas_order(rows, end, partitions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sinks")
    src, dst = source(folder, rows), folder / f"out.{end}"
    report = sort(src, dst, partitions=partitions)
    assert report.kept_rows == len(rows)
    assert report.output_bytes == dst.stat().st_size
    assert left_in(folder) == ["in.parquet", dst.name]
    if rows or end in ("arrow", "feather"):
        sort(dst, folder / "again", schema=TYPES)
        again = pq.read_table(folder / "again", columns=SCHEMA.names)
        assert again.to_pylist() == in_order(src)


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_null_and_empty_text_are_told_apart_in_csv(tmp_path, monkeypatch, batch_rows):
    monkeypatch.setattr(pour_module, "MOST_ROWS", batch_rows)
    src = source(
        tmp_path, [(2, "", None, None), (1, None, 0.5, True), (3, 'q",\n', -1.0, False)]
    )
    sort(src, tmp_path / "out.csv")
    expected = '"k","s","f","b"\n1,,0.5,true\n2,"",,\n3,"q"",\n",-1,false\n'
    assert (tmp_path / "out.csv").read_text() == expected


def test_packed_files_are_what_their_names_say(tmp_path):
    src = some(tmp_path)
    for end in ("csv", "csv.gz", "csv.zst", "tsv"):
        sort(src, tmp_path / f"out.{end}")
    plain = (tmp_path / "out.csv").read_bytes()
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == plain
    packed = (tmp_path / "out.csv.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain
    assert (tmp_path / "out.tsv").read_bytes() == plain.replace(b",", b"\t")


def test_arrow_keeps_the_types(tmp_path):
    src = tmp_path / "in.parquet"
    table = pa.table(
        {
            "k": pa.array([2, 1, 2], pa.int16()),
            "d": pa.array(["x", None, "y"]).dictionary_encode(),
            "z": pa.array([1, 2, None], pa.timestamp("ns", "Europe/Berlin")),
            "m": pa.array([b"\0", None, b""], pa.binary()),
        }
    )
    pq.write_table(table, src)
    sort(src, tmp_path / "out.feather")
    found = feather.read_table(tmp_path / "out.feather")
    plain = table.set_column(1, "d", table["d"].cast(pa.string()))
    assert found.cast(plain.schema).equals(plain.take([1, 0, 2]))
    assert found.schema.field("z").type == pa.timestamp("ns", "Europe/Berlin")


@pytest.mark.parametrize("output_format", ["csv", "jsonl", "arrow"])
def test_a_folder_has_a_file_a_part(tmp_path, output_format):
    src, dst = some(tmp_path), tmp_path / "out"
    options = {"output_format": output_format}
    sort(src, dst, partitions=3, **options)
    names = [f"part-{i:05}.{output_format}" for i in range(3)]
    assert left_in(dst) == names
    sort(dst, tmp_path / "again", schema=TYPES, strategy="exchange")
    assert pq.read_table(tmp_path / "again").to_pylist() == in_order(src)
    with pytest.raises(DestinationExistsError, match="already holds 3 files"):
        sort(src, dst, partitions=2, **options)
    sort(src, dst, partitions=2, overwrite=True, **options)
    assert left_in(dst) == names[:2]
    (dst / "notes.txt").write_text("mine")
    with pytest.raises(DestinationExistsError, match=rf"no {output_format} dataset: notes.txt"):
        sort(src, dst, overwrite=True, **options)
    assert left_in(dst) == ["notes.txt", *names[:2]]
    sort(src, dst, partitions=1, overwrite="force", **options)
    assert left_in(dst) == names[:1]


def test_one_file_of_any_name(tmp_path):
    src, dst = some(tmp_path), tmp_path / "out.txt"
    sort(src, dst, output_format="jsonl", single_file=True)
    assert [json.loads(line) for line in dst.read_text().splitlines()] == in_order(src)
    with pytest.raises(DestinationExistsError, match="no file of jsonl, by its name"):
        sort(src, dst, output_format="jsonl", single_file=True, overwrite=True)


def test_a_file_is_replaced_only_if_that_is_asked_for(tmp_path):
    src, dst = some(tmp_path), tmp_path / "out.csv"
    dst.write_text("old\n")
    with pytest.raises(DestinationExistsError, match="already holds 1 file"):
        sort(src, dst)
    assert dst.read_text() == "old\n"
    sort(src, dst, overwrite=True)
    assert len(dst.read_text().splitlines()) == 1_001


def test_rows_that_are_lost_on_the_way_are_seen(tmp_path, monkeypatch):
    src, dst = some(tmp_path), tmp_path / "out.csv"
    whole = poured.pour
    monkeypatch.setattr(poured, "pour", lambda *args: whole(*args) - 1)
    dst.write_text("old\n")
    with pytest.raises(RowsLostError, match="1,000 rows were sorted and proved, 999 written"):
        sort(src, dst, overwrite=True)
    assert dst.read_text() == "old\n"
    assert left_in(tmp_path) == ["in.parquet", "out.csv"]


def test_a_full_disk_leaves_the_old(tmp_path, monkeypatch):
    src, dst = some(tmp_path), tmp_path / "out.csv"

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(poured, "pour", full)
    dst.write_text("old\n")
    with pytest.raises(DestinationFullError, match="no space left"):
        sort(src, dst, overwrite=True)
    assert dst.read_text() == "old\n"
    assert left_in(tmp_path) == ["in.parquet", "out.csv"]


def test_a_sort_that_died_while_it_wrote_text_is_resumed(tmp_path, monkeypatch):
    src, dst = some(tmp_path), tmp_path / "out.csv"

    def dies(*_):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(poured, "pour", dies)
        with pytest.raises(RuntimeError):
            sort(src, dst, partitions=3, resume=True)
    assert not dst.exists()
    assert sort(src, dst, partitions=3, resume=True).resumed_parts == 3
    sort(src, tmp_path / "plain.csv")
    assert dst.read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert left_in(tmp_path) == ["in.parquet", "out.csv", "plain.csv"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"compression": "zstd:3"}, r"compression is a codec of Parquet's.*ends in .csv.gz"),
        ({"row_group_rows": 9}, "row_group_rows is of Parquet's row groups"),
        ({"profile": "spark"}, "profile is of Parquet files"),
        ({"partition_by": "b"}, "partition_by is of folders"),
        ({"target_file_size": "1MiB"}, "target_file_size is of Parquet"),
        ({"manifest": False}, "manifest is of Parquet"),
        ({"if_exists": "skip"}, "if_exists is 'skip'"),
    ],
)
def test_what_only_parquet_has_is_refused(tmp_path, options, why):
    src = some(tmp_path)
    with pytest.raises(BadOptionError, match=why):
        sort(src, tmp_path / "out.csv", **options)
    assert left_in(tmp_path) == ["in.parquet"]


def test_places_that_take_no_such_format_are_refused(tmp_path):
    src = some(tmp_path)
    with pytest.raises(BadOptionError, match="in an object store, where only Parquet"):
        sort(src, "memory://b/out", output_format="csv")
    with pytest.raises(BadOptionError, match=r"can't take Parquet: give .*arrow, csv or jsonl"):
        sort(src, "-")
    with pytest.raises(
        BadOptionError, match="resume is given, but the destination is standard"
    ):
        sort(src, "-", output_format="csv", resume=True)
    binary = tmp_path / "binary.parquet"
    pq.write_table(pa.table({"k": [1], "x": [b"1"]}), binary)
    with pytest.raises(BadOptionError, match="column 'x' has binary, which CSV"):
        sort(binary, tmp_path / "out.csv")
    sort(binary, tmp_path / "out.csv", columns="k")
    assert (tmp_path / "out.csv").read_text() == '"k"\n1\n'


def test_columns_of_one_name(tmp_path):
    src = tmp_path / "in.parquet"
    pq.write_table(pa.table([[2, 1], [3, 4], [5, 6]], names=["k", "a", "a"]), src)
    sort(src, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == '"k","a","a"\n1,4,6\n2,3,5\n'
    with pytest.raises(BadOptionError, match="'a' is the name of two columns"):
        sort(src, tmp_path / "out.jsonl")
    assert left_in(tmp_path) == ["in.parquet", "out.csv"]


def test_a_cluster_sorts_what_is_piped_and_written(tmp_path):
    src = some(tmp_path)
    sort(src, tmp_path / "one.csv")
    sort(src, tmp_path / "two.csv", threads=None, workers=2)
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    args = ["sort", src, "-", "--by", "k", "--output-format", "csv", "--workers", 2]
    assert command(*args).stdout_bytes == (tmp_path / "one.csv").read_bytes()


def test_a_destination_that_ends_so_but_is_a_folder_stays_one(tmp_path):
    src, dst = some(tmp_path), tmp_path / "out.csv"
    dst.mkdir()
    sort(src, dst)
    assert left_in(dst) == ["part-00000.parquet"]
    sort(src, tmp_path / "new.csv", output_format="parquet")
    assert left_in(tmp_path / "new.csv") == ["part-00000.parquet"]


# ---------------------------------------------------------------- pipes


def piped(src: Path, *args: str, **how) -> subprocess.CompletedProcess[bytes]:
    words = [*COMMAND, "sort", str(src), "-", "--by", "k", "--threads", "2", *args]
    return subprocess.run(words, capture_output=True, check=False, **how)


@pytest.mark.parametrize("output_format", ["csv", "jsonl", "arrow"])
def test_standard_output_has_the_rows_and_nothing_else(tmp_path, output_format):
    src = some(tmp_path)
    run = piped(src, "--output-format", output_format, "--temp-dir", str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert b"proved" in run.stderr
    if output_format == "arrow":
        found = pa.ipc.open_stream(run.stdout).read_all().to_pylist()
        assert found == in_order(src)
    else:
        sort(src, tmp_path / f"out.{output_format}")
        assert run.stdout == (tmp_path / f"out.{output_format}").read_bytes()
    assert not [name for name in left_in(tmp_path) if name.startswith("dlsort-")]


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    src = some(tmp_path, 50_000)
    words = [*COMMAND, "sort", str(src), "-", "--by", "k", "--no-progress"]
    words += ["--output-format", "csv", "--temp-dir", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b'"k","s","f","b"\n'
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (141, b"")
    assert left_in(tmp_path) == ["in.parquet"]


def test_a_pipe_into_a_pipe(tmp_path):
    src = some(tmp_path)
    first = piped(src, "--output-format", "csv", "--no-progress")
    again = piped(
        Path("-"), "--input-format", "csv", "--output-format", "jsonl", input=first.stdout
    )
    assert [json.loads(line) for line in again.stdout.splitlines()] == in_order(src)


def test_the_report_of_a_pipe_goes_elsewhere(tmp_path):
    src = some(tmp_path)
    args = ["sort", src, "-", "--by", "k", "--output-format", "csv"]
    refused = command(*args, "--report", "-")
    assert refused.exit_code == 2
    assert "standard output is for the rows" in refused.stderr
    written = tmp_path / "report.json"
    done = command(*args, "--report", written)
    assert len(done.stdout.splitlines()) == 1_001
    assert json.loads(written.read_text())["dst"] == "-"


def test_nothing_is_piped_of_what_is_not_proved(tmp_path):
    (tmp_path / "bad.csv").write_text("k,s\n1,2\nno\n")
    run = piped(tmp_path / "bad.csv", "--output-format", "csv", "--no-progress")
    assert (run.returncode, run.stdout) == (2, b"")


def test_a_dry_run_of_a_pipe(tmp_path):
    done = command(
        "sort", some(tmp_path), "-", "--by", "k", "--output-format", "csv", "--dry-run"
    )
    assert done.exit_code == 0, done.stderr
    assert "dry run" in done.stdout
