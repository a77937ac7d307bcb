"""Folders named column=value: columns as Arrow reads them, at every door."""

from __future__ import annotations

import datetime
import decimal
import uuid

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, SchemaMismatchError
from dlsort.io.listing.hive import read_hive_types
from dlsort.io.parquet.source import open_source
from dlsort.keys import parse_by
from dlsort.tuning import TUNING


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def rows(out):
    return pq.read_table(out, partitioning=None).to_pylist()


FOLDERS = [
    ["d=1", "d=2"],
    ["d=01", "d=-2"],
    ["d=1", "d=x"],
    ["d=__HIVE_DEFAULT_PARTITION__", "d=2"],
    ["d=__HIVE_DEFAULT_PARTITION__", "d=z"],
    ["d=3000000000", "d=1"],
    ["d=a%20b", "d=a%2Fb"],
    ["d=", "d=1"],
    ["d=+1", "d=0x10"],
    ["a%20b=1"],
    ["d=1=2"],
    ["x/d=1", "y/d=2"],
    ["d=2024-01-01/e=1", "d=2024-02-01/e=2"],
    ["d=%31", "d=2"],
    ["d=a%2", "d=b%zz"],
    ["d=-0", "d= 1"],
]


@pytest.mark.parametrize("folders", FOLDERS, ids=lambda f: "|".join(f))
def test_columns_are_those_that_arrow_reads(tmp_path, folders):
    for number, folder in enumerate(folders):
        write(tmp_path / "in" / folder / "0", v=[number, -number])
    expected = ds.dataset(tmp_path / "in", partitioning="hive").to_table()
    source = open_source(tmp_path / "in", TUNING.io)
    assert source.schema.remove_metadata() == expected.schema
    piece = source.piece(0, len(source.row_groups))
    found = source.read(piece, source.schema.names)
    key = lambda row: str(row["v"])  # noqa: E731
    assert sorted(found.to_pylist(), key=key) == sorted(expected.to_pylist(), key=key)
    names = source.schema.names[1:]
    assert source.read(piece, names).to_pylist() == found.select(names).to_pylist()


@pytest.fixture
def days(tmp_path):
    for day, region, values in (
        ("2024-01-02", "eu", [3, 1]),
        ("2024-01-01", "us", [2, 5]),
        ("__HIVE_DEFAULT_PARTITION__", "a%2Fb", [4, 4]),
    ):
        write(tmp_path / "in" / f"day={day}" / f"region={region}" / "0.pq", v=values)
    return tmp_path


EXPECTED = [
    {"v": 2, "day": "2024-01-01", "region": "us"},
    {"v": 5, "day": "2024-01-01", "region": "us"},
    {"v": 1, "day": "2024-01-02", "region": "eu"},
    {"v": 3, "day": "2024-01-02", "region": "eu"},
    {"v": 4, "day": None, "region": "a/b"},
    {"v": 4, "day": None, "region": "a/b"},
]


@pytest.mark.parametrize("src", ["in", "in/*", "in/day=*/region=*/*.pq", "in/**/*.pq", "list"])
def test_as_key_and_as_payload_at_each_door(days, src):
    place = f"{days}/{src}"
    if src == "list":
        place = [str(path) for path in sorted((days / "in").iterdir())]
    for partitions in (1, 2):
        out = days / f"out{partitions}"
        how = {"by": "day,v", "partitions": partitions, "threads": 1}
        assert sort_dataset(place, out, **how).rows == 6
        assert rows(out) == EXPECTED
        assert check_dataset(out, by="day,v", against=place).ok
    sort_dataset(place, days / "by_v", by="v:desc", threads=1)
    assert [row["day"] for row in rows(days / "by_v")][:2] == ["2024-01-01", None]


