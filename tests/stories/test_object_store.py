"""Sorts from and to an object store: fsspec's own, which lives in this process's memory."""

from __future__ import annotations

import errno
import json
import re
import threading
import uuid
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import dlsort as command
from dlsort.errors import (
    BadOptionError,
    ClusterError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
    ResumeError,
    SchemaMismatchError,
    SourceChangedError,
    SourceNotFoundError,
)
from dlsort.publish.finished import finished_parts, keep_finished
from dlsort.strategies import opened
from dlsort.strategies import part as part_module
from dlsort.tuning import IoTuning, Tuning
from dlsort_cluster.exchange import ExchangeError

N_ROWS, N_PARTS = 3_000, 4


@pytest.fixture
def store():
    return fsspec.filesystem("memory")


@pytest.fixture
def bucket(store) -> str:
    """Give a bucket of its own, with a source in it."""
    url = f"memory://{uuid.uuid4().hex}"
    rng = np.random.default_rng(8)
    for number in range(3):
        keys = rng.integers(0, N_ROWS, N_ROWS)
        table = pa.table({"k": keys, "s": [f"{number} {row}" for row in range(N_ROWS)]})
        with store.open(f"{url}/in/{number}.parquet", "wb") as file:
            pq.write_table(table, file, row_group_size=500)
    yield url
    store.rm(url, recursive=True)


def names(store: Any, url: str) -> list[str]:
    below = store.find(url)
    return sorted(name.split("/", 2)[2] for name in below)


def read(store: Any, url: str) -> pa.Table:
    parts = [name for name in sorted(store.find(url)) if name.endswith(".parquet")]
    tables = []
    for part in parts:
        with store.open(part) as file:
            tables.append(pq.read_table(file))
    return pa.concat_tables(tables)


def sort(src: object, dst: object, **options: Any) -> dlsort.SortReport:
    options = {"by": "k", "partitions": N_PARTS, "threads": 1, **options}
    return dlsort.sort_dataset(src, dst, **options)


# For stories that tell what happens between one copy and the next.
ONE_BY_ONE = Tuning(io=IoTuning(store_requests=1))

WHOLE = ["_SUCCESS", *(f"part-{part:05}.parquet" for part in range(N_PARTS))]


def in_order(table: pa.Table) -> bool:
    keys = table["k"].to_numpy()
    return bool((keys[1:] >= keys[:-1]).all()) and table.num_rows == 3 * N_ROWS


@pytest.mark.parametrize("src", ["in", "in/", "in/*.parquet"])
def test_a_prefix_or_a_glob_is_sorted_into_another_prefix(store, bucket, src):
    report = sort(f"{bucket}/{src}", f"{bucket}/out/deep")
    assert report.proved
    found = [name.removeprefix("out/deep/") for name in names(store, f"{bucket}/out")]
    assert untagged(found) == WHOLE
    assert in_order(read(store, f"{bucket}/out/deep"))
    told = json.loads(store.cat_file(f"{bucket}/out/deep/_SUCCESS"))
    assert told == {
        "by": "k",
        "rows": 3 * N_ROWS,
        "checksum": report.checksum,
        "files": found[1:],
    }
    checked = dlsort.check_dataset(f"{bucket}/out/deep", by="k", against=f"{bucket}/in")
    assert checked.ok


def test_from_a_store_to_a_folder_and_back(store, bucket, tmp_path):
    sort(f"{bucket}/in", tmp_path / "out")
    sort(f"file://{tmp_path}/out", f"{bucket}/out", by="s")
    assert dlsort.check_dataset(f"{bucket}/out", by="s", against=f"{bucket}/in").ok
    parts = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert parts == WHOLE[1:]


def test_the_command_takes_urls(store, bucket):
    args = ("--by", "k", "--threads", 1, "--partitions", N_PARTS)
    assert command("sort", f"{bucket}/in", f"{bucket}/out", *args).exit_code == 0
    again = command("sort", f"{bucket}/in", f"{bucket}/out", *args)
    assert again.exit_code == 2
    assert f"{bucket}/out already holds 5 objects" in again.stderr


