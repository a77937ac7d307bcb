"""How the destination in a file system comes about, and what a killed client leaves of it."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import commands
import dlsort
from commands import contents
from dlsort.errors import BadOptionError, DestinationError, DestinationExistsError
from dlsort.publish import job_folder, staging
from dlsort.publish import recover as put_back

N_PARTS = 3
NAME = ".out.0123456789ab"


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(2):
        keys = rng.permutation(1_000)
        table = pa.table({"k": keys, "note": [f"note {key}" for key in keys]})
        pq.write_table(table, folder / f"{number}.parquet")
    return folder


def sort(source: Path, name: str = "out", **options: Any) -> dlsort.SortReport:
    options = {"by": "k", "partitions": N_PARTS, "threads": 1, **options}
    return dlsort.sort_dataset(source, source.parent / name, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sorted_by(destination: Path, key: str) -> bool:
    return dlsort.check_dataset(destination, by=key).ok


@pytest.fixture
def killed(monkeypatch) -> Callable[[], Any]:
    """Have clients end once they have published, before they tidy up."""

    def begin(*, exchange: bool) -> None:
        monkeypatch.setattr(staging, "remove_folder", lambda folder: None)
        monkeypatch.setattr(staging, "_warn_of_left", lambda *args: None)
        monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
        if not exchange:
            monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)

    return begin


# ---------------------------------------------------------------- undisturbed


def test_the_destination_is_there_at_every_moment(tmp_path, source, monkeypatch):
    sort(source, by="note")
    renamed = []
    rename = Path.rename

    def spy(self: Path, target: Path) -> Path:
        renamed.append(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", spy)
    sort(source, overwrite=True)
    assert tmp_path / "out" not in renamed
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "out"]


def test_parts_are_on_disk_before_they_are_published(tmp_path, source, monkeypatch):
    steps: list[tuple[str, str]] = []
    sync, replace, rename = os.fsync, Path.replace, Path.rename

    def spy_sync(fd: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{fd}").readlink().name))
        sync(fd)

    def spy(what: str, move: Callable[..., Any]) -> Callable[..., Any]:
        def moved(self: Path, target: Path) -> Any:
            steps.append((what, self.name))
            return move(self, target)

        return moved

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(Path, "replace", spy("replace", replace))
    monkeypatch.setattr(Path, "rename", spy("rename", rename))
    sort(source)
    attempts = [name for what, name in steps if what == "replace" and name.endswith(".tmp")]
    assert len(attempts) == N_PARTS
    for name in attempts:
        assert steps.index(("sync", name)) < steps.index(("replace", name))
    published = steps.index(("rename", "parts"))
    assert steps.index(("sync", "parts")) < published
    assert steps.index(("sync", "publish.json")) < published
    assert steps[published + 1] == ("sync", tmp_path.name)


def test_a_folder_that_cannot_be_opened_is_published_to_all_the_same(
    tmp_path, source, monkeypatch
):
    open_file = os.open

    def refuse(path: Any, *args: Any, **options: Any) -> int:
        if Path(path) == tmp_path:
            raise PermissionError(13, "Permission denied")
        return open_file(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    sort(source)
    monkeypatch.undo()
    assert sorted_by(tmp_path / "out", "k")


@pytest.mark.parametrize("exchange", [True, False])
def test_an_interrupt_after_the_rename_changes_nothing(tmp_path, source, monkeypatch, exchange):
    sort(source, by="note")
    sync, calls = dlsort.publish.to_folder._sync, []

    def interrupt(path: Path) -> None:
        sync(path)
        if path == tmp_path:
            calls.append(path)
            raise KeyboardInterrupt

    monkeypatch.setattr(dlsort.publish.to_folder, "_sync", interrupt)
    if not exchange:
        monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    assert sort(source, overwrite=True).proved
    assert calls
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_parts_that_are_gone_cost_no_old_data(tmp_path, source, monkeypatch, exchange):
    sort(source, by="note")
    before = contents(tmp_path / "out")
    publish = dlsort.publish.to_destination.publish

    def lose_and_publish(asked: Any, *args: Any) -> None:
        shutil.rmtree(asked.parts)
        publish(asked, *args)

    monkeypatch.setattr(staging, "publish", lose_and_publish)
    if not exchange:
        monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    with pytest.raises(DestinationError, match=r"are not in .* any more"):
        sort(source, overwrite=True)
    assert contents(tmp_path / "out") == before
    assert names(tmp_path) == ["in", "out"]


def test_a_client_that_was_gone_on_from_does_not_bring_the_old_back(
    tmp_path, source, monkeypatch
):
    """It wakes once the other has published; its file system has lost the lock meanwhile."""
    sort(source, by="note")
    publish = dlsort.publish.to_destination.publish

    def sleep_and_publish(asked: Any, *args: Any) -> None:
        parts, out = Path(asked.parts), tmp_path / "out"
        assert dlsort.publish.to_folder._exchange(parts, out)
        publish(asked, *args)

    monkeypatch.setattr(staging, "publish", sleep_and_publish)
    with pytest.raises(DestinationError, match="does not hold the parts that were proved"):
        sort(source, overwrite=True)
    assert sorted_by(tmp_path / "out", "k")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO])
def test_an_exchange_that_fails_is_told(tmp_path, source, monkeypatch, number):
    sort(source, by="note")
    before = contents(tmp_path / "out")

    class Library:
        def renameat2(self, *args: Any) -> int:
            ctypes.set_errno(number)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **options: Library())
    with pytest.raises(DestinationError, match=os.strerror(number)):
        sort(source, overwrite=True)
    assert contents(tmp_path / "out") == before
    assert names(tmp_path) == ["in", "out"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL])
def test_where_nothing_can_be_exchanged_there_are_two_renames(
    tmp_path, source, monkeypatch, number
):
    sort(source, by="note")

    class Library:
        def renameat2(self, *args: Any) -> int:
            ctypes.set_errno(number)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **options: Library())
    sort(source, overwrite=True)
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "out"]


def test_who_may_read_the_old_may_read_the_new(tmp_path, source):
    sort(source)
    (tmp_path / "empty").mkdir()
    for name in ("out", "empty"):
        (tmp_path / name).chmod(0o2750)
        sort(source, name, overwrite=True)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o2750


def test_a_folder_that_may_not_be_written_is_refused_before_the_sort(
    tmp_path, source, monkeypatch
):
    sort(source)
    access = os.access

    def refuse(path: Path, mode: int) -> bool:  # root may write everywhere
        return path != tmp_path / "out" and access(path, mode)

    monkeypatch.setattr(os, "access", refuse)
    with pytest.raises(DestinationError, match="no permission to write to it"):
        sort(source, overwrite=True)


def no_exchange(monkeypatch: Any, between: Callable[[], None], *, back: bool = True) -> None:
    """Have folders replaced by two renames, and do something between these."""
    rename = Path.rename

    def spy(self: Path, target: Path) -> Path:
        if not back and (self.name == "parts" or self.suffix == ".replaced"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        renamed = rename(self, target)
        if Path(target).suffix == ".replaced":
            between()
        return renamed

    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    monkeypatch.setattr(Path, "rename", spy)


@pytest.mark.parametrize("back", [True, False])
def test_where_the_old_stands_that_can_not_be_put_back_is_told(
    tmp_path, source, monkeypatch, back
):
    sort(source, by="note")
    before = contents(tmp_path / "out")

    def fill() -> None:
        if back:
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").touch()

    no_exchange(monkeypatch, fill, back=back)
    expected = "was filled" if back else "Input/output"
    with pytest.raises(DestinationError, match=expected) as told:
        sort(source, overwrite=True)
    monkeypatch.undo()
    (aside,) = tmp_path.glob(".out.*.replaced")
    assert str(aside) in told.value.__notes__[-1]
    assert contents(aside) == before
    assert names(tmp_path) == sorted([aside.name, "in", *(["out"] if back else [])])


def write_once(monkeypatch: Any, folder: Path, *, exchange: bool) -> None:
    """Have someone write to the old folder just before it is moved away."""
    move = dlsort.publish.to_folder._exchange
    written: list[Path] = []

    def write_and_exchange(*paths: Path) -> bool:
        if not written:
            written.append(folder / "notes.txt")
            written[0].write_text("mine")
        return exchange and move(*paths)

    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", write_and_exchange)


@pytest.mark.parametrize("overwrite", [True, "force"])
@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_written_to_the_old_at_the_last_moment_is_kept(
    tmp_path, source, monkeypatch, exchange, overwrite
):
    sort(source, by="note")
    before = contents(tmp_path / "out")
    write_once(monkeypatch, tmp_path / "out", exchange=exchange)
    with pytest.raises(DestinationExistsError, match=r"by someone meanwhile \(notes.txt\)"):
        sort(source, overwrite=overwrite)
    assert contents(tmp_path / "out") == {**before, "notes.txt": b"mine"}
    assert names(tmp_path) == ["in", "out"]


def test_a_link_put_in_the_place_of_the_old_is_kept(tmp_path, source, monkeypatch):
    sort(source, by="note")
    move = dlsort.publish.to_folder._exchange

    def link_and_exchange(one: Path, other: Path) -> bool:
        if not (tmp_path / "moved").exists():
            other.rename(tmp_path / "moved")
            other.symlink_to("moved")
        return move(one, other)

    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", link_and_exchange)
    with pytest.raises(DestinationExistsError, match="by someone meanwhile"):
        sort(source, overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert sorted_by(tmp_path / "moved", "note")


@pytest.mark.parametrize("exchange", [True, False])
def test_an_interrupt_while_the_old_is_looked_at_brings_it_back(
    tmp_path, source, monkeypatch, exchange
):
    sort(source, by="note")
    check = dlsort.publish.to_folder.check_unchanged

    def interrupt(folder: str, *args: Any) -> None:
        if folder != str(tmp_path / "out"):
            raise KeyboardInterrupt
        check(folder, *args)

    monkeypatch.setattr(dlsort.publish.to_folder, "check_unchanged", interrupt)
    if not exchange:
        monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    with pytest.raises(KeyboardInterrupt):
        sort(source, overwrite=True)
    assert sorted_by(tmp_path / "out", "note")
    assert names(tmp_path) == ["in", "out"]


def cannot_exchange_back(monkeypatch: Any, folder: Path, error: BaseException) -> None:
    write_once(monkeypatch, folder, exchange=True)
    there = dlsort.publish.to_folder._exchange
    calls: list[int] = []

    def exchange(*paths: Path) -> bool:
        calls.append(1)
        if len(calls) > 1:
            raise error
        return there(*paths)

    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", exchange)


@pytest.mark.parametrize("error", [OSError(5, "broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("resume", [True, False])
def test_an_old_one_that_cannot_be_brought_back_is_not_removed(
    tmp_path, source, monkeypatch, error, resume
):
    sort(source, by="note")
    before = contents(tmp_path / "out")
    cannot_exchange_back(monkeypatch, tmp_path / "out", error)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DestinationError
    with pytest.raises(expected) as told:
        sort(source, overwrite=True)
    assert "--resume" in told.value.__notes__[-1]
    monkeypatch.undo()
    (stage,) = tmp_path.glob(".out.*.partial")
    (old,) = stage.glob("*/parts")
    assert contents(old) == {**before, "notes.txt": b"mine"}
    published = contents(tmp_path / "out")
    for _ in range(2):
        with pytest.raises(DestinationExistsError, match=r"to it meanwhile: notes\.txt\. Move"):
            sort(source, overwrite=True, resume=resume)
    assert contents(old) == {**before, "notes.txt": b"mine"}
    assert contents(tmp_path / "out") == published
    (old / "notes.txt").rename(tmp_path / "notes.txt")
    if resume:
        assert sort(source, overwrite=True, resume=True).resumed_parts == N_PARTS
        assert contents(tmp_path / "out") == published
    else:
        sort(source, overwrite=True)
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "notes.txt", "out"]


def test_a_locked_file_that_keeps_a_name_until_it_is_closed(tmp_path, source, monkeypatch):
    """As on NFS, where the folder can't be removed before."""
    rmtree = shutil.rmtree
    held = []

    def keep_name(folder: Any, **options: Any) -> None:
        job = Path(folder, "job.json")
        if job.exists():
            held.append(job.rename(job.with_name(".nfs0001")))
        else:
            rmtree(folder, **options)

    def close(fd: int) -> None:
        os_close(fd)
        while held:
            held.pop().unlink(missing_ok=True)

    os_close = os.close
    monkeypatch.setattr(job_folder, "remove_all", keep_name)
    monkeypatch.setattr(job_folder.os, "close", close)
    sort(source)
    assert not held
    monkeypatch.undo()
    assert names(tmp_path) == ["in", "out"]


