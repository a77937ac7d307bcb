"""A pytest plugin that puts dlsort under tests which know nothing of it.

Dask's tests run with ``dlsort.enabled()``. In pandas' tests, sorts go through a
Dask collection of three partitions (:mod:`upstream.pandas_calls`). What
``differences.py`` lists has to be so: the run fails where a listed test passes
or is not there any more, where a test of pandas sorts nothing, and where pandas
is to answer a call that no test makes or that dlsort can answer.
"""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import dlsort
from upstream.differences import DIFFERENCES, Differences, is_listed
from upstream.pandas_calls import Driver, replace_calls, stable_call

SITE = Path(sysconfig.get_path("purelib"))
FILES = tuple(SITE / file for file in DIFFERENCES)

calls = Counter[str]()
needless = {
    (file, kind, name)
    for file, differences in DIFFERENCES.items()
    for kind, names in differences.left.items()
    for name in names
}


def file_of(item: Any) -> str:
    """Return a test's file, as the lists have it."""
    return item.path.relative_to(SITE).as_posix()


def name_of(item: pytest.Item) -> str:
    """Return a test's name in its file, as the lists have it."""
    return item.nodeid.partition("::")[2]


# ---------------------------------------------------------------- tests that fail


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the listed tests as failing, before any are left out by ``-k``."""
    for file in {file_of(item) for item in items}:
        differences = DIFFERENCES[file]
        tests = [item for item in items if file_of(item) == file]
        check_names(file, differences, [name_of(item) for item in tests])
        for failure in differences.failures:
            mark = pytest.mark.xfail(reason=failure.reason, raises=failure.error, strict=True)
            for item in tests:
                if is_listed(name_of(item), failure.tests):
                    item.add_marker(mark)


def check_names(file: str, differences: Differences, names: list[str]) -> None:
    """Raise if a list names a test that is not there."""
    failures = [failure.tests for failure in differences.failures]
    lists = [*failures, *differences.left.values(), differences.no_call]
    for entry in {entry for entries in lists for entry in entries}:
        if not any(is_listed(name, [entry]) for name in names):
            msg = f"differences.py lists {entry}, which is not in {file}."
            raise pytest.UsageError(msg)


# ---------------------------------------------------------------- the others


@pytest.fixture(autouse=True)
def through_dlsort(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Put dlsort under the test that is about to run."""
    under = under_pandas if file_of(request).startswith("pandas") else under_dask
    yield from under(request, monkeypatch)


def under_dask(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    if hasattr(request.module, "ProcessPoolExecutor"):
        # Processes that a test starts have to sort alike.
        pool = partial(ProcessPoolExecutor, initializer=dlsort.enable)
        monkeypatch.setattr(request.module, "ProcessPoolExecutor", pool)
    replace_calls(monkeypatch, request.module.__name__, stable_call)
    with dlsort.enabled():
        yield


def under_pandas(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    file, name = file_of(request), name_of(request.node)
    differences = DIFFERENCES[file]
    left = [kind for kind, names in differences.left.items() if is_listed(name, names)]
    driver = Driver(left)
    replace_calls(monkeypatch, request.module.__name__, driver.call)
    yield
    calls.update({"driven": driver.n_driven, "left to pandas": driver.n_left})
    needless.difference_update(
        entry
        for entry in list(needless)
        if entry[:2] in {(file, kind) for kind in driver.was_left}
        and is_listed(name, [entry[2]])
    )
    sorts = driver.n_driven + driver.n_left > 0
    assert sorts != is_listed(name, differences.no_call), f"{name} sorts: {sorts}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if needless and not session.config.option.keyword and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = ", ".join(f"{n} {what}" for what, n in calls.items())
    terminalreporter.write_line(f"Sorts in pandas' tests: {counted or 'none'}")
    if not terminalreporter.config.option.keyword:
        for file, kind, name in sorted(needless):
            terminalreporter.write_line(f"{file}: {name} makes no call with {kind}")
