from __future__ import annotations

import dataclasses
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.source import Range, RowGroup, Source, Stamp, cut_pieces
from dlsort.keys import SortKey
from dlsort.model import sample as sampling
from dlsort.model import sample_plan
from dlsort.model.sample import draws_by_place, draws_needed, promised, take_sample
from dlsort.model.sample_plan import known_ends, plan_sample
from dlsort.sizes import GIB
from dlsort.tuning import TUNING, SampleTuning, Tuning


class _NoFooter:
    """A footer that tells nothing of its columns."""

    leaves = ()
    encrypted, keys = frozenset(), None


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
    stamps = (Stamp(0, ""),) * len(files)
    return ParquetSource(
        files, schema, groups, stamps, TUNING.io, footers=(_NoFooter(),) * len(files)
    )


@pytest.mark.parametrize("n_groups", [10, 40, 400])
@pytest.mark.parametrize("key_share", [0.01, 0.3, 0.9])
def test_at_most_a_tenth_of_the_key_bytes_is_read_from_a_large_source(n_groups, key_share):
    source = large_source(n_groups, key_share)
    pieces = cut_pieces(source, 128 * 2**20)
    tasks = plan_sample(source, pieces, (SortKey("k"),), 64, TUNING).first
    key_bytes = [g.column_bytes["k"] for g in source.row_groups]
    read = sum(key_bytes[t.piece.first_group] for t in tasks)
    assert 0 < read <= 0.1 * sum(key_bytes)
    wanted = draws_needed(64, n_groups, source.n_rows, TUNING)
    assert sum(d.n_draws for t in tasks for d in t.draws) >= wanted
    bounded = plan_sample(
        source, pieces, (SortKey("k"),), 64, TUNING, 50_000 * TUNING.sample.row_bytes
    )
    of_unread = [d for t in bounded.first for d in t.draws if d.group != t.piece.first_group]
    assert sum(d.n_draws for d in of_unread) <= 50_000 + n_groups
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
    source = open_source(ordered_files, TUNING.io)
    plan = plan_sample(source, cut_pieces(source, 2**20), (SortKey("t"),), 8, TUNING)
    assert len(plan.first) == 24
    assert plan.rest == ()


def test_mixed_row_groups_are_sampled_by_the_file(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        table = pa.table({"t": rng.permutation(4000), "text": [rng.bytes(99)] * 4000})
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=500)
    source = open_source(tmp_path, TUNING.io)
    plan = plan_sample(source, cut_pieces(source, 2**20), (SortKey("t"),), 8, TUNING)
    tasks = plan.first
    assert {source.row_groups[t.piece.first_group].file for t in tasks} == set(range(6))
    assert len(tasks) < 48


def test_sampling_reads_key_columns_only(ordered_files, monkeypatch):
    read = []
    real = sampling.read_piece

    def spy(piece, schema, columns, *rest):
        read.append(tuple(columns))
        return real(piece, schema, columns, *rest)

    monkeypatch.setattr(sampling, "read_piece", spy)
    source = open_source(ordered_files, TUNING.io)
    for task in plan_sample(
        source, cut_pieces(source, 2**20), (SortKey("t"),), 4, TUNING
    ).first:
        take_sample(task, source.schema, (SortKey("t"),), (), TUNING)
    assert set(read) == {("t",)}


def test_draws_are_evenly_spaced_in_sorted_order_whatever_the_order_of_rows(tmp_path):
    rng = np.random.default_rng(3)
    keys = rng.zipf(1.3, 5000).clip(max=10**6)
    pq.write_table(pa.table({"t": keys}), tmp_path / "0.parquet")
    source = open_source(tmp_path, TUNING.io)
    (task,) = plan_sample(source, cut_pieces(source, 2**30), (SortKey("t"),), 4, TUNING).first
    draw = dataclasses.replace(task.draws[0], n_draws=100)
    got = take_sample(
        dataclasses.replace(task, draws=(draw,), by_place=False),
        source.schema,
        (SortKey("t"),),
        (),
        TUNING,
    )
    assert (got.keys["t"].to_numpy() == keys[got.row]).all()
    assert (np.diff(got.row) > 0).all()
    rank = np.empty(5000, int)
    rank[np.lexsort((np.arange(5000), keys))] = np.arange(5000)
    assert set(np.diff(np.sort(rank[got.row]))) == {50}
    assert np.sort(rank[got.row])[0] < 50