@pytest.fixture
def immutable(monkeypatch) -> Path:
    """Have a file that can't be removed, as after ``chattr +i``."""
    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if Path(path).name == "immutable.parquet":
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    return Path("immutable.parquet")


@pytest.mark.parametrize("exchange", [True, False])
def test_old_data_that_cannot_be_removed_are_warned_of(
    tmp_path, source, monkeypatch, immutable, exchange
):
    shutil.copytree(source, tmp_path / "out")
    (tmp_path / "out" / "1.parquet").rename(tmp_path / "out" / immutable)
    if not exchange:
        monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    with pytest.warns(dlsort.DlsortWarning, match="old files could not be removed") as told:
        assert sort(source, overwrite=True).proved
    (old,) = tmp_path.rglob(str(immutable))
    place = tmp_path / old.relative_to(tmp_path).parts[0]
    assert place.name.endswith(".partial" if exchange else ".replaced")
    assert str(told[0].message).endswith(f"they are in {place}; remove that by hand.")
    assert len(told) == 1
    assert sorted_by(tmp_path / "out", "k")
    monkeypatch.undo()
    sort(source, "other")  # where nothing stays, nothing is said


def test_the_command_warns_of_old_data_in_a_line_of_its_own(tmp_path, source, immutable):
    shutil.copytree(source, tmp_path / "out")
    (tmp_path / "out" / "1.parquet").rename(tmp_path / "out" / immutable)
    done = commands.sort(source, tmp_path / "out", "--overwrite", by="k")
    assert done.exit_code == 0
    (place,) = tmp_path.glob(".out.*.partial")
    assert done.stderr == (
        f"warning: {tmp_path}/out is complete, but old files could not be removed: they are in "
        f"{place}; remove that by hand.\n"
    )
    assert "proved" in done.stdout


