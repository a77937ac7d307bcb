"""Delta, Iceberg and Hudi: a folder that is a table gives its current rows, or is refused."""

from __future__ import annotations

import datetime
import decimal
import json
import shutil
import sys
import uuid

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, DoubleType, LongType, NestedField, StringType

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, CorruptSourceError, SourceNotFoundError
from dlsort.io.parquet.source import open_source
from dlsort.tuning import TUNING


def rows(out):
    return pq.read_table(out, partitioning=None).to_pylist()


def of(src, **options):
    """Return the rows that a source gives, in its order."""
    source = open_source(src, TUNING.io, **options)
    piece = source.piece(0, len(source.row_groups))
    return source.read(piece, source.schema.names).to_pylist()


# ---------------------------------------------------------------- Delta


def deleted(path):
    write_deltalake(path, pa.table({"id": [1, 2, 3]}))
    DeltaTable(path).delete("id = 3")


def updated(path):
    write_deltalake(path, pa.table({"id": [1, 2, 3], "v": ["a", "b", "c"]}))
    DeltaTable(path).update(updates={"v": "'z'"}, predicate="id > 1")


def overwritten(path):
    write_deltalake(path, pa.table({"id": [9, 9]}))
    write_deltalake(
        path, pa.table({"id": [1.5, 0.5]}), mode="overwrite", schema_mode="overwrite"
    )


def widened(path):
    write_deltalake(path, pa.table({"id": [1, 2]}))
    more = pa.table({"id": [3], "price": pa.array([decimal.Decimal("1.50")])})
    write_deltalake(path, more, mode="append", schema_mode="merge")


def compacted(path):
    for i in range(4):
        write_deltalake(path, pa.table({"id": [i]}), mode="append")
    DeltaTable(path).optimize.compact()
    DeltaTable(path).create_checkpoint()


def partitioned(path):
    table = pa.table(
        {
            "id": [1, 2, 3],
            "d": [datetime.date(2024, 1, 1), None, datetime.date(1600, 2, 3)],
            "a b": ["x/y", "é=1", "z%"],
            "ts": pa.array([1, None, 3], pa.timestamp("us", "UTC")),
            "p": pa.array([decimal.Decimal("1.5"), None, None], pa.decimal128(9, 2)),
        }
    )
    write_deltalake(path, table, partition_by=["d", "a b", "ts", "p"])
    DeltaTable(path).delete("id = 1")


DELTA = [deleted, updated, overwritten, widened, compacted, partitioned]


@pytest.mark.parametrize("make", DELTA)
def test_a_delta_table_gives_its_current_rows(tmp_path, make):
    path = str(tmp_path / "in")
    make(path)
    expected = sorted(
        DeltaTable(path).to_pyarrow_table().to_pylist(), key=lambda row: row["id"]
    )
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(of(path), key=key) == expected
    schema = open_source(path, TUNING.io).schema
    assert schema.names == [field.name for field in DeltaTable(path).schema().fields]
    store = fsspec.filesystem("memory")
    url = f"memory://{uuid.uuid4().hex}"
    store.put(path, f"{url}/t", recursive=True)
    try:
        assert sorted(of(f"{url}/t"), key=key) == expected
        with pytest.raises(BadOptionError, match="a table of format Delta"):
            of(f"{url}/t/*.parquet" if make is not partitioned else f"{url}/t/d=*/*")
    finally:
        store.rm(url, recursive=True)


def test_a_delta_table_at_each_door(tmp_path):
    partitioned(str(tmp_path / "in"))
    sort_dataset(tmp_path / "in", tmp_path / "out", by="a b:desc", threads=1)
    assert [row["id"] for row in rows(tmp_path / "out")] == [2, 3]
    assert rows(tmp_path / "out")[1]["d"] == datetime.date(1600, 2, 3)
    assert check_dataset(tmp_path / "out", against=tmp_path / "in").ok
    args = ("--by", "d", "--threads", 1, "--overwrite")
    assert command("sort", tmp_path / "in", tmp_path / "out", *args).exit_code == 0
    assert command("check", tmp_path / "out", "--against", tmp_path / "in").exit_code == 0


