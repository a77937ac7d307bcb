"""Pages: their fenced blocks, and how a block of each language is run.

=========  =====================================================================
language   what is done with it
=========  =====================================================================
python     run, in a namespace of its own
sh         run by a shell that has ``dlsort``, unless a command of it is `ELSEWHERE`
output     compared with what the block before it has printed; ``...`` is anything
sql        run by DuckDB
yaml       read, and each command of ``dlsort`` in it
json toml  read
mermaid    a drawing; so is a block without a language
=========  =====================================================================

All blocks of a page run in one folder, from top to bottom, with ``lineitem/`` in it. A page
that names `SCHEDULER` gets a cluster there; one that names ``s3://`` a store in memory.
"""

from __future__ import annotations

import contextlib
import datetime
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import click
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from fsspec.implementations.memory import MemoryFileSystem

from commands import dlsort as command
from dlsort.cli.main import main
from patience import PATIENCE_S
from worker_kit import start_scheduler

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs"
FOLDERS = ("dlsort", "cluster", "kernels", "docs", "docker", "benchmarks", "examples", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))])
# Needs a network, a cluster, or a checkout with make.
ELSEWHERE = {"pip", "make", "dask", "python", ".venv/bin/python"}
ELSEWHERE |= {"kubectl", "helm", "sbatch", "dask-gateway-server", "docker/certificates.sh"}
HERE = {"dlsort", "mkdir", "tpchgen-cli"}
RUN = {"python", "sh", "sql", "yaml", "json", "toml"}
LANGUAGES = RUN | {"output", "mermaid"}
SCHEDULER = "tcp://scheduler:8786"
STORE = "s3://"

_SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Example(NamedTuple):
    """A fenced block that has a language."""

    language: str
    code: str

    @property
    def runs_here(self) -> bool:
        """Whether it can be run without a network."""
        if self.language == "sh":
            return not commands(self.code) & ELSEWHERE
        return self.language in RUN


def examples(page: Path) -> list[Example]:
    """Return the fenced blocks that have a language, at any depth."""
    blocks = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", page.read_text(), re.M | re.S)
    return [
        Example(language, re.sub(rf"^{indent}", "", code, flags=re.M))
        for indent, language, code in blocks
    ]


def lines(code: str) -> list[str]:
    """Return the lines of a shell's code; one that goes on is one."""
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def commands(code: str) -> set[str]:
    """Return the commands that a shell's code begins its lines with."""
    return {line.split()[0] for line in lines(code)}


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.M | re.S)


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


# ---------------------------------------------------------------- a page's run


def run_page(page: Path, bin_folder: Path) -> list[dict[str, Any]]:
    """Run a page's blocks in the current folder, and return the names that Python has made."""
    found = examples(page)
    runs = "".join(e.code for e in found if e.runs_here and e.language in ("python", "sh"))
    made: list[dict[str, Any]] = []
    printed: str | None = None
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(cluster()) if SCHEDULER in runs else SCHEDULER
        if STORE in runs:
            stack.enter_context(store())
        for language, code in found:
            here = code.replace(SCHEDULER, address)
            if language == "output":
                assert printed is not None, f"nothing has printed:\n{code}"
                check_printed(code, printed)
            elif not Example(language, code).runs_here:
                printed = None
            elif language == "python":
                made.append({"__name__": "__page__"})
                printed = run_python(here, page, made[-1])
            elif language == "sh":
                printed = run_here(here) if STORE in code else run_shell(here, bin_folder)
            elif language == "sql":
                printed = run_sql(code)
            else:
                READ[language](code)
                printed = None
    return made


def check_printed(expected: str, printed: str) -> None:
    """Compare what a page says that a block prints with what it has printed."""
    if not doctest.OutputChecker().check_output(expected, printed, _SAME):
        raise AssertionError(f"the page says:\n{expected}\nprinted was:\n{printed}")


def run_python(code: str, page: Path, names: dict[str, Any]) -> str:
    """Run Python in a namespace, and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, str(page), "exec"), names)
    return out.getvalue()


def run_shell(code: str, bin_folder: Path) -> str:
    """Run commands as a shell would that has the installed ``dlsort`` in its path."""
    dlsort = bin_folder / "dlsort"
    dlsort.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlsort "$@"\n')
    dlsort.chmod(0o755)
    # Commands of other packages are beside Python's own.
    path = bin_folder, Path(sys.executable).parent, os.environ["PATH"]
    done = subprocess.run(
        ["sh", "-e", "-c", code],
        env={**os.environ, "PATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_here(code: str) -> str:
    """Run lines of ``dlsort`` in this process, whose memory is the store."""
    printed = []
    for line in lines(code):
        name, *args = shlex.split(line, comments=True)
        assert name == "dlsort", line
        done = command(*args)
        assert done.exit_code == 0, done.output
        printed.append(done.stdout)
    return "".join(printed)


def run_sql(code: str) -> str:
    """Run statements by DuckDB, and return the last one's rows."""
    import duckdb

    with duckdb.connect() as connection:
        return "\n".join(map(str, connection.execute(code).fetchall()))


def check_yaml(code: str) -> None:
    """Read YAML, and the arguments of each command of ``dlsort`` in it."""
    for document in yaml.safe_load_all(code):
        for words in _commands_in(document):
            check_arguments(words)


def _commands_in(value: Any) -> Iterator[list[str]]:
    """Give the words of each command of ``dlsort``, a list or a line of a text."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _commands_in(each)
    elif isinstance(value, list):
        words = [str(each) for each in value]
        if words[:1] == ["dlsort"]:
            yield words[1:]
        else:
            for each in value:
                yield from _commands_in(each)
    elif isinstance(value, str):
        yield from (
            shlex.split(line)[1:] for line in lines(value) if line.startswith("dlsort ")
        )


def check_arguments(words: list[str]) -> None:
    """Have the command read its arguments, and do nothing."""
    name, *args = words
    chosen = main.commands[name]
    with contextlib.suppress(click.exceptions.Exit):
        chosen.make_context(name, args)


READ = {"yaml": check_yaml, "json": json.loads, "toml": tomllib.loads}

# ---------------------------------------------------------------- what a page needs


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Give the address of a scheduler with two workers, in processes of their own."""
    with start_scheduler(n_workers=2, threads_per_worker=1, processes=True) as client:
        yield client.scheduler.address


class InMemory(MemoryFileSystem):
    """A store by the name of Amazon's, in this process."""

    protocol = ("s3",)
    store: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it, one for all
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return super()._strip_protocol(str(path).removeprefix(STORE))


@contextlib.contextmanager
def store() -> Iterator[None]:
    """Have ``s3://bucket/lineitem/`` be a folder in memory, with the rows of ``lineitem/``."""
    with mock.patch.dict(sys.modules["fsspec.registry"]._registry, {"s3": InMemory}):
        fs = fsspec.filesystem("s3")
        for path in sorted(Path("lineitem").iterdir()):
            fs.pipe(f"bucket/lineitem/{path.name}", path.read_bytes())
        yield
    InMemory.store.clear()
    InMemory.pseudo_dirs[:] = [""]
