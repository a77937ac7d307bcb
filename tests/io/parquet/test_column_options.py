"""Options of single columns: each does what it says, to its column only, or is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import dlsort
from dlsort.cli.main import main
from dlsort.errors import BadOptionError, DestinationExistsError
from dlsort.io.parquet.column_options import ColumnOptions, read_column_options

N = 30_000  # from where a part's own rows choose its encodings


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rng = np.random.default_rng(4)
    table = pa.table(
        {
            "k": rng.permutation(N),
            "text": [f"a longer text, row {i}" for i in range(N)],
            "x": rng.random(N),
            "price": pa.array([Decimal(i) / 100 for i in range(N)], pa.decimal128(9, 2)),
            "tags": [[f"t{i % 7}"] for i in range(N)],
        }
    )
    path = tmp_path_factory.mktemp("column_options") / "in.parquet"
    pq.write_table(table, path)
    return path


def chunks(out: Path) -> dict[str, pq.ColumnChunkMetaData]:
    path = out if out.is_file() else next(out.glob("*.parquet"))
    group = pq.read_metadata(path).row_group(0)
    return {group.column(c).path_in_schema: group.column(c) for c in range(group.num_columns)}


OPTIONS: dict[str, Any] = {
    "text": {
        "encoding": "delta_length_byte_array",
        "compression": "zstd:7",
        "statistics": False,
    },
    "x": {"encoding": "PLAIN", "compression": "none"},
    "price": {"encoding": "DICTIONARY", "bloom_filter": 0.01},
    "tags": {"compression": "gzip"},
}


@pytest.mark.parametrize("dst", ["out", "out.parquet"])
def test_a_column_is_written_as_its_options_say(source, tmp_path, dst):
    usual, out = tmp_path / "usual", tmp_path / dst
    dlsort.sort_dataset(source, usual, by="k")
    dlsort.sort_dataset(source, out, by="k", column_options=OPTIONS)
    before, after = chunks(usual), chunks(out)
    assert "DELTA_LENGTH_BYTE_ARRAY" in after["text"].encodings
    assert after["text"].compression == "ZSTD"
    assert not after["text"].has_column_index
    assert after["text"].statistics is None
    assert after["x"].compression == "UNCOMPRESSED"
    assert set(after["x"].encodings) <= {"PLAIN", "RLE"}
    assert after["price"].has_dictionary_page
    assert after["price"].statistics.min == Decimal(0)
    (tags,) = (path for path in after if path.startswith("tags"))
    assert after[tags].compression == "GZIP"
    assert after["k"].compression == before["k"].compression == "SNAPPY"
    assert after["k"].encodings == before["k"].encodings
    assert dlsort.check_dataset(out, against=source).ok
    wanted = pq.read_table(source).sort_by("k")
    assert pq.read_table(out).equals(wanted)
    where = out if out.is_file() else out / "*.parquet"
    assert pl.read_parquet(where).equals(pl.from_arrow(wanted))


@pytest.mark.parametrize("dst", ["out", "out.parquet"])
def test_a_reader_finds_the_bloom_filter(tmp_path, dst):
    """DuckDB leaves row groups out by it: of even numbers, in any order, no odd one is read."""
    src, out = tmp_path / "in.parquet", tmp_path / dst
    rng = np.random.default_rng(1)
    pq.write_table(pa.table({"k": np.arange(N), "even": rng.permutation(N) * 2}), src)
    dlsort.sort_dataset(
        src,
        out,
        by="k",
        row_group_rows=5_000,
        partitions=2,
        column_options={"even": {"bloom_filter": 0.001}},
    )
    for path in [out] if out.is_file() else out.glob("*.parquet"):
        probed = duckdb.sql(
            f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'even', 10001)"
        ).fetchall()
        assert len(probed) >= 3
        assert sum(excludes for (excludes,) in probed) >= len(probed) - 1
    where = str(out if out.is_file() else out / "*.parquet")
    found = duckdb.sql(f"SELECT count(*) FROM '{where}' WHERE even IN (10000, 10001)")
    assert found.fetchall() == [(1,)]


def test_the_command_reads_them_from_a_file(source, tmp_path):
    (tmp_path / "columns.yaml").write_text("text:\n  compression: zstd:7\n")
    arguments = ["sort", str(source), str(tmp_path / "out"), "--by", "k", "--column-options"]
    done = CliRunner().invoke(main, [*arguments, str(tmp_path / "columns.yaml")])
    assert done.exit_code == 0, done.output
    assert chunks(tmp_path / "out")["text"].compression == "ZSTD"


def test_parts_that_are_made_later_have_them_too(source, tmp_path):
    out, options = tmp_path / "out", {"text": {"compression": "brotli"}}
    dlsort.sort_dataset(source, out, by="k")
    dlsort.append_dataset(source, out, column_options=options)
    assert chunks(out)["text"].compression == "BROTLI"
    dlsort.compact_dataset(out, partition_size="256KiB", column_options={"x": options["text"]})
    assert chunks(out)["x"].compression == "BROTLI"


def test_another_way_of_writing_is_another_result(source, tmp_path):
    out = tmp_path / "out"
    how: dict[str, Any] = {"by": "k", "column_options": OPTIONS}
    dlsort.sort_dataset(source, out, **how)
    again = dlsort.sort_dataset(source, out, if_exists="skip", **how)
    assert again.skipped
    with pytest.raises(DestinationExistsError):
        dlsort.sort_dataset(source, out, by="k", if_exists="skip")


def test_they_are_told_and_read_again():
    options = read_column_options(OPTIONS)
    assert ColumnOptions.of_told(options.told()) == options
    assert ColumnOptions().told() == ""
    assert json.loads(options.told())["x"] == {"encoding": "PLAIN", "compression": "none"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"txt": {}}, "'txt', which is no column of the result. Did you mean 'text'?"),
        ({"text": {"codec": "zstd"}}, "'text', with 'codec'; expected encoding, compression"),
        ({"text": {"encoding": "fast"}}, "encoding of column 'text' is 'fast'; expected PLAIN"),
        ({"text": {"compression": "zstd:99"}}, "expected a level of zstd from 1 to 22"),
        ({"text": {"statistics": "no"}}, "statistics of column 'text' is 'no'"),
        ({"text": {"bloom_filter": 2.0}}, "expected true, false or a share such as 0.01"),
        ({"text": {"encoding": "DELTA_BINARY_PACKED"}}, "'text', of type string, which can't"),
        ({"text": "zstd"}, "expected columns with their options"),
        (["text"], "expected columns with their options"),
        ("missing.yaml", "and there is no such file"),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(source, tmp_path, options, said):
    with pytest.raises(BadOptionError) as refused:
        dlsort.sort_dataset(source, tmp_path / "out", by="k", column_options=options)
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_encodings_that_a_profile_s_readers_lack_are_refused(source, tmp_path):
    with pytest.raises(BadOptionError, match="readers of the profile 'legacy' expect PLAIN"):
        dlsort.sort_dataset(
            source,
            tmp_path / "out",
            by="k",
            profile="legacy",
            column_options={"x": {"encoding": "BYTE_STREAM_SPLIT"}},
        )


def test_other_formats_have_none(source, tmp_path):
    with pytest.raises(BadOptionError, match="column_options is of Parquet's columns"):
        dlsort.sort_dataset(source, tmp_path / "out.csv", by="k", column_options=OPTIONS)