@pytest.mark.parametrize("dst", ["new/../out", "out/"])
def test_a_destination_is_the_same_by_other_names(tmp_path, source, dst):
    sort(source, by="note")
    (tmp_path / "out").rename(tmp_path / f"{NAME}.replaced")
    with pytest.raises(DestinationExistsError, match="already holds 3 files"):
        sort(source, dst)
    assert names(tmp_path) == ["in", "out"]


# ---------------------------------------------------------------- after a client was killed


@pytest.mark.parametrize("exchange", [True, False])
def test_a_client_killed_after_it_published_is_gone_on_from(
    tmp_path, source, monkeypatch, killed, exchange
):
    sort(source, by="note")
    pq.write_metadata(pq.read_schema(source / "0.parquet"), tmp_path / "out" / "_metadata")
    killed(exchange=exchange)
    report = sort(source, overwrite=True)
    monkeypatch.undo()
    assert len(names(tmp_path)) == (3 if exchange else 4)
    published = contents(tmp_path / "out")
    again = sort(source, resume=True)
    assert again.proved
    assert again.resumed_parts == N_PARTS
    assert (again.checksum, again.part_rows) == (report.checksum, report.part_rows)
    assert contents(tmp_path / "out") == published
    assert names(tmp_path) == ["in", "out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_what_it_left_goes_with_another_sort(tmp_path, source, monkeypatch, killed, exchange):
    sort(source, by="note")
    killed(exchange=exchange)
    sort(source, overwrite=True)
    monkeypatch.undo()
    published = contents(tmp_path / "out")
    for options in ({}, {"resume": True, "by": "note"}):
        with pytest.raises(DestinationExistsError, match="already holds 3"):
            sort(source, **options)
        assert names(tmp_path) == ["in", "out"]
        assert contents(tmp_path / "out") == published
    sort(source, by="note", overwrite=True, resume=True)
    assert sorted_by(tmp_path / "out", "note")


@pytest.mark.parametrize("exchange", [True, False])
def test_what_was_written_to_the_old_of_a_killed_client_is_kept(
    tmp_path, source, monkeypatch, killed, exchange
):
    sort(source, by="note")
    killed(exchange=exchange)
    sort(source, overwrite=True)
    monkeypatch.undo()
    (old,) = tmp_path.glob(".out.*.partial/*/parts" if exchange else ".out.*.replaced")
    (old / "notes.txt").write_text("mine")
    for options in ({}, {"overwrite": True}, {"overwrite": "force", "resume": True}):
        with pytest.raises(DestinationExistsError, match=r"to it meanwhile: notes\.txt\. Move"):
            sort(source, **options)
        assert (old / "notes.txt").read_text() == "mine"
    (old / "notes.txt").unlink()
    assert sort(source, resume=True).resumed_parts == N_PARTS
    assert names(tmp_path) == ["in", "out"]


@pytest.mark.parametrize("made", [False, True])
def test_old_data_that_stand_aside_are_put_back(tmp_path, source, made):
    sort(source, by="note")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "latest").symlink_to("part-00002.parquet")
    (tmp_path / "out").rename(tmp_path / f"{NAME}.replaced")
    if made:  # as a script that wants it to be there does
        (tmp_path / "out").mkdir()
    with pytest.raises(DestinationExistsError, match="already holds 4 files"):
        sort(source)
    (tmp_path / "out" / "latest").unlink()
    assert contents(tmp_path / "out") == before
    assert names(tmp_path) == ["in", "out"]