def test_no_part_of_a_delta_table_is_read_without_its_log(tmp_path):
    partitioned(str(tmp_path / "in"))
    part = next((tmp_path / "in").glob("d=1*"))
    file = next(part.glob("**/*.parquet"))
    for src in (part, file, f"{tmp_path}/in/*/*/*/*/*.parquet", (f"{tmp_path}/in/d=*",)):
        with pytest.raises(
            BadOptionError, match=r"/in, a table of format Delta.*Name the table"
        ):
            open_source(src, TUNING.io)
        with pytest.raises(BadOptionError, match="a table of format Delta"):
            check_dataset(src, by="id")
    assert len(of(part, ignore=["_delta_log"])) == 1
    assert len(of(tmp_path / "in", ignore=["_delta_log"])) == 3


def test_tables_below_a_folder_and_in_lists_are_snapshots_too(tmp_path):
    deleted(str(tmp_path / "lake" / "a"))
    deleted(str(tmp_path / "lake" / "b"))
    for src in (
        tmp_path / "lake",
        f"{tmp_path}/lake/*",
        (f"{tmp_path}/lake/a", f"{tmp_path}/lake/b"),
    ):
        assert [row["id"] for row in of(src)] == [1, 2, 1, 2]


def test_delta_tables_that_cannot_be_read_are_refused(tmp_path):
    path = str(tmp_path / "in")
    deleted(path)
    log = tmp_path / "in" / "_delta_log" / "00000000000000000002.json"
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7}
    protocol |= {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    data = next(path for path in DeltaTable(path).file_uris()).rpartition("/")[2]
    vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4}
    vector |= {"sizeInBytes": 40, "cardinality": 1}
    add = {"path": data, "partitionValues": {}, "size": 1, "modificationTime": 0}
    add |= {"dataChange": True, "deletionVector": vector}
    log.write_text("\n".join(json.dumps(one) for one in ({"protocol": protocol}, {"add": add})))
    with pytest.raises(BadOptionError, match="deleted by deletion vectors"):
        of(path)
    log.write_text("{nothing")
    with pytest.raises(CorruptSourceError, match=r"the log of the Delta table \S+/in can't be"):
        of(path)
    shutil.rmtree(tmp_path / "in" / "_delta_log")
    (tmp_path / "in" / "_delta_log").mkdir()
    with pytest.raises(CorruptSourceError, match="the log of the Delta table"):
        of(path)


def test_a_delta_table_with_other_names_in_its_files_is_refused(tmp_path):
    path = str(tmp_path / "in")
    deleted(path)
    log = tmp_path / "in" / "_delta_log" / "00000000000000000002.json"
    lines = (log.parent / "00000000000000000000.json").read_text().splitlines()
    old = next(one["metaData"] for one in map(json.loads, lines) if "metaData" in one)
    old["configuration"] = {"delta.columnMapping.mode": "name"}
    schema = json.loads(old["schemaString"])
    mapping = {"delta.columnMapping.physicalName": "col-1", "delta.columnMapping.id": 1}
    schema["fields"][0]["metadata"] = mapping
    old["schemaString"] = json.dumps(schema)
    protocol = {"minReaderVersion": 2, "minWriterVersion": 5}
    log.write_text(
        "\n".join(json.dumps(one) for one in ({"protocol": protocol}, {"metaData": old}))
    )
    with pytest.raises(BadOptionError, match="named otherwise in its files"):
        of(path)


def test_types_of_folders_are_refused_for_columns_that_a_table_tells(tmp_path):
    write_deltalake(str(tmp_path / "in"), pa.table({"id": [1], "p": [2]}), partition_by=["p"])
    told = r"names 'p', a column of the Delta table \S+/in, which tells its type"
    with pytest.raises(BadOptionError, match=told):
        sort_dataset(tmp_path / "in", tmp_path / "out", by="id", hive_types="p:int32")
    with pytest.raises(BadOptionError, match=told):
        check_dataset(tmp_path / "in", by="id", hive_types="p:int64")
    (tmp_path / "folders" / "p=2").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1]}), tmp_path / "folders" / "p=2" / "0.parquet")
    how = {"against": tmp_path / "in", "by": "id", "hive_types": "p:int64"}
    assert check_dataset(tmp_path / "folders", **how).ok


