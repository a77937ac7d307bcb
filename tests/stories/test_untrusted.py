"""Names and links that lead elsewhere, pickles in data, and what lies in temporary folders."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import contents, rows, write
from dlsort import check_dataset, sort_dataset
from dlsort.errors import SourceNotFoundError
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.store.spill import SpillFile
from dlsort_cluster.wire import read_stream


@pytest.fixture
def work(tmp_path):
    write(tmp_path / "in" / "0.parquet")
    return tmp_path


def n_sorted(work, src=None):
    """Sort, and return the rows of the result."""
    report = sort_dataset(src or work / "in", work / "out", by="id", threads=1, overwrite=True)
    assert report.rows == sum(
        pq.ParquetFile(p).metadata.num_rows for p in (work / "out").iterdir()
    )
    return report.rows


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "a/b", "..", ".", "", " ", "a\nb", "a.b", "%s{0}", "\0", "ä"]
)
def test_a_column_s_name_is_a_name_and_no_path(work, name):
    table = pa.table({name: [3, 1, 2], "k": ["c", "a", "b"]})
    write(work / "in" / "0.parquet", table)
    before = contents(work)
    report = sort_dataset(work / "in", work / "out", by="k", threads=1, partitions=2)
    after = contents(work)
    made = {"out", "out/part-00000.parquet", "out/part-00001.parquet"}
    assert after.keys() - before.keys() == made
    assert {path: after[path] for path in before} == before
    assert report.rows == 3
    found = pa.concat_tables(pq.ParquetFile(p).read() for p in sorted((work / "out").iterdir()))
    assert found.equals(table.sort_by("k"))


@pytest.mark.parametrize(
    "name", ["..parquet.parquet", "[a].parquet", "a b.pq", "-x.parquet", "%.parq"]
)
def test_a_file_s_name_is_taken_as_it_is(work, name):
    write(work / "in" / name)
    expected = 400 if name.startswith(".") else 800
    assert n_sorted(work) == expected


# ---------------------------------------------------------------- links


def test_links_to_folders_are_followed_but_not_in_circles(work):
    write(work / "elsewhere" / "1.parquet")
    (work / "in" / "loop").symlink_to(".")
    (work / "in" / "up").symlink_to("..")
    (work / "in" / "deep").mkdir()
    (work / "in" / "deep" / "root.parquet").symlink_to("/")
    assert n_sorted(work) == 400
    (work / "in" / "out.parquet").symlink_to(work / "elsewhere")
    assert n_sorted(work) == 800


def test_a_link_to_a_file_is_the_file(work):
    path = write(work / "elsewhere" / "1.parquet", rows(seed=1))
    (work / "in" / "1.parquet").symlink_to(path)
    before = path.read_bytes()
    assert n_sorted(work) == 800
    assert path.read_bytes() == before
    assert (work / "in" / "1.parquet").is_symlink()


def test_a_link_to_the_source_folder_is_the_folder(work):
    (work / "link").symlink_to("in")
    assert n_sorted(work, work / "link") == 400


@pytest.mark.parametrize("target", ["gone.parquet", "1.parquet", "../nowhere/x"])
def test_a_link_that_leads_nowhere_is_not_left_out_in_silence(work, target):
    (work / "in" / "1.parquet").symlink_to(target)
    with pytest.raises(SourceNotFoundError, match=r"1\.parquet links to no file"):
        n_sorted(work)
    with pytest.raises(SourceNotFoundError, match=r"1\.parquet links to no file"):
        check_dataset(work / "in", by="id")
    (work / "in" / "1.parquet").rename(work / "in" / "_1.parquet")  # hidden: not of the data
    assert n_sorted(work) == 400


def test_a_pipe_that_is_named_as_a_file_is_not_waited_for(work):
    os.mkfifo(work / "in" / "1.parquet")
    with pytest.raises(SourceNotFoundError, match=r"1\.parquet is not a file"):
        n_sorted(work)


# ---------------------------------------------------------------- temporary files


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("workers", [None, 1])
@pytest.mark.parametrize("is_link", [False, True])
def test_temporary_folders_are_private_and_new(tmp_path, open_umask, workers, is_link):
    temp = tmp_path / "temp"
    temp.mkdir()
    if is_link:
        (tmp_path / "link").symlink_to(temp)
    names = set()
    for _ in range(2):
        given = tmp_path / "link" if is_link else temp
        with connect(workers=workers, threads=1, temp_dir=str(given)) as client:
            (folder,) = temp.iterdir()
            names.add(folder.name)
            assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
            for place in client.run(lambda dask_worker: dask_worker.local_directory).values():
                assert Path(place).resolve().is_relative_to(folder.resolve())
        assert list(temp.iterdir()) == []
    assert len(names) == 2


def test_spilled_rows_have_no_name_and_one_reader(tmp_path, open_umask):
    file = SpillFile(str(tmp_path))
    file.append(memoryview(b"rows"))
    status = os.fstat(file._fd)
    assert stat.S_IMODE(status.st_mode) & 0o077 == 0
    assert status.st_nlink == 0
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- pickles


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "gone off")))
    assert (tmp_path / "gone off").exists()


def with_bombs(path: Path) -> pa.Table:
    """Return rows whose types and metadata hold pickles, as older pyarrow read them."""
    bomb = pickle.dumps(Bomb(path))
    field = pa.field(
        "x",
        pa.int64(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": bomb,
        },
    )
    schema = pa.schema(
        [field, pa.field("id", pa.int64()), pa.field("data", pa.binary())],
        metadata={"pandas": bomb, "dlsort.order.bands": bomb, "dlsort": bomb},
    )
    return pa.table([[3, 1, 2], [1, 3, 2], [bomb] * 3], schema=schema)


def test_no_pickle_is_read_from_a_file(work):
    mark = work / "gone off"
    write(work / "in" / "0.parquet", with_bombs(mark))
    assert n_sorted(work) == 3
    sort_dataset(work / "in", work / "by x", by="x", workers=1, partitions=2)
    assert check_dataset(work / "out", by="id", against=work / "in").ok
    assert not mark.exists()


def test_no_pickle_is_read_from_the_wire(tmp_path):
    mark = tmp_path / "gone off"
    sink = io.BytesIO()
    table = with_bombs(mark)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert read_stream(np.frombuffer(sink.getvalue(), np.uint8)).num_rows == 3
    assert not mark.exists()


# ---------------------------------------------------------------- values that can't be shown


@pytest.mark.parametrize(
    ("values", "kind", "shown"),
    [
        ([b"\xff", b"\xfe"], pa.string(), r"k=b'\\xff'"),
        ([b"\xff", b"\xfe"], pa.large_string(), r"k=b'\\xff'"),
        ([2, 1], pa.timestamp("us", "../../etc/passwd"), r"k=1970-01-01 00:00:00\.000002"),
        ([2, 1], pa.timestamp("ns", "No/Where"), r"k=1970"),
        ([2**62, 2**61], pa.timestamp("ms"), r"k=.*4611686018427387904"),
    ],
    ids=str,
)
def test_check_shows_what_no_text_and_no_day_is(tmp_path, values, kind, shown):
    raw = pa.binary() if kind == pa.string() else pa.large_binary()
    plain = pa.array(values, raw if isinstance(values[0], bytes) else pa.int64())
    column = pa.Array.from_buffers(kind, 2, plain.buffers())
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"k": column}), path)
    found = check_dataset(path, by="k")
    assert not found.ok
    assert re.search(shown, found.to_text())
    assert sort_dataset(path, tmp_path / "out", by="k", threads=1).rows == 2
    assert check_dataset(tmp_path / "out", by="k", against=path).ok
