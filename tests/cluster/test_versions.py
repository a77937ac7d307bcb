from __future__ import annotations

import builtins

import pytest

import exchange_kit as kit
from dlsort_cluster import p2p, versions
from dlsort_cluster.clusters import run
from dlsort_cluster.versions import VersionsDifferError, check_versions, compare, installed
from p2p_kit import assert_no_runs

OTHER = {"dlsort": "0.0.1", "numpy": "1.26.4", "distributed": "2025.1.0"}


def test_what_is_installed_is_told():
    found = installed()
    assert found["numpy"] == __import__("numpy").__version__
    assert found["distributed"] == __import__("distributed").__version__
    assert found["dlsort"] == __import__("dlsort").__version__
    assert found["python"].count(".") == 1


def test_a_cluster_with_the_same_versions_is_fine(three_workers):
    check_versions(three_workers)


@pytest.mark.parametrize("package", OTHER)
def test_a_worker_with_another_version_is_named(package):
    theirs = {**installed(), package: OTHER[package]}
    says = rf"w has {package} {OTHER[package]}, and the client has {installed()[package]}"
    with pytest.raises(VersionsDifferError, match=says):
        compare(installed(), theirs, "w")


def test_a_worker_that_lacks_a_package_is_named():
    theirs = {p: version for p, version in installed().items() if p != "pyarrow"}
    with pytest.raises(VersionsDifferError, match=r"w has no pyarrow; install pyarrow \d"):
        compare(installed(), theirs, "w")


def test_a_worker_is_asked_for_its_own(three_workers, monkeypatch):
    ours = installed()
    monkeypatch.setattr(versions, "installed", lambda: {**ours, "numpy": "1.0"})
    look = versions._make_look()
    assert {found["numpy"] for found in three_workers.run(look).values()} == {"1.0"}


def test_a_worker_without_dlsort_answers_all_the_same(three_workers, monkeypatch):
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "dlsort_cluster.versions":
            raise ModuleNotFoundError(name)
        return load(name, *args, **kwargs)

    def missing(package):
        raise versions.PackageNotFoundError(package)

    look = versions._make_look()
    monkeypatch.setattr(builtins, "__import__", refuse)
    broken = {"dlsort": f"{installed()['dlsort']}, which can't be imported"}
    assert look() == broken
    with pytest.raises(VersionsDifferError, match=r"w has dlsort .* can't be imported"):
        compare(installed(), broken, "w")
    monkeypatch.setattr("importlib.metadata.version", missing)
    assert look() == {}
    monkeypatch.undo()
    with pytest.raises(VersionsDifferError, match=r"w has no dlsort; install dlsort \S+ there"):
        compare(installed(), {}, "w")


def test_a_worker_that_joined_later_is_refused_by_the_run(three_workers, monkeypatch):
    layer = p2p.build(kit.exchange(), kit.name(), kit.sources(5), 6)
    ours = installed()
    monkeypatch.setattr("dlsort_cluster.p2p_run.installed", lambda: {**ours, "numpy": "1.0"})
    with pytest.raises(VersionsDifferError, match=r"^a worker in .* has numpy 1.0"):
        run(three_workers, layer)
    monkeypatch.undo()
    assert_no_runs(three_workers)
