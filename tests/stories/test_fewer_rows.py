"""Sorts that write fewer rows than they read: one of each key, the first of all, or both."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import oracle
from commands import dlsort as command
from dlsort.errors import BadOptionError, ClusterError, ResumeError, RowsLostError
from dlsort.keys import parse_by
from dlsort.publish.finished import keep_finished
from dlsort.strategies import fewer_rows, first_rows, sizes
from dlsort.strategies import part as part_module
from dlsort.strategies.reader import Reader
from dlsort.tuning import TUNING
from dlsort_cluster.exchange import ExchangeError
from ordered_sources import MAKERS, rows_of, write

# No part fits: each is sorted in pieces.
CUT = replace(TUNING, strategies=replace(TUNING.strategies, surprise=1e-9))
BY = "id,time"
NULLABLE = {**MAKERS, "float": lambda v: pa.array(np.where(v % 7 == 0, np.nan, v / 8 - 1))}


def expected(table: pa.Table, by: str, **wanted: Any) -> pa.Table:
    """Return the rows that are wanted: a stable sort, and what pandas keeps of it."""
    rows = table.take(pa.array(oracle(table, parse_by(by)), pa.int64()))
    if wanted.get("unique"):
        columns = [key.column for key in parse_by(wanted.get("unique_by") or by)]
        kept = rows.select(columns).to_pandas().drop_duplicates(keep=wanted["unique"])
        rows = rows.take(pa.array(kept.index.to_numpy()))
    return rows.slice(wanted.get("offset") or 0, wanted.get("limit"))


def sort(source: Path, by: str = BY, **options: Any) -> dlsort.SortReport:
    """Sort beside the source, and compare with the rows that are wanted."""
    dst = source.parent / "out"
    options = {"threads": 2, "overwrite": True, **options}
    if "workers" in options:
        del options["threads"]
    report = dlsort.sort_dataset(source, dst, by=by, **options)
    whole = rows_of(source)
    want = expected(whole, by, **options)
    assert str(rows_of(dst).to_pylist()) == str(want.to_pylist())
    assert (report.rows, report.kept_rows) == (whole.num_rows, want.num_rows)
    assert report.dropped_rows == whole.num_rows - want.num_rows
    assert report.proved
    assert dlsort.check_dataset(dst).ok
    return report


def files_of(table: pa.Table, n_files: int) -> list[pa.Table]:
    edges = [table.num_rows * i // n_files for i in range(n_files + 1)]
    return [table.slice(first, last - first) for first, last in pairwise(edges)]


def table_of(n_rows: int, n_keys: int, seed: int = 3) -> pa.Table:
    rng = np.random.default_rng(seed)
    ids = pa.array(rng.integers(0, n_keys, n_rows), mask=rng.random(n_rows) < 0.1)
    return pa.table({"id": ids, "time": rng.integers(0, 50, n_rows), "row": range(n_rows)})


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "in", files_of(table_of(1_000, 90), 3))


WANTED: list[dict[str, Any]] = [
    {"unique": "first"},
    {"unique": "last", "unique_by": "id"},
    {"limit": 7},
    {"limit": 900},
    {"limit": 700, "offset": 200},
    {"offset": 990},
    {"offset": 5_000},
    {"limit": 5_000},
    {"unique": "last", "unique_by": "id", "limit": 10, "offset": 3},
]
each_wanted = pytest.mark.parametrize("wanted", WANTED, ids=str)


@each_wanted
@pytest.mark.parametrize("partitions", [1, 4])
def test_the_rows_are_those_of_the_stable_sort(source, wanted, partitions):
    assert sort(source, partitions=partitions, **wanted).output_parts == partitions


@each_wanted
def test_parts_that_are_sorted_in_pieces(source, monkeypatch, wanted):
    planned = sizes.plan_budget

    def small(*args: Any) -> Any:
        return replace(planned(*args), part_bytes=900, piece_bytes=2_000)

    monkeypatch.setattr(sizes, "plan_budget", small)
    sort(source, partitions=2, _tuning=CUT, **wanted)


@pytest.mark.parametrize("wanted", [WANTED[1], WANTED[4], WANTED[8]], ids=str)
def test_two_processes(source, wanted):
    sort(source, workers=2, partitions=3, **wanted)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(sorted(NULLABLE)),
    n_rows=st.integers(0, 300),
    n_keys=st.sampled_from([1, 2, 20, 1_000]),
    n_files=st.integers(1, 4),
    nulls=st.sampled_from([0.0, 0.3, 1.0]),
    marks=st.sampled_from(["", ":desc", ":nulls_first", ":desc:nulls_first"]),
    unique=st.sampled_from([None, "first", "last"]),
    by_first=st.booleans(),
    limit=st.none() | st.integers(1, 320),
    offset=st.none() | st.integers(0, 320),
    partitions=st.integers(1, 5),
    is_cut=st.booleans(),
)
def test_whatever_the_keys_are(
    seed, kind, n_rows, n_keys, n_files, nulls, marks, unique, by_first, limit, offset,
    partitions, is_cut,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    keys = NULLABLE[kind](rng.integers(0, n_keys, n_rows))
    keys = keys.take(pa.array(range(n_rows), pa.int64(), mask=rng.random(n_rows) < nulls))
    time = rng.integers(0, 5, n_rows)
    table = pa.table({"id": keys, "time": time, "row": pa.array(range(n_rows), pa.int64())})
    with TemporaryDirectory() as folder:
        source = write(Path(folder) / "in", files_of(table, n_files))
        sort(
            source,
            f"id{marks},time",
            unique=unique,
            unique_by="id" if unique and by_first else None,
            limit=limit,
            offset=offset,
            partitions=min(partitions, max(n_rows, 1)),
            _tuning=CUT if is_cut else TUNING,
        )


@pytest.mark.parametrize("keys", [[7] * 500, []], ids=["equal", "none"])
@pytest.mark.parametrize("wanted", [WANTED[0], WANTED[2], WANTED[8]], ids=str)
def test_one_key_and_no_row(tmp_path, keys, wanted):
    ids = pa.array(keys, pa.int64())
    table = pa.table({"id": ids, "time": ids, "row": pa.array(range(len(ids)), pa.int64())})
    sort(write(tmp_path / "in", files_of(table, 2)), partitions=2, **wanted)


def test_of_a_heavy_key_each_input_sends_one_row(tmp_path, monkeypatch):
    sent = []
    write_partition = part_module.write_partition

    def count(writer, shards, *args, **more):
        sent.append(shards.n_rows)
        return write_partition(writer, shards, *args, **more)

    monkeypatch.setattr("dlsort.strategies.exchange.write_partition", count)
    ids = np.where(np.arange(4_000) % 100 == 0, np.arange(4_000), 5)
    table = pa.table({"id": ids, "time": ids, "row": range(4_000)})
    source = write(tmp_path / "in", files_of(table, 4))
    report = sort(source, unique="last", unique_by="id", partitions=4)
    assert sum(sent) <= 40 + 4 * 20
    assert max(report.part_rows) <= 20  # and the heavy one has no parts of its own


# ---------------------------------------------------------------- what is read


def test_row_groups_without_a_wanted_row_are_not_read(tmp_path, monkeypatch):
    keys_of, whole = set[int](), set[int]()
    read_keys, read_rows = Reader.read_keys, Reader.read_rows

    def look(self, piece):
        keys_of.update(piece.groups)
        return read_keys(self, piece)

    def take(self, piece, rows):
        whole.update(piece.groups)
        return read_rows(self, piece, rows)

    monkeypatch.setattr(Reader, "read_keys", look)
    monkeypatch.setattr(Reader, "read_rows", take)
    table = pa.table({"id": range(2_000), "time": range(2_000)})
    source = write(tmp_path / "in", [table])  # 40 row groups
    monkeypatch.setattr(first_rows, "MOST_PIECES", 10**9)
    sort(source, "id:desc", limit=60, threads=1)
    assert whole == {38, 39}
    assert len(keys_of) <= 2 * first_rows.TASKS_A_THREAD
    whole.clear()
    sort(source, "id:desc", limit=10, offset=100, threads=1)
    assert whole == {37}


def test_few_rows_make_few_parts(source):
    planned = dlsort.sort_dataset(source, source.parent / "all", by=BY, partition_size="2KiB")
    assert planned.output_parts > 3
    assert sort(source, limit=10, partition_size="2KiB").output_parts == 1


# ---------------------------------------------------------------- the proof


def test_a_key_that_is_taken_for_another_is_noticed(source, monkeypatch):
    group_keys = fewer_rows.group_keys

    def blind(*args):
        groups = group_keys(*args)
        return groups._replace(starts=np.delete(groups.starts, 1))

    monkeypatch.setattr(fewer_rows, "group_keys", blind)
    with pytest.raises(RowsLostError, match="different keys were taken for the same"):
        sort(source, unique="last")
    assert not (source.parent / "out").exists()


def test_a_row_lost_among_the_first_is_noticed(source, monkeypatch):
    first_of = first_rows.first_rows

    def careless(columns, keys, k, tuning):
        rows = first_of(columns, keys, k + 1, tuning)
        return rows[1:] if k > 1 else rows[:k]

    monkeypatch.setattr(first_rows, "first_rows", careless)
    with pytest.raises(RowsLostError, match="sorts before the last one that is kept"):
        sort(source, limit=20)
    assert not (source.parent / "out").exists()


def test_a_row_lost_after_it_was_kept_is_noticed(source, monkeypatch):
    of_part = fewer_rows.FewerRows.of_part

    def lose(self, table, tuning):
        kept, groups = of_part(self, table, tuning)
        return kept.slice(1), groups

    monkeypatch.setattr(fewer_rows.FewerRows, "of_part", lose)
    with pytest.raises(RowsLostError, match="sorted"):
        sort(source, unique="last")
    assert not (source.parent / "out").exists()


def test_the_report_tells_what_was_left_out(source):
    text = sort(source, unique="last", unique_by="id", limit=10).to_text()
    assert "sorted     1,000 rows" in text
    assert "kept       10 rows, 990 left out" in text
    assert "proved     10 rows in order" in text


# ---------------------------------------------------------------- resuming, and refusals


@pytest.mark.parametrize("wanted", [WANTED[1], WANTED[4], WANTED[8]], ids=str)
def test_a_sort_is_resumed_for_the_same_rows(source, monkeypatch, wanted):
    n_kept = 0

    def keep(*args: Any) -> None:
        nonlocal n_kept
        if n_kept == 2:
            raise ExchangeError("the scheduler went away.")
        keep_finished(*args)
        n_kept += 1

    how = {"partitions": 4, "threads": 1, "resume": True}
    with monkeypatch.context() as patch:
        patch.setattr(part_module, "keep_finished", keep)
        with pytest.raises(ClusterError):
            sort(source, **how, **wanted)
    with pytest.raises(ResumeError, match="in the attempt to resume"):
        sort(source, **how, **{**wanted, "limit": 6})
    assert sort(source, **how, **wanted).resumed_parts == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unique": "last", "unique_by": "time"}, "unique_by .* is time; expected the first"),
        ({"unique": "last", "unique_by": "id:desc"}, "is id:desc; expected the first columns"),
        ({"unique_by": "id"}, "give unique too"),
        ({"unique": "any"}, "expected 'first' or 'last'"),
        ({"limit": 0}, "limit is 0; expected a whole number of at least 1"),
        ({"offset": -1}, "offset is -1; expected a whole number of at least 0"),
        ({"limit": 3, "strategy": "move"}, "strategy is move, which is for sorts of all rows"),
        ({"limit": 3, "model": "old"}, "model is old, which is for sorts of all rows"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_a_sentence(source, options, says):
    with pytest.raises(BadOptionError, match=says) as error:
        sort(source, **options)
    assert "\n" not in str(error.value)
    assert not (source.parent / "out").exists()


def test_more_keys_than_fit_the_memory_are_refused_or_exchanged(source, monkeypatch):
    monkeypatch.setattr(first_rows, "PLACE_BYTES", 2**60)
    with pytest.raises(BadOptionError, match="keys of the first 30 rows do not fit the memory"):
        sort(source, unique="last", limit=30)
    report = sort(source, limit=30, offset=100, partitions=4)
    assert report.predicted["strategy"] == "exchange"


def test_the_command_has_the_options(source, tmp_path):
    told = ["--by=id,time", "--unique=last", "--unique-by=id", "--limit=4", "--offset=1"]
    report = tmp_path / "report.json"
    places = str(source), str(tmp_path / "out")
    result = command("sort", *places, *told, "--report", str(report), "--no-progress")
    assert result.exit_code == 0, result.stderr
    wanted = {"unique": "last", "unique_by": "id", "limit": 4, "offset": 1}
    want = expected(rows_of(source), BY, **wanted)
    assert rows_of(tmp_path / "out").to_pylist() == want.to_pylist()
    assert json.loads(report.read_text())["kept_rows"] == 4


@pytest.mark.parametrize(
    ("by", "unique_by", "options"),
    [
        ("id,v", "id", {"rename": {"id": "v", "v": "id"}}),
        ("id,v", "id", {"columns": ["v"]}),
        ("(id * 2 + 1):nulls_first,v", "(id * 2 + 1)", {}),
        ("extract(day from day),v", "extract(day from day)", {}),
        ("name,v", "name", {"ignore_case": True}),
        ("o.x,v", "o.x", {"rename": {"o": "other"}}),
    ],
)
def test_unique_by_is_said_as_the_key_is(tmp_path, by, unique_by, options):
    table = pa.table(
        {
            "id": [2, 1, 2, 1],
            "v": [1, 2, 3, 4],
            "name": ["b", "A", "B", "a"],
            "day": pa.array([2, 1, 2, 1], pa.int32()).cast(pa.date32()),
            "o": [{"x": 2}, {"x": 1}, {"x": 2}, {"x": 1}],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    how = {"by": by, "unique": "last", "unique_by": unique_by, **options}
    dlsort.sort_dataset(tmp_path / "in.parquet", out, **how)
    v = options.get("rename", {}).get("v", "v")
    assert pq.read_table(out)[v].to_pylist() == [4, 3]


@pytest.mark.parametrize("args", [("--unique", "--by", "k"), ("--by", "k", "--unique")])
def test_unique_may_stand_alone_and_keeps_the_first(tmp_path, args):
    pq.write_table(pa.table({"k": [2, 1, 2], "v": [1, 2, 3]}), tmp_path / "in.parquet")
    done = command("sort", tmp_path / "in.parquet", tmp_path / "out", *args)
    assert done.exit_code == 0, done.stderr
    assert pq.read_table(tmp_path / "out").to_pydict() == {"k": [1, 2], "v": [2, 1]}


def test_a_check_tells_why_there_are_fewer_rows(tmp_path):
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"k": [2, 1, 2]}), source)
    dlsort.sort_dataset(source, tmp_path / "out", by="k", unique="first", limit=2)
    found = dlsort.check_dataset(tmp_path / "out", against=source)
    assert not found.ok
    assert f"{tmp_path / 'out'} was sorted with unique, limit." in found.to_text()
