"""Listeners: a function is told what happens, in order, each once, and not too often."""

from __future__ import annotations

import json
import logging
import warnings
from signal import SIGTERM

import pytest

import dlsort
from commands import contents, dataset, process, rows, write
from commands import dlsort as command
from dlsort import events
from dlsort.cli.stop import Stopped
from dlsort.events import Done, Failed, PhaseBegun, PhaseEnded, PhaseRows, Skipped, Used, told
from dlsort.terminal.listener import STEPS, Listener


def listened(source, target, **options):
    """Sort, and return what a function was told."""
    seen = []
    dlsort.sort_dataset(source, target, by="id", threads=1, progress=seen.append, **options)
    return seen


def test_a_function_is_told_of_all_that_happens(tmp_path):
    seen = listened(dataset(tmp_path / "in"), tmp_path / "out", partitions=3)
    names = [told(event)["event"] for event in seen]
    assert names[:2] == ["begun", "opened"]
    assert names[-2:] == ["published", "done"]
    for name in ("started", "planned", "used", "ran", "learned", "made"):
        assert names.count(name) == 1 or name == "used", name
    for phase in ("sample", "partition", "sort", "publish"):
        assert seen.count(PhaseBegun(phase, 1200)) == seen.count(PhaseEnded(phase)) == 1
        assert seen.index(PhaseBegun(phase, 1200)) < seen.index(PhaseEnded(phase))
    assert PhaseRows("sort", 1200, 1200) in seen
    used = [event for event in seen if isinstance(event, Used)]
    assert all(n > 2**20 for event in used for n in event.memory_bytes.values())
    assert used[-1].spilled_bytes == 0
    done = seen[-1]
    assert (done.rows, done.parts, done.skipped) == (1200, 3, False)


def test_a_function_is_told_why_a_sort_fails(tmp_path):
    seen = []
    write(tmp_path / "out" / "0.parquet")
    with pytest.raises(dlsort.DlsortError) as error:
        dlsort.sort_dataset(
            dataset(tmp_path / "in"), tmp_path / "out", by="id", progress=seen.append
        )
    assert seen[-1] == Failed("DestinationExistsError", str(error.value))
    assert not any(isinstance(event, Done) for event in seen)


def test_what_a_function_raises_ends_the_sort_and_leaves_nothing(tmp_path):
    def stop(event):
        if isinstance(event, PhaseBegun) and event.phase == "sort":
            raise LookupError("enough")

    source = dataset(tmp_path / "in")
    with pytest.raises(LookupError, match="enough"):
        dlsort.sort_dataset(source, tmp_path / "out", by="id", threads=1, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_check_tells_a_function_too(tmp_path):
    seen = []
    path = write(tmp_path / "in.parquet", rows().sort_by("id"))
    assert dlsort.check_dataset(path, by="id", progress=seen.append).ok
    assert seen[0] == PhaseBegun("check", 400)
    assert seen[-1] == PhaseEnded("check")


def test_rows_are_told_a_hundred_times_at_the_most():
    seen = []
    listener = Listener(seen.append)
    listener.phase("sort", 10_000)
    for done in range(1, 10_001):
        listener.rows("sort", done)
    listener.rows("sort", 10_000)
    assert len(seen) == 1 + STEPS
    assert seen[-1] == PhaseRows("sort", 10_000, 10_000)
    listener.rows("sort", 5)  # it was begun again
    assert seen[-1] == PhaseRows("sort", 5, 10_000)


def test_every_event_is_one_that_can_be_told():
    kinds = events.Event.__args__
    names = {name for name in events.__all__ if name not in ("Event", "Span", "told")}
    assert {kind.__name__ for kind in kinds} == names


# ---------------------------------------------------------------- lines of JSON


def lines(*args: object, code: int = 0, **options: object) -> list[dict[str, object]]:
    """Run a command, and return what it tells on standard error, each line of which is JSON."""
    done = process(*args, "--log-format", "json", **options)
    assert done.returncode == code, done.stderr
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(line["at"].endswith("+00:00") for line in found)
    return found


def test_lines_tell_of_a_sort_from_its_beginning_to_its_end(tmp_path):
    dataset(tmp_path / "in")
    (tmp_path / "in" / "_SUCCESS").touch()
    found = lines("sort", "in", "out", "--by", "id", cwd=tmp_path)
    names = [line["event"] for line in found]
    assert [names[0], *names[-2:]] == ["begun", "done", "noted"]
    assert {"opened", "planned", "started", "phase_begun", "phase_rows", "ran"} <= set(names)
    done = found[-2]
    assert (done["rows"], done["skipped"], len(done["checksum"])) == (1200, False, 32)
    assert found[-1]["message"] == "not read of in: 1 hidden."
    assert not any("timeline" in line or "curve" in line for line in found)


def test_lines_without_progress_tell_of_no_phase(tmp_path):
    dataset(tmp_path / "in")
    found = lines("sort", "in", "out", "--by", "id", "--no-progress", cwd=tmp_path)
    names = {line["event"] for line in found}
    assert "done" in names
    assert not names & {"phase_begun", "phase_rows", "phase_ended", "used"}


def test_a_report_for_a_pipe_leaves_the_lines_alone(tmp_path):
    dataset(tmp_path / "in")
    lines("sort", "in", "out", "--by", "id", "--report", "-", cwd=tmp_path)


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (["in", "out", "--by", "nothing"], "UnknownColumnError", "no column 'nothing'"),
        (["gone", "out", "--by", "id"], "SourceNotFoundError", "gone"),
        (["in", "out"], "MissingParameter", "Missing option '--by'"),
        (["in", "out", "--by", "id", "--memroy", "1"], "UsageError", "Did you mean '--memory'"),
        (["in", "out", "--by", "id", "--threads", "x"], "BadOptionError", "--threads is 'x'"),
        (["in", "out", "--by", "id", "--report", "in"], "Failure", "--report in is a folder"),
    ],
)
def test_lines_tell_why_a_sort_fails(tmp_path, args, error, says):
    dataset(tmp_path / "in")
    before = contents(tmp_path)
    *_, last = lines("sort", *args, code=2, cwd=tmp_path)
    assert (last["event"], last["error"], last["exit_code"]) == ("failed", error, 2)
    assert says in last["message"]
    assert contents(tmp_path) == before