def test_the_marker_is_written_last(store, bucket, monkeypatch):
    written: list[str] = []
    copy, pipe = type(store).cp_file, type(store).pipe_file

    def cp_file(self: Any, path1: str, path2: str, **options: Any) -> None:
        written.append(path2.rsplit("/", 1)[1])
        copy(self, path1, path2, **options)

    def pipe_file(self: Any, path: str, value: bytes, **options: Any) -> None:
        if "/out/" in path:
            written.append(path.rsplit("/", 1)[1])
        pipe(self, path, value, **options)

    monkeypatch.setattr(type(store), "cp_file", cp_file)
    monkeypatch.setattr(type(store), "pipe_file", pipe_file)
    sort(f"{bucket}/in", f"{bucket}/out")
    assert untagged(written[:-1]) == WHOLE[1:]
    assert written[-1] == "_SUCCESS"


def test_the_old_is_kept_until_the_new_is_proved(store, bucket, monkeypatch):
    sort(f"{bucket}/in", f"{bucket}/out", partitions=6)
    before = {name: store.cat_file(name) for name in store.find(bucket)}
    with pytest.raises(DestinationExistsError, match="holds 7 objects"):
        sort(f"{bucket}/in", f"{bucket}/out")

    def lose(*args: Any) -> Any:
        raise dlsort.errors.RowsLostError("rows were lost.")

    monkeypatch.setattr(dlsort.strategies.choose, "check_outcome", lose)
    with pytest.raises(dlsort.errors.RowsLostError):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert {name: store.cat_file(name) for name in store.find(bucket)} == before
    monkeypatch.undo()
    data = store.cat_file(f"{bucket}/in/0.parquet")
    store.pipe_file(f"{bucket}/out/k=1/part-00001.parquet", data)
    store.pipe_file(f"{bucket}/out/k=2/part-00001.parquet", data)
    sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert untagged(names(store, f"{bucket}/out")) == [f"out/{name}" for name in WHOLE]
    assert in_order(read(store, f"{bucket}/out"))
    checked = dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in")
    assert checked.ok


def untagged(found: list[str]) -> list[str]:
    return sorted(re.sub(r"-[0-9a-f]{12}(?=\.parquet$)", "", name) for name in found)


def objects(store: Any, url: str) -> dict[str, bytes]:
    return {name: store.cat_file(name) for name in store.find(url)}


class Away:
    """A store of which some calls fail from one of them on, or only that one."""

    def __init__(self, store: Any, monkeypatch: Any) -> None:
        self._store, self._monkeypatch = store, monkeypatch

    def fail(
        self,
        name: str,
        error: BaseException,
        *,
        once: bool,
        among: str = "/out/",
        first: int = 3,
    ) -> None:
        call = getattr(type(self._store), name)
        calls = []

        def fails(fs: Any, *args: Any, **options: Any) -> Any:
            calls.extend(["call"] * any(among in str(arg) for arg in args))
            if len(calls) == first or (len(calls) > first and not once):
                raise error
            return call(fs, *args, **options)

        self._monkeypatch.setattr(type(self._store), name, fails)


@pytest.fixture
def away(store, monkeypatch) -> Away:
    return Away(store, monkeypatch)


