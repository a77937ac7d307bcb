"""Workers that do not see what the client sees are told by name, before a row is read."""

from __future__ import annotations

import errno
import re
import shutil

import dask.dataframe as dd
import pytest

import dlsort
from commands import contents, dataset, read
from dlsort.errors import (
    BadOptionError,
    ClusterError,
    DestinationError,
    DestinationFullError,
    SourceChangedError,
)
from dlsort.strategies import shared_storage as sight
from worker_kit import can_mount, start_scheduler, start_worker

mounted = pytest.mark.skipif(not can_mount(), reason="it takes unshare, and root")


@pytest.fixture
def work(tmp_path):
    dataset(tmp_path / "in")
    (tmp_path / "results").mkdir()
    (tmp_path / "temp").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def client():
    with start_scheduler() as client:
        yield client


def sort(work, client, **options):
    return dlsort.sort_dataset(
        work / "in",
        work / "results" / "out",
        by="id",
        scheduler=client,
        partitions=3,
        temp_dir=work / "temp",
        **options,
    )


def refused(work, client, kind=ClusterError, **options):
    """Return what a sort that is refused says; nothing is left of it."""
    before = contents(work)
    with pytest.raises(kind) as error:
        sort(work, client, **options)
    assert contents(work) == before
    message = str(error.value)
    assert "\n" not in message
    assert "/." not in message  # nothing of how it is done
    return message


# ---------------------------------------------------------------- real ones


@mounted
@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        ("in", "does not see {work}/in/0.parquet, which is there for the client. Mount it"),
        ("results", "does not see what the client writes to {work}/results, where {work}/resu"),
        ("temp", None),
    ],
)
def test_a_worker_that_has_another_folder_is_named(work, client, hidden, says):
    with start_worker(client, mount=f"mount -t tmpfs none {work / hidden}") as worker:
        if says is None:  # an empty folder will do
            assert sort(work, client).workers == 1
            return
        message = refused(work, client)
    assert message.startswith(f"worker {worker} {says.format(work=work)}")
    assert "same path" in message


@mounted
def test_a_worker_that_was_given_a_name_is_called_by_it_too(work, client):
    mount = f"mount -t tmpfs none {work / 'in'}"
    with start_worker(client, mount=mount, name="bare one") as worker:
        message = refused(work, client)
    assert message.startswith(f"worker 'bare one' ({worker}) does not see {work}/in/0.parquet")


@mounted
def test_a_worker_that_can_not_use_the_temporary_folder_is_named(work, client):
    mount = f"mount -t tmpfs -o ro none {work / 'temp'}"
    with start_worker(client, mount=mount) as worker:
        message = refused(work, client, BadOptionError)
    assert f"temp_dir is '{work}/temp', but worker {worker} has no such folder, or" in message
    assert "Read-only file system" in message


@mounted
def test_a_worker_that_may_not_write_is_named(work, client):
    results = work / "results"
    mount = f"mount --bind {results} {results} && mount -o remount,ro,bind {results}"
    with start_worker(client, mount=mount) as worker:
        message = refused(work, client)
    says = (
        f"worker {worker} can't write to {results}, as the client can: Read-only file system."
    )
    assert message == says


@mounted
def test_a_worker_whose_writing_does_not_arrive_is_named(work, client):
    """It reads through to the client's folder, as containers do to their image's."""
    results = work / "results"
    layers = f"lowerdir={results},upperdir=/mnt/upper,workdir=/mnt/work"
    mount = (
        "mount -t tmpfs none /mnt && mkdir /mnt/upper /mnt/work && "
        # some kernels keep a mount's view: it is read once the client has written
        f"mount -t overlay overlay -o {layers} {results}"
    )
    with start_worker(client, mount=mount) as worker:
        message = refused(work, client)
    assert message.startswith(
        f"worker {worker} has another folder at {results} than the client"
    )


@mounted
@pytest.mark.parametrize(
    ("door", "filesystem"),
    [
        (dlsort.sort_values, "fsspec"),  # of Arrow's, Dask reads footers itself before it sends
        (dlsort.set_index, "fsspec"),
        (dlsort.set_index, "arrow"),
    ],
)
def test_a_worker_that_does_not_see_a_frames_files_is_named(work, client, door, filesystem):
    frame = dd.read_parquet(work / "in", filesystem=filesystem)
    with (
        start_worker(client, mount=f"mount -t tmpfs none {work / 'in'}") as worker,
        client.as_current(),
        pytest.raises(FileNotFoundError) as error,
    ):
        door(frame, "id").compute()
    assert error.value.errno in (None, errno.ENOENT)
    message = str(error.value)
    assert f"worker {worker} does not see " in message
    assert f"{work}/in/" in message
    assert message.endswith("mount it there under the same path, for the same user.")
    assert message.count(worker) == 1


@mounted
def test_only_those_that_see_are_left_out_of_the_message(work, client):
    hide = f"mount -t tmpfs none {work / 'in'}"
    with (
        start_worker(client) as one,
        start_worker(client, mount=hide) as two,
        start_worker(client, mount=hide) as three,
    ):
        message = refused(work, client)
    assert one not in message
    assert message.startswith(f"worker {min(two, three)} does not see")
    assert message.endswith(" The same goes for 1 more.")


