from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from dlsort_cluster.store import shared
from dlsort_cluster.store.shared import NotSharedError, SharedStream, attach, share
from dlsort_cluster.wire import read_stream

TABLE = pa.table({"x": range(50_000), "s": pa.array(["a", None] * 25_000)})
N_BYTES = TABLE.nbytes
SMALL = TABLE.slice(0, 10)


@pytest.fixture
def slots(monkeypatch):
    """Let two files be open."""
    shared._most_open.cache_clear()
    monkeypatch.setattr(shared, "_OPEN_SHARE", 2.5 / soft_limit())
    yield
    shared._most_open.cache_clear()


def soft_limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_files():
    return len([*Path("/proc/self/fd").iterdir()])


def read_there(place, answer):
    try:
        answer.send(read_stream(attach(place)))
    except NotSharedError as error:
        answer.send(error)


def ask_another_process(place):
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=read_there, args=(place, theirs))
    process.start()
    answer = ours.recv()
    process.join()
    return answer


def test_another_process_reads_the_rows():
    stream = share(TABLE, N_BYTES)
    assert ask_another_process(stream.place()).equals(TABLE)
    stream.close()


def test_rows_outlive_the_sender_once_they_are_mapped():
    before = open_files()
    stream = share(TABLE, N_BYTES)
    found = read_stream(attach(stream.place()))
    stream.close()
    assert open_files() == before
    assert found.equals(TABLE)


def test_a_stream_can_be_sent_after_all():
    stream = share(TABLE, N_BYTES)
    assert read_stream(stream.read()).equals(TABLE)
    assert stream.n_bytes == stream.__sizeof__() == len(stream.read())
    stream.close()
    stream.close()


def test_a_closed_stream_is_not_seen():
    stream = share(TABLE, N_BYTES)
    place = stream.place()
    stream.close()
    with pytest.raises(NotSharedError, match="No such file"):
        attach(place)
    with pytest.raises(NotSharedError, match="closed"):
        stream.read()


def test_another_file_of_the_same_number_is_not_taken_for_it(tmp_path):
    stream = share(TABLE, N_BYTES)
    place = stream.place()
    with (tmp_path / "other").open("wb") as other:
        os.dup2(other.fileno(), stream._fd)
    with pytest.raises(NotSharedError, match="another file"):
        attach(place)
    stream.close()


def test_a_file_that_can_be_opened_but_not_mapped_is_not_seen(monkeypatch):
    def full(fd):
        raise OSError(12, "Cannot allocate memory")

    stream = share(TABLE, N_BYTES)
    monkeypatch.setattr(shared, "_map", full)
    before = open_files()
    with pytest.raises(NotSharedError, match="Cannot allocate memory"):
        attach(stream.place())
    assert open_files() == before
    stream.close()


def test_two_threads_close_a_stream_once():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            for _ in range(300):
                stream = SharedStream(SMALL)
                list(pool.map(lambda close: close(), [stream.close] * 2))
    finally:
        sys.setswitchinterval(interval)
    assert stream._number not in shared._open


def test_an_error_of_arrow_leaves_nothing_open(monkeypatch):
    def refuse(table, file):
        raise pa.ArrowInvalid("no such type")

    before = open_files(), len(shared._open)
    monkeypatch.setattr(shared, "write_stream", refuse)
    with pytest.raises(pa.ArrowInvalid):
        share(TABLE, N_BYTES)
    assert (open_files(), len(shared._open)) == before


def test_a_process_of_another_machine_is_not_looked_for():
    stream = share(TABLE, N_BYTES)
    place = shared.Place(*json.loads(stream.place()))
    elsewhere = json.dumps(place._replace(machine="elsewhere")).encode()
    with pytest.raises(NotSharedError, match="on another machine"):
        attach(elsewhere)


def test_little_is_sent():
    assert share(TABLE.slice(0, 10), 100) is None


def test_no_more_files_are_open_than_may_be(slots):
    first, second = share(TABLE, N_BYTES), share(TABLE, N_BYTES)
    assert share(TABLE, N_BYTES) is None
    first.close()
    third = share(TABLE, N_BYTES)
    assert third is not None
    assert share(TABLE, N_BYTES) is None
    del second  # forgotten without being closed
    assert share(TABLE, N_BYTES) is not None
    del third


def test_where_memory_runs_out_rows_are_sent(slots, monkeypatch):
    def full(table, file):
        raise OSError(28, "No space left on device")

    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(shared, "write_stream", full)
        for _ in range(5):
            assert share(TABLE, N_BYTES) is None
    assert open_files() == before
    assert share(TABLE, N_BYTES) is not None


def test_where_there_is_no_shared_memory_rows_are_sent(slots, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    assert share(TABLE, N_BYTES) is None
