"""Sources whose files have an order, of any kind of key, and their sort against the oracle."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dlsort
from arrow_data import oracle
from dlsort.keys import parse_by
from dlsort.tuning import TUNING, Tuning

MAKERS = {
    "int64": lambda v: pa.array(v, pa.int64()),
    "date": lambda v: pa.array(v, pa.int32()).cast(pa.date32()),
    "timestamp": lambda v: pa.array(np.asarray(v) - 500, pa.timestamp("us", "UTC")),
    "time": lambda v: pa.array(v, pa.time64("us")),
    "duration": lambda v: pa.array(v, pa.duration("ms")),
    "decimal": lambda v: pa.array([Decimal(int(x) - 500) / 4 for x in v], pa.decimal128(15, 2)),
    "string": lambda v: pa.array([f"{x:05d}{'é' * (x % 3)}" for x in v], pa.string()),
    "binary": lambda v: pa.array([bytes([x // 256, x % 256]) for x in v], pa.binary()),
}


def write(folder: Path, files: list[pa.Table], **options) -> Path:
    folder.mkdir(parents=True)
    options = {"row_group_size": 50, "store_decimal_as_integer": True, **options}
    for number, table in enumerate(files):
        pq.write_table(table, folder / f"in-{number}.parquet", **options)
    return folder


def rows_of(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.ParquetFile(p).read() for p in sorted(folder.iterdir()))


def sort(
    source: Path, by: str, partitions: int, tuning: Tuning = TUNING, strategy: str = "auto"
) -> dlsort.SortReport:
    """Sort beside the source, and compare with the stable sort of its rows."""
    dst = source.parent / f"out-{partitions}"
    report = dlsort.sort_dataset(
        source,
        dst,
        by=by,
        partitions=partitions,
        threads=2,
        strategy=strategy,
        overwrite=True,
        _tuning=tuning,
    )
    whole = rows_of(source)
    expected = whole.take(pa.array(oracle(whole, parse_by(by)), pa.int64()))
    assert str(rows_of(dst).to_pylist()) == str(expected.to_pylist())
    assert report.proved
    assert report.output_parts == len(list(dst.iterdir())) == partitions
    return report
