"""Sorts that ended before their time, and what the next one makes of what they left."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import COMMAND, contents, while_it_runs
from commands import dlsort as command
from dlsort.errors import ClusterError, CorruptSourceError, DestinationError, ResumeError
from dlsort.publish.finished import find_finished, finished_parts, keep_finished
from dlsort.publish.staging import find_abandoned
from dlsort.strategies import exchange as plan
from dlsort.strategies import opened
from dlsort.strategies import part as part_module
from dlsort.strategies import reader as reader_module
from dlsort_cluster.exchange import ExchangeError
from patience import PATIENCE_S

N_PARTS = 6


def shuffled(rng: np.random.Generator) -> list[pa.Table]:
    return [
        pa.table(
            {
                "k": rng.permutation(4_000),
                "kind": pa.array(
                    rng.choice(["red", "green", "blue"], 4_000)
                ).dictionary_encode(),
                "note": pa.array(
                    [None if v < 0.2 else f"note {v:.2f}" for v in rng.random(4_000)]
                ),
            }
        )
        for _ in range(3)
    ]


def apart(rng: np.random.Generator) -> list[pa.Table]:
    return [t.set_column(0, "k", pa.array(rng.integers(0, 900, 4_000) + 1_000 * day))
            for day, t in enumerate(shuffled(rng) * 2)]  # fmt: skip


def late(rng: np.random.Generator) -> list[pa.Table]:
    tables = []
    for table in shuffled(rng):
        keys = np.sort(rng.integers(0, 10**9, 4_000))
        tables.append(table.set_column(0, "k", pa.array(keys)))
    return tables


SOURCES = {"exchange": shuffled, "move": apart, "range": late}


HOW: dict[str, Any] = {"by": "k", "partitions": N_PARTS, "threads": 1}


@pytest.fixture(params=SOURCES)
def way(request, monkeypatch) -> str:
    """Have sorts make their parts in this way, whatever it costs."""
    monkeypatch.setitem(HOW, "strategy", request.param)
    return request.param


def write(folder: Path, way: str) -> Path:
    folder.mkdir()
    for number, table in enumerate(SOURCES[way](np.random.default_rng(5))):
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=100)
    return folder


def sort(source: Path, name: str = "out", **options: Any) -> dlsort.SortReport:
    return dlsort.sort_dataset(source, source.parent / name, **{**HOW, **options})


def kept_in(folder: Path, name: str = "out") -> Path:
    (kept,) = folder.glob(f".{name}.*.partial")
    return kept


@pytest.fixture
def after(monkeypatch) -> Callable[..., None]:
    """Have the job fail once some of its parts are finished."""

    def fail(n_parts: int, error: BaseException) -> None:
        done: list[int] = []

        def keep(folder: str, *args: Any) -> None:
            if len(done) == n_parts:
                raise error
            keep_finished(folder, *args)
            done.append(1)

        monkeypatch.setattr(part_module, "keep_finished", keep)

    return fail


@pytest.fixture
def broken_off(tmp_path, after, monkeypatch, way) -> Path:
    """Give a source whose sort lost its cluster after two parts."""
    source = write(tmp_path / "in", way)
    after(2, ExchangeError("the scheduler went away."))
    with pytest.raises(ClusterError, match="went away") as caught:
        sort(source)
    (note,) = caught.value.__notes__
    assert note.startswith(f"2 of 6 parts are finished and kept in {kept_in(tmp_path)}: ")
    assert "--resume" in note
    monkeypatch.setattr(part_module, "keep_finished", keep_finished)
    return source


@pytest.fixture
def written(monkeypatch) -> list[int]:
    """The parts that are written from here on."""
    parts: list[int] = []
    open_part = part_module.Writer.open

    def spy(self: Any, part: int, *how: int) -> Any:
        parts.append(part)
        return open_part(self, part, *how)

    monkeypatch.setattr(part_module.Writer, "open", spy)
    return parts


def undisturbed(source: Path) -> dict[str, Any]:
    sort(source, "undisturbed")
    return contents(source.parent / "undisturbed")


def clean(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {"in", "out", "undisturbed"}


def test_finished_parts_are_kept_and_the_others_made(tmp_path, broken_off, way, written):
    kept = finished_parts(f"{kept_in(tmp_path)}/{way}")
    assert len(kept) == 2
    report = sort(broken_off, resume=True)
    assert report.resumed_parts == 2
    assert sorted(written) == sorted(set(range(N_PARTS)) - set(kept))
    assert "resumed    2 of 6 parts" in report.to_text()
    assert report.proved
    assert report.moved == (way != "exchange")
    assert contents(tmp_path / "out") == undisturbed(broken_off)
    assert clean(tmp_path)


def test_the_same_model_is_used(tmp_path, broken_off, monkeypatch):
    def fit(*args: object) -> None:
        pytest.fail("a model was fitted anew")

    monkeypatch.setattr(reader_module, "fit_model", fit)
    assert sort(broken_off, resume=True).proved


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_rows_of_finished_parts_are_not_exchanged(broken_off, monkeypatch):
    n_rows = []
    merge = part_module.sort_in_pieces

    def spy(shards: Any, *args: Any) -> Any:
        n_rows.append(shards.n_rows)
        return merge(shards, *args)

    split = plan.group

    def look(table: pa.Table, *args: Any) -> Any:
        n_rows.append(-table.num_rows)
        return split(table, *args)

    monkeypatch.setattr(part_module, "sort_in_pieces", spy)
    monkeypatch.setattr(plan, "group", look)
    report = sort(broken_off, resume=True)
    made = sum(n for n in n_rows if n > 0)
    assert -sum(n for n in n_rows if n < 0) == made < report.rows


def test_options_that_were_not_asked_for_are_taken_over(tmp_path, broken_off):
    report = sort(broken_off, resume=True, partitions=None, memory="700MiB")
    assert report.output_parts == N_PARTS
    assert contents(tmp_path / "out") == undisturbed(broken_off)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "k:desc"}, r"by \(--by\) is 'k:desc', but it was 'k'"),
        (
            {"compression": "zstd"},
            r"compression \(--compression\) is 'zstd', but it was 'snappy'",
        ),
        ({"partitions": 5}, r"partitions \(--partitions\) is 5, but it was 6"),
        ({"partitions": None, "partition_size": "1MiB"}, "is 1048576, but it was None"),
        ({"row_group_rows": 77}, "is 77, but it was"),
    ],
)
def test_another_job_does_not_go_on_from_it(tmp_path, broken_off, options, says):
    before = contents(tmp_path)
    with pytest.raises(ResumeError, match=says):
        sort(broken_off, resume=True, **options)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("story", ["is new", "is gone", "has changed"])
def test_a_source_that_is_another_by_now(tmp_path, broken_off, story):
    file = broken_off / "1.parquet"
    if story == "is new":
        (broken_off / "9.parquet").write_bytes(file.read_bytes())
    elif story == "is gone":
        file.unlink()
    else:
        os.utime(file, ns=(0, 0))
    with pytest.raises(ResumeError, match=f"parquet {story}"):
        sort(broken_off, resume=True)
    assert finished_parts(f"{kept_in(tmp_path)}/exchange")


def spoil_bytes(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 0x40
    part.write_bytes(data)


def spoil_size(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-9])


def spoil_rows(part: Path) -> None:
    """Leave a file of the same size that holds other rows."""
    n_bytes = part.stat().st_size
    table = pq.ParquetFile(part).read().slice(1)
    pq.write_table(table, part, compression="none")
    part.write_bytes(part.read_bytes().ljust(n_bytes, b"0")[:n_bytes])


@pytest.mark.parametrize("spoil", [spoil_bytes, spoil_size, spoil_rows])
def test_a_finished_part_that_was_spoiled_is_made_again(tmp_path, broken_off, way, spoil):
    folder = str(kept_in(tmp_path) / way)
    found = find_finished(folder, finished_parts(folder)[0])
    assert found is not None
    spoil(Path(folder, "parts", found.name))
    report = sort(broken_off, resume=True)
    assert report.resumed_parts == 1
    assert contents(tmp_path / "out") == undisturbed(broken_off)


@pytest.mark.parametrize("lie", ["rows", "edges", "nothing"])
def test_a_record_that_lies_is_found_out(tmp_path, broken_off, way, lie):
    folder = str(kept_in(tmp_path) / way)
    part = finished_parts(folder)[0]
    found = find_finished(folder, part)
    assert found is not None
    record = Path(folder, "finished", f"{part}.arrow")
    if lie == "rows":
        record.write_bytes(record.read_bytes().replace(b'"written": [', b'"written": [1'))
    elif lie == "edges":
        edges = found.written.edges
        keys = pa.array([10**6] * 2, edges.schema.types[0])
        edges = pa.table([keys], schema=edges.schema)
        written = part_module.OutputStats(
            part,
            found.written.proof,
            found.written.file_bytes,
            edges,
            None,
            files=found.written.files,
        )
        keep_finished(folder, written, found.read)
    else:
        record.write_bytes(b"")
    assert sort(broken_off, resume=True).resumed_parts == 1
    assert contents(tmp_path / "out") == undisturbed(broken_off)


@pytest.mark.parametrize("way", ["exchange", "range"], indirect=True)
@pytest.mark.parametrize("how", ["gone", "spoiled"])
def test_without_the_model_all_parts_are_made_again(tmp_path, broken_off, way, how):
    model = kept_in(tmp_path) / way / "model.arrow"
    if how == "gone":
        model.unlink()
    else:
        model.write_bytes(model.read_bytes()[:100])
    assert sort(broken_off, resume=True).resumed_parts == 0
    assert contents(tmp_path / "out") == undisturbed(broken_off)
    assert clean(tmp_path)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("damage", ["other", "torn", "edited", "no mapping"])
def test_a_damaged_job_file_is_not_gone_on_from(tmp_path, broken_off, damage):
    job = kept_in(tmp_path) / "job.json"
    told = json.loads(job.read_bytes())
    job.write_text(
        {
            "other": json.dumps({"by": "k"}),
            "torn": json.dumps(told)[:50],
            "edited": json.dumps({**told, "part_bytes": 1}),
            "no mapping": "[1]",
        }[damage]
    )
    assert sort(broken_off, resume=True).resumed_parts == 0
    if damage in ("other", "no mapping"):  # someone else's, as far as can be told
        assert job.exists()
    else:
        assert clean(tmp_path)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_of_several_attempts_the_same_job_is_gone_on_from(
    tmp_path, broken_off, after, monkeypatch
):
    after(4, ExchangeError("the scheduler went away."))
    with pytest.raises(ClusterError):
        sort(broken_off, by="note")
    monkeypatch.setattr(part_module, "keep_finished", keep_finished)
    assert sort(broken_off, resume=True).resumed_parts == 2
    assert clean(tmp_path)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_a_job_is_locked_from_its_first_moment(tmp_path, monkeypatch, way):
    rename = Path.rename
    seen = []

    def spy(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if Path(target).name == "job.json":
            seen.append(find_abandoned(str(tmp_path / "out")))
        return moved

    monkeypatch.setattr(Path, "rename", spy)
    sort(write(tmp_path / "in", way))
    assert seen == [[]]


def test_what_was_kept_took_no_time(tmp_path, after, way, monkeypatch):
    source = write(tmp_path / "in", way)
    check = dlsort.dataset.check_visible
    monkeypatch.setattr(dlsort.dataset, "check_visible", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sort(source, resume=True)
    monkeypatch.setattr(dlsort.dataset, "check_visible", check)
    report = sort(source, resume=True)
    assert report.resumed_parts == N_PARTS
    phases = report.to_dict()["phases"]
    assert all(0 <= seconds < 600 for name, seconds in phases.items() if name != "work")


def interrupt(*args: Any) -> None:
    raise KeyboardInterrupt


def test_a_file_that_no_worker_wrote_is_not_published(tmp_path, broken_off, way):
    stray = kept_in(tmp_path) / way / "parts" / "zz.parquet"
    shutil.copy(broken_off / "0.parquet", stray)
    with pytest.raises(DestinationError, match=r"zz\.parquet is none of this sort's parts"):
        sort(broken_off, resume=True)
    assert not (tmp_path / "out").exists()
    stray.unlink()
    assert sort(broken_off, resume=True).resumed_parts == N_PARTS


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("place", [".", "exchange"])
def test_a_folder_with_links_in_it_is_none_of_ours(tmp_path, broken_off, place):
    victim = tmp_path / "in" / "victim"
    victim.mkdir()
    kept = kept_in(tmp_path) / place
    shutil.rmtree(kept / "finished", ignore_errors=True)
    (kept / "finished").symlink_to(victim)
    (victim / "3.arrow").write_bytes(b"precious")
    assert sort(broken_off / "*.parquet", resume=True).resumed_parts == 0
    assert (victim / "3.arrow").read_bytes() == b"precious"


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("others", [True, False])
def test_another_users_folder_is_taken_only_where_others_can_make_none(
    tmp_path, broken_off, others, monkeypatch
):
    tmp_path.chmod(0o777 if others else 0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert sort(broken_off, resume=True).resumed_parts == (0 if others else 2)


def test_with_nothing_to_go_on_from_it_is_a_sort(tmp_path, way):
    report = sort(write(tmp_path / "in", way), resume=True)
    assert report.proved
    assert report.resumed_parts == 0
    assert "resumed" not in report.to_text()


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_what_was_left_goes_when_a_later_sort_publishes(tmp_path, broken_off):
    elsewhere = tmp_path / ".other.0123456789ab.partial"
    elsewhere.mkdir()
    (elsewhere / "job.json").write_bytes((kept_in(tmp_path) / "job.json").read_bytes())
    sort(broken_off, "other2")
    assert kept_in(tmp_path)
    sort(broken_off)
    assert sorted(p.name for p in tmp_path.iterdir()) == [elsewhere.name, "in", "other2", "out"]


def test_a_part_that_became_a_link_is_made_again(tmp_path, broken_off, way):
    (part, *_) = sorted(kept_in(tmp_path).glob("*/parts/part-*"))
    part.rename(tmp_path / "moved.parquet")
    part.symlink_to(tmp_path / "moved.parquet")
    sort(broken_off, resume=True)
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_symlink()]
    (tmp_path / "moved.parquet").unlink()
    assert contents(tmp_path / "out") == undisturbed(broken_off)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_a_sort_that_is_at_work_is_left_alone(tmp_path, broken_off):
    kept = kept_in(tmp_path)
    with (kept / "job.json").open("r+") as job:
        fcntl.flock(job, fcntl.LOCK_EX)
        before = contents(kept)
        with pytest.raises(ResumeError, match="another sort is at work"):
            sort(broken_off, resume=True)
        sort(broken_off)
        assert contents(kept) == before
    sort(broken_off, overwrite=True)
    assert clean(tmp_path)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_a_link_in_its_place_is_no_folder_of_ours(tmp_path, broken_off):
    kept = kept_in(tmp_path)
    kept.rename(tmp_path / "moved")
    kept.symlink_to("moved")
    assert sort(broken_off, resume=True).resumed_parts == 0
    assert (tmp_path / "moved" / "job.json").exists()


@pytest.mark.parametrize(
    ("error", "resume", "is_kept"),
    [
        (ExchangeError("lost"), False, True),
        (OSError(5, "disk"), False, False),
        (OSError(5, "disk"), True, True),
        (KeyboardInterrupt(), True, True),
        (CorruptSourceError("torn"), True, False),
    ],
)
@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_what_is_kept_of_a_sort_that_failed(tmp_path, after, way, error, resume, is_kept):
    source = write(tmp_path / "in", way)
    if isinstance(error, KeyboardInterrupt):

        class Interrupts(dlsort.terminal.progress.NoProgress):
            def rows(self, name: str, done: int) -> None:
                if name == "sort" and done:
                    raise error

        options: dict[str, Any] = {"progress": Interrupts()}
    else:
        after(1, error)
        options = {}
    expected = ClusterError if isinstance(error, ExchangeError) else type(error)
    with pytest.raises(expected):
        sort(source, "new/out", resume=resume, **options)
    assert (tmp_path / "new").exists() == is_kept
    if is_kept:
        assert finished_parts(str(kept_in(tmp_path / "new") / way))


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_nothing_is_kept_where_nothing_was_finished(tmp_path, after, way):
    source = write(tmp_path / "in", way)
    after(0, ExchangeError("lost"))
    with pytest.raises(ClusterError):
        sort(source, resume=True)
    assert clean(tmp_path)


# ---------------------------------------------------------------- the command


def test_a_killed_command_is_gone_on_from(tmp_path):
    source = write(tmp_path / "in", "exchange")
    args = ["sort", str(source), str(tmp_path / "out"), "--by", "k", "--partitions", "40"]
    with subprocess.Popen(
        [*COMMAND, *args, "--threads", "1", "--compression", "brotli"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while_it_runs(
            running,
            lambda: list(tmp_path.glob(".out.*.partial/*/finished/[0-9]*.arrow")),
            "a part",
        )
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=PATIENCE_S)
    assert not (tmp_path / "out").exists()
    kept = len(finished_parts(f"{kept_in(tmp_path)}/exchange"))
    options = ("--threads", 1, "--compression", "brotli", "--no-progress")
    told = command(*args[:3], "--by", "k:desc", "--partitions", 1000000)
    assert f"has left {kept} of 40 parts" in told.stderr
    done = command(*args, *options, "--resume")
    assert done.exit_code == 0, done.output
    assert f"resumed    {kept} of 40 parts" in done.stdout
    assert command("check", tmp_path / "out", "--by", "k", "--against", source).exit_code == 0
    assert clean(tmp_path)


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_the_command_says_how_to_go_on(tmp_path, after, way):
    source = write(tmp_path / "in", way)
    after(3, ExchangeError("the scheduler went away."))
    result = command("sort", source, tmp_path / "out", "--by", "k", "--partitions", N_PARTS,
                     "--threads", 1)  # fmt: skip
    assert result.exit_code == 2
    assert "the scheduler went away. 3 of 6 parts are finished and kept in" in result.stderr
    assert "--resume" in result.stderr


# ---------------------------------------------------------------- a source that changes


@pytest.mark.parametrize("story", ["changed", "truncated", "removed"])
@pytest.mark.parametrize("way", ["exchange", "move"], indirect=True)
def test_a_source_that_changes_during_the_sort_is_named(tmp_path, way, story, monkeypatch):
    source = write(tmp_path / "in", way)
    file = source / "1.parquet"
    open_source = opened.open_source

    def open_and_change(*args: Any, **options: Any) -> Any:
        found = open_source(*args, **options)
        if story == "changed":
            data = file.read_bytes()
            file.unlink()
            file.write_bytes(data)
        elif story == "truncated":
            os.truncate(file, 1000)
        else:
            file.unlink()
        return found

    monkeypatch.setattr(opened, "open_source", open_and_change)
    what = "removed" if story == "removed" else "changed"
    with pytest.raises(dlsort.errors.SourceChangedError, match=f"1.parquet was {what}"):
        sort(source)
    assert clean(tmp_path)
    assert not (tmp_path / "out").exists()
