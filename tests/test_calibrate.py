"""Calibration: every step of small sorts is measured, and nothing of them is left."""

from __future__ import annotations

import pytest
from distributed import LocalCluster

import dlsort.calibrate as module
from calibrate_kit import tiny  # noqa: F401 - a fixture
from dlsort.calibrate import calibrate, tune, tune_hosts
from dlsort.errors import ClusterError, DlsortError
from dlsort.planner.profile import load, machine_key
from dlsort.planner.speeds import BUILT_IN
from dlsort_cluster.exchange import SpillError

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


class Seen:
    def __init__(self, stop_at=None):
        self.names, self._stop_at = [], stop_at

    def phase(self, name, total_rows):
        assert total_rows > 0
        self.names.append(name)
        if name == self._stop_at:
            raise KeyboardInterrupt

    def rows(self, name, done):
        pass

    def finish(self, name):
        assert self.names[-1] == name


def test_a_profile_has_the_machine_its_speeds_and_facts(scratch):
    seen = Seen()
    profile = calibrate(str(scratch), seen)
    assert profile.machine == machine_key()
    assert {step: list(units) for step, units in profile.speeds.items()} == {
        step: list(units) for step, units in BUILT_IN.items()
    }
    assert all(speed > 0 for units in profile.speeds.values() for speed in units.values())
    assert profile.speeds["spill"] == BUILT_IN["spill"]  # which no small sort does
    facts = (
        "cores",
        "memory_bytes",
        "fresh_bytes_per_s",
        "again_bytes_per_s",
        "copy_bytes_per_s",
    )
    for fact in (*facts, "disk_write_bytes_per_s", "took_s"):
        assert profile.facts[fact] > 0, fact
    assert set(seen.names) == {each.name for each in module._INPUTS}
    assert not list(scratch.iterdir())


def test_each_input_is_sorted_by_one_thread_and_by_all(scratch, monkeypatch):
    monkeypatch.setattr(module, "machine_cores", lambda: 2)
    sorts = []
    sort = module.sort_dataset
    monkeypatch.setattr(
        module, "sort_dataset", lambda *a, **how: sorts.append(how) or sort(*a, **how)
    )
    calibrate(str(scratch))
    assert [how["threads"] for how in sorts] == [1, 2] * 2 * (1 + len(module._INPUTS))


def test_what_stops_it_leaves_nothing(scratch):
    with pytest.raises(KeyboardInterrupt):
        calibrate(str(scratch), Seen(stop_at="floats"))
    assert not list(scratch.iterdir())
    assert load() is None


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SpillError, match="cannot keep temporary files in"):
        calibrate(str(tmp_path / "none"))


def test_a_profile_is_kept(tiny):  # noqa: F811
    profile, path = tune()
    assert path.parent == tiny / ".cache" / "dlsort"
    assert load() == profile


# ---------------------------------------------------------------- on a cluster


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as found:
        yield found


def test_each_host_of_a_cluster_measures_once(cluster, monkeypatch):
    measured = []
    monkeypatch.setattr(
        module, "calibrate", lambda *given: measured.append(given) or calibrate(*given)
    )
    outcomes = tune_hosts(cluster.scheduler_address)
    assert len(outcomes) == len(measured) == 1
    ((profile, path),) = outcomes.values()
    assert load() == profile
    assert path.exists()


def test_a_host_that_can_not_be_measured_is_told(cluster, tmp_path):
    ((_, why),) = tune_hosts(cluster.scheduler_address, str(tmp_path / "none")).items()
    assert isinstance(why, SpillError)
    assert load() is None


def test_a_cluster_that_is_away_is_told():
    with pytest.raises(ClusterError, match="no Dask scheduler answered"):
        tune_hosts("tcp://127.0.0.1:1")


def test_a_cluster_without_workers_is_told():
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(DlsortError, match="no worker"),
    ):
        tune_hosts(empty.scheduler_address)
