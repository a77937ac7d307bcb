from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import exchange_kit as kit
from dlsort_cluster.exchange import ShardsLostError, SpillError, SpillFullError
from dlsort_cluster.store import spill
from dlsort_cluster.store.codecs import Codecs
from dlsort_cluster.store.store import ShardStore, StoreClosedError
from dlsort_cluster.wire import Unit, together

N_ROWS = 10_000
STARTS = np.array([0, 0, 1, 2_000, N_ROWS])


def make_store(tmp_path, limit_bytes=0, parts=(4, 5, 6, 9), codec=None):
    return ShardStore(
        run="7f3a[2]",
        worker="tcp://10.0.0.4:4001",
        parts=list(parts),
        limit_bytes=limit_bytes,
        temp_dir=str(tmp_path),
        codecs=Codecs((codec,)),
    )


def make_unit(input_id=0):
    rows = np.arange(N_ROWS)
    return Unit(kit.make_table(rows * 0, input_id, rows), STARTS)


def open_files(folder):
    """Return this process's open files in a folder, also those without a name."""
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(folder))]


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("limit_bytes", [0, 10**9])
def test_what_is_put_is_read_back_as_often_as_wanted(tmp_path, limit_bytes, codec):
    store = make_store(tmp_path, limit_bytes, codec=codec)
    for input_id in (2, 0, 1):
        assert store.put(input_id, make_unit(input_id))
    for place, part in enumerate((4, 5, 6, 9)):
        for _ in range(2):
            shards = store.read(part, 3).read_all()
            expected = [
                make_unit(i).table.slice(STARTS[place], STARTS[place + 1] - STARTS[place])
                for i in range(3)
            ]
            found = pa.concat_tables(shards).unify_dictionaries().to_pylist()
            assert found == pa.concat_tables(expected).to_pylist()
            assert shards[0].schema == expected[0].schema


def test_a_partition_without_rows_has_one_empty_shard(tmp_path):
    store = make_store(tmp_path)
    for input_id in range(3):
        store.put(input_id, make_unit())
    (shard,) = store.read(4, 3).read_all()
    assert shard.num_rows == 0


def test_units_stay_in_memory_until_the_limit(tmp_path):
    unit = make_unit()
    store = make_store(tmp_path, limit_bytes=2 * unit.table.nbytes)
    for input_id in range(2):
        store.put(input_id, unit)
    assert store.spilled_bytes == 0
    store.put(2, unit)
    assert 0.9 < store.spilled_bytes / unit.table.nbytes < 1.1
    assert store.memory_bytes == 2 * unit.table.nbytes
    assert store.total_bytes == 3 * unit.table.nbytes


def test_a_repeated_input_is_ignored(tmp_path):
    store = make_store(tmp_path, limit_bytes=10**9)
    assert store.put(0, make_unit(0))
    assert not store.put(0, make_unit(1))
    (shard,) = store.read(5, 1).read_all()
    assert shard["input"].to_pylist() == [0]


def test_a_small_slice_does_not_keep_a_large_table_alive(tmp_path):
    large = make_unit().table
    limit = large.get_total_buffer_size() * 2
    store = make_store(tmp_path, limit_bytes=limit, parts=[0])
    store.put(0, Unit(large.slice(10, 5), np.array([0, 5])))
    (shard,) = store.read(0, 1).read_all()
    assert shard.to_pylist() == large.slice(10, 5).to_pylist()
    assert shard.get_total_buffer_size() < large.get_total_buffer_size() / 100


def test_where_there_is_room_nothing_is_copied(tmp_path):
    large = make_unit().table
    held = large.get_total_buffer_size()
    store = make_store(tmp_path, limit_bytes=held * 9, parts=[0])
    for input_id in range(3):
        store.put(input_id, Unit(large.slice(10, 5), np.array([0, 5])))
    shards = store.read(0, 3).read_all()
    buffers = {shard["row"].chunk(0).buffers()[1].address for shard in shards}
    assert large["row"].chunk(0).buffers()[1].address in buffers
    assert len(buffers) == 2
    assert 2 * held <= store.memory_bytes < 2.1 * held


def test_spilled_files_have_no_name_and_go_with_the_store(tmp_path):
    store = make_store(tmp_path)
    store.put(0, make_unit())
    assert list(tmp_path.iterdir()) == []
    assert len(open_files(tmp_path)) == 1
    store.close()
    assert open_files(tmp_path) == []


