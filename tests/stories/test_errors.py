"""What can go wrong, story by story: one clear sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dask
import fsspec
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort.dataset
import dlsort.publish.staging
import dlsort.strategies.run
from commands import (
    COMMAND,
    contents,
    dataset,
    read,
    rows,
    sort,
    sorted_well,
    while_it_runs,
    write,
)
from commands import dlsort as command
from dlsort.errors import DlsortError
from dlsort.io.parts import ATTEMPTS, PARTS
from dlsort.strategies import opened
from dlsort_cluster.clusters import connect as connecting
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.exchange import SpillFullError
from patience import PATIENCE_S


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """Give a folder to work in: a source ``in``, and a result ``old`` of an earlier day."""
    folder = tmp_path / "work"
    dataset(folder / "in")
    write(folder / "old" / "part-00000.parquet")
    monkeypatch.chdir(folder)
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    return folder


def refused(*args: object, says: tuple[str, ...], by: str = "id") -> str:
    """Run a sort that must be refused, and return what it says."""
    folder = Path.cwd()
    before = contents(folder)
    result = sort(*args, by=by)
    assert result.exit_code == 2, result.output
    assert contents(folder) == before
    assert "Traceback" not in result.output
    for fact in says:
        assert fact in result.stderr
    message = result.stderr.split("Error: ", 1)[1]
    assert message.count("\n") == 1  # one line
    assert len(re.findall(r"\. [A-Z]", message)) <= 2  # a sentence or two, perhaps a hint
    assert result.stdout == ""
    return message


# ---------------------------------------------------------------- the source


def test_a_source_that_does_not_exist(work):
    refused("nowhere", "out", says=("nowhere does not exist", "a folder of them or a glob"))


def test_a_missing_source_is_told_before_a_destination_that_is_filled(work):
    refused("nowhere", "old", says=("nowhere does not exist",))
    write(work / "other/notes.parquet")
    (work / "other/notes.txt").write_text("mine")
    refused("in/*.pq", "other", "--overwrite", says=("in/*.pq matches no file",))


def test_a_glob_that_matches_nothing(work):
    refused("in/*.pq", "out", says=("in/*.pq matches no file",))


def test_a_folder_without_parquet(work):
    (work / "texts").mkdir()
    (work / "texts" / "a.txt").write_text("id\n1\n")
    refused("texts", "out", says=("texts holds no Parquet file", "at least one in it"))


def test_a_truncated_file_is_named(work):
    path = work / "in" / "1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused("in", "out", says=(str(path), "truncated"))


@pytest.mark.parametrize("content", [b"", b"id,price\n1,2\n", b"PAR1"])
def test_a_file_that_is_not_parquet_is_named(work, content):
    path = work / "in" / "2.parquet"
    path.write_bytes(content)
    refused("in", "out", says=(str(path), "not Parquet"))


def mangle(path: Path, column: int, *, skip: int = 0, length: int = 40) -> None:
    """Overwrite bytes of a column chunk of the last row group; the footer stays whole."""
    footer = pq.ParquetFile(path).metadata
    chunk = footer.row_group(footer.num_row_groups - 1).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(path.read_bytes())
    for i in range(start + skip, start + skip + length):
        data[i] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(("column", "what"), [(0, "the key"), (1, "a column beside the key")])
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_file_with_a_broken_page_is_named(work, column, what, partitions):
    path = work / "in" / "1.parquet"
    mangle(path, column)
    refused("in", "out", "--partitions", partitions, says=(str(path), "corrupt"))


def test_a_flipped_bit_is_found_where_pages_have_checksums(work):
    path = work / "in" / "1.parquet"
    table = pa.table({"id": np.arange(500)})
    shutil.rmtree(work / "in")
    write(path, table, write_page_checksum=True, use_dictionary=False, compression="none")
    mangle(path, 0, skip=1000, length=1)
    refused("in", "out", says=(str(path), "corrupt"))


def test_two_files_that_disagree_on_a_type(work):
    table = rows().set_column(0, "id", pa.array(["x"] * 400))
    write(work / "in" / "1.parquet", table)
    refused(
        "in",
        "out",
        by="price",
        says=(
            "'id'",
            "int64",
            "string",
            str(work / "in/0.parquet"),
            str(work / "in/1.parquet"),
        ),
    )


def test_a_file_that_lacks_a_column_where_all_should_have_it(work):
    write(work / "in" / "2.parquet", rows().drop_columns("note"))
    refused(
        "in",
        "out",
        "--schema",
        "strict",
        says=("'note'", "missing", str(work / "in/0.parquet"), str(work / "in/2.parquet")),
    )


# ---------------------------------------------------------------- the key


def test_an_unknown_key_column_and_the_likely_one(work):
    refused(
        "in", "out", by="prize", says=("'prize'", "Did you mean 'price'?", "id, price, note")
    )


def test_an_unknown_key_column_unlike_any(work):
    message = refused("in", "out", by="zzz", says=("'zzz'", "id, price, note, tags, place"))
    assert "Did you mean" not in message


def test_a_key_of_a_type_without_order(work):
    shutil.rmtree(work / "in")
    sizes = pa.array(["L"], pa.dictionary(pa.int8(), pa.string(), ordered=True))
    table = pa.table({"id": [1], "sizes": pa.ListArray.from_arrays([0, 1], sizes)})
    write(work / "in" / "0.parquet", table)
    refused("in", "out", by="id,sizes", says=("'sizes'", "list<", "here: id"))


@pytest.mark.parametrize(
    ("by", "fact"),
    [
        ("", "no column name"),
        ("id,,price", "no column name"),
        (":desc", "':desc'"),
        ("id:down", "'down'"),
        ("id:desc:asc", "'asc'"),
        ("id:nulls_first:nulls_last", "'nulls_last'"),
        ("id,price,id:desc", "'id' twice"),
    ],
)
def test_a_malformed_key(work, by, fact):
    refused("in", "out", by=by, says=(fact,))


def test_a_key_column_whose_name_is_there_twice(work):
    table = pa.table([[2, 1], [3, 4], [5, 6]], names=["id", "id", "v"])
    shutil.rmtree(work / "in")
    write(work / "in" / "0.parquet", table)
    refused("in", "out", by="id", says=("2 columns are named 'id'", "the only one"))


# ---------------------------------------------------------------- the destination


def test_a_destination_that_holds_files(work):
    refused("in", "old", says=("old already holds 1 file", "--overwrite"))


@pytest.mark.parametrize("args", [(), ("--overwrite",)])
def test_a_destination_that_is_a_file(work, args):
    (work / "file").write_text("mine")
    refused("in", "file", *args, says=("file is not a folder",))


def test_a_destination_that_is_a_link(work):
    (work / "link").symlink_to("old")
    refused("in", "link", "--overwrite", says=("link is a symbolic link",))


def test_a_destination_below_a_file(work):
    (work / "file").write_text("mine")
    refused("in", "file/a/out", says=("file/a/out can't be written", f"{work}/file is a file"))


def test_a_destination_in_a_folder_that_must_not_be_written(work, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused("in", "out", says=("out can't be written: no permission", str(work)))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_destination_where_folders_cannot_be_made(work):
    refused("in", "/proc/x/out", says=("/proc/x/out can't be written",))


def test_a_new_folder_above_the_destination_goes_again(work, monkeypatch):
    mangle(work / "in" / "1.parquet", 0)
    refused("in", "new/deep/out", says=("corrupt",))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of a size; only root can."""
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_at_the_destination(work):
    with small_disk(work / "disk", "16k"):
        refused(
            "in",
            "disk/out",
            "--partitions",
            3,
            says=("no space left", f"{work}/disk", "Nothing was published"),
        )


