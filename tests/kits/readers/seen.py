"""What readers see in Parquet files: the types of their columns, and the values by id."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from patience import PATIENCE_S

__all__ = ["Seen", "run_spark", "see_all"]

SPARK = Path(__file__).with_name("spark_process.py")
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "OFF",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.parquet.compression.codec": "uncompressed",
}


class Seen(NamedTuple):
    """A column as a reader sees it.

    Attributes
    ----------
    kind : str
        The type, in the reader's words.
    rows : tuple of (int, str)
        The ids and values of the rows, as they lie in the file.
    """

    kind: str
    rows: tuple[tuple[int, str], ...]


def see_all(reader: str, paths: Sequence[Path]) -> list[list[Seen] | str]:
    """Return what a reader sees of each column but id in some files, or why it does not."""
    if reader == "Spark":
        return [
            found if isinstance(found, str) else [Seen(kind, _rows(*of)) for kind, *of in found]
            for found in run_spark([], paths)
        ]
    return [_see(reader, path) for path in paths]


def _see(reader: str, path: Path) -> list[Seen] | str:
    try:
        return _SEE[reader](path)
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"


def run_spark(write: Sequence[Any], read: Sequence[Path]) -> list[Any]:
    """Let Spark write and read, in a process that ends."""
    tasks = {"settings": SETTINGS, "write": write, "read": list(map(str, read))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SPARK],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _rows(ids: Any, values: Any) -> tuple[tuple[int, str], ...]:
    return tuple(zip(map(int, ids), map(str, values), strict=True))


def _shown(column: pa.ChunkedArray | pa.Array) -> list[str]:
    """Return values as text that two have only if they are the same."""
    try:
        return list(map(repr, column.to_pylist()))
    except (ValueError, OverflowError, pa.ArrowException):
        # years that Python has not
        return [column.slice(i, 1).to_string() for i in range(len(column))]


def _of_arrow(table: pa.Table) -> list[Seen]:
    ids = table["id"].to_pylist()
    return [
        Seen(_kind(field), _rows(ids, _shown(table[field.name])))
        for field in table.schema
        if field.name != "id"
    ]


def _kind(field: pa.Field) -> str:
    kind = re.sub(r" \('\w+'\)", "", str(field.type))  # what the entries of maps are called
    return f"{kind}{'' if field.nullable else ' not null'}"


def _pyarrow(path: Path) -> list[Seen]:
    return _of_arrow(pq.read_table(path))


def _datafusion(path: Path) -> list[Seen]:
    from datafusion import SessionContext

    return _of_arrow(SessionContext().read_parquet(str(path)).to_arrow_table())


def _duckdb(path: Path) -> list[Seen]:
    import duckdb

    settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with duckdb.connect(config=settings) as db:
        db.execute("SET TimeZone = 'UTC'")
        source = f"read_parquet('{path}')"
        columns = db.execute(f"DESCRIBE SELECT * EXCLUDE (id) FROM {source}").fetchall()
        texts = ", ".join(f"{name}::VARCHAR" for name, *_ in columns)
        rows = db.execute(f"SELECT id, {texts} FROM {source}").fetchall()
    ids, *values = zip(*rows, strict=True)
    return [Seen(of[1], _rows(ids, each)) for of, each in zip(columns, values, strict=True)]


def _polars(path: Path) -> list[Seen]:
    import polars as pl

    frame = pl.read_parquet(path)
    found = []
    for x in frame.drop("id"):
        is_coded = x.dtype in (pl.Categorical, pl.Enum)
        try:
            values = _shown((x.cast(pl.String) if is_coded else x).to_arrow())
        except BaseException:  # of Int128
            values = list(map(repr, x.to_list()))
        found.append(Seen(repr(x.dtype), _rows(frame["id"].to_list(), values)))
    return found


def _pandas(path: Path) -> list[Seen]:
    import pandas as pd

    frame = pd.read_parquet(path)
    return [
        Seen(repr(frame[name].dtype), _rows(frame["id"], map(repr, frame[name])))
        for name in frame.columns.drop("id")
    ]


_SEE: dict[str, Callable[[Path], list[Seen]]] = {
    "pyarrow": _pyarrow,
    "DuckDB": _duckdb,
    "Polars": _polars,
    "DataFusion": _datafusion,
    "pandas": _pandas,
}