def test_old_data_are_kept_where_others_have_filled_their_place(tmp_path, source):
    sort(source, by="note")
    aside = tmp_path / f"{NAME}.replaced"
    (tmp_path / "out").rename(aside)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    before = contents(aside)
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(DestinationExistsError, match="Keep one of the two"):
            sort(source, **options)
    assert contents(aside) == before
    assert names(tmp_path / "out") == ["notes.txt"]


def test_where_files_cannot_be_locked_the_place_of_old_data_is_told(
    tmp_path, source, monkeypatch, killed
):
    sort(source, by="note")
    killed(exchange=True)
    sort(source, overwrite=True)
    monkeypatch.undo()
    (stage,) = tmp_path.glob(".out.*.partial")
    aside = stage.with_suffix(".replaced")
    (tmp_path / "out").rename(aside)
    (stage / "publish.json").unlink()
    for module in (job_folder, put_back):
        monkeypatch.setattr(module, "try_lock", lambda folder: None)
    with pytest.raises(DestinationExistsError, match="has no locks to tell which"):
        sort(source)
    assert aside.exists()


def test_an_old_one_that_another_client_put_back_first(tmp_path, source, monkeypatch):
    aside = tmp_path / f"{NAME}.replaced"
    aside.mkdir()
    (aside / "old.parquet").touch()
    rename = Path.rename

    def rename_twice(self: Path, target: Path) -> Path:
        if self == aside:
            rename(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_twice)
    with pytest.raises(DestinationExistsError, match="already holds 1 file"):
        sort(source)


