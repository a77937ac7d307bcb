"""README's examples run as they stand, from top to bottom, in a folder with lineitem in it."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from patience import PATIENCE_S

README = Path(__file__).resolve().parents[2] / "README.md"
# Needs a network, a cluster, or a checkout with make.
ELSEWHERE = {"pip", "tpchgen-cli", "make", "dask"}


class Example(NamedTuple):
    language: str
    code: str


def examples() -> list[Example]:
    """Return the fenced blocks that have a language, at any depth."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", README.read_text(), re.M | re.S)
    return [Example(language, re.sub(rf"^{indent}", "", code, flags=re.M))
            for indent, language, code in found]  # fmt: skip


def commands(code: str) -> set[str]:
    return {line.split()[0] for line in code.splitlines() if line.strip()}


def make_lineitem(folder: Path) -> None:
    """Write a few rows under the names and types that TPC-H's has."""
    rng = np.random.default_rng(4)
    n = 500
    day = datetime.date(1992, 1, 2)
    for i in range(8):
        cents = [Decimal(int(c)).scaleb(-2) for c in rng.integers(100, 10**7, n)]
        money = pa.array(cents, pa.decimal128(15, 2))
        days = rng.integers(0, 2500, n)
        table = pa.table(
            {
                "l_orderkey": np.arange(i * n, i * n + n) // 3,
                "l_linenumber": pa.array(np.arange(n) % 3 + 1, pa.int32()),
                "l_quantity": money,
                "l_extendedprice": money[::-1],
                "l_tax": money,
                "l_shipdate": [day + datetime.timedelta(int(d)) for d in days],
                "l_shipmode": rng.choice(["AIR", "MAIL", "SHIP", "TRUCK"], n),
                "l_comment": [f"comment {c}" for c in rng.integers(0, 300, n)],
            }
        )
        folder.mkdir(exist_ok=True)
        pq.write_table(table, folder / f"lineitem.{i + 1}.parquet")


def run_shell(code: str, bin_folder: Path) -> None:
    """Run commands as a shell would that has the installed ``dlsort`` in its path."""
    dlsort = bin_folder / "dlsort"
    dlsort.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlsort "$@"\n')
    dlsort.chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-c", code],
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Dask's own, with pandas from 3.1 on.
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
def test_the_examples_run_in_their_order(tmp_path, monkeypatch):
    place, bin_folder = tmp_path / "here", tmp_path / "bin"
    place.mkdir()
    bin_folder.mkdir()
    monkeypatch.chdir(place)
    make_lineitem(place / "lineitem")
    n_run = {"python": 0, "sh": 0}
    for example in examples():
        if example.language == "python":
            names: dict[str, object] = {}
            exec(compile(example.code, "README.md", "exec"), names)
            if "days" in names:  # what the text below says of it
                assert names["days"].known_divisions
                assert len(names["days"]) == 8 * 500
                assert len(names["ddf"].compute()) == 8 * 500
        elif example.language == "sh" and not commands(example.code) & ELSEWHERE:
            run_shell(example.code, bin_folder)
        else:
            continue
        n_run[example.language] += 1
    assert n_run["python"] >= 2
    assert n_run["sh"] >= 1


@pytest.mark.parametrize("example", [e for e in examples() if e.language == "sh"])
def test_what_is_not_run_is_known(example):
    assert commands(example.code) <= ELSEWHERE | {"dlsort"}


def test_commands_and_options_are_those_there_are():
    """Every target of make, and every option of the command, that the README names."""
    text = README.read_text()
    makefile = README.with_name("Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets
    helped = "".join(
        subprocess.run(
            [sys.executable, "-m", "dlsort", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout
        for name in ("sort", "check")
    )
    table = text.partition("| option of `sort` | |")[2].partition("\n\n")[0]
    options = set(re.findall(r"--[a-z][a-z-]+", table))
    assert len(options) > 10
    assert {option for option in options if option not in helped} == set()
