"""Rows of files whose schemas differ: read in one, each value as it was, or refused."""

import datetime as dt
import decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort.errors import SchemaMismatchError
from dlsort.io.parquet.source import open_source
from dlsort.io.source import cut_pieces
from dlsort.tuning import TUNING

S = pa.string()
DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)
ZONED = NOON.replace(tzinfo=dt.UTC)


def write(folder: Path, *tables: object) -> Path:
    """Write tables as files: Arrow's by pyarrow, frames by their own library, SQL by DuckDB."""
    folder.mkdir(exist_ok=True)
    for i, table in enumerate(tables):
        path = folder / f"{i}.parquet"
        if isinstance(table, str):
            with duckdb.connect() as connection:
                connection.execute(f"COPY ({table}) TO '{path}' (FORMAT parquet)")
        elif isinstance(table, pl.DataFrame):
            table.write_parquet(path)
        elif isinstance(table, pd.DataFrame):
            table.to_parquet(path)
        else:
            pq.write_table(table, path)
    return folder


def read(folder: Path, wanted="union") -> pa.Table:
    source = open_source(folder, TUNING.io, schema=wanted)
    pieces = cut_pieces(source, 2**30)
    table = pa.concat_tables([source.read(piece, source.schema.names) for piece in pieces])
    assert table.num_rows == source.n_rows
    one_by_one = [source.piece(g, g + 1) for g in range(len(source.row_groups))]
    for name in source.schema.names:
        column = [v for p in one_by_one for v in source.read(p, [name])[name].to_pylist()]
        assert column == table[name].to_pylist()
    return table.select(source.schema.names)


def one(values, kind=None):
    return pa.table({"x": pa.array(values, kind)})