@pytest.mark.parametrize("change", ["a part lost", "another folder", "a file more", "moved"])
def test_what_others_have_changed_since_is_not_taken_for_the_result(
    tmp_path, source, monkeypatch, killed, change
):
    sort(source, by="note")
    killed(exchange=True)
    sort(source, overwrite=True)
    monkeypatch.undo()
    out = tmp_path / "out"
    if change == "a part lost":
        (out / "part-00001.parquet").unlink()
    elif change == "a file more":
        (out / "part-00009.parquet").touch()
    elif change == "moved":
        out.rename(tmp_path / "elsewhere")
    else:  # of the same number, as a file system may give it
        for path in out.iterdir():
            path.unlink()
        (out / "theirs").touch()
    left = contents(out) if out.exists() else None
    if left is None:
        assert not sort(source, resume=True).resumed_parts
    else:
        with pytest.raises(DestinationExistsError, match="already holds"):
            sort(source, resume=True)
        assert contents(out) == left
    assert names(tmp_path) == sorted([*(["elsewhere"] * (left is None)), "in", "out"])


def test_parts_on_a_device_that_was_numbered_anew_are_gone_on_from(
    tmp_path, source, monkeypatch
):
    """As after a restart of the machine."""
    sort(source, by="note")

    def refuse(*args: Any) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", refuse)
    with pytest.raises(DestinationError, match="Input/output"):
        sort(source, overwrite=True, resume=True)
    monkeypatch.undo()
    (path,) = tmp_path.glob(".out.*.partial/publish.json")
    record = json.loads(path.read_bytes())
    record["identity"][0] += 1
    path.write_text(json.dumps(record))
    assert sort(source, overwrite=True, resume=True).resumed_parts == N_PARTS
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "out"]


