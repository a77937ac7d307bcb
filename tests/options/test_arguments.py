"""Every parameter of every local and batch door, given what it is not: always a sentence.

No reading, no folder, no cluster comes of it; what other libraries have for paths, whole
numbers and booleans is taken like Python's own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
import dlsort.dataset
from dlsort.errors import BadOptionError, DlsortError, shown
from dlsort.io.paths import read_path
from dlsort.options.arguments import read_count, read_flag
from dlsort.terminal import progress
from dlsort.terminal.progress import NoProgress, progress_for
from dlsort_cluster.clusters import connect


class Awkward:
    """Has no text, no truth and no length."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__
    __bool__: ClassVar = None
    __len__: ClassVar = None


class AsPath:
    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> object:
        return self.path


class FailsAsPath:
    def __fspath__(self) -> str:
        raise KeyError


WRONG = {
    "None": None,
    "5": 5,
    "-1": -1,
    "2.5": 2.5,
    "nan": float("nan"),
    "10**5000": 10**5000,
    "True": True,
    "maybe": "maybe",
    "empty": "",
    "blank": " ",
    "null character": "a\0b",
    "half a character": "\ud800",
    "bytes": b"x",
    "path of bytes": AsPath(b"x"),
    "path of a number": AsPath(5),
    "path that fails": FailsAsPath(),
    "long path": "a" * 5000,
    "long path of many names": "a/" * 2500,
    "long name": "a" * 300,
    "long name below nothing": f"nothing/{'a' * 300}/b",
    "long name as a URL": f"file://{'a' * 300}",
    "list": [],
    "dict": {},
    "set": {"k"},
    "array": np.array([1, 2]),
    "array of no dimension": np.array(3),
    "frame": pd.DataFrame({"v": [1, 2]}),
    "function": len,
    "type": int,
    "class of tables": pa.Table,
    "object": object(),
    "awkward": Awkward(),
}

LONG = tuple(what for what in WRONG if what.startswith("long "))
TEXTS = ("maybe", "null character", "half a character", *LONG)

# Where some of these are right, or are judged by what there is, not by what they are.
RIGHT = {
    "dst": ("maybe",),
    "scheduler": ("None", *TEXTS),
    "workers": ("None", "5"),
    "threads": ("None", "5"),
    "partitions": ("None", "5"),
    "partition_size": ("None", "5", "2.5"),
    "memory": ("None",),
    "temp_dir": ("None",),
    "target_file_size": ("None", "5", "2.5"),
    "partition_by": ("None",),
    "single_file": ("True",),
    "compression": ("None",),
    "row_group_rows": ("None", "5"),
    "overwrite": ("True",),
    "resume": ("True",),
    "if_exists": ("None",),
    "progress": ("None", "True", "function"),
    "against": ("None",),
    "k": ("5",),
    "ascending": ("True",),
}


def wrong(*names: str):
    return pytest.mark.parametrize(
        ("name", "value"),
        [
            pytest.param(name, value, id=f"{name}-{what}")
            for name in names
            for what, value in WRONG.items()
            if what not in RIGHT.get(name, ())
        ],
    )


@pytest.fixture
def work(tmp_path, monkeypatch):
    pq.write_table(pa.table({"k": [3, 1, 2]}), tmp_path / "in.parquet")
    monkeypatch.chdir(tmp_path)

    def start(*_: object, **__: object):
        pytest.fail("something was begun")

    monkeypatch.setattr(connect, "connect", start)
    monkeypatch.setattr(dlsort.dataset, "staging", start)
    return tmp_path


