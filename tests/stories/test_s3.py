"""Sorts from and to a server that speaks S3, and what goes wrong with such."""

from __future__ import annotations

import io
import uuid

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

import dlsort
from dlsort.errors import DlsortError
from s3_server import Faults, client, s3_server

N_ROWS = 4_000

pytestmark = [
    # botocore's own
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def faults():
    return Faults()


@pytest.fixture(scope="module")
def server(faults):
    fsspec.filesystem("s3").clear_instance_cache()  # those that other tests have left
    with s3_server(faults) as address:
        yield address
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture
def bucket(server, faults, monkeypatch):
    faults.set("", lambda _: False, 0)
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"b{uuid.uuid4().hex}"
    s3 = client(server)
    s3.create_bucket(Bucket=name)
    rng = np.random.default_rng(3)
    for number in range(2):
        sink = io.BytesIO()
        keys = rng.integers(0, N_ROWS, N_ROWS)
        pq.write_table(pa.table({"k": keys, "row": range(N_ROWS)}), sink, row_group_size=1000)
        s3.put_object(Bucket=name, Key=f"in/{number}.parquet", Body=sink.getvalue())
    s3.put_object(Bucket=name, Key="text/a.csv", Body=b"k\n3\n1\n2\n")
    return name


def sort(bucket, src="in", dst="out", **options):
    return dlsort.sort_dataset(
        f"s3://{bucket}/{src}", f"s3://{bucket}/{dst}", by="k", threads=2, **options
    )


def names(server, bucket, prefix="out/"):
    found = client(server).list_objects_v2(Bucket=bucket, Prefix=prefix)
    return sorted(each["Key"] for each in found.get("Contents", []))


def uploads(server, bucket):
    return client(server).list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def whole(bucket, src="in"):
    return dlsort.check_dataset(
        f"s3://{bucket}/out", by="k", against=f"s3://{bucket}/{src}", threads=1
    ).ok


@pytest.mark.parametrize("src", ["in", "text/*.csv"])
def test_a_bucket_is_sorted_into_the_same(server, bucket, src):
    assert sort(bucket, src).proved
    assert whole(bucket, src)
    assert uploads(server, bucket) == []


def is_read(environ):
    return environ["REQUEST_METHOD"] == "GET" and "HTTP_RANGE" in environ


def is_write(environ):
    return environ["REQUEST_METHOD"] in ("PUT", "POST") and "/out" in environ["PATH_INFO"]


@pytest.mark.parametrize("kind", ["slow down", "reset"])
@pytest.mark.parametrize("wanted", [is_read, is_write], ids=["reads", "writes"])
def test_requests_that_fail_twice_are_made_again(server, bucket, faults, kind, wanted):
    faults.set(kind, wanted, 2)
    assert sort(bucket).proved
    assert faults.n_done == 2
    assert whole(bucket)
    assert uploads(server, bucket) == []


def is_of_the_job(environ):
    return environ["REQUEST_METHOD"] in ("PUT", "POST") and "/.out" in environ["PATH_INFO"]


@pytest.mark.parametrize("wanted", [is_read, is_of_the_job], ids=["reads", "writes"])
def test_a_store_that_stays_away_leaves_the_destination_as_it_was(
    server, bucket, faults, wanted, monkeypatch
):
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    sort(bucket)
    before = {
        name: client(server).head_object(Bucket=bucket, Key=name)["ETag"]
        for name in names(server, bucket)
    }
    faults.set("slow down", wanted, 10**9)
    with pytest.raises(DlsortError) as error:
        sort(bucket, overwrite=True)
    faults.set("", lambda _: False, 0)
    assert "\n" not in str(error.value)
    after = {
        name: client(server).head_object(Bucket=bucket, Key=name)["ETag"]
        for name in names(server, bucket)
    }
    assert after == before
    assert uploads(server, bucket) == []


def test_a_store_that_stays_away_while_the_new_is_published(
    server, bucket, faults, monkeypatch
):
    """What takes the place of the old can't be put back there either: it waits beside it."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    sort(bucket)
    faults.set("slow down", is_write, 10**9)
    with pytest.raises(DlsortError) as error:
        sort(bucket, overwrite=True)
    faults.set("", lambda _: False, 0)
    assert str(error.value).endswith("/out can't be written: Reduce your rate.")
    sort(bucket, overwrite=True, resume=True)
    assert whole(bucket)
    assert {name.partition("/")[0] for name in names(server, bucket, "")} == {
        "in",
        "out",
        "text",
    }
    assert uploads(server, bucket) == []
