"""Tables that are made to be sorted: always the same rows, of a few million at the most."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["FILES", "MADE", "SEED", "letters", "make_once", "make_table", "write_made"]

FILES = 8
SEED = 20260301
_GROUP_ROWS = 500_000
_HEAVY = 0.2  # of a skewed key's rows have one value


def make_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return a folder, made first if it is not there; half-made is not there."""
    if not folder.exists():
        staging = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write(staging)
        staging.rename(folder)
    return folder


def letters(rng: np.random.Generator, n_rows: int, length: int) -> pa.Array:
    """Return strings of random small letters."""
    data = rng.integers(ord("a"), ord("z") + 1, (n_rows, length), dtype=np.uint8)
    offsets = np.arange(0, length * n_rows + 1, length, dtype=np.int32)
    return pa.StringArray.from_buffers(n_rows, pa.py_buffer(offsets), pa.py_buffer(data))


def make_table(rng: np.random.Generator, n_rows: int) -> pa.Table:
    """Return uniform int64 keys with a float64, an int32 and a 12-byte string."""
    name = letters(rng, n_rows, 12)
    return pa.table(
        {
            "key": rng.integers(-(2**63), 2**63 - 1, n_rows, dtype=np.int64),
            "value": rng.standard_normal(n_rows),
            "count": rng.integers(0, 1_000_000, n_rows, dtype=np.int32),
            "name": name,
        }
    )


def _make_skewed(rng: np.random.Generator, n_rows: int) -> pa.Table:
    """Return the same with lognormal keys, of which a fifth are 0."""
    keys = np.exp(rng.standard_normal(n_rows) * 6 + 12).astype(np.int64)
    keys[rng.random(n_rows) < _HEAVY] = 0
    return make_table(rng, n_rows).set_column(0, "key", pa.array(keys))


def _make_text(rng: np.random.Generator, n_rows: int) -> pa.Table:
    """Return the same with keys of text: a place of a thousand, and a name."""
    places = np.char.add("place/", rng.integers(0, 1000, n_rows).astype(str))
    keys = pc.binary_join_element_wise(pa.array(places), letters(rng, n_rows, 8), "/")
    return make_table(rng, n_rows).set_column(0, "key", keys)


#: Each is sorted by ``key``.
MADE: dict[str, Callable[[np.random.Generator, int], pa.Table]] = {
    "uniform": make_table,
    "skewed": _make_skewed,
    "text": _make_text,
}


def write_made(
    folder: Path, make: Callable[[np.random.Generator, int], pa.Table], n_rows: int
) -> None:
    """Write a made table into files in a folder."""
    for part in range(FILES):
        table = make(np.random.default_rng([SEED, part]), n_rows // FILES)
        pq.write_table(
            table,
            folder / f"part-{part}.parquet",
            compression="snappy",
            row_group_size=_GROUP_ROWS,
        )