def is_told(error: pytest.ExceptionInfo[DlsortError], name: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert 20 < len(message) < 500
    assert message.endswith(".")
    if type(error.value) is BadOptionError:
        assert name in message


@wrong(
    "src",
    "dst",
    "by",
    "scheduler",
    "workers",
    "threads",
    "partitions",
    "partition_size",
    "memory",
    "temp_dir",
    "target_file_size",
    "partition_by",
    "single_file",
    "profile",
    "compression",
    "row_group_rows",
    "overwrite",
    "resume",
    "if_exists",
    "progress",
)
def test_no_sort_of_a_dataset_begins(work, name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.sort_dataset(**{"src": "in.parquet", "dst": "out", "by": "k", name: value})
    is_told(error, name)
    assert [path.name for path in work.iterdir()] == ["in.parquet"]


@wrong("src", "by", "against", "threads", "progress")
def test_no_check_of_a_dataset_begins(work, name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.check_dataset(**{"src": "in.parquet", "by": "k", name: value})
    is_told(error, name)


TABLE = pa.table({"k": [3, 1, 2]})


@wrong("by", "threads")
def test_a_table_is_not_sorted(name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.sort_table(**{"table": TABLE, "by": "k", name: value})
    is_told(error, name)


@wrong("k", "by", "threads")
def test_the_first_rows_are_not_found(name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.top_k(**{"table": TABLE, "k": 2, "by": "k", name: value})
    is_told(error, name)


@pytest.mark.parametrize("what", [w for w in WRONG if w != "frame"])
@pytest.mark.parametrize("door", [dlsort.sort_table, lambda t, by: dlsort.top_k(t, 1, by)])
def test_what_is_no_table_is_not_sorted(door, what):
    with pytest.raises(DlsortError) as error:
        door(WRONG[what], "k")
    is_told(error, "table")


@wrong("ascending", "na_position", "threads")
def test_keys_are_not_sorted(name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.argsort(**{"keys": [3, 1, 2], name: value})
    is_told(error, name)


@wrong("method", "ascending", "na_position", "threads")
def test_keys_are_not_ranked(name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.rank(**{"keys": [3, 1, 2], name: value})
    is_told(error, name)


@wrong("ascending", "na_position")
def test_keys_are_not_looked_through(name, value):
    with pytest.raises(DlsortError) as error:
        dlsort.is_sorted(**{"keys": [3, 1, 2], name: value})
    is_told(error, name)


NO_KEYS = {
    **{what: value for what, value in WRONG.items() if what not in ("frame", "array", "list")},
    "unlike": [1, "a"],
    "objects": [object()],
    "complex": [1j],
    "two dimensions": np.zeros((2, 2)),
    "no columns": pd.DataFrame(index=[1, 2]),
    "columns of different lengths": (np.zeros(2), np.zeros(3)),
    "an array and a number": [np.zeros(2), 5],
    "an array and a class": [np.zeros(2), pa.Array],
    "records": np.zeros(2, "i4,i4"),
    "large": [10**100],
}


@pytest.mark.parametrize("what", NO_KEYS)
@pytest.mark.parametrize("door", [dlsort.argsort, dlsort.rank, dlsort.is_sorted])
def test_what_is_no_key_is_not_sorted(door, what):
    with pytest.raises(DlsortError) as error:
        door(NO_KEYS[what])
    is_told(error, "keys")


# ---------------------------------------------------------------- what is right


def test_what_other_libraries_have_of_the_kind_is_right(tmp_path):
    pq.write_table(pa.table({"k": [3, 1, 2]}), tmp_path / "in.parquet")
    report = dlsort.sort_dataset(
        AsPath(str(tmp_path / "in.parquet")),
        AsPath(str(tmp_path / "out")),
        by=np.array(["k"]),
        threads=np.int8(1),
        partitions=np.uint16(3),
        memory=np.int64(2**30),
        row_group_rows=np.int32(2),
        temp_dir=AsPath(str(tmp_path)),
        overwrite=np.False_,
        resume=np.False_,
        progress=np.False_,
    )
    assert (report.rows, report.output_parts) == (3, 3)
    assert report.to_dict()["dst"] == str(tmp_path / "out")
    found = dlsort.check_dataset(
        tmp_path / "out", by=[dlsort.SortKey("k", np.False_)], threads=np.int64(1)
    )
    assert found.ok
    assert dlsort.argsort([3, 1, 2], ascending=np.array([False])).tolist() == [0, 2, 1]
    assert dlsort.top_k(TABLE, np.int8(1), "k", threads=np.int8(1))["k"].to_pylist() == [1]


@pytest.mark.parametrize("as_given", [str, Path, os.DirEntry])
def test_paths_are_text_whatever_they_were(tmp_path, as_given):
    path = tmp_path / "x"
    path.touch()
    with os.scandir(tmp_path) as entries:
        given = next(entries) if as_given is os.DirEntry else as_given(path)
    assert read_path(given, "source") == str(path)


@pytest.mark.parametrize("value", [0, 2**63, 1.0, "1", np.bool_(True)])
def test_counts_are_whole_and_fit(value):
    limit = (
        "at most 9,223,372,036,854,775,807"
        if isinstance(value, int) and value
        else "at least 1"
    )
    with pytest.raises(BadOptionError, match=rf"k is .*; expected a whole number of {limit}\."):
        read_count(value, "k")
    assert read_count(2**63 - 1, "k") == 2**63 - 1
    assert read_count(0, "k", least=0) == 0


@pytest.mark.parametrize("value", ["yes", "", 0, 1, None])
def test_what_python_takes_for_true_is_not(value):
    with pytest.raises(BadOptionError, match=r"overwrite is .*; expected True or False\."):
        read_flag(value, "overwrite")


def test_values_are_shown_on_one_short_line():
    assert "Awkward" in shown(Awkward())
    for value in (pd.DataFrame({"k": range(1000)}), "x" * 1000, list(range(1000)), 10**5000):
        assert len(shown(value)) < 120
        assert "\n" not in shown(value)


# ---------------------------------------------------------------- progress


def test_a_display_is_shown_when_it_is_asked_for(work, monkeypatch, capsys):
    monkeypatch.undo()
    path = work / "in.parquet"
    assert dlsort.check_dataset(path, by="k", progress=True).ok is False
    assert capsys.readouterr().err.startswith("check: ")
    dlsort.sort_dataset(path, work / "out", by="k", threads=1, progress=True)
    assert "sort: " in capsys.readouterr().err
    dlsort.sort_dataset(path, work / "out2", by="k", threads=1, progress=False)
    assert capsys.readouterr().err == ""


def test_an_object_is_told_of_progress():
    mine = NoProgress()
    with progress_for(mine) as told:
        assert told is mine


def test_an_error_ends_the_display(monkeypatch):
    monkeypatch.setattr(progress, "_can_draw", lambda stream: True)
    seen = []

    def fail():
        with progress_for(True) as told:
            seen.append(told)
            told.phase("sort", 5)
            raise DlsortError("x")

    with pytest.raises(DlsortError, match=r"^x$"):
        fail()
    assert not seen[0]._live.is_started
