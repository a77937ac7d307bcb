"""The history of runs: kept by several at once, and no job fails for it."""

from __future__ import annotations

import math
import sqlite3
import struct
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.errors import DlsortWarning
from dlsort.planner import history as module
from dlsort.planner.history import History, Run


def run(n: int = 0, *, machine: str = "mine", job: str = "job", **changed: object) -> Run:
    parts = {
        "work": {"sort": {"rows": 1e6, "bytes": 8e6}, "read": {"stored": 4e6}},
        "predicted": {"sort": 1.0, "read": 0.5},
        "measured": {"sort": 1.0 + n, "read": 0.25},
        "figures": {"wall_s": 1.5, "threads": 2},
    }
    return Run(float(n), machine, job, **parts | changed)


def filled(folder: Path, n: int = 3) -> History:
    history = History(folder / "history.sqlite")
    assert all(history.append(run(i)) for i in range(n))
    return history


# ---------------------------------------------------------------- kept


def test_runs_come_back_as_they_were_newest_last(tmp_path):
    history = filled(tmp_path / "new" / "folders")
    assert history.recent("mine") == [run(0), run(1), run(2)]
    assert history.recent("mine", 2) == [run(1), run(2)]
    assert history.recent("mine", 0) == []


def test_machines_and_jobs_are_kept_apart(tmp_path):
    history = filled(tmp_path, 1)
    other, again = run(1, machine="theirs"), run(2, job="another")
    assert history.append(other)
    assert history.append(again)
    assert history.recent("theirs") == [other]
    assert history.of_job("another", "mine") == [again]
    assert history.of_job("another", "theirs") == []


def test_its_place_is_told_or_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv(module.HISTORY, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert History.open().path == tmp_path / ".cache/dlsort/history.sqlite"
    monkeypatch.setenv(module.HISTORY, str(tmp_path / "h"))
    assert History.open().path == tmp_path / "h"
    assert History.open("~/mine").path == tmp_path / "mine"
    monkeypatch.setenv(module.HISTORY, "off")
    off = History.open()
    assert off.path is None
    assert not off.append(run())
    assert off.recent("mine") == off.of_job("job", "mine") == off.files() == []
    assert not list(tmp_path.iterdir())


def test_the_latest_runs_are_kept_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_KEPT_RUNS", 10)
    monkeypatch.setattr(module, "_REMOVE_EVERY", 4)
    history = filled(tmp_path, 40)
    assert history.recent("mine") == [run(i) for i in range(30, 40)]


def test_processes_append_at_once(tmp_path):
    path = tmp_path / "history.sqlite"
    code = (
        "import sys; from pathlib import Path\n"
        "from dlsort.planner import history as h\n"
        "h._WAIT_S = 60.0\n"  # none is dropped on a busy machine
        "for i in range(25):\n"
        "    run = h.Run(i, 'mine', sys.argv[2], {'sort': {'rows': i}}, {}, {'sort': i}, {})\n"
        "    assert h.History(Path(sys.argv[1])).append(run)\n"
    )
    names = "abcd"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), n]) for n in names]
    assert [each.wait() for each in running] == [0] * len(names)
    for name in names:
        theirs = History(path).of_job(name, "mine", 100)
        assert [each.measured["sort"] for each in theirs] == list(range(25))
    assert History(path).files() == [path]


# ---------------------------------------------------------------- what can't be used