def test_an_empty_delta_table_gives_no_rows(tmp_path):
    partitioned(str(tmp_path / "in"))
    DeltaTable(tmp_path / "in").delete()
    check_empty(tmp_path / "in", tmp_path / "out", ["id", "d", "a b", "ts", "p"])
    write_deltalake(tmp_path / "full", pa.table({"id": [1], "z": [2.0]}))
    shutil.copytree(tmp_path / "in", tmp_path / "other")
    for names in (("in", "full", "other"), ("full", "other", "in")):
        found = of(tuple(str(tmp_path / name) for name in names))
        assert [(row["id"], row["d"], row["z"]) for row in found] == [(1, None, 2.0)]
    assert of((str(tmp_path / "in"), str(tmp_path / "other"))) == []


def check_empty(table, out, names):
    """Sort a table that has no row at each door."""
    assert sort_dataset(table, out, by="id", threads=1).rows == 0
    assert pq.read_table(out).schema.names == names
    assert check_dataset(out, against=table, by="id").ok
    assert command("sort", table, out, "--by", "id", "--overwrite").exit_code == 0


# ---------------------------------------------------------------- Iceberg


FIELDS = (
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "s", StringType(), required=False),
    NestedField(3, "d", DateType(), required=False),
)
DATA = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "s": ["a", "b", None, "d"],
        "d": [datetime.date(2024, 1, 1), None, datetime.date(1600, 1, 1), None],
    }
)


def of_ids(rows):
    return [row["id"] for row in rows]


def deleted_rows(table):
    table.append(DATA)
    table.append(DATA)
    table.delete(EqualTo("id", 2))
    return [1, 1, 3, 3, 4, 4]


def replaced(table):
    table.append(DATA)
    table.overwrite(DATA.slice(0, 1))
    return [1]


def added_column(table):
    table.append(DATA)
    with table.update_schema() as update:
        update.add_column("x", DoubleType())
    return [1, 2, 3, 4]


def dropped_column(table):
    table.append(DATA)
    with table.update_schema() as update:
        update.delete_column("s")
    return [1, 2, 3, 4]


def rolled_back(table):
    table.append(DATA)
    first = table.current_snapshot().snapshot_id
    table.append(DATA)
    table.manage_snapshots().set_current_snapshot(snapshot_id=first).commit()
    return [1, 2, 3, 4]


ICEBERG = [deleted_rows, replaced, added_column, dropped_column, rolled_back]


@pytest.mark.parametrize("change", ICEBERG)
@pytest.mark.parametrize("by_date", [False, True])
def test_an_iceberg_table_gives_its_current_rows(tmp_path, catalog, change, by_date):
    spec = (
        PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "d"))
        if by_date
        else PartitionSpec()
    )
    table = catalog.create_table("n.t", Schema(*FIELDS), partition_spec=spec)
    expected = change(table)
    path = tmp_path / "w" / "n" / "t"
    key = lambda row: row["id"]  # noqa: E731
    found = sorted(of(path), key=key)
    assert of_ids(found) == expected
    assert found == sorted(table.scan().to_arrow().to_pylist(), key=key)
    for src in (path / "data", f"{path}/data/**/*.parquet"):
        with pytest.raises(BadOptionError, match="a table of format Iceberg"):
            of(src)


def test_an_iceberg_table_at_each_door(tmp_path, catalog):
    table = catalog.create_table("n.t", Schema(*FIELDS))
    deleted_rows(table)
    path = tmp_path / "w" / "n" / "t"
    sort_dataset(path, tmp_path / "out", by="s:desc,id", threads=1)
    assert of_ids(rows(tmp_path / "out")) == [4, 4, 1, 1, 3, 3]
    assert check_dataset(tmp_path / "out", against=path).ok
    args = ("--by", "d", "--threads", 1, "--overwrite")
    assert command("sort", path, tmp_path / "out", *args).exit_code == 0
    assert command("check", tmp_path / "out", "--against", path).exit_code == 0
    assert command("check", path, "--by", "id").exit_code == 1


