"""What chaos stories sort, and how it is told that no row is lost, doubled or out of order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BY = "key"
N_ROWS, N_FILES, N_PARTS = 240_000, 8, 8


class Source(NamedTuple):
    """A dataset, and its rows as pyarrow's stable sort puts them."""

    folder: Path
    expected: pa.Table


class Tally(NamedTuple):
    """How many rows are not as they should be."""

    lost: int = 0
    doubled: int = 0
    wrong_order: int = 0


def make_source(folder: Path, *, in_ranges: bool = False, n_rows: int = N_ROWS) -> Source:
    """Write a dataset of keys that tie, with nulls, and a number for each row.

    ``in_ranges``: each file has keys of its own, which overlap its neighbours' a little.
    """
    rng = np.random.default_rng(20)
    keys = rng.integers(0, n_rows // 3, n_rows)
    if in_ranges:
        keys = np.sort(keys)
        block = n_rows // (10 * N_FILES)
        for first in range(0, n_rows, block):
            rng.shuffle(keys[first : first + block])
        keys += rng.integers(0, n_rows // 1000, n_rows)
    notes = pa.array([None if v == 7 else f"note {v}" for v in range(1009)])
    table = pa.table(
        {
            BY: pa.array(keys, mask=None if in_ranges else rng.random(n_rows) < 0.01),
            "row": np.arange(n_rows),
            "price": rng.random(n_rows),
            "note": notes.take(pa.array(keys % len(notes))),
        }
    )
    folder.mkdir()
    size = -(-n_rows // N_FILES)
    n_groups = 10 if in_ranges else 2
    for i in range(N_FILES):
        rows = table.slice(i * size, size)
        pq.write_table(rows, folder / f"{i}.parquet", row_group_size=size // n_groups)
    order = pc.sort_indices(table, sort_keys=[(BY, "ascending")])
    return Source(folder, table.take(order))


def read(destination: Path) -> pa.Table:
    """Return all rows of a result, in the order of its parts' names."""
    parts = sorted(destination.iterdir())
    return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])


def count(found: pa.Table, expected: pa.Table) -> Tally:
    """Compare a result with the stable sort of its source."""
    numbers = found["row"].to_numpy()
    times = np.bincount(numbers, minlength=expected.num_rows)
    lost, doubled = int((times == 0).sum()), int((times - 1).clip(0).sum())
    if lost or doubled:
        return Tally(lost, doubled)
    wrong = int((numbers != expected["row"].to_numpy()).sum())
    if not wrong and not found.combine_chunks().equals(expected.combine_chunks()):
        wrong = -1  # rows in order, but not as they were
    return Tally(wrong_order=wrong)


def contents(folder: Path, but: Sequence[Path] = ()) -> dict[str, bytes | None]:
    """Return all below a folder, hidden or not: a file's bytes, None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not any(path.is_relative_to(other) for other in but)
    }
