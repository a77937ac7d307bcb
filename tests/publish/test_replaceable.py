"""What `--overwrite` replaces: a dataset, whoever wrote it, and nothing else."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

import dlsort
from commands import contents, dataset, sort, sorted_well, write
from commands import dlsort as command
from dlsort.errors import (
    BadOptionError,
    DestinationError,
    DestinationExistsError,
    SourceNotFoundError,
)
from dlsort.publish import replaceable
from dlsort.publish.replaceable import foreign, look, tables_apart, unseen
from dlsort.tuning import TUNING

TABLE = pa.table({"id": [3, 1, 2], "k": ["b", "a", "a"]})


def parquet(table: pa.Table = TABLE) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


PARQUET = parquet()
ENCRYPTED = b"PARE" + PARQUET[4:-4] + b"PARE"


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """Give a folder to work in: a source ``in``, and a dataset ``old``."""
    folder = tmp_path / "work"
    dataset(folder / "in", 1)
    write(folder / "old" / "part-00000.parquet", TABLE)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def bucket() -> Iterator[str]:
    """Give a bucket of a store of its own, with a source and a dataset ``old``."""
    store, url = fsspec.filesystem("memory"), f"memory://{uuid.uuid4().hex}"
    store.pipe_file(f"{url}/in/0.parquet", PARQUET)
    store.pipe_file(f"{url}/old/part-00000.parquet", PARQUET)
    yield url
    store.rm(url, recursive=True)


def put(place: str, name: str, data: bytes) -> None:
    if "://" in place:
        fsspec.filesystem("memory").pipe_file(f"{place}/{name}", data)
    else:
        path = Path(place, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def all_in(place: str) -> dict[str, Any]:
    if "://" not in place:
        return contents(Path(place))
    store = fsspec.filesystem("memory")
    return {name: store.cat_file(name) for name in store.find(place)}


@pytest.fixture(params=["folder", "store"])
def base(request, work, bucket) -> str:
    """Give where ``in`` and ``old`` are: in a file system, then in a store."""
    return str(work) if request.param == "folder" else bucket


def sort_onto(base: str, **options: Any) -> dlsort.SortReport:
    options = {"by": "id", "threads": 1, "partitions": 1, "overwrite": True, **options}
    return dlsort.sort_dataset(f"{base}/in", f"{base}/old", **options)


def refused(base: str, says: str, **options: Any) -> None:
    before = all_in(base)
    with pytest.raises(DestinationExistsError) as told:
        sort_onto(base, **options)
    assert says in str(told.value)
    assert all_in(base) == before


# ---------------------------------------------------------------- what is foreign

FOREIGN = {
    "notes.txt": "notes.txt",
    ".git/HEAD": ".git/",
    ".git/objects/pack.parquet": ".git/",
    "other/part-00000.parquet": "other/",
    "other/k=1/part-00000.parquet": "other/",
    "k=1/notes.txt": "k=1/notes.txt",
    "k=1/more/part-0.parquet": "k=1/more/",
    "_temporary/0/part-0.parquet": "_temporary/",
    "part-00001.parquet.bak": "part-00001.parquet.bak",
    "part-00001.csv": "part-00001.csv",
    "report.json": "report.json",
    ".hidden.parquet": ".hidden.parquet",
    "_hidden.parquet": "_hidden.parquet",
    ".notes.txt.crc": ".notes.txt.crc",
    ".x=1/part-0.parquet": ".x=1/",
    "_SUCCESS.txt": "_SUCCESS.txt",
    "_started_by_me": "_started_by_me",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_dataset_has_is_named_and_refused(base, name):
    put(f"{base}/old", name, PARQUET)
    refused(
        base, f"old holds 1 thing that belongs to no Parquet dataset: {FOREIGN[name]}. Choo"
    )


UNTRUE = {
    "x.parquet": [b"", b"PAR1", b"PAR1PAR1", b"not at all", PARQUET[:-1], PARQUET[1:]],
    "k=1/x.parq": [b"PARE" + PARQUET[4:]],
    "_metadata": [b"", b"mine, and no footers"],
}


@pytest.mark.parametrize(
    ("name", "data"), [(name, data) for name, many in UNTRUE.items() for data in many]
)
def test_a_file_that_only_has_the_name_of_parquet_is_refused(base, name, data):
    put(f"{base}/old", name, data)
    refused(base, f"no Parquet dataset: {name} (not Parquet).")


def test_a_file_that_only_has_the_name_of_checksums_is_refused(base):
    put(f"{base}/old", ".part-0.parquet.crc", b"mine")
    refused(base, "no Parquet dataset: .part-0.parquet.crc (no checksums).")


@pytest.mark.parametrize(
    "name", ["_SUCCESS", "k=1/_SUCCESS", "_started_4711", "_committed_4711"]
)
@pytest.mark.parametrize(
    "data",
    [b"important", b"[]", b'"mine"', b'{"todo": 1}', b'{"name": "me"}', b"\xff", b"[" * 10**5],
)
def test_a_file_that_only_has_the_name_of_a_marker_is_refused(base, name, data):
    put(f"{base}/old", name, data)
    refused(base, f"no Parquet dataset: {name} (holds what no marker does).")


def test_a_file_that_cannot_be_read_is_refused(work, monkeypatch):
    store = type(fsspec.filesystem("file"))

    def refuse(self: Any, path: str, *args: Any, **options: Any) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(store, "cat_file", refuse)
    refused(str(work), "no Parquet dataset: part-00000.parquet (can't be read).")


@pytest.mark.parametrize(
    ("log", "table"),
    [
        ("_delta_log/0.json", "Delta"),
        ("metadata/v1.metadata.json", "Iceberg"),
        (".hoodie/hoodie.properties", "Hudi"),
    ],
)
def test_the_log_of_a_table_is_told(base, log, table):
    put(f"{base}/old", log, b"{}")
    refused(base, f"{log.split('/')[0]}/ is the log of {table} tables. Choose another folder")


def test_the_first_few_are_named_and_how_many_there_are(base):
    for number in range(1_007):
        put(f"{base}/old", f"notes-{number:04}.txt", b"")
    refused(
        base, "holds 1,007 things that belong to no Parquet dataset: notes-0000.txt, notes-0"
    )
    refused(base, "notes-0004.txt and 1,002 more. Choose")


def test_names_that_would_play_tricks_on_a_terminal_are_escaped(base):
    put(f"{base}/old", "a\x1b[2Jb.txt", b"")
    refused(base, r"'a\x1b[2Jb.txt'")


LINKED: dict[str, Callable[[Path], Any]] = {
    "link.parquet (a link)": lambda old: (old / "link.parquet").symlink_to(
        "part-00000.parquet"
    ),
    "lost (a link)": lambda old: (old / "lost").symlink_to("nowhere"),
    "k=1 (a link)": lambda old: (old / "k=1").symlink_to("../in"),
    "pipe.parquet (a special file)": lambda old: os.mkfifo(old / "pipe.parquet"),
    "s.parquet (a special file)": lambda old: socket.socket(socket.AF_UNIX).bind(
        "old/s.parquet"
    ),
    "empty/": lambda old: (old / "empty").mkdir(),
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("what", LINKED)
def test_links_and_special_files_are_refused(work, what):
    LINKED[what](work / "old")
    with pytest.raises(DestinationExistsError, match="no Parquet dataset") as told:
        sort_onto(str(work))
    assert what in str(told.value)
    assert Path("old", "part-00000.parquet").exists()


def test_it_is_refused_before_anything_is_read(base):
    put(f"{base}/in", "0.parquet", b"corrupt")
    put(f"{base}/old", "notes.txt", b"mine")
    refused(base, "notes.txt")


def test_foreign_folders_are_not_searched(work, monkeypatch):
    (work / "old" / ".git" / "objects").mkdir(parents=True)
    scan, seen = os.scandir, []

    def spy(path: Any) -> Any:
        seen.append(Path(path).name)
        return scan(path)

    monkeypatch.setattr(os, "scandir", spy)
    assert foreign("old", look("old", deep=False)) == [".git/"]
    assert seen == ["old"]


def test_without_overwrite_anything_is_refused_as_ever(base):
    put(f"{base}/old", "notes.txt", b"mine")
    refused(base, "old already holds 2", overwrite=False)


# ---------------------------------------------------------------- what is a dataset's

OURS = {
    "part-00000-5f0c12345678.parquet": PARQUET,
    "part.0.parquet": PARQUET,
    "data_0.parq": PARQUET,
    "0.pq": PARQUET,
    "part-00000-6d3a-c000.snappy.parquet": PARQUET,
    "k=1/data_0.parquet": PARQUET,
    "k=1/day=2024-01-01/part-0.parquet": PARQUET,
    "_k=__HIVE_DEFAULT_PARTITION__/part-0.parquet": PARQUET,
    "_SUCCESS": b"",
    "k=1/_SUCCESS": b'{"by": "id", "rows": 1, "checksum": "0", "files": ["a.parquet"]}',
    "k=2/_SUCCESS": b'{"name": "org.apache.hadoop.fs.s3a.commit.files.SuccessData/1"}',
    "_metadata": PARQUET,
    "_common_metadata": PARQUET,
    ".part-00000.parquet.crc": b"crc\0\0\0\2\0",
    "._SUCCESS.crc": b"crc\0\0\0\2\0",
    "._metadata.crc": b"crc\0\0\0\2\0",
    "_started_4711": b"",
    "_committed_4711": b'{"added": ["part-0.parquet"], "removed": []}',
    "_committed_vacuum4711": b"{}",
}


def test_what_is_a_datasets_is_replaced(base):
    for name, data in OURS.items():
        put(f"{base}/old", name, data)
    assert sort_onto(base).proved
    left = [name.rsplit("/", 1)[-1] for name in all_in(f"{base}/old")]
    assert len(left) == (2 if "://" in base else 1)
    assert all(name.startswith(("part-00000", "_SUCCESS")) for name in left)
    assert dlsort.check_dataset(f"{base}/old", by="id", against=f"{base}/in").ok


def of(*columns: str) -> bytes:
    return parquet(pa.table({name: [1] for name in columns}))


APART = {
    ("customers.parquet", "part-00000.parquet"): of("id", "name"),
    ("db=2/users.parquet", "part-00000.parquet"): of("id", "mail"),
    ("part-00000.parquet", "part-00001.parquet"): of("user"),
    ("part-00000.parquet", "table=users/part-00000.parquet"): of("user"),
}


@pytest.mark.parametrize("names", APART, ids=" ".join)
def test_tables_side_by_side_are_not_one_dataset(base, names):
    put(f"{base}/old", next(n for n in names if n != "part-00000.parquet"), APART[names])
    put(f"{base}/old", "_SUCCESS", b"")
    refused(
        base,
        f"old does not look like one Parquet dataset: {names[0]} and {names[1]} hold different "
        'tables. Choose another folder, or pass overwrite="force"',
    )
    assert sort_onto(base, overwrite="force").proved


def test_tables_of_which_each_has_more_columns_than_another_are_three(base):
    for name, data in (
        ("a", of("id", "k", "x")),
        ("b", of("id", "k", "x", "y")),
        ("c", of("z")),
    ):
        put(f"{base}/old", f"{name}.parquet", data)
    refused(base, "c.parquet and part-00000.parquet hold different tables.")


def test_types_may_differ_and_columns_be_missing(base):
    put(f"{base}/old", "new.parquet", parquet(pa.table({"k": [1], "id": [1.0], "more": [0]})))
    put(f"{base}/old", "older.parquet", of("id"))
    assert sort_onto(base).proved


@pytest.mark.parametrize("name", ["part-00001.parquet", "secret.parquet"])
@pytest.mark.parametrize(
    "data", [ENCRYPTED, b"PAR1" + b"x" * 40 + b"PAR1"], ids=["encrypted", "broken"]
)
def test_a_footer_that_cannot_be_read_is_refused(base, name, data):
    put(f"{base}/old", name, data)
    refused(base, f"one Parquet dataset: the footer of {name} can't be read. Choose")


def test_of_many_files_with_names_alike_only_some_footers_are_read(work, monkeypatch):
    for n in range(300):
        put("old", f"k={n % 7}/part-{n:05}-{uuid.uuid4()}.snappy.parquet", PARQUET)
    read, seen = pq.read_schema, []
    monkeypatch.setattr(pq, "read_schema", lambda where: seen.append(where) or read(where))
    assert tables_apart("old", look("old"), TUNING.io) == []
    assert 3 <= len(seen) <= 130
    put("old", "k=3/other.parquet", of("z"))
    assert "k=3/other.parquet" in tables_apart("old", look("old"), TUNING.io)


def test_a_store_may_hold_objects_that_stand_for_folders():
    held = {"k=1/": (0, ""), "k=1/part-0.parquet": (len(PARQUET), "")}
    assert foreign("memory://nowhere/out", held) == []  # what is gone meanwhile does not matter
    assert tables_apart("memory://nowhere/out", held, TUNING.io) == []
    assert foreign("memory://nowhere/out", {**held, "notes/": (0, "")}) == ["notes/"]
    assert foreign("memory://nowhere/out", {**held, "k=1": (0, "")}) == []
    assert foreign("memory://nowhere/out", {**held, "k=1": (1, "")}) == ["k=1"]
    assert foreign("memory://nowhere/out", {**held, "k=2": (0, "")}) == ["k=2"]


def test_an_object_that_stands_for_a_folder_is_seen_and_not_foreign(bucket):
    store = fsspec.filesystem("memory")
    put(f"{bucket}/old", "k=1/part-0.parquet", PARQUET)
    marker = f"/{bucket.split('://')[1]}/old/k=1"
    store.store[marker] = MemoryFile(store, marker, b"")  # `pipe_file` makes none, as S3 does
    held = look(f"{bucket}/old")
    assert sorted(held) == ["k=1", "k=1/part-0.parquet", "part-00000.parquet"]
    assert foreign(f"{bucket}/old", held) == []


def test_what_nfs_keeps_of_a_removed_file_is_nobodys(work):
    (work / "old" / ".nfs00000001").write_bytes(b"removed, and open")
    held = look("old")
    assert foreign("old", held) == []
    (work / "old" / ".nfs00000002").write_bytes(b"removed since")
    assert unseen(look("old"), held) == []


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # in Dask
def test_what_others_write_is_a_dataset(tmp_path):
    frame = pd.DataFrame({"id": range(6), "k": list("aabbcc")})
    dask_frame = dd.from_pandas(frame, npartitions=2)
    dask_frame.to_parquet(tmp_path / "dask", write_metadata_file=True, compute=True)
    dask_frame.to_parquet(tmp_path / "hive", partition_on=["k"], compute=True)
    frame.to_parquet(tmp_path / "pandas", partition_cols=["k"])
    ds.write_dataset(pa.Table.from_pandas(frame), tmp_path / "arrow", format="parquet")
    for folder in tmp_path.iterdir():
        held = look(str(folder))
        assert len(held) >= 1
        assert foreign(str(folder), held) == tables_apart(str(folder), held, TUNING.io) == []
    assert "_metadata" in look(str(tmp_path / "dask"))
    assert "k=a/" in look(str(tmp_path / "hive"))


def test_what_polars_and_duckdb_write_is_a_dataset(tmp_path):
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    frame = polars.DataFrame({"id": [1, 2, 3], "k": ["a", "b", "b"]})
    frame.write_parquet(tmp_path / "polars", partition_by="k")
    duckdb.sql("SELECT * FROM frame").write_parquet(
        str(tmp_path / "duckdb"), partition_by=["k"]
    )
    for name in ("polars", "duckdb"):
        held = look(str(tmp_path / name))
        assert "k=a/" in held
        assert foreign(str(tmp_path / name), held) == []
        assert tables_apart(str(tmp_path / name), held, TUNING.io) == []


def test_neighbours_whose_names_begin_alike_are_left_alone(base):
    put(base, "old2/notes.txt", b"mine")
    put(base, "old.txt", b"mine")
    sort_onto(base)
    assert [data for data in all_in(base).values() if data == b"mine"] == [b"mine"] * 2


# ---------------------------------------------------------------- force


def test_who_insists_gets_rid_of_anything(base):
    for name in ("notes.txt", ".git/HEAD", "other/deep/x", "x.parquet", "_delta_log/0.json"):
        put(f"{base}/old", name, b"mine")
    if "://" not in base:
        Path(base, "old", "link").symlink_to("../in")
    sort_onto(base, overwrite="force")
    assert b"mine" not in all_in(base).values()
    assert dlsort.check_dataset(f"{base}/old", by="id", against=f"{base}/in").ok


def test_a_link_that_is_replaced_leaves_its_target(work):
    (work / "other").mkdir()
    (work / "other" / "notes.txt").write_text("mine")
    (work / "old" / "link").symlink_to("../other")
    sort_onto(str(work), overwrite="force")
    assert (work / "other" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("value", ["yes", "FORCE", "", None, 2])
def test_what_overwrite_can_be(work, value):
    before = contents(work)
    with pytest.raises(BadOptionError, match='expected True, False or "force"'):
        sort_onto(str(work), overwrite=value)
    assert contents(work) == before


@pytest.mark.parametrize(
    "args",
    [
        ("--overwrite", "in", "old", "--by", "id"),
        ("in", "--overwrite", "old", "--by", "id"),
        ("in", "old", "--by", "id", "--overwrite"),
        ("--by", "id", "--overwrite", "--", "in", "old"),
        ("in", "old", "--by", "id", "--overwrite=force"),
    ],
    ids=" ".join,
)
def test_the_option_stands_alone_or_with_force(work, args):
    result = command("sort", "--threads", 1, *args)
    assert result.exit_code == 0, result.output
    assert dlsort.check_dataset("old", by="id", against="in").ok
    (work / "old" / "notes.txt").write_text("mine")
    result = command("sort", "--threads", 1, *args)
    assert result.exit_code == (0 if "--overwrite=force" in args else 2), result.output
    assert Path("old", "notes.txt").exists() == (result.exit_code == 2)
    assert ("pass --overwrite=force" in result.output) == (result.exit_code == 2)


def test_the_option_takes_no_other_value(work):
    before = contents(work)
    result = sort("in", "old", "--overwrite=no")
    assert result.exit_code == 2
    assert "--overwrite is 'no'; expected it alone" in result.stderr
    assert contents(work) == before


def test_a_destination_of_the_name_of_the_option(work):
    result = command("sort", "--by", "id", "--threads", 1, "--", "in", "--overwrite")
    assert result.exit_code == 0, result.output
    assert dlsort.check_dataset(work / "--overwrite", by="id").ok


# ---------------------------------------------------------------- never this place


def never(destination: object, says: str) -> None:
    for overwrite in (False, True, "force"):
        with pytest.raises(DestinationError) as told:
            dlsort.sort_dataset("in", destination, by="id", overwrite=overwrite)
        assert says in str(told.value)


PLACES = [".", "..", "./", "in/..", "old/../../work", "/"]


@pytest.mark.parametrize("destination", PLACES)
def test_the_working_directory_and_what_is_above_are_never_replaced(work, destination):
    before = contents(work)
    never(destination, "which is never replaced; name a folder below it, such as /")
    assert contents(work) == before


@pytest.mark.parametrize("to", ["old", "notes", "nowhere"])
@pytest.mark.parametrize(
    "name", ["link", "link/", "./link", "in/../link", "../work/link", "../work/in/../link/."]
)
def test_a_link_is_no_destination_by_whatever_name(work, name, to):
    (work / "notes").mkdir()
    (work / "notes" / "mine.txt").write_text("mine")
    (work / "link").symlink_to(to)
    before = contents(work)
    for overwrite in (False, True, "force"):
        with pytest.raises(DestinationExistsError, match="is a symbolic link"):
            dlsort.sort_dataset("in", name, by="id", overwrite=overwrite)
    assert contents(work) == before


def test_an_empty_working_directory_is_none_either(work, monkeypatch):
    source = work / "in"
    (work / "here").mkdir()
    monkeypatch.chdir(work / "here")
    with pytest.raises(DestinationError, match="is the working directory, which is never"):
        dlsort.sort_dataset(source, ".", by="id")


def test_the_working_directory_by_another_name(work):
    (work.parent / "link").symlink_to("work")
    (work.parent / "up").symlink_to(work.parent.parent)
    never(work.parent / "link" / "in" / "..", "is the working directory")
    never(work.parent / "up" / work.parent.name, "is a folder above the working directory")
    for scheme in ("file", "local"):
        never(f"{scheme}://{work}", "is the working directory")


def test_a_working_directory_that_is_gone_protects_nothing(work, monkeypatch):
    (work / "gone").mkdir()
    monkeypatch.chdir(work / "gone")
    (work / "gone").rmdir()
    sort_onto(str(work))
    assert dlsort.check_dataset(work / "old", by="id").ok


def test_home_folders_are_never_replaced(work, monkeypatch):
    home = work / "homes" / "me"
    write(home / "part-00000.parquet", TABLE)
    monkeypatch.setenv("HOME", str(home))
    never(home, "is a home folder")
    never(home.parent, "is a folder above a home folder")
    sorted_well("in", home / "sorted", "--overwrite")


@pytest.mark.parametrize("how", ["mine", "of the folder's owner", "of one in the folder"])
def test_home_folders_of_the_system_are_never_replaced(work, monkeypatch, how):
    home = work / "homes" / "you"
    write(home / "part-00000.parquet", TABLE)
    uid = os.geteuid() if how == "mine" else 4711
    if how != "mine":
        if os.geteuid():
            pytest.skip("only root can give folders away")
        os.chown(home, uid, uid)

    def entry(number: int) -> Any:
        if number != uid:
            raise KeyError(number)
        return SimpleNamespace(pw_dir=str(home))

    monkeypatch.setattr(pwd, "getpwuid", entry)
    monkeypatch.setenv("HOME", str(work / "elsewhere"))
    if how == "of one in the folder":
        never(home.parent, "is a folder above a home folder")
    else:
        never(home, "is a home folder")


def test_a_folder_with_a_mount_in_it_is_never_replaced(work, monkeypatch):
    mount = work / "old" / "k=1 x"
    mount.mkdir()
    read_text = Path.read_text

    def told(self: Path, *args: Any, **options: Any) -> str:
        if self.name == "mountinfo":
            where = str(mount).replace(" ", r"\040")
            return f"36 35 98:0 /mnt1 {where} rw,noatime shared:1 - ext3 /dev/root rw\n"
        return read_text(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", told)
    never("old", f"is a folder with a mount in it ({mount})")
    never(mount, "is a mount point")


def test_where_the_system_does_not_tell_its_mounts(work, monkeypatch):
    def refuse(self: Path, *args: Any, **options: Any) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert replaceable.never_replaced(str(work / "old")) is None
    monkeypatch.setattr(Path, "is_mount", lambda self: True)
    assert replaceable.never_replaced(str(work / "old")) == "a mount point"


class Pail(MemoryFileSystem):
    """A store whose paths begin with a bucket, as those of S3 do."""

    protocol = "pail"
    root_marker = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("pail://").strip("/")


def test_a_bucket_and_a_whole_store_are_never_replaced(bucket):
    fsspec.register_implementation("pail", Pail, clobber=True)
    for url in ("memory://", "memory:///", bucket, f"{bucket}/", f"{bucket}//"):
        never_url(bucket, url, "is a bucket, or a whole store: it has no folder in it")
    for url in ("pail://", "pail://b", "pail:///b", "pail:////b/"):
        never_url(bucket, url, "is a bucket, or a whole store: it has no folder in it")
    assert replaceable.never_replaced("pail://b/out") is None


@pytest.mark.parametrize("inner", ["old/..", "../x/old", "./old", "old/."])
def test_dots_in_the_name_of_a_prefix_are_refused(bucket, inner):
    never_url(bucket, f"{bucket}/{inner}", "has a . or .. in it")


def never_url(bucket: str, url: str, says: str) -> None:
    before = all_in(bucket)
    for overwrite in (False, True, "force"):
        with pytest.raises(DestinationError) as told:
            dlsort.sort_dataset(f"{bucket}/in", url, by="id", overwrite=overwrite)
        assert says in str(told.value)
    assert all_in(bucket) == before


@pytest.mark.parametrize("name", ["old", "old/", "old//", "./old", "in/../old"])
def test_the_same_folder_by_other_names_is_looked_at_too(work, name):
    (work / "old" / "notes.txt").write_text("mine")
    before = contents(work)
    with pytest.raises(DestinationExistsError, match=r"notes\.txt"):
        dlsort.sort_dataset("in", name, by="id", overwrite=True)
    assert contents(work) == before


def test_a_link_with_a_slash_is_a_link(work):
    (work / "link").symlink_to("old")
    for name in ("link", "link/"):
        for overwrite in (True, "force"):
            with pytest.raises(DestinationExistsError, match="is a symbolic link"):
                dlsort.sort_dataset("in", name, by="id", overwrite=overwrite)


# ---------------------------------------------------------------- what comes meanwhile

CHANGES = ["notes.txt", "part-00009.parquet", "part-00000.parquet", "k=1/part-0.parquet"]


@pytest.mark.parametrize("overwrite", [True, "force"])
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_written_while_it_is_sorted_is_kept(base, monkeypatch, name, overwrite):
    check = dlsort.dataset.check_visible

    def check_and_write(*args: Any) -> Any:
        put(f"{base}/old", name, parquet(TABLE.slice(1)))
        return check(*args)

    before = all_in(base)
    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_write)
    with pytest.raises(DestinationExistsError, match="was filled by someone meanwhile") as told:
        sort_onto(base, overwrite=overwrite)
    assert name.split("/")[0] in str(told.value)
    after = all_in(base)
    assert [n for n in after if after[n] != before.get(n, "")] == [
        n for n in after if n.endswith((name, "k=1"))
    ]


@pytest.mark.parametrize("overwrite", [True, "force"])
def test_what_is_written_to_a_destination_that_was_not_there_is_kept(
    base, monkeypatch, overwrite
):
    remove_old(base)
    check = dlsort.dataset.check_visible

    def check_and_write(*args: Any) -> Any:
        put(f"{base}/old", "part-00000.parquet", PARQUET)
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_write)
    with pytest.raises(DestinationExistsError, match="was filled by someone meanwhile"):
        sort_onto(base, overwrite=overwrite)
    assert list(all_in(f"{base}/old").values()) == [PARQUET]


def remove_old(base: str) -> None:
    if "://" in base:
        fsspec.filesystem("memory").rm(f"{base}/old", recursive=True)
    else:
        shutil.rmtree(Path(base, "old"))


def test_what_others_remove_meanwhile_holds_nobody_up(base, monkeypatch):
    put(f"{base}/old", "part-00001.parquet", PARQUET)
    check = dlsort.dataset.check_visible

    def check_and_remove(*args: Any) -> Any:
        remove_old(base)
        put(f"{base}/.other", "x", b"")
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_remove)
    assert sort_onto(base).proved
    assert dlsort.check_dataset(f"{base}/old", by="id", against=f"{base}/in").ok


@pytest.mark.parametrize(
    "name", ["loop/out", "loop/a/b/out", "loop/../loop/out", "a/../loop/out"]
)
def test_a_destination_below_links_that_lead_in_a_circle_is_refused(work, name):
    (work / "loop").symlink_to("pool")
    (work / "pool").symlink_to("loop")
    says = r"loop/.*out can't be written: Too many levels of symbolic links\.$"
    with pytest.raises(DestinationError, match=says):
        dlsort.sort_dataset(work / "in", f"{work}/{name}", by="k")


def test_a_source_below_links_that_lead_in_a_circle_is_not_there(work):
    (work / "loop").symlink_to("loop")
    with pytest.raises(SourceNotFoundError, match=r"loop/in does not exist"):
        dlsort.sort_dataset(work / "loop" / "in", work / "new", by="k")
