"""What the footers of real files tell, and the encodings chosen from it."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.errors import SchemaMismatchError, UnknownColumnError
from dlsort.io.parquet.encodings import choose_encodings
from dlsort.io.parquet.files.layouts import layouts, readable_as_dictionary
from dlsort.io.parquet.footers import read_footer
from dlsort.io.parquet.thrift import I64
from dlsort.tuning import TUNING
from parquet_mutations import with_footer

N = 20_000
N_ROWS, GROUPS = 3, 4  # of a footer; a row group's rows have the same number


def table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    cents = [Decimal(int(v)).scaleb(-2) for v in rng.integers(0, 10**9, N)]
    return pa.table(
        {
            "id": np.arange(N) + N * seed,
            "small": pa.array(rng.permutation(N), pa.int32()),
            "day": pa.array(rng.integers(0, 50_000, N), pa.int32()).cast(pa.date32()),
            "price": rng.random(N),
            "amount": pa.array(cents, pa.decimal128(15, 2)),
            "wide": pa.array(cents, pa.decimal128(38, 2)),
            "flag": rng.choice(["A", "N", "R"], N),
            "status": rng.integers(0, 4, N),
            "note": [f"note {v}" for v in rng.permutation(N)],
            "place": [{"x": float(i), "city": f"c{i % 5}"} for i in range(N)],
            "tags": [[i, i + 1] for i in range(N)],
            "kind": pa.array([f"k{i % 3}" for i in range(N)]).dictionary_encode(),
            "yes": rng.random(N) < 0.5,
        }
    )


def footers(folder: Path, *tables: pa.Table, **options: object) -> list[tuple]:
    found = []
    for i, rows in enumerate(tables):
        pq.write_table(rows, folder / f"{i}.parquet", **options)
        path = folder / f"{i}.parquet"
        footer = read_footer(str(path), path.stat().st_size)
        found.append((footer.leaves, footer.chunks))
    return found


def test_layouts_count_over_row_groups_and_files(tmp_path):
    stored = layouts(footers(tmp_path, table(0), table(1), row_group_size=3000))
    leaves = {"place.x", "place.city", "tags.list.element"}
    assert set(stored) == {*table().column_names, *leaves} - {"place", "tags"}
    assert {path: layout.n_values for path, layout in stored.items()} == {
        path: 4 * N if path == "tags.list.element" else 2 * N for path in stored
    }
    assert stored["id"].physical_type == "INT64"
    assert stored["place.x"].physical_type == "DOUBLE"
    assert stored["flag"].with_dictionary == 2 * N
    assert 0 < stored["flag"].dictionary_bytes < 14 * 100
    assert stored["yes"].with_dictionary == 0


def test_few_distinct_values_make_a_dictionary_and_ids_are_delta_packed(tmp_path):
    rows = table()
    chosen = choose_encodings(rows.schema, layouts(footers(tmp_path, rows)), TUNING.io)
    assert set(chosen.dictionary) == {"flag", "status", "kind", "place.city"}
    assert {"id", "small", "amount", "tags.list.element"} <= set(chosen.other)
    plain = {"price", "place.x", "yes", "note", "wide"}
    assert not plain & {*chosen.dictionary, *chosen.other}
    assert not set(chosen.dictionary) & set(chosen.other)


def test_a_source_without_dictionaries_gets_none_but_for_dictionary_types(tmp_path):
    rows = table()
    stored = layouts(footers(tmp_path, rows, use_dictionary=False))
    assert all(layout.with_dictionary == 0 for layout in stored.values())
    assert all(layout.dictionary_bytes == 0 for layout in stored.values())
    chosen = choose_encodings(rows.schema, stored, TUNING.io)
    assert chosen.dictionary == ("kind",)
    assert {"id", "small", "day", "status"} <= set(chosen.other)


def test_one_file_without_a_dictionary_is_enough_to_drop_it(tmp_path):
    (tmp_path / "plain").mkdir()
    with_one = footers(tmp_path, table(0))
    without = footers(tmp_path / "plain", table(1), use_dictionary=False)
    assert layouts(with_one)["flag"].has_few_values(TUNING.io)
    assert not layouts([*with_one, *without])["flag"].has_few_values(TUNING.io)


def test_no_file_and_no_row(tmp_path):
    assert layouts([]) == {}
    stored = layouts(footers(tmp_path, table().slice(0, 0)))
    assert not any(layout.has_few_values(TUNING.io) for layout in stored.values())
    choose_encodings(table().schema, stored, TUNING.io)


@pytest.mark.parametrize(
    ("kind", "readable"),
    [
        (pa.string(), True),
        (pa.binary(), True),
        (pa.string_view(), True),
        (pa.int64(), False),
        (pa.float64(), False),
    ],
    ids=str,
)
def test_only_text_of_few_distinct_values_is_read_as_a_dictionary(tmp_path, kind, readable):
    text = pa.array([str(i % 3) for i in range(N)])
    values = text.cast(pa.binary() if kind == pa.binary() else kind)
    rows = pa.table({"c": values})
    stored = layouts(footers(tmp_path, rows))
    assert stored["c"].has_few_values(TUNING.io)
    assert readable_as_dictionary(rows.schema.field("c"), stored, TUNING.io) == readable
    assert not readable_as_dictionary(pa.field("other", pa.string()), stored, TUNING.io)


def test_many_distinct_values_are_not_read_as_a_dictionary(tmp_path):
    rows = table()
    stored = layouts(footers(tmp_path, rows))
    assert readable_as_dictionary(rows.schema.field("flag"), stored, TUNING.io)
    assert not readable_as_dictionary(rows.schema.field("note"), stored, TUNING.io)


def test_the_result_is_written_as_chosen(tmp_path):
    (tmp_path / "in").mkdir()
    footers(tmp_path / "in", table(0), table(1))
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="price", partitions=1, threads=1)
    group = pq.ParquetFile(tmp_path / "out" / "part-00000.parquet").metadata.row_group(0)
    chunks = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for path in ("flag", "status", "kind", "place.city"):
        assert chunks[path].has_dictionary_page, path
    for path in ("id", "small", "amount", "tags.list.element"):
        assert "DELTA_BINARY_PACKED" in chunks[path].encodings, path
        assert not chunks[path].has_dictionary_page, path
    for path in ("price", "place.x", "note", "wide"):
        assert not chunks[path].has_dictionary_page, path


def without_columns(n_rows: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({}), sink)

    def change(footer):  # pyarrow writes no rows without columns, others do
        footer[N_ROWS] = I64, n_rows
        for group in footer[GROUPS][1][1]:
            group[N_ROWS] = I64, n_rows

    return with_footer(sink.getvalue(), change)


@pytest.mark.parametrize("n_rows", [0, 3])
def test_a_file_without_columns_has_nulls_in_all(tmp_path, n_rows):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "none.parquet").write_bytes(without_columns(n_rows))
    with pytest.raises(UnknownColumnError, match="no column 'k': the source has no columns"):
        dlsort.sort_dataset(folder, tmp_path / "out", by="k", threads=1)
    pq.write_table(pa.table({"k": [2, 1], "v": ["a", "b"]}), folder / "two.parquet")
    dlsort.sort_dataset(folder, tmp_path / "out", by="k", threads=1)
    nulls = [None] * n_rows
    found = pq.read_table(tmp_path / "out").to_pydict()
    assert found == {"k": [1, 2, *nulls], "v": ["b", "a", *nulls]}
    assert dlsort.check_dataset(tmp_path / "out", by="k", against=folder).ok
    with pytest.raises(SchemaMismatchError, match=r"'k': it is missing in \S+none.parquet and"):
        dlsort.sort_dataset(folder, tmp_path / "out", by="k", schema="strict", overwrite=True)
