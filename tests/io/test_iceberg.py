"""Iceberg: tables with deletes in files of their own, refused, and tables in a store."""

from __future__ import annotations

import uuid

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.io.fsspec import FsspecFileIO
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
from pyiceberg.types import LongType, NestedField

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError

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
