"""CSV, JSON lines and Arrow IPC as sources: what is read is what they say, in their order."""

from __future__ import annotations

import datetime
import gzip
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import KEY_TYPES, column, payload
from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    RowsLostError,
    SchemaMismatchError,
    UnknownColumnError,
)
from dlsort.tuning import TUNING

SMALL = replace(TUNING, io=replace(TUNING.io, text_block_bytes=64, text_sample_bytes=32))


def sort(src, out, by="k", **options):
    return dlsort.sort_dataset(src, out, by=by, **{"threads": 2, "overwrite": True, **options})


def rows(out):
    return pq.read_table(out).to_pydict()


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ---------------------------------------------------------------- any table, in any format

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]),
    max_size=8,
)
TABLES = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | TEXT,
        st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.none() | st.booleans(),
        st.none() | st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1)),
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = pa.schema(
    {
        "k": pa.int64(),
        "s": pa.string(),
        "f": pa.float64(),
        "b": pa.bool_(),
        "t": pa.timestamp("us"),
    }
)


def table_of(found):
    columns = zip(*found, strict=True)
    arrays = [pa.array(c, kind) for c, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write_jsonl(table, path):
    lines = [json.dumps(row, default=str) for row in table.to_pylist()]
    path.write_text("".join(f"{line}\n" for line in lines))


WRITERS = {"csv": pa_csv.write_csv, "jsonl": write_jsonl, "arrow": feather.write_feather}


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=12)
@given(found=TABLES)
def test_any_table_comes_back_as_pandas_sorts_it(tmp_path_factory, kind, found):
    folder = tmp_path_factory.mktemp("any")
    table = table_of(found)
    WRITERS[kind](table, folder / f"in.{kind}")
    report = sort(folder / f"in.{kind}", folder / "out", schema=SCHEMA, _tuning=SMALL)
    assert report.proved
    assert report.rows == len(found)
    nulls = pd.Series([row[0] for row in found], dtype="Int64")
    order = nulls.sort_values(kind="stable").index.to_numpy()
    assert pq.read_table(folder / "out").equals(table.take(pa.array(order)))
    checked = dlsort.check_dataset(
        folder / "out", against=folder / f"in.{kind}", by="k", schema=SCHEMA
    )
    assert checked.ok


def test_every_type_of_arrow_comes_back_from_ipc(tmp_path):
    rng, table = np.random.default_rng(5), payload(60)
    for name in KEY_TYPES:
        table = table.append_column(f"key_{name}", column(rng, name, 60))
    with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    pq.write_table(table, tmp_path / "in.parquet")
    by = "key_int8,id"
    sort(tmp_path / "in.arrow", tmp_path / "one", by)
    sort(tmp_path / "in.parquet", tmp_path / "two", by)
    one, two = (pq.read_table(tmp_path / name) for name in ("one", "two"))
    for name in ("key_date64", "key_time32"):  # which Parquet keeps as date32 and milliseconds
        assert one[name].to_pylist() == two[name].to_pylist()
        one, two = one.drop_columns(name), two.drop_columns(name)
    assert one.schema.equals(two.schema)
    assert repr(one.to_pylist()) == repr(two.to_pylist())  # NaN too


