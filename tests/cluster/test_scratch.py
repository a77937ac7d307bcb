"""The folder for temporary files: private, and swept once its process is gone."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dlsort_cluster.exchange import SpillError
from dlsort_cluster.scratch import make_scratch

LEAVE_ONE = """
import os, signal, sys
from pathlib import Path
from dlsort_cluster.scratch import make_scratch
with make_scratch(sys.argv[1]) as folder:
    Path(folder, "spilled").mkdir()
    Path(folder, "spilled", "rows").write_bytes(b"rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_one(parent: Path) -> Path:
    """Return the folder of a process that was killed."""
    before = set(parent.iterdir())
    ended = subprocess.run([sys.executable, "-c", LEAVE_ONE, str(parent)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = set(parent.iterdir()) - before
    assert (left / "spilled" / "rows").exists()
    return left


def test_it_is_private_and_goes(tmp_path):
    with make_scratch(str(tmp_path)) as folder:
        assert Path(folder).parent == tmp_path
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        Path(folder, "rows").touch()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = leave_one(tmp_path)
    with make_scratch(str(tmp_path)) as folder:
        assert [str(path) for path in tmp_path.iterdir()] == [folder]
    assert not left.exists()


def test_one_in_use_stays(tmp_path):
    with make_scratch(str(tmp_path)) as first:
        leave_one(tmp_path)
        with make_scratch(str(tmp_path)) as second:
            assert {str(path) for path in tmp_path.iterdir()} == {first, second}
        assert Path(first).exists()


@pytest.mark.parametrize(
    "change", ["a link", "open to all", "no lock", "other lock", "lock is a link", "other name"]
)
def test_what_may_be_someone_elses_stays(tmp_path, change):
    parent = tmp_path / "temp"
    parent.mkdir()
    left = leave_one(parent)
    if change == "a link":
        moved = left.rename(tmp_path / left.name)
        left.symlink_to(moved)
    elif change == "open to all":
        left.chmod(0o755)
    elif change == "no lock":
        (left / "lock").unlink()
    elif change == "other lock":
        (left / "lock").write_text("42")
    elif change == "other name":
        left = left.rename(parent / "dlsort-notes")
    else:
        (left / "lock").rename(tmp_path / "lock")
        (left / "lock").symlink_to(tmp_path / "lock")
    with make_scratch(str(parent)):
        pass
    assert (left / "spilled" / "rows").exists()


def test_other_folders_stay(tmp_path):
    mine = tmp_path / "dlsort-results"
    mine.mkdir(mode=0o700)
    (tmp_path / "dlsort-notes").write_text("mine")
    with make_scratch(str(tmp_path)):
        pass
    assert mine.exists()
    assert (tmp_path / "dlsort-notes").exists()


def test_where_files_cannot_be_locked_nothing_is_swept(tmp_path, monkeypatch):
    def refuse(*args: object) -> None:
        raise OSError(37, "No locks available")

    left = leave_one(tmp_path)
    monkeypatch.setattr("fcntl.flock", refuse)
    with make_scratch(str(tmp_path)) as folder:
        assert not Path(folder, "lock").exists()
    assert left.exists()


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    refused = pytest.raises(SpillError, match=r"cannot keep temporary files in .*none")
    with refused, make_scratch(str(tmp_path / "none")):
        pass
