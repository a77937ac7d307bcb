"""An append gives what a sort of both gives, and leaves the files that it need not touch."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from dlsort.errors import (
    BadOptionError,
    DestinationError,
    DestinationExistsError,
    RowsLostError,
    SchemaMismatchError,
)
from dlsort.upkeep import append as append_module
from dlsort.upkeep import make

N_PARTS = 8


def write(path: Path, table: pa.Table, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **how)
    return path


def rows(keys: Any, tag: str, kind: pa.DataType | None = None) -> pa.Table:
    """Return rows of some keys that tell where they came from."""
    column = pa.array(keys, kind)
    told = pa.array([f"{tag} {i}" for i in range(len(column))], pa.string())
    return pa.table({"k": column, "from": told})


def read(folder: Path) -> pa.Table:
    """Return the rows in the order of the files' names."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())])


def plain(folder: Path) -> pa.Table:
    """Return them, with values in the place of dictionaries, which may be any."""
    table = read(folder)
    kinds = [t.value_type if pa.types.is_dictionary(t) else t for t in table.schema.types]
    kinds = [pa.string() if t == pa.float64() else t for t in kinds]  # NaN is not NaN
    return table.cast(pa.schema(zip(table.schema.names, kinds, strict=True)))


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def dst(tmp_path) -> Path:
    """Give a dataset of 8 parts of 100 rows, of even numbers below 1,600."""
    rng = np.random.default_rng(7)
    write(tmp_path / "old.parquet", rows(rng.permutation(800) * 2, "old"))
    dlsort.sort_dataset(
        tmp_path / "old.parquet", tmp_path / "dst", by="k", partitions=N_PARTS, threads=1
    )
    return tmp_path / "dst"


def append(dst: Path, table: pa.Table, **options: Any) -> dlsort.UpkeepReport:
    batch = write(dst.parent / f"batch{len(list(dst.parent.iterdir()))}.parquet", table)
    return dlsort.append_dataset(batch, dst, threads=1, **options)


def check(dst: Path, by: Any = None) -> None:
    found = dlsort.check_dataset(dst, by=by, threads=1)
    assert found.ok, found.to_text()


def expected(dst: Path, *tables: pa.Table, by: str = "k") -> pa.Table:
    """Return what a stable sort of all gives, by pandas."""
    whole = pa.concat_tables(tables).to_pandas()
    return pa.Table.from_pandas(
        whole.sort_values(by, kind="stable"), schema=tables[0].schema, preserve_index=False
    )


# ---------------------------------------------------------------- batches that are text


def text_of(table: pa.Table) -> str:
    told = [f"{k};{tag}" for k, tag in zip(*table.to_pydict().values(), strict=True)]
    return "\n".join(["k;from", *told, ""])


def test_text_is_appended_once_however_often_it_is_resumed(dst, monkeypatch):
    old, batch = read(dst), rows([301, 1, 303], "new")
    (dst.parent / "batch.csv").write_text(text_of(batch))
    opened, take_in = [], append_module.open_asked
    monkeypatch.setattr(append_module, "open_asked", lambda a: opened.append(a) or take_in(a))
    for added_parts in (2, 0):
        report = dlsort.append_dataset(
            dst.parent / "batch.csv", dst, csv_options="delimiter=;", threads=1, resume=True
        )
        assert report.written_parts == added_parts
        assert read(dst).equals(expected(dst, old, batch))
    check(dst)


def test_settings_of_sorts_say_nothing_of_the_batch(dst, monkeypatch):
    monkeypatch.setenv("DLSORT_INPUT_FORMAT", "csv")
    old, batch = read(dst), rows([301, 1, 303], "new")
    append(dst, batch)
    assert read(dst).equals(expected(dst, old, batch))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_standard_input_is_appended(dst, monkeypatch, format):
    old, batch = read(dst), rows([301, 1, 303], "new")
    path = dst.parent / "batch"
    if format == "csv":
        path.write_text(text_of(batch))
    else:
        write(path, batch)
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        how = {"input_format": "csv", "csv_options": {"delimiter": ";"}}
        dlsort.append_dataset("-", dst, threads=1, **(how if format == "csv" else {}))
    assert read(dst).equals(expected(dst, old, batch))
    check(dst)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"by": 'lower("from")'}, r'sorted by lower.* lower\("from"\) is computed'),
        ({"by": "k", "columns": "from"}, "has not the columns that it is sorted by"),
    ],
)
def test_a_key_that_files_have_not_is_refused(tmp_path, how, says):
    write(tmp_path / "old", rows([2, 1], "old"))
    dlsort.sort_dataset(tmp_path / "old", tmp_path / "dst", threads=1, **how)
    refused(tmp_path / "dst", DestinationError, says)
    with pytest.raises(DestinationError, match=says):
        dlsort.compact_dataset(tmp_path / "dst", threads=1)


