"""Sorts of some rows and columns of a dataset, against pandas and the files themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from ordered_sources import rows_of, write


def made(n: int = 600, n_files: int = 3) -> list[pa.Table]:
    rng = np.random.default_rng(7)
    names = [None, "Ada", "ada", "Bob", "bob", "Émile", "émile", "eve"]
    return [
        pa.table(
            {
                "id": np.arange(n) + n * file,
                "name": pa.array(rng.choice(np.array(names, object), n), pa.string()),
                "price": pa.array(
                    [None if v < 0.1 else np.nan if v < 0.2 else v for v in rng.random(n)],
                    pa.float64(),
                    from_pandas=False,
                ),
                "day": pa.array(rng.integers(0, 900, n), pa.int32()).cast(pa.date32()),
                "note": pa.array([f"note {v}" for v in rng.integers(0, 9**9, n)]),
            }
        )
        for file in range(n_files)
    ]


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "in", made())


@pytest.mark.parametrize("how", [{"threads": 1}, {"threads": 2}, {"workers": 2}])
def test_a_key_that_is_computed_sorts_and_is_not_written(source, tmp_path, how):
    by = "lower(name):desc,id"
    report = dlsort.sort_dataset(source, tmp_path / "out", by=by, partitions=3, **how)
    rows, found = rows_of(source).to_pandas(), rows_of(tmp_path / "out")
    expected = rows.assign(key=rows["name"].str.lower()).sort_values(
        ["key", "id"], ascending=[False, True], kind="stable"
    )
    assert found.column_names == list(rows)
    assert found["id"].to_pylist() == expected["id"].tolist()
    assert report.proved
    assert dlsort.check_dataset(tmp_path / "out", by="note", against=source).checksum


def test_a_key_that_is_computed_is_claimed_nowhere(source, tmp_path):
    by = "day,lower(name),id"
    dlsort.sort_dataset(source, tmp_path / "out", by=by, partitions=2, threads=1)
    for part in (tmp_path / "out").glob("*.parquet"):
        (claim,) = pq.read_metadata(part).row_group(0).sorting_columns
        assert claim.column_index == 3
    report = dlsort.check_dataset(tmp_path / "out")
    assert (report.ok, report.by) == (True, by)
