"""The examples run as they stand: without the programs they are for, and with stand-ins."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dlsort
from commands import dataset, write
from patience import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "examples"

#: As far as the examples go, what Airflow and Prefect do with functions.
AIRFLOW = """\
made = []
def dag(**options):
    return lambda function: lambda: made.append(("dag", function.__name__, options, function()))
def task(function, **options):
    return lambda *args: made.append(("task", function.__name__, options, function(*args)))
"""
PREFECT = """\
def wrap(kind, **options):
    def decorate(function):
        def call(*args):
            print(f"{kind} {function.__name__} {options}")
            return function(*args)
        return call
    return decorate
flow = lambda **options: wrap("flow", **options)
task = lambda **options: wrap("task", **options)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "events")
    program = tmp_path / "bin" / "dlsort"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlsort "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run(*line: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        list(map(str, line)), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def stand_in(work: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    path = work / "stand-ins" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    if "/" in name:
        (path.parent / "__init__.py").touch()
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    paths = [str(work / "stand-ins"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def is_sorted(by: str = "id") -> bool:
    return dlsort.check_dataset("sorted", by=by, against="events").ok


def test_the_task_of_airflow_runs_without_airflow_and_skips_what_is_done(work):
    line = (sys.executable, EXAMPLES / "airflow_dag.py", "events", "sorted", "id")
    first, again = (json.loads(run(*line).stdout.splitlines()[-1]) for _ in range(2))
    assert is_sorted()
    assert (first["rows"], first["skipped"], again["skipped"]) == (1200, False, True)
    write(work / "events" / "3.parquet")
    later = json.loads(run(*line).stdout.splitlines()[-1])
    assert (later["rows"], later["skipped"]) == (1600, False)
    assert is_sorted()


def test_airflow_finds_a_dag_whose_task_sorts(work, monkeypatch):
    (work / "stand-ins" / "airflow").mkdir(parents=True)
    stand_in(work, monkeypatch, "airflow/sdk", AIRFLOW)
    code = f"""
import runpy, json
names = runpy.run_path({str(EXAMPLES / "airflow_dag.py")!r}, init_globals={{}})
from airflow.sdk import made
(kind, name, options, figures), (_, dag, of_dag, _) = made
print(json.dumps([kind, name, options, figures["rows"], dag, of_dag["schedule"]]))
"""
    # The names that the DAG has for its places; its key is a column of the events.
    script = (EXAMPLES / "airflow_dag.py").read_text()
    assert 'SRC, DST, BY = "events/", "sorted/", "day"' in script
    copy = work / "airflow_dag.py"
    copy.write_text(script.replace('"sorted/", "day"', '"sorted/", "id"'))
    done = run(sys.executable, "-c", code.replace(str(EXAMPLES), str(work)))
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == ["task", "sort_events", {"retries": 2}, 1200, "nightly_sort", "@daily"]
    assert is_sorted()


@pytest.mark.parametrize("has_prefect", [False, True])
def test_the_flow_of_prefect_sorts_and_checks(work, monkeypatch, has_prefect):
    if has_prefect:
        stand_in(work, monkeypatch, "prefect", PREFECT)
    line = (sys.executable, EXAMPLES / "prefect_flow.py", "events", "sorted", "id")
    first, again = run(*line).stdout, run(*line).stdout
    assert first.endswith("1,200 rows, sorted\n")
    assert again.endswith("1,200 rows, skipped\n")
    assert is_sorted()
    assert ("flow sort_and_check {'name': 'sort'}\ntask sort {'retries': 2" in first) == (
        has_prefect
    )
    assert ("task check {}" in first) == has_prefect
    assert "task check" not in again


needs_flock = pytest.mark.skipif(shutil.which("flock") is None, reason="no flock is installed")


@needs_flock
def test_the_script_for_cron_sorts_skips_and_writes_lines(work):
    line = ("sh", EXAMPLES / "nightly.sh", "events", "sorted", "id")
    for is_skipped in (False, True):
        done = run(*line)
        last = json.loads(done.stderr.splitlines()[-1])
        assert (last["event"], last["skipped"], done.stdout) == ("done", is_skipped, "")
        assert json.loads(Path("sorted.report.json").read_text())["skipped"] == is_skipped
    assert is_sorted()


@needs_flock
def test_the_script_for_cron_leaves_one_that_is_at_work_alone(work):
    with Path("sorted.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("sh", EXAMPLES / "nightly.sh", "events", "sorted", "id", code=75)
    assert json.loads(done.stderr)["error"] == "AtWork"
    assert not Path("sorted").exists()
    run("sh", EXAMPLES / "nightly.sh", "events", "sorted", "id")
    assert is_sorted()


@needs_flock
def test_the_script_for_cron_gives_the_commands_exit_code(work):
    done = run("sh", EXAMPLES / "nightly.sh", "events", "sorted", "nothing", code=2)
    assert json.loads(done.stderr.splitlines()[-1])["error"] == "UnknownColumnError"
