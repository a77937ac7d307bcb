"""A client that dies at any step leaves the old dataset or the new one, and no row is doubled.

Death is a hook: from one step on, nothing that the process does to files happens any more.
"""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.errors import DlsortError
from dlsort.publish import to_folder

STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "open"}
WRITING = 0o3  # O_WRONLY, O_RDWR


class Killed(BaseException):
    """The process is dead."""


class Death:
    """Counts the steps that change files below a folder; from one of them on, none happens."""

    def __init__(self) -> None:
        self.folder = ""
        self.at: int | None = None
        self.steps = 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.folder or event not in STEPS:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & WRITING):
            return
        if any(str(arg).startswith(self.folder) for arg in args[:2]):
            self.step()

    def step(self) -> None:
        """Count one more, or die."""
        self.steps += 1
        if self.at is not None and self.steps >= self.at:
            raise Killed

    def watch(self, folder: Path, at: int | None) -> None:
        """Begin to count, and die at that step."""
        self.folder, self.at, self.steps = str(folder), at, 0

    def rest(self) -> int:
        """Stop; return how many steps there were."""
        self.folder = ""
        return self.steps


@pytest.fixture(scope="module")
def hook() -> Death:
    return Death()


@pytest.fixture
def death(hook, monkeypatch) -> Iterator[Death]:
    exchange = to_folder._exchange

    def counted(one: Path, other: Path) -> bool:
        if hook.folder:
            hook.step()
        return exchange(one, other)

    monkeypatch.setattr(to_folder, "_exchange", counted)
    yield hook
    hook.rest()


def write(path: Path, keys: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    table = pa.table({"k": keys, "from": [f"{path.stem} {i}" for i in range(len(keys))]})
    pq.write_table(table, path)
    return path


def read(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())])


