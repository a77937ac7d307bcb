"""The inputs of the benchmarks: made once, always the same, kept in build/bench/inputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILES = 8
TABLE_ROWS = 20_000_000
SEED = 20260301


class Job(NamedTuple):
    """One thing to sort: an input by key columns, all ascending."""

    input: str
    by: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the tables call this job."""
        return f"{self.input} by {', '.join(self.by)}"


JOBS = (
    Job("lineitem", ("l_shipdate", "l_orderkey", "l_linenumber")),
    Job("lineitem", ("l_extendedprice",)),
    Job("lineitem", ("l_comment",)),
    Job("table", ("key",)),
)


def make(name: str, scale: float, root: Path) -> Path:
    """Return the folder of an input's Parquet files, made first if it is not there.

    Parameters
    ----------
    name : {"lineitem", "table"}
    scale : float
        TPC-H scale factor of ``lineitem``; ``table`` has 20 million rows times this.
    root : Path
        Where inputs are kept.
    """
    folder = root / f"{name}-{scale:g}"
    if not folder.exists():
        staging = root / f".{folder.name}.part"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        (_make_lineitem if name == "lineitem" else _make_table)(staging, scale)
        staging.rename(folder)
    return folder


def _make_lineitem(folder: Path, scale: float) -> None:
    """Write TPC-H lineitem with the generator's own defaults (snappy, 7 MB row groups)."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    options = f"parquet -s {scale:g} --tables=lineitem --parts={FILES} --output-dir"
    subprocess.run([program, *options.split(), folder], check=True)
    for path in (folder / "lineitem").iterdir():
        path.rename(folder / path.name)
    (folder / "lineitem").rmdir()


def _make_table(folder: Path, scale: float) -> None:
    """Write uniform int64 keys with a float64, an int32 and a 12-byte string."""
    n_rows = int(TABLE_ROWS * scale) // FILES
    for part in range(FILES):
        rng = np.random.default_rng([SEED, part])
        letters = rng.integers(ord("a"), ord("z") + 1, (n_rows, 12), dtype=np.uint8)
        offsets = np.arange(0, 12 * n_rows + 1, 12, dtype=np.int32)
        strings = pa.StringArray.from_buffers(
            n_rows, pa.py_buffer(offsets), pa.py_buffer(letters)
        )
        table = pa.table(
            {
                "key": rng.integers(-(2**63), 2**63 - 1, n_rows, dtype=np.int64),
                "value": rng.standard_normal(n_rows),
                "count": rng.integers(0, 1_000_000, n_rows, dtype=np.int32),
                "name": strings,
            }
        )
        pq.write_table(
            table, folder / f"part-{part}.parquet", compression="snappy", row_group_size=500_000
        )
