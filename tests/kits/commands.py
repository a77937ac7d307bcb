"""The command line as a user meets it: in this process, or in one of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

# Dask's loggers keep the stderr that they find when they are set up; let it be the real one.
import dlsort.dataset
from dlsort.cli.main import main
from patience import PATIENCE_S

COMMAND = [sys.executable, "-m", "dlsort"]

T = TypeVar("T")


def while_it_runs(running: subprocess.Popen[str], look: Callable[[], T], what: str) -> T:
    """Look until something is found while a command runs; fail if it ends or takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while running.poll() is None:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            running.kill()
            pytest.fail(f"{what} never appeared, in {PATIENCE_S:.0f} s")
        time.sleep(0.01)
    pytest.fail(f"the command ended before {what} appeared: exit {running.returncode}")


def dlsort(*args: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def command_options(name: str) -> list[click.Option]:
    """Return the options of a command."""
    return [p for p in main.commands[name].params if isinstance(p, click.Option)]


def sort(src: object, dst: object, *args: object, by: str = "id") -> Result:
    """Sort on one thread, which starts soonest."""
    threads = () if {"--threads", "--scheduler", "--workers"} & set(args) else ("--threads", 1)
    return dlsort("sort", src, dst, "--by", by, "--no-progress", *threads, *args)


def sorted_well(*args: object, **by: str) -> Result:
    """Sort, and expect that it works."""
    result = sort(*args, **by)
    assert result.exit_code == 0, result.output
    return result


def process(*args: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


def rows(n: int = 400, *, seed: int = 0) -> pa.Table:
    """Return some rows of the usual types."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": rng.integers(0, n, n),
            "price": rng.random(n),
            "note": pa.array([None if v == 7 else f"n{v}" for v in rng.integers(0, 9, n)]),
            "tags": pa.array([[1, 2]] * n, pa.list_(pa.int64())),
            "place": pa.array([{"x": 1.0}] * n),
        }
    )


def write(path: Path, table: pa.Table | None = None, **options: object) -> Path:
    """Write a Parquet file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows() if table is None else table, path, **options)
    return path


def dataset(folder: Path, n_files: int = 3) -> Path:
    """Write a few files of two row groups."""
    for i in range(n_files):
        write(folder / f"{i}.parquet", rows(seed=i), row_group_size=200)
    return folder


def read(folder: Path) -> pa.Table:
    """Return all rows of a result, in the order of its parts' names."""
    parts = sorted(folder.iterdir())
    return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """Return everything below a folder, hidden or not: a file's bytes, a link's target."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found