@pytest.mark.parametrize("most", [None, 1, 3, 10, 100])
def test_batches_hold_all_tasks_in_order(ordered_files, most):
    source = open_source(ordered_files, TUNING.io)
    tasks = plan_sample(source, cut_pieces(source, 2**30), (SortKey("t"),), 4, TUNING).first
    found = sample_plan.batches(tasks, TUNING.sample.batch_rows, most)
    assert [task for batch in found for task in batch] == list(tasks)
    found = sample_plan.batches(tasks, 1, most)
    assert [task for batch in found for task in batch] == list(tasks)
    assert len(found) <= (most or len(tasks))
    assert len(found) >= min(len(tasks), most or len(tasks)) * 0.6


def test_places_and_weights_stand_for_all_rows(ordered_files):
    source = open_source(ordered_files, TUNING.io)
    pieces = [source.piece(4 * i, 4 * i + 4) for i in range(6)]
    rows = np.zeros(6)
    for task in plan_sample(source, pieces, (SortKey("t"),), 4, TUNING).first:
        got = take_sample(task, source.schema, (SortKey("t"),), (), TUNING)
        values = got.keys["t"].to_numpy()
        assert (values == got.part * 4000 + got.row).all()  # nothing was borrowed here
        np.add.at(rows, got.part, got.weight)
    assert np.allclose(rows, 4000)


def misleading(name: str, n: int) -> dict[str, np.ndarray]:
    """Return columns whose row-group ranges say less than they seem to."""
    rng = np.random.default_rng(5)
    time = np.arange(n) * 10**6
    if name == "a sentinel among ordered times":
        return {"k": np.where(rng.random(n) < 0.0005, 0, time + 10**15)}
    if name == "two outliers in each row group":
        return {
            "k": np.where(
                np.arange(n) % 2500 < 2, np.where(np.arange(n) % 2, 1, -1) * 2**62, time
            )
        }
    if name == "few first values, ordered second ones":
        return {"c": rng.integers(0, 3, n), "k": np.arange(n)}
    raise AssertionError(name)


@pytest.mark.parametrize("n_files", [1, 5])
@pytest.mark.parametrize(
    "name",
    [
        "a sentinel among ordered times",
        "two outliers in each row group",
        "few first values, ordered second ones",
    ],
)
def test_row_groups_that_only_seem_mixed_are_all_read(tmp_path, name, n_files):
    n = 16 * 20_000
    table = pa.table(misleading(name, n))
    for i in range(n_files):
        piece = table.slice(n * i // n_files, n * (i + 1) // n_files - n * i // n_files)
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(piece, tmp_path / "in" / f"{i}.parquet", row_group_size=5000)
    report = dlsort.sort_dataset(
        tmp_path / "in", tmp_path / "out", by=table.column_names, partitions=16
    )
    assert report.balance <= 1.15


def test_keys_are_moved_into_the_ranges_of_row_groups_that_a_large_source_leaves_unread(
    tmp_path,
):
    n = 16 * 20_000
    tuning = Tuning(sample=SampleTuning(large_bytes=1))
    times = pa.array(np.arange(n) * 7 + 10**12).cast(pa.timestamp("us"))
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"t": times}), tmp_path / "in" / "0.parquet", row_group_size=5000)
    report = dlsort.sort_dataset(
        tmp_path / "in", tmp_path / "out", by="t", partitions=16, _tuning=tuning
    )
    assert report.balance <= 1.15


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("ms", "UTC")])
def test_dates_that_python_has_no_date_for(tmp_path, kind):
    far = 2**31 - 1 if kind == pa.date32() else 2**62
    values = [far, 5, -far, 3, None, 4] * 50
    storage = pa.int32() if kind == pa.date32() else pa.int64()
    table = pa.table({"d": pa.array(values, storage).cast(kind), "i": range(300)})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "0.parquet", row_group_size=40)
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="d", partitions=3)
    got = pq.read_table(tmp_path / "out")["d"].cast(storage).to_pylist()
    assert got == sorted(v for v in values if v is not None) + [None] * 50


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1.0, np.inf, 3.0], pa.float64()),
        ([-3.4e38, 0.0, 3.4e38], pa.float32()),
        ([0, 5, 2**64 - 1], pa.uint64()),
        ([-(2**63), 5, 2**63 - 1], pa.int64()),
        ([-100, 5, 127], pa.int8()),
    ],
)
def test_borrowed_keys_stay_what_the_type_can_hold(values, type_):
    column = pa.array([*values, *values], type_)
    group = np.repeat([0, 1], 3)
    sample = sampling.Sample(
        pa.table({"k": column}), group, group, np.ones(6), group, np.zeros(6, np.int64)
    )
    ranges = {0: (values[0], values[1]), 1: (values[1], 2.0 * float(values[2]))}
    found = sampling.move_keys(sample, ranges).keys.column(0)
    assert found.type == type_
    assert found.null_count == 0
    assert found.to_pylist()[:3] == column.to_pylist()[:3]


