"""The workloads: sizes, types, skews, orders and shapes that want different plans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import inputs
from dlsort.sizes import MIB

__all__ = ["WORKLOADS", "Workload", "make"]

SEED = 20261130
ROW_GROUP_ROWS = 250_000

Tables = Callable[[np.random.Generator], Iterator[pa.Table]]


@dataclass(frozen=True)
class Workload:
    """An input, and how it is sorted.

    Parameters
    ----------
    name : str
        What tables call it.
    tables : callable or None
        Yields a table a file; None: of :mod:`benchmarks.inputs`.
    by : tuple of str
        The key.
    options : dict
        Pinned in every variant.
    """

    name: str
    tables: Tables | None
    by: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


def _numbers(n_rows: int, n_files: int, width: int = 4) -> Tables:
    def tables(rng: np.random.Generator) -> Iterator[pa.Table]:
        for _ in range(n_files):
            n = n_rows // n_files
            columns: dict[str, Any] = {"k": rng.integers(-(2**62), 2**62, n)}
            for i in range(width - 1):
                columns[f"v{i}"] = rng.integers(0, 10**6, n) if i % 2 else rng.random(n)
            yield pa.table(columns)

    return tables


def _text(n_rows: int, n_files: int, letters: int) -> Tables:
    def tables(rng: np.random.Generator) -> Iterator[pa.Table]:
        for _ in range(n_files):
            n = n_rows // n_files
            data = rng.integers(97, 123, (n, letters), dtype=np.uint8)
            offsets = np.arange(0, letters * n + 1, letters, dtype=np.int32)
            buffers = pa.py_buffer(offsets), pa.py_buffer(data)
            yield pa.table(
                {"k": pa.StringArray.from_buffers(n, *buffers), "v": rng.integers(0, 99, n)}
            )

    return tables


def _skewed(n_rows: int, n_files: int) -> Tables:
    def tables(rng: np.random.Generator) -> Iterator[pa.Table]:
        for _ in range(n_files):
            n = n_rows // n_files
            keys = np.minimum(rng.zipf(1.2, n), 2**40)
            flags = pa.array(np.array(["a", "bb", "ccc"])[rng.integers(0, 3, n)])
            yield pa.table({"k": keys, "flag": flags, "v": rng.random(n)})

    return tables


def _ordered(n_rows: int, n_files: int, late: float) -> Tables:
    """Return times in order, of which a share comes late: ranges of files overlap a little."""

    def tables(rng: np.random.Generator) -> Iterator[pa.Table]:
        n = n_rows // n_files
        for file in range(n_files):
            times = np.arange(file * n, file * n + n) * 1000
            times -= (rng.random(n) < late) * rng.integers(0, 200_000, n) * 1000
            yield pa.table({"k": times, "v": rng.random(n), "w": rng.integers(0, 99, n)})

    return tables


def _runs(n_rows: int, n_files: int) -> Tables:
    """Sorted files, each over all keys."""

    def tables(rng: np.random.Generator) -> Iterator[pa.Table]:
        for _ in range(n_files):
            n = n_rows // n_files
            yield pa.table({"k": np.sort(rng.integers(0, 2**40, n)), "v": rng.random(n)})

    return tables


WORKLOADS = (
    Workload("10 K rows", _numbers(10_000, 1), ("k",)),
    Workload("100 K rows, 1 file", _numbers(100_000, 1), ("k",)),
    Workload("1 M rows, 1 file", _numbers(1_000_000, 1), ("k",)),
    Workload("5 M rows, 1 file", _numbers(5_000_000, 1), ("k",)),
    Workload("20 M rows × 4 columns", None, ("key",)),
    Workload("lineitem, 3 keys", None, ("l_shipdate", "l_orderkey", "l_linenumber")),
    Workload("lineitem in 1.5 GiB", None, ("l_extendedprice",), {"memory": 1536 * MIB}),
    Workload("lineitem, 2 processes", None, ("l_extendedprice",), {"workers": 2}),
    Workload("text of 20 letters", _text(3_000_000, 6, 20), ("k",)),
    Workload("Zipf, with flags", _skewed(6_000_000, 6), ("k",)),
    Workload("in order, 1 % late", _ordered(8_000_000, 16, 0.01), ("k",)),
    Workload("in order", _ordered(8_000_000, 16, 0.0), ("k",)),
    Workload("sorted files over all keys", _runs(6_000_000, 6), ("k",)),
    Workload("120 columns", _numbers(150_000, 3, 120), ("k",)),
    Workload("400 small files", _numbers(400_000, 400), ("k",)),
    Workload("100 M rows × 2 columns", _numbers(100_000_000, 16, 2), ("k",)),
)


def make(workload: Workload, root: Path) -> Path:
    """Return the folder of a workload's files, made first if it is not there."""
    if workload.tables is None:
        name = "table" if workload.by == ("key",) else "lineitem"
        return inputs.make(name, 1.0, root)
    folder = root / ("tuning-" + workload.name.replace(" ", "-").replace("%", "percent"))
    if not folder.exists():
        staging = root / f".{folder.name}.part"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        number = next(i for i, each in enumerate(WORKLOADS) if each.name == workload.name)
        for i, table in enumerate(workload.tables(np.random.default_rng([SEED, number]))):
            pq.write_table(
                table, staging / f"part-{i:05d}.parquet", row_group_size=ROW_GROUP_ROWS
            )
        staging.rename(folder)
    return folder