def test_a_stream_of_ipc_that_is_packed(tmp_path):
    table = pa.table({"k": [3, 1, 2]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    write(tmp_path / "in.arrows.zst", zstandard.compress(sink.getvalue().to_pybytes()))
    sort(tmp_path / "in.arrows.zst", tmp_path / "out")
    assert rows(tmp_path / "out") == {"k": [1, 2, 3]}


def test_labels_of_pandas_are_not_counted_anew_in_each_piece(tmp_path):
    frame = pd.DataFrame({"k": np.arange(1000)[::-1]})
    feather.write_feather(pa.Table.from_pandas(frame), tmp_path / "in.feather", chunksize=100)
    sort(tmp_path / "in.feather", tmp_path / "out", _tuning=SMALL)
    assert pd.read_parquet(tmp_path / "out").columns.tolist() == ["k"]


# ---------------------------------------------------------------- packed, folders, order


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("threads", [1, 3])
def test_packed_files_of_many_blocks_keep_the_order_of_equal_keys(tmp_path, pack, threads):
    (tmp_path / "in").mkdir()
    suffix = "gz" if pack is gzip.compress else "zst"
    n = 0
    for number in (2, 10, 1):
        lines = [f"{i % 3},{number * 1000 + i}\n" for i in range(200)]
        write(
            tmp_path / "in" / f"part{number}.csv.{suffix}",
            pack(("k,row\n" + "".join(lines)).encode()),
        )
        n += 200
    report = sort(tmp_path / "in", tmp_path / "out", threads=threads, _tuning=SMALL)
    assert (report.rows, report.input_files) == (n, 3)
    found = pq.read_table(tmp_path / "out").to_pandas()
    expected = found.sort_values("row", kind="stable").sort_values("k", kind="stable")
    # natural order of names: 1, 2, 10; which is that of the numbers
    assert found["row"].tolist() == expected["row"].tolist()


@pytest.mark.parametrize("cut", [gzip.compress, zstandard.compress])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path, cut):
    suffix = "gz" if cut is gzip.compress else "zst"
    text = "k\n" + "".join(f"{i * 7919 % 10007}\n" for i in range(5000))
    path = write(tmp_path / f"a.csv.{suffix}", cut(text.encode())[:-400])
    with pytest.raises(CorruptSourceError, match=r"can't read .*a\.csv"):
        sort(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_folders_that_are_columns(tmp_path):
    for day in (2, 1):
        (tmp_path / "in" / f"day={day}").mkdir(parents=True)
        write(tmp_path / "in" / f"day={day}" / "a.csv", f"k\n{day * 10}\n")
    sort(tmp_path / "in", tmp_path / "out")
    assert rows(tmp_path / "out") == {"k": [10, 20], "day": [1, 2]}


def test_files_that_differ_are_united_as_parquet_files_are(tmp_path):
    write(tmp_path / "a.csv", "k,x\n2,1\n")
    write(tmp_path / "b.csv", "k,x,y\n1,1.5,\n")
    report = sort(tmp_path / "*.csv", tmp_path / "out")
    assert rows(tmp_path / "out") == {"k": [1, 2], "x": [1.5, 1.0], "y": [None, None]}
    assert [change.partition(" ")[0] for change in report.united_columns] == ["x", "y"]
    write(tmp_path / "b.csv", "k,x\n1,text\n")
    with pytest.raises(SchemaMismatchError, match=r"a\.csv.*b\.csv"):
        sort(tmp_path / "*.csv", tmp_path / "other")


def test_parquet_and_text_that_are_named_are_sorted_together(tmp_path):
    pq.write_table(pa.table({"k": [3]}), tmp_path / "a.parquet")
    write(tmp_path / "b.csv", "k\n1\n")
    write(tmp_path / "c.jsonl", '{"k": 2}\n')
    report = sort([tmp_path / n for n in ("a.parquet", "b.csv", "c.jsonl")], tmp_path / "out")
    assert rows(tmp_path / "out") == {"k": [1, 2, 3]}
    assert report.input_files == 3


def test_a_folder_of_two_formats_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "b.csv", "k\n1\n")
    write(tmp_path / "in" / "c.jsonl", '{"k": 2}\n')
    with pytest.raises(BadOptionError, match="expected files of one format"):
        sort(tmp_path / "in", tmp_path / "out")
    sort(tmp_path / "in", tmp_path / "out", ignore="*.csv")
    assert rows(tmp_path / "out") == {"k": [2]}


# ---------------------------------------------------------------- types


def values(tmp_path, text, name="in.csv", **options):
    sort(write(tmp_path / name, text), tmp_path / "out", **options)
    return rows(tmp_path / "out")


def test_a_quote_holds_lines_commas_and_quotes(tmp_path):
    text = 'k,s\n2,"a\n1,""b"", c"\n1,x"y\n'
    for tuning in (TUNING, SMALL):
        assert values(tmp_path, text, _tuning=tuning)["s"] == ['x"y', 'a\n1,"b", c']


def test_nothing_is_null_and_nothing_in_quotes_is_text(tmp_path):
    assert values(tmp_path, 'k,s\n1,\n2,""\n3,NA\n')["s"] == [None, "", "NA"]
    found = values(tmp_path, "k,s\n1,\n2,NA\n", csv_options={"null_values": ["", "NA"]})
    assert found["s"] == [None, None]


def test_a_column_of_one_has_nulls_in_empty_lines(tmp_path):
    assert values(tmp_path, "k\n2\n\n1\n")["k"] == [1, 2, None]


def test_leading_zeros_are_kept_if_the_type_is_text(tmp_path):
    assert values(tmp_path, "k\n007\n10\n")["k"] == [7, 10]
    assert values(tmp_path, "k\n007\n10\n", schema="k:string")["k"] == ["007", "10"]


def test_types_are_what_the_values_are(tmp_path):
    text = (
        "k,d,t,z,b,f,h\n"
        "1,2024-01-31,2024-01-31 12:00:00,2024-01-31T12:00:00+01:00,true,nan,10:00:00\n"
        "2,2024-02-01,2024-01-31 12:00:00,2024-01-31T12:00:00Z,false,1e3,\n"
    )
    sort(write(tmp_path / "in.csv", text), tmp_path / "out")
    found = pq.read_table(tmp_path / "out")
    kinds = ["int64", "date32[day]", "timestamp[us]", "timestamp[us, tz=UTC]", "bool", "double"]
    assert list(map(str, found.schema.types)) == [*kinds, "time32[ms]"]
    assert math.isnan(found["f"][0].as_py())


@pytest.mark.parametrize(
    "number", ["9223372036854775808", "-99999999999999999999", "12345678901234567891"]
)
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_whole_numbers_are_never_rounded(tmp_path, number, name):
    text = f"k\n{number}\n" if name == "in.csv" else f'{{"k": {number}}}\n'
    if int(number) != int(float(number)):
        with pytest.raises(SchemaMismatchError, match=rf"line \d: column 'k' holds {number}"):
            values(tmp_path, text, name)
    found = values(tmp_path, text, name, schema="k:decimal(38,0)")
    assert [int(v) for v in found["k"]] == [int(number)]


def test_whole_numbers_beside_fractions_are_not_rounded_either(tmp_path):
    with pytest.raises(SchemaMismatchError, match="line 3: column 'k' holds 9007199254740993"):
        values(tmp_path, "k\n0.5\n9007199254740993\n")
    assert values(tmp_path, "k\n0.5\n9007199254740992\n1e300\n")["k"][-1] == 1e300


def test_later_rows_may_need_wider_types(tmp_path):
    text = "k,x,y,t\n" + "1,1,,2024-01-01 00:00:00\n" * 40 + "0,1.5,z,2024-01-01 00:00:00.25\n"
    report = sort(write(tmp_path / "in.csv", text), tmp_path / "out", _tuning=SMALL)
    found = rows(tmp_path / "out")
    assert (found["x"][0], found["y"][0], found["x"][1]) == (1.5, "z", 1.0)
    assert report.checksum
    assert "types inferred from all rows" in report.read_as[0]


def test_later_objects_may_have_other_fields(tmp_path):
    text = '{"k": 1, "p": {"q": null}}\n' * 40 + '{"k": 0, "p": {"q": [1]}, "new": true}\n'
    sort(write(tmp_path / "in.jsonl", text), tmp_path / "out", _tuning=SMALL)
    found = pq.read_table(tmp_path / "out").to_pylist()
    assert found[0] == {"k": 0, "p": {"q": [1]}, "new": True}
    assert found[1] == {"k": 1, "p": {"q": None}, "new": None}


def test_the_report_tells_from_how_many_rows_types_are_inferred(tmp_path):
    text = "k\n" + "1\n" * 100
    report = sort(write(tmp_path / "in.csv", text), tmp_path / "out", _tuning=SMALL)
    assert report.read_as == ["CSV, 1 file; types inferred from the first 15 rows: k int64"]
    assert "read as    CSV, 1 file" in report.to_text()


def test_a_column_without_any_value_is_text(tmp_path):
    sort(write(tmp_path / "in.csv", "k,none\n1,\n"), tmp_path / "out")
    assert pq.read_schema(next((tmp_path / "out").iterdir())).field("none").type == pa.string()


def test_a_text_in_json_is_no_time_unless_it_is_said(tmp_path):
    text = '{"k": "2024-01-31", "t": "2024-01-31 12:00:00"}\n'
    assert values(tmp_path, text, "in.jsonl") == {
        "k": ["2024-01-31"],
        "t": ["2024-01-31 12:00:00"],
    }
    found = values(tmp_path, text, "in.jsonl", schema={"k": "date32", "t": "timestamp[us]"})
    assert found["k"] == [datetime.date(2024, 1, 31)]


def test_a_type_for_a_column_that_is_not_there(tmp_path):
    with pytest.raises(UnknownColumnError, match=r"'kk', which no file has. Did you mean 'k'"):
        values(tmp_path, "k\n1\n", schema="kk:int64")


def test_types_of_some_columns_of_parquet_files_too(tmp_path):
    pq.write_table(pa.table({"k": [2, 1], "x": ["a", "b"]}), tmp_path / "in.parquet")
    sort(tmp_path / "in.parquet", tmp_path / "out", schema="k:int32")
    assert pq.read_schema(next((tmp_path / "out").iterdir())).types == [pa.int32(), pa.string()]


# ---------------------------------------------------------------- what is refused, and where

BAD = {
    "few values": ("k,x\n1,2\n1\n", {}, "line 3 has 1 value; expected one for each of 2"),
    "a text among numbers": (
        "k\n" + "1\n" * 600_000 + "x\n" + "2\n" * 90,
        {},
        "line 600,002: column 'k' does not fit its type, int64: invalid value 'x'",
    ),
    "not of the type": ("k,x\n1,5\n2,a\n", {"schema": "x:int8"}, "line 3: column 'x'"),
    "not UTF-8": (b"k,x\n1,a\n2,\xff\n", {}, "column 'x' is not UTF-8"),
    "empty": ("", {}, "is empty"),
    "one name twice": ("k,k\n1,2\n", {}, "'k' is the name of two columns"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("tuning", [TUNING, SMALL], ids=["one block", "blocks"])
def test_csv_that_is_refused_by_its_line(tmp_path, case, tuning):
    text, options, says = BAD[case]
    write(tmp_path / "in.csv", text)
    with pytest.raises((CorruptSourceError, SchemaMismatchError), match=r"in\.csv") as error:
        sort(tmp_path / "in.csv", tmp_path / "out", _tuning=tuning, **options)
    assert says in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


BAD_JSON = {
    "another type": ('{"k": 1}\n' * 9 + '{"k": "x"}\n', "line 10: column 'k' changes from"),
    "cut off": ('{"k": 1}\n{"k": 2\n', "line 2 is no JSON lines"),
    "a list": ("[1, 2]\n", "line 1"),
    "not UTF-8": (b'{"k": "\xff"}\n', "line 1 is no JSON lines: not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_JSON)
@pytest.mark.parametrize("tuning", [TUNING, SMALL], ids=["one block", "blocks"])
def test_json_that_is_refused_by_its_line(tmp_path, case, tuning):
    text, says = BAD_JSON[case]
    write(tmp_path / "in.jsonl", text)
    with pytest.raises((CorruptSourceError, SchemaMismatchError), match=r"in\.jsonl") as error:
        sort(tmp_path / "in.jsonl", tmp_path / "out", _tuning=tuning)
    assert says in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_rows_that_are_lost_between_the_text_and_the_sort_are_noticed(tmp_path, monkeypatch):
    from dlsort.ingest import pieces

    write_table = pq.write_table

    def lose(table, path, **options):
        write_table(table.slice(1) if str(path).endswith("-000001.parquet") else table, path)

    monkeypatch.setattr(pieces.pq, "write_table", lose)
    write(tmp_path / "in.csv", "k\n" + "1\n" * 100)
    with pytest.raises(RowsLostError, match=r"100 rows of checksum .* were read, and 99"):
        sort(tmp_path / "in.csv", tmp_path / "out", _tuning=SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


# ---------------------------------------------------------------- how CSV is written


def test_options_of_csv_as_text_a_file_and_a_mapping(tmp_path):
    path = write(
        tmp_path / "in.txt", "2;'a;b';1,5;31.01.2024\n1;c;-;01.02.2024\n".encode("utf-16")
    )
    mapping = {
        "delimiter": ";",
        "quote": "'",
        "header": False,
        "names": ["k", "s", "f", "t"],
        "null_values": ["-"],
        "encoding": "utf-16",
        "decimal": ",",
        "timestamp_formats": ["%d.%m.%Y"],
    }
    text = (
        "delimiter=;,quote=',header=false,names=k|s|f|t,null_values=-,encoding=utf-16,"
        '"decimal=,",timestamp_formats=%d.%m.%Y'
    )
    write(tmp_path / "how.json", json.dumps(mapping))
    expected = {
        "k": [1, 2],
        "s": ["c", "a;b"],
        "f": [None, 1.5],
        "t": [datetime.datetime(2024, 2, 1), datetime.datetime(2024, 1, 31)],
    }
    for given_options in (mapping, text, tmp_path / "how.json"):
        sort(path, tmp_path / "out", input_format="csv", csv_options=given_options)
        assert rows(tmp_path / "out") == expected


def test_tabs_and_columns_without_names(tmp_path):
    found = values(tmp_path, "2\tb\n1\ta\n", "in.tsv", by="f0", csv_options="header=false")
    assert found == {"f0": [1, 2], "f1": ["a", "b"]}


@pytest.mark.parametrize(
    ("given_options", "says"),
    [
        ("delimitr=;", "Did you mean 'delimiter'"),
        ("delimiter=;;", "expected one sign"),
        ("header=perhaps", "expected true or false"),
        ("encoding=klingon", "such as utf-8"),
        ("delimiter=;,quote=;", "expected other signs"),
        ("nowhere.yaml", "there is no such file"),
        ({"names": 3}, "expected texts"),
        (3, "expected such as"),
    ],
    ids=str,
)
def test_options_of_csv_that_are_none(tmp_path, given_options, says):
    write(tmp_path / "in.csv", "k\n1\n")
    with pytest.raises(BadOptionError, match="csv_options") as error:
        sort(tmp_path / "in.csv", tmp_path / "out", csv_options=given_options)
    assert says in str(error.value)


def test_a_resumed_job_has_the_same_options(tmp_path):
    from dlsort.publish.job_file import Wanted

    one = {
        "by": "k", "files": [], "compression": "snappy", "row_group_rows": 1,
        "partition_size": None, "schema": "union", "manifest": True,
    }  # fmt: skip
    for name in ("input_format", "csv_options"):
        with pytest.raises(dlsort.errors.ResumeError, match=name):
            Wanted(**one, **{name: "csv"}).check_same(Wanted(**one), partitions=None)


def test_the_same_text_gives_the_same_parts(tmp_path):
    text = "k,x\n" + "".join(f"{i * 7919 % 997},{i}\n" for i in range(3000))
    write(tmp_path / "in.csv", text)
    for name in ("one", "two"):
        sort(tmp_path / "in.csv", tmp_path / name, partitions=3, _tuning=SMALL)
    for part in sorted((tmp_path / "one").iterdir()):
        assert part.read_bytes() == (tmp_path / "two" / part.name).read_bytes()


def test_lines_longer_than_what_is_parsed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("dlsort.ingest.text_rows.PARSED_BYTES", 64)
    rows = [
        {"k": 499 - i, "t": "a" * (i % 300), "u": "b\nc" if i % 3 else "d"} for i in range(500)
    ]
    write(tmp_path / "in.jsonl", "\n".join(map(json.dumps, rows)))
    pa_csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "in.csv")
    for name in ("in.jsonl", "in.csv"):
        sort(tmp_path / name, tmp_path / f"out of {name[3:]}s")
        assert pq.read_table(tmp_path / f"out of {name[3:]}s").to_pylist() == rows[::-1], name
