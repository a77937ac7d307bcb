"""The command line when all goes well."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

import dlsort
from commands import COMMAND, contents, dataset, process, read, rows, sort, sorted_well, write
from commands import dlsort as command
from dlsort import __version__
from dlsort.cli.stop import Stopped, Watched
from dlsort.strategies import opened
from dlsort.terminal.progress import NoProgress


def check(*args: object, by: str = "id") -> None:
    result = command("check", *args, "--by", by)
    assert result.exit_code == 0, result.output


# ---------------------------------------------------------------- help


HEAVY = {"numpy", "pandas", "pyarrow", "numba", "dask", "distributed", "rich"}


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["sort", "--help"], ["check", "-h"]], ids=" ".join
)
def test_help_imports_nothing_heavy(args):
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], *args],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in told.stderr.splitlines()}
    assert "click" in imported  # else the listing is not what it is taken for
    assert not HEAVY & imported


@pytest.mark.parametrize("how", ["--by id", "--by note,id:desc", "--by price --partitions 3"])
def test_a_small_sort_imports_what_it_needs(tmp_path, how):
    """Neither pandas nor Dask nor a compiler: their imports take longer than such a sort."""
    write(tmp_path / "in.parquet")
    args = ["sort", "in.parquet", "out", *how.split()]
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in told.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rsplit("|", 1)[1].strip() for line in lines}
    assert "pyarrow.parquet" in imported
    assert not {"dask", "distributed", "fsspec", "numba", "pandas"} & imported


def test_help_shows_an_example():
    shown = process("--help")
    assert shown.returncode == 0
    assert "dlsort sort events/ sorted/" in shown.stdout


def test_help_tells_every_option():
    shown = command("sort", "--help").output
    for option in (
        *("--by", "--scheduler", "--workers", "--threads", "--partitions", "--partition-size"),
        *(
            "--memory",
            "--temp-dir",
            "--compression",
            "--overwrite",
            "--report",
            "--no-progress",
        ),
    ):
        assert option in shown
    assert "day,price:desc,note:asc:nulls_first" in shown


def test_the_version_is_told():
    assert command("--version").output == f"dlsort {__version__}\n"


# ---------------------------------------------------------------- sources


def test_a_folder(tmp_path):
    dataset(tmp_path / "in")
    result = sorted_well(tmp_path / "in", tmp_path / "out", "--partitions", 3)
    assert result.stderr == ""
    assert "1,200 rows by id" in result.stdout
    assert "proved" in result.stdout
    check(tmp_path / "out", "--against", tmp_path / "in")
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]


def test_a_single_file(tmp_path):
    path = write(tmp_path / "any name")
    sorted_well(path, tmp_path / "out")
    check(tmp_path / "out", "--against", path)


def test_a_glob(tmp_path):
    dataset(tmp_path / "in")
    write(tmp_path / "in" / "other.pq")
    sorted_well(tmp_path / "in" / "[01].parquet", tmp_path / "out")
    assert read(tmp_path / "out").num_rows == 800


def test_a_nested_folder_without_its_hidden_files(tmp_path):
    dataset(tmp_path / "in" / "2024" / "01")
    dataset(tmp_path / "in" / "2024" / "02", 1)
    write(tmp_path / "in" / "_tmp" / "a.parquet")
    write(tmp_path / "in" / "2024" / ".a.parquet.crc")
    (tmp_path / "in" / "_SUCCESS").touch()
    sorted_well(tmp_path / "in", tmp_path / "out")
    assert read(tmp_path / "out").num_rows == 1600


@pytest.mark.parametrize("partitions", [(), ("--partitions", 3)])
@pytest.mark.parametrize("n", [0, 1])
def test_a_source_of_no_row_or_one(tmp_path, n, partitions):
    write(tmp_path / "in" / "0.parquet", rows(1).slice(0, n))
    sorted_well(tmp_path / "in", tmp_path / "out", *partitions)
    assert read(tmp_path / "out").equals(pq.read_table(tmp_path / "in" / "0.parquet"))
    check(tmp_path / "out", "--against", tmp_path / "in")


def test_a_file_without_row_groups_among_others(tmp_path):
    dataset(tmp_path / "in")
    pq.ParquetWriter(tmp_path / "in" / "1a.parquet", rows().schema).close()
    assert pq.ParquetFile(tmp_path / "in" / "1a.parquet").num_row_groups == 0
    sorted_well(tmp_path / "in", tmp_path / "out", "--partitions", 2)
    check(tmp_path / "out", "--against", tmp_path / "in")


@pytest.mark.parametrize("partitions", [(), ("--partitions", 3)])
def test_a_file_without_row_groups_alone(tmp_path, partitions):
    pq.ParquetWriter(tmp_path / "a.parquet", rows().schema).close()
    sorted_well(tmp_path / "a.parquet", tmp_path / "out", *partitions)
    assert read(tmp_path / "out").equals(rows().slice(0, 0))
    check(tmp_path / "out", "--against", tmp_path / "a.parquet")


def test_names_with_spaces_and_signs(tmp_path):
    source = dataset(tmp_path / "los datos [año 1]" / "日本 #%")
    target = tmp_path / "out 'ñ' [x]" / "sorted, all"
    sorted_well(source, target)
    check(target, "--against", source)
    assert os.listdir(target.parent) == [target.name]  # noqa: PTH208 - hidden ones too


def test_relative_paths(tmp_path, monkeypatch):
    dataset(tmp_path / "in")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sorted_well("../in", "out", "--report", "r.json")
    sorted_well("../in", "../new/out")
    check("out", "--against", "../in")
    check("../new/out", "--against", "out")
    assert (tmp_path / "here" / "r.json").is_file()


@pytest.mark.parametrize("column", ["a.b", "c d:e", "ü"])
def test_columns_with_unusual_names(tmp_path, column):
    table = pa.table({"a": [3, 1, 2], "a.b": [1, 3, 2], "c d": [2, 3, 1], "ü": [3, 2, 1]})
    write(tmp_path / "in.parquet", table)
    by = column if column != "c d:e" else "c d:desc"
    sorted_well(tmp_path / "in.parquet", tmp_path / "out", by=by)
    check(tmp_path / "out", "--against", tmp_path / "in.parquet", by=by)


def test_a_flat_column_named_like_a_field_of_a_struct(tmp_path):
    table = pa.table({"c": [{"d": 1}, {"d": 0}], "c.d": [8, 7]})
    write(tmp_path / "in.parquet", table)
    sorted_well(tmp_path / "in.parquet", tmp_path / "out", "--partitions", 2, by="c.d")
    check(tmp_path / "out", "--against", tmp_path / "in.parquet", by="c.d")
    assert read(tmp_path / "out")["c.d"].to_pylist() == [7, 8]


# ---------------------------------------------------------------- options


def test_several_keys_with_directions_and_null_places(tmp_path):
    dataset(tmp_path / "in")
    by = "note:desc:nulls_first, id : asc,price:desc"
    sorted_well(tmp_path / "in", tmp_path / "out", by=by)
    check(tmp_path / "out", "--against", tmp_path / "in", by=by)
    got = read(tmp_path / "out").select(["note", "id", "price"]).to_pydict()
    keys = list(zip(*got.values(), strict=True))
    want = sorted(keys, key=lambda row: (row[1], -row[2]))
    want.sort(key=lambda row: (row[0] is None, row[0] or ""), reverse=True)
    assert keys == want


@pytest.mark.parametrize("codec", ["snappy", "ZSTD", "gzip", "lz4", "brotli", "none"])
def test_every_codec(tmp_path, codec):
    write(tmp_path / "in.parquet")
    sorted_well(tmp_path / "in.parquet", tmp_path / "out", "--compression", codec)
    chunk = pq.ParquetFile(tmp_path / "out/part-00000.parquet").metadata.row_group(0).column(0)
    assert chunk.compression.lower() == codec.lower().replace("none", "uncompressed")


@pytest.mark.parametrize("n_rows", [1, 7, 1000])
def test_row_groups_are_written_as_asked(tmp_path, n_rows):
    write(tmp_path / "in.parquet", pa.table({"id": np.arange(50)[::-1], "v": np.arange(50)}))
    sorted_well(tmp_path / "in.parquet", tmp_path / "out", "--row-group-rows", n_rows)
    metadata = pq.ParquetFile(tmp_path / "out/part-00000.parquet").metadata
    sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    assert sizes == [n_rows] * (50 // n_rows) + [50 % n_rows] * (50 % n_rows > 0)


def test_a_partition_size_decides_the_number_of_parts(tmp_path):
    n = 50_000
    table = pa.table({"id": np.arange(n)[::-1], "v": np.arange(n)})
    write(tmp_path / "in.parquet", table, row_group_size=5000)
    sorted_well(tmp_path / "in.parquet", tmp_path / "out", "--partition-size", "100kB")
    assert len(list((tmp_path / "out").iterdir())) == 8


def test_overwrite_replaces_all_that_was_there(tmp_path):
    source = dataset(tmp_path / "in")
    sorted_well(source, tmp_path / "out", "--partitions", 5)
    sorted_well(source, tmp_path / "out", "--partitions", 2, "--overwrite", by="price")
    assert len(list((tmp_path / "out").iterdir())) == 2
    check(tmp_path / "out", "--against", source, by="price")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_an_empty_destination_needs_no_overwrite(tmp_path):
    (tmp_path / "out").mkdir()
    sorted_well(dataset(tmp_path / "in"), tmp_path / "out")
    assert read(tmp_path / "out").num_rows == 1200


def test_the_report_as_json(tmp_path):
    source, target = dataset(tmp_path / "in"), tmp_path / "out"
    args = ["--partitions", 4, "--threads", 2, "--memory", "2GiB", "--temp-dir", tmp_path]
    sorted_well(source, target, *args, "--report", tmp_path / "r.json", by="id:desc")
    report = json.loads((tmp_path / "r.json").read_text())
    sizes = [pq.ParquetFile(path).metadata.num_rows for path in sorted(target.iterdir())]
    facts = {
        "src": str(source),
        "dst": str(target),
        "by": "id:desc",
        "rows": 1200,
        "input_files": 3,
        "output_parts": 4,
        "part_rows": sizes,
        "output_bytes": sum(path.stat().st_size for path in target.iterdir()),
        "proved": True,
        "workers": 0,
        "threads": 2,
        "spilled_bytes": 0,
    }
    assert {name: report[name] for name in facts} == facts
    assert report["balance"] == pytest.approx(max(sizes) / 300)
    assert re.fullmatch("[0-9a-f]{32}", report["checksum"])
    assert report["seconds"] >= sum(v for k, v in report["phases"].items() if k != "work") > 0
    assert report["peak_memory_bytes"] > 2**20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "r.json"]


# ---------------------------------------------------------------- determinism


def test_the_parts_are_the_same_bytes_for_one_thread_and_two(tmp_path):
    source = dataset(tmp_path / "in", 5)
    for threads in (1, 2):
        args = ["--partitions", 3, "--threads", threads, "--strategy", "exchange"]
        sorted_well(source, tmp_path / f"out{threads}", *args, by="note")
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")


def test_the_parts_are_the_same_bytes_for_worker_processes(tmp_path):
    source = dataset(tmp_path / "in", 5)
    how = "--partitions", 3, "--strategy", "exchange"
    sorted_well(source, tmp_path / "here", *how, by="note")
    done = process(
        *(
            "sort",
            source,
            tmp_path / "there",
            "--by",
            "note",
            *how,
            "--workers",
            2,
        ),
        *("--report", tmp_path / "r.json", "--no-progress"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 worker processes" in " ".join(done.stdout.split())  # long times wrap the line
    assert json.loads((tmp_path / "r.json").read_text())["workers"] == 2
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_running_cluster(tmp_path):
    source = dataset(tmp_path / "in", 5)
    sorted_well(source, tmp_path / "here", "--partitions", 3, by="note")
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        local_directory=str(tmp_path / "scratch"),
    ) as cluster:
        args = ["--scheduler", cluster.scheduler_address, "--partitions", 3]
        result = sorted_well(source, tmp_path / "there", *args, by="note")
    assert "1 worker process" in result.stdout
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_second_process_compiles_nothing(tmp_path):
    write(tmp_path / "in.parquet")
    args = [
        "sort",
        "in.parquet",
        "out",
        "--by",
        "note,id:desc",
        "--overwrite",
        "--threads",
        "1",
    ]
    code = f"""
