"""The outcome of a job: every row once, and in order, across all of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dlsort.errors import OutOfOrderError, RowsLostError
from dlsort.keys import SortKey
from dlsort.proof.checksum import total
from dlsort.proof.ordered import first_break
from dlsort.proof.stats import InputStats, OutputStats
from dlsort.tuning import OrderTuning

__all__ = ["Outcome", "check_keys_apart", "check_outcome"]


@dataclass(frozen=True)
class Outcome:
    """What was read and written.

    Parameters
    ----------
    inputs, outputs : sequence
        One an input partition; one a part, in order.
    """

    inputs: Sequence[InputStats]
    outputs: Sequence[OutputStats]

    @property
    def part_rows(self) -> list[int]:
        """Rows of each part."""
        return [s.proof.rows for s in sorted(self.outputs, key=lambda s: s.part)]

    @property
    def file_bytes(self) -> int:
        """Stored size of all parts."""
        return sum(s.file_bytes for s in self.outputs)

    @property
    def checksum(self) -> str:
        """Of all rows written."""
        return total(s.proof for s in self.outputs).checksum


def check_outcome(
    n_rows: int, keys: tuple[SortKey, ...], outcome: Outcome, tuning: OrderTuning
) -> None:
    """Compare source and sink, and the order across parts.

    Parameters
    ----------
    n_rows : int
        Rows of the source.
    keys : tuple of SortKey
        The key.
    outcome : Outcome
        What was read and written.
    tuning : OrderTuning
        As for a sort.

    Raises
    ------
    RowsLostError
        If row counts or checksums differ.
    OutOfOrderError
        If a part begins before the one above it ends.
    """
    outputs = outcome.outputs
    read, written = total(s.proof for s in outcome.inputs), total(s.given for s in outputs)
    n_read = sum(s.n_read for s in outcome.inputs)
    if n_rows != n_read or read.rows != written.rows:
        msg = (
            f"{n_rows:,} rows in the source, {n_read:,} read, {read.rows:,} of them to be "
            f"sorted, {written.rows:,} sorted. Nothing was published. This is a bug: please "
            "report it."
        )
        raise RowsLostError(msg)
    if read != written:
        msg = (
            f"the rows' checksum was {read.checksum} when read and {written.checksum} when "
            "written. Nothing was published. This is a bug, or bad memory: please report it."
        )
        raise RowsLostError(msg)
    in_order = sorted(outputs, key=lambda s: s.part)
    bad = first_break([s.edges for s in in_order], keys, tuning)
    if bad >= 0:
        msg = (
            f"part {in_order[bad].part} begins before the one above it ends. "
            "Nothing was published. This is a bug: please report it."
        )
        raise OutOfOrderError(msg)


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
