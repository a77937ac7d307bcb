"""Options together: whatever is asked for at once, the rows are pandas', in pandas' order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort

N_ROWS = 900
COLUMNS = ["id", "t", "name", "day", "x"]
#: Keys, and the columns that pandas sorts by.
KEYS = {
    "id,t": (["id", "t"], True),
    "t:desc": (["t"], False),
    "name,id": (["name", "id"], True),
    "x": (["x"], True),
    "lower(name),t": (["lower", "t"], True),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> tuple[str, pd.DataFrame]:
    """Return a folder of three files, and their rows with what keys compute of them."""
    folder, rng = tmp_path_factory.mktemp("in"), np.random.default_rng(3)
    tables = []
    for i in range(3):
        n = N_ROWS // 3
        names = rng.choice(np.array(["a", "B", "b", "C", "file2", "file10", None]), n)
        table = pa.table(
            {
                "id": rng.integers(0, 50, n),
                "t": rng.integers(0, 200, n),
                "name": pa.array(names.tolist(), pa.string()),
                "day": rng.integers(1, 5, n).astype(np.int32),
                "x": rng.normal(size=n),
            }
        )
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=100)
        tables.append(table)
    rows = pa.concat_tables(tables).to_pandas(types_mapper=pd.ArrowDtype)
    return str(folder), rows.assign(lower=rows["name"].str.lower())


def expected(rows: pd.DataFrame, by: str, asked: dict[str, Any]) -> pd.DataFrame:
    """Return what pandas makes of the same."""
    if "where" in asked:
        rows = rows[(rows["day"] > 2) & (rows["x"] < 1)]
    columns, is_up = KEYS[by]
    is_reversed = asked.get("reverse", False)
    for column in reversed(columns):
        how = {"ascending": is_up != is_reversed, "kind": "stable"}
        rows = rows.sort_values(column, na_position="first" if is_reversed else "last", **how)
    if "unique" in asked:
        rows = rows.drop_duplicates(subset=columns, keep=asked["unique"])
    rows = rows.iloc[asked.get("offset", 0) :]
    return rows.iloc[: asked.get("limit", len(rows))]


def plain(rows: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    table = pa.Table.from_pandas(rows[columns], preserve_index=False)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Draw options that go together."""
    rows: dict[str, Any] = {
        "where": st.just("day > 2 and x < 1"),
        "columns": st.just(["id", "t", "day"]),
        "reverse": st.just(True),
        "profile": st.sampled_from(["spark", "duckdb", "delta", "legacy", "compact"]),
        "compression": st.sampled_from(["zstd:3", "none"]),
    }
    fewer = {
        "unique": st.sampled_from(["first", "last"]),
        "limit": st.integers(1, 300),
        "offset": st.integers(1, 300),
    }
    files = {
        "partitions": st.integers(1, 5),
        "target_file_size": st.just("4KiB"),
        "single_file": st.just(True),
        "partition_by": st.just("day"),
    }
    of_files = draw(st.sampled_from([None, *files]))
    if of_files is not None:
        rows[of_files] = files[of_files]
    if of_files != "partition_by":
        rows |= fewer
    chosen = draw(st.sets(st.sampled_from(sorted(rows)), max_size=5))
    return {name: draw(rows[name]) for name in sorted(chosen)}


@settings(max_examples=40)
@given(by=st.sampled_from(sorted(KEYS)), asked=options())
def test_whatever_is_asked_for_at_once_is_what_pandas_does(tmp_path_factory, source, by, asked):
    src, rows = source
    dst = tmp_path_factory.mktemp("out") / "sorted"
    report = dlsort.sort_dataset(src, dst, by=by, threads=2, **asked)
    wanted = expected(rows, by, asked)
    columns = asked.get("columns", COLUMNS)
    assert report.kept_rows == len(wanted)
    if "partition_by" in asked:
        for day, of_day in wanted.groupby("day"):
            found = read(dst / f"day={day}")
            left = [column for column in columns if column != "day"]
            assert plain(found, left) == plain(of_day, left)
    else:
        found = read(dst)
        assert list(found.columns) == columns
        assert plain(found, columns) == plain(wanted, columns)
    if set(KEYS[by][0]) <= set(columns):
        assert dlsort.check_dataset(dst).ok


def read(path: Path) -> pd.DataFrame:
    return pyarrow.dataset.dataset(path).to_table().to_pandas(types_mapper=pd.ArrowDtype)
