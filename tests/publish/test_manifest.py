"""What parts tell in their footers: exact quantiles, and which parts there should be."""

from __future__ import annotations

import datetime
import json
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlsort
from commands import process as run
from dlsort.errors import BadKeyError
from dlsort.io.parts import MANIFEST
from dlsort.keys import SortKey
from dlsort.proof.checksum import prove
from dlsort.publish.manifest import (
    MOST_BYTES,
    Manifest,
    quantile_rows,
    read_manifest,
)
from dlsort.publish.problems import find_problems
from dlsort.tuning import TUNING

N = 3000
RNG = np.random.default_rng(3)
INTS = RNG.integers(-(2**60), 2**60, N)
SMALL = RNG.integers(0, 2**15, N)

COLUMNS = {
    "int8": pa.array(SMALL % 100, pa.int8()),
    "int64": pa.array(INTS),
    "uint64": pa.array(INTS.astype(np.uint64) + np.uint64(2**63)),
    "float64": pa.array([*RNG.random(N - 3), np.nan, np.inf, -np.inf]),
    "float32": pa.array(RNG.random(N).astype(np.float32)),
    "float16": pa.array(RNG.random(N).astype(np.float16)),
    "bool": pa.array(SMALL % 2 == 0),
    "decimal": pa.array([Decimal(int(x)).scaleb(-2) for x in SMALL], pa.decimal128(30, 2)),
    "decimal256": pa.array([Decimal(int(x)) for x in INTS], pa.decimal256(70, 3)),
    "date": pa.array(SMALL, pa.int32()).cast(pa.date32()),
    "date64": pa.array(SMALL, pa.int32()).cast(pa.date32()).cast(pa.date64()),
    "time": pa.array(SMALL, pa.int32()).cast(pa.time32("s")),
    "timestamp": pa.array(INTS, pa.timestamp("ns", "Europe/Berlin")),
    "duration": pa.array(INTS, pa.duration("us")),
    "text": pa.array([f"{x} é" for x in SMALL]),
    "text view": pa.array([str(x) for x in SMALL], pa.string_view()),
    "large text": pa.array([str(x) for x in SMALL], pa.large_string()),
    "binary": pa.array([int(x).to_bytes(8, "big", signed=True) for x in INTS]),
    "fixed": pa.array([int(x).to_bytes(3, "big") for x in SMALL], pa.binary(3)),
    "dictionary": pa.array([str(x) for x in SMALL % 50]).dictionary_encode(),
    "nothing": pa.nulls(N),
}


def sort(tmp_path: Path, table: pa.Table, by, **options) -> list[Path]:
    source = tmp_path / "in.parquet"
    pq.write_table(table, source)
    dlsort.sort_dataset(source, tmp_path / "out", by=by, **options)
    return sorted((tmp_path / "out").iterdir())


def manifest_of(path: Path) -> Manifest:
    found = read_manifest(pq.read_metadata(path).metadata)
    assert found is not None
    return found


def as_values(column: pa.ChunkedArray) -> list:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_fixed_size_binary(kind) or kind in (pa.string_view(), pa.large_string()):
        column = column.cast(pa.binary())
    if kind == pa.string():
        column = column.cast(pa.binary())
    return [repr(v) for v in column.to_pylist()]


@pytest.mark.parametrize("name", COLUMNS)
def test_quantiles_are_the_keys_of_their_rows(tmp_path, name):
    values = COLUMNS[name]
    if name != "nothing":
        mask = RNG.random(N) < 0.01
        values = pa.array(values.to_pylist(), values.type, mask=mask)
    table = pa.table({"k": values, "v": SMALL})
    for path in sort(tmp_path, table, "k:desc,v", partitions=2):
        part, told = pq.read_table(path), manifest_of(path)
        rows = quantile_rows(part.num_rows)
        assert told.by == (SortKey("k", descending=True), SortKey("v"))
        assert told.rows == part.num_rows
        assert told.checksum == prove(part, TUNING.proof).checksum
        assert told.key_types == [str(part.schema.field(c).type) for c in ("k", "v")]
        quantiles = told.table(part.schema)
        expected = part.select(["k", "v"])
        if expected["k"].type == pa.string_view():  # which has no kernel to take rows
            expected = expected.set_column(0, "k", expected["k"].cast(pa.string()))
        expected = expected.take(rows)
        assert [as_values(c) for c in quantiles.columns] == list(
            map(as_values, expected.columns)
        )


