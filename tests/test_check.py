"""``dlsort check`` and ``check_dataset``: the first row out of order, and other rows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import KEY_TYPES, column, oracle
from commands import dlsort as command
from commands import rows, write
from dlsort import check
from dlsort.errors import BadOptionError, CorruptSourceError
from dlsort.io.parquet.source import ParquetSource
from dlsort.keys import SortKey

#: Key types that a Parquet file keeps as they are.
STORED = [k for k in KEY_TYPES if k not in ("date64", "decimal32", "decimal64", "decimal256")]

#: Ids by file and row group.
Layout = list[list[list[int | None]]]


def lay(folder: Path, layout: Layout) -> Path:
    """Write files of given row groups of a column ``id``, and a column beside it."""
    folder.mkdir(exist_ok=True)
    for i, groups in enumerate(layout):
        with pq.ParquetWriter(folder / f"{i}.parquet", ids([]).schema) as writer:
            for group in groups:
                writer.write_table(ids(group))
    return folder


def ids(values: list[int | None]) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64()), "v": pa.array(values, pa.int64())})


def place(found: check.Place) -> tuple[str, int, int, str]:
    return Path(found.file).name, found.row_group, found.row, found.key


# ---------------------------------------------------------------- order

DISORDERS: dict[str, tuple[Layout, tuple[str, int, int, str], tuple[str, int, int, str]]] = {
    "in a row group": (
        [[[1, 2], [3, 5, 4]]],
        ("0.parquet", 1, 2, "id=4"),
        ("0.parquet", 1, 1, "id=5"),
    ),
    "at the very start": (
        [[[2, 1], [0]]],
        ("0.parquet", 0, 1, "id=1"),
        ("0.parquet", 0, 0, "id=2"),
    ),
    "between row groups": (
        [[[1, 2], [3, 7], [6, 9]]],
        ("0.parquet", 2, 0, "id=6"),
        ("0.parquet", 1, 1, "id=7"),
    ),
    "between files": (
        [[[1, 2], [3]], [[2, 1]]],
        ("1.parquet", 0, 0, "id=2"),
        ("0.parquet", 1, 0, "id=3"),
    ),
    "between files, with empty row groups and files between": (
        [[[1, 5], []], [], [[]], [[], [4], [3]]],
        ("3.parquet", 1, 0, "id=4"),
        ("0.parquet", 0, 1, "id=5"),
    ),
    "after an empty row group of its own file": (
        [[[], [1, 2], [], [1]]],
        ("0.parquet", 3, 0, "id=1"),
        ("0.parquet", 1, 1, "id=2"),
    ),
    "a null before a value": (
        [[[1, 2]], [[None, 3]]],
        ("1.parquet", 0, 1, "id=3"),
        ("1.parquet", 0, 0, "id=null"),
    ),
    "in the last of many files": (
        [*([[i]] for i in range(12)), [[11, 10]]],
        ("12.parquet", 0, 1, "id=10"),
        ("12.parquet", 0, 0, "id=11"),
    ),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("story", DISORDERS)
def test_the_first_row_out_of_order_is_found(tmp_path, story, threads):
    layout, row, above = DISORDERS[story]
    folder = lay(tmp_path / "in", layout)
    report = dlsort.check_dataset(folder, by="id", threads=threads)
    assert not report.ok
    assert report.disorder is not None
    assert place(report.disorder.row) == row
    assert place(report.disorder.above) == above


@pytest.mark.parametrize(
    ("by", "layout"),
    [
        ("id", [[[1, 1], [1]], [[1, 2]], [], [[2]]]),
        ("id:desc", [[[9, 8], []], [[8, 7, 7]], [[-1]]]),
        ("id:nulls_first", [[[None, None]], [[None, 1]]]),
        ("id:desc", [[[3]], [[2, None]], [[None]]]),
        ("id", [[]]),
        ("id", [[[]], []]),
        ("id", [[[7]]]),
    ],
)
def test_rows_in_order(tmp_path, by, layout):
    folder = lay(tmp_path / "in", layout)
    report = dlsort.check_dataset(folder, by=by)
    assert report.ok
    assert report.disorder is None
    assert report.rows == sum(len(group) for groups in layout for group in groups)
    assert report.files == len(layout)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_place_is_the_oracles(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(STORED), min_size=1, max_size=2))
    n = data.draw(st.integers(0, 12))
    distinct = data.draw(st.sampled_from([1, 2, 4]))
    columns = {f"k{i}": column(rng, k, n, distinct=distinct) for i, k in enumerate(kinds)}
    table = pa.table(columns)
    keys = [SortKey(c, data.draw(st.booleans()), data.draw(st.booleans())) for c in columns]
    if data.draw(st.booleans()):  # nearly sorted
        order = oracle(table, keys)
        if n > 1 and data.draw(st.booleans()):
            a, b = data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))
            order[a], order[b] = order[b], order[a]
        table = pa.concat_tables([table.slice(i, 1) for i in order] or [table])
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=3)))
    starts = []
    for i, (a, b) in enumerate(pairwise([0, *cuts, n])):
        size = data.draw(st.integers(1, 5))
        write(folder / f"{i}.parquet", table.slice(a, b - a), row_group_size=size)
        starts += [(f"{i}.parquet", j // size, j % size) for j in range(b - a)]
    bad = next((i for i in range(n - 1) if oracle(table.slice(i, 2), keys) != [0, 1]), None)
    report = dlsort.check_dataset(folder, by=keys, threads=data.draw(st.sampled_from([1, 2])))
    assert report.ok == (bad is None)
    if bad is not None:
        assert report.disorder is not None
        assert place(report.disorder.row)[:3] == starts[bad + 1]
        assert place(report.disorder.above)[:3] == starts[bad]


def test_the_second_key_counts_only_where_the_first_ties(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"a": [1, 1, 2, 2], "b": ["x", "y", "c", "b"]}))
    report = dlsort.check_dataset(tmp_path / "a.parquet", by="a,b")
    assert report.disorder is not None
    assert place(report.disorder.row) == ("a.parquet", 0, 3, "a=2, b='b'")
    assert dlsort.check_dataset(tmp_path / "a.parquet", by="a").ok


def test_dictionaries_that_differ_from_file_to_file(tmp_path):
    for i, values in enumerate((["b", "c"], ["c", "d"], ["a"])):
        write(tmp_path / f"{i}.parquet", pa.table({"k": pa.array(values).dictionary_encode()}))
    assert dlsort.check_dataset(tmp_path / "[01].parquet", by="k").ok
    report = dlsort.check_dataset(tmp_path, by="k")
    assert report.disorder is not None
    assert place(report.disorder.row) == ("2.parquet", 0, 0, "k='a'")


def test_keys_are_shown_short_and_plain(tmp_path):
    day = pa.array([2**62, 0], pa.timestamp("ns", "UTC"))
    table = pa.table({"t": day, "s": ["é" * 100, "a"], "b": [b"\0\1", None]})
    write(tmp_path / "a.parquet", table)
    report = dlsort.check_dataset(tmp_path / "a.parquet", by="t,s,b")
    assert report.disorder is not None
    above = report.disorder.above.key
    assert above.startswith("t=2116-02-20 23:53:38.427387904")
    assert f"s='{'é' * 58}…, b=b'\\x00\\x01'" in above
    assert report.disorder.row.key.endswith("s='a', b=null")


def test_a_time_that_python_has_no_value_for_is_shown_too(tmp_path):
    table = pa.table({"t": pa.array([2**60, 2**59], pa.timestamp("ms"))})
    write(tmp_path / "a.parquet", table)
    report = dlsort.check_dataset(tmp_path / "a.parquet", by="t")
    assert report.disorder is not None
    assert "t=" in report.disorder.row.key
    assert report.sorted_if is None


def spoil(path: Path, name: str) -> None:
    """Break the pages of one column, but not the footer."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunk = next(
        group.column(i)
        for i in range(group.num_columns)
        if group.column(i).path_in_schema == name
    )
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 20] = b"\xff" * 20
    path.write_bytes(data)


