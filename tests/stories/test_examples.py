"""The examples: each script runs as its page says, and so do the cells of the notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_S

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = EXAMPLES / "trips.py"
# Run with data of the caller's, by tests/stories/test_schedules.py.
SCHEDULED = [EXAMPLES / name for name in ("airflow_dag.py", "prefect_flow.py", "nightly.sh")]
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if path not in {DATA, *SCHEDULED})
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def run(script: Path, folder: Path) -> str:
    """Run a script as a user does, in a folder of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cells(notebook: Path) -> list[str]:
    found = json.loads(notebook.read_text())
    assert found["nbformat"] == 4
    return ["".join(c["source"]) for c in found["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_runs_and_again_where_it_has_run(script, tmp_path):
    """Whoever tries an example tries it twice."""
    assert run(script, tmp_path)
    assert run(script, tmp_path)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run_in_their_order(notebook, tmp_path):
    script = tmp_path / "cells.py"
    shown = [f"{cell}\nprint('cell {i} is done')" for i, cell in enumerate(cells(notebook))]
    script.write_text("\n\n".join(shown))
    (tmp_path / DATA.name).write_text(DATA.read_text())
    printed = run(script, tmp_path)
    assert printed.count("is done") == len(cells(notebook)) >= 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_results(notebook):
    code = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    assert [c for c in code if c["outputs"] or c["execution_count"]] == []


def test_the_page_names_each_example():
    text = (EXAMPLES / "README.md").read_text()
    files = [*SCRIPTS, *SCHEDULED, *NOTEBOOKS, DATA]
    assert len(SCRIPTS) >= 5
    assert len(NOTEBOOKS) >= 1
    assert [path.name for path in files if f"]({path.name})" not in text] == []