NUMBER = decimal.Decimal("1.25")
CASES = {
    "null": ([one([None]), one([{"a": 1}]), one([None, None])], [None, {"a": 1}, None, None]),
    "null_in_lists": ([one([[None], []]), one([["a"]])], [[None], [], ["a"]]),
    "null_of_pandas": ([pd.DataFrame({"x": [None]}), pd.DataFrame({"x": [1.5]})], [None, 1.5]),
    "null_of_polars": ([pl.DataFrame({"x": [None]}), one([DAY])], [None, DAY]),
    "null_beside_dictionary": (
        [one([None]), one(["a"]).cast(pa.schema([("x", pa.dictionary(pa.int8(), S))]))],
        [None, "a"],
    ),
    "text_of_polars": ([one(["b"]), pl.DataFrame({"x": ["a"]})], ["b", "a"]),
    "text_of_duckdb_pandas": (
        ["SELECT 'b' x", pd.DataFrame({"x": ["a", None]})],
        ["b", "a", None],
    ),
    "text_views": ([one(["b"], pa.string_view()), one(["a"], pa.large_string())], ["b", "a"]),
    "bytes": (
        [one([b"abc"], pa.binary(3)), one([b"d"]), one([b"e"], pa.large_binary())],
        [b"abc", b"d", b"e"],
    ),
    "bytes_fixed": (
        [one([b"abc"], pa.binary(3)), one([b"defg"], pa.binary(4))],
        [b"abc", b"defg"],
    ),
    "categories": (
        [
            pd.DataFrame({"x": pd.Categorical(["a", "b"])}),
            pd.DataFrame({"x": pd.Categorical([f"w{i}" for i in range(200)])}),
        ],
        ["a", "b", *(f"w{i}" for i in range(200))],
    ),
    "categories_beside_text": (
        [pl.DataFrame({"x": pl.Series(["a", "b"], dtype=pl.Categorical)}), "SELECT 'c' x"],
        ["a", "b", "c"],
    ),
    "categories_of_numbers": (
        [pd.DataFrame({"x": pd.Categorical([7, 8])}), one([9], pa.int32())],
        [7, 8, 9],
    ),
    "integers": ([one([1], pa.int8()), one([2], pa.int32()), one([2**40])], [1, 2, 2**40]),
    "unsigned": (
        [one([200], pa.uint8()), one([-1], pa.int8()), one([2**32 - 1], pa.uint32())],
        [200, -1, 2**32 - 1],
    ),
    "unsigned_64": ([one([7], pa.uint64()), one([-1])], [7, -1]),
    "integer_and_float": (
        [pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1.0, None]})],
        [1.0, 1.0, None],
    ),
    "nullable_integer": (
        [pd.DataFrame({"x": pd.array([1, None], "Int64")}), one([2], pa.int16())],
        [1, None, 2],
    ),
    "floats": (
        [one([0.1], pa.float32()), one([0.1]), one([0.5], pa.float16())],
        [0.10000000149011612, 0.1, 0.5],
    ),
    "decimals": (
        [
            one([NUMBER], pa.decimal128(5, 2)),
            one([NUMBER], pa.decimal128(20, 6)),
            one([3], pa.int32()),
        ],
        [NUMBER, NUMBER, 3],
    ),
    "decimals_of_duckdb": (
        ["SELECT 1.25::DECIMAL(4,2) x", "SELECT 1.25::DECIMAL(38,4) x"],
        [NUMBER, NUMBER],
    ),
    "units": (
        [
            one([NOON], pa.timestamp("ms")),
            one([NOON], pa.timestamp("ns")),
            one([NOON], pa.timestamp("us")),
        ],
        [NOON] * 3,
    ),
    "units_of_pandas": (
        [
            pd.DataFrame({"x": pd.to_datetime([NOON]).as_unit("ns")}),
            pd.DataFrame({"x": pd.to_datetime([NOON]).as_unit("us")}),
        ],
        [NOON] * 2,
    ),
    "units_of_day_times": (
        [one([dt.time(1, 2)], pa.time32("ms")), one([dt.time(1, 2)], pa.time64("us"))],
        [dt.time(1, 2)] * 2,
    ),
    "units_of_durations": (
        [one([dt.timedelta(1)], pa.duration("ms")), one([dt.timedelta(1)], pa.duration("us"))],
        [dt.timedelta(1)] * 2,
    ),
    "days": ([one([DAY], pa.date32()), one([DAY], pa.date64())], [DAY] * 2),
    "zones": (
        [
            one([ZONED], pa.timestamp("us", "+00:00")),
            one([ZONED], pa.timestamp("us", "UTC")),
            "SELECT '2024-02-29 12:00:00+00'::TIMESTAMPTZ x",
        ],
        [ZONED] * 3,
    ),
    "lists": (
        [
            one([[1]], pa.list_(pa.int8())),
            one([[2, None]], pa.large_list(pa.int64())),
            one([[3, 4]], pa.list_(pa.int16(), 2)),
        ],
        [[1], [2, None], [3, 4]],
    ),
    "lists_of_polars_duckdb": (
        [pl.DataFrame({"x": [["a"]]}), "SELECT ['b', NULL] x"],
        [["a"], ["b", None]],
    ),
    "structs": (
        [one([{"a": 1, "b": "x"}]), one([{"b": "y", "a": 2.5}]), one([{"c": True}])],
        [
            {"a": 1.0, "b": "x", "c": None},
            {"a": 2.5, "b": "y", "c": None},
            {"a": None, "b": None, "c": True},
        ],
    ),
    "not_null_inside": (
        [
            one([[1]], pa.list_(pa.field("element", pa.int64(), nullable=False))),
            one([[None]], pa.list_(pa.int64())),
        ],
        [[1], [None]],
    ),
    "not_null_in_maps": (
        [
            one([[("a", 1)]], pa.map_(S, pa.field("value", pa.int64(), nullable=False))),
            one([[("b", None)]], pa.map_(S, pa.int64())),
        ],
        [[("a", 1)], [("b", None)]],
    ),
    "dictionaries_inside": (
        [one([["a"]], pa.list_(pa.dictionary(pa.int32(), S))), one([["b"]], pa.list_(S))],
        [["a"], ["b"]],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_value_is_what_it_was(tmp_path, case):
    tables, expected = CASES[case]
    assert read(write(tmp_path / "in", *tables))["x"].to_pylist() == expected


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_files_does_not_matter(tmp_path, case):
    tables, expected = CASES[case]
    found = read(write(tmp_path / "in", *tables[::-1]))["x"].to_pylist()
    assert len(found) == len(expected)
    assert all(value in expected for value in found)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([one([2**53 + 1]), one([0.5])], r"int64 in \S+0.parquet and double in \S+1.parquet"),
        ([one([2**63], pa.uint64()), one([1])], r"uint64 in \S+0.parquet and int64 in"),
        (
            [one([dt.datetime(9999, 1, 1)]), one([NOON], pa.timestamp("ns"))],
            r"timestamp.us. in \S+0.pa",
        ),
        (
            [one([[2**60]]), one([[0.5]])],
            r"list<.*int64> in \S+0.parquet and list<.*double> in",
        ),
        ([one([{"a": 2**60}]), one([{"a": 0.5}])], "struct<a: int64> in"),
    ],
    ids=str,
)
def test_a_value_that_no_type_of_both_holds_is_refused_with_its_file(tmp_path, tables, words):
    with pytest.raises(SchemaMismatchError, match=f"'x': it is {words}"):
        read(write(tmp_path / "in", *tables))


@pytest.mark.parametrize(
    ("values", "kind", "field"),
    [
        ([0.1], pa.float64(), pa.float32()),
        (["007"], S, pa.int64()),
        ([1, None], pa.int64(), pa.field("x", pa.int64(), nullable=False)),
        ([NOON], pa.timestamp("us"), pa.date32()),
        ([300], pa.int64(), pa.int8()),
        ([-0.0], pa.float64(), pa.int64()),
        ([[1.0, -0.0]], pa.list_(pa.float32()), pa.list_(pa.decimal128(9, 2))),
    ],
)
def test_a_schema_that_is_asked_for_holds_each_value_or_is_refused(
    tmp_path, values, kind, field
):
    wanted = pa.schema([field if isinstance(field, pa.Field) else ("x", field)])
    folder = write(tmp_path / "in", one(values, kind))
    with pytest.raises(SchemaMismatchError, match=r"'x' is .* in \S+0.parquet and .* asked"):
        read(folder, wanted)


