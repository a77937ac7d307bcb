"""Key distributions that make partitions uneven, each as a folder of Parquet files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILES = 8
ROW_GROUP_ROWS = 125_000
SEED = 20261124

Keys = Callable[[np.random.Generator, int, int, int], Any]


def _uniform(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return rng.integers(-(2**63), 2**63 - 1, n)


def _zipf(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return np.minimum(rng.zipf(1.1, n), 2**62)


def _one_heavy(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return np.where(rng.random(n) < 0.6, 0, rng.integers(-(2**40), 2**40, n))


def _equal(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del rng, first, total
    return np.full(n, 42)


def _three(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return rng.integers(0, 3, n)


def _sorted(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del rng, total
    return np.arange(first, first + n) * 7


def _reversed(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del rng
    return np.arange(total - first, total - first - n, -1) * 7


def _time_ordered(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    """Return times of which every file has its own day, in no order inside of it."""
    del total
    return first * 1_000 + rng.integers(0, n * 1_000, n)


def _outliers(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    low = rng.integers(0, 2**30, n)
    return np.where(rng.random(n) < 0.01, 2**62 + rng.integers(0, 2**20, n), low)


def _prefixed(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return pa.array([f"{'x' * 40}{value:012d}" for value in rng.integers(0, 10**12, n)])


def _half_null(rng: np.random.Generator, n: int, first: int, total: int) -> Any:
    del first, total
    return pa.array(rng.integers(0, 2**40, n), mask=rng.random(n) < 0.5)


FAMILIES: dict[str, Keys] = {
    "uniform": _uniform,
    "Zipf 1.1": _zipf,
    "60 % one value": _one_heavy,
    "all equal": _equal,
    "3 distinct first keys": _three,
    "sorted": _sorted,
    "reversed": _reversed,
    "time-ordered files": _time_ordered,
    "1 % outliers at 2^62": _outliers,
    "strings, 40 bytes in common": _prefixed,
    "half nulls": _half_null,
}


def make(family: str, n_rows: int, folder: Path) -> tuple[str, ...]:
    """Write ``n_rows`` of a family to an empty folder and return the key columns."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    edges = np.linspace(0, n_rows, FILES + 1).astype(int)
    for number in range(FILES):
        first, n = int(edges[number]), int(edges[number + 1] - edges[number])
        rng = np.random.default_rng([SEED, number])
        columns = {
            "key": FAMILIES[family](rng, n, first, n_rows),
            "second": rng.integers(0, 2**31, n),
            "value": rng.standard_normal(n),
        }
        path = folder / f"part-{number}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=ROW_GROUP_ROWS)
    return ("key", "second") if family == "3 distinct first keys" else ("key",)