def test_a_mount_point_as_destination(work):
    with small_disk(work / "disk", "64k"):
        refused("in", "disk", says=("disk is a mount point", "disk/sorted"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_a_part_is_written(work, monkeypatch, code):
    def write_table(self: object, *args: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_table)
    refused("in", "old", "--overwrite", says=("no space left while writing", str(work)))


def test_a_disk_that_breaks_while_a_part_is_written(work, monkeypatch):
    def write_table(self: object, *args: object, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_table)
    refused("in", "out", says=("can't be written: Input/output error",))


def test_a_destination_filled_by_someone_meanwhile(work, monkeypatch):
    check = dlsort.dataset.check_visible

    def check_and_fill(*args: object) -> object:
        (work / "out").mkdir()
        (work / "out" / "theirs").write_text("x")
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_fill)
    result = sort("in", "out")
    assert result.exit_code == 2
    assert "was filled by someone meanwhile" in result.stderr
    assert sorted(p.name for p in work.iterdir()) == ["in", "old", "out"]
    assert [p.name for p in (work / "out").iterdir()] == ["theirs"]


# ---------------------------------------------------------------- source in destination


def test_a_destination_inside_the_source(work):
    refused("in", "in/sorted", says=("lies inside the source in", "read its own output"))
    refused("in", "in/../in/sorted", says=("lies inside the source in",))


def test_a_hidden_destination_inside_the_source_is_never_read_as_source(work):
    for _ in range(2):
        sorted_well("in", "in/_sorted", "--overwrite")
    assert read(work / "in/_sorted").num_rows == 1200


TEMP_DIRS = [("old", "is"), ("old/deep", "lies in"), ("link", "lies in"), ("in/../old", "is")]


@pytest.mark.parametrize(("folder", "how"), TEMP_DIRS)
def test_a_temp_dir_in_the_destination(work, folder, how):
    (work / "old/deep").mkdir()
    (work / "link").symlink_to("old/deep")
    refused(
        *("in", "old", "--overwrite=force", "--temp-dir", folder),
        says=(f"--temp-dir is {folder!r}, which {how} the destination old:",),
    )


@pytest.mark.parametrize("src", ["in", "file://{work}/in"])
@pytest.mark.parametrize(("folder", "how"), [("in", "is"), ("in/deep", "lies in")])
def test_a_temp_dir_in_the_source(work, src, folder, how):
    (work / "in/deep").mkdir()
    refused(
        *(src.format(work=work), "out", "--temp-dir", folder),
        says=(f"--temp-dir is {folder!r}, which {how} the source folder ",),
    )


def test_a_temp_dir_above_or_beside_source_and_destination(work):
    sorted_well("in", "out", "--temp-dir", ".")
    (work / "out2").mkdir()
    sorted_well("in", "out", "--temp-dir", "out2", "--overwrite")


def test_a_source_inside_the_destination(work):
    refused("in/0.parquet", "in", "--overwrite", says=("in/0.parquet lies inside the dest",))
    refused("in/*.parquet", "in", "--overwrite", says=("in/0.parquet lies inside the dest",))


def test_a_glob_that_matches_its_own_earlier_output(work):
    sorted_well("*/*.parquet", "out")
    refused("*/*.parquet", "out", "--overwrite", says=("out/part-00000.parquet lies inside",))


def test_a_folder_sorted_onto_itself_needs_overwrite(work):
    refused("in", "in", says=("in already holds 3 files",))


def test_a_folder_sorted_onto_itself(work):
    before = pa.concat_tables([pq.read_table(p) for p in sorted((work / "in").iterdir())])
    sorted_well("in", "in", "--overwrite", "--partitions", 2)
    names = sorted(p.name for p in (work / "in").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet"]
    assert read(work / "in")["id"].to_pylist() == sorted(before["id"].to_pylist())
    assert sorted(p.name for p in work.iterdir()) == ["in", "old"]


def test_a_folder_sorted_onto_itself_is_kept_when_that_fails(work):
    mangle(work / "in" / "2.parquet", 1)
    refused("in", "in", "--overwrite", says=("in/2.parquet", "corrupt"))


# ---------------------------------------------------------------- memory and counts


def test_a_temporary_folder_that_does_not_exist(work):
    refused("in", "out", "--temp-dir", "nowhere", says=("--temp-dir is 'nowhere'", "existing"))


def test_a_full_disk_at_the_temporary_folder(work):
    # 60 MB of rows wait for the others, and at 400 MiB little more than half fits
    n = 2_500_000
    rng = np.random.default_rng(3)
    big = pa.table({"id": rng.integers(0, 2**62, n), "v": rng.random(n), "w": rng.random(n)})
    write(work / "big" / "0.parquet", big, row_group_size=100_000)
    with small_disk(work / "disk", "1m"):
        refused(
            *("big", "out", "--temp-dir", "disk", "--memory", "400MiB", "--partitions", 8),
            *("--threads", 2),
            says=("no space left", "disk", "--temp-dir"),
        )


def test_memory_that_is_too_small(work):
    refused("in", "out", "--memory", "64MiB", says=("memory is 64.0 MiB", "at least 352 MiB"))


@pytest.mark.parametrize("option", ["--memory", "--partition-size"])
@pytest.mark.parametrize("size", ["lots", "1.5.2GB", "-3MiB", "0", "5XB", "nan", "inf"])
def test_a_size_that_is_none(work, option, size):
    refused("in", "out", option, size, says=(f"{option} is '{size}'", "expected"))


@pytest.mark.parametrize("option", ["--workers", "--threads", "--partitions"])
@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
def test_a_count_that_is_none(work, option, count):
    refused("in", "out", option, count, says=(f"{option} is ", count, "at least 1"))


def test_fewer_threads_than_workers(work):
    refused("in", "out", "--workers", 2, "--threads", 1, says=("threads is 1", "workers (2)"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("--partitions", 2), ("--partition-size", "1MiB")),
        (("--scheduler", "tcp://127.0.0.1:1"), ("--workers", 2)),
        (("--scheduler", "tcp://127.0.0.1:1"), ("--threads", 2)),
    ],
)
def test_options_that_exclude_each_other(work, one, other):
    refused("in", "out", *other, *one, says=(f"{one[0]} and {other[0]} exclude each other",))


def test_an_unknown_codec(work):
    refused("in", "out", "--compression", "rar", says=("'rar'", "snappy, zstd, gzip"))


def test_an_option_that_is_missing_or_unknown(work):
    for args in (["in", "out"], ["in", "out", "--by", "id", "--fast"], ["in"]):
        result = command("sort", *args)
        assert result.exit_code == 2
        assert "Error: " in result.stderr
        assert "Try 'dlsort sort -" in result.stderr


# ---------------------------------------------------------------- the cluster


@pytest.fixture
def hasty(monkeypatch) -> Iterator[None]:
    """Wait a second for a scheduler, not five, nor half a minute for one that says nothing."""
    monkeypatch.setattr(connecting, "connect", partial(connect, connect_timeout_s=1.0))
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


def test_no_scheduler_at_the_address(work, hasty):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        refused("in", "out", "--scheduler", address, says=("no Dask scheduler", address))


def test_something_else_answers_at_the_address(work, hasty):
    def answer(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            peer.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        refused("in", "out", "--scheduler", address, says=("no Dask scheduler", address))
        thread.join(PATIENCE_S)


def test_something_at_the_address_says_nothing(work, hasty):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        refused("in", "out", "--scheduler", address, says=("no Dask scheduler", address))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("elsewhere", "which has no port"),
        ("tcp://127.0.0.1", "which has no port"),
        ("tcp://127.0.0.1:22222222", "whose port is no number from 1 to 65535"),
        ("http://127.0.0.1:1", "whose http:// Dask does not know"),
    ],
)
def test_an_address_that_is_none(work, address, why):
    says = f"--scheduler is {address!r}, {why}; expected an address such as tcp://host:8786, or"
    refused("in", "out", "--scheduler", address, says=(says, "'embedded'"))