def test_the_first_and_the_last_row_are_among_them():
    for n in (1, 2, 100, 101, 102, 10**9 + 7):
        rows = quantile_rows(n)
        assert rows[0] == 0
        assert rows[-1] == n - 1
        assert len(set(rows)) == len(rows) == min(n, 101)
        assert max(np.diff(rows), default=0) <= -(-n // 100)
    assert quantile_rows(0) == []


def test_long_text_is_cut(tmp_path):
    long = pa.array([f"{x}{'é' * MOST_BYTES}" for x in range(50)])
    (path,) = sort(tmp_path, pa.table({"k": long}), "k", partitions=1)
    (cut,) = manifest_of(path).table(pq.read_schema(path)).columns
    whole = pq.read_table(path)["k"].cast(pa.binary()).to_pylist()
    assert cut.to_pylist() == [value[:MOST_BYTES] for value in whole]


def test_parts_say_nothing_if_they_are_not_to(tmp_path):
    table = pa.table({"k": INTS})
    for path in sort(tmp_path, table, "k", partitions=2, manifest=False):
        assert MANIFEST not in (pq.read_metadata(path).metadata or {})
    with pytest.raises(BadKeyError, match=r"give the key: by \(--by\)"):
        dlsort.check_dataset(tmp_path / "out")
    assert dlsort.check_dataset(tmp_path / "out", by="k").ok


def test_what_another_sort_told_is_not_kept(tmp_path):
    first = sort(tmp_path, pa.table({"k": INTS}), "k", partitions=2)
    dlsort.sort_dataset(tmp_path / "out", tmp_path / "again", by="k:desc", partitions=3)
    told = [manifest_of(path) for path in sorted((tmp_path / "again").iterdir())]
    assert [m.part for m in told] == [0, 1, 2]
    assert {m.by for m in told} == {(SortKey("k", descending=True),)}
    assert manifest_of(first[0]).job not in {m.job for m in told}
    dlsort.sort_dataset(tmp_path / "out", tmp_path / "plain", by="k", manifest=False)
    metadata = pq.read_metadata(next((tmp_path / "plain").iterdir())).metadata
    assert MANIFEST not in metadata


def test_metadata_of_the_source_stay(tmp_path):
    table = pa.table({"k": [2, 1]}).replace_schema_metadata({"mine": "kept"})
    (path,) = sort(tmp_path, table, "k")
    assert pq.read_schema(path).metadata[b"mine"] == b"kept"
    assert pq.read_table(path).to_pylist() == [{"k": 1}, {"k": 2}]


def test_a_job_has_the_same_name_however_it_is_run(tmp_path):
    table = pa.table({"k": INTS})
    names = []
    for i, options in enumerate([{"threads": 1}, {"memory": "1GiB"}, {"threads": 2}]):
        (tmp_path / str(i)).mkdir()
        paths = sort(tmp_path / str(i), table, "k", partitions=2, **options)
        names.append({manifest_of(path).job for path in paths})
        shutil.copystat(tmp_path / "0" / "in.parquet", tmp_path / str(i) / "in.parquet")
    assert all(len(name) == 1 for name in names)
    source = tmp_path / "0" / "in.parquet"
    bytes_of = []
    for i, options in enumerate([{"threads": 1}, {"memory": "1GiB"}, {"threads": 2}]):
        out = tmp_path / f"out{i}"
        dlsort.sort_dataset(source, out, by="k", partitions=2, **options)
        bytes_of.append([path.read_bytes() for path in sorted(out.iterdir())])
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_check_takes_the_key_from_the_parts(tmp_path):
    sort(
        tmp_path, pa.table({"k": INTS, "v": SMALL}), [SortKey("k", nulls_first=True), "v:desc"]
    )
    report = dlsort.check_dataset(tmp_path / "out", against=tmp_path / "in.parquet")
    assert report.ok
    assert report.by == "k:nulls_first,v:desc"
    assert report.checksum


def cut_short(path: Path) -> None:
    metadata = pq.read_metadata(path).metadata
    rows = pq.read_table(path).slice(0, 10)
    with pq.ParquetWriter(path, rows.schema) as file:
        file.write_table(rows)
        file.add_key_value_metadata({MANIFEST: metadata[MANIFEST]})


CHANGES = {
    "missing": (lambda parts, other: parts[1].unlink(), "part 1 is missing of 5"),
    "some missing": (
        lambda parts, other: [part.unlink() for part in (parts[0], parts[3])],
        "parts 0, 3 are missing of 5",
    ),
    "doubled": (
        lambda parts, other: shutil.copy(parts[1], parts[1].with_name("part-00001b.parquet")),
        "part 1 is there twice: ",
    ),
    "another sort's": (
        lambda parts, other: shutil.copy(other[1], parts[1]),
        "another sort than",
    ),
    "another file": (
        lambda parts, other: pq.write_table(
            pa.table({"k": [2**62], "v": [0]}), parts[-1].with_name("z.parquet")
        ),
        "no manifest",
    ),
    "cut short": (
        lambda parts, other: cut_short(parts[2]),
        "has 10 rows, but had ",
    ),
    "renamed": (
        lambda parts, other: [
            parts[0].rename(parts[0].with_name("t")),
            parts[4].rename(parts[0]),
            parts[4].with_name("t").rename(parts[4]),
        ],
        "is part 1, but stands after part 4",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_finds_parts_that_are_not_as_they_were(tmp_path, change):
    table = pa.table({"k": INTS, "v": SMALL})
    (tmp_path / "other").mkdir()
    other = sort(tmp_path / "other", table.slice(1), "k", partitions=5)
    parts = sort(tmp_path, table, "k", partitions=5)
    assert dlsort.check_dataset(tmp_path / "out").ok
    make, says = CHANGES[change]
    make(parts, other)
    report = dlsort.check_dataset(tmp_path / "out")
    assert not report.ok
    assert says in report.to_text()


def test_the_command_takes_no_key_for_what_it_has_sorted(tmp_path):
    sort(tmp_path, pa.table({"k": INTS}), "k", partitions=2)
    done = run("check", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "by k, in 2 files" in done.stdout
    (tmp_path / "out" / "part-00000.parquet").unlink()
    done = run("check", tmp_path / "out")
    assert done.returncode == 1
    assert "part 0 is missing of 2" in done.stderr
    done = run("check", tmp_path / "in.parquet")
    assert done.returncode == 2
    assert "give the key: --by." in done.stderr
    source, out = tmp_path / "in.parquet", tmp_path / "plain"
    assert run("sort", source, out, "--by", "k", "--no-manifest").returncode == 0
    assert run("check", out).returncode == 2


SOUND = Manifest("j", [["k", False, True]], 0, 2, 1, "c", ["int64"], [[1]])


def told(**changes) -> dict[bytes, bytes]:
    return {MANIFEST: json.dumps({**json.loads(SOUND.to_json()), **changes}).encode()}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {MANIFEST: b""},
        {MANIFEST: b"\xff"},
        {MANIFEST: b"[1]"},
        {MANIFEST: b"[" * 100_000},
        {MANIFEST: b"{}"},
        *(
            told(**changes)
            for changes in (
                {"format": "x"},
                {"version": 2},
                {"job": None},
                {"part": -1},
                {"part": 2},
                {"part": True},
                {"n_parts": "2"},
                {"rows": 1.5},
                {"keys": []},
                {"keys": 7},
                {"keys": [["k"]]},
                {"keys": [[1, False, False]]},
                {"keys": [["k", 0, False]]},
                {"keys": [["k", False, False, None]]},
                {"keys": [["k", False, False, False, False]]},
            )
        ),
    ],
    ids=repr,
)
def test_what_is_no_manifest_counts_as_none(metadata):
    assert read_manifest(metadata) is None


def test_a_sound_manifest_is_read():
    assert read_manifest(told()) == SOUND


@given(st.permutations(range(4)), st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_parts_are_all_right_only_if_all_are_there_once_and_in_order(order, gone, twice):
    parts = [part for part in order if part not in gone]
    parts += sorted(twice - gone)
    found = [
        (f"{i}", 1, Manifest("j", [["k", False, False]], part, 4, 1, "", [], []))
        for i, part in enumerate(parts)
    ]
    assert (find_problems(found) == []) == (parts in ([0, 1, 2, 3], []))


def test_nothing_of_far_too_many_parts_is_counted_up():
    far = Manifest("j", [["k", False, False]], 0, 2**62, 1, "", [], [])
    (problem,) = find_problems([("a", 1, far)])
    assert problem.startswith("parts 1, 2, 3, 4, 5, … are missing of 4,611,686,018,")


def test_dates_are_days(tmp_path):
    days = pa.array([datetime.date(2026, 1, d) for d in (3, 1, 2)])
    (path,) = sort(tmp_path, pa.table({"k": days}), "k")
    assert manifest_of(path).quantiles == [[20454, 20455, 20456]]
