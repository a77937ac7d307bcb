"""How the command begins: at once, and so that Ctrl-C ends it at any moment without a word."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest

from dlsort import cli

ROOT = Path(__file__).parents[2]
#: The command as its console script runs it, with what the shell has it do on Ctrl-C.
START = """\
import signal, sys
signal.signal(signal.SIGINT, signal.{handler})
sys.path.insert(0, {folder!r})
from dlsort.cli import start
start()
"""
#: In the place of a package that the command imports: Ctrl-C arrives just then.
STOPPED = """\
import signal
signal.raise_signal(signal.SIGINT)
raise SystemExit("went on")
"""


def start(folder: Path, handler: str, *args: str) -> subprocess.CompletedProcess[str]:
    code = START.format(handler=handler, folder=str(folder))
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)


@pytest.mark.parametrize("package", ["click", "numpy"])
def test_ctrl_c_while_it_imports_ends_it_without_a_traceback(tmp_path, package):
    Path(tmp_path, f"{package}.py").write_text(STOPPED)
    args = ["sort", "in", "out", "--by", "id"] if package == "numpy" else []
    stopped = start(tmp_path, "default_int_handler", *args)
    is_told = "Error: stopped by SIGINT.\n" if package == "numpy" else ""
    assert (stopped.stdout, stopped.stderr) == ("", is_told)
    assert stopped.returncode == (128 + signal.SIGINT if is_told else -signal.SIGINT)


def test_ctrl_c_that_was_ignored_from_the_start_stays_so(tmp_path):
    Path(tmp_path, "click.py").write_text(STOPPED)
    went_on = start(tmp_path, "SIG_IGN")
    assert (went_on.returncode, went_on.stderr) == (1, "went on\n")


def test_the_console_script_is_this_command():
    # what is installed may be of another checkout
    scripts = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["project"]["scripts"]
    assert resolve_name(scripts["dlsort"]) is cli.start


def test_the_package_runs_as_the_command():
    line = [sys.executable, "-m", "dlsort", "sort", "--help"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: dlsort sort [OPTIONS] SRC... DST")


def test_without_a_word_it_helps():
    line = [sys.executable, "-m", "dlsort"]
    bare, asked = (
        subprocess.run([*line, *args], capture_output=True, text=True) for args in ([], ["-h"])
    )
    assert asked.stdout.startswith("Usage: dlsort [OPTIONS] COMMAND [ARGS]...\n\n  Sort ")
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, asked.stdout, "")