def test_only_key_columns_are_read_without_against(tmp_path):
    path = write(tmp_path / "a.parquet", ids([1, 2, 3]))
    spoil(path, "v")
    assert dlsort.check_dataset(path, by="id").ok
    with pytest.raises(CorruptSourceError, match=r"a\.parquet"):
        dlsort.check_dataset(path, by="id", against=path)


def test_reading_ends_at_the_first_row_out_of_order(tmp_path, monkeypatch):
    folder = lay(tmp_path / "in", [[[2, 1]], *([[i]] for i in range(200))])
    opened = []
    read = ParquetSource.read
    monkeypatch.setattr(
        ParquetSource, "read", lambda self, *args: opened.append(args) or read(self, *args)
    )
    assert not dlsort.check_dataset(folder, by="id", threads=1).ok
    assert len(opened) < 100


def test_threads_must_be_a_count(tmp_path):
    with pytest.raises(BadOptionError, match="threads is 0"):
        dlsort.check_dataset(write(tmp_path / "a.parquet"), by="id", threads=0)


# ---------------------------------------------------------------- against


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Give a source, and its rows in order."""
    table = rows()
    source = write(tmp_path / "in" / "0.parquet", table, row_group_size=90)
    order = np.argsort(table["id"].to_numpy(), kind="stable")
    return source, write(tmp_path / "out" / "0.parquet", table.take(order), row_group_size=70)


def change(path: Path, table: pa.Table) -> None:
    write(path, table, row_group_size=100)


def against(pair: tuple[Path, Path]) -> tuple[str, ...]:
    return dlsort.check_dataset(pair[1], by="id", against=pair[0]).differences


def test_the_same_rows(pair):
    report = dlsort.check_dataset(pair[1], by="id", against=pair[0])
    assert report.ok
    assert len(report.checksum or "") == 32
    assert dlsort.check_dataset(pair[0], by="id", against=pair[1]).checksum == report.checksum


def test_a_row_too_few(pair):
    change(pair[1], pq.read_table(pair[1]).slice(1))
    (message,) = against(pair)
    assert "399 in" in message
    assert "400 in" in message


def test_a_row_stands_for_another(pair):
    table = pq.read_table(pair[1])
    change(pair[1], pa.concat_tables([table.slice(0, 1), table.slice(0, 399)]))
    (message,) = against(pair)
    assert "both have 400 rows, but their checksum" in message


def test_a_column_slipped_against_the_others(pair):
    table = pq.read_table(pair[1])
    slipped = pa.chunked_array(
        [*table["price"].slice(1).chunks, *table["price"].slice(0, 1).chunks]
    )
    change(pair[1], table.set_column(1, "price", slipped))
    (message,) = against(pair)
    assert "checksum" in message


def test_a_value_inside_a_nested_column_changed(pair):
    table = pq.read_table(pair[1])
    lists = table["tags"].to_pylist()
    lists[7] = [2, 1]
    change(pair[1], table.set_column(3, "tags", pa.array(lists)))
    (message,) = against(pair)
    assert "checksum" in message


def test_columns_that_are_missing_or_of_another_type(pair):
    table = pq.read_table(pair[1])
    table = table.drop_columns("note").set_column(1, "price", table["price"].cast(pa.float32()))
    change(pair[1], table.append_column("more", table["id"]))
    price, more, note = against(pair)
    assert f"'price' is float in {pair[1]} and double in {pair[0]}" in price
    assert f"'note' is missing in {pair[1]} and string" in note
    assert f"'more' is int64 in {pair[1]} and missing in {pair[0]}" in more


def test_layout_order_of_columns_and_metadata_do_not_count(pair):
    table = pq.read_table(pair[1])
    note = table["note"].cast(pa.string()).dictionary_encode()
    tags = table["tags"].cast(pa.large_list(pa.int64()))
    table = table.set_column(2, "note", note).set_column(3, "tags", tags)
    change(pair[1], table.select(table.column_names[::-1]).replace_schema_metadata({"a": "b"}))
    assert against(pair) == ()
    change(pair[1], table.set_column(2, "note", note.cast(pa.string()).cast(pa.large_string())))
    assert against(pair) == ()
    change(pair[1], table.set_column(2, "note", note.cast(pa.string()).cast(pa.string_view())))
    assert against(pair) == ()


def test_two_datasets_without_rows(tmp_path):
    for name in ("a", "b"):
        pq.ParquetWriter(tmp_path / f"{name}.parquet", rows().schema).close()
    report = dlsort.check_dataset(
        tmp_path / "a.parquet", by="id", against=tmp_path / "b.parquet"
    )
    assert report.ok
    assert report.checksum == "0" * 32


# ---------------------------------------------------------------- the command


def test_in_order_exits_with_0(pair):
    args = ("--by", "id", "--against", pair[0], "--no-progress")
    result = command("check", pair[1], *args)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"in order   400 rows by id, in 1 file of {pair[1]}"
    assert result.stdout.splitlines()[1].startswith("same rows  400 rows, checksum ")
    assert result.stderr == ""


def test_out_of_order_exits_with_1_and_names_file_row_group_and_row(tmp_path):
    folder = lay(tmp_path / "in", [[[1, 2], [3, 5, 4]]])
    result = command("check", folder, "--by", "id", "--no-progress")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"not in order: {folder}/0.parquet, row group 1, row 2 (id=4) sorts before the row "
        "above it, row 1 (id=5). Row groups and rows are counted from 0.\n"
    )


def test_both_places_are_named_in_full_where_they_differ(tmp_path):
    folder = lay(tmp_path / "in", [[[1, 2], [3]], [[2, 1]]])
    result = command("check", folder, "--by", "id")
    assert f"{folder}/1.parquet, row group 0, row 0 (id=2)" in result.stderr
    assert f"{folder}/0.parquet, row group 1, row 0 (id=3)" in result.stderr
    folder = lay(tmp_path / "groups", [[[1, 2], [0]]])
    result = command("check", folder, "--by", "id")
    assert "row group 1, row 0 (id=0)" in result.stderr
    assert "row group 0, row 1 (id=2)" in result.stderr


def test_other_rows_exit_with_1(pair):
    change(pair[1], pq.read_table(pair[1]).slice(1))
    result = command("check", pair[1], "--by", "id", "--against", pair[0])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("not the same rows: 399 in ")


def test_out_of_order_and_other_rows_are_both_told(pair):
    change(pair[1], pq.read_table(pair[0]).slice(1))
    result = command("check", pair[1], "--by", "id", "--against", pair[0])
    assert result.exit_code == 1
    assert result.stderr.count("not in order: ") == 1
    assert result.stderr.count("not the same rows: ") == 1


@pytest.mark.parametrize(
    ("args", "fact"),
    [
        (["nowhere", "--by", "id"], "nowhere does not exist"),
        (["{out}", "--by", "ids"], "Did you mean 'id'?"),
        (["{out}", "--by", "tags.x"], "there is no column 'tags.x'"),
        (["{out}", "--by", "id:up"], "'up'"),
        (["{out}"], "give the key: --by."),
        (["{out}", "--by", "id", "--against", "nowhere"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_checked_exits_with_2(pair, args, fact):
    result = command("check", *[arg.format(out=pair[1]) for arg in args])
    assert result.exit_code == 2
    assert fact in result.stderr
    assert "Traceback" not in result.output
