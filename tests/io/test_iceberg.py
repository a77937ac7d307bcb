"""Iceberg: deletes in files of their own, files older than the table's columns, stores."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
)

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError
from dlsort.io.schema.differences import value_type

HOW = {
    "by position": DataFileContent.POSITION_DELETES,
    "by equality": DataFileContent.EQUALITY_DELETES,
}


class DeletesWriter(ManifestWriterV2):
    """Writes a manifest of files of deletes, which pyiceberg itself does not write."""

    def content(self):
        return ManifestContent.DELETES

    @property
    def _meta(self):
        return {**super()._meta, "content": "deletes"}


def delete_a_row(table, content):
    """Delete the row of id 2 as engines do that merge on read."""
    snapshot = table.current_snapshot()
    io = table.io
    (data,) = snapshot.manifests(io)
    (entry,) = data.fetch_manifest_entry(io)
    rows = {
        DataFileContent.POSITION_DELETES: pa.table(
            {"file_path": [entry.data_file.file_path], "pos": pa.array([1], pa.int64())}
        ),
        DataFileContent.EQUALITY_DELETES: pa.table({"id": pa.array([2], pa.int64())}),
    }[content]
    where = f"{table.location()}/data/deletes.parquet"
    pq.write_table(rows, where.removeprefix("file://"))
    deleted = DataFile.from_args(
        content=content,
        file_path=where,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=len(io.new_input(where)),
        equality_ids=[1] if content == DataFileContent.EQUALITY_DELETES else None,
    )
    deleted.spec_id = table.spec().spec_id
    made = io.new_output(f"{table.location()}/metadata/deletes.avro")
    this = snapshot.snapshot_id
    with DeletesWriter(table.spec(), table.schema(), made, this, "deflate") as writer:
        writer.add_entry(
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=this, data_file=deleted
            )
        )
    manifests = [writer.to_manifest_file(), data]
    whole = io.new_output(snapshot.manifest_list)
    io.delete(snapshot.manifest_list)
    number = snapshot.sequence_number
    with write_manifest_list(2, whole, this, None, number, "deflate") as written:
        written.add_manifests(manifests)


@pytest.fixture(params=HOW)
def deleted(request, tmp_path):
    catalog = InMemoryCatalog("c", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("n")
    schema = Schema(NestedField(1, "id", LongType(), required=False))
    table = catalog.create_table("n.t", schema)
    table.append(pa.table({"id": pa.array([1, 2, 3], pa.int64())}))
    delete_a_row(table, HOW[request.param])
    yield tmp_path / "w" / "n" / "t", request.param
    catalog.close()


def test_deletes_are_refused_at_each_door(tmp_path, deleted):
    table, how = deleted
    told = rf"has rows that are deleted {how} .*rewrite_data_files"
    with pytest.raises(BadOptionError, match=told):
        sort_dataset(table, tmp_path / "out", by="id", threads=1)
    with pytest.raises(BadOptionError, match=told):
        check_dataset(table, by="id")
    ran = command("sort", table, tmp_path / "out", "--by", "id")
    assert ran.exit_code == 2
    assert f"deleted {how}" in " ".join(ran.output.split())
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- older files

NESTED = pa.schema(
    [
        ("id", pa.int32()),
        ("f", pa.float32()),
        ("d", pa.decimal128(9, 2)),
        ("st", pa.struct([("a", pa.int32()), ("b", pa.string())])),
        ("l", pa.list_(pa.struct([("x", pa.int32()), ("y", pa.string())]))),
        ("m", pa.map_(pa.string(), pa.struct([("p", pa.int32()), ("q", pa.float32())]))),
    ]
)
ROWS = [  # pyiceberg takes null lists and maps for empty ones
    {"id": 2, "f": 0.1, "d": Decimal("1.50"), "st": {"a": 1, "b": "x"}, "l": [], "m": []},
    {"id": 1, "f": 2.5, "l": [{"x": 1, "y": "u"}, None], "m": [("k", {"p": 1, "q": 0.1})]},
    {"id": None, "st": {"a": 7}, "l": [], "m": [("k", None), ("j", {"p": 2})]},
]
DATA = pa.Table.from_pylist(ROWS, NESTED)


def filled(catalog, *, numbered):
    """Return a table with a file of its own, or with one that it took in from elsewhere."""
    table = catalog.create_table("n.t", NESTED)
    if numbered:
        table.append(DATA)
    else:
        where = f"{table.location()}/taken.parquet"
        pq.write_table(DATA, where.removeprefix("file://"))
        table.add_files([where])
    return table


def numbers_of(fields, above=""):
    """Return the number of each column and of whatever is in one, by path."""
    found = {}
    for field in fields:
        path, kind = f"{above}{field.name}", field.type
        found[path] = (field.metadata or {}).get(b"PARQUET:field_id")
        if pa.types.is_struct(kind):
            found |= numbers_of(kind, f"{path}.")
        elif pa.types.is_map(kind):
            inside = kind.key_field.with_name("key"), kind.item_field.with_name("value")
            found |= numbers_of(inside, f"{path}.")
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            found |= numbers_of([kind.value_field.with_name("element")], f"{path}.")
    return found


def drop(*path):
    return lambda update: update.delete_column(path)


def add(*path, kind):
    return lambda update: update.add_column(path, kind)


def widen(*path, kind):
    return lambda update: update.update_column(path, kind)


def rename(*path, to):
    return lambda update: update.rename_column(path, to)


FOLLOWED = {
    "a field of a struct is dropped": drop("st", "b"),
    "a field of a list's values is dropped": drop("l", "element", "y"),
    "a field of a map's values is dropped": drop("m", "value", "q"),
    "a field of a struct is added": add("st", "c", kind=LongType()),
    "a field of a list's values is added": add("l", "element", "z", kind=StringType()),
    "a field of a map's values is added": add("m", "value", "r", kind=DoubleType()),
    "a struct is added": add("n", kind=StructType(NestedField(50, "a", LongType()))),
    "a list is added": add("n", kind=ListType(50, StringType(), element_required=False)),
    "a decimal is added": add("n", kind=DecimalType(9, 2)),
    "integers are wider": widen("id", kind=LongType()),
    "floats are wider": widen("f", kind=DoubleType()),
    "decimals are wider": widen("d", kind=DecimalType(20, 2)),
    "integers in a struct are wider": widen("st", "a", kind=LongType()),
    "integers in lists are wider": widen("l", "element", "x", kind=LongType()),
    "floats in maps are wider": widen("m", "value", "q", kind=DoubleType()),
    "fields have another order": lambda update: update.move_first(("st", "b")),
    "all fields are others": lambda update: (
        update.delete_column(("st", "a"))
        .delete_column(("st", "b"))
        .add_column(("st", "c"), IntegerType())
    ),
}


@pytest.mark.parametrize(
    ("numbered", "more"),
    [(True, False), (True, True), (False, False)],
    ids=["old files", "a new file too", "files taken in"],
)
@pytest.mark.parametrize("change", FOLLOWED.values(), ids=FOLLOWED)
def test_older_files_get_the_columns_that_the_table_has_now(
    tmp_path, catalog, change, numbered, more
):
    table = filled(catalog, numbered=numbered)
    with table.update_schema() as update:
        change(update)
    if more:
        table.append(table.scan().to_arrow().slice(0, 1))
    path = tmp_path / "w" / "n" / "t"
    sort_dataset(path, tmp_path / "out", by="id:nulls_first,st", threads=1)
    expected = table.scan().to_arrow()
    found = pq.read_table(tmp_path / "out")
    kinds = [value_type(kind) for kind in expected.schema.types]
    assert [value_type(kind) for kind in found.schema.types] == kinds
    key = lambda row: (row["id"] is not None, row["id"])  # noqa: E731
    assert found.to_pylist() == sorted(expected.to_pylist(), key=key)
    if numbered:
        of_table = schema_to_pyarrow(table.schema(), include_field_ids=True)
        assert numbers_of(found.schema) == numbers_of(of_table)
    assert check_dataset(tmp_path / "out", against=path).ok


def test_a_table_without_a_file_gives_columns_of_all_its_types(tmp_path, catalog):
    catalog.create_table("n.t", NESTED)
    sort_dataset(tmp_path / "w" / "n" / "t", tmp_path / "out", by="d,st.a,m", threads=1)
    found = pq.read_table(tmp_path / "out")
    assert [value_type(kind) for kind in found.schema.types] == [
        value_type(kind) for kind in NESTED.types
    ]


RENAMED = {
    "a column": [rename("f", to="g")],
    "a column, whose name another has now": [rename("f", to="g"), rename("d", to="f")],
    "a field of a struct": [rename("st", "b", to="c")],
    "a field of a list's values": [rename("l", "element", "y", to="z")],
    "a field of a map's values": [rename("m", "value", "q", to="r")],
}


@pytest.mark.parametrize("numbered", [True, False], ids=["own", "taken in"])
@pytest.mark.parametrize("changes", RENAMED.values(), ids=RENAMED)
def test_older_files_of_renamed_columns_are_refused(tmp_path, catalog, changes, numbered):
    table = filled(catalog, numbered=numbered)
    for change in changes:
        with table.update_schema() as update:
            change(update)
    with pytest.raises(BadOptionError, match=r"Iceberg table \S+ has column '.*renamed since"):
        sort_dataset(tmp_path / "w" / "n" / "t", tmp_path / "out", by="id", threads=1)


@pytest.mark.parametrize("path", [("f",), ("st", "b"), ("m", "value", "q")], ids=".".join)
def test_a_dropped_column_does_not_come_back_in_another_of_its_name(tmp_path, catalog, path):
    table = filled(catalog, numbered=True)
    for change in (drop(*path), add(*path, kind=DoubleType())):
        with table.update_schema() as update:
            change(update)
    with pytest.raises(BadOptionError, match=rf"column '{'.'.join(path)}' that was dropped"):
        check_dataset(tmp_path / "w" / "n" / "t", by="id")


def test_files_without_numbers_are_refused_where_the_table_maps_no_names(tmp_path, catalog):
    table = filled(catalog, numbered=False)
    with table.transaction() as change:
        change.remove_properties("schema.name-mapping.default")
    with pytest.raises(BadOptionError, match=r"taken\.parquet numbers none .*name-mapping"):
        check_dataset(tmp_path / "w" / "n" / "t", by="id")
    mapping = json.dumps([{"field-id": 1, "names": ["id"]}])
    with table.transaction() as change:
        change.set_properties({"schema.name-mapping.default": mapping})
    with pytest.raises(BadOptionError, match="column 'f' that was dropped"):
        check_dataset(tmp_path / "w" / "n" / "t", by="id")


# ---------------------------------------------------------------- in a store


class MemoryIO(FsspecFileIO):
    """Writes tables to fsspec's memory."""

    def __init__(self, properties):
        super().__init__(properties)
        self._scheme_to_fs = {"memory": lambda _: fsspec.filesystem("memory")}


def test_a_table_in_a_store_gives_its_current_rows(tmp_path):
    root = f"memory://{uuid.uuid4().hex}"
    catalog = InMemoryCatalog("c", warehouse=root, **{"py-io-impl": f"{__name__}.MemoryIO"})
    catalog.create_namespace("n")
    schema = Schema(NestedField(1, "id", LongType(), required=False))
    table = catalog.create_table("n.t", schema)
    table.append(pa.table({"id": pa.array([3, 1, 2], pa.int64())}))
    table.overwrite(pa.table({"id": pa.array([9, 7, 8], pa.int64())}))
    sort_dataset(f"{root}/n/t", tmp_path / "out", by="id", threads=1)
    assert pq.read_table(tmp_path / "out")["id"].to_pylist() == [7, 8, 9]
    assert check_dataset(tmp_path / "out", against=f"{root}/n/t").ok
    catalog.close()