def test_types_are_those_that_are_asked_for(days):
    how = {"by": "day:desc", "threads": 1, "hive_types": "day:date32,region:large_string"}
    sort_dataset(days / "in", days / "out", **how)
    assert pq.read_schema(days / "out" / "part-00000.parquet").field("day").type == pa.date32()
    assert rows(days / "out")[0]["day"] == datetime.date(2024, 1, 2)
    checked = check_dataset(days / "out", against=days / "in", hive_types={"day": pa.date32()})
    assert checked.ok
    assert not check_dataset(days / "out", against=days / "in").ok
    args = ("--by", "day", "--hive-types", "day:date32", "--threads", 1, "--overwrite")
    assert command("sort", days / "in", days / "out", *args).exit_code == 0
    args = ("--against", days / "in", "--hive-types", "day:date32")
    assert command("check", days / "out", *args).exit_code == 0


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("decimal(9,2)", "1.50", decimal.Decimal("1.50")),
        ("timestamp[us]", "2024-01-01 10%3A00%3A00", datetime.datetime(2024, 1, 1, 10)),
        ("bool", "true", True),
        ("float64", "0.25", 0.25),
        ("int64", "30000000000", 30000000000),
        ("string", "007", "007"),
    ],
)
def test_values_are_of_the_type_that_is_given(tmp_path, kind, text, value):
    write(tmp_path / "in" / f"p={text}" / "0.parquet", v=[1])
    sort_dataset(tmp_path / "in", tmp_path / "out", by="p,v", hive_types=f"p:{kind}", threads=1)
    assert rows(tmp_path / "out") == [{"v": 1, "p": value}]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("day", "expected types such as"),
        ("day:nothing", "'nothing' for 'day'"),
        ("nix:int32", "names 'nix'"),
        (3, "hive_types is 3"),
        ({"day": pa.list_(pa.int8())}, "expected the name of a type"),
        ("day:int32", "'2024-01-0[12]', which is not of type int32"),
    ],
)
def test_types_that_cannot_be(days, value, says):
    with pytest.raises(BadOptionError, match=says):
        sort_dataset(days / "in", days / "out", by="v", hive_types=value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"a,b":int8', ["a,b"]),
        (' "a,b" : int8 ,c:decimal(9, 2), "d""e:":int8', ["a,b", "c", 'd"e:']),
        ("a:b:int8,c(d:int8,e:decimal(9,2)", ["a:b", "c(d", "e"]),
        ('a"b:timestamp[us],"c:int8', ['a"b', '"c']),
    ],
)
def test_names_that_hold_commas_stand_in_quotes(text, names):
    assert list(read_hive_types(text)) == names


def test_a_folder_s_column_that_holds_a_comma_has_the_type_that_is_given(tmp_path):
    write(tmp_path / "in" / "a,b=1" / "0.parquet", v=[1])
    how = {"by": '"a,b"', "threads": 1}
    sort_dataset(tmp_path / "in", tmp_path / "out", hive_types='"a,b":int8', **how)
    assert (
        pq.read_schema(tmp_path / "out" / "part-00000.parquet").field("a,b").type == pa.int8()
    )
    with pytest.raises(BadOptionError, match='such as "a,b":string'):
        sort_dataset(tmp_path / "in", tmp_path / "no", hive_types='"a,b":date32', **how)


def test_types_may_be_given_as_a_schema():
    schema = pa.schema([("a", pa.int8()), ("b", pa.decimal128(9, 2))])
    assert read_hive_types(schema) == read_hive_types("a:int8, b:decimal(9, 2)")


@pytest.mark.parametrize(
    "make",
    [
        lambda column: column,
        lambda column: column.cast(pa.string()),
        lambda column: column.cast(pa.int8()).dictionary_encode(),
        lambda column: column.cast(pa.string()).dictionary_encode(),
        lambda column: column.cast(pa.float64()),
    ],
    ids=["int64", "string", "dictionary", "text dictionary", "float"],
)
def test_a_column_that_the_files_hold_too_is_compared(tmp_path, make):
    for day in (1, 2):
        column = make(pa.array([day, day]))
        write(tmp_path / "in" / f"day={day}" / "0", day=column, v=[day, 0])
    sort_dataset(tmp_path / "in", tmp_path / "out", by="v,day", threads=1)
    assert [row["v"] for row in rows(tmp_path / "out")] == [0, 0, 1, 2]
    assert list(rows(tmp_path / "out")[0]) == ["day", "v"]
    write(tmp_path / "in" / "day=3" / "0", day=make(pa.array([3, 4])), v=[1, 1])
    says = r"day=3/0 has '4(\.0)?' in column 'day'.*tells '3'"
    with pytest.raises(SchemaMismatchError, match=says):
        sort_dataset(tmp_path / "in", tmp_path / "out2", by="v", threads=1)
    with pytest.raises(SchemaMismatchError, match=says):
        check_dataset(tmp_path / "in", by="day")


