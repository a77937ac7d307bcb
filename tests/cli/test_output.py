"""What the command line shows, where, and what becomes of it when nobody can read that."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import stat
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import COMMAND, contents, dataset, read, rows, sort, sorted_well, write
from commands import dlsort as command
from dlsort.strategies import opened

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

OUT, ERR = 1, 2
BY = ("--by", "id", "--threads", "1")


@contextmanager
def broken(how: str) -> Iterator[int]:
    """Give a file that can't be written to."""
    if how == "full":
        with Path("/dev/full").open("w") as full:
            yield full.fileno()
    else:
        reader, writer = os.pipe()
        os.close(reader)
        yield writer
        os.close(writer)


def run_on(how: str, number: int, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a command whose output, or error output, is full, a closed pipe, or closed."""
    line = [*COMMAND, *map(str, args)]
    if how == "closed":
        line = ["sh", "-c", f'exec "$@" {number}>&-', "sh", *line]
        return subprocess.run(line, capture_output=True, text=True, timeout=100)
    other = {OUT: "stderr", ERR: "stdout"}[number]
    with broken(how) as file:
        streams = {"stdout": file, "stderr": file, other: subprocess.PIPE}
        return subprocess.run(line, text=True, timeout=100, **streams)


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dataset(tmp_path / "in").parent


@pytest.fixture
def is_sorted(work):
    write(Path("sorted/0.parquet"), rows().sort_by("id"))


every_way = pytest.mark.parametrize("how", ["full", "pipe", "closed"])


# ---------------------------------------------------------------- nobody can read it


WHY = {"full": "No space left on device", "pipe": "Broken pipe", "closed": "it is closed"}


@every_way
def test_a_sort_whose_report_nobody_can_read_is_done(work, how):
    done = run_on(how, OUT, "sort", "in", "out", *BY, "--no-progress")
    assert done.returncode == 0
    assert done.stderr == (
        "warning: out is sorted and complete, but the report could not be written to standard "
        f"output: {WHY[how]}.\n"
    )
    assert dlsort.check_dataset("out", by="id", against="in").ok


@every_way
def test_a_sort_without_error_output_is_done(work, how):
    done = run_on(how, ERR, "sort", "in", "out", *BY, "--report", "r.json")
    assert done.returncode == 0
    assert "proved     1,200 rows in order" in done.stdout
    assert json.loads(Path("r.json").read_text())["proved"]
    assert dlsort.check_dataset("out", by="id", against="in").ok


def test_a_sort_without_any_stream_writes_nothing_else_into_its_parts(work):
    line = ["sh", "-c", 'exec "$@" 0>&- 1>&- 2>&-', "sh", *COMMAND, "sort", "in", "out", *BY]
    assert subprocess.run(line, timeout=100).returncode == 0
    assert dlsort.check_dataset("out", by="id", against="in").ok


def test_a_report_that_cannot_be_written_has_an_exit_code_of_its_own(work):
    result = sort("in", "out", "--report", "/dev/full")
    assert result.exit_code == 4
    assert result.stderr == (
        "Error: out is sorted and complete, but --report /dev/full could not be written: "
        "No space left on device.\n"
    )
    assert "proved" in result.stdout
    assert read(work / "out").num_rows == 1200


@pytest.mark.parametrize("before", [None, "the one of yesterday"])
def test_a_report_that_does_not_fit_leaves_nothing_half_written(work, monkeypatch, before):
    if before is not None:
        Path("r.json").write_text(before)
    write_bytes = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        write_bytes(path, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def report(self: Path, text: str, **options: object) -> int:
        return fill(self, text.encode())

    monkeypatch.setattr(Path, "write_text", report)
    write_json = dlsort.SortReport.to_json

    def to_json(self: dlsort.SortReport, path: Path) -> str:
        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", fill)
            return write_json(self, path)

    monkeypatch.setattr(dlsort.SortReport, "to_json", to_json)
    result = sort("in", "out", "--report", "r.json")
    assert result.exit_code == 4
    assert "--report r.json could not be written: No space left on device." in result.stderr
    names = ["in", "out"] if before is None else ["in", "out", "r.json"]
    assert sorted(path.name for path in work.iterdir()) == names
    assert before is None or Path("r.json").read_bytes().decode() == before


def test_a_report_through_a_link_goes_where_that_leads(work):
    (work / "far").mkdir()
    Path("r.json").symlink_to("far/real.json")
    sorted_well("in", "out", "--report", "r.json")
    assert Path("r.json").is_symlink()
    assert json.loads(Path("far/real.json").read_text())["proved"]


def test_a_report_has_the_mode_of_any_new_file_or_keeps_its_own(work):
    old, new = Path("old.json"), Path("new.json")
    old.touch()
    old.chmod(0o640)
    for n, path in enumerate((old, new)):
        sorted_well("in", f"out{n}", "--report", path)
    Path("plain").touch()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == Path("plain").stat().st_mode


def test_a_report_for_standard_output_that_is_full(work):
    done = run_on("full", OUT, "sort", "in", "out", *BY, "--report", "-")
    assert done.returncode == 4
    assert "out is sorted and complete, but --report - could not be written" in done.stderr
    assert "proved" in done.stderr


@every_way
def test_the_verdict_of_a_check_outlives_its_output(is_sorted, how):
    done = run_on(how, OUT, "check", "sorted", "--by", "id", "--no-progress")
    assert done.returncode == 0
    assert "sorted is as it should be, but standard output can't be written" in done.stderr
    assert run_on(how, ERR, "check", "sorted", "--by", "price").returncode == 1


@every_way
def test_a_refusal_that_nobody_can_read_is_one(how):
    assert run_on(how, ERR, "sort", "in", "out", "--bye").returncode == 2


def test_a_refused_source_of_which_nobody_can_read(work):
    before = contents(work)
    assert run_on("full", ERR, "sort", "nowhere", "out", *BY).returncode == 2
    assert contents(work) == before


def test_help_that_nobody_can_read():
    done = run_on("full", OUT, "sort", "--help")
    assert (done.returncode, done.stderr) == (2, "Error: No space left on device.\n")
    done = run_on("pipe", OUT, "--help")  # as in `dlsort --help | head -1`
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_is_asked_for_the_report_gets_it(work):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        sorted_well("in", "out", "--report", f"/dev/fd/{reader.stdin.fileno()}")
        told, _ = reader.communicate(timeout=60)
    assert json.loads(told)["rows"] == 1200


# ---------------------------------------------------------------- the report


def test_the_report_as_json_on_standard_output(work):
    result = sort("in", "out", "--report", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] == 1200
    assert result.stderr.startswith("sorted     1,200 rows by id\n")
    assert not Path("-").exists()


def test_the_report_has_the_time_that_the_user_waited(work):
    done = run_on("full", ERR, "sort", "in", "out", *BY, "--report", "r.json")
    told = json.loads(Path("r.json").read_text())
    assert told["startup_s"] > 0.1  # Python, NumPy and Arrow are not loaded in less
    line = next(line for line in done.stdout.splitlines() if line.startswith("time"))
    total, startup, seconds = map(float, re.findall(r"(\d+\.\d\d)", line)[:3])
    assert f" s: start-up {startup:.2f}, sort {seconds:.2f} at " in line
    assert total == pytest.approx(told["startup_s"] + told["seconds"], abs=0.02)
    assert (startup, seconds) == pytest.approx((told["startup_s"], told["seconds"]), abs=0.01)


def test_a_sort_from_python_has_no_start_up():
    report = dlsort.SortReport("in", "out", "id", rows=10, seconds=2.0, threads=1)
    assert "time       2.00 s, 5 rows/s; embedded, 1 thread\n" in report.to_text()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (2, "1 row"),
        (3, "1.5 rows"),
        (7, "3.5 rows"),
        (900, "450 rows"),
        (2_469, "1.2 k rows"),
        (8_200_000, "4.1 M rows"),
    ],
)
def test_small_jobs_have_a_speed_too(rows, says):
    report = dlsort.SortReport("in", "out", "id", rows=rows, seconds=2.0, threads=1)
    assert f"time       2.00 s, {says}/s; embedded" in report.to_text()


def full_report() -> dlsort.SortReport:
    """Return a report with a line of each kind, all of them long."""
    report = dlsort.SortReport(
        *("/home/someone/data/lineitem", "/home/someone/data/sorted", "day,price:desc,note"),
        rows=1_234_567_890,
        seconds=1234.5,
        startup_s=1.5,
        threads=128,
        input_files=1200,
        output_parts=1200,
        part_rows=[1_028_807] * 1200,
        predicted_rows=1_028_806.5,
        surprises=[1199],
        resumed_parts=100,
        workers=16,
        moved=True,
        proved=True,
        checksum="c" * 32,
    )
    report.input_bytes = report.output_bytes = report.peak_memory_bytes = 2**40 - 2**30
    for step in ("read", "sample", "partition", "sort", "gather", "encode", "write"):
        report.phases.work[step] = 12345.67
    return report


def test_the_report_is_whole_in_80_columns(work):
    report = full_report()
    lines = report.to_text().split("\n")
    assert max(map(len, lines)) <= 80
    assert max(map(len, sorted_well("in", "out").stdout.splitlines())) <= 80
    heads = [line[:11] for line in lines]
    assert [h for h in heads if h.strip()][-1] == "proved     "
    assert heads.count(" " * 11) >= 3
    words = " ".join(report.to_text().split())
    assert (
        f"proved 1,234,567,890 rows in order, checksum {'c' * 32} at source and sink" in words
    )


@pytest.mark.parametrize("columns", [40, 41, 59, 60, 79])
def test_the_report_is_whole_in_fewer_columns(columns):
    report = full_report()
    lines = report.to_text(columns).split("\n")
    assert max(map(len, lines)) <= columns
    assert " ".join(" ".join(lines).split()) == " ".join(report.to_text().split())


@pytest.mark.parametrize(("columns", "widest"), [(60, 60), (40, 40), (20, 40), (200, 80)])
def test_the_report_fits_the_terminal(work, columns, widest):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    line = [*COMMAND, "sort", "in", "out", *BY, "--no-progress"]
    subprocess.run(line, stdout=theirs, check=True, timeout=100)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert shown[0].startswith("sorted     1,200 rows")
    assert widest - 16 < max(map(len, shown)) <= widest


def test_a_path_is_never_broken(work):
    path = "/somewhere far/" + "long name/" * 12
    report = dlsort.SortReport(path, path + "out", "a key:desc", threads=1)
    lines = report.to_text().split("\n")
    assert f"from       {path}" in lines
    assert f"to         {path}out" in lines
    assert "sorted     0 rows by a key:desc" in lines


def test_one_is_no_plural(work):
    write(Path("one.parquet"), rows(1))
    text = sorted_well("one.parquet", "one").stdout
    for fact in ("1 row by id", "(1 file, ", "(1 part, ", "1 thread\n", "proved     1 row in"):
        assert fact in text
    text += command("check", "one", "--by", "id", "--against", "one.parquet").output
    assert "in order   1 row by id, in 1 file of one" in text
    assert "same rows  1 row, " in text
    result = sort("one.parquet", "one")
    assert "one already holds 1 file. Pass" in result.stderr
    assert not re.search(r"(?<![\d.])1 (rows|files|parts|threads)", text)  # 4.1 rows/s


# ---------------------------------------------------------------- the names of others


NASTY = "a\x1b[31m\r\n\u202eb"
ESCAPED = r"a\x1b[31m\r\n\u202eb"


def nothing_raw(text: str) -> None:
    assert all(c.isprintable() or c == "\n" for c in text), text


def test_names_of_files_reach_no_terminal_raw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path(f"{NASTY}.parquet"), rows(3))
    Path(f"{NASTY}-broken.parquet").write_bytes(b"PAR1 but no more")
    for result, code in (
        (sort(f"{NASTY}.parquet", f"{NASTY}out"), 0),
        (sort(f"{NASTY}.parquet", f"{NASTY}out"), 2),
        (sort(f"{NASTY}-broken.parquet", "out"), 2),
        (sort(f"{NASTY}nowhere", "out"), 2),
        (sort(f"{NASTY}.parquet", "out", "--report", f"{NASTY}/r.json"), 2),
        (sort(f"{NASTY}.parquet", "out", "--temp-dir", NASTY), 2),
        (command("check", f"{NASTY}out", "--by", "id"), 0),
        (command("check", f"{NASTY}out", "--by", "id:desc"), 1),
        (command("check", f"{NASTY}out", "--by", "id", "--against", f"{NASTY}.parquet"), 0),
        (command("sort", NASTY, "b", "out", "--by", "id"), 2),
        (command("sort", "a", "b", "--by", "id", f"--{NASTY}"), 2),
        (command(NASTY), 2),
    ):
        assert result.exit_code == code, result.output
        nothing_raw(result.output)
        assert ESCAPED in result.output


def test_names_of_columns_reach_no_terminal_raw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("in.parquet"), pa.table({NASTY: [2, 3, 1], "tags": [[1], [2], [3]]}))
    for result in (
        sort("in.parquet", "out", by=NASTY),
        sort("in.parquet", "x", by="id"),
        command("check", "in.parquet", "--by", NASTY),
    ):
        nothing_raw(result.output)
        assert ESCAPED in result.output


def test_errors_in_python_have_no_raw_names_either(tmp_path):
    with pytest.raises(dlsort.DlsortError) as caught:
        dlsort.sort_dataset(tmp_path / NASTY, tmp_path / "out", by="id")
    nothing_raw(str(caught.value))
    assert ESCAPED in str(caught.value)


def test_names_that_are_no_text_are_shown(tmp_path):
    # as Linux allows; no encoding has a sign for them
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.parquet")
    pq.write_table(rows(3), "/".join([str(tmp_path), "a.parquet"]))
    Path(tmp_path, "a.parquet").rename(path)
    result = sort(path, tmp_path / "out")
    assert result.exit_code == 0
    assert r"\udcff.parquet" in result.stdout
    result = sort(tmp_path / "out", os.fsdecode(os.fsencode(tmp_path) + b"/\xfe"))
    assert result.exit_code == 2
    assert r"\udcfe" in result.stderr
    assert "no text in UTF-8" in result.stderr


def test_a_terminal_that_has_no_sign_for_a_name(tmp_path):
    write(tmp_path / "año 日.parquet", rows(3))
    line = [*COMMAND, "sort", tmp_path / "año 日.parquet", tmp_path / "out", *BY]
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=100)
    assert done.returncode == 0
    assert r"a\xf1o \u65e5.parquet (1 file" in " ".join(done.stdout.split())


# ---------------------------------------------------------------- progress


def test_each_phase_has_a_line_where_there_is_no_terminal(work):
    done = command("sort", "in", "out", *BY)
    lines = [f"{name}: 1,200 rows\n" for name in ("sample", "partition", "sort", "publish")]
    assert done.stderr == "".join(lines)
    done = command("check", "out", "--by", "id", "--against", "in")
    assert done.stderr == "check: 1,200 rows\nagainst: 1,200 rows\n"
    assert command("check", "out", "--by", "id", "--no-progress").stderr == ""
    assert command("sort", "in", "b", *BY, "--no-progress").stderr == ""


def test_a_terminal_that_goes_away_does_not_stop_the_sort(work):
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, "sort", "in", "out", *BY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=env,
        start_new_session=True,
    ) as running:
        os.close(theirs)
        assert os.read(ours, 1)  # it draws
        os.close(ours)
        out, _ = running.communicate(timeout=100)
    assert running.returncode == 0
    assert "proved     1,200 rows" in out
    assert dlsort.check_dataset("out", by="id", against="in").ok


# ---------------------------------------------------------------- being stopped


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_arrives_while_it_is_set_up_stops_it(work, monkeypatch, number):
    open_source = opened.open_source

    def stop(*args: Any, **options: Any) -> Any:
        signal.raise_signal(number)
        return open_source(*args, **options)

    monkeypatch.setattr(opened, "open_source", stop)
    before = contents(work)
    result = sort("in", "out")
    assert result.exit_code == 128 + number
    what = f"Error: stopped by {number.name}; the destination is as it was.\n"
    assert (result.stdout, result.stderr) == ("", what)
    assert contents(work) == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_from_the_start_stays_so(work, monkeypatch, number):
    open_source = opened.open_source

    def go_on(*args: Any, **options: Any) -> Any:
        signal.raise_signal(number)
        return open_source(*args, **options)

    monkeypatch.setattr(opened, "open_source", go_on)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        sorted_well("in", "out")
    finally:
        signal.signal(number, before)


def test_a_report_that_waits_for_a_reader_can_be_stopped(work, monkeypatch):
    def to_json(self: object, path: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("dlsort.report.SortReport.to_json", to_json)
    result = sort("in", "out", "--report", "r.json")
    assert result.exit_code == 4
    assert "--report r.json could not be written: stopped by SIGINT." in result.stderr
    assert read(work / "out").num_rows == 1200


def test_what_fails_after_publishing_is_a_warning(work, monkeypatch):
    remove = dlsort.publish.staging.remove_folder

    def fail(folder: str) -> None:
        remove(folder)
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(dlsort.publish.staging, "remove_folder", fail)
    result = sort("in", "out")
    assert result.exit_code == 0, result.output
    assert "warning: out is sorted and complete; but after that: Permission denied" in (
        result.stderr
    )
    assert dlsort.check_dataset("out", by="id", against="in").ok
