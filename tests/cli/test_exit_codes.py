"""The exit codes: one table, which the help, the page and the command's docstring repeat."""

from __future__ import annotations

import re
from pathlib import Path

from commands import dataset, write
from commands import dlsort as command
from dlsort.cli import exit_codes
from dlsort.cli import main as module
from dlsort.cli.exit_codes import EXIT_CODES

PAGE = Path(__file__).parents[2] / "dlsort" / "cli" / "README.md"


def joined(text: str) -> str:
    return " ".join(text.split())


def test_the_page_has_the_table():
    found = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", PAGE.read_text(), re.M)
    assert dict(found) == EXIT_CODES


def test_the_docstring_has_the_table():
    found = joined(module.__doc__.partition("means\n")[2].replace("==", ""))
    assert found == joined(" ".join(f"{codes} {text}" for codes, text in EXIT_CODES.items()))


def test_the_help_has_the_table_in_80_columns():
    shown = command("--help").stdout
    told = shown.partition("Exit codes:\n")[2]
    assert joined(told) == joined(" ".join(f"{c} {t}" for c, t in EXIT_CODES.items()))
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_every_code_that_is_used_is_in_it():
    named = {str(getattr(exit_codes, name)) for name in exit_codes.__all__ if name.isupper()
             and isinstance(getattr(exit_codes, name), int)}  # fmt: skip
    assert named | {"0", "129, 130, 143"} == set(EXIT_CODES)


def test_codes_of_0_1_and_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    write(tmp_path / "other" / "0.parquet")
    sort = ("sort", "in", "out", "--by", "id", "--threads", 1)
    assert command(*sort).exit_code == 0
    assert command(*sort, "--if-exists", "skip").exit_code == 0
    assert command("check", "out", "--against", "other").exit_code == 1
    assert command(*sort).exit_code == 2
