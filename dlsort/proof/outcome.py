"""The outcome of a job: every row once, and in order, across all of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dlsort.arrow.transport import concat_rows
from dlsort.errors import OutOfOrderError, RowsLostError
from dlsort.keys import SortKey
from dlsort.proof.checksum import total
from dlsort.proof.disorder import first_disorder
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.report import SortReport
from dlsort.tuning import TUNING

__all__ = ["check_keys_apart", "check_outcome"]


def check_outcome(
    n_rows: int,
    keys: tuple[SortKey, ...],
    inputs: Sequence[InputStats],
    outputs: Sequence[OutputStats],
    report: SortReport,
) -> None:
    """Compare source and sink, and the order across parts.

    Raises
    ------
    RowsLostError
        If row counts or checksums differ.
    OutOfOrderError
        If a part begins before the one above it ends.
    """
    read, written = total(s.proof for s in inputs), total(s.proof for s in outputs)
    if not n_rows == read.rows == written.rows:
        msg = (
            f"{n_rows:,} rows in the source, {read.rows:,} read, {written.rows:,} "
            "written. Nothing was published. This is a bug: please report it."
        )
        raise RowsLostError(msg)
    if read != written:
        msg = (
            f"the rows' checksum was {read.checksum} when read and {written.checksum} when "
            "written. Nothing was published. This is a bug, or bad memory: please report it."
        )
        raise RowsLostError(msg)
    edges = [s.edges for s in sorted(outputs, key=lambda s: s.part) if s.edges.num_rows]
    bad = first_disorder(concat_rows(edges), keys) if edges else -1
    if bad >= 0:
        msg = (
            f"part {bad // 2 + 1} of those with rows begins before the one above it ends. "
            "Nothing was published. This is a bug: please report it."
        )
        raise OutOfOrderError(msg)
    report.checksum = written.checksum
    report.part_rows = [s.proof.rows for s in sorted(outputs, key=lambda s: s.part)]
    report.predicted_rows = n_rows / max(len(outputs), 1)
    most = TUNING.surprise * max(report.predicted_rows, TUNING.fewest_rows_of_surprise)
    report.surprises = [part for part, rows in enumerate(report.part_rows) if rows > most]
    report.output_bytes = sum(s.file_bytes for s in outputs)
    mean = written.rows / max(len(outputs), 1)
    report.balance = max(report.part_rows, default=0) / mean if mean else 1.0


def check_keys_apart(outputs: Sequence[OutputStats]) -> None:
    """Make sure that no key is in two parts, for parts that were put in order.

    Raises
    ------
    OutOfOrderError
        If one is: its rows may not be in the order of the source.
    """
    edges = [s.edges for s in sorted(outputs, key=lambda s: s.part) if s.edges.num_rows]
    for above, below in pairwise(edges):
        if above.slice(above.num_rows - 1).equals(below.slice(0, 1)):
            msg = "a key is in two parts that were moved."
            raise OutOfOrderError(msg)
