"""A machine's profile: kept whole, and taken only where it is this machine's."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from dlsort.errors import DlsortError
from dlsort.planner import cache_folder as folders
from dlsort.planner import profile as module
from dlsort.planner.cache_folder import cache_folder
from dlsort.planner.profile import Profile, load, machine_key, profile_files, save
from dlsort.version import __version__


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def mine():
    return Profile(machine_key(), {"sort": {"rows": 2e-8}}, {"l2_bytes": 2.0**20}, 1.7e9)


def test_the_key_tells_processor_cores_and_versions(tmp_path, monkeypatch):
    assert f"dlsort {__version__}, pyarrow " in machine_key()
    assert " cores, " in machine_key()
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: A  Fast One\n\nprocessor\t: 1\n"
    )
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "cpuinfo")
    assert module._processor() == "A Fast One"
    (tmp_path / "cpuinfo").write_text("CPU implementer\t: 0x41\nCPU part\t: 0xd40\n")
    assert module._processor() == "0x41 0xd40"
    (tmp_path / "cpuinfo").unlink()
    assert module._processor()


def test_a_profile_comes_back_as_it_was_saved(home, mine):
    assert load() is None
    assert profile_files() == []
    path = save(mine)
    assert path.parent == home / ".cache" / "dlsort"
    assert load() == mine
    save(newer := replace(mine, at=1.8e9))
    assert load() == newer
    assert profile_files() == list(path.parent.iterdir()) == [path]


def test_the_profile_of_another_machine_or_version_is_ignored(mine):
    path = save(replace(mine, machine="another"))
    assert load() is None
    path.write_text(json.dumps({"version": 2, **asdict(mine)}))
    assert load() is None


@pytest.mark.parametrize(
    "change",
    [
        {"speeds": {"sort": {"rows": float("nan")}}},
        {"speeds": {"sort": {"rows": -1}}},
        {"speeds": {"sort": {"rows": "fast"}}},
        {"speeds": {"sort": 1}},
        {"speeds": None},
        {"facts": {"l2_bytes": 1e30}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_damaged_profile_is_ignored(mine, change):
    path = save(mine)
    told = {"version": 1, **asdict(mine), **change}
    path.write_text(json.dumps(told))
    assert load() is None


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 50_000])
def test_a_file_that_is_no_profile_is_ignored(mine, data):
    path = save(mine)
    path.write_bytes(data)
    assert load() is None
    save(mine)
    assert load() == mine


def test_a_folder_in_its_place_is_told(mine):
    path = save(mine)
    path.unlink()
    path.mkdir()
    assert load() is None
    with pytest.raises(DlsortError, match="NUMBA_CACHE_DIR"):
        save(mine)
    assert list(path.parent.iterdir()) == [path]


def test_no_folder_is_told(mine, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda: None)
    assert load() is None
    assert profile_files() == []
    with pytest.raises(DlsortError, match="no folder can be written"):
        save(mine)


# ---------------------------------------------------------------- the folder


def test_the_folder_is_the_first_that_can_be_written(home, monkeypatch):
    assert cache_folder() == home / ".cache" / "dlsort"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(home / "told"))
    assert cache_folder() == home / "told"
    assert not list(home.iterdir())
    (home / "told").touch()
    assert cache_folder() == home / ".cache" / "dlsort"


def test_without_a_home_it_is_a_folder_of_ours_among_the_temporary_ones(home, monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(home))
    found = cache_folder()
    assert found is not None
    assert found.parent == home
    found.symlink_to(home)  # which anyone may have put there
    assert cache_folder() is None
