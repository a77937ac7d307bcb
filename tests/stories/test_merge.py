"""Sorts of files that are said to be in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dlsort
from arrow_data import oracle
from commands import dlsort as command
from dlsort.errors import BadOptionError
from dlsort.keys import parse_by
from ordered_sources import MAKERS, rows_of, write

BY = "k,v"


def sort(source: Path, by: str = BY, **options: Any) -> dlsort.SortReport:
    """Merge beside the source, and compare with the stable sort of its rows."""
    dst = source.parent / "out"
    options = {"threads": 2, "partitions": 3, **options}
    report = dlsort.sort_dataset(source, dst, by=by, merge=True, **options)
    whole = rows_of(source)
    want = whole.take(pa.array(oracle(whole, parse_by(by)), pa.int64()))
    assert str(rows_of(dst).to_pylist()) == str(want.slice(0, options.get("limit")).to_pylist())
    return report


def in_order(table: pa.Table, by: str = BY) -> pa.Table:
    return table.take(pa.array(oracle(table, parse_by(by)), pa.int64()))


def table_of(seed: int, kind: str = "int64", least: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    keys = MAKERS[kind](least + np.sort(rng.integers(0, 90, 240)))
    return pa.table({"k": keys, "v": rng.integers(0, 5, 240), "row": np.arange(240)})


@pytest.mark.parametrize("kind", ["int64", "string", "decimal"])
@pytest.mark.parametrize("by", ["k,v", "k:desc,v"])
@pytest.mark.parametrize("strategy", ["auto", "range", "exchange"])
def test_files_of_the_same_range(tmp_path, kind, by, strategy):
    files = [in_order(table_of(seed, kind), by) for seed in range(4)]
    sort(write(tmp_path / "in", files), by, strategy=strategy)


def test_files_that_follow_one_another_are_copied_whatever_they_claim(tmp_path):
    files = [in_order(table_of(seed, least=89 * seed)) for seed in range(4)]  # they touch
    source = write(tmp_path / "in", files)
    plain = dlsort.sort_dataset(source, tmp_path / "plain", by=BY, partitions=3, threads=2)
    assert plain.predicted["strategy"] != "move"
    report = sort(source, strategy="move")
    assert report.predicted["strategy"] == "move"
    assert max(report.part_rows) == min(report.part_rows)
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "plain")


def test_nulls_and_a_key_of_no_ranges(tmp_path):
    keys = pa.array([1.0, 2.0, float("nan"), None])
    files = [pa.table({"k": keys, "v": range(4)}), pa.table({"k": keys, "v": range(4)})]
    sort(write(tmp_path / "in", files))


def swapped(table: pa.Table, row: int) -> pa.Table:
    """Return a table in order but for a row that should stand before the one above it."""
    order = np.arange(table.num_rows)
    order[[row - 1, row]] = order[[row, row - 1]]
    found = table.take(pa.array(order))
    assert found["k"][row].as_py() < found["k"][row - 1].as_py()
    return found


# In a row group, and where one begins: of 50 rows each.
@pytest.mark.parametrize("row", [120, 150])
@pytest.mark.parametrize("strategy", ["move", "range", "exchange"])
@pytest.mark.parametrize("is_apart", [True, False])
def test_a_file_that_is_not_in_order_is_named(tmp_path, row, strategy, is_apart):
    def keys(file: int) -> Any:
        return np.arange(240) + (1_000 * file if is_apart else 0)

    files = [pa.table({"k": keys(i), "v": np.arange(240)}) for i in range(3)]
    files[1] = swapped(files[1], row)
    source = write(tmp_path / "in", files)
    with pytest.raises(BadOptionError, match=rf"row {row} of .*in-1\.parquet") as error:
        sort(source, strategy=strategy, input_size="1KiB")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_merged_rows_may_be_fewer(tmp_path):
    files = [in_order(table_of(seed)) for seed in range(3)]
    source = write(tmp_path / "in", files)
    sort(source, limit=30)
    files[1] = swapped(pa.table({"k": range(240), "v": range(240)}), 7)
    with pytest.raises(BadOptionError, match=r"row 7 of .*in-0\.parquet"):
        sort(write(tmp_path / "bad", files[1:2]), limit=30, overwrite=True)


def test_two_processes(tmp_path):
    files = [in_order(table_of(seed)) for seed in range(3)]
    sort(write(tmp_path / "in", files), threads=None, workers=2)


def test_the_command_has_the_flag(tmp_path):
    source = write(tmp_path / "in", [pa.table({"k": [1, 3, 2]})])
    options = ["--by", "k", "--merge", "--no-progress"]
    result = command("sort", str(source), str(tmp_path / "out"), *options)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: --merge is for files that are in order by k, but row 2"
    )