# ---------------------------------------------------------------- what is touched


def test_only_the_part_that_rows_fall_into_is_written(dst):
    old, before = read(dst), inodes(dst)
    batch = rows([301, 303, 302, 300], "new")
    report = append(dst, batch)
    assert (report.kept_parts, report.remade_parts, report.written_parts) == (7, 1, 1)
    assert len(inodes(dst) & before) == 7
    assert read(dst).equals(expected(dst, old, batch))
    assert names(dst) == [f"part-{i:05}.parquet" for i in range(8)]
    check(dst)


@pytest.mark.parametrize(
    "keys", [range(-150, -50), range(2_000, 2_100)], ids=["below", "above"]
)
def test_rows_outside_of_all_ranges_become_parts_of_their_own(dst, keys):
    old, before = read(dst), inodes(dst)
    batch = rows(list(keys), "new")
    report = append(dst, batch)
    assert (report.kept_parts, report.remade_parts, report.written_parts) == (8, 0, 1)
    assert before < inodes(dst)
    assert read(dst).equals(expected(dst, old, batch))
    check(dst)


def test_little_batches_at_the_end_fill_one_part_after_the_other(dst):
    old, batches = read(dst), []
    for day in range(12):
        batches.append(rows(range(2_000 + 20 * day, 2_000 + 20 * day + 20), f"day {day}"))
        report = append(dst, batches[-1])
        assert report.kept_parts >= N_PARTS
        assert report.remade_parts <= 1
    assert read(dst).equals(expected(dst, old, *batches))
    added = [pq.read_metadata(path).num_rows for path in sorted(dst.iterdir())][N_PARTS:]
    assert sum(added) == 240
    assert min(added[:-1]) >= 50
    check(dst)


def test_a_part_that_grows_beyond_twice_the_usual_is_split(dst):
    old = read(dst)
    keys = np.random.default_rng(2).integers(220, 380, 420)
    batch = rows(keys, "new")
    report = append(dst, batch)
    sizes = [pq.read_metadata(path).num_rows for path in sorted(dst.iterdir())]
    assert report.written_parts > report.remade_parts
    assert max(sizes) <= 200
    assert min(sizes) >= 50
    assert read(dst).equals(expected(dst, old, batch))
    check(dst)


def test_equal_keys_on_the_edges_of_parts_stay_in_the_order_they_came(tmp_path):
    old = rows(np.repeat([1, 2, 3], [150, 200, 50]), "old")
    write(tmp_path / "old.parquet", old)
    dst = tmp_path / "dst"
    dlsort.sort_dataset(tmp_path / "old.parquet", dst, by="k", partitions=4, threads=1)
    batches = [rows([2, 1, 3, 2] * n, f"new {n}") for n in (1, 5, 40)]
    for batch in batches:
        append(dst, batch)
        check(dst)
    assert read(dst).equals(expected(dst, old, *batches))


def test_a_batch_without_rows_changes_nothing(dst):
    before = inodes(dst)
    report = append(dst, rows([], "none", pa.int64()))
    assert (report.added_rows, report.written_parts, report.rows) == (0, 0, 800)
    assert inodes(dst) == before
    assert report.checksum == append(dst, rows([], "none", pa.int64())).checksum


def test_a_dataset_without_rows_grows(tmp_path):
    dst = tmp_path / "dst"
    write(tmp_path / "none.parquet", rows([], "none", pa.int64()))
    dlsort.sort_dataset(tmp_path / "none.parquet", dst, by="k", threads=1)
    batch = rows([3, 1, 2], "new")
    append(dst, batch)
    assert read(dst)["k"].to_pylist() == [1, 2, 3]
    check(dst)