def test_what_a_merge_has_read_outlives_the_store(tmp_path):
    store = make_store(tmp_path)
    store.put(0, make_unit())
    (shard,) = store.read(6, 1).read_all()
    store.close()
    assert shard["row"].to_pylist() == list(range(1, 2_000))
    del shard
    assert open_files(tmp_path) == []


def test_a_closed_store_says_so(tmp_path):
    store = make_store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreClosedError, match=r"run 7f3a\[2\]"):
        store.put(0, make_unit())
    with pytest.raises(StoreClosedError):
        store.read(4, 1).read_all()


def test_a_missing_input_is_named(tmp_path):
    store = make_store(tmp_path)
    store.put(0, make_unit())
    with pytest.raises(
        ShardsLostError, match=r"input 1 of 2 never reached tcp://10.0.0.4:4001"
    ):
        store.read(4, 2).read_all()


def fail_after(n_bytes, code):
    written = 0

    def pwrite(fd, data, offset):
        nonlocal written
        if written + len(data) > n_bytes:
            raise OSError(code, os.strerror(code))
        written += len(data)
        return PWRITE(fd, data, offset)

    return pwrite


PWRITE = os.pwrite


@pytest.mark.parametrize("n_bytes", [0, 60_000])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_words(tmp_path, monkeypatch, n_bytes, code):
    store = make_store(tmp_path)
    monkeypatch.setattr(spill.os, "pwrite", fail_after(n_bytes, code))
    with pytest.raises(SpillFullError) as caught:
        store.put(0, make_unit())
    assert str(caught.value).startswith(
        f"run 7f3a[2]: no space left in {tmp_path} on tcp://10.0.0.4:4001 (needed "
    )
    assert "). Add workers, or set temporary-directory (--temp-dir)" in str(caught.value)


def test_a_unit_that_did_not_fit_leaves_the_others_readable(tmp_path, monkeypatch):
    store = make_store(tmp_path)
    store.put(0, make_unit(0))
    with monkeypatch.context() as patch:
        patch.setattr(spill.os, "pwrite", fail_after(100_000, errno.ENOSPC))
        with pytest.raises(SpillFullError):
            store.put(1, make_unit(1))
    assert store.put(1, make_unit(1))
    assert [shard["input"][0].as_py() for shard in store.read(9, 2).read_all()] == [0, 1]


def test_a_write_that_stops_short_is_continued(tmp_path, monkeypatch):
    store = make_store(tmp_path)
    monkeypatch.setattr(
        spill.os, "pwrite", lambda fd, data, offset: PWRITE(fd, data[:1000], offset)
    )
    store.put(0, make_unit())
    (shard,) = store.read(9, 1).read_all()
    assert shard.to_pylist() == make_unit().table.slice(2_000).to_pylist()


def test_a_missing_folder_is_told_in_words(tmp_path):
    store = make_store(tmp_path / "gone")
    with pytest.raises(SpillError, match=r"cannot spill to .*gone on tcp.* Make it writable"):
        store.put(0, make_unit())


def test_many_small_partitions_share_batches(tmp_path):
    starts = np.arange(N_ROWS + 1)
    store = make_store(tmp_path, parts=range(N_ROWS))
    unit = Unit(make_unit().table, starts)
    store.put(0, unit)
    assert store.spilled_bytes < 1.15 * unit.table.nbytes
    for part in (0, 1, 2_500, N_ROWS - 1):
        (shard,) = store.read(part, 1).read_all()
        assert shard["row"].to_pylist() == [part]


def test_what_the_disk_has_spoiled_is_told_in_words(tmp_path, monkeypatch):
    store = make_store(tmp_path)
    store.put(0, make_unit())
    read_into = spill.SpillFile.read_into

    def read_and_spoil(self, buffer, begin):
        read_into(self, buffer, begin)
        buffer[:] = bytes(len(buffer))

    monkeypatch.setattr(spill.SpillFile, "read_into", read_and_spoil)
    with pytest.raises(SpillError, match="cannot read back from"):
        store.read(9, 1).read_all()


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("n_times", [1, 10**6])
@pytest.mark.parametrize("where", [0, 0.5, 0.99])
def test_a_bit_that_the_disk_flips_is_seen(tmp_path, monkeypatch, where, n_times, codec):
    store = make_store(tmp_path, codec=codec)
    store.put(0, make_unit())
    read_into = spill.SpillFile.read_into
    left = [n_times]

    def read_and_flip(self, buffer, begin):
        read_into(self, buffer, begin)
        if left[0] > 0:
            left[0] -= 1
            buffer[int(where * len(buffer))] ^= 0x04

    monkeypatch.setattr(spill.SpillFile, "read_into", read_and_flip)
    if n_times == 1:
        (shard,) = store.read(9, 1).read_all()
        assert shard["row"].to_pylist() == list(range(STARTS[3], STARTS[4]))
    else:
        with pytest.raises(
            SpillError, match=rf"cannot read back from {tmp_path} on tcp://10\.0\.0\.4:4001: "
        ):
            store.read(9, 1).read_all()