def test_decimals_that_files_store_as_numbers_and_as_bytes_are_sampled(tmp_path):
    """Minima of both kinds were compared, which ended the sort in a TypeError."""
    values = pa.array([Decimal(i % 97) for i in range(600)], pa.decimal128(15, 2))
    for i in range(2):
        path = tmp_path / f"{i}.parquet"
        table = pa.table({"k": values})
        pq.write_table(table, path, row_group_size=200, store_decimal_as_integer=bool(i))
    source = open_source(tmp_path, TUNING.io)
    assert source.exact_ranges("k") is None
    plan = plan_sample(source, cut_pieces(source, 1000), (SortKey("k"),), 3, TUNING)
    assert sum(task.piece.n_rows for task in (*plan.first, *plan.rest)) == 1200


def test_ends_that_do_not_compare_are_not_known():
    told = {0: Range(1, 2, 0), 1: Range(None, None, 3), 2: Range(0, 5, None)}
    assert known_ends(told) == {0: (1, 2), 2: (0, 5)}
    assert known_ends({**told, 3: Range(b"1", b"2", 0)}) == {}


def test_rows_are_drawn_by_place_where_that_costs_less():
    few = draws_by_place(400_000, 4, 400_000, TUNING, has_text=False)
    many = draws_by_place(2_000_000, 4, 2_000_000, TUNING, has_text=False)
    assert 0 < few < 10_000 < many  # more is promised of parts of more rows
    assert draws_by_place(3_000_000, 1_000, 10**9, TUNING, has_text=False) == 0
    assert draws_by_place(100_000, 4, 2_000_000, TUNING, has_text=False) == 0
    assert draws_by_place(500_000, 4, 2_000_000, TUNING, has_text=True) > 0


FAMILIES = {
    "uniform": lambda rng, n: rng.integers(-(2**62), 2**62, n),
    "in order": lambda rng, n: np.arange(n),
    "zipf": lambda rng, n: rng.zipf(1.2, n),
    "one of 60 %": lambda rng, n: np.where(rng.random(n) < 0.6, 7, rng.integers(0, 10**6, n)),
    "three values": lambda rng, n: rng.integers(0, 3, n),
    "all equal": lambda rng, n: np.zeros(n, np.int64),
    "normal": lambda rng, n: rng.normal(size=n),
    "saws": lambda rng, n: np.arange(n) % 997,
}


@pytest.mark.parametrize("n_rows", [100_000, 820_000])
@pytest.mark.parametrize("name", FAMILIES)
def test_rows_that_are_drawn_by_place_keep_the_promise(tmp_path, name, n_rows):
    keys = FAMILIES[name](np.random.default_rng(3), n_rows)
    pq.write_table(pa.table({"k": keys}), tmp_path / "in.parquet", row_group_size=n_rows // 8)
    options = {"partitions": 4, "strategy": "exchange", "model": "none"}
    report = dlsort.sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by="k", **options)
    assert draws_by_place(n_rows * 6 // 8, 4, n_rows, TUNING, has_text=False)
    assert report.balance <= promised(n_rows, 4, TUNING.sample)
