"""Engines that a comparison has to see through: they lie, lose rows, fail, or die."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.bench.engines import Copy, Work
from dlsort.bench.suites.terasort import SortRecords


class Liar(Copy):
    """Says that it has sorted, and has copied."""


class Loser(Copy):
    """Sorts, and loses a row."""

    def sort(self, work: Work, dst: Path) -> None:
        whole = pa.concat_tables(map(pq.read_table, work.files)).sort_by(work.keys[0].column)
        pq.write_table(whole.slice(1), dst / "sorted.parquet")


class Changer(Copy):
    """Sorts, and changes a value that is no key."""

    def sort(self, work: Work, dst: Path) -> None:
        whole = pa.concat_tables(map(pq.read_table, work.files)).sort_by(work.keys[0].column)
        names = whole["name"].to_pylist()
        names[-1] = "another"
        pq.write_table(whole.drop(["name"]).append_column("name", [names]), dst / "x.parquet")


class Failing(Copy):
    """Raises."""

    def sort(self, work: Work, dst: Path) -> None:
        raise RuntimeError("no more of this")


class Dying(Copy):
    """Is gone from one moment to the next."""

    def sort(self, work: Work, dst: Path) -> None:
        os._exit(7)


class Unstartable(Copy):
    """Can't be started."""

    def __init__(self, share: object) -> None:
        raise ImportError("no such library")


class Swapping(SortRecords):
    """Sorts records, and swaps the first two."""

    def sort(self, work: Work, dst: Path) -> float:
        balance = super().sort(work, dst)
        first = min(dst.iterdir())
        data = first.read_bytes()
        first.write_bytes(data[100:200] + data[:100] + data[200:])
        return balance


class Fast(Copy):
    """Sorts right and in no time: a link to what was sorted before."""

    def sort(self, work: Work, dst: Path) -> None:
        done = Path(work.src).with_name("sorted.parquet")
        if not done.exists():
            whole = pa.concat_tables(map(pq.read_table, work.files))
            pq.write_table(whole.sort_by(work.keys[0].column), done)
        (dst / "sorted.parquet").hardlink_to(done)
