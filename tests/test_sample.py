from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import sample as sampling
from dlsort.keys import SortKey
from dlsort.options import GIB
from dlsort.sample import plan_sample, rows_needed, take_sample
from dlsort.source import RowGroup, Source, cut_pieces, open_source


def large_source(n_groups: int, key_share: float) -> Source:
    group_bytes = 3 * GIB // n_groups
    groups = tuple(
        RowGroup(
            g // 10,
            g % 10,
            1_000_000,
            group_bytes,
            group_bytes,
            {"k": int(group_bytes * key_share), "v": 1},
        )
        for g in range(n_groups)
    )
    files = tuple(f"f{i}" for i in range(-(-n_groups // 10)))
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    return Source(files, schema, groups, {}, ())


@pytest.mark.parametrize("n_groups", [10, 40, 400])
@pytest.mark.parametrize("key_share", [0.01, 0.3, 0.9])
def test_at_most_a_tenth_of_the_key_bytes_is_read_from_a_large_source(n_groups, key_share):
    source = large_source(n_groups, key_share)
    pieces = cut_pieces(source, 128 * 2**20)
    tasks = plan_sample(source, pieces, (SortKey("k"),), 64)
    key_bytes = [g.column_bytes["k"] for g in source.row_groups]
    read = sum(key_bytes[t.piece.first_group] for t in tasks)
    assert 0 < read <= 0.1 * sum(key_bytes)
    assert sum(d.n_draws for t in tasks for d in t.draws) >= rows_needed(64)
    drawn_for = sorted(d.group for t in tasks for d in t.draws)
    assert drawn_for == list(range(n_groups))  # every row group has its weight


@pytest.fixture
def ordered_files(tmp_path):
    """Six files in time order, each of four row groups, with a payload column."""
    for i in range(6):
        rows = np.arange(i * 4000, (i + 1) * 4000)
        table = pa.table({"t": rows, "text": ["payload"] * 4000})
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=1000)
    return tmp_path


def test_row_groups_of_disjoint_ranges_are_all_sampled(ordered_files):
    source = open_source(ordered_files)
    tasks = plan_sample(source, cut_pieces(source, 2**20), (SortKey("t"),), 8)
    assert len(tasks) == 24


def test_mixed_row_groups_are_sampled_by_the_file(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        table = pa.table({"t": rng.permutation(4000), "text": [rng.bytes(99)] * 4000})
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=500)
    source = open_source(tmp_path)
    tasks = plan_sample(source, cut_pieces(source, 2**20), (SortKey("t"),), 8)
    assert {source.row_groups[t.piece.first_group].file for t in tasks} == set(range(6))
    assert len(tasks) < 48


def test_sampling_reads_key_columns_only(ordered_files, monkeypatch):
    read = []
    real = sampling.read_piece

    def spy(piece, schema, columns, as_dictionary=()):
        read.append(tuple(columns))
        return real(piece, schema, columns, as_dictionary)

    monkeypatch.setattr(sampling, "read_piece", spy)
    source = open_source(ordered_files)
    for task in plan_sample(source, cut_pieces(source, 2**20), (SortKey("t"),), 4):
        take_sample(task, source.schema, (SortKey("t"),), ())
    assert set(read) == {("t",)}


def test_places_and_weights_stand_for_all_rows(ordered_files):
    source = open_source(ordered_files)
    pieces = cut_pieces(source, 2**30)
    rows = np.zeros(6)
    for task in plan_sample(source, pieces, (SortKey("t"),), 4):
        got = take_sample(task, source.schema, (SortKey("t"),), ())
        values = got.keys["t"].to_numpy()
        assert (values == got.part * 4000 + got.row).all()  # nothing was borrowed here
        np.add.at(rows, got.part, got.weight)
    assert np.allclose(rows, 4000)
