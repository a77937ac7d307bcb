"""The cases of the scale benchmark: what is sorted, how, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inputs
from benchmarks.scale import families

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
INPUTS = BENCH / "inputs"

GIB = 2**30
ROWS = (1, 3, 10, 30, 100)  # millions
PARTITIONS = (16, 64, 256, 1024, 2048)
MEMORY_SHARES = (1.0, 0.5, 0.25, 0.1)
MEMORY_NAMED = 4 * GIB  # with lineitem at scale factor 10: what people ask about
MEMORY_BY = ("l_shipdate", "l_orderkey", "l_linenumber")
MEMORY_PROCESSES = 2
SKEW_ROWS, SKEW_PARTS = 4_000_000, 16
WIDE = 2_000
SMALL = (3_000, 30_000)  # files
SMALL_ROWS = 100
SMALL_THREADS = 2


@dataclass
class Case:
    """One sort: what, how, and by which engines; each of them has its turn in every round."""

    section: str
    title: str
    src: Path
    by: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    engines: tuple[str, ...] = ("dlsort",)
    warm: bool = False  # the process has sorted it once before it is timed


def makers(
    memory_scale: float, *, many_files: bool = False
) -> dict[str, Callable[[], Iterator[Case]]]:
    """Return what makes the cases of each section, and their inputs where they are missing."""
    return {
        "rows": _rows_cases,
        "partitions": _partitions_cases,
        "memory": lambda: _memory_cases(memory_scale),
        "skew": _skew_cases,
        "wide": _wide_cases,
        "small": lambda: _small_cases(SMALL if many_files else SMALL[:1]),
    }


def _rows_cases() -> Iterator[Case]:
    for millions in ROWS:
        src = inputs.make("table", millions / 20, INPUTS)
        yield Case("rows", f"{millions} M rows", src, ("key",))


def _partitions_cases() -> Iterator[Case]:
    src = inputs.make("table", 1.0, INPUTS)
    for n in PARTITIONS:
        yield Case("partitions", f"{n:,} partitions", src, ("key",), {"partitions": n})


def _memory_cases(scale: float) -> Iterator[Case]:
    """Less and less memory, for dlsort and for DuckDB, which spills too."""
    from dlsort.io.parquet.source import open_source
    from dlsort.tuning import TUNING

    src = inputs.make("lineitem", scale, INPUTS)
    arrow_bytes = open_source(src, TUNING.io).arrow_bytes
    limits = {MEMORY_NAMED, *(int(arrow_bytes * share) for share in MEMORY_SHARES)}
    for limit in sorted(limits, reverse=True):
        options = {
            "memory": limit,
            "workers": MEMORY_PROCESSES,
            "threads": MEMORY_PROCESSES,
            "temp_dir": str(BENCH),
        }
        title = f"{limit / GIB:.1f} GiB, {limit / arrow_bytes:.2g} of the data"
        yield Case("memory", title, src, MEMORY_BY, options, ("dlsort", "duckdb"))


def _skew_cases() -> Iterator[Case]:
    for family in families.FAMILIES:
        src = INPUTS / f"family-{family.replace(' ', '-')}"
        by = families.make(family, SKEW_ROWS, src)
        yield Case("skew", family, src, by, {"partitions": SKEW_PARTS})


def _wide_cases() -> Iterator[Case]:
    """Many tiny inputs to as many partitions."""
    src = _files("wide", WIDE, 500)
    for options in ({}, {"workers": 2}):
        title = f"{WIDE:,} × {WIDE:,}, {'2 processes' if options else 'embedded'}"
        yield Case("wide", title, src, ("key",), {"partitions": WIDE, **options})


def _small_cases(counts: Iterable[int]) -> Iterator[Case]:
    """Many small files, for warm processes of three engines."""
    engines = ("dlsort", "duckdb", "polars")
    for n_files in counts:
        src = _files("small", n_files, SMALL_ROWS)
        title = f"{n_files:,} files of {SMALL_ROWS} rows"
        yield Case(
            "small", title, src, ("key",), {"threads": SMALL_THREADS}, engines, warm=True
        )


def _files(name: str, n_files: int, n_rows: int) -> Path:
    """Return a folder of small files of random keys, made where it is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    src = INPUTS / f"{name}-{n_files}"
    if not src.exists():
        src.mkdir(parents=True)
        for number in range(n_files):
            rng = np.random.default_rng([families.SEED, number])
            keys, values = rng.integers(0, 2**40, n_rows), rng.random(n_rows)
            table = pa.table({"key": keys, "value": values})
            pq.write_table(table, src / f"part-{number:05d}.parquet")
    return src