def refused(history: History) -> None:
    """Expect that nothing is kept nor read, and nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not history.append(run())
        assert history.recent("mine") == []


def test_a_folder_in_its_place(tmp_path):
    refused(History(tmp_path))


def test_a_file_in_the_place_of_its_folder(tmp_path):
    (tmp_path / "file").touch()
    refused(History(tmp_path / "file" / "history.sqlite"))


@pytest.mark.parametrize("name", ["\0", "x" * 300, "\udc80"])
def test_a_name_that_no_file_has(tmp_path, name):
    history = History(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history.append(run())
        assert history.recent("mine") in ([], [run()])


def test_a_folder_that_can_not_be_written(tmp_path, monkeypatch):
    history = filled(tmp_path)
    # Root may write anywhere, so SQLite is asked for a file that may only be read.
    opened = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda at, **how: opened(f"{at.partition('?')[0]}?mode=ro", **how)
    )
    assert not history.append(run())
    assert len(history.recent("mine")) == 3
    refused(History(tmp_path / "none.sqlite"))


def test_a_full_disk(tmp_path, monkeypatch):
    history = filled(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_make_table", full)
    assert not history.append(run())
    assert len(history.recent("mine")) == 3


def test_another_connection_that_holds_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAIT_S", 0.0)
    history = filled(tmp_path)
    with closing(sqlite3.connect(history.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not history.append(run())
        assert len(history.recent("mine")) == 3
        other.execute("ROLLBACK")
        other.execute("BEGIN EXCLUSIVE")
        refused(history)
        other.execute("ROLLBACK")
    assert history.append(run(3))
    assert history.files() == [history.path]


def test_a_python_without_sqlite(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_has_sqlite", lambda: False)
    refused(History(tmp_path / "history.sqlite"))


def change(history: History, command: str, *values: object) -> None:
    with closing(sqlite3.connect(history.path, isolation_level=None)) as db:
        db.execute(command, values)


def test_a_later_version_is_left_as_it_is(tmp_path):
    history = filled(tmp_path)
    change(history, "PRAGMA user_version = 2")
    before = history.path.read_bytes()
    refused(history)
    assert history.path.read_bytes() == before
    assert history.files() == [history.path]


def test_the_database_of_another_program_is_left_as_it_is(tmp_path):
    history = History(tmp_path / "theirs.sqlite")
    change(history, "CREATE TABLE theirs (x)")
    before = history.path.read_bytes()
    refused(history)
    assert history.path.read_bytes() == before


# ---------------------------------------------------------------- damaged


def test_a_damaged_file_is_set_aside_with_a_warning_and_a_new_one_begins(tmp_path):
    history = filled(tmp_path)
    for n in (1, 2):
        history.path.write_bytes(b"no database" * 1000)
        aside = f"history.sqlite.damaged-{n}"
        with pytest.warns(DlsortWarning, match=aside) as told:
            assert history.append(run(7))
        assert len(told) == 1
        assert (tmp_path / aside).read_bytes().startswith(b"no database")
        assert history.recent("mine") == [run(7)]
    assert [path.name for path in history.files()] == [
        "history.sqlite",
        "history.sqlite.damaged-1",
        "history.sqlite.damaged-2",
    ]


def test_a_damaged_file_is_set_aside_by_a_reader_too(tmp_path):
    history = filled(tmp_path)
    change(history, "PRAGMA user_version = 0")
    with pytest.warns(DlsortWarning, match="damaged-1"):
        assert history.recent("mine") == []
    assert not history.path.exists()


def test_no_job_fails_where_warnings_are_errors(tmp_path):
    history = filled(tmp_path)
    history.path.write_bytes(b"no database" * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert history.append(run())


@given(st.data())
def test_random_damage_never_fails_a_job(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    history = filled(folder, 12)
    whole = bytearray(history.path.read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    for _ in range(data.draw(st.integers(0, 20)) if whole else 0):
        at = data.draw(
            st.integers(0, len(whole) - 1) | st.integers(0, min(len(whole), 120) - 1)
        )
        whole[at] = data.draw(st.integers(0, 255))
    history.path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DlsortWarning)
        for each in history.recent("mine"):
            assert all(0 <= s <= 1e10 for s in each.measured.values())
        history.append(run(99))
        history.of_job("job", "mine")


NAMES = [
    "", "null", "[]", "{}", "17", "[[], [], []]", "[[], [], [], [], []]", "[[[]], [], [], []]",
    '[[["sort", 1]], [], [], []]', "[[[[]]], [], [], []]", "[[], [1], [], []]", "[" * 50_000,
    '[[["sort"]], ["sort"], [], {}]', b"\xff\xfe\x00", 17, None,
    "[[], [], [], []]" + " " * 70_000,
]  # fmt: skip
NUMBERS = [None, "", "text", 17, b"", b"\xff" * 8, *(struct.pack("<d", n) for n in (
    math.nan, math.inf, -math.inf, -1.0, 1e300, 1e11
))]  # fmt: skip


def test_a_row_that_can_not_be_right_is_passed_over(tmp_path):
    history = filled(tmp_path)
    for names in NAMES:
        change(history, "UPDATE runs SET names = ? WHERE id = 2", names)
        assert history.recent("mine") == [run(0), run(2)], names
    one = '[[], ["sort"], [], []]'
    for numbers in NUMBERS:
        change(history, "UPDATE runs SET names = ?, numbers = ? WHERE id = 2", one, numbers)
        assert history.recent("mine") == [run(0), run(2)], numbers
    change(history, "UPDATE runs SET numbers = ? WHERE id = 2", struct.pack("<d", 1.0))
    assert [each.predicted for each in history.recent("mine")][1] == {"sort": 1.0}
    for at in ("soon", None, -1.0, math.inf):
        change(history, "UPDATE runs SET at = ? WHERE id = 1", at)
        assert len(history.recent("mine")) == 2, at


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e11])
def test_a_run_that_can_not_be_right_is_not_kept(tmp_path, seconds):
    history = History(tmp_path / "history.sqlite")
    assert not history.append(run(measured={"sort": seconds}))
    assert not history.append(run(work={str(n): {"rows": 1.0} for n in range(10_000)}))
    assert not history.files()