import dlsort.cli.main, dlsort_kernels
dlsort.cli.main.main({args}, standalone_mode=False)
dlsort.cli.main.main(["check", "out", "--by", "note,id:desc"], standalone_mode=False)
print("compiled", dlsort_kernels.compiled())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "compiled 0"


def test_warm_says_where_the_kernels_are_and_what_is_missing(tmp_path):
    result = command("warm")
    assert result.exit_code == 0
    assert result.output.startswith("all kernels are compiled; they lie in /")
    code = """
from dlsort_kernels import objects
objects.name_of = lambda package, processor: "none-such"
import dlsort.cli
dlsort.cli.start()
"""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", code, "warm"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no folder can be written to keep compiled kernels in")


# ---------------------------------------------------------------- what a terminal shows


def on_terminal(*args: object) -> tuple[str, str]:
    """Run a command with stderr on a terminal; return stdout and what the terminal got."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not data:
                break
            shown += data
        out = running.stdout.read() if running.stdout else ""
    os.close(ours)
    assert running.returncode == 0
    return out, shown.decode()


def test_progress_on_a_terminal(tmp_path):
    source = dataset(tmp_path / "in")
    out, shown = on_terminal("sort", source, tmp_path / "out", "--by", "id", "--threads", 1)
    for fact in ("sample ", "partition ", "sort ", "publish ", "whole job ", "1,200 rows"):
        assert fact in shown
    assert "1,200 rows by id" in out
    assert "\x1b" not in out
    out, shown = on_terminal("check", tmp_path / "out", "--by", "id", "--against", source)
    for fact in ("check ", "against ", "whole job "):
        assert fact in shown
    assert out.startswith("in order   1,200 rows")


def test_no_progress(tmp_path):
    args = ["--by", "id", "--threads", 1, "--no-progress"]
    _, shown = on_terminal("sort", dataset(tmp_path / "in"), tmp_path / "out", *args)
    assert shown == ""


def test_a_sort_runs_outside_the_main_thread_too(tmp_path):
    write(tmp_path / "in.parquet")
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(sort(tmp_path / "in.parquet", tmp_path / "out").exit_code)
    )
    thread.start()
    thread.join()
    assert codes == [0]


def test_a_signal_whose_exception_was_lost_still_stops_the_sort(tmp_path):
    # Python drops what a handler raises while a finalizer runs; the next word of progress tells
    source = dataset(tmp_path / "in")
    lost = Watched(NoProgress())
    with pytest.raises(Stopped):
        lost.stop(signal.SIGINT, None)
    with pytest.raises(Stopped):
        dlsort.sort_dataset(source, tmp_path / "out", by="id", progress=lost)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_signals_that_follow_at_once_do_not_stop_the_tidying(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("dlsort.cli.stop.time.monotonic", lambda: now[0])
    watched = Watched(NoProgress())
    with pytest.raises(Stopped):
        watched.stop(signal.SIGINT, None)
    for _ in range(3):
        now[0] += 0.2
        watched.stop(signal.SIGINT, None)
    now[0] += 1.5
    with pytest.raises(Stopped):  # one who has waited means it
        watched.stop(signal.SIGINT, None)


def test_a_signal_that_arrives_in_a_finalizer_stops_the_sort_in_a_sentence(
    tmp_path, monkeypatch
):
    source = dataset(tmp_path / "in")
    open_source = opened.open_source

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def open_and_finalize(*args: object, **options: object) -> object:
        Finalized()
        return open_source(*args, **options)

    monkeypatch.setattr(opened, "open_source", open_and_finalize)
    result = sort(source, tmp_path / "out")
    assert (result.exit_code, result.stdout) == (143, "")
    assert result.stderr == "Error: stopped by SIGTERM; the destination is as it was.\n"
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
