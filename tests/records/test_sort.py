"""Records are sorted: any keys, both ways, in order, proved, in even parts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from commands import COMMAND, contents, while_it_runs
from dlsort.errors import (
    BadOptionError,
    CorruptSourceError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
    OutOfOrderError,
    RowsLostError,
    SourceChangedError,
    SourceNotFoundError,
)
from dlsort.records import plan, source, tasks
from dlsort.tuning import TUNING, RecordTuning
from sort_records import cut, records

WAYS = ["keys", "records"]


def stable(data: bytes) -> bytes:
    """Return records as Python's stable sort has them."""
    return b"".join(sorted(cut(data), key=lambda record: record[:10]))


def some(n: int, keys: object = None, seed: int = 0) -> bytes:
    """Return records with numbers as payload, so that equal keys can be told apart."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (n, 100), np.uint8)
    if keys is not None:
        rows[:, :10] = keys
    return rows.tobytes()


def laid(folder, data: bytes, n_files: int = 3):
    """Write records into some files of different sizes, one of them empty."""
    folder.mkdir()
    n = len(data) // 100
    edges = [0, *sorted(np.random.default_rng(n).integers(0, n + 1, n_files - 1)), n]
    for i, (begin, end) in enumerate(pairwise(edges)):
        (folder / f"part.{i}").write_bytes(data[begin * 100 : end * 100])
    (folder / "part.99").write_bytes(b"")
    return folder


def result(dst) -> bytes:
    if dst.is_file():
        return dst.read_bytes()
    return b"".join(path.read_bytes() for path in sorted(dst.iterdir()))


KINDS = {
    "uniform": some(5000),
    "skewed": records(3000, skew=True),
    "two kinds": some(5000, np.random.default_rng(1).integers(0, 2, (5000, 1))),
    "last byte": some(4000, np.eye(1, 10, 9) * np.arange(4000)[:, None] // 1000),
    "all equal": some(6000, 7),
    "sorted": stable(some(4000)),
    "zeros and ones": some(3000, np.random.default_rng(2).choice([0, 255], (3000, 10))),
    "one": some(1),
    "none": b"",
}


@pytest.mark.parametrize("carry", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_stable_sort(tmp_path, monkeypatch, kind, carry):
    monkeypatch.setattr(source, "BLOCK_RECORDS", 300)
    monkeypatch.setattr(tasks, "BLOCK_RECORDS", 300)
    data, dst = KINDS[kind], tmp_path / "out"
    src = laid(tmp_path / "in", data)
    n_parts = min(5, max(1, len(data) // 100))
    done = dlsort.sort_records(src, dst, carry=carry, partitions=n_parts, threads=2)
    assert result(dst) == stable(data)
    assert done.records == len(data) // 100 == sum(done.part_records)
    assert len(done.part_records) == len(list(dst.iterdir())) == n_parts
    assert done.balance <= 1.05
    assert done.strategy == carry


@settings(max_examples=25, deadline=None)
@given(
    keys=st.lists(st.tuples(st.sampled_from([0, 1, 255]), st.integers(0, 9)), max_size=60),
    carry=st.sampled_from(WAYS),
    n_parts=st.integers(1, 4),
    n_files=st.integers(1, 4),
)
def test_few_records_with_any_keys(tmp_path_factory, keys, carry, n_parts, n_files):
    tmp_path = tmp_path_factory.mktemp("few", numbered=True)
    made = np.zeros((len(keys), 10), np.uint8)
    for i, (value, place) in enumerate(keys):
        made[i, place] = value
    data = some(len(keys), made)
    src = laid(tmp_path / "in", data, n_files)
    dlsort.sort_records(src, tmp_path / "out", carry=carry, partitions=n_parts, threads=1)
    assert result(tmp_path / "out") == stable(data)


@pytest.mark.parametrize("carry", WAYS)
def test_one_file_into_one(tmp_path, carry):
    data = KINDS["skewed"]
    (tmp_path / "in").write_bytes(data)
    dst = tmp_path / "out.dat"
    how = {"carry": carry, "partitions": 4, "threads": 2}
    assert dlsort.sort_records(tmp_path / "in", dst, **how).part_records[3] > 0
    assert result(dst) == stable(data)
    with pytest.raises(DestinationExistsError):
        dlsort.sort_records(tmp_path / "in", dst, **how)
    (tmp_path / "in").write_bytes(data[:-100])
    dlsort.sort_records(tmp_path / "in", dst, overwrite=True, **how)
    assert result(dst) == stable(data[:-100])


def test_several_sources_in_the_order_of_their_names(tmp_path):
    data = some(900, 5)
    for i, name in enumerate(("b", "a", "c")):
        (tmp_path / name).write_bytes(data[i * 30_000 : (i + 1) * 30_000])
    dlsort.sort_records([tmp_path / name for name in "bac"], tmp_path / "out", threads=1)
    assert result(tmp_path / "out") == data


def crowded():
    """Return tunables that leave no memory to records on their way."""
    return replace(
        TUNING, budget=replace(TUNING.budget, store_share=0.0, least_store_share=0.0)
    )


@pytest.mark.parametrize("carry", WAYS)
def test_what_does_not_fit_goes_to_disk_and_comes_back(tmp_path, carry):
    data = KINDS["uniform"] + KINDS["all equal"]
    src, spill = laid(tmp_path / "in", data), tmp_path / "spill"
    spill.mkdir()
    done = dlsort.sort_records(
        src, tmp_path / "out", carry=carry, temp_dir=spill, partitions=3, _tuning=crowded()
    )
    assert done.spilled_bytes > len(data) * (0.1 if carry == "keys" else 0.9)
    assert result(tmp_path / "out") == stable(data)
    assert not list(spill.iterdir())


@pytest.mark.parametrize("carry", WAYS)
def test_a_part_that_is_too_large_is_sorted_in_pieces(tmp_path, carry, monkeypatch):
    sizes = tasks.RecordParts.__init__

    def small(self, reader, paths, part_bytes):
        sizes(self, reader, paths, 20_000)

    monkeypatch.setattr(tasks.RecordParts, "__init__", small)
    data = KINDS["uniform"] + KINDS["all equal"]
    src = laid(tmp_path / "in", data)
    dlsort.sort_records(src, tmp_path / "out", carry=carry, partitions=2, threads=1)
    assert result(tmp_path / "out") == stable(data)


def test_two_processes_give_the_same(tmp_path):
    data = KINDS["skewed"]
    src = laid(tmp_path / "in", data)
    done = dlsort.sort_records(src, tmp_path / "out", carry="keys", partitions=3, workers=2)
    assert done.workers == 2
    assert result(tmp_path / "out") == stable(data)


def test_a_cluster_of_others_gets_whole_records(tmp_path):
    from distributed import Client

    src = laid(tmp_path / "in", KINDS["uniform"])
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as client:
        done = dlsort.sort_records(src, tmp_path / "out", scheduler=client, memory="1GiB")
    assert done.strategy == "records"
    assert result(tmp_path / "out") == stable(KINDS["uniform"])


# ---------------------------------------------------------------- which way


def test_the_room_in_the_systems_cache_decides(tmp_path, monkeypatch):
    (tmp_path / "in").write_bytes(some(1000))
    for free, strategy in ((1 << 40, "keys"), (0, "records")):
        monkeypatch.setattr(plan, "available_bytes", lambda free=free: free)
        done = dlsort.sort_records(tmp_path / "in", tmp_path / strategy, threads=1)
        assert done.strategy == strategy
        assert "cache" in done.why


def test_what_both_ways_cost():
    n, gib, tuning = 10**8, 1 << 30, RecordTuning()

    def costs(room, store):
        return [plan.cost_s(way, n, room, store, 2, tuning) for way in WAYS]

    keys, whole = costs(20 * gib, 2 * gib)
    assert keys < whole  # cached
    keys, whole = costs(8 * gib, 2 * gib)
    assert keys > 10 * whole  # a fifth from the disk, a page each


# ---------------------------------------------------------------- proof


def spoilt(monkeypatch, name, change):
    right = getattr(tasks, name)

    def wrong(*args):
        found = right(*args)
        change(*args)
        return found

    monkeypatch.setattr(tasks, name, wrong)


def test_a_flipped_bit_is_found(tmp_path, monkeypatch):
    def flip(_source, _tail, out):
        out[57] ^= 4

    spoilt(monkeypatch, "gather_records", flip)
    src = laid(tmp_path / "in", KINDS["uniform"])
    before = contents(tmp_path)
    with pytest.raises(RowsLostError, match="checksum"):
        dlsort.sort_records(src, tmp_path / "out", carry="keys", threads=1)
    assert contents(tmp_path) == before


def test_a_record_there_twice_is_found(tmp_path, monkeypatch):
    def double(_source, _tail, out):
        out[100:200] = out[:100]

    spoilt(monkeypatch, "gather_records", double)
    (tmp_path / "in").write_bytes(KINDS["uniform"])
    with pytest.raises(RowsLostError):
        dlsort.sort_records(tmp_path / "in", tmp_path / "out", carry="keys", threads=1)


@pytest.mark.parametrize("at", [0, 299])
def test_records_out_of_order_are_found(tmp_path, monkeypatch, at):
    monkeypatch.setattr(tasks, "BLOCK_RECORDS", 300)

    def raise_key(_source, _tail, out):
        out[at * 100] = 255

    spoilt(monkeypatch, "gather_records", raise_key)
    (tmp_path / "in").write_bytes(KINDS["uniform"])
    with pytest.raises(OutOfOrderError, match="sorts before"):
        dlsort.sort_records(tmp_path / "in", tmp_path / "out", carry="keys", threads=1)


# ---------------------------------------------------------------- what goes wrong


def test_what_can_not_be_sorted_is_told_in_a_sentence(tmp_path):
    data = KINDS["two kinds"][:1000]
    src, dst = laid(tmp_path / "in", data), tmp_path / "out"
    (tmp_path / "ragged").write_bytes(data + b"x")
    with pytest.raises(CorruptSourceError, match="expected a multiple of 100"):
        dlsort.sort_records(tmp_path / "ragged", dst)
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        dlsort.sort_records(tmp_path / "none", dst)
    with pytest.raises(SourceNotFoundError, match="is a stream"):
        dlsort.sort_records("-", dst)
    with pytest.raises(SourceNotFoundError, match="twice"):
        dlsort.sort_records([src / "part.0", src / "part.0"], dst)
    with pytest.raises(DestinationError, match="lies inside the source"):
        dlsort.sort_records(src, src / "out")
    with pytest.raises(DestinationError, match="takes no records"):
        dlsort.sort_records(src, "-")
    with pytest.raises(BadOptionError, match="carry"):
        dlsort.sort_records(src, dst, carry="pigeons")
    with pytest.raises(BadOptionError, match="too small"):
        dlsort.sort_records(src, dst, memory="1MiB")
    assert not dst.exists()
    dst.mkdir()
    (dst / "letter.txt").write_text("dear")
    with pytest.raises(DestinationExistsError, match=r"letter\.txt"):
        dlsort.sort_records(src, dst, overwrite=True)


def test_a_source_that_changes_is_told(tmp_path, monkeypatch):
    (tmp_path / "in").write_bytes(KINDS["uniform"])
    right = tasks.read_records

    def touch(*args):
        os.utime(tmp_path / "in", ns=(1, 1))
        return right(*args)

    monkeypatch.setattr(tasks, "read_records", touch)
    with pytest.raises(SourceChangedError, match="was changed"):
        dlsort.sort_records(tmp_path / "in", tmp_path / "out", threads=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_source_that_got_shorter_is_told(tmp_path):
    (tmp_path / "in").write_bytes(KINDS["uniform"])
    opened = source.open_records(str(tmp_path / "in"))
    os.truncate(tmp_path / "in", 1000)
    piece = source.RecordPiece(0, 4000, 1000)
    for look in (
        lambda: list(opened.blocks(piece)),
        lambda: opened.look(9999, np.random.default_rng(0)),
        opened.mapped,
    ):
        with pytest.raises(SourceChangedError):
            look()


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path, monkeypatch):
    src = laid(tmp_path / "in", KINDS["uniform"])
    dlsort.sort_records(src, tmp_path / "out", threads=1)
    before = contents(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DestinationFullError):
        dlsort.sort_records(src, tmp_path / "out", overwrite=True, threads=2)
    assert contents(tmp_path) == before


def test_what_a_killed_one_has_left_goes_with_the_next(tmp_path):
    src = tmp_path / "in"
    with src.open("wb") as file:
        file.truncate(50_000_000)  # records of zeros, and no disk
    args = ["terasort", str(src), str(tmp_path / "out"), "--partitions", "2", "--threads", "1"]
    running = subprocess.Popen([*COMMAND, *args], stderr=subprocess.DEVNULL, text=True)
    while_it_runs(running, lambda: list(tmp_path.glob(".out.*.terasort")), "its folder")
    running.send_signal(signal.SIGKILL)
    running.wait()
    if (tmp_path / "out").exists():  # it was quicker
        shutil.rmtree(tmp_path / "out")
    dlsort.sort_records(src, tmp_path / "out", threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
