"""INT96 timestamps: of any year, at any depth, by every door; what is lost is refused."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import check_dataset, sort_dataset
from dlsort.errors import SourceUnsupportedError

FAR = [
    dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),
    dt.datetime(2024, 5, 1, 12),
    None,
    dt.datetime(1, 1, 1),
    dt.datetime(1582, 10, 4),
]
STAMPS = pa.array(FAR, pa.timestamp("us"))
NESTED = {
    "plain": STAMPS,
    "list": pa.array([FAR, None, [], FAR[:1], [None]], pa.list_(pa.timestamp("us"))),
    "struct": pa.StructArray.from_arrays([STAMPS], ["at"]),
    "map": pa.array([[("a", one)] for one in FAR], pa.map_(pa.string(), pa.timestamp("us"))),
    "deep": pa.array(
        [[{"at": one}] for one in FAR], pa.list_(pa.struct([("at", pa.timestamp("us"))]))
    ),
}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def write(path, table, **options):
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, **options)


@pytest.mark.parametrize("store_schema", [False, True])
@pytest.mark.parametrize("n_files", [1, 3])
def test_years_stay_as_key_and_as_payload(work, n_files, store_schema):
    table = pa.table(NESTED)
    for i in range(n_files):
        write(work / "in" / f"{i}.parquet", table, store_schema=store_schema, row_group_size=2)
    sort_dataset(work / "in", work / "out", by="plain")
    found = pq.read_table(work / "out")
    expected = pa.concat_tables([table] * n_files).sort_by([("plain", "ascending")])
    assert found["plain"].to_pylist() == expected["plain"].to_pylist()
    for name in ("struct", "deep", "map"):
        assert sorted(map(repr, found[name].to_pylist())) == sorted(
            map(repr, expected[name].to_pylist())
        )
    assert check_dataset(work / "out", by="plain", against=work / "in").ok


def test_the_sorted_copy_has_microseconds(work):
    write(work / "in" / "a.parquet", pa.table(NESTED), store_schema=False)
    sort_dataset(work / "in", work / "out", by="plain")
    schema = pq.ParquetFile(next((work / "out").glob("*.parquet"))).schema
    kinds = [schema.column(i) for i in range(len(schema)) if "key" not in schema.column(i).path]
    assert {kind.physical_type for kind in kinds} == {"INT64"}
    assert all("microseconds" in str(kind.logical_type) for kind in kinds)


def test_check_finds_a_year_that_another_tool_has_changed(work):
    write(work / "in" / "a.parquet", pa.table({"k": STAMPS}))
    wrapped = pq.read_table(work / "in" / "a.parquet").sort_by([("k", "ascending")])
    pq.write_table(wrapped, work / "wrapped.parquet")
    report = check_dataset(work / "wrapped.parquet", by="k", against=work / "in")
    assert not report.ok


@pytest.mark.parametrize("name", ["plain", "list", "struct"])
@pytest.mark.parametrize("by", ["id", "plain"])
def test_nanoseconds_are_refused_by_column(work, name, by):
    fine = pa.array([1_001, 2_000], pa.timestamp("ns"))
    held = {
        "plain": fine,
        "list": pa.ListArray.from_arrays([0, 1, 2], fine),
        "struct": pa.StructArray.from_arrays([fine], ["at"]),
    }
    table = pa.table({"id": [2, 1], "plain": pa.array([2_000, 1_000], pa.timestamp("ns"))})
    if name != "plain":
        table = table.append_column(name, held[name])
    else:
        table = table.set_column(1, name, held[name])
    write(work / "in" / "a.parquet", table)
    with pytest.raises(SourceUnsupportedError, match=f"a.parquet: column '{name}' has INT96"):
        sort_dataset(work / "in", work / "out", by=by)
    assert not (work / "out").exists()


def test_a_year_that_no_unit_has_is_refused(work):
    days = pa.array([2**30], pa.int32())  # far behind 292,277
    write(
        work / "in" / "a.parquet",
        pa.table({"k": pa.array([0], pa.timestamp("us"))}),
        use_dictionary=False,
        compression="none",
        store_schema=False,
    )
    path = work / "in" / "a.parquet"
    data = bytearray(path.read_bytes())
    epoch = (2_440_588).to_bytes(4, "little")
    assert data.count(epoch) == 1
    data[data.index(epoch) : data.index(epoch) + 4] = days.to_numpy().tobytes()
    path.write_bytes(data)
    with pytest.raises(SourceUnsupportedError, match="years beyond"):
        sort_dataset(work / "in", work / "out", by="k")
    with pytest.raises(SourceUnsupportedError, match="years beyond"):
        check_dataset(work / "in", by="k")
