"""Shells complete commands, options, words and paths, by the script that the command writes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import click
import dask.cli
import pytest
from click.testing import CliRunner

from commands import dataset
from commands import dlsort as command
from dlsort.cli.main import main
from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
# How a shell takes a script without running it.
CHECKS = {"bash": ["-n"], "zsh": ["-n"], "fish": ["--no-execute"]}


@pytest.mark.parametrize("shell", CHECKS)
def test_a_script_is_one_that_the_shell_accepts(tmp_path, shell):
    told = command("completion", shell)
    assert told.exit_code == 0
    assert "_DLSORT_COMPLETE" in told.stdout
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} is installed")
    script = tmp_path / "script"
    script.write_text(told.stdout)
    done = subprocess.run(
        [found, *CHECKS[shell], script], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_refused():
    told = command("completion", "csh")
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == "Error: SHELL is 'csh'; expected bash, zsh or fish.\n"


def completed(line: str) -> list[str]:
    """Return what is offered for the last word of a line."""
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from dlsort.cli import start; start()"],
        env={**os.environ, "_DLSORT_COMPLETE": "bash_complete", **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dlsort ins", ["plain,inspect"]),
        ("dlsort sort --if-ex", ["plain,--if-exists"]),
        (
            "dlsort sort in out --strategy ",
            [f"plain,{w}" for w in ("auto", "move", "range", "exchange")],
        ),
        ("dlsort sort in out --if-exists s", ["plain,skip"]),
        ("dlsort sort some/pa", ["file,some/pa"]),
        ("dlsort sort in some/pa", ["file,some/pa"]),
        ("dlsort sort in out --temp-dir /t", ["dir,/t"]),
        ("dlsort check in --against x", ["file,x"]),
        ("dlsort inspect x", ["file,x"]),
        ("dlsort completion ", ["plain,bash", "plain,zsh", "plain,fish"]),
    ],
)
def test_words_and_paths_are_offered(line, offered):
    assert completed(line) == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash is installed")
def test_bash_completes_with_the_script(tmp_path):
    script = tmp_path / "script"
    script.write_text(command("completion", "bash").stdout)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "dlsort"
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from dlsort.cli import start; start()" "$@"\n'
    )
    program.chmod(0o755)
    code = f"""
    source {script}
    COMP_WORDS=(dlsort sort --over) COMP_CWORD=2
    _dlsort_completion dlsort
    echo "${{COMPREPLY[@]}}"
    complete -p dlsort
    """
    done = subprocess.run(
        ["bash", "-c", code],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stderr == ""
    assert done.stdout == "--overwrite\ncomplete -o nosort -F _dlsort_completion dlsort\n"


# ---------------------------------------------------------------- below Dask's command


@pytest.fixture
def below_dask(monkeypatch):
    """Return Dask's command, with ours as it finds it by its entry point."""
    points = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["project"]["entry-points"]
    assert resolve_name(points["dask_cli"]["dlsort"]) is main
    group = click.Group("dask", commands=dict(dask.cli.cli.commands))

    class Point:
        name = "dlsort"

        @staticmethod
        def load():
            return resolve_name(points["dask_cli"]["dlsort"])

    dask.cli._register_command_ep(group, Point)
    return lambda *args: CliRunner().invoke(group, ["dlsort", *map(str, args)])


def test_it_sorts_as_a_command_of_dasks(below_dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    done = below_dask("sort", "in", "out", "--by", "id", "--threads", 1, "--no-progress")
    assert done.exit_code == 0, done.output
    assert below_dask("check", "out", "--against", "in", "--no-progress").exit_code == 0
    assert below_dask("check", "in", "--by", "id", "--no-progress").exit_code == 1


def test_its_errors_are_the_same_below_dask(below_dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    for args in (
        ("in", "out", "--by", "nothing"),
        ("in", "in", "--by", "id", "--temp-dir", "x"),
    ):
        ours, dasks = command("sort", *args), below_dask("sort", *args)
        assert (
            (dasks.exit_code, dasks.stderr) == (ours.exit_code, ours.stderr) == (2, ours.stderr)
        )