def test_many_batches_and_then_a_compaction(dst):
    rng = np.random.default_rng(11)
    old, batches = read(dst), []
    for number in range(10):
        batches.append(rows(rng.integers(-500, 3_000, int(rng.integers(1, 90))), f"{number}"))
        append(dst, batches[-1])
    check(dst)
    whole = expected(dst, old, *batches)
    assert read(dst).equals(whole)
    report = dlsort.compact_dataset(dst, partition_size=64 * whole.nbytes // whole.num_rows)
    assert report.generation == 11
    assert report.written_parts
    assert read(dst).equals(whole)
    check(dst)


# ---------------------------------------------------------------- any keys


def keys_of(kind: str) -> st.SearchStrategy[Any]:
    small = st.integers(-9, 9)
    day = dt.date(2024, 1, 1)
    return {
        "int": small,
        "float": st.one_of(
            small.map(float), st.sampled_from([-0.0, float("inf"), float("nan")])
        ),
        "text": st.one_of(
            small.map(lambda n: "x" * 70 + str(n)), st.text("ab\U0001f600", max_size=3)
        ),
        "date": small.map(lambda n: day + dt.timedelta(n)),
        "decimal": small.map(lambda n: Decimal(n).scaleb(-2)),
        "bytes": small.map(lambda n: bytes([n + 9]) * 3),
        "bool": st.booleans(),
        "list": st.lists(small, max_size=3),
        "struct": small.map(lambda n: {"a": n % 3, "b": str(n)}),
        "tag": small.map(str),
    }[kind]


KINDS = {
    "int": pa.int32(),
    "float": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "decimal": pa.decimal128(9, 2),
    "bytes": pa.binary(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.int64()),
    "struct": pa.struct([("a", pa.int64()), ("b", pa.string())]),
    "tag": pa.dictionary(pa.int32(), pa.string()),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(data=st.data())
def test_it_is_what_a_sort_of_both_gives(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("any")
    key = st.one_of(st.none(), keys_of(kind))
    sizes = st.integers(0, 40)
    order = data.draw(st.sampled_from(["", ":desc", ":nulls_first", ":desc:nulls_first"]))
    by = f"k{order}" + data.draw(st.sampled_from(["", ",g:desc"]))
    tables = []
    for number in range(data.draw(st.integers(2, 4))):
        n = data.draw(sizes)
        table = rows(data.draw(st.lists(key, min_size=n, max_size=n)), str(number), KINDS[kind])
        groups = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
        tables.append(table.append_column("g", pa.array(groups, pa.int8())))
    paths = [write(folder / f"{i}.parquet", t, row_group_size=9) for i, t in enumerate(tables)]
    how = {"by": by, "threads": 1, "row_group_rows": 7}
    parts = data.draw(st.integers(1, 6))
    dlsort.sort_dataset(paths[0], folder / "dst", partitions=parts, **how)
    for path in paths[1:]:
        dlsort.append_dataset(path, folder / "dst", threads=1)
        check(folder / "dst")
    dlsort.sort_dataset(paths, folder / "all", **how)
    whole = plain(folder / "all")
    assert plain(folder / "dst").equals(whole)
    size = data.draw(st.sampled_from([None, "300B", "1KiB"]))
    dlsort.compact_dataset(folder / "dst", partition_size=size, threads=1)
    check(folder / "dst")
    assert plain(folder / "dst").equals(whole)


def test_on_workers_it_is_the_same(dst, tmp_path):
    old = read(dst)
    batch = rows(np.random.default_rng(8).integers(0, 2_500, 700), "new")
    write(tmp_path / "batch.parquet", batch, row_group_size=50)
    report = dlsort.append_dataset(tmp_path / "batch.parquet", dst, workers=2)
    assert report.rows == 1_500
    assert read(dst).equals(expected(dst, old, batch))
    check(dst)


# ---------------------------------------------------------------- columns


def test_a_column_that_the_batch_has_not_is_null_and_a_smaller_type_is_widened(dst):
    append(dst, pa.table({"k": pa.array([3, 5], pa.int8())}))
    found = read(dst).slice(1, 4)
    assert found["k"].to_pylist() == [2, 3, 4, 5]
    assert found["from"].to_pylist()[1::2] == [None, None]
    check(dst)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (pa.table({"k": [1], "from": ["x"], "more": [1]}), "column 'more' of .* is not in"),
        (pa.table({"k": [0.5], "from": ["x"]}), "column 'k' is int64 in .* it would be double"),
        (pa.table({"k": ["x"], "from": ["x"]}), "no type holds the values of both"),
    ],
)
def test_what_would_change_files_that_stay_is_refused(dst, table, text):
    before = inodes(dst)
    with pytest.raises(SchemaMismatchError, match=text):
        append(dst, table)
    assert inodes(dst) == before
    assert not list(dst.parent.glob(".*"))


def test_strict_wants_the_same_columns(dst):
    with pytest.raises(SchemaMismatchError, match="column 'from': it is string"):
        append(dst, pa.table({"k": [1]}), schema="strict")


# ---------------------------------------------------------------- what is refused


def refused(dst: Path, error: type[Exception], text: str, src: Path | None = None) -> None:
    held = {path.name: path.stat().st_mtime_ns for path in dst.parent.rglob("*")}
    batch = src or write(dst.parent.parent / "batch.parquet", rows([1], "new"))
    with pytest.raises(error, match=text):
        dlsort.append_dataset(batch, dst, threads=1)
    assert {path.name: path.stat().st_mtime_ns for path in dst.parent.rglob("*")} == held


def test_a_place_without_a_dataset_is_refused(tmp_path):
    (tmp_path / "at").mkdir()
    refused(tmp_path / "at" / "none", DestinationError, "holds no dataset yet")


def test_of_two_appends_at_once_one_gives_way(dst, monkeypatch):
    real = append_module.find_fallen

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(append_module, "find_fallen", real)
        append(dst, rows([303], "first"))
        return real(*args)

    monkeypatch.setattr(append_module, "find_fallen", meanwhile)
    with pytest.raises(DestinationExistsError, match="was filled by someone meanwhile"):
        append(dst, rows([301], "second"))
    keys = read(dst)["k"].to_pylist()
    assert 303 in keys
    assert 301 not in keys
    check(dst)
    assert not list(dst.parent.glob(".dst*"))


def test_what_is_not_read_of_a_batch_is_told(dst, tmp_path):
    write(tmp_path / "more" / "x.parquet", rows([1], "new"))
    write(tmp_path / "more" / "_hidden.parquet", rows([2], "hidden"))
    report = dlsort.append_dataset(tmp_path / "more", dst, threads=1)
    assert report.added_rows == 1
    assert "not read   1 hidden" in report.to_text()


def test_a_dataset_of_others_is_refused(tmp_path):
    write(tmp_path / "at" / "dst" / "x.parquet", rows([1], "other"))
    refused(tmp_path / "at" / "dst", DestinationError, "no dataset that dlsort has sorted")


def test_a_dataset_that_is_not_whole_is_refused(tmp_path, dst):
    (tmp_path / "at").mkdir()
    dst = dst.rename(tmp_path / "at" / "dst")
    (dst / "part-00003.parquet").unlink()
    refused(dst, DestinationError, "is not whole.* part 3 is missing")


def test_a_dataset_is_not_appended_to_itself(dst):
    with pytest.raises(BadOptionError, match="its rows would be there twice"):
        dlsort.append_dataset(dst, dst)


def test_a_part_that_is_not_what_its_footer_says_is_found_as_it_is_read(dst):
    part = dst / "part-00002.parquet"
    table, metadata = pq.read_table(part), pq.read_metadata(part).metadata
    forged = table.set_column(1, "from", pa.array(["forged"] * table.num_rows))
    with pq.ParquetWriter(part, forged.schema.remove_metadata()) as file:
        file.add_key_value_metadata(metadata)
        file.write_table(forged)
    key = table["k"][1].as_py()
    before = inodes(dst)
    with pytest.raises(RowsLostError, match="told by the parts' footers"):
        append(dst, rows([key], "new"))
    assert inodes(dst) == before
    append(dst, rows([5_000], "new"))  # it stays as it is


# ---------------------------------------------------------------- what the footers tell then


def test_check_finds_parts_that_are_missing_doubled_or_of_other_states(dst, tmp_path):
    stale = (dst / "part-00002.parquet").read_bytes()
    key = pq.read_table(dst / "part-00002.parquet")["k"][1].as_py()
    append(dst, rows([key], "new"))
    append(dst, rows([9_000 + i for i in range(60)], "new"))
    check(dst)

    def told() -> str:
        return dlsort.check_dataset(dst, threads=1).to_text()

    whole = {path: path.read_bytes() for path in dst.iterdir()}

    def restore() -> None:
        for path in dst.iterdir():
            path.unlink()
        for path, data in whole.items():
            path.write_bytes(data)

    (dst / "part-00004.parquet").unlink()
    assert "part 4 is missing of 9" in told()
    restore()
    (dst / "part-00002.parquet").write_bytes(stale)
    assert "part-00002.parquet is none of the parts that" in told()
    assert "part 2 is missing of 9" in told()
    restore()
    (dst / "part-00003-again.parquet").write_bytes(whole[dst / "part-00003.parquet"])
    assert "part 3 is there twice" in told()
    restore()
    check(dst)


def test_the_footers_answer_for_all_rows(dst):
    old = read(dst)
    batch = rows(np.random.default_rng(4).integers(0, 2_500, 130), "new")
    append(dst, batch)
    keys = np.sort(np.concatenate([old["k"].to_numpy(), batch["k"].to_numpy()]))
    found = dlsort.distribution(dst)
    assert (found.told_by, found.n_rows) == ("parts", 930)
    for value in (0, 301, 1_600, 2_400):
        answer = found.rank(value)
        exact = int(np.searchsorted(keys, value))
        assert answer.low <= exact <= answer.high
        assert found.rank(value, exact=True).value == exact


def test_the_next_sort_takes_its_model_from_there(dst, tmp_path):
    batch = rows(np.random.default_rng(4).integers(0, 1_600, 50), "new")
    path = write(tmp_path / "batch.parquet", batch)
    dlsort.append_dataset(path, dst, threads=1)
    again = dlsort.sort_dataset(
        [tmp_path / "old.parquet", path],
        tmp_path / "again",
        by="k",
        partitions=N_PARTS,
        threads=1,
        model=dst,
        strategy="exchange",
    )
    assert again.model == "reused"
    assert read(tmp_path / "again").equals(read(dst))


def test_a_file_that_can_not_be_linked_is_copied(dst, monkeypatch):
    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    old = read(dst)
    monkeypatch.setattr(make.os, "link", refuse)
    batch = rows([7], "new")
    assert append(dst, batch).kept_parts == 7
    assert read(dst).equals(expected(dst, old, batch))
    check(dst)


def test_parts_are_written_as_the_others_are(tmp_path):
    write(tmp_path / "old.parquet", rows(range(100), "old"))
    dst = tmp_path / "dst"
    how = {"compression": "zstd", "row_group_rows": 30, "partitions": 2, "threads": 1}
    dlsort.sort_dataset(tmp_path / "old.parquet", dst, by="k:desc", **how)
    append(dst, rows([10], "new"))
    for path in dst.iterdir():
        found = pq.read_metadata(path)
        assert found.row_group(0).column(0).compression == "ZSTD"
        assert found.row_group(0).num_rows == 30
        assert found.row_group(0).sorting_columns[0].descending


def test_a_dataset_in_folders_is_refused_as_such(tmp_path):
    pq.write_table(
        pa.table({"k": range(9000), "m": ["a", "b", "c"] * 3000}), tmp_path / "in.parquet"
    )
    dlsort.sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by="k", partition_by="m")
    with pytest.raises(DestinationError, match="was sorted into folders"):
        dlsort.append_dataset(tmp_path / "in.parquet", tmp_path / "out")


@pytest.mark.parametrize(
    "how", [{"unique": "first"}, {"where": "k > 0"}, {"limit": 2}, {"target_file_size": "1MiB"}]
)
def test_a_dataset_of_some_of_the_rows_is_not_appended_to(tmp_path, how):
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"k": [1, 2, 2, 3]}), source)
    dlsort.sort_dataset(source, tmp_path / "out", by="k", **how)
    before = pq.read_table(tmp_path / "out")
    (name,) = how
    with pytest.raises(
        DestinationError, match=rf"was sorted with {name} \(--{name.replace('_', '-')}\)"
    ):
        dlsort.append_dataset(source, tmp_path / "out")
    assert pq.read_table(tmp_path / "out").equals(before)
    compacted = dlsort.compact_dataset(tmp_path / "out")
    assert compacted.rows == before.num_rows
