"""Many small files: read together, and sorted as if they were one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
from dlsort.errors import CorruptSourceError, SourceChangedError
from dlsort.io.parquet import reader as piece_reads
from dlsort.io.parquet.reader import read_piece
from dlsort.io.parquet.source import open_source
from dlsort.io.source import cut_pieces
from dlsort.keys import parse_by
from dlsort.model.sample_plan import plan_sample
from dlsort.sizes import MIB
from dlsort.tuning import TUNING
from parquet_mutations import bases

N = 400


def rows(n: int = N, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "k": pa.array(rng.integers(0, 9, n), mask=rng.random(n) < 0.1),
            "id": np.arange(n),
            "word": [f"w{v}" for v in rng.integers(0, 3, n)],
            "kind": pa.array([f"kind {v}" for v in rng.integers(0, 3, n)]).dictionary_encode(),
            "day": pa.array(rng.integers(0, 99, n).astype(np.int32), pa.date32()),
        }
    )


def lay(folder: Path, table: pa.Table, cuts: list[int], **options: object) -> Path:
    """Write a table cut into files."""
    folder.mkdir(parents=True)
    edges = [0, *sorted(cuts), table.num_rows]
    for i, (first, last) in enumerate(pairwise(edges)):
        part = table.slice(first, last - first)
        # each file has a dictionary of its own
        kind = part["kind"].cast(pa.string()).combine_chunks().dictionary_encode()
        part = part.set_column(3, "kind", kind)
        pq.write_table(part, folder / f"{i}.parquet", **options)
    return folder


def sort(source: Path, out: Path, **options: object) -> pa.Table:
    dlsort.sort_dataset(source, out, by="k", threads=2, **options)
    return pq.read_table(out)


def expected(table: pa.Table) -> list[int]:
    return table.to_pandas().sort_values("k", kind="stable")["id"].tolist()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(st.integers(0, N), max_size=60),
    partitions=st.sampled_from([1, 3]),
    group=st.sampled_from([7, 10**6]),
)
def test_however_rows_are_cut_into_files_the_result_is_the_stable_sort(
    tmp_path_factory, cuts, partitions, group
):
    tmp_path = tmp_path_factory.mktemp("cut")
    table = rows()
    source = lay(tmp_path / "in", table, cuts, row_group_size=group)
    found = sort(source, tmp_path / "out", partitions=partitions)
    assert found["id"].to_pylist() == expected(table)
    whole = found.sort_by("id")
    for name in table.column_names:
        kind = table.schema.field(name).type
        plain = pa.string() if pa.types.is_dictionary(kind) else kind
        assert whole[name].cast(plain).to_pylist() == table[name].cast(plain).to_pylist()
    assert dlsort.check_dataset(tmp_path / "out", by="k", against=source).ok


@pytest.fixture
def fifty(tmp_path):
    return lay(tmp_path / "in", rows(), list(range(8, N, 8)))


def test_small_files_are_one_piece_and_opened_as_one(fifty, monkeypatch):
    opened = []
    real = piece_reads.open_file
    monkeypatch.setattr(
        piece_reads, "open_file", lambda *args, **how: opened.append(args) or real(*args, **how)
    )
    source = open_source(fifty, TUNING.io)
    (piece,) = cut_pieces(source, MIB * 128)
    assert len(piece.files) == 50
    table = read_piece(
        piece, source.schema, source.schema.names, TUNING.io, ("word",), MIB * 512
    )
    assert opened == []
    assert table["id"].to_pylist() == list(range(N))
    assert table["word"].cast(pa.string()).to_pylist() == rows()["word"].to_pylist()


def test_a_run_of_small_files_ends_at_a_large_one_and_is_not_too_long(tmp_path):
    table = rows(4000)
    source = open_source(
        lay(tmp_path / "in", table, [*range(8, 168, 8), 3900, 3950]), TUNING.io
    )
    small = replace(TUNING.io, small_file_bytes=TUNING.io.open_bytes + 20_000)
    source = replace(source, tuning=small)
    sizes = [len(piece.files) for piece in cut_pieces(source, 128 * MIB)]
    assert sizes == [20, 1, 2]
    few = replace(small, joined_bytes=TUNING.io.open_bytes * 6)
    source = replace(source, tuning=few)
    sizes = [len(piece.files) for piece in cut_pieces(source, 128 * MIB)]
    assert sizes == [5, 5, 5, 5, 1, 2]


@pytest.mark.parametrize(("n_rows", "sizes"), [(40, [4]), (3000, [1, 1, 1, 1])])
def test_files_of_many_short_chunks_are_one_piece_however_large(tmp_path, n_rows, sizes):
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.integers(0, 2**60, 4 * n_rows) for i in range(300)}
    table = pa.table({**columns, "id": np.arange(4 * n_rows)})
    (tmp_path / "in").mkdir()
    for i in range(4):
        part = table.slice(i * n_rows, n_rows)
        pq.write_table(part, tmp_path / f"in/{i}.parquet", use_dictionary=False)
    assert (tmp_path / "in/0.parquet").stat().st_size > TUNING.io.small_file_bytes / 2
    source = open_source(tmp_path / "in", replace(TUNING.io, small_file_bytes=MIB // 16))
    pieces = cut_pieces(source, 128 * MIB)
    assert [len(piece.files) for piece in pieces] == sizes
    for columns in (source.schema.names, ["c7", "id"]):
        read = [read_piece(piece, source.schema, columns, TUNING.io) for piece in pieces]
        assert pa.concat_tables(read).equals(table.select(columns))


@pytest.mark.parametrize("base", bases(), ids=lambda base: base.name)
def test_files_of_every_kind_are_read_as_one_by_one(tmp_path, base):
    for i in range(3):
        (tmp_path / f"{i}.parquet").write_bytes(base.data)
    source = open_source(tmp_path, TUNING.io)
    (piece,) = cut_pieces(source, 128 * MIB)
    names = source.schema.names
    table = read_piece(piece, source.schema, names, TUNING.io, (), MIB * 512)
    one = pq.read_table(tmp_path / "0.parquet")
    assert table.num_rows == 3 * one.num_rows
    for i in range(3):
        part = table.slice(i * one.num_rows, one.num_rows)
        for name in names:
            # as text: NaN is not equal to itself
            assert repr(part[name].to_pylist()) == repr(one[name].to_pylist())


@pytest.mark.parametrize("column", [0, 2])
def test_a_broken_file_among_many_is_named(fifty, column):
    path = fifty / "31.parquet"
    data = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(0).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + 6] = b"\xff" * 6
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptSourceError, match=r"31\.parquet"):
        sort(fifty, fifty.parent / "out")
    with pytest.raises(CorruptSourceError, match=r"31\.parquet"):
        dlsort.check_dataset(fifty, by="k", against=fifty)


@pytest.mark.parametrize("change", ["longer", "as long", "removed"])
def test_a_file_that_changed_among_many_is_named(fifty, monkeypatch, change):
    path = fifty / "17.parquet"
    data = path.read_bytes()
    real = piece_reads.read_range

    def late(name: str, *args: int) -> bytes:
        if name.endswith("/9.parquet"):
            if change == "removed":
                path.unlink()
            else:
                path.with_suffix(".new").write_bytes(data + b"x" * (change == "longer"))
                path.with_suffix(".new").replace(path)
        return real(name, *args)

    monkeypatch.setattr(piece_reads, "read_range", late)
    with pytest.raises(SourceChangedError, match=r"17\.parquet"):
        sort(fifty, fifty.parent / "out")
    assert not (fifty.parent / "out").exists()


def test_disorder_is_placed_in_its_file(fifty):
    report = dlsort.check_dataset(fifty, by="id:desc")
    assert report.disorder.row.file.endswith("/0.parquet")
    pq.write_table(pq.read_table(fifty / "20.parquet").slice(4), fifty / "49.parquet")
    place = dlsort.check_dataset(fifty, by="id").disorder.row
    assert place.file.endswith("/49.parquet")
    assert (place.row_group, place.row) == (0, 0)


def test_many_small_files_are_sampled_in_runs(tmp_path):
    table = rows(6400)
    source = open_source(lay(tmp_path / "in", table, list(range(10, 6400, 10))), TUNING.io)
    pieces = cut_pieces(source, 128 * MIB)
    plan = plan_sample(source, pieces, parse_by("id"), 4, TUNING)
    draws = [draw for task in plan.first for draw in task.draws]
    assert len(draws) <= 70
    assert sum(draw.n_rows for draw in draws) == 6400
    # rows are apart by their places in the pieces
    places = sorted((draw.part, draw.first_row, draw.n_rows) for draw in draws)
    for (part, first, n_rows), (next_part, next_first, _) in pairwise(places):
        assert (next_part, next_first) in ((part, first + n_rows), (part + 1, 0))


def test_worker_processes_read_small_files(fifty):
    one = sort(fifty, fifty.parent / "one", partitions=3)
    dlsort.sort_dataset(fifty, fifty.parent / "two", by="k", workers=2, partitions=3)
    assert pq.read_table(fifty.parent / "two").equals(one)


def test_files_that_name_their_types_differently_are_read_alike(tmp_path):
    """The same Parquet schema, with text as string here and as large_string there."""
    (tmp_path / "in").mkdir()
    for i in range(4):
        table = pa.table({"k": [i], "s": ["x"]}).replace_schema_metadata({"n": str(i)})
        pq.write_table(table, tmp_path / "in" / f"{i}.parquet")
    assert sort(tmp_path / "in", tmp_path / "out")["k"].to_pylist() == [0, 1, 2, 3]
    wide = pa.table({"k": [9], "s": pa.array(["x"], pa.large_string())})
    pq.write_table(wide, tmp_path / "in" / "9.parquet")
    both = sort(tmp_path / "in", tmp_path / "other")
    assert both["k"].to_pylist() == [0, 1, 2, 3, 9]
    assert both["s"].to_pylist() == ["x"] * 5
