"""Partitions larger than the memory for them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.errors import OutOfOrderError
from dlsort.io.parquet.encodings import Encodings
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import make_folders
from dlsort.keys import SortKey
from dlsort.order.bands import write_starts
from dlsort.sizes import MIB
from dlsort.strategies import part as part_module
from dlsort.strategies import sizes as job_sizes
from dlsort.strategies.budget import Budget
from dlsort.strategies.oversized import sort_in_pieces
from dlsort.tuning import TUNING
from dlsort_cluster.exchange import Shards, Slot
from tuning_kit import bands_of

KEYS = (SortKey("k"),)


def shards_of(n_rows, n_shards, n_bands, keys):
    """Return shards of a partition in bands of equal length, each in random order."""
    rng = np.random.default_rng(1)
    found = []
    for shard in range(n_shards):
        band = np.sort(rng.integers(0, n_bands, n_rows))
        table = pa.table(
            {"k": keys(rng, band), "shard": [shard] * n_rows, "row": range(n_rows)}
        )
        starts = np.searchsorted(band, np.arange(n_bands + 1))
        found.append(table if n_bands == 1 else write_starts(table, starts))
    return found


def in_band(rng, band):
    return band * 1000 + rng.integers(0, 1000, len(band))


def same(rng, band):
    return np.full(len(band), 7)


@pytest.mark.parametrize("n_bands", [1, 10])
@pytest.mark.parametrize("keys", [in_band, same])
def test_pieces_are_no_larger_than_what_fits(n_bands, keys):
    if n_bands > 1 and keys is same:
        keys = in_band
    shards = shards_of(5_000, 3, n_bands, keys)
    whole = pa.concat_tables([s.replace_schema_metadata(None) for s in shards])
    most_bytes = whole.nbytes // 7
    found = list(sort_in_pieces(Shards.of(shards), KEYS, 0, 1, most_bytes, TUNING))
    assert pa.concat_tables(found).equals(
        whole.sort_by([("k", "ascending"), ("shard", "ascending"), ("row", "ascending")])
    )
    assert max(piece.nbytes for piece in found) <= 1.1 * most_bytes


def test_a_partition_that_fits_is_one_piece():
    shards = shards_of(1_000, 2, 4, in_band)
    n_bytes = sum(shard.nbytes for shard in shards)
    assert len(list(sort_in_pieces(Shards.of(shards), KEYS, 0, 1, n_bytes, TUNING))) == 1


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([[1, 2], [3, 5, 4]], "row 4 sorts before row 3"),
        ([[1, 7], [3, 4]], "row 2 sorts before row 1"),
    ],
)
def test_disorder_inside_and_between_pieces_is_told_by_row(tmp_path, monkeypatch, pieces, says):
    tables = [pa.table({"k": piece}) for piece in pieces]
    monkeypatch.setattr(part_module, "sort_in_pieces", lambda *args: iter(tables))
    encodings = Encodings((), {})
    make_folders(str(tmp_path))
    writer = Writer(str(tmp_path), tables[0].schema, KEYS, encodings, "none", 10, MIB, TUNING)
    with pytest.raises(OutOfOrderError, match=f"partition 0: {says}"):
        part_module.write_partition(writer, Shards.of(tables), Slot(0, 1, 0, 5))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_dictionary_that_shards_share_does_not_make_them_large():
    rng = np.random.default_rng(3)
    values = pa.array([f"value {number}" for number in range(10_000)])
    codes = pa.array(rng.integers(0, len(values), 3_000).astype(np.int32))
    rows = {"k": rng.permutation(3_000), "x": pa.DictionaryArray.from_arrays(codes, values)}
    whole = pa.table(rows)
    shards = Shards.of([whole.slice(at, 300) for at in range(0, 3_000, 300)])
    assert len(list(sort_in_pieces(shards, KEYS, 0, 1, whole.nbytes, TUNING))) == 1


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("workers", [None, 2])
def test_parts_larger_than_the_memory_for_them(tmp_path, monkeypatch, partitions, workers):
    rng = np.random.default_rng(2)
    (tmp_path / "in").mkdir()
    for number in range(4):
        table = pa.table(
            {
                "k": rng.integers(0, 10**6, 30_000),
                "kind": pa.array(rng.choice(["red", "green"], 30_000)).dictionary_encode(),
                "text": [f"{number} {row}" for row in range(30_000)],
            }
        )
        pq.write_table(table, tmp_path / "in" / f"{number}.parquet", row_group_size=10_000)
    monkeypatch.setattr(
        job_sizes, "plan_budget", lambda *_: Budget(MIB // 4, MIB, MIB // 8, MIB // 8)
    )
    seen = []

    def spy(*args):
        for piece in sort_in_pieces(*args):
            seen.append(piece.nbytes)
            yield piece

    monkeypatch.setattr(part_module, "sort_in_pieces", spy)
    report = dlsort.sort_dataset(
        tmp_path / "in",
        tmp_path / "out",
        by="k",
        partitions=partitions,
        workers=workers,
        row_group_rows=4_000,
        _tuning=bands_of(5_000),
    )
    assert report.output_parts == partitions
    if workers is None:
        assert len(seen) > 20
        assert max(seen) < MIB // 4
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == partitions
    order = [(row["k"], row["text"]) for row in rows_of(files)]
    source = rows_of(sorted((tmp_path / "in").iterdir()))
    expected = sorted(source, key=lambda row: row["k"])
    assert order == [(row["k"], row["text"]) for row in expected]
    for file in files:
        footer = pq.ParquetFile(file).metadata
        sizes = [footer.row_group(g).num_rows for g in range(footer.num_row_groups)]
        assert all(0 < size <= 4_000 for size in sizes)


def rows_of(files):
    return pa.concat_tables([pq.read_table(f).cast(SCHEMA) for f in files]).to_pylist()


SCHEMA = pa.schema([("k", pa.int64()), ("kind", pa.string()), ("text", pa.string())])
