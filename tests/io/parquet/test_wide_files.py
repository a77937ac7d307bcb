"""Files of many columns: work in proportion to their column chunks, without Python for each."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort.io.parquet.footer_checks as footer_checks
import dlsort.io.parquet.page_looks as page_looks
from dlsort import check_dataset, sort_dataset
from dlsort.io.parquet.pages import read_pages
from dlsort.io.parquet.source import open_source
from dlsort.io.parquet.stored_schema import chunks_of
from dlsort.io.source import cut_pieces
from dlsort.keys import parse_by
from dlsort.strategies.reader import Reader
from dlsort.tuning import TUNING, IoTuning
from dlsort_kernels import chunk_sizes

KINDS = {
    "float": lambda n: pa.array(np.arange(n), pa.float32()),
    "text": lambda n: pa.array([f"text {i % 3}" for i in range(n)]),
    "list": lambda n: pa.array([[i, None] for i in range(n)]),
    "decimal": lambda n: pa.array(range(n), pa.decimal128(30, 2)),
    "null": lambda n: pa.array([None] * n, pa.int64()),
}
# Larger than what is read whole, so that its pages are looked at in their place.
LARGE = TUNING.io.whole_file_bytes
APART = replace(TUNING, io=replace(TUNING.io, open_chunk_bytes=0))


def wide(n_columns, n_rows=8):
    """Return a table of columns of all kinds, one of them padded so that its file is large."""
    kinds = list(KINDS.values())
    columns = {f"c{i}": kinds[i % len(kinds)](n_rows) for i in range(n_columns)}
    noise = np.random.default_rng(0).bytes(LARGE)
    pad = [noise[i * LARGE // n_rows : (i + 1) * LARGE // n_rows] for i in range(n_rows)]
    return pa.table({**columns, "pad": pad, "k": np.arange(n_rows)[::-1]})


def calls_of(function):
    """Return what a function returns, and how many calls of Python functions that took."""
    n_calls = 0

    def count(_frame, event, _arg):
        nonlocal n_calls
        n_calls += event == "call"

    sys.setprofile(count)
    try:
        found = function()
    finally:
        sys.setprofile(None)
    return found, n_calls


def read_all(path):
    source = open_source(path, APART.io)
    reader = Reader.of(source, parse_by("k"), APART)
    return [reader.read(piece) for piece in cut_pieces(source, 2**27)]


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}, {"compression": "zstd"}])
def test_no_chunk_of_a_sound_file_is_looked_at_by_python(tmp_path, monkeypatch, options):
    table = wide(40)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2, **options)
    looked_at = []

    def look(_fd, chunk):
        looked_at.append(chunk.path_in_schema)
        return read_pages(_fd, chunk)

    monkeypatch.setattr(footer_checks, "read_struct", None)
    monkeypatch.setattr(page_looks, "read_pages", look)
    (read,) = read_all(tmp_path / "a.parquet")
    assert read.num_rows == 8
    assert set(looked_at) <= {"pad"}  # the one that is large


def test_calls_grow_with_the_columns_and_no_faster(tmp_path):
    for n in (100, 400):
        pq.write_table(wide(n), tmp_path / f"{n}.parquet", row_group_size=4)
        read_all(tmp_path / f"{n}.parquet")  # what is kept of a schema is not counted
    _, few = calls_of(lambda: read_all(tmp_path / "100.parquet"))
    _, many = calls_of(lambda: read_all(tmp_path / "400.parquet"))
    assert many < 5 * few


def test_row_groups_cost_no_calls_a_column(tmp_path):
    table = wide(100, 32)
    pq.write_table(table, tmp_path / "few.parquet", row_group_size=32)
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=2)
    read_all(tmp_path / "few.parquet")
    _, few = calls_of(lambda: read_all(tmp_path / "few.parquet"))
    _, many = calls_of(lambda: read_all(tmp_path / "many.parquet"))
    assert many < 2 * few


@pytest.mark.parametrize("chunks_bytes", [1, 4096, 2**20])
def test_chunks_have_the_sizes_that_their_page_headers_tell(tmp_path, chunks_bytes):
    path = tmp_path / "a.parquet"
    pq.write_table(wide(25), path, row_group_size=3, data_page_size=64, write_batch_size=1)
    metadata = pq.read_metadata(path)
    data = path.read_bytes()
    footer = data[-8 - metadata.serialized_size : -8]
    schema, chunks = chunks_of(footer, len(data), metadata)
    tuning = IoTuning(chunks_bytes=chunks_bytes)
    with path.open("rb") as file:
        for g in range(metadata.num_row_groups):
            sizes = page_looks._sizes(file.fileno(), chunks[g], schema.widths, tuning)
            whole = chunk_sizes(np.frombuffer(data, np.uint8), 0, chunks[g], schema.widths)
            small = chunks[g, :, 1] - chunks[g, :, 0] <= tuning.small_chunk_bytes
            assert (sizes[small] == whole[small]).all()
            assert (sizes[~small] == -1).all()
            assert small.sum() >= len(small) - 1
            for i in np.flatnonzero(small):
                chunk = metadata.row_group(g).column(int(i))
                told = sum(page.n_bytes for page in read_pages(file.fileno(), chunk))
                assert sizes[i, 0] == max(told, chunk.num_values * schema.widths[i])


def test_a_wide_dataset_is_sorted_and_checked(tmp_path):
    table = wide(300)
    for i in range(3):
        name = tmp_path / "in" / f"{i}.parquet"
        name.parent.mkdir(exist_ok=True)
        pq.write_table(table, name, row_group_size=1)
    sort_dataset(tmp_path / "in", tmp_path / "out", by="k")
    report = check_dataset(tmp_path / "out", by="k", against=tmp_path / "in")
    assert report.ok
    found = pq.read_table(tmp_path / "out")
    order = np.argsort(np.tile(np.arange(8)[::-1], 3), kind="stable")
    expected = pa.concat_tables([table] * 3).take(order)
    assert found.cast(expected.schema).equals(expected)


def test_a_part_has_no_more_row_groups_than_readers_take(tmp_path):
    rows = pa.table({"k": np.random.default_rng(0).integers(0, 2**40, 40_000)})
    pq.write_table(rows, tmp_path / "in.parquet", row_group_size=1)  # such files are read
    sort_dataset(
        tmp_path / "in.parquet", tmp_path / "out", by="k", row_group_rows=1, partitions=1
    )
    (part,) = (tmp_path / "out").iterdir()
    assert pq.read_metadata(part).num_row_groups <= 32_767
    assert pq.read_table(part).equals(rows.sort_by("k"))
