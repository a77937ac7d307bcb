"""Files that the writers of the reader matrix write, with columns of each type that they have.

The first column is id (3, 1, 4, 2); the second value of all others is null, if they have any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from readers.arrow_columns import ARROW, ONLY_PYARROW
from readers.frame_columns import fastparquet_columns, pandas_columns, polars_columns
from readers.seen import run_spark

__all__ = ["IDS", "Written", "write_all"]

IDS = [3, 1, 4, 2]

NO_NULL = ", none of them null"

#: Types that not all readers read, or that dlsort refuses, which have files of their own.
ALONE: dict[str, tuple[str, ...]] = {
    "Spark": ("void", "variant", "geometry(0)"),
    "DuckDB": (
        "TIME_NS",
        "TIMETZ",
        "INTERVAL",
        "INTEGER[2]",
        "VARIANT",
        "GEOMETRY",
        "STRUCT(t TIMESTAMP, u UUID[])",
    ),
    "Polars": ("Int128", "UInt128"),
    "DataFusion": ("decimal256(76, 10)", "time64[ns]", "timestamp[us, tz=+05:30]"),
    "pyarrow": (
        "decimal256(76, 10)",
        "time64[ns]",
        "timestamp[us, tz=+05:30]",
        "list_view<item: int64>",
    ),
    "fastparquet": ("timedelta64[ns]",),
}
_NANOS = ("timestamp[ns]", "timestamp[ns, tz=UTC]")
#: Types that all readers read but Spark, which have one file together.
NOT_SPARK: dict[str, tuple[str, ...]] = {
    "DuckDB": ("TIME", "TIMESTAMP_NS", "UUID"),
    "Polars": ("Float16", "Time", "Datetime('ns', None)", "Datetime('ns', 'UTC')"),
    "DataFusion": ("halffloat", "time32[ms]", "time64[us]", *_NANOS),
    "pyarrow": (
        "halffloat",
        "time32[s]",
        "time32[ms]",
        "time64[us]",
        *_NANOS,
        "extension arrow.uuid",
    ),
    "pandas": ("datetime64[ns]",),
    "fastparquet": ("datetime64[ns]",),
}

LEGACY = {
    "spark.sql.parquet.datetimeRebaseModeInWrite": "LEGACY",
    "spark.sql.parquet.int96RebaseModeInWrite": "LEGACY",
}
MICROS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
MILLIS = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS"}
OLD = {"spark.sql.parquet.writeLegacyFormat": "true"}
#: What Spark writes otherwise, if it is told so.
SPARK_OTHERWISE: dict[str, tuple[str, dict[str, str]]] = {
    "timestamp, as TIMESTAMP_MICROS": ("timestamp", MICROS),
    "timestamp, as TIMESTAMP_MILLIS": ("timestamp", MILLIS),
    "date, of the legacy calendar": ("date", LEGACY),
    "timestamp, of the legacy calendar": ("timestamp", LEGACY),
    "timestamp, as TIMESTAMP_MICROS of the legacy calendar": ("timestamp", LEGACY | MICROS),
    "decimal(9,2), in the legacy format": ("decimal(9,2)", OLD),
    "array<int>, in the legacy format": ("array<int>", OLD),
    "map<string, int>, in the legacy format": ("map<string, int>", OLD),
}


class Written(NamedTuple):
    """A file, and the names of its columns' types but for id, which is the first."""

    path: Path
    kinds: list[str]


def write_all(writer: str, folder: Path) -> list[Written]:
    """Let a writer write its types, in few files: each is a job and a read of each reader."""
    if writer in ("Spark", "DuckDB"):
        return _SQL[writer](folder)
    columns, write = _FRAMES[writer]
    files = [
        Written(folder / f"{i}.parquet", kinds)
        for i, kinds in enumerate(_apart(columns, writer))
    ]
    for path, kinds in files:
        write({"id": IDS, **{f"x{i}": columns[kind] for i, kind in enumerate(kinds)}}, path)
    return files + (_further(folder) if writer == "pyarrow" else [])


def _apart(kinds: Iterable[str], writer: str) -> list[list[str]]:
    """Return types by the files that they go to."""
    few, alone = NOT_SPARK.get(writer, ()), ALONE.get(writer, ())
    together = [kind for kind in kinds if kind not in (*few, *alone)]
    return [together, *([list(few)] if few else []), *([kind] for kind in alone)]