def test_folders_of_other_depth_are_refused_with_both_files(days):
    write(days / "in" / "day=2024-01-03" / "9.pq", v=[1])
    with pytest.raises(
        SchemaMismatchError, match=r"0\.pq tell day, region, those of \S+9\.pq day"
    ):
        sort_dataset(days / "in", days / "out", by="v")
    write(days / "in2" / "a.pq", v=[1])
    write(days / "in2" / "k=1" / "b.pq", v=[1])
    with pytest.raises(SchemaMismatchError, match="no column"):
        check_dataset(days / "in2", by="v")
    write(days / "in3" / "k=1" / "k=2" / "b.pq", v=[1])
    with pytest.raises(BadOptionError, match="two folders that tell column 'k'"):
        check_dataset(days / "in3", by="v")
    write(days / "in4" / "k=%FF" / "b.pq", v=[1])
    with pytest.raises(BadOptionError, match="not UTF-8"):
        check_dataset(days / "in4", by="v")


def test_a_folder_alone_is_a_root_and_in_a_list_it_is_not(days):
    one = days / "in" / "day=2024-01-01"
    assert open_source(one, TUNING.io).schema.names == ["v", "region"]
    assert open_source((str(one),), TUNING.io).schema.names == ["v", "day", "region"]
    assert open_source(f"{one}/*", TUNING.io).schema.names == ["v", "day", "region"]


def test_ranges_and_claims_are_the_folders(tmp_path):
    for day in range(4):
        write(tmp_path / "in" / f"day={3 - day}" / "0", v=list(range(100)))
    source = open_source(tmp_path / "in", TUNING.io)
    ranges = source.exact_ranges("day")
    assert [(r.low, r.high, r.n_nulls) for r in ranges.values()] == [
        (d, d, 0) for d in range(4)
    ]
    assert source.claims_order(parse_by("day"))
    assert not source.claims_order(parse_by("day,v"))
    report = sort_dataset(
        tmp_path / "in", tmp_path / "out", by="day,v", partitions=4, threads=1
    )
    assert report.moved
    assert [row["day"] for row in rows(tmp_path / "out")][::100] == [0, 1, 2, 3]


def test_objects_in_stores_have_columns_too(tmp_path):
    store = fsspec.filesystem("memory")
    url = f"memory://{uuid.uuid4().hex}"
    write(tmp_path / "0.parquet", v=[2, 1])
    for day in ("b%20c", "a"):
        store.put_file(str(tmp_path / "0.parquet"), f"{url}/in/day={day}/0")
    try:
        for src in (f"{url}/in", f"{url}/in/*/*", f"{url}/in/day=*"):
            sort_dataset(src, tmp_path / "out", by="day:desc,v", threads=1, overwrite=True)
            assert [tuple(row.values()) for row in rows(tmp_path / "out")] == [
                (1, "b c"),
                (2, "b c"),
                (1, "a"),
                (2, "a"),
            ]
        assert check_dataset(tmp_path / "out", against=f"{url}/in").ok
    finally:
        store.rm(url, recursive=True)


@pytest.mark.parametrize(
    "key",
    [
        "org.apache.spark.sql.parquet.row.metadata",
        "parquet.avro.schema",
        "avro.schema",
        "iceberg.schema",
        "huggingface",
    ],
)
@pytest.mark.parametrize("is_stored", [False, True])
def test_schemas_in_metadata_do_not_hide_what_folders_tell(tmp_path, key, is_stored):
    for day in (2, 1):
        columns = {"id": [day], **({"d": [day]} if is_stored else {})}
        path = tmp_path / "in" / f"d={day}" / "0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns).replace_schema_metadata({key: "of the files"}), path)
    report = sort_dataset(tmp_path / "in", tmp_path / "out", by="d", threads=1)
    (part,) = (tmp_path / "out").iterdir()
    assert pq.read_schema(part).names == ["id", "d"]
    assert (key.encode() in (pq.read_schema(part).metadata or {})) is is_stored
    assert report.dropped_metadata == ([] if is_stored else [key])


def test_a_column_of_folders_may_begin_with_an_underscore(tmp_path):
    """They hold rows, as Spark has it; their name alone does not hide them."""
    write(tmp_path / "in" / "_p=2" / "0.parquet", v=[1])
    write(tmp_path / "in" / "_p=1" / "0.parquet", v=[2, 3])
    write(tmp_path / "in" / "_tmp" / "0.parquet", v=[4])
    report = sort_dataset(tmp_path / "in", tmp_path / "out", by="_p,v")
    assert report.passed_over == {"hidden": 1}
    assert rows(tmp_path / "out") == [{"v": 2, "_p": 1}, {"v": 3, "_p": 1}, {"v": 1, "_p": 2}]
    assert check_dataset(tmp_path / "out", by="_p,v", against=tmp_path / "in").ok
