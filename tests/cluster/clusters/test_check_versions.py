from __future__ import annotations

import builtins
import os
import signal
import threading
from weakref import WeakKeyDictionary

import pytest

import exchange_kit as kit
from dlsort_cluster import versions
from dlsort_cluster.addresses import worker_name
from dlsort_cluster.clusters import check_versions as checks
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.check_versions import check_versions, check_versions_once
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.versions import VersionsDifferError, compare, installed
from p2p_kit import assert_no_runs
from patience import PATIENCE_S
from worker_kit import start_scheduler, start_worker

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
    look = checks._make_look()
    assert {found["numpy"] for found in three_workers.run(look).values()} == {"1.0"}


def test_a_worker_without_dlsort_answers_all_the_same(three_workers, monkeypatch):
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "dlsort_cluster.versions":
            raise ModuleNotFoundError(name)
        return load(name, *args, **kwargs)

    def missing(package):
        raise versions.PackageNotFoundError(package)

    look = checks._make_look()
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
    monkeypatch.setattr("dlsort_cluster.p2p.run.installed", lambda: {**ours, "numpy": "1.0"})
    with pytest.raises(VersionsDifferError, match=r"^a worker in .* has numpy 1.0"):
        run(three_workers, layer)
    monkeypatch.undo()
    assert_no_runs(three_workers)


def test_workers_are_asked_once(three_workers, monkeypatch):
    monkeypatch.setattr(checks, "_alike", WeakKeyDictionary())
    asked = []
    run = three_workers.run

    def count(*args, workers=None, **kwargs):
        asked.append(workers)
        return run(*args, workers=workers, **kwargs)

    monkeypatch.setattr(three_workers, "run", count)
    check_versions_once(three_workers)
    check_versions_once(three_workers)
    those = [address for (address,) in asked]
    assert sorted(those) == sorted(workers_of(three_workers))
    # one of them is new
    checks._alike[three_workers] -= {those[0]}
    check_versions_once(three_workers)
    assert asked[3:] == [[those[0]]]


def test_a_worker_that_has_gone_is_asked_nothing(three_workers, monkeypatch):
    """It is not said to have no dlsort; once it is back, it is asked."""
    monkeypatch.setattr(checks, "ANSWER_S", 2.0)
    monkeypatch.setattr(checks, "_alike", WeakKeyDictionary())
    there = frozenset(workers_of(three_workers))
    gone = "tcp://127.0.0.1:1"
    assert check_versions(three_workers, workers={*there, gone}) == there
    monkeypatch.setattr(checks, "workers_of", lambda _: there | {gone})
    check_versions_once(three_workers)
    assert checks._alike[three_workers] == there


@pytest.mark.parametrize("check", [check_versions, check_versions_once])
def test_a_worker_that_stands_still_is_not_waited_for(monkeypatch, check):
    monkeypatch.setattr(checks, "ANSWER_S", 2.0)
    monkeypatch.setattr(checks, "_alike", WeakKeyDictionary())
    ended = []
    with start_scheduler() as client, start_worker(client) as worker:
        pid = client.run(os.getpid)[worker]
        os.kill(pid, signal.SIGSTOP)
        checking = threading.Thread(target=lambda: ended.append(check(client)), daemon=True)
        checking.start()
        checking.join(PATIENCE_S)
        os.kill(pid, signal.SIGCONT)
        assert ended, "it waits"


def test_workers_that_differ_are_asked_again(three_workers, monkeypatch):
    monkeypatch.setattr(checks, "_alike", WeakKeyDictionary())
    ours = installed()
    monkeypatch.setattr(checks, "_make_look", lambda: lambda: {**ours, "numpy": "1.0"})
    for _ in range(2):
        with pytest.raises(VersionsDifferError, match=r"has numpy 1\.0"):
            check_versions_once(three_workers)
    monkeypatch.undo()
    check_versions_once(three_workers)


def test_a_worker_that_was_given_a_name_is_called_by_it_too(monkeypatch):
    ours = installed()
    look = lambda: {**ours, "numpy": "1.0"}  # noqa: E731 - sent whole
    with start_scheduler() as client, start_worker(client, name="bare one") as worker:
        monkeypatch.setattr(checks, "_make_look", lambda: look)
        with pytest.raises(VersionsDifferError) as told:
            check_versions(client)
    assert str(told.value).startswith(f"worker 'bare one' ({worker}) has numpy 1.0, ")


@pytest.mark.parametrize("given", [None, 3, "tcp://10.0.0.4:4001", "", "a"])
def test_a_name_that_dask_made_up_says_nothing(given):
    says = "worker 'a' (tcp://10.0.0.4:4001)" if given == "a" else "worker tcp://10.0.0.4:4001"
    assert worker_name("tcp://10.0.0.4:4001", given) == says


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("tls://10.0.0.4:4001", "worker tls://10.0.0.4:4001"),
        ("inproc://10.0.0.4/1/2", "a worker in the process of the client"),
    ],
)
def test_workers_have_names_that_say_something(address, name):
    assert worker_name(address) == name
