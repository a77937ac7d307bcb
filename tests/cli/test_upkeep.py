"""``dlsort append`` and ``dlsort compact``."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import dlsort as command
from commands import sorted_well

ONE = ("--threads", 1, "--no-progress")


@pytest.fixture
def place(tmp_path):
    pq.write_table(pa.table({"id": list(range(0, 400, 2))}), tmp_path / "old.parquet")
    pq.write_table(pa.table({"id": [101, 7]}), tmp_path / "new.parquet")
    sorted_well(tmp_path / "old.parquet", tmp_path / "out", "--partitions", 4)
    return tmp_path


def test_a_batch_is_appended_and_the_dataset_checked(place):
    done = command("append", place / "new.parquet", place / "out", *ONE)
    assert done.exit_code == 0, done.output
    assert "2 parts written in the place of 2" in done.stdout
    assert "proved     202 rows" in done.stdout
    assert command("check", place / "out").exit_code == 0
    again = command("append", place / "new.parquet", place / "out", "--resume", *ONE)
    assert "0 parts written" in again.stdout
    assert pq.read_table(place / "out").num_rows == 202


def test_parts_are_made_even(place):
    done = command("compact", place / "out", "--partition-size", "1MiB", *ONE)
    assert done.exit_code == 0, done.output
    assert [path.name for path in (place / "out").iterdir()] == ["part-00000.parquet"]
    assert "0 parts written" in command("compact", place / "out", *ONE).stdout
    assert command("check", place / "out").exit_code == 0


def test_what_is_wrong_is_told_in_one_sentence(place):
    pq.write_table(pa.table({"id": ["x"]}), place / "text.parquet")
    for args, text in (
        (
            ("append", place / "text.parquet", place / "out"),
            "the files disagree on column 'id'",
        ),
        (("append", place / "none", place / "out"), "does not exist"),
        (("append", place / "new.parquet", place / "none"), "holds no dataset yet"),
        (("compact", place / "none"), "holds no dataset yet"),
        (
            ("append", place / "new.parquet", place / "out", "--compression", "rar"),
            "--compression",
        ),
    ):
        result = command(*args, *ONE)
        assert result.exit_code == 2
        assert text in result.stderr
        assert result.stderr.count("\n") == 1
    assert pq.read_table(place / "out").num_rows == 200
    assert not list(place.glob(".*"))