@mounted
def test_a_worker_that_comes_later_and_does_not_see_is_named(work, client):
    class Watched:
        """Puts another worker in place of the first, before a row is read."""

        def __init__(self, swap):
            self.swap = swap

        def phase(self, name, total_rows):
            if self.swap is not None:
                swap, self.swap = self.swap, None
                swap()

        def rows(self, name, done):
            """Go on."""

        def finish(self, name):
            """Go on."""

    late = start_worker(client, mount=f"mount -t tmpfs none {work / 'in'}")
    came = []
    with start_worker(client) as first:

        def swap():
            came.append(late.__enter__())
            client.retire_workers([first])

        try:
            message = refused(work, client, progress=Watched(swap))
        finally:
            late.__exit__(None, None, None)
    assert message.startswith(f"worker {came[0]} does not see {work}/in/")


def test_a_worker_that_sees_all_sorts(work, client):
    with start_worker(client):
        assert sort(work, client).workers == 1
        assert read(work / "results" / "out").num_rows == 1200
    assert sorted(p.name for p in work.iterdir()) == ["in", "results", "temp"]
    assert [p.name for p in (work / "results").iterdir()] == ["out"]


# ---------------------------------------------------------------- told what to see


@pytest.fixture
def answers(monkeypatch):
    """Workers that look for themselves, and then change what they have seen."""
    changes = {}

    def ask(client, look, *given, most_s):
        found = {}
        for address, change in changes.items():
            seen = sight._look_now(*given)
            found[address] = change(seen) or seen
        return found

    monkeypatch.setattr(sight, "of_each_worker", ask)
    return changes


def set_stamp(path, stamp):
    def change(seen):
        assert str(path) in seen.stamps
        seen.stamps[str(path)] = stamp

    return change


@pytest.fixture(scope="module")
def one():
    with start_scheduler(n_workers=1, processes=False) as client:
        yield client


@pytest.mark.parametrize(
    ("stamp", "says"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "can't read {}, as the client can: ",
        ),
        (OSError(errno.EIO, "Input/output error"), "can't read {}, as the client can: Input"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "does not see {}, which is there"),
        ((5, "1"), "has another file at {} than the client (5 bytes, not "),
        (None, "has another file at {} than the client (written at another time)"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_file_is_told(work, one, answers, stamp, says):
    last = work / "in" / "2.parquet"
    stamp = stamp or (last.stat().st_size, "1")
    answers.update({"tcp://a:1": lambda _: None, "tcp://b:2": set_stamp(last, stamp)})
    message = refused(work, one)
    assert message.startswith("worker tcp://b:2 " + says.format(last))


def test_a_worker_in_this_process_is_not_called_by_an_address(work, one, answers):
    gone = FileNotFoundError(errno.ENOENT, "x")
    answers["inproc://1/2/3"] = set_stamp(work / "in" / "0.parquet", gone)
    message = refused(work, one)
    assert message.startswith("a worker in the process of the client does not see")


def test_one_that_does_not_answer_is_not_told_of(work, one, answers):
    answers["tcp://a:1"] = lambda _: TimeoutError()
    assert sort(work, one).workers == 1


def full(seen):
    seen.mark = None
    seen.stage = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_called_full(work, one, answers):
    answers["tcp://a:1"] = full
    message = refused(work, one, DestinationFullError)
    assert message.startswith(f"no space left while writing {work / 'results'} (")


def test_a_disk_that_is_full_for_the_client_too_is_called_full(work, one, monkeypatch):
    def fail(path):
        assert path.endswith(sight.MARKS)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sight, "make_folder", fail)
    message = refused(work, one, DestinationFullError)
    assert message.startswith(f"no space left while writing {work / 'results' / 'out'} (")


def test_what_filled_the_disk_stays_the_error(work, one, answers, monkeypatch):
    """Workers that are asked again find it full as well: that says less."""

    def fail(*_):
        answers["tcp://a:1"] = full
        raise DestinationFullError("no space left while writing part 3.")

    monkeypatch.setattr(dlsort.dataset, "make_parts", fail)
    assert refused(work, one, DestinationFullError) == "no space left while writing part 3."


@pytest.mark.parametrize(
    "error", [SourceChangedError("{} was removed."), DestinationError("x")]
)
def test_an_error_of_another_cause_stays(work, one, monkeypatch, error):
    error.args = (error.args[0].format(work / "in" / "1.parquet"),)

    def fail(*_):
        raise error

    monkeypatch.setattr(dlsort.dataset, "make_parts", fail)
    assert refused(work, one, type(error)) == str(error)


def test_a_file_that_was_removed_for_all_is_not_the_workers_fault(work, one, monkeypatch):
    gone = work / "in" / "1.parquet"

    def fail(*_):
        gone.unlink()
        raise SourceChangedError(f"{gone} was removed.")

    monkeypatch.setattr(dlsort.dataset, "make_parts", fail)
    with pytest.raises(SourceChangedError, match=rf"^{re.escape(str(gone))} was removed\.$"):
        sort(work, one)


def test_one_file_of_each_folder_is_looked_for():
    files = [f"/{folder}/{i}" for folder in "abc" for i in range(3)]
    assert sight._some_files(files, 64) == ["/a/0", "/c/2", "/c/0", "/b/0"]
    assert sight._some_files(files[:1], 64) == files[:1]
    many = [f"/{i}/x" for i in range(1000)]
    assert len(sight._some_files(many, 64)) == 64


def test_our_own_cluster_is_not_asked(work, monkeypatch):
    monkeypatch.delattr(sight, "of_each_worker")
    shutil.rmtree(work / "temp")
    assert dlsort.sort_dataset(work / "in", work / "out", by="id", threads=1).rows == 1200


def test_errors_travel():
    class Odd(OSError):
        def __init__(self, one, two):
            super().__init__(one)

    assert str(sight._plain(Odd("a", "b"))) == "a"
    gone = sight._plain(FileNotFoundError("s3://bucket/x"))
    assert type(gone) is FileNotFoundError
    assert gone.errno == errno.ENOENT
