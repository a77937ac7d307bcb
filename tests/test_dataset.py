"""The promises, from Parquet to Parquet."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import KEY_TYPES, column, oracle, payload
from dlsort.errors import OutOfOrderError, RowsLostError
from dlsort.keys import SortKey
from dlsort.order import sort_rows as local_sort
from dlsort.strategies import exchange as plan
from dlsort.strategies import oversized as pieces
from dlsort.strategies import reader as reader_module
from dlsort.terminal.progress import NoProgress
from tuning_kit import bands_of

#: Key types that a Parquet file keeps as they are.
STORED = [k for k in KEY_TYPES if k not in ("date64", "decimal32", "decimal64", "decimal256")]


def write(folder: Path, tables: list[pa.Table], **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, table in enumerate(tables):
        pq.write_table(table, folder / f"in-{i}.parquet", **options)
    return folder


def parts(folder: Path) -> list[pa.Table]:
    return [pq.ParquetFile(p).read() for p in sorted(folder.iterdir())]


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name not in ("in", "out"))


def plain(table: pa.Table) -> str:
    return str(table.to_pylist())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_result_is_the_stable_sort_of_the_source(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(STORED), min_size=1, max_size=3))
    names = [f"k{i}" for i in range(len(kinds))]
    distinct = data.draw(st.sampled_from([None, 1, 4]))
    sizes = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4))
    tables = []
    for size in sizes:
        table = payload(size)
        for name, kind in zip(names, kinds, strict=True):
            table = table.append_column(name, column(rng, kind, size, distinct=distinct))
        tables.append(table)
    source = write(folder / "in", tables, row_group_size=data.draw(st.integers(1, 50)))
    keys = [SortKey(n, data.draw(st.booleans()), data.draw(st.booleans())) for n in names]
    partitions = data.draw(st.integers(1, 6))
    report = dlsort.sort_dataset(
        source,
        folder / "out",
        by=keys,
        partitions=partitions,
        threads=2,
        _tuning=bands_of(data.draw(st.sampled_from([1, 8, 1000]))),
    )
    whole = pa.concat_tables([pq.ParquetFile(p).read() for p in sorted(source.iterdir())])
    want = [whole.slice(i, 1).to_pylist()[0] for i in oracle(whole, keys)]
    got = parts(folder / "out")
    assert str([row for part in got for row in part.to_pylist()]) == str(want)
    assert all(part.schema == whole.schema for part in got)
    assert report.rows == len(want) == sum(report.part_rows)
    assert report.proved
    assert leftovers(folder) == []


def test_field_metadata_and_nullability_are_kept(tmp_path):
    schema = pa.schema(
        [
            pa.field("k", pa.int64(), nullable=False, metadata={"unit": "s"}),
            pa.field("v", pa.string_view(), metadata={"note": "x"}),
            pa.field("ext", pa.uuid()) if hasattr(pa, "uuid") else pa.field("ext", pa.int8()),
        ],
        metadata={"owner": "me", "pandas": "{}"},
    )
    ext = (
        pa.array([bytes(16)] * 3, pa.binary(16)).cast(schema.field("ext").type)
        if hasattr(pa, "uuid")
        else [1, 2, 3]
    )
    table = pa.table(
        [[3, 1, 2], pa.array(["c", "a", "b"]).cast(pa.string_view()), ext], schema=schema
    )
    source = write(tmp_path / "in", [table])
    dlsort.sort_dataset(source, tmp_path / "out", by="k:desc", partitions=2)
    before = pq.ParquetFile(source / "in-0.parquet").schema_arrow
    for path in sorted((tmp_path / "out").iterdir()):
        after = pq.ParquetFile(path).schema_arrow
        assert after.equals(before, check_metadata=True)


def test_sorting_columns_are_claimed(tmp_path):
    source = write(tmp_path / "in", [pa.table({"p": [1, 2], "k": ["b", "a"], "f": [0.5, 1.5]})])
    dlsort.sort_dataset(source, tmp_path / "out", by="k:desc:nulls_first,f,p")
    claim = (
        pq.ParquetFile(next((tmp_path / "out").iterdir())).metadata.row_group(0).sorting_columns
    )
    assert claim == (pq.SortingColumn(1, descending=True, nulls_first=True),)


ORDERS = {
    "time-ordered": lambda rng, n: np.arange(n),
    "reversed": lambda rng, n: np.arange(n)[::-1],
    "shuffled": lambda rng, n: rng.permutation(n),
    "one value": lambda rng, n: np.zeros(n, np.int64),
    "zipf 1.1": lambda rng, n: rng.zipf(1.1, n).astype(np.int64),
    "60 % one value": lambda rng, n: np.where(rng.random(n) < 0.6, 7, rng.integers(0, 1000, n)),
    "three distinct values": lambda rng, n: rng.choice([2, 5, 8], n, p=[0.7, 0.1, 0.2]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("n_parts", "part_rows", "bound"), [(16, 20_000, 1.15), (8, 200_000, 1.05)]
)
def test_partitions_are_even_whatever_each_file_holds(
    tmp_path, order, n_parts, part_rows, bound
):
    n = n_parts * part_rows
    values = ORDERS[order](np.random.default_rng(2), n)
    pieces = np.array_split(values, 7)
    source = write(tmp_path / "in", [pa.table({"k": p}) for p in pieces], row_group_size=9000)
    report = dlsort.sort_dataset(source, tmp_path / "out", by="k", partitions=n_parts)
    assert report.balance <= bound
    assert len(report.part_rows) == n_parts
    assert sum(report.part_rows) == n


def slipped(table: pa.Table) -> pa.Table:
    ids = table["id"].combine_chunks()
    moved = pa.concat_arrays([ids.slice(1), ids.slice(0, 1)])
    return table.set_column(table.column_names.index("id"), table.field("id"), moved)


SPOILS = {
    "a column slips against its neighbours": (slipped, RowsLostError),
    "a row is lost": (lambda t: t.slice(0, t.num_rows - 1), RowsLostError),
    "a row stands for another": (
        lambda t: pa.concat_tables([t.slice(0, t.num_rows - 1), t.slice(t.num_rows - 2, 1)]),
        RowsLostError,
    ),
    "rows are out of order": (lambda t: t.take(list(range(t.num_rows))[::-1]), OutOfOrderError),
}


@pytest.mark.parametrize("story", SPOILS)
def test_a_spoiled_result_is_never_published(tmp_path, monkeypatch, story):
    spoil, error = SPOILS[story]
    source = write(tmp_path / "in", [pa.table({"k": [5, 3, 9, 1], "id": [0, 1, 2, 3]})])
    monkeypatch.setattr(pieces, "sort_shards", lambda *a: spoil(local_sort.sort_shards(*a)))
    with pytest.raises(error):
        dlsort.sort_dataset(source, tmp_path / "out", by="k", partitions=1)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out").exists()


def test_parts_that_overlap_are_never_published(tmp_path, monkeypatch):
    source = write(tmp_path / "in", [pa.table({"k": list(range(100))})])
    monkeypatch.setattr(
        plan,
        "find_bands",
        lambda t, model, i: (np.arange(t.num_rows) % 3).astype(np.uint32),
    )
    with pytest.raises(OutOfOrderError):
        dlsort.sort_dataset(source, tmp_path / "out", by="k", partitions=3, strategy="exchange")
    assert leftovers(tmp_path) == []


def test_each_row_is_read_once_after_the_sample(tmp_path, monkeypatch):
    source = write(tmp_path / "in", [payload(50), payload(70)], row_group_size=10)
    read = []
    real = reader_module.read_piece
    monkeypatch.setattr(
        reader_module,
        "read_piece",
        lambda piece, *rest: read.append(piece) or real(piece, *rest),
    )
    dlsort.sort_dataset(source, tmp_path / "out", by="id", partitions=4, strategy="exchange")
    groups = [(f.path, g) for p in read for f in p.files for g in f.row_groups]
    assert len(groups) == len(set(groups)) == 12


@pytest.mark.parametrize("strategy", ["range", "exchange"])
def test_same_parts_on_any_cluster(tmp_path, strategy):
    rng = np.random.default_rng(4)
    tables = [
        pa.table({"k": rng.integers(0, 50, 5000), "id": rng.permutation(5000)})
        for _ in range(3)
    ]
    source = write(tmp_path / "in", tables, row_group_size=700)
    shapes = [{"threads": 1}, {"threads": 3, "memory": "900MiB"}, {"workers": 2, "threads": 2}]
    results = []
    for i, shape in enumerate(shapes):
        out = tmp_path / "out" / str(i)
        dlsort.sort_dataset(source, out, by="k", partitions=5, strategy=strategy, **shape)
        results.append([p.read_bytes() for p in sorted(out.iterdir())])
    assert results[0] == results[1] == results[2]


def test_shards_beyond_the_memory_are_spilled_and_gone_afterwards(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    tables = [
        pa.table(
            {"k": rng.integers(0, 10**9, 40_000), "s": [rng.bytes(20) for _ in range(40_000)]}
        )
        for _ in range(4)
    ]
    source = write(tmp_path / "in", tables)
    spill = tmp_path / "spill"
    spill.mkdir()
    from dlsort.strategies import sizes
    from dlsort.strategies.budget import Budget

    monkeypatch.setattr(sizes, "plan_budget", lambda *_: Budget(2**20, 8 * 2**20, 2**20, 2**20))
    report = dlsort.sort_dataset(source, tmp_path / "out", by="k", temp_dir=spill)
    assert report.spilled_bytes > 2**20
    assert report.spilled_bytes <= 1.2 * report.arrow_bytes
    assert list(spill.iterdir()) == []
    got = pa.concat_tables(parts(tmp_path / "out"))
    assert got["k"].to_pylist() == sorted(v for t in tables for v in t["k"].to_pylist())


def is_worker(process):
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # another test's, that has just ended
        return False


class KillOne(NoProgress):
    """Kills a worker process as soon as some rows have been partitioned."""

    def __init__(self) -> None:
        self.killed: int | None = None

    def rows(self, name: str, done: int) -> None:
        if self.killed is None:
            children = psutil.Process().children(recursive=True)
            self.killed = next(child.pid for child in children if is_worker(child))
            os.kill(self.killed, signal.SIGKILL)


def test_a_worker_killed_in_the_middle_costs_no_row(tmp_path):
    rng = np.random.default_rng(9)
    tables = [
        pa.table(
            {"k": rng.integers(0, 1000, 60_000), "id": np.arange(i * 60_000, (i + 1) * 60_000)}
        )
        for i in range(12)
    ]
    source = write(tmp_path / "in", tables)
    killer = KillOne()
    spill = tmp_path / "spill"
    spill.mkdir()
    report = dlsort.sort_dataset(
        source,
        tmp_path / "out",
        by="k",
        workers=2,
        threads=2,
        partitions=8,
        progress=killer,
        temp_dir=spill,
    )
    assert killer.killed is not None
    got = pa.concat_tables(parts(tmp_path / "out"))
    whole = pa.concat_tables(tables)
    want = whole.take(pc.sort_indices(whole, [("k", "ascending"), ("id", "ascending")]))
    assert got.equals(want)
    assert report.proved
    assert list(spill.iterdir()) == []
    assert leftovers(tmp_path) == ["spill"]


def test_payloads_that_arrow_reads_or_joins_only_in_part(tmp_path):
    words = pa.array([str(i % 4) for i in range(300)]).dictionary_encode()
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(1200).reshape(300, 4))
    table = pa.table(
        {
            "k": np.arange(300)[::-1],
            "struct": pa.StructArray.from_arrays([words], ["d"]),
            "list": pa.ListArray.from_arrays(np.arange(301, dtype=np.int32), words),
            "tensor": tensor,
        }
    )
    source = write(tmp_path / "in", [table], row_group_size=33)
    dlsort.sort_dataset(source, tmp_path / "out", by="k", partitions=3)
    got = pa.concat_tables(parts(tmp_path / "out"), promote_options="permissive")
    for name in table.column_names[:3]:
        assert got[name].to_pylist() == table[name].to_pylist()[::-1]
    flat = [v for chunk in got["tensor"].chunks for v in chunk.storage.to_pylist()]
    assert flat == tensor.storage.to_pylist()[::-1]


def test_a_wrong_sample_is_told_of(tmp_path, monkeypatch):
    """The model thinks that half of the keys are all there are."""
    rng = np.random.default_rng(3)
    n = 100_000
    source = write(tmp_path / "in", [pa.table({"k": rng.permutation(n)})])
    fit = reader_module.fit_model

    def fit_to_half(sample, part, row, weight, keys, n_parts, tuning, n_bands):
        low = np.flatnonzero(sample["k"].to_numpy() < n // 2)
        sample = sample.take(pa.array(low))
        return fit(sample, part[low], row[low], weight[low], keys, n_parts, tuning, n_bands)

    even = dlsort.sort_dataset(source, tmp_path / "even", by="k", partitions=4, threads=2)
    assert even.predicted_rows == n / 4
    assert even.surprises == []
    assert "surprise" not in even.to_text()
    monkeypatch.setattr(reader_module, "fit_model", fit_to_half)
    report = dlsort.sort_dataset(source, tmp_path / "out", by="k", partitions=4, threads=2)
    assert report.surprises == [3]
    words = " ".join(report.to_text().split())
    assert "1 part with up to 2.5 x the predicted rows (the first is part 3)" in words