def test_an_error_of_the_exchange_is_told_alike(work, monkeypatch):
    def run(*args: object, **options: object) -> None:
        raise SpillFullError("run 7f3a[2]: no space left in scratch/.")

    monkeypatch.setattr(dlsort.strategies.run, "run", run)
    assert "7f3a" not in refused("in", "out", says=("no space left in scratch/.",))


FULL = (
    "run 7f3a[2]: no space left in scratch/ on tcp://127.0.0.1:4001 (needed 1.2 GiB, free 0.3 "
    "GiB). Add workers, or set temporary-directory (--temp-dir) to a larger disk."
)


@pytest.mark.parametrize("how", [("--threads", 2), ("--workers", 1)])
def test_a_full_disk_of_our_own_workers_is_told_without_their_addresses(work, monkeypatch, how):
    def run(*args: object, **options: object) -> None:
        raise SpillFullError(FULL)

    monkeypatch.setattr(dlsort.strategies.run, "run", run)
    told = "no space left in scratch/ (needed 1.2 GiB, free 0.3 GiB). Set "
    assert refused("in", "out", *how, says=(told,)).endswith(
        "Set --temp-dir to a larger disk.\n"
    )
    with pytest.raises(dlsort.DlsortError) as caught:
        dlsort.sort_dataset("in", "out", by="id", threads=2)
    assert str(caught.value) == f"{told}temp_dir (--temp-dir) to a larger disk."


