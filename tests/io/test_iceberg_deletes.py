"""Iceberg tables of which rows are deleted by files of their own: refused, never read whole."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
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
