"""Records are made: in files and folders, here and on a cluster; and nothing half is left."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest
from distributed import LocalCluster

import dlsort
import sort_records
from commands import COMMAND, contents, while_it_runs
from dlsort.errors import (
    BadOptionError,
    ClusterError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
)
from dlsort.records import generate


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Let few records make many blocks, tasks and files."""
    monkeypatch.setattr(generate, "BLOCK_RECORDS", 7)
    monkeypatch.setattr(generate, "TASK_RECORDS", 30)
    monkeypatch.setattr(generate, "FILE_RECORDS", 100)


def made_of(dst, n=250, **how) -> bytes:
    if "scheduler" not in how:
        how["threads"] = 2
    done = dlsort.generate_records(n, str(dst), **how)
    assert done.n_records == n
    assert list(done.files) == sorted(done.files)
    return b"".join(Path(file).read_bytes() for file in done.files)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("how", [{}, {"ascii": True}, {"skew": True, "start": 2**64 - 99}])
def test_a_file_and_a_folder_hold_the_same(tmp_path, how):
    of = {name: value for name, value in how.items() if name != "start"}
    want = sort_records.records(250, how.get("start", 0), **of)
    assert made_of(tmp_path / "one", **how) == want
    assert made_of(f"{tmp_path}/many/", **how) == want
    assert made_of(tmp_path / "seven", files=7, **how) == want
    three = ["part-00000.dat", "part-00001.dat", "part-00002.dat"]
    assert names(tmp_path / "many") == three
    assert len(names(tmp_path / "seven")) == 7
    assert names(tmp_path) == ["many", "one", "seven"]


def test_parts_that_are_made_apart_are_the_whole(tmp_path):
    whole = made_of(tmp_path / "whole", ascii=True, skew=True)
    parts = [
        made_of(tmp_path / f"{i}", 125, start=125 * i, ascii=True, skew=True) for i in (0, 1)
    ]
    assert b"".join(parts) == whole


def test_fewer_records_than_files_and_none(tmp_path):
    assert made_of(tmp_path / "few", 2, files=4) == sort_records.records(2)
    assert [len(c) for c in contents(tmp_path / "few").values()] == [0, 100, 0, 100]
    assert made_of(tmp_path / "none", 0) == b""


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_cluster(tmp_path, monkeypatch):
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        local_directory=str(tmp_path / "scratch"),
    ) as cluster:
        at = {"scheduler": cluster.scheduler_address}
        assert made_of(tmp_path / "out", files=3, **at) == sort_records.records(250)
        found = dlsort.validate_records(str(tmp_path / "out"), **at)
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(DestinationFullError, match="no space left while writing"):
            made_of(tmp_path / "more", **at)
    assert found == dlsort.validate_records(str(tmp_path / "out"))
    with pytest.raises(ClusterError):
        made_of(tmp_path / "gone", scheduler="tcp://127.0.0.1:1")
    assert names(tmp_path) in (["out"], ["out", "scratch"])


# ---------------------------------------------------------------- public sums

# Of gensort's records, as valsort told them of sorts that others have published.
SUMS = {
    (1_000_000, False): "7a0e0d4868cd4",
    (163_840, True): "1400fed7bb2c2",
    (10_000_000, True): "4c48a881c779d5",
}


@pytest.mark.parametrize(("n", "is_ascii"), SUMS)
def test_public_checksums(n, is_ascii, monkeypatch):
    monkeypatch.undo()
    made = dlsort.generate_records(n, os.devnull, ascii=is_ascii, checksum=True)
    assert f"{made.checksum:x}" == SUMS[n, is_ascii]


# ---------------------------------------------------------------- what is there already