def test_iceberg_tables_that_cannot_be_read_are_refused(tmp_path, catalog):
    table = catalog.create_table("n.t", Schema(*FIELDS))
    path = tmp_path / "w" / "n" / "t"
    check_empty(path, tmp_path / "out", ["id", "s", "d"])
    table.append(DATA)
    table.delete("id > 0")
    check_empty(path, tmp_path / "emptied", ["id", "s", "d"])
    table.append(DATA)
    with table.update_schema() as update:
        update.rename_column("s", "text")
    with pytest.raises(BadOptionError, match=r"has column 'text', which is 's' in .* renamed"):
        of(path)
    newest = max((path / "metadata").glob("*.metadata.json"))
    shutil.copy(newest, newest.with_name(newest.name[:8] + "1" * 8 + ".metadata.json"))
    with pytest.raises(BadOptionError, match="2 metadata of number"):
        of(path)
    newest.with_name("00099-ab.metadata.json").write_text("{}")
    with pytest.raises(CorruptSourceError, match="the metadata of the Iceberg table"):
        of(path)
    newest.with_name("v1.metadata.json").write_bytes(newest.read_bytes())
    newest.with_name("version-hint.text").write_text("1")
    with pytest.raises(BadOptionError, match="renamed"):
        of(path)


# ---------------------------------------------------------------- Hudi, and what is missing


def test_a_file_that_a_table_names_and_is_not_there_is_told(tmp_path, catalog):
    deleted(str(tmp_path / "delta"))
    catalog.create_table("n.t", Schema(*FIELDS)).append(DATA)
    for path, kind in ((tmp_path / "delta", "Delta"), (tmp_path / "w" / "n" / "t", "Iceberg")):
        store = fsspec.filesystem("memory")
        url = f"memory://{uuid.uuid4().hex}"
        for file in path.glob("**/*.parquet"):
            file.unlink()
        store.put(str(path), f"{url}/t", recursive=True)
        for where in (path, f"{url}/t"):
            with pytest.raises(
                SourceNotFoundError, match=rf"the {kind} table \S+ names \S+, .* not there"
            ):
                of(where)
        store.rm(url, recursive=True)


def test_a_hudi_table_is_refused_with_the_way_to_do_it(tmp_path):
    (tmp_path / "in" / ".hoodie").mkdir(parents=True)
    (tmp_path / "in" / ".hoodie" / "hoodie.properties").write_text("hoodie.table.name=t")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "in" / "a.parquet")
    for src in (
        tmp_path / "in",
        (str(tmp_path / "in"),),
        f"{tmp_path}/i*",
        f"{tmp_path}/in/*.parquet",
    ):
        with pytest.raises(BadOptionError, match=r"Hudi.*--ignore \.hoodie"):
            of(src)
    assert of(tmp_path / "in", ignore=[".hoodie"]) == [{"id": 1}]


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_a_missing_package_is_told_with_its_name(tmp_path, monkeypatch, kind):
    package = {"delta": "deltalake", "iceberg": "pyiceberg"}[kind]
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"dlsort.io.tables.{kind}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    mark = {"delta": "_delta_log/0.json", "iceberg": "metadata/v1.metadata.json"}[kind]
    (tmp_path / mark).parent.mkdir()
    (tmp_path / mark).write_text("{}")
    with pytest.raises(
        BadOptionError, match=rf"{package} is not installed.*'dlsort\[{kind}\]'"
    ):
        of(tmp_path)


def test_a_delta_table_partitioned_by_bytes_is_refused(tmp_path):
    write_deltalake(tmp_path / "in", pa.table({"id": [1], "b": [b"a"]}), partition_by=["b"])
    with pytest.raises(BadOptionError, match="partitioned by 'b', which is binary"):
        of(tmp_path / "in")