def test_a_full_disk_of_someone_s_worker_is_told_with_its_address(work, monkeypatch):
    def run(*args: object, **options: object) -> None:
        raise SpillFullError(FULL)

    monkeypatch.setattr(dlsort.strategies.run, "run", run)
    with connect(threads=1) as owner, pytest.raises(dlsort.DlsortError) as caught:
        dlsort.sort_dataset("in", "out", by="id", scheduler=owner)
    assert str(caught.value) == FULL.removeprefix("run 7f3a[2]: ")


# ---------------------------------------------------------------- the report


def test_a_report_that_cannot_be_written(work):
    refused("in", "out", "--report", "nowhere/r.json", says=("--report nowhere/r.json",))
    refused("in", "out", "--report", "old", says=("--report old", "is a folder"))
    for out in ("out", f"file://{work}/out"):
        refused("in", out, "--report", "out/r.json", says=(f"inside the destination {out}",))


REPORTS = [
    ("in", "in/0.parquet"),
    ("in/0.parquet", "in/0.parquet"),
    ("in/*.parquet", "in/../in/0.parquet"),
    ("in/0.parquet", "in/1.parquet"),
    ("in", "old/part-0.parquet"),
    ("in", "link.json"),
    ("in", "hard.json"),
]


@pytest.mark.parametrize(("src", "report"), REPORTS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_report_never_replaces_data(work, src, report, absolute):
    write(work / "old/part-0.parquet")
    (work / "link.json").symlink_to("in/0.parquet")
    (work / "hard.json").hardlink_to("in/0.parquet")
    report = str(work / report) if absolute else report
    refused(
        src, "out", "--report", report, says=(f"--report {report} is a Parquet file; name",)
    )


@pytest.mark.parametrize("src", ["in", "in/*.parquet", "./*/?.parquet", "file://{work}/in"])
@pytest.mark.parametrize("report", ["in/r.parquet", "in/deep/r.pq", "link/r.parq", "to.json"])
def test_a_report_never_looks_like_the_source(work, src, report):
    (work / "in/deep").mkdir()
    (work / "link").symlink_to("in/deep")
    (work / "to.json").symlink_to("in/new.parquet")
    src = src.format(work=work)
    refused(src, "out", "--report", report, says=(f"--report {report} lies inside the source",))


def test_a_report_may_lie_beside_the_source_files(work):
    (work / "to.json").symlink_to("in/new.json")
    for report in ("in/r.json", "to.json"):  # the next sort of the folder would find it there
        refused("in", "out", "--report", report, says=("lies inside the source in,",))
    sorted_well("in/*.parquet", "out", "--report", "to.json")
    sorted_well("in/0.parquet", "out2", "--report", "in/r.json")
    assert json.loads((work / "in/new.json").read_text())["rows"] == 1200
    assert json.loads((work / "in/r.json").read_text())["rows"] == 400


def test_a_report_by_a_link_into_the_destination(work):
    (work / "link").symlink_to("out")
    refused("in", "out", "--report", "link/r.json", says=("lies inside the destination out",))


def test_a_report_by_links_in_a_circle(work):
    (work / "a").symlink_to("b")
    (work / "b").symlink_to("a")
    refused("in", "out", "--report", "a", says=("--report a can't be written: Too many",))
    refused("a", "out", "--report", "r.parquet", says=("a does not exist",))
    refused("a", "out", "--temp-dir", ".", says=("a does not exist",))


def test_a_report_of_an_earlier_sort_outlives_a_failed_one(work):
    (work / "r.json").write_text("{}")
    refused("in", "old", "--report", "r.json", says=("already holds",))


def test_a_report_that_cannot_be_written_after_the_sort(work, monkeypatch):
    def to_json(self: object, path: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("dlsort.report.SortReport.to_json", to_json)
    result = sort("in", "out", "--report", "r.json")
    assert result.exit_code == 4
    assert (
        "out is sorted and complete, but --report r.json could not be written: "
        "No space left on device." in result.stderr
    )
    assert "proved" in result.stdout
    assert read(work / "out").num_rows == 1200


# ---------------------------------------------------------------- bugs, and being stopped


def test_a_bug_is_told_in_one_line(work, monkeypatch):
    def run(*args: object, **options: object) -> None:
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(dlsort.strategies.run, "run", run)
    before = contents(work)
    result = sort("in", "out")
    assert result.exit_code == 3
    assert "bug" in result.stderr
    assert "ZeroDivisionError: division by zero." in result.stderr
    assert "DLSORT_TRACEBACK=1" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("DLSORT_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in sort("in", "out").stderr
    assert contents(work) == before


@pytest.mark.parametrize("kind", DlsortError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_error_of_our_own_ends_with_two(work, monkeypatch, kind):
    def run(*args: object, **options: object) -> None:
        raise kind("what was found; what was expected.")

    monkeypatch.setattr(opened, "open_source", run)
    message = refused("in", "out", says=())
    assert message == "what was found; what was expected.\n"


@pytest.fixture(scope="module")
def long_source(tmp_path_factory) -> Path:
    """Give a source that takes many seconds to sort: brotli is slow."""
    n = 400_000
    rng = np.random.default_rng(4)
    values = rng.random(n)
    table = pa.table({"id": rng.permutation(n), "v": values, "s": values.astype(str)})
    folder = tmp_path_factory.mktemp("long")
    write(folder / "0.parquet", table, row_group_size=50_000)
    return folder


@pytest.mark.parametrize(
    "how", [("--threads", "2"), ("--workers", "2")], ids=["embedded", "processes"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_stopped_sort_leaves_nothing_behind(work, long_source, tmp_path, how, number):
    before = contents(work)
    temp = tmp_path / "private"
    temp.mkdir()
    args = [
        "sort",
        str(long_source),
        "old",
        "--by",
        "s",
        "--overwrite",
        *how,
    ]
    with subprocess.Popen(
        [*COMMAND, *args, "--partitions", "24", "--compression", "brotli", "--no-progress"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp)},
        process_group=0,
    ) as running:
        # one is stopped while it reads, the other once it writes
        begun = ".old.*.partial/*/attempts/*" if number == signal.SIGINT else ".old.*.partial"
        while_it_runs(running, lambda: list(work.glob(begun)), begun)
        children = psutil.Process(running.pid).children(recursive=True)
        # a terminal sends Ctrl-C to the whole group, a supervisor SIGTERM to one
        if number == signal.SIGINT:
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 128 + number
    assert out == ""
    assert err == f"Error: stopped by {number.name}; the destination is as it was.\n"
    assert contents(work) == before
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    assert list(temp.glob("dlsort-*")) == []


@pytest.mark.parametrize(
    "begun", [".out.*.partial", ".out.*.partial/*/attempts/*"], ids=["reads", "writes"]
)
def test_a_worker_killed_while_the_command_runs_costs_no_row(
    work, long_source, tmp_path, begun
):
    before = contents(work)
    temp = tmp_path / "private"
    temp.mkdir()
    args = ["sort", str(long_source), "out", "--by", "id", "--workers", "2"]
    with subprocess.Popen(
        [*COMMAND, *args, "--partitions", "24", "--compression", "brotli", "--no-progress"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp)},
    ) as running:
        while_it_runs(running, lambda: list(work.glob(begun)), begun)
        children = psutil.Process(running.pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        # gone or a zombie, and its command still at work
        while_it_runs(running, lambda: not _alive(workers[0]), "the worker's end")
        out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, err) == (0, "")
    assert "400,000 rows by id" in out
    assert "proved" in out
    # what the killed worker had half written is not there
    assert {path.suffix for path in (work / "out").iterdir()} == {".parquet"}
    source = pq.ParquetFile(long_source / "0.parquet").read()
    assert read(work / "out").equals(source.sort_by("id"))
    assert sorted(path.name for path in work.iterdir()) == ["in", "old", "out"]
    shutil.rmtree(work / "out")
    assert contents(work) == before
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    assert list(temp.glob("dlsort-*")) == []


def test_half_written_files_of_a_killed_worker_are_not_published(work, monkeypatch):
    open_part = dlsort.io.parquet.writer.Writer.open

    def open_and_leave(self, part, *how):
        attempt = f"part-{part:05}.parquet.0123456789ab.tmp"
        (Path(self.folder) / ATTEMPTS / attempt).write_bytes(b"PAR1 torn")
        return open_part(self, part, *how)

    monkeypatch.setattr(dlsort.io.parquet.writer.Writer, "open", open_and_leave)
    sorted_well("in", "out", "--partitions", 2)
    names = sorted(path.name for path in (work / "out").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet"]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_signal_after_the_result_is_published_changes_nothing(work, monkeypatch):
    publish = dlsort.publish.staging.publish

    def publish_and_stop(*args: object, **options: object) -> None:
        publish(*args, **options)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(dlsort.publish.staging, "publish", publish_and_stop)
    for target in ("out", "old"):
        sorted_well("in", target, "--overwrite")
        assert read(work / target).num_rows == 1200
    assert sorted(path.name for path in work.iterdir()) == ["in", "old", "out"]


@pytest.mark.parametrize("made", ["by someone", "put back"])
def test_a_signal_stops_a_sort_whose_destination_was_made_meanwhile(work, monkeypatch, made):
    if made == "put back":
        Path("old").rename(".old.0123456789ab.replaced")
    before = contents(work / ".old.0123456789ab.replaced" if made == "put back" else work)
    check = dlsort.dataset.check_visible

    def make_and_stop(*args: object) -> object:
        Path("new").mkdir()
        signal.raise_signal(signal.SIGTERM)
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", make_and_stop)
    result = sort("in", "old" if made == "put back" else "new", "--overwrite")
    assert result.exit_code == 143
    assert result.stderr == "Error: stopped by SIGTERM; the destination is as it was.\n"
    Path("new").rmdir()
    assert contents(work / "old" if made == "put back" else work) == before


@pytest.mark.parametrize("url", ["{}", "file://{}", "memory://{}"])
def test_a_signal_after_it_is_published_does_not_stop_tidying_up(work, monkeypatch, url):
    name = uuid.uuid4().hex
    target = url.format(work / "new") if "memory" not in url else url.format(f"{name}/new")
    remove = dlsort.publish.staging.remove_folder

    def stop_and_remove(folder: str) -> None:
        signal.raise_signal(signal.SIGTERM)
        remove(folder)

    monkeypatch.setattr(dlsort.publish.staging, "remove_folder", stop_and_remove)
    result = sort("in", target)
    assert (result.exit_code, result.stderr) == (0, "")
    assert dlsort.check_dataset(target, by="id").ok
    assert not list(work.glob(".*"))
    if "memory" in url:
        store = fsspec.filesystem("memory")
        assert not [path for path in store.find(f"/{name}") if ".partial" in path]
        store.rm(f"/{name}", recursive=True)


@pytest.mark.parametrize("when", ["before the exchange", "before", "between"])
def test_a_signal_while_the_result_is_published_keeps_the_old_one(work, monkeypatch, when):
    rename, exchange = Path.rename, dlsort.publish.to_folder._exchange

    def rename_and_stop(self: Path, target: Path) -> Path:
        if self.name == PARTS and when == "between":
            signal.raise_signal(signal.SIGTERM)
        if self.name == "old" and when == "before":
            signal.raise_signal(signal.SIGTERM)
        return rename(self, target)

    def exchange_and_stop(*paths: Path) -> bool:
        if when != "before the exchange":
            return False  # as in a file system that can't
        signal.raise_signal(signal.SIGTERM)
        return exchange(*paths)

    before = contents(work)
    monkeypatch.setattr(Path, "rename", rename_and_stop)
    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", exchange_and_stop)
    result = sort("in", "old", "--overwrite")
    assert result.exit_code == 143
    assert result.stderr == "Error: stopped by SIGTERM; the destination is as it was.\n"
    assert contents(work) == before
