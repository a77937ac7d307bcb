"""What becomes of a destination that is there: refused, skipped, gone on with, or replaced."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGINT, SIGTERM, getsignal

import fsspec
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import contents, dataset, read, rows, write
from commands import dlsort as command
from dlsort.errors import BadOptionError, DestinationExistsError
from dlsort.publish.destination import MARKER


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    return tmp_path


def sort(**options: object) -> dlsort.SortReport:
    given = {"src": "in", "dst": "out", "by": "id", "threads": 1, "partitions": 3}
    return dlsort.sort_dataset(**{**given, **options})


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return which file each part is, and when it was written."""
    found = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def test_the_result_that_is_there_is_skipped(work):
    first = sort()
    before = stamps(work / "out")
    again = sort(if_exists="skip")
    assert stamps(work / "out") == before
    assert (again.skipped, again.proved, first.skipped) == (True, True, False)
    assert (again.checksum, again.rows) == (first.checksum, first.rows)
    assert (again.part_rows, again.output_bytes) == (first.part_rows, first.output_bytes)
    assert "skipped    1,200 rows by id: sorted already" in again.to_text()
    assert sorted(path.name for path in work.iterdir()) == ["in", "out"]  # nothing hidden


def test_where_nothing_is_there_it_is_sorted(work):
    assert not sort(if_exists="skip").skipped
    (work / "empty").mkdir()
    assert not sort(if_exists="skip", dst="empty").skipped
    assert read(work / "empty").equals(read(work / "out"))


@pytest.mark.parametrize("overwrite", [True, "force"])
def test_a_result_is_skipped_though_it_might_be_replaced(work, overwrite):
    sort()
    before = stamps(work / "out")
    assert sort(if_exists="skip", overwrite=overwrite).skipped
    assert stamps(work / "out") == before


def test_one_that_has_replaced_another_is_skipped(work):
    """Its model was the other's, which is gone: that does not count."""
    sort()
    write(work / "in" / "3.parquet", rows(seed=9))
    assert sort(overwrite=True).rows == 1600
    assert sort(if_exists="skip", overwrite=True).skipped


def changed(work: Path, what: str) -> dict[str, object]:
    """Change something, and return the options of the next sort."""
    match what:
        case "a new file":
            write(work / "in" / "3.parquet")
        case "a file less":
            (work / "in" / "2.parquet").unlink()
        case "written anew":
            path = work / "in" / "1.parquet"
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        case "a part less":
            (work / "out" / "part-00001.parquet").unlink()
        case "a part of others":
            write(work / "out" / "part-00001.parquet")
        case "no Parquet":
            (work / "out" / "part-00001.parquet").write_text("nothing")
        case "key":
            return {"by": "id,price"}
        case "codec":
            return {"compression": "zstd"}
        case "parts":
            return {"partitions": 2}
        case "row groups":
            return {"row_group_rows": 7}
    return {}


WHY = {
    "a new file": "the source has changed since",
    "a file less": "the source has changed since",
    "written anew": "the source has changed since",
    "a part less": "it is not complete",
    "a part of others": "its files do not tell that they are the parts of one sort",
    "no Parquet": "its files can't be read as one dataset",
    "key": "it is sorted by id",
    "codec": "it was made with other options",
    "parts": "it has 3 parts",
    "row groups": "it was made with other options",
}


@pytest.mark.parametrize("what", WHY)
def test_another_result_is_refused_and_with_overwrite_sorted_anew(work, what):
    sort()
    options = changed(work, what)
    before = contents(work)
    with pytest.raises(DestinationExistsError) as error:
        sort(if_exists="skip", **options)
    assert f"out is not the result of this sort: {WHY[what]}" in str(error.value)
    assert contents(work) == before
    how = "force" if what == "no Parquet" else True
    report = sort(if_exists="skip", overwrite=how, **options)
    assert not report.skipped
    by = options.get("by", "id")
    assert dlsort.check_dataset("out", by=by, against="in").ok
    assert sort(if_exists="skip", **options).skipped


@pytest.mark.parametrize(
    "chosen",
    [
        {"where": "price < 500", "limit": 7},
        {"columns": "price"},
        {"by": "lower(note),id", "columns": "price", "unique": "last"},
        {"by": "lower(note)", "columns": "note,id", "rename": "note=called"},
        {"by": "price,id", "columns": "price", "limit": 5},
    ],
    ids=str,
)
def test_some_of_the_rows_and_columns_are_skipped_and_others_are_not(work, chosen):
    """Though the parts may not have the columns that they are sorted by."""
    first = sort(**chosen)
    before = stamps(work / "out")
    again = sort(if_exists="skip", **chosen)
    assert again.skipped
    assert stamps(work / "out") == before
    kept = first.kept_rows, first.dropped_rows, first.checksum
    assert (again.kept_rows, again.dropped_rows, again.checksum) == kept
    assert f"skipped    {first.kept_rows:,} row" in again.to_text()
    with pytest.raises(DestinationExistsError, match="it was made with other options"):
        sort(if_exists="skip", **chosen, offset=1)


