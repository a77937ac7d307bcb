"""The Arrow schema that parts tell: what their source tells, and nothing that it does not."""

from __future__ import annotations

import base64
import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import check_dataset, sort_dataset
from dlsort.io.schema.told_types import ARROW, told_types

READ = pa.schema([("k", pa.int64()), ("x", pa.date32())])
TOLD = pa.schema([("k", pa.int64()), ("x", pa.date64())])
LISTS = {
    "list": pa.array([[2], None, [1, None]], pa.list_(pa.int64())),
    "fixed": pa.array([[2], None, [None]], pa.list_(pa.int64(), 1)),
}


def stored(schema):
    return base64.b64encode(schema.serialize().to_pybytes())


def told_by(path):
    metadata = pq.read_metadata(path).metadata
    if ARROW not in metadata:
        return None
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata[ARROW])))


@pytest.mark.parametrize(
    ("files", "expected"),
    {
        "none tells": ([None, None], None),
        "all tell the same": ([stored(TOLD), stored(TOLD)], TOLD),
        "one tells": ([stored(TOLD), None], READ),
        "they disagree": ([stored(TOLD), stored(READ)], READ),
        "it is no schema": ([b"none", stored(READ).swapcase()], None),
        "of other columns": ([stored(TOLD.append(TOLD.field(0).with_name("z")))], None),
    }.values(),
)
def test_what_files_agree_on_is_told(files, expected):
    found = told_types([(READ, each) for each in files], READ)
    assert found is expected or found.equals(expected)


def test_a_type_that_no_file_has_is_told():
    assert told_types([(READ, None)], READ, has_own=True) == READ
    wider = READ.set(1, READ.field(1).with_type(pa.timestamp("s")))
    assert told_types([(READ, stored(TOLD))], wider) == wider


def test_parts_tell_nothing_where_their_source_does_not(tmp_path):
    table = pa.table({"k": [3, 1, 2], "t": [dt.datetime(1600, 1, 1)] * 3})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="k")
    assert told_by(tmp_path / "out" / "part-00000.parquet") is None
    assert pq.read_table(tmp_path / "out") == table.sort_by("k")
    assert check_dataset(tmp_path / "out", by="k", against=tmp_path / "a.parquet").ok


def test_parts_tell_types_that_pyarrow_does_not_keep(tmp_path):
    words = pa.dictionary(pa.int32(), pa.large_string())
    table = pa.table(
        {
            "k": [3, 1, 2],
            "d": pa.array([dt.date(2024, 1, 1), None, dt.date(1, 1, 1)], pa.date64()),
            "s": pa.array(["b", None, "a"]).cast(words),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="d")
    told = told_by(tmp_path / "out" / "part-00000.parquet")
    assert told.types == [pa.int64(), pa.date64(), words]


def test_views_of_lists_stay_such(tmp_path):
    views = pa.array([[2], None, [1, None]], pa.list_view(pa.int64()))
    pq.write_table(pa.table({"k": [3, 1, 2], "x": views}), tmp_path / "a.parquet")
    sort_dataset(tmp_path / "a.parquet", tmp_path / "out", by="k")
    found = pq.read_table(tmp_path / "out")["x"]
    assert found.type == views.type
    assert found.to_pylist() == [None, [1, None], [2]]


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("kind", LISTS)
def test_values_of_lists_have_the_names_that_they_had(tmp_path, kind, asked):
    table = pa.table({"k": [3, 1, 2], "xs": LISTS[kind]})
    source = tmp_path / "in"
    source.mkdir()
    pq.write_table(table, source / "a.parquet", use_compliant_nested_type=False)
    pq.write_table(table, source / "b.parquet")
    schema = table.schema if asked else "union"
    for what, name in (("a.parquet", "item"), ("b.parquet", "element"), ("", "item")):
        out = tmp_path / f"out-{what}-sorted"
        sort_dataset(source / what, out, by="k", schema=schema, partitions=2)
        found = [pq.ParquetFile(path) for path in sorted(out.iterdir())]
        assert {file.schema.column(1).path for file in found} == {f"xs.list.{name}"}
        assert pq.read_table(out)["xs"].to_pylist()[0] is None
