"""What tests leave behind is found, and only what is this run's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import docker_kit
from chaos.mounts import can_mount
from chaos.processes import ProcessCluster
from leftovers import Run

WAIT = [sys.executable, "-c", "print('at it', flush=True); input()"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Stand for a run of its own, within the one that this test is of."""
    monkeypatch.setattr(docker_kit, "RUN", "another")
    monkeypatch.setattr(docker_kit, "_left", list)
    monkeypatch.setattr(docker_kit, "remove_left", lambda: None)
    with monkeypatch.context() as patch:
        for name in ("TMPDIR", "DLSORT_TESTS_RUN"):
            patch.setenv(name, os.environ[name])
        run = Run(tmp_path)
        yield run
        if run.folder.exists():
            run.remove()


def start(*, env=None) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        WAIT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=env
    )
    process.stdout.readline()
    return process


def test_a_tidy_run_leaves_nothing(run):
    before = tempfile.gettempdir()
    assert before == str(run.folder)
    with tempfile.TemporaryDirectory(), start() as process:
        process.communicate(b"\n")
    assert run.left_behind() == []
    run.remove()
    assert not run.folder.exists()
    assert tempfile.gettempdir() != before


def test_files_and_processes_are_found_and_removed(run):
    (run.folder / "dask-scratch-space").mkdir()
    file = tempfile.mkdtemp(prefix="forgotten-")
    with start() as ours, start(env={**os.environ, "DLSORT_TESTS_RUN": "theirs"}) as theirs:
        file_found, process_found = sorted(run.left_behind(patience_s=0.0))
        assert file_found == f"file {file}"
        assert process_found.startswith(f"process {ours.pid}: {sys.executable}")
        run.remove()
        assert ours.wait() == -9
        assert theirs.poll() is None
        theirs.communicate(b"\n")
    assert not Path(file).exists()


@pytest.mark.skipif(not can_mount(), reason="no file system may be mounted here")
def test_a_mount_is_found_and_removed(run, tmp_path):
    docker_kit.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path)
    assert run.left_behind() == [f"mount {tmp_path}"]
    run.remove()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps can't be read here")
def test_a_worker_that_is_removed_leaves_no_semaphore(tmp_path):
    cluster = ProcessCluster(tmp_path)
    try:
        before = semaphores()
        ours = set().union(*map(mapped, psutil.Process().children(recursive=True)))
        assert ours & before
    finally:
        cluster.close()
    assert not ours & semaphores()


def semaphores() -> set[int]:
    """Return the inodes of the machine's semaphores."""
    found = set()
    for path in Path("/dev/shm").glob("sem.*"):
        with suppress(FileNotFoundError):  # of another run
            found.add(path.stat().st_ino)
    return found


def mapped(process: psutil.Process) -> set[int]:
    """Return the inodes of those that a process has."""
    with suppress(OSError):
        lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        return {int(line.split()[4]) for line in lines if "/dev/shm/sem." in line}
    return set()