def small_units(n_units, n_parts, column, metadata=None):
    """Return units of a few rows, in no partition more than three."""
    rng = np.random.default_rng(7)
    units = []
    for input_id in range(n_units):
        starts = np.cumsum([0, *rng.integers(0, 4, n_parts)])
        rows = np.arange(starts[-1])
        table = pa.table({"input": rows * 0 + input_id, "row": rows, "x": column(rows)})
        units.append(Unit(table.replace_schema_metadata(metadata), starts))
    return units


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("limit_bytes", [0, 20_000, 10**9])
@pytest.mark.parametrize(
    ("column", "is_joined"),
    [
        (lambda rows: pa.array([f"{row}" * 3 for row in rows], pa.string()), True),
        (lambda rows: pa.array([None if row % 2 else row for row in rows], pa.int32()), True),
        (lambda rows: pa.array([f"{row}" for row in rows], pa.string_view()), False),
        (lambda rows: pa.array(["a", "b"] * len(rows)).slice(0, len(rows)), True),
        (lambda rows: pa.array([f"{row}" for row in rows]).dictionary_encode(), False),
        (lambda rows: pa.array([[row] for row in rows], pa.list_(pa.int64())), False),
    ],
)
def test_small_units_are_read_as_if_they_were_not_joined(
    tmp_path, column, is_joined, limit_bytes, codec
):
    n_parts = 30
    units = small_units(500, n_parts, column)
    store = make_store(tmp_path, limit_bytes, parts=range(n_parts), codec=codec)
    for input_id, unit in enumerate(units):
        store.put(input_id, unit)
    for part in range(n_parts):
        shards = store.read(part, len(units)).read_all()
        if limit_bytes == 10**9:
            assert (len(shards) < 20) == is_joined
        expected = [
            u.table.slice(u.starts[part], u.starts[part + 1] - u.starts[part]) for u in units
        ]
        assert pa.concat_tables(shards).to_pylist() == pa.concat_tables(expected).to_pylist()