# ---------------------------------------------------------------- engines of SQL


def _values(engine: str) -> dict[str, list[str]]:
    """Return three values of each type of an engine, in its SQL."""
    lines = Path(__file__).with_name(f"{engine}_types.txt").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if not line.startswith("#")]
    return {kind: values for kind, *values in rows}


def _rows(kinds: Sequence[str], values: dict[str, list[str]]) -> list[list[str]]:
    """Return the rows of columns of some types: the id, and the values or null."""
    columns = [
        [a, a if NO_NULL in kind else "NULL", b, c]
        for kind in kinds
        for a, b, c in [values[kind]]
    ]
    return [[str(id_), *row] for id_, row in zip(IDS, zip(*columns, strict=True), strict=True)]


def _duckdb(folder: Path) -> list[Written]:
    import duckdb

    values = _values("duckdb")
    files = []
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for i, kinds in enumerate(_apart(values, "DuckDB")):
            types = [kind.removesuffix(NO_NULL) for kind in kinds]
            columns = [f"x{j} {kind}" for j, kind in enumerate(types)]
            db.execute(f"CREATE TABLE t{i} (id INTEGER, {', '.join(columns)})")
            for row in _rows(kinds, values):
                db.execute(f"INSERT INTO t{i} VALUES ({', '.join(row)})")
            files.append(Written(folder / f"{i}.parquet", kinds))
            db.execute(f"COPY t{i} TO '{files[-1].path}' (FORMAT parquet)")
    return files


def _spark(folder: Path) -> list[Written]:
    values = _values("spark")
    files, tasks = [], []
    wanted = [(kinds, kinds, {}) for kinds in _apart(values, "Spark")]
    wanted += [([name], [kind], how) for name, (kind, how) in SPARK_OTHERWISE.items()]
    for i, (names, kinds, settings) in enumerate(wanted):
        files.append(Written(folder / f"{i}.parquet", names))
        selects = []
        for id_, *row in _rows(kinds, values):
            casts = [
                f"CAST({value} AS {kind}) AS x{j}"
                for j, (value, kind) in enumerate(zip(row, kinds, strict=True))
            ]
            selects.append(f"SELECT {id_} AS id, {', '.join(casts)}")
        tasks.append((str(files[-1].path), " UNION ALL ".join(selects), settings))
    run_spark(tasks, [])
    return files


_SQL = {"Spark": _spark, "DuckDB": _duckdb}

# ---------------------------------------------------------------- engines of frames


def _polars(columns: dict[str, Any], path: Path) -> None:
    import polars as pl

    pl.DataFrame(columns).write_parquet(path)


def _pandas(columns: dict[str, Any], path: Path) -> None:
    pd.DataFrame(columns).to_parquet(path)


def _fastparquet(columns: dict[str, Any], path: Path) -> None:
    import fastparquet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, of how fastparquet uses it
        fastparquet.write(str(path), pd.DataFrame(columns))


def _pyarrow(columns: dict[str, Any], path: Path) -> None:
    pq.write_table(pa.table(columns), path)


def _further(folder: Path) -> list[Written]:
    """Write what pyarrow writes otherwise, if it is told so."""
    files = [
        Written(folder / "int96.parquet", ["timestamp[us], as INT96"]),
        Written(folder / "not-null.parquet", ["int64 not null"]),
    ]
    stamps = pa.table({"id": IDS, "x": ARROW["timestamp[us]"]})
    pq.write_table(stamps, files[0].path, use_deprecated_int96_timestamps=True)
    fields = [pa.field(name, pa.int64(), nullable=False) for name in ("id", "x")]
    pq.write_table(pa.table([IDS, IDS], schema=pa.schema(fields)), files[1].path)
    return files


def _datafusion(columns: dict[str, Any], path: Path) -> None:
    from datafusion import SessionContext

    SessionContext().from_arrow(pa.table(columns)).write_parquet(str(path))


_FRAMES: dict[str, tuple[Mapping[str, Any], Callable[[dict[str, Any], Path], None]]] = {
    "Polars": (polars_columns(), _polars),
    "DataFusion": (ARROW, _datafusion),
    "pyarrow": (ARROW | ONLY_PYARROW, _pyarrow),
    "pandas": (pandas_columns(), _pandas),
    "fastparquet": (fastparquet_columns(), _fastparquet),
}
