"""gensort and valsort in one thread, beside copies, writes and reads of as many bytes.

Run it from the repository's root: ``python -m benchmarks.local.records``. With ``--tools DIR``
the public gensort and valsort in that folder take their turns too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

import dlsort
from dlsort_kernels import make_records, scan_records

BLOCK = 5_000
RECORD_BYTES = 100


def cases(n: int, path: Path, tools: Path | None) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; what reads the file comes behind what has made it."""
    block = np.empty(BLOCK * RECORD_BYTES, np.uint8)
    half = np.zeros(n * RECORD_BYTES // 2, np.uint8)
    other = np.zeros_like(half)

    def copy() -> None:
        np.copyto(other, half)
        np.copyto(half, other)

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(n // BLOCK):
                file.write(block.data)

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(block.data):
                pass

    def make(*, ascii: bool, skew: bool) -> None:
        state = None
        for first in range(0, n, BLOCK):
            state = make_records(block, first, state, ascii=ascii, skew=skew)

    def scan() -> None:
        for _ in range(n // BLOCK):
            scan_records(block)

    def gensort(*, ascii: bool, skew: bool) -> None:
        how = {"ascii": ascii, "skew": skew}
        dlsort.generate_records(n, path, threads=1, overwrite=True, **how)  # type: ignore[arg-type]

    found: dict[str, Callable[[], object]] = {"copy in memory": copy, "write": write}
    for name, flags in (
        ("binary", ""),
        ("skewed", "s"),
        ("lines", "a"),
        ("skewed lines", "as"),
    ):
        how = {"ascii": "a" in flags, "skew": "s" in flags}
        found[f"{name}, in the cache"] = lambda how=how: make(**how)  # type: ignore[misc]
        found[f"{name}, file"] = lambda how=how: gensort(**how)  # type: ignore[misc]
        if tools is not None:
            args = [str(tools / "gensort"), *(f"-{f}" for f in flags), str(n), str(path)]
            found[f"{name}, public gensort"] = lambda args=args: run(args)  # type: ignore[misc]
    found["read"] = read
    found["order and checksum, in the cache"] = scan
    found["valsort"] = lambda: dlsort.validate_records(path, threads=1)
    if tools is not None:
        found["public valsort"] = lambda: run([str(tools / "valsort"), "-q", str(path)])
    return found


def run(args: list[str]) -> None:
    """Run a public tool, which ends with 1 where records are in no order."""
    subprocess.run([*args], check=False, env={**os.environ, "LC_ALL": "C"})


@click.command()
@click.option("--records", "n", default=5_000_000, help="Records of each turn.")
@click.option("--turns", default=5, help="Turns, of which the median and the best are shown.")
@click.option("--folder", default="/dev/shm", help="Where files are written.")
@click.option("--tools", type=click.Path(path_type=Path), help="Folder of the public tools.")
def main(n: int, turns: int, folder: str, tools: Path | None) -> None:
    """Print GB/s in one thread."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        dlsort.generate_records(BLOCK, os.devnull, checksum=True)  # loads the kernels
        measured = cases(n, Path(place) / "records", tools)
        rates: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(turns):
            for name, case in measured.items():
                began = time.perf_counter()
                case()
                rates[name].append(n * RECORD_BYTES / (time.perf_counter() - began) / 1e9)
    click.echo(f"{n:,} records in {folder}, one thread, {turns} turns: GB/s, median (best)")
    for name, each in rates.items():
        click.echo(f"{name:<34}{statistics.median(each):>7.2f} ({max(each):.2f})")


if __name__ == "__main__":
    main()