@pytest.fixture
def master(tmp_path) -> Path:
    """Give a folder with a dataset of 4 parts, and a batch that changes one and makes one."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "master"
    write(folder / "old.parquet", rng.permutation(200))
    write(folder / "batch.parquet", [*range(60, 70), *range(900, 960)])
    dlsort.sort_dataset(folder / "old.parquet", folder / "dst", by="k", partitions=4, threads=1)
    return folder


def append(folder: Path, **options: Any) -> dlsort.UpkeepReport:
    return dlsort.append_dataset(folder / "batch.parquet", folder / "dst", threads=1, **options)


def compact(folder: Path, **options: Any) -> dlsort.UpkeepReport:
    return dlsort.compact_dataset(folder / "dst", partition_size="2KiB", threads=1, **options)


@pytest.mark.parametrize("do", [append, compact])
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "aside"])
def test_killed_at_any_step_of_a_folder(tmp_path, master, death, monkeypatch, do, exchange):
    if not exchange:
        monkeypatch.setattr(to_folder, "_exchange", lambda *args: False)
    old = read(master / "dst")
    whole = shutil.copytree(master, tmp_path / "whole")
    death.watch(tmp_path / "whole", None)
    do(whole)
    n_steps = death.rest()
    new = read(whole / "dst")
    assert n_steps > 15
    states = set()
    for at in range(1, n_steps + 1):
        place = tmp_path / f"at{at}"
        shutil.copytree(master, place)
        death.watch(place, at)
        with suppress(Killed):
            do(place)
        death.rest()
        if (place / "dst").exists():  # else it is aside for a moment
            found = read(place / "dst")
            states.add(found.num_rows)
            assert found.equals(old) or found.equals(new)
            assert dlsort.check_dataset(place / "dst", threads=1).ok
        else:
            assert not exchange
        report = do(place, resume=True)
        assert report.rows == new.num_rows
        assert read(place / "dst").equals(new)
        assert dlsort.check_dataset(place / "dst", threads=1).ok
        # What has no job file yet is nobody's, and one alone goes with the next append.
        left = {path.name for left in place.glob(".dst*") for path in left.iterdir()}
        assert not left or left <= {"job.json"} or all(n.startswith(".job") for n in left)
        shutil.rmtree(place)
    assert states == {old.num_rows, new.num_rows}


def test_the_next_append_clears_up_after_one_that_was_killed(tmp_path, master, death):
    death.watch(master, 12)
    with pytest.raises(Killed):
        append(master)
    death.rest()
    assert list(master.glob(".dst*"))
    append(master)
    assert not list(master.glob(".dst*"))
    assert read(master / "dst").num_rows == 270


def test_a_sort_does_not_resume_an_append(tmp_path, master, death):
    death.watch(master, 12)
    with pytest.raises(Killed):
        append(master)
    death.rest()
    with pytest.raises(DlsortError, match="of another kind: append, not sort"):
        dlsort.sort_dataset(
            master / "old.parquet", master / "dst", by="k", overwrite=True, resume=True
        )
    assert append(master, resume=True).rows == 270


# ---------------------------------------------------------------- stores

CHANGES = ("cp_file", "pipe_file", "rm_file", "rm", "_open")


@pytest.fixture
def bucket() -> Iterator[str]:
    url = f"memory://{uuid.uuid4().hex}"
    yield url
    fsspec.filesystem("memory").rm(url, recursive=True)


@pytest.fixture
def dying(monkeypatch) -> Callable[[int | None], list[int]]:
    """Have a store in memory take no more changes from one of them on."""
    kind = type(fsspec.filesystem("memory"))
    real = {name: getattr(kind, name) for name in CHANGES}

    def begin(at: int | None) -> list[int]:
        count = [0]

        def dead(name: str) -> Callable[..., Any]:
            def call(self: Any, *args: Any, **options: Any) -> Any:
                if name == "_open" and "rb" in (options.get("mode"), *args[1:2]):
                    return real[name](self, *args, **options)
                count[0] += 1
                if at is not None and count[0] >= at:
                    raise Killed
                return real[name](self, *args, **options)

            return call

        for name in CHANGES:
            monkeypatch.setattr(kind, name, real[name] if at == -1 else dead(name))
        return count

    return begin


def objects(url: str) -> list[str]:
    store = fsspec.filesystem("memory")
    return sorted(name for name in store.find(url) if name.endswith(".parquet"))


def read_store(url: str) -> pa.Table:
    store = fsspec.filesystem("memory")
    return pa.concat_tables([pq.read_table(store.open(name)) for name in objects(url)])


def test_killed_at_any_change_of_a_store(tmp_path, master, bucket, dying):
    store = fsspec.filesystem("memory")
    old_files = {path.name: path.read_bytes() for path in (master / "dst").iterdir()}
    batch = master / "batch.parquet"

    def fresh(url: str) -> str:
        dying(-1)
        for name, data in old_files.items():
            store.pipe_file(f"{url}/{name}", data)
        store.pipe_file(f"{url}/_SUCCESS", b"")
        return url

    old = read(master / "dst")
    count, whole = None, fresh(f"{bucket}/whole/dst")
    count = dying(None)
    report = dlsort.append_dataset(batch, whole, threads=1)
    n_steps = count[0]
    dying(-1)
    assert (report.kept_parts, report.remade_parts) == (3, 1)
    new = read_store(whole)
    assert new.num_rows == 270
    assert n_steps > 20
    for at in range(1, n_steps + 1):
        dst = fresh(f"{bucket}/{at}/dst")
        dying(at)
        with pytest.raises(Killed):
            dlsort.append_dataset(batch, dst, threads=1)
        dying(-1)
        if store.exists(f"{dst}/_SUCCESS"):
            found = read_store(dst)
            assert found.equals(old) or found.equals(new)
        report = dlsort.append_dataset(batch, dst, threads=1, resume=True)
        assert report.rows == 270
        assert read_store(dst).equals(new)
        assert store.exists(f"{dst}/_SUCCESS")
        assert dlsort.check_dataset(dst, threads=1).ok


def test_what_stays_is_copied_inside_of_the_store(bucket, tmp_path, monkeypatch):
    store = fsspec.filesystem("memory")
    src = write(tmp_path / "old.parquet", np.random.default_rng(3).permutation(200))
    dlsort.sort_dataset(src, f"{bucket}/dst", by="k", partitions=4, threads=1)
    before = [store.cat_file(name) for name in objects(f"{bucket}/dst")]
    opened: list[str] = []
    real = type(store)._open

    def spy(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "wb":
            opened.append(path)
        return real(self, path, mode, **options)

    monkeypatch.setattr(type(store), "_open", spy)
    batch = write(tmp_path / "batch.parquet", [10, 11])
    report = dlsort.append_dataset(batch, f"{bucket}/dst", threads=1)
    assert (report.kept_parts, report.written_parts) == (3, 1)
    parts = [path for path in opened if "/parts/" in path and "/batch/" not in path]
    assert len(parts) == 1
    after = [store.cat_file(name) for name in objects(f"{bucket}/dst")]
    assert len(set(before) & set(after)) == 3
    assert dlsort.check_dataset(f"{bucket}/dst", threads=1).ok
    dlsort.compact_dataset(f"{bucket}/dst", partition_size="1MiB", threads=1)
    assert len(objects(f"{bucket}/dst")) == 1
    assert dlsort.check_dataset(f"{bucket}/dst", threads=1).ok