@pytest.mark.parametrize("error", [OSError(5, "network gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("dst", ["out", "new"])
def test_a_copy_that_failed_is_taken_back(store, bucket, away, monkeypatch, error, dst):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    before = objects(store, bucket)
    away.fail("cp_file", error, once=True, among=f"/{dst}/")
    src = "out" if dst == "out" else "in"  # a prefix sorted onto itself
    expected = DestinationError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        sort(f"{bucket}/{src}", f"{bucket}/{dst}", overwrite=True)
    assert objects(store, bucket) == before
    away.fail("cp_file", error, once=True, among=f"/{dst}/")
    with pytest.raises(expected):
        sort(f"{bucket}/{src}", f"{bucket}/{dst}", overwrite=True, resume=True)
    assert {n: data for n, data in objects(store, bucket).items() if "/." not in n} == before
    monkeypatch.undo()
    report = sort(f"{bucket}/{src}", f"{bucket}/{dst}", overwrite=True, resume=True)
    assert report.resumed_parts == N_PARTS
    assert dlsort.check_dataset(f"{bucket}/{dst}", by="k", against=f"{bucket}/in").ok
    assert not [name for name in names(store, bucket) if ".partial" in name]


def test_parts_are_copied_at_once(store, bucket, monkeypatch):
    copy, all_under_way = type(store).cp_file, threading.Barrier(N_PARTS)

    def cp_file(self: Any, *args: Any, **options: Any) -> None:
        all_under_way.wait(60)
        copy(self, *args, **options)

    monkeypatch.setattr(type(store), "cp_file", cp_file)
    sort(f"{bucket}/in", f"{bucket}/out")
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok


def test_copies_under_way_are_waited_for_before_they_are_taken_back(store, bucket, monkeypatch):
    """Else one that ends later would stay in a destination whose sort has failed."""
    copy, remove = type(store).cp_file, type(store).rm_file
    under_way, removed = threading.Event(), threading.Event()
    calls: list[str] = []

    def cp_file(self: Any, *args: Any, **options: Any) -> None:
        calls.append("copy")
        if len(calls) == 1:
            under_way.wait(60)
            raise OSError(5, "network gone")
        under_way.set()
        removed.wait(0.2)
        copy(self, *args, **options)

    def rm_file(self: Any, path: str) -> None:
        if "/out/part" in path:
            removed.set()
        remove(self, path)

    monkeypatch.setattr(type(store), "cp_file", cp_file)
    monkeypatch.setattr(type(store), "rm_file", rm_file)
    with pytest.raises(DestinationError, match="network gone"):
        sort(f"{bucket}/in", f"{bucket}/out")
    assert removed.is_set()
    assert all(name.startswith("in/") for name in names(store, bucket))


@pytest.mark.parametrize("src", ["in", "out"])
def test_a_client_that_ended_while_it_copied_is_gone_on_from(
    store, bucket, away, monkeypatch, src
):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    whole = objects(store, f"{bucket}/out")
    away.fail("cp_file", KeyboardInterrupt(), once=False)
    away.fail("rm_file", OSError(5, "out of reach"), once=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        sort(f"{bucket}/{src}", f"{bucket}/out", overwrite=True, _tuning=ONE_BY_ONE)
    assert "may be neither what it was nor whole" in caught.value.__notes__[0]
    monkeypatch.undo()
    mixed = objects(store, f"{bucket}/out")
    assert len(mixed) == N_PARTS + 1  # one new part, no marker
    assert not [name for name in mixed if name.endswith("_SUCCESS")]
    with pytest.raises(ResumeError, match="has begun to publish"):
        sort(f"{bucket}/{src}", f"{bucket}/out", overwrite=True)
    assert objects(store, f"{bucket}/out") == mixed
    with pytest.raises(DestinationExistsError):
        sort(f"{bucket}/{src}", f"{bucket}/out", resume=True)
    assert objects(store, f"{bucket}/out") == whole  # taken back
    report = sort(f"{bucket}/{src}", f"{bucket}/out", overwrite=True, resume=True)
    assert report.resumed_parts == N_PARTS
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok
    assert untagged(names(store, f"{bucket}/out")) == [f"out/{name}" for name in WHOLE]
    assert not [name for name in names(store, bucket) if ".partial" in name]


@pytest.mark.parametrize("src", ["in", "out"])
def test_a_client_that_ended_while_it_removed_the_old_is_gone_on_from(
    store, bucket, away, monkeypatch, src
):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    away.fail("rm_file", KeyboardInterrupt(), once=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        sort(f"{bucket}/{src}", f"{bucket}/out", overwrite=True)
    assert "--resume" in caught.value.__notes__[0]
    monkeypatch.undo()
    if src == "in":
        report = sort(f"{bucket}/in", f"{bucket}/out", resume=True)
        assert report.proved
        assert report.resumed_parts == N_PARTS
        told = json.loads(store.cat_file(f"{bucket}/out/_SUCCESS"))
        assert told["checksum"] == report.checksum
    else:  # sorted onto itself: what is there now is another source
        with pytest.raises(DestinationExistsError, match="already holds 5"):
            sort(f"{bucket}/out", f"{bucket}/out", resume=True)
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok
    assert not [name for name in names(store, bucket) if ".partial" in name]


@pytest.fixture
def removing(store, bucket, away, monkeypatch) -> str:
    """Give a bucket with a sort whose client ended while it removed the old."""
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    away.fail("rm_file", KeyboardInterrupt(), once=False)
    with pytest.raises(KeyboardInterrupt):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    monkeypatch.undo()
    return bucket


def changed_by_others(store: Any, url: str, change: str) -> None:
    """Do what an operator, or another tool, may do to half a destination."""
    (path,) = [name for name in store.find(url.rsplit("/", 1)[0]) if "publish.json" in name]
    names_of_new = json.loads(store.cat_file(path))["files"]
    new = [name for name in store.find(url) if name.rsplit("/", 1)[1] in names_of_new]
    if change == "a part lost":
        store.rm_file(new[1])
    elif change == "a part of another size":
        store.pipe_file(new[1], b"short")
    elif change == "an object more":
        store.pipe_file(f"{url}/part-00001.parquet", b"another's")
    elif change == "an old one written again":
        store.pipe_file(next(name for name in store.find(url) if name not in new), b"anew")
    else:
        store.pipe_file(f"{url}/_SUCCESS", b"{}")


CHANGES = [
    "a part lost",
    "a part of another size",
    "an object more",
    "an old one written again",
    "a marker",
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_removed_from_what_others_have_changed(store, removing, change):
    changed_by_others(store, f"{removing}/out", change)
    before = objects(store, removing)
    with pytest.raises(DestinationError, match="Nothing was changed: put that right, or rem"):
        sort(f"{removing}/in", f"{removing}/out", overwrite=True, resume=True)
    assert objects(store, removing) == before


def test_a_copied_bucket_is_one_of_its_own(store, removing, bucket):
    other = f"memory://{uuid.uuid4().hex}"
    for name, data in objects(store, removing).items():
        store.pipe_file(name.replace(removing.split("//")[1], other.split("//")[1]), data)
    before = objects(store, removing)
    with pytest.raises(DestinationError, match="was written there by others"):
        sort(f"{other}/in", f"{other}/out", overwrite=True, resume=True)
    assert objects(store, removing) == before
    store.rm(other, recursive=True)


def test_a_record_that_names_other_files_is_refused(store, removing):
    (path,) = [name for name in store.find(removing) if name.endswith("publish.json")]
    record = json.loads(store.cat_file(path))
    store.pipe_file(path, json.dumps({**record, "files": {"../in/0.parquet": 1}}).encode())
    before = objects(store, removing)
    with pytest.raises(DestinationError, match="names files that are none of the job's"):
        sort(f"{removing}/in", f"{removing}/out", overwrite=True, resume=True)
    assert objects(store, removing) == before


@pytest.mark.parametrize("when", ["copied", "begun"])
def test_of_two_that_publish_at_once_one_gives_way(store, bucket, monkeypatch, when):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    copy, begin = type(store).cp_file, dlsort.publish.to_store.begin
    refused: list[str] = []

    def sort_another() -> None:
        monkeypatch.undo()
        with pytest.raises((DestinationError, ResumeError)) as caught:
            sort(f"{bucket}/in", f"{bucket}/out", by="s:desc", overwrite=True)
        refused.append(str(caught.value))

    def cp_file(self: Any, *args: Any, **options: Any) -> None:
        if not refused:
            sort_another()
        copy(self, *args, **options)

    def begin_and_wait(*args: Any, **options: Any) -> Any:
        record = begin(*args, **options)
        monkeypatch.undo()
        sort(f"{bucket}/in", f"{bucket}/out", by="s:desc", overwrite=True)
        return record

    if when == "copied":
        monkeypatch.setattr(type(store), "cp_file", cp_file)
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True, _tuning=ONE_BY_ONE)
        assert "has begun to publish" in refused[0]
        by = "k"
    else:
        monkeypatch.setattr(dlsort.publish.to_store, "begin", begin_and_wait)
        with pytest.raises(DestinationExistsError, match="not what it was a moment ago"):
            sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
        by = "s:desc"
    assert dlsort.check_dataset(f"{bucket}/out", by=by, against=f"{bucket}/in").ok
    assert untagged(names(store, f"{bucket}/out")) == [f"out/{name}" for name in WHOLE]
    assert not [name for name in names(store, bucket) if ".partial" in name]


def test_one_that_has_begun_to_publish_is_given_way_to(store, bucket, monkeypatch):
    begin = dlsort.publish.to_store.begin

    def begin_after_another(*args: Any, **options: Any) -> Any:
        store.pipe_file(f"{bucket}/.out.0123456789ab.partial/publish.json", b"{}")
        return begin(*args, **options)

    monkeypatch.setattr(dlsort.publish.to_store, "begin", begin_after_another)
    with pytest.raises(DestinationExistsError, match="another sort publishes to it"):
        sort(f"{bucket}/in", f"{bucket}/out")
    assert not store.find(f"{bucket}/out")


@pytest.mark.parametrize("source_stays", [True, False])
def test_a_client_that_was_taken_for_dead_does_no_harm(
    store, bucket, monkeypatch, source_stays
):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    copy = type(store).cp_file
    reports: list[Any] = []

    def cp_file(self: Any, path1: str, path2: str, **options: Any) -> None:
        data = store.cat_file(path1)
        if not reports:
            reports.append(None)
            reports.append(sort(f"{bucket}/in", f"{bucket}/out", overwrite=True, resume=True))
        if source_stays:  # as where the other is not done yet when this one goes on
            self.pipe_file(path2, data)
        else:
            copy(self, path1, path2, **options)

    monkeypatch.setattr(type(store), "cp_file", cp_file)
    with pytest.raises(DestinationError):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True, _tuning=ONE_BY_ONE)
    assert reports[1].proved
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok
    assert untagged(names(store, f"{bucket}/out")) == [f"out/{name}" for name in WHOLE]
    told = json.loads(store.cat_file(f"{bucket}/out/_SUCCESS"))
    assert [f"out/{name}" for name in told["files"]] == names(store, f"{bucket}/out")[1:]
    assert not [name for name in names(store, bucket) if ".partial" in name]


@pytest.mark.parametrize("src", ["in", "out"])
def test_a_client_slow_to_say_that_all_is_copied_removes_nothing(
    store, bucket, monkeypatch, src
):
    """It hangs in that very call while another, told to resume, takes back its parts."""
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    before = objects(store, f"{bucket}/out")
    keep, others = dlsort.publish.to_store.Record.keep, []

    def keep_late(self: Any, path: str) -> None:
        if self.is_copied and not others:
            others.append("resumes")
            with pytest.raises(DestinationExistsError):
                sort(f"{bucket}/{src}", f"{bucket}/out", resume=True)
            others.append("gives way")
        keep(self, path)

    monkeypatch.setattr(dlsort.publish.to_store.Record, "keep", keep_late)
    with pytest.raises(DestinationExistsError):
        sort(f"{bucket}/{src}", f"{bucket}/out", overwrite=True)
    assert len(others) == 2
    assert objects(store, f"{bucket}/out") == before


def test_a_client_that_was_claimed_from_touches_nothing(store, bucket, monkeypatch):
    """Another has begun to take back what it copied when it says that all is there."""
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    keep, seen = dlsort.publish.to_store.Record.keep, []

    def keep_after_claim(self: Any, path: str) -> None:
        if self.is_copied:
            store.pipe_file(f"{path}.claim", b"")
        keep(self, path)
        if self.is_copied:
            seen.append(objects(store, bucket))

    monkeypatch.setattr(dlsort.publish.to_store.Record, "keep", keep_after_claim)
    with pytest.raises(DestinationExistsError, match="another client has resumed") as caught:
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert "--resume" in caught.value.__notes__[0]
    assert objects(store, bucket) == seen[0]
    monkeypatch.undo()
    report = sort(f"{bucket}/in", f"{bucket}/out", resume=True)  # it had all copied
    assert report.resumed_parts == N_PARTS
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok
    assert not [name for name in names(store, bucket) if ".partial" in name]


@pytest.mark.parametrize("left", ["claim", "claim and record"])
def test_a_claim_whose_client_ended_holds_nobody_up(store, bucket, away, monkeypatch, left):
    away.fail("cp_file", KeyboardInterrupt(), once=False)
    away.fail("rm_file", OSError(5, "out of reach"), once=False)
    with pytest.raises(KeyboardInterrupt):
        sort(f"{bucket}/in", f"{bucket}/out", resume=True, _tuning=ONE_BY_ONE)
    monkeypatch.undo()
    (path,) = [name for name in store.find(bucket) if name.endswith("publish.json")]
    store.pipe_file(f"{path}.claim", b"")
    if left == "claim":
        for name in store.find(f"{bucket}/out"):
            store.rm_file(name)
        store.rm_file(path)
    assert sort(f"{bucket}/in", f"{bucket}/out", resume=True).resumed_parts == N_PARTS
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok
    assert not [name for name in names(store, bucket) if ".partial" in name]


def test_the_marker_of_the_old_is_put_back_by_the_last_that_gives_way(
    store, bucket, monkeypatch
):
    """One copies a part while another, told to resume, takes back what it has copied."""
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    before = objects(store, f"{bucket}/out")
    copy, look, late = type(store).cp_file, dlsort.publish.to_store._look, []

    def look_after_copy(folder: str) -> Any:
        if folder.endswith("/out") and len(late) == 1:
            args, options = late[0]
            late.append("copied")
            copy(store, *args, **options)
        return look(folder)

    def cp_file(self: Any, *args: Any, **options: Any) -> None:
        if late or not store.find(f"{bucket}/out", detail=False)[N_PARTS:]:
            copy(self, *args, **options)  # the first part
            return
        late.append((args, options))
        with pytest.raises(DestinationExistsError):
            sort(f"{bucket}/in", f"{bucket}/out", resume=True)

    monkeypatch.setattr(type(store), "cp_file", cp_file)
    monkeypatch.setattr(dlsort.publish.to_store, "_look", look_after_copy)
    with pytest.raises(DestinationError):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True, _tuning=ONE_BY_ONE)
    assert late[1] == "copied"
    assert objects(store, f"{bucket}/out") == before


def test_a_published_sort_that_has_lost_a_part_is_not_the_result(
    store, bucket, away, monkeypatch
):
    away.fail("rm_file", KeyboardInterrupt(), once=False, among=".partial", first=2)
    away.fail("rm", OSError(5, "out of reach"), once=False, among=".partial", first=1)
    with pytest.raises(KeyboardInterrupt):
        sort(f"{bucket}/in", f"{bucket}/out")
    monkeypatch.undo()
    part = next(name for name in store.find(f"{bucket}/out") if "part-00001" in name)
    store.rm_file(part)
    with pytest.raises(DestinationExistsError, match="already holds 4 objects"):
        sort(f"{bucket}/in", f"{bucket}/out", resume=True)
    assert not [name for name in names(store, bucket) if ".partial" in name]


def test_parts_that_are_gone_are_not_published(store, bucket, monkeypatch):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    before = objects(store, f"{bucket}/out")
    check = dlsort.dataset.check_visible

    def check_and_lose(folder: str, *args: Any) -> Any:
        sizes = check(folder, *args)
        store.rm(folder, recursive=True)
        return sizes

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_lose)
    with pytest.raises(DestinationError, match="does not hold the parts that were proved"):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert objects(store, f"{bucket}/out") == before


def test_one_that_gives_way_leaves_the_marker_to_the_other(store, bucket, monkeypatch):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    begin = dlsort.publish.to_store.begin

    def begin_after_another(*args: Any, **options: Any) -> Any:
        record = begin(*args, **options)
        store.pipe_file(f"{bucket}/.out.0123456789ab.partial/publish.json", b"{}")
        store.rm_file(f"{bucket}/out/_SUCCESS")
        return record

    monkeypatch.setattr(dlsort.publish.to_store, "begin", begin_after_another)
    with pytest.raises(DestinationExistsError, match="another sort publishes to it"):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert not store.exists(f"{bucket}/out/_SUCCESS")


def test_old_objects_are_removed_by_their_own_names(store, bucket):
    for name in ("part-00001.parquet::file", "x::bak", "a*", "deep[er]/b?"):
        store.pipe_file(f"/{bucket.split('//')[1]}/out/{name}", b"old")
    sort(f"{bucket}/in", f"{bucket}/out", overwrite="force")
    assert untagged(names(store, f"{bucket}/out")) == [f"out/{name}" for name in WHOLE]
    assert in_order(read(store, f"{bucket}/out"))


def test_a_name_that_may_be_taken_for_a_pattern(store, bucket):
    sort(f"{bucket}/in", f"{bucket}/out[a]")
    assert untagged(names(store, f"{bucket}/out[a]")) == [f"out[a]/{name}" for name in WHOLE]
    assert not [name for name in names(store, bucket) if ".partial" in name]


def test_a_folder_at_the_root(store, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = uuid.uuid4().hex
    sort(f"{bucket}/in", f"memory:///{name}")
    assert len(store.find(f"/{name}")) == len(WHOLE)
    assert not [path for path in store.find("/") if f"/.{name}" in path]
    store.rm(f"/{name}", recursive=True)
    assert not list(tmp_path.iterdir())


def test_an_object_that_stands_for_the_folder_is_no_file_in_it(store, bucket, monkeypatch):
    find = type(store).find

    def find_with_folder(self: Any, path: str, *args: Any, **options: Any) -> Any:
        found = find(self, path, *args, **options)
        folder = f"{path.rstrip('/')}/"
        if not path.rstrip("/").endswith("/out"):
            return found
        return {**found, folder: {"size": 0}} if isinstance(found, dict) else [*found, folder]

    monkeypatch.setattr(type(store), "find", find_with_folder)
    sort(f"{bucket}/in", f"{bucket}/out")
    with pytest.raises(DestinationExistsError, match="holds 5 objects"):
        sort(f"{bucket}/in", f"{bucket}/out")


def test_a_store_that_cannot_copy_is_told(store, bucket, monkeypatch):
    def refuse(*args: Any, **options: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(store), "cp_file", refuse)
    with pytest.raises(DestinationError, match="its store can't copy objects"):
        sort(f"{bucket}/in", f"{bucket}/out")
    assert all(name.startswith("in/") for name in names(store, bucket))


def test_a_store_that_is_full_tells_nothing_of_our_disk(store, bucket, monkeypatch):
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "over quota")

    monkeypatch.setattr(type(store), "cp_file", refuse)
    with pytest.raises(DestinationFullError, match=r"no space left while writing \S+\. No"):
        sort(f"{bucket}/in", f"{bucket}/out")


def test_a_store_that_goes_away_before_publishing_leaves_the_destination_alone(
    store, bucket, away, monkeypatch
):
    def lose(*args: Any) -> None:
        away.fail("info", OSError(5, "network gone"), once=False, among=".partial")
        away.fail("rm_file", OSError(5, "network gone"), once=False, among=".partial")
        raise OSError(5, "network gone")

    monkeypatch.setattr(dlsort.dataset, "check_visible", lose)
    with pytest.raises(OSError, match="network gone") as caught:
        sort(f"{bucket}/in", f"{bucket}/out")
    assert not [note for note in getattr(caught.value, "__notes__", []) if "neither" in note]


def test_a_store_that_goes_away_once_all_is_published_changes_nothing(
    store, bucket, away, monkeypatch
):
    publish = dlsort.publish.staging.publish

    def publish_and_lose(*args: Any) -> None:
        publish(*args)
        for call in ("ls", "find", "info", "rm"):
            away.fail(call, OSError(5, "network gone"), once=False, among=bucket[9:], first=1)

    monkeypatch.setattr(dlsort.publish.staging, "publish", publish_and_lose)
    assert sort(f"{bucket}/in", f"{bucket}/out").proved
    monkeypatch.undo()
    assert dlsort.check_dataset(f"{bucket}/out", by="k", against=f"{bucket}/in").ok


def test_a_folder_of_someone_is_not_taken_for_an_attempt(store, bucket):
    store.pipe_file(f"{bucket}/mine/notes.txt", b"precious")
    with pytest.raises(DestinationExistsError, match="already holds 1 object"):
        sort(f"{bucket}/in", f"{bucket}/mine", resume=True)
    assert names(store, f"{bucket}/mine") == ["mine/notes.txt"]


def test_a_sort_that_lost_its_cluster_is_gone_on_from(store, bucket, monkeypatch):
    done: list[int] = []

    def keep(folder: str, *args: Any) -> None:
        if len(done) == 2:
            raise ExchangeError("the scheduler went away.")
        keep_finished(folder, *args)
        done.append(1)

    monkeypatch.setattr(part_module, "keep_finished", keep)
    with pytest.raises(ClusterError) as caught:
        sort(f"{bucket}/in", f"{bucket}/out")
    assert "2 of 4 parts" in caught.value.__notes__[0]
    monkeypatch.undo()
    assert sort(f"{bucket}/in", f"{bucket}/out", resume=True).resumed_parts == 2
    assert in_order(read(store, f"{bucket}/out"))


def test_an_object_in_a_partition_folder_is_named_by_its_url(store, bucket):
    store.pipe_file(f"{bucket}/in/day=1/0.parquet", store.cat_file(f"{bucket}/in/0.parquet"))
    with pytest.raises(SchemaMismatchError, match="tell no column, those of") as told:
        sort(f"{bucket}/in", f"{bucket}/out")
    url = str(told.value).split(" ")[3]
    assert url.startswith("memory://")
    assert store.isfile(url)


def test_an_object_that_is_replaced_during_the_sort_is_named(store, bucket, monkeypatch):
    open_source = opened.open_source

    def open_and_change(*args: Any, **options: Any) -> Any:
        found = open_source(*args, **options)
        data = store.cat_file(f"{bucket}/in/1.parquet")
        store.pipe_file(f"{bucket}/in/1.parquet", data)
        return found

    monkeypatch.setattr(opened, "open_source", open_and_change)
    with pytest.raises(SourceChangedError, match="parquet was changed"):
        sort(f"{bucket}/in", f"{bucket}/out")
    assert all(name.startswith("in/") for name in names(store, bucket))


def test_of_two_sorts_at_once_the_later_does_not_remove_what_it_has_not_seen(
    store, bucket, monkeypatch
):
    sort(f"{bucket}/in", f"{bucket}/out", by="s")
    check = dlsort.dataset.check_visible

    def check_after_another(*args: Any) -> Any:
        sizes = check(*args)
        monkeypatch.undo()
        sort(f"{bucket}/in", f"{bucket}/out", by="s:desc", overwrite=True)
        return sizes

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_after_another)
    with pytest.raises(
        DestinationExistsError, match=r"filled by someone meanwhile \(part-00000"
    ):
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert dlsort.check_dataset(f"{bucket}/out", by="s:desc", against=f"{bucket}/in").ok


def test_a_marker_that_was_not_there_is_anothers(store, bucket, monkeypatch):
    check = dlsort.dataset.check_visible

    def check_and_mark(*args: Any) -> Any:
        store.pipe_file(f"{bucket}/out/_SUCCESS", b"{}")
        return check(*args)

    monkeypatch.setattr(dlsort.dataset, "check_visible", check_and_mark)
    with pytest.raises(DestinationExistsError, match="by someone meanwhile") as told:
        sort(f"{bucket}/in", f"{bucket}/out", overwrite=True)
    assert "(_SUCCESS)" in str(told.value)
    assert names(store, f"{bucket}/out") == ["out/_SUCCESS"]


def test_places_that_cannot_be_used(store, bucket):
    with pytest.raises(SourceNotFoundError, match="/none holds no Parquet file"):
        sort(f"{bucket}/none", f"{bucket}/out")
    for url in (bucket, "memory://", "memory:///", "s3://"):
        with pytest.raises(DestinationError, match="no folder in it"):
            sort(f"{bucket}/in", url)
    store.pipe_file(f"{bucket}/object", b"data")
    with pytest.raises(DestinationExistsError, match="/object is an object; expected a fold"):
        sort(f"{bucket}/in", f"{bucket}/object", overwrite=True)
    with pytest.raises(BadOptionError, match="nosuch://a/b can't be used: Protocol not known"):
        sort(f"{bucket}/in", "nosuch://a/b")
    with pytest.raises(DestinationError, match="lies inside the source"):
        sort(f"{bucket}/in", f"{bucket}/in/sorted")
    with pytest.raises(DestinationError, match="would be replaced"):
        sort(f"{bucket}/in/0.parquet", f"{bucket}/in", overwrite=True)


def test_a_prefix_sorted_onto_itself(store, bucket):
    sort(f"{bucket}/in", f"{bucket}/in", overwrite=True)
    assert untagged(names(store, bucket)) == [f"in/{name}" for name in WHOLE]
    assert in_order(read(store, f"{bucket}/in"))


def test_a_part_that_failed_is_not_there(store, bucket, monkeypatch):
    def fail(self: Any) -> None:
        raise OSError(5, "the store is away")

    monkeypatch.setattr(dlsort.io.storage.Output, "commit", fail)
    with pytest.raises(DestinationError, match="the store is away"):
        sort(f"{bucket}/in", f"{bucket}/out")
    assert all(name.startswith("in/") for name in names(store, bucket))


def test_finished_parts_of_nowhere_are_none(bucket, tmp_path):
    assert finished_parts(f"{bucket}/none") == []
    assert finished_parts(str(Path(tmp_path, "none"))) == []


def test_a_store_out_of_reach_is_told_in_words(store, bucket, monkeypatch):
    class EndpointConnectionError(Exception):
        """What such a package raises: no OSError."""

    def away(self: Any, *args: Any, **options: Any) -> Any:
        raise EndpointConnectionError("Could not connect to the endpoint")

    monkeypatch.setattr(type(store), "find", away)
    monkeypatch.setattr(type(store), "isfile", away)
    result = command("sort", f"{bucket}/in", f"{bucket}/out", "--by", "k", "--threads", 1)
    assert result.exit_code == 2
    assert "Could not connect to the endpoint" in result.stderr
