"""Profiles: each is what its row says, changes no value, and refuses what it can't hold."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import fastparquet
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.errors import BadOptionError
from dlsort.io.parquet.profiles import PROFILES
from dlsort.options.arguments import PROFILE_NAMES

N = 30_000  # from where a part's own rows choose its encodings


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rng = np.random.default_rng(4)
    table = pa.table(
        {
            "k": rng.permutation(N),
            "few": pa.array([f"n{i % 50}" for i in range(N)]),
            "text": pa.array([f"a longer text, row {i}" for i in range(N)]),
            "x": np.sort(rng.random(N)),
            "price": pa.array([Decimal(i) / 100 for i in range(N)], pa.decimal128(9, 2)),
            "at": pa.array([datetime(2024, 1, 1)] * N, pa.timestamp("us")),
        }
    )
    path = tmp_path_factory.mktemp("profiles") / "in.parquet"
    pq.write_table(table, path)
    return path


def sort(source: Path, out: Path, **how: Any) -> pq.FileMetaData:
    dlsort.sort_dataset(source, out, by="k", threads=2, **how)
    return pq.read_metadata(next(out.glob("*.parquet")))


def encodings(metadata: pq.FileMetaData) -> set[str]:
    group = metadata.row_group(0)
    return {e for c in range(group.num_columns) for e in group.column(c).encodings}


def test_the_option_has_the_profiles():
    assert tuple(PROFILES) == PROFILE_NAMES


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_changes_no_value(source, tmp_path, profile):
    metadata = sort(source, tmp_path / "out", profile=profile)
    how = PROFILES[profile]
    assert dlsort.check_dataset(tmp_path / "out", against=source).ok
    wanted = pq.read_table(source).sort_by("k")
    assert pq.read_table(tmp_path / "out").equals(wanted)
    assert pl.read_parquet(tmp_path / "out/*.parquet").equals(pl.from_arrow(wanted))
    seen = duckdb.read_parquet(f"{tmp_path}/out/*.parquet").to_arrow_table()
    assert seen.cast(wanted.schema).equals(wanted)
    column = metadata.row_group(0).column(0)
    assert column.compression.lower() == how.compression.partition(":")[0]
    assert column.has_column_index == how.has_page_index
    if how.encodings is not None:
        levels_and_dictionaries = {"RLE", "PLAIN", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
        assert encodings(metadata) <= {*how.encodings, *levels_and_dictionaries}


def test_what_others_use_is_left_out_for_old_readers(source, tmp_path):
    assert "DELTA_BINARY_PACKED" in encodings(sort(source, tmp_path / "usual"))
    metadata = sort(source, tmp_path / "out", profile="legacy")
    assert metadata.row_group(0).column(4).physical_type == "FIXED_LEN_BYTE_ARRAY"
    assert metadata.format_version == "2.4" or metadata.format_version.startswith("2")


@pytest.mark.filterwarnings("ignore:unclosed file")  # fastparquet leaves it to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_old_readers_read_the_right_values(source, tmp_path):
    sort(source, tmp_path / "out", profile="legacy")
    (part,) = (tmp_path / "out").iterdir()
    frame = fastparquet.ParquetFile(str(part)).to_pandas()
    wanted = pq.read_table(source).sort_by("k").to_pandas()
    for name in ("k", "few", "text", "x", "at"):
        assert (frame[name].astype(wanted[name].dtype) == wanted[name]).all(), name
    assert np.allclose(frame["price"].astype(float), wanted["price"].astype(float))


def test_compact_files_are_the_smallest(source, tmp_path):
    sizes = {}
    for profile in PROFILES:
        sort(source, tmp_path / profile, profile=profile)
        sizes[profile] = sum(path.stat().st_size for path in (tmp_path / profile).iterdir())
    assert min(sizes, key=sizes.__getitem__) == "compact"


def test_what_is_given_counts_more_than_the_profile(source, tmp_path):
    metadata = sort(
        source, tmp_path / "out", profile="duckdb", compression="gzip", row_group_rows=1_000
    )
    assert metadata.row_group(0).num_rows == 1_000
    assert metadata.row_group(0).column(0).compression == "GZIP"


@pytest.mark.parametrize(
    ("profile", "kind", "says"),
    [
        ("spark", pa.timestamp("ns"), "can't have times in nanoseconds, but 'v' is of type"),
        ("spark", pa.list_(pa.time32("ms")), "can't have times of day"),
        ("delta", pa.uint32(), "can't have unsigned integers"),
        ("delta", pa.struct([("a", pa.duration("us"))]), "can't have durations"),
        ("legacy", pa.timestamp("ns"), "can't have times in nanoseconds"),
        ("legacy", pa.float16(), "can't have halffloat"),
    ],
)
def test_what_a_profile_can_not_hold_is_refused(tmp_path, profile, kind, says):
    pq.write_table(pa.table({"k": [1], "v": pa.nulls(1, kind)}), tmp_path / "in.parquet")
    with pytest.raises(BadOptionError, match=says):
        sort(tmp_path / "in.parquet", tmp_path / "out", profile=profile)
    assert not (tmp_path / "out").exists()
