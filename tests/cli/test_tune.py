"""``dlsort tune``: measured, shown, removed."""

from __future__ import annotations

import signal
import time

import pytest
from distributed import LocalCluster

import dlsort.calibrate as module
from calibrate_kit import tiny  # noqa: F401 - a fixture
from commands import dlsort as command
from dlsort.planner.history import History, Run
from dlsort.planner.profile import load, machine_key, profile_files


def done(*args):
    result = command("tune", *args)
    assert result.exit_code == 0, result.output
    return result


def test_what_is_measured_is_kept_and_shown(tiny, tmp_path):  # noqa: F811
    (tmp_path / "scratch").mkdir()
    result = done("--temp-dir", tmp_path / "scratch")
    assert "integers: " in result.stderr
    assert f"machine    {machine_key()}\n" in result.stdout
    assert "profile    of 20" in result.stdout
    assert "memory     " in result.stdout
    assert result.stdout == done("--show").stdout
    assert [path.parent for path in profile_files()] == [tiny / ".cache" / "dlsort"]
    assert not list((tmp_path / "scratch").iterdir())


def test_without_a_profile_what_is_built_in_is_shown(tiny):  # noqa: F811
    shown = done("--show").stdout
    assert "profile    none" in shown
    assert f"0 runs of this machine in {tiny}" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["sort", "rows", "11", "ns", "–", "–"] in rows
    assert ["read", "chunks", "10", "µs", "–", "–"] in rows
    assert not list(tiny.iterdir())


def test_what_runs_have_taught_is_shown(tiny, monkeypatch):  # noqa: F811
    work = {"sort": {"rows": 1e6}}
    for _ in range(3):
        run = Run(time.time(), machine_key(), "job", work, {}, {"sort": 0.022}, {})
        assert History.open().append(run)
    shown = done("--show").stdout
    assert "3 runs of this machine" in shown
    rows = [line.split() for line in shown.splitlines()]
    (row,) = (row for row in rows if row[:2] == ["sort", "rows"])
    assert row[2:5] == ["11", "ns", "–"]
    assert 20 < float(row[5]) <= 22
    monkeypatch.setenv("DLSORT_HISTORY", "off")
    assert "history    off" in done("--show").stdout


def test_reset_tells_what_it_removes(tiny):  # noqa: F811
    done()
    assert History.open().append(Run(1.0, machine_key(), "job", {}, {}, {}, {}))
    kernels = tiny / ".cache" / "dlsort" / "dlsort-kernels"
    kernels.mkdir()
    files = [*profile_files(), *History.open().files()]
    assert len(files) == 2
    assert done("--reset").stdout == "".join(f"removing   {path}\n" for path in files)
    assert [*kernels.parent.iterdir()] == [kernels]
    assert done("--reset").stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        ["--show", "--reset"],
        ["--show", "--scheduler", "tcp://h:1"],
        ["--reset", "--temp-dir", "."],
    ],
    ids=" ".join,
)
def test_what_is_asked_of_what_is_kept_stands_alone(args):
    result = command("tune", *args)
    assert result.exit_code == 2
    assert "--show and --reset stand alone" in result.stderr


def test_a_folder_that_is_not_there_is_told(tiny):  # noqa: F811
    result = command("tune", "--temp-dir", tiny / "none")
    assert result.exit_code == 2
    assert "cannot keep temporary files in" in result.stderr
    assert load() is None


def test_a_cache_folder_that_can_not_be_written_is_told(tiny, monkeypatch):  # noqa: F811
    monkeypatch.setattr("dlsort.planner.profile.cache_folder", lambda: None)
    result = command("tune")
    assert result.exit_code == 2
    assert "NUMBA_CACHE_DIR" in result.stderr
    assert not list(tiny.iterdir())


def test_ctrl_c_leaves_nothing(tiny, tmp_path, monkeypatch):  # noqa: F811
    sort, scratch = module.sort_dataset, tmp_path / "scratch"
    scratch.mkdir()

    def stopped(*args, **how):
        if len(list(how["temp_dir"].glob("in/*"))) > 2:  # the last input
            signal.raise_signal(signal.SIGINT)
        return sort(*args, **how)

    monkeypatch.setattr(module, "sort_dataset", stopped)
    result = command("tune", "--temp-dir", scratch)
    assert result.exit_code == 130
    assert "stopped by SIGINT." in result.stderr
    assert not list(scratch.iterdir())
    assert not list(tiny.iterdir())


def test_a_cluster_is_measured_by_its_hosts(tiny):  # noqa: F811
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        told = done("--scheduler", cluster.scheduler_address).stdout
        assert told.count("measured in") == 1
        assert str(profile_files()[0]) in told
        failed = command(
            "tune", "--scheduler", cluster.scheduler_address, "--temp-dir", tiny / "none"
        )
    assert failed.exit_code == 2
    assert "1 host could not be measured: " in failed.stderr
    assert "cannot keep temporary files in" in failed.stderr