@pytest.mark.parametrize(
    ("values", "kind", "wanted", "expected"),
    [
        ([0.5], pa.float64(), pa.float32(), [0.5]),
        (["7"], S, pa.int64(), [7]),
        ([7], pa.int64(), S, ["7"]),
        ([dt.datetime(2024, 2, 29)], pa.timestamp("us"), pa.date32(), [DAY]),
        ([b"a"], pa.binary(), S, ["a"]),
        (["a", "a"], S, pa.dictionary(pa.int8(), S), ["a", "a"]),
        ([7], pa.int64(), pa.decimal128(20, 2), [7]),
    ],
)
def test_values_become_those_of_a_schema_that_is_asked_for(
    tmp_path, values, kind, wanted, expected
):
    folder = write(tmp_path / "in", one(values, kind))
    found = read(folder, pa.schema([("new", S), ("x", wanted)]))
    assert found["x"].to_pylist() == expected
    assert found["new"].to_pylist() == [None] * len(expected)


@pytest.mark.parametrize(
    ("index", "labels"),
    [
        ([pd.RangeIndex(10, 13)], [10, 11, 12]),
        ([pd.RangeIndex(0, 3), pd.RangeIndex(3, 6)], [0, 1, 2, 3, 4, 5]),
        ([pd.RangeIndex(4, -2, -2), pd.RangeIndex(0, 3)], [4, 2, 0, 0, 1, 2]),
        ([pd.Index([7, 5, 6]), pd.RangeIndex(0, 3)], [7, 5, 6, 0, 1, 2]),
        ([pd.RangeIndex(0, 3, name="row")], [0, 1, 2]),
    ],
)
def test_labels_of_pandas_follow_their_rows(tmp_path, index, labels):
    frames = [pd.DataFrame({"k": [3, 1, 2]}, index=each) for each in index]
    folder = write(tmp_path / "in", *frames)
    found = read(folder)
    name = index[0].name or "__index_level_0__"
    assert found[name].to_pylist() == labels
    source = open_source(folder, TUNING.io)
    back = found.replace_schema_metadata(source.schema.metadata).to_pandas()
    pd.testing.assert_frame_equal(back, pd.concat(frames))


def test_labels_follow_their_rows_in_each_row_group(tmp_path):
    frame = pd.DataFrame({"k": range(10)}, index=pd.RangeIndex(100, 110))
    frame.to_parquet(tmp_path / "0.parquet", row_group_size=3)
    assert read(tmp_path)["__index_level_0__"].to_pylist() == list(range(100, 110))


def test_labels_that_only_count_rows_are_counted_anew(tmp_path):
    frames = [pd.DataFrame({"k": [3, 1, 2][:n]}) for n in (3, 2)]
    folder = write(tmp_path / "in", *frames)
    assert read(folder).column_names == ["k"]
    told = open_source(folder, TUNING.io).schema.pandas_metadata
    assert told["index_columns"] == []


def test_what_pandas_is_told_is_of_the_united_types(tmp_path):
    frames = [
        pd.DataFrame({"a": pd.array([1], "Int32"), "b": [1], "c": pd.Categorical(["x"])}),
        pd.DataFrame({"a": pd.array([2], "UInt32"), "b": [0.5], "c": ["y"]}),
    ]
    folder = write(tmp_path / "in", *frames)
    found = read(folder)
    back = found.replace_schema_metadata(open_source(folder, TUNING.io).schema.metadata)
    frame = back.to_pandas()
    assert frame.to_dict("list") == {"a": [1, 2], "b": [1.0, 0.5], "c": ["x", "y"]}
    assert str(frame.dtypes["a"]) == "int64"


OLD = {"org.apache.spark.version": "3.5.0", "org.apache.spark.legacyDateTime": ""}


@pytest.mark.parametrize(
    ("early", "late", "kind"),
    [
        (dt.date(1500, 1, 1), DAY, pa.date32()),
        (dt.datetime(1850, 1, 1), NOON, pa.timestamp("us")),
        ([dt.date(1500, 1, 1)], [DAY], pa.list_(pa.date32())),
        ({"a": dt.datetime(1850, 1, 1)}, {"a": NOON}, pa.struct([("a", pa.timestamp("ms"))])),
        ([("a", dt.date(1500, 1, 1))], [("a", DAY)], pa.map_(S, pa.date32())),
    ],
)
def test_dates_that_two_calendars_have_otherwise_are_refused(tmp_path, early, late, kind):
    new = one([early], kind)
    old_late = one([late], kind).replace_schema_metadata(OLD)
    old_early = one([early], kind).replace_schema_metadata(OLD)
    assert read(write(tmp_path / "late", new, old_late)).num_rows == 2
    assert read(write(tmp_path / "same", old_early, old_early)).num_rows == 2
    words = r"calendar: dates of \S+1.parquet .* those of \S+0.parquet are not"
    with pytest.raises(SchemaMismatchError, match=words):
        read(write(tmp_path / "early", new, old_early))