def test_what_is_there_stays_unless_it_is_to_be_replaced(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for dst in ("file", "folder"):
        with pytest.raises(DestinationExistsError, match=r"--overwrite"):
            made_of(tmp_path / dst)
    with pytest.raises(DestinationExistsError, match="is a file, but a folder"):
        made_of(tmp_path / "file", files=2, overwrite=True)
    with pytest.raises(DestinationExistsError, match=r"no records of dlsort.*notes\.txt"):
        made_of(folder, overwrite=True)
    assert contents(tmp_path) == {"file": b"mine", "folder": None, "folder/notes.txt": b"mine"}
    made_of(tmp_path / "file", 1, overwrite=True)
    made_of(tmp_path / "out", 9, files=3)
    assert made_of(tmp_path / "out", 8, files=2, overwrite=True) == sort_records.records(8)
    assert names(tmp_path / "out") == ["part-00000.dat", "part-00001.dat"]
    assert names(tmp_path) == ["file", "folder", "out"]


def test_an_empty_folder_is_taken_and_folders_above_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert made_of(tmp_path / "empty", 9) == sort_records.records(9)
    assert made_of(tmp_path / "a" / "b" / "c", 9) == sort_records.records(9)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n": "many"}, "n is 'many'; expected a whole number"),
        ({"n": "1.5"}, "n is '1.5'"),
        ({"n": -1}, "n is -1"),
        ({"start": 2**128}, "start is"),
        ({"files": 0}, "files is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"ascii": "yes"}, "ascii is 'yes'"),
    ],
)
def test_what_is_no_option_is_refused(tmp_path, wrong, match):
    with pytest.raises(BadOptionError, match=match):
        dlsort.generate_records(**{"n": 1, "dst": str(tmp_path / "out"), **wrong})
    assert not list(tmp_path.iterdir())


def test_places_where_nothing_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    for dst, match in (
        (f"{tmp_path}/file/x", "is a file, not a folder"),
        ("s3://bucket/x", "in a store"),
        (os.devnull, "no folder"),
        ("/proc/nothing/here", "can't be written"),
    ):
        with pytest.raises(DestinationError, match=match):
            made_of(dst, files=2)


# ---------------------------------------------------------------- full disks, and signals


def test_a_disk_that_is_too_small_is_told_at_once(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")(10**6, 0, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DestinationFullError, match=r"needs 24\.4 KiB, and 100 B are free"):
        made_of(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("files", [None, 3])
def test_a_disk_that_fills_up_leaves_nothing_and_what_was_there(tmp_path, monkeypatch, files):
    (tmp_path / "out").mkdir() if files else (tmp_path / "out").write_text("old")
    before = contents(tmp_path)
    write = os.pwrite
    left = [20]

    def pwrite(number, data, at):
        left[0] -= 1
        if not left[0]:
            full()
        return write(number, data[:150], at)  # a short write is gone on from

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(DestinationFullError, match="no space left while writing"):
        made_of(tmp_path / "out", files=files, overwrite=True)
    assert contents(tmp_path) == before
    left[0] = 10**6
    assert made_of(tmp_path / "out", files=files, overwrite=True) == sort_records.records(250)


def test_a_full_device_is_told(monkeypatch):
    with pytest.raises(DestinationFullError, match="/dev/full"):
        made_of("/dev/full", 100_000)


def test_ctrl_c_leaves_nothing_half(tmp_path):
    running = subprocess.Popen(
        [*COMMAND, "gensort", "20M", str(tmp_path / "out"), "--ascii", "-t", "1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    while_it_runs(running, lambda: list(tmp_path.iterdir()), "the hidden file")
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    assert (running.returncode, told) == (130, "Error: stopped by SIGINT.\n")
    assert not list(tmp_path.iterdir())


def test_a_failure_while_a_folder_is_replaced_brings_the_old_one_back(tmp_path, monkeypatch):
    old = made_of(tmp_path / "out", 9, files=3)
    rename, done = Path.rename, []

    def second_fails(path, to):
        done.append(to)
        if len(done) == 2:
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(KeyboardInterrupt):
        made_of(tmp_path / "out", 8, files=2, overwrite=True)
    assert names(tmp_path) == ["out"]
    assert b"".join(contents(tmp_path / "out").values()) == old