def put_all(store, units):
    """Put units in another order than theirs, from several threads."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.put, range(len(units))[::-1], units[::-1]))


def test_small_units_go_to_disk_together(tmp_path, monkeypatch):
    runs = []
    write = spill.write
    monkeypatch.setattr(
        spill,
        "write",
        lambda file, units, codec: runs.append(len(units)) or write(file, units, codec),
    )
    units = small_units(500, 30, lambda rows: pa.array(rows))
    limit_bytes = 20 * units[0].table.nbytes
    store = make_store(tmp_path, limit_bytes, parts=range(30))
    put_all(store, units)
    assert 250 <= sum(runs) < 500
    assert len(runs) < 70
    assert 0 < store.memory_bytes <= limit_bytes
    for part in range(30):
        found = pa.concat_tables(store.read(part, 500).read_all())
        expected = pa.concat_tables([u.table.slice(*_span(u, part)) for u in units])
        assert found.equals(expected)


def test_partitions_without_rows_may_follow_the_last_one_that_has_some(tmp_path):
    starts = np.array([0, *[N_ROWS] * 50])
    units = [Unit(make_unit(input_id).table, starts) for input_id in range(3)]
    store = make_store(tmp_path, limit_bytes=2 * units[0].table.nbytes, parts=range(50))
    for input_id, unit in enumerate(units):
        store.put(input_id, unit)
    assert store.spilled_bytes > 0
    for part in range(50):
        expected = pa.concat_tables([u.table.slice(*_span(u, part)) for u in units])
        assert (
            pa.concat_tables(store.read(part, 3).read_all()).to_pylist() == expected.to_pylist()
        )


def _span(unit, part):
    return unit.starts[part], unit.starts[part + 1] - unit.starts[part]


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("limit_bytes", [0, 10**9])
@pytest.mark.parametrize("large", [False, True])
def test_some_rows_of_a_shard_are_read(tmp_path, monkeypatch, limit_bytes, large, codec):
    if large:
        monkeypatch.setattr(spill, "_LARGE_BYTES", 100_000)
        monkeypatch.setattr(spill, "_PIECE_BYTES", 50_000)
    store = make_store(tmp_path, limit_bytes, codec=codec)
    for input_id in range(2):
        store.put(input_id, make_unit(input_id))
    shards = store.read(9, 2)
    before = shards.read_all()
    assert shards.lengths == [table.num_rows for table in before]
    assert 0.5 < shards.n_bytes / sum(table.nbytes for table in before) < 1.5
    for number, table in enumerate(before):
        for first, last in ((0, 0), (0, 1), (17, 4_321), (7_999, 8_000), (0, 8_000)):
            rows = shards.read(number, first, last)
            assert rows.to_pylist() == table.slice(first, last - first).to_pylist()
            assert rows.schema.equals(shards.schemas[number], check_metadata=True)
    if not (limit_bytes or codec):
        at = store.read_bytes
        shards.read(0, 100, 110)
        whole = before[0].nbytes
        assert (store.read_bytes - at < 0.5 * whole) == large


def test_units_that_could_not_be_written_together_stay_in_memory(tmp_path, monkeypatch):
    units = small_units(40, 30, lambda rows: pa.array(rows))
    store = make_store(tmp_path, 20 * units[0].table.nbytes, parts=range(30))
    put = iter(range(40))
    with monkeypatch.context() as patch:
        patch.setattr(spill.os, "pwrite", fail_after(0, errno.ENOSPC))
        with pytest.raises(SpillFullError):
            list(map(store.put, put, units))
    memory_bytes = store.memory_bytes
    failed = next(put) - 1
    assert 0 < failed < 39
    for input_id in range(failed, 40):
        assert store.put(input_id, units[input_id])
    assert store.memory_bytes <= max(memory_bytes, store.limit_bytes)
    rows = sum(
        shard.num_rows for part in range(30) for shard in store.read(part, 40).read_all()
    )
    assert rows == sum(unit.table.num_rows for unit in units)


def test_who_waits_for_room_is_told_that_the_store_is_closed(tmp_path, monkeypatch):
    units = small_units(200, 30, lambda rows: pa.array(rows))
    store = make_store(tmp_path, 20 * units[0].table.nbytes, parts=range(30))
    write = spill.write

    def close_and_write(file, group, codec):
        store.close()
        return write(file, group, codec)

    monkeypatch.setattr(spill, "write", close_and_write)
    with pytest.raises(StoreClosedError):
        put_all(store, units)
    assert store.memory_bytes == 0


def test_units_that_say_different_things_of_their_rows_are_not_joined(tmp_path):
    units = small_units(9, 3, lambda rows: pa.array(rows))
    units[5] = Unit(units[5].table.replace_schema_metadata({"bands": "7"}), units[5].starts)
    store = make_store(tmp_path, 10**9, parts=range(3))
    for input_id, unit in enumerate(units):
        store.put(input_id, unit)
    found = [shard for part in range(3) for shard in store.read(part, 9).read_all()]
    metadata = [shard.schema.metadata for shard in found if shard["input"][0].as_py() == 5]
    assert metadata
    assert all(m == {b"bands": b"7"} for m in metadata)
    assert sum(shard.num_rows for shard in found) == sum(u.table.num_rows for u in units)


def test_large_units_stay_as_they_are(tmp_path):
    store = make_store(tmp_path, 10**9)
    units = [make_unit(i) for i in range(3)]
    for input_id, unit in enumerate(units):
        store.put(input_id, unit)
    assert len(store.read(9, 3).read_all()) == 3


@pytest.mark.parametrize("limit_bytes", [0, 2_000, 10**9])
def test_units_that_came_together_are_read_like_others(tmp_path, limit_bytes):
    def unit_of(input_id):
        rows = np.arange(20)
        table = kit.make_table(rows * 0, input_id, rows).drop_columns("kind")
        return Unit(table, np.array([0, 0, 1, 12, 20]))

    store = make_store(tmp_path, limit_bytes)
    store.put_all([0, 3], together([unit_of(0), unit_of(3)]))
    store.put_all([1], unit_of(1))
    store.put_all([1, 2, 3], together([unit_of(i) for i in (1, 2, 3)]))  # two are there
    assert store.memory_bytes <= limit_bytes
    for place, part in enumerate((4, 5, 6, 9)):
        rows = pa.concat_tables(store.read(part, 4).read_all()).to_pylist()
        starts = unit_of(0).starts
        expected = [
            unit_of(i).table.slice(starts[place], np.diff(starts)[place]) for i in range(4)
        ]
        assert rows == pa.concat_tables(expected).to_pylist()
    store.close()
    with pytest.raises(StoreClosedError):
        store.put_all([4, 5], together([unit_of(4), unit_of(5)]))
