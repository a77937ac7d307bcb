"""Overlap: what a lookup touches, by the footers of any dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import dlsort as command
from dlsort.errors import BadKeyError

RNG = np.random.default_rng(9)


def write(folder: Path, keys: list[object], group_rows: int, name: str = "x") -> Path:
    folder.mkdir(exist_ok=True)
    table = pa.table({"k": keys, "v": range(len(keys))})
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=group_rows)
    return folder


@pytest.mark.parametrize("order", ["", ":desc"])
@pytest.mark.parametrize("kind", ["int64", "uint64", "float64", "string", "timestamp[us]"])
def test_a_lookup_in_a_sorted_dataset_touches_one(tmp_path, kind, order):
    keys = pa.array(RNG.permutation(1_000)).cast(kind)
    if kind == "uint64":
        keys = pa.array([2**63 + 7 * n for n in range(1_000)], pa.uint64())
    src = write(tmp_path / "in", keys, 100)
    dlsort.sort_dataset(
        src, tmp_path / "out", by=f"k{order}", partitions=3, row_group_rows=50, threads=1
    )
    found = dlsort.measure_overlap(tmp_path / "out")
    assert found.by == f"k{order}".removesuffix(":asc")
    assert (found.row_groups.mean, found.row_groups.most) == (1, 1)
    assert (found.files.mean, found.files.total) == (1, 3)
    assert (found.breaks, found.untold) == (0, 0)
    assert found.rows.most <= 50
    assert found.claimed == (0 if kind == "float64" else found.row_groups.total)


def test_in_a_shuffled_one_it_touches_nearly_all(tmp_path):
    src = write(tmp_path / "in", RNG.permutation(1_000), 100)
    found = dlsort.measure_overlap(src, by="k", max_depth=5)
    assert found.row_groups.total == 10
    assert 6 < found.row_groups.mean < 10
    assert found.row_groups.most == 10
    assert found.rows.mean == pytest.approx(100 * found.row_groups.mean)
    assert found.breaks == 9
    assert not found.ok
    assert "too deep" in found.to_text()


def test_depths_by_hand(tmp_path):
    folder = tmp_path / "in"
    write(folder, [0, 10], 2, "a")
    write(folder, [5, 20], 2, "b")
    write(folder, [20, 30], 2, "c")
    found = dlsort.measure_overlap(folder, by="k")
    # Half of a's rows, and a third or so of b's, lie where both are.
    assert found.row_groups == (pytest.approx((1 + 1 + 2 + 2) / 6 + 1 / 3, abs=0.2), 2, 3)
    assert found.breaks == 1


def test_row_groups_of_one_value_are_all_wanted(tmp_path):
    src = write(tmp_path / "in", [1] * 50 + [7] * 100 + [9] * 50, 10)
    found = dlsort.measure_overlap(src, by="k")
    assert found.row_groups == (1, 1, 20)
    assert found.breaks == 0


def test_nulls_have_a_place_and_none_at_all_too(tmp_path):
    src = write(tmp_path / "in", pa.array([None] * 20 + list(range(20)), pa.int64()), 10)
    found = dlsort.measure_overlap(src, by="k:nulls_first")
    assert (found.row_groups.mean, found.breaks) == (1, 0)
    empty = write(tmp_path / "none", pa.array([], pa.int64()), 10)
    assert dlsort.measure_overlap(empty, by="k").row_groups == (0, 0, 0)


def test_what_tells_no_range_is_read_by_all(tmp_path):
    src = write(tmp_path / "in", [[n] for n in range(40)], 10)
    found = dlsort.measure_overlap(src, by="k")
    assert (found.untold, found.row_groups.mean) == (4, 4)
    assert "untold" in found.to_text()


def test_the_key_is_asked_for_where_footers_do_not_tell_it(tmp_path):
    src = write(tmp_path / "in", [1, 2], 1)
    with pytest.raises(BadKeyError, match="do not say by what it is sorted"):
        dlsort.measure_overlap(src)


def test_no_row_is_read(tmp_path, monkeypatch):
    src = write(tmp_path / "in", [3, 1, 2], 1)
    monkeypatch.setattr("dlsort.io.parquet.source.read_piece", None)
    assert dlsort.measure_overlap(src, by="k").row_groups.total == 3


def test_the_command_says_it_by_its_exit_code(tmp_path):
    src = write(tmp_path / "in", RNG.permutation(1_000), 100)
    shown = command("check", src, "--by", "k", "--overlap")
    assert shown.exit_code == 0
    assert "row groups" in shown.stdout
    deep = command("check", src, "--by", "k", "--max-depth", "2")
    assert deep.exit_code == 1
    assert "too deep" in deep.stderr
    assert command("check", src, "--by", "k", "--max-depth", "10").exit_code == 0
    wrong = command("check", src, "--by", "k", "--max-depth", "0.5")
    assert wrong.exit_code == 2
    assert "--max-depth is 0.5; expected a number of at least 1." in wrong.stderr
    both = command("check", src, "--by", "k", "--overlap", "--against", src)
    assert both.exit_code == 2
    assert "exclude each other" in both.stderr