def test_old_data_half_removed_are_not_taken_for_parts(tmp_path, source, monkeypatch):
    sort(source, by="note", partitions=5)
    pq.write_metadata(pq.read_schema(source / "0.parquet"), tmp_path / "out" / "_metadata")
    removed = []

    def remove_and_end(path: str) -> None:
        if removed:  # killed after the first
            raise KeyboardInterrupt
        removed.append(path)
        shutil.rmtree(path, ignore_errors=True)
        Path(path).unlink(missing_ok=True)

    def last_first(folder: str) -> list[str]:
        return sorted(names(Path(folder)), reverse=True)

    monkeypatch.setattr(job_folder, "remove_all", remove_and_end)
    monkeypatch.setattr(job_folder, "remove", remove_and_end)
    monkeypatch.setattr(job_folder, "names_in", last_first)
    with pytest.raises(KeyboardInterrupt):
        sort(source, overwrite=True)
    monkeypatch.undo()
    assert len(list(tmp_path.glob(".out.*.partial"))) == 1
    report = sort(source, overwrite=True, resume=True)
    assert report.resumed_parts == N_PARTS
    assert sorted_by(tmp_path / "out", "k")
    assert names(tmp_path) == ["in", "out"]


# ---------------------------------------------------------------- what isn't ours


def test_folders_of_others_stay(tmp_path, source):
    kept = [
        ".out.before_april.replaced",
        ".out.download-001.partial",
        ".out.0123456789ab.partial",
        ".out.0123456789abc.partial",
        ".other.0123456789ab.replaced",
    ]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text('{"id": 1}')
    sort(source)
    sort(source, overwrite=True, resume=True)
    assert names(tmp_path) == sorted([*kept, "in", "out"])


def test_a_lock_is_of_the_file_that_is_there(tmp_path, monkeypatch):
    stage = tmp_path / f"{NAME}.partial"
    stage.mkdir()
    (stage / "job.json").touch()
    job_folder.unlock(lock := job_folder.try_lock(str(stage)), str(stage))
    assert lock is not None
    flock = job_folder.fcntl.flock

    def flock_and_replace(fd: int, how: int) -> None:
        flock(fd, how)
        shutil.rmtree(stage)

    monkeypatch.setattr(job_folder.fcntl, "flock", flock_and_replace)
    assert job_folder.try_lock(str(stage)) is None


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("new/deep/" + "x" * 240, DestinationError, "File name too long"),
        ("x" * 300, BadOptionError, "longer than a file system"),
        ("new/" + "y" * 300, BadOptionError, "longer than a file system"),
    ],
)
def test_names_that_are_too_long_are_refused_and_leave_nothing(
    tmp_path, source, name, error, says
):
    with pytest.raises(error, match=says):
        sort(source, name)
    assert names(tmp_path) == ["in"]


def test_a_name_that_is_none_is_refused(source):
    with pytest.raises(BadOptionError, match="expected the path of a file or folder"):
        sort(source, "out\0")


def test_a_long_name_that_only_an_exchange_can_replace(tmp_path, source, monkeypatch):
    name = "x" * 233
    sort(source, name, by="note")
    monkeypatch.setattr(dlsort.publish.to_folder, "_exchange", lambda *args: False)
    with pytest.raises(DestinationError, match="File name too long"):
        sort(source, name, overwrite=True)
    assert sorted_by(tmp_path / name, "note")