def test_a_corrupt_source_fails_in_lines_after_the_first(tmp_path):
    dataset(tmp_path / "in")
    path = tmp_path / "in" / "1.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    first, *_, last = lines("sort", "in", "out", "--by", "id", code=2, cwd=tmp_path)
    assert (first["event"], last["event"]) == ("begun", "failed")
    assert last["error"] == "CorruptSourceError"


def in_lines(monkeypatch, sort) -> tuple[int, list[dict[str, object]]]:
    """Run the command on another sort; return its exit code, and its lines."""
    monkeypatch.setattr(dlsort.dataset, "sort_dataset", sort)
    done = command("sort", "in", "out", "--by", "id", "--log-format=json")
    return done.exit_code, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_sort_that_is_stopped_says_so_in_a_line(tmp_path, monkeypatch):
    def stopped(*_: object, **__: object):
        raise Stopped(SIGTERM)

    code, (line,) = in_lines(monkeypatch, stopped)
    assert (code, line["event"], line["exit_code"]) == (143, "failed", 143)
    assert line["message"] == "stopped by SIGTERM; the destination is as it was."


def test_warnings_and_what_is_logged_are_lines(tmp_path, monkeypatch):
    def warns(*_: object, **__: object):
        warnings.warn("of ours", dlsort.DlsortWarning, stacklevel=1)
        warnings.simplefilter("always", UserWarning)  # of the command alone
        warnings.warn("of others", UserWarning, stacklevel=1)
        logging.getLogger("dlsort").warning("compiling")
        logging.getLogger("distributed.core").warning("what Dask says")
        raise LookupError("gone")

    code, found = in_lines(monkeypatch, warns)
    told = [(line["event"], line["message"]) for line in found]
    assert told[:-1] == [
        ("warned", "of others"),
        ("warned", "compiling"),
        ("warned", "of ours"),
    ]
    assert (code, found[-1]["error"], found[-1]["exit_code"]) == (3, "LookupError", 3)
    assert [type(handler).__name__ for handler in logging.getLogger().handlers].count(
        "_Lines"
    ) == 0


def test_the_next_command_writes_text_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("sort", "in", "out", "--log-format", "json").stderr[0] == "{"
    assert command("sort", "in", "out").stderr.startswith("Usage: ")
    # what stands behind "--" are names
    assert command("sort", "in", "out", "--", "--log-format=json").stderr.startswith("Usage: ")


def test_a_skipped_sort_says_so(tmp_path):
    source = dataset(tmp_path / "in")
    listened(source, tmp_path / "out")
    seen = listened(source, tmp_path / "out", if_exists="skip")
    assert [type(event).__name__ for event in seen] == ["Begun", "Opened", "Skipped", "Done"]
    assert isinstance(seen[2], Skipped)
    assert seen[-1].skipped