def test_parts_that_tell_nothing_are_not_taken_for_a_result(work):
    sort(manifest=False)
    with pytest.raises(DestinationExistsError, match="do not tell that they are the parts"):
        sort(if_exists="skip", manifest=False)


def test_a_result_is_known_whatever_number_of_threads_and_wherever_the_source_lies(work):
    sort(threads=2)
    assert sort(if_exists="skip", strategy="exchange", memory="1GiB").skipped
    (work / "in").rename(work / "moved")
    assert sort(if_exists="skip", src="moved", partitions=None).skipped


def test_replace_and_resume_are_as_their_options(work):
    sort()
    with pytest.raises(DestinationExistsError):
        sort(if_exists="resume")
    with pytest.raises(DestinationExistsError):
        sort(if_exists="fail")
    before = stamps(work / "out")
    assert not sort(if_exists="replace").skipped
    assert stamps(work / "out") != before


@pytest.mark.parametrize("other", ["overwrite", "resume"])
def test_fail_and_its_contrary_are_refused(work, other):
    with pytest.raises(BadOptionError, match=f"if_exists is 'fail', and {other} is given too"):
        sort(if_exists="fail", **{other: True})
    told = command("sort", "in", "out", "--by", "id", "--if-exists", "fail", f"--{other}")
    assert told.stderr == (
        f"Error: --if-exists is 'fail', and --{other} is given too; give one of them.\n"
    )
    assert not (work / "out").exists()


def test_in_a_store_a_result_counts_once_it_is_marked(work):
    store = fsspec.filesystem("memory")
    try:
        sort(dst="memory://skips/out")
        assert sort(dst="memory://skips/out", if_exists="skip").skipped
        store.rm(f"/skips/out/{MARKER}")
        with pytest.raises(DestinationExistsError, match="it is not complete"):
            sort(dst="memory://skips/out", if_exists="skip")
    finally:
        store.rm("/skips", recursive=True)


def test_the_command_skips_and_says_so(work):
    args = ("sort", "in", "out", "--by", "id", "--threads", 1, "--if-exists", "skip")
    assert "proved" in command(*args).stdout
    before = stamps(work / "out")
    again = command(*args)
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout.startswith("skipped    1,200 rows by id")
    assert stamps(work / "out") == before


# ---------------------------------------------------------------- a dry run


def test_a_dry_run_tells_the_plan_and_writes_nothing(work):
    before = contents(work)
    told = command("sort", "in", "out", "--by", "id", "--partitions", 2, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "note       a dry run: nothing is sorted or written" in told.stdout
    assert "pinned     partitions 2" in told.stdout
    assert "├─ sort" in told.stdout
    assert contents(work) == before


def test_a_dry_run_tells_which_rows_would_be_kept(work):
    told = command("sort", "in", "out", "--by", "id,price", "--where", "price < 5", "--unique",
                   "last", "--unique-by", "id", "--limit", 3, "--dry-run")  # fmt: skip
    assert told.exit_code == 0
    note = "rows that are kept: where price < 5, the last of each value of id, limit 3"
    assert f"note {note}" in " ".join(told.stdout.split())


def test_a_dry_run_is_refused_as_the_sort_would_be(work):
    sort()
    before = contents(work)
    args = ("sort", "in", "out", "--by", "id", "--dry-run")
    refused = command(*args)
    assert (refused.exit_code, "already holds 3 files" in refused.stderr) == (2, True)
    assert "note       out would be replaced" in command(*args, "--overwrite").stdout
    skips = command(*args, "--if-exists", "skip", "--partitions", 3)
    assert "out is this sort's result already, which would be skipped" in skips.stdout
    reported = command(*args, "--overwrite", "--report", "r.json")
    assert reported.stderr == "Error: --dry-run makes no report: leave --report out.\n"
    assert contents(work) == before


# ---------------------------------------------------------------- several at once


def test_two_sorts_at_once_in_threads_of_one_process(work):
    dataset(work / "other", 5)
    before = getsignal(SIGINT), getsignal(SIGTERM)
    jobs = [("in", "a", "id"), ("other", "b", "price:desc"), ("in", "c", "note,id")] * 2

    def run(i: int) -> dlsort.SortReport:
        src, dst, by = jobs[i]
        seen: list[object] = []
        report = sort(src=src, dst=f"{dst}{i}", by=by, threads=2, progress=seen.append)
        assert seen[-1].rows == report.rows
        return report

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(run, range(len(jobs))))
    for i, ((src, dst, by), report) in enumerate(zip(jobs, reports, strict=True)):
        assert report.rows == pq.read_table(src).num_rows
        assert dlsort.check_dataset(f"{dst}{i}", by=by, against=src).ok
    assert (getsignal(SIGINT), getsignal(SIGTERM)) == before
