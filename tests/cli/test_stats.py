"""``dlsort stats``: what the command asks and shows."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pytest

import dlsort as library
from commands import dlsort, write


@pytest.fixture
def days(tmp_path) -> Path:
    """Give a dataset sorted by day and number."""
    day = dt.date(2024, 1, 1)
    table = pa.table(
        {
            "day": [day + dt.timedelta(i // 100) for i in range(1_000)],
            "n": [i % 100 - 50 for i in range(1_000)],
            "at": pa.array(range(1_000), pa.timestamp("s", "UTC")),
            "e": [{"t": i} for i in range(1_000)],
            "p": pa.array(range(1_000), pa.duration("s")),
            "clock": pa.array(range(1_000), pa.time32("s")),
        }
    )
    src = write(tmp_path / "in" / "0.parquet", table, row_group_size=100)
    library.sort_dataset(src, tmp_path / "out", by="day,n", partitions=2, threads=1)
    return tmp_path / "out"


def told(*args: object) -> str:
    result = dlsort("stats", *args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_without_options_rows_parts_ends_and_quartiles(days):
    lines = told(days).splitlines()
    assert lines[0] == f"1,000 rows by day,n, in 2 files of {days}"
    assert lines[1].split() == ["quantile", "0", "2024-01-01,", "-50"]
    assert [line.split()[1] for line in lines[1:]] == ["0", "0.25", "0.5", "0.75", "1"]


def test_each_question_has_its_answer(days):
    answers = json.loads(
        told(
            days,
            *("--below", "2024-01-03,-40"),
            *("--between", "2024-01-02", "2024-01-03"),
            *("--quantile", 0.5, "--quantiles", 2, "--exact", "--json"),
        )
    )
    assert answers["below"] == {"value": 210, "low": 210, "high": 210}
    assert answers["share_below"]["value"] == 0.21
    assert answers["between"]["value"] == 200
    assert answers["quantile_0.5"]["value"] == ["2024-01-05", 49]
    assert {"quantile_0", "quantile_1"} < set(answers)
    assert (answers["rows"], answers["parts"], answers["told_by"]) == (1000, 2, "parts")


def test_a_histogram_has_a_line_a_bin(days):
    lines = told(days, "--by", "day", "--histogram", 3, "--exact").splitlines()
    assert lines[1].split() == ["before", "0"]
    assert lines[2].split() == ["2024-01-01", "…", "2024-01-04", "300"]
    assert len(lines) == 6
    found = json.loads(told(days, "--by", "n", "--histogram", 2, "--json"))
    assert found["told_by"] == "statistics"
    assert found["histogram"]["edges"] == [-50, -1, 49]


@pytest.mark.parametrize(
    ("by", "text", "below"),
    [
        ("n", "-50", 0),
        ("at", "1970-01-01T00:01Z", 60),
        ("at", "1970-01-01T01:01:00+01:00", 60),
        ("e.t", "12", 12),
        ("p", "7", 7),
        ("clock", "00:00:09", 9),
        ("day,n", '"2024-01-02",-50', 100),
    ],
)
def test_values_are_read_by_the_columns_type(days, by, text, below):
    found = json.loads(told(days, "--by", by, "--below", text, "--exact", "--json"))
    assert found["below"]["value"] == below


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--below", "soon"), "can't read 'soon' as a value of column 'day', date32[day]"),
        (("--by", "at", "--below", "2024-01-01"), "can't read '2024-01-01' as a value of"),
        (("--by", "clock", "--below", "late"), "can't read 'late' as a value of column"),
        (("--by", "e", "--below", "1"), "can't read '1' as a value of column 'e'"),
        (("--below", "2024-01-02,1,2"), "has 3 values; the key has 2 columns"),
        (("--quantile", "2"), "--quantile is 2.0; expected a number from 0 to 1"),
        (("--quantiles", "0"), "--quantiles is 0; expected a whole number"),
        (("--between", "2024-01-02"), "--between"),
    ],
)
def test_what_can_not_be_read_is_told(days, args, said):
    result = dlsort("stats", days, *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_between_given_twice_is_refused(days):
    result = dlsort("stats", days, *("--between", 1, 2) * 2)
    assert result.exit_code == 2
    assert "Error: --between is given 2 times; give it once." in result.stderr


def test_a_dataset_without_manifest_needs_the_key(tmp_path):
    src = write(tmp_path / "0.parquet", pa.table({"x": [1, 2]}))
    result = dlsort("stats", src)
    assert result.exit_code == 2
    assert "give the key: --by" in result.stderr
    assert "dlsort did not sort it by this key" in told(src, "--by", "x")
