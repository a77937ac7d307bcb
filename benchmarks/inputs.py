"""The inputs of the benchmarks: made once, always the same, kept in build/bench/inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from dlsort.bench.inputs import FILES, SEED, make_once, make_table, write_made

__all__ = ["FILES", "JOBS", "SEED", "TABLE_ROWS", "Job", "make"]

TABLE_ROWS = 20_000_000


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

    def write(folder: Path) -> None:
        if name == "lineitem":
            _make_lineitem(folder, scale)
        else:
            write_made(folder, make_table, int(TABLE_ROWS * scale))

    return make_once(root / f"{name}-{scale:g}", write)


def _make_lineitem(folder: Path, scale: float) -> None:
    """Write TPC-H lineitem with the generator's own defaults (snappy, 7 MB row groups)."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    options = f"parquet -s {scale:g} --tables=lineitem --parts={FILES} --output-dir"
    subprocess.run([program, *options.split(), folder], check=True)
    for path in (folder / "lineitem").iterdir():
        path.rename(folder / path.name)
    (folder / "lineitem").rmdir()
