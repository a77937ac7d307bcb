"""Outputs that are made by workers that came after the rows were on their way."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import dask
import numpy as np
import pyarrow as pa
import pytest

import exchange_kit as kit
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.exchange import ShardsDamagedError
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.p2p import lend as p2p_lend
from dlsort_cluster.p2p import places as p2p_places
from dlsort_cluster.p2p.lend import Lender
from dlsort_cluster.versions import VersionsDifferError, installed
from dlsort_cluster.wire import frame, unframe
from p2p_kit import assert_no_runs, start_three_workers
from patience import PATIENCE_S

N_INPUTS = 7

# What split, merge and the story of a test know of each other, all in this process.
_last_split = threading.Event()
_may_end = threading.Event()
_came: list[str] = []
_places: list[tuple[int, str]] = []


def split(source, context, input_id):
    """Wait with the last input until the newcomer is there."""
    if input_id == N_INPUTS - 1:
        _last_split.set()
        assert _may_end.wait(PATIENCE_S)
    return kit.split(source, context, input_id)


def merge(shards, context, slot):
    _places.append((slot.part, _here()))
    return kit.merge(shards, context, slot)


def merge_here(shards, context, slot):
    """Refuse to merge on the newcomer."""
    if _here() == _came[0]:
        raise kit.CorruptFileError("part is cursed")
    return kit.merge(shards, context, slot)


def merge_in_pieces(shards, context, slot):
    """On the newcomer read shard by shard, and compare that with all at once."""
    if _here() == _came[0]:
        tables = [shards.read(i, 0, n) for i, n in enumerate(shards.lengths)]
        assert [t.schema for t in tables] == shards.schemas
        assert [t.num_rows for t in tables] == shards.lengths
        assert pa.concat_tables(tables).equals(pa.concat_tables(shards.read_all()))
        _places.append((slot.part, _here()))
    return kit.merge(shards, context, slot)


def _here() -> str:
    from distributed import get_worker

    return get_worker().address


@pytest.fixture
def three():
    """Give three workers, of which none takes over what a slower one has to do."""
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        start_three_workers() as client,
    ):
        yield client


def n_runs(dask_scheduler):
    return len(dask_scheduler.plugins["shuffle"].active_shuffles)


@contextmanager
def newcomer(client):
    """Start a fourth worker once an exchange is at its last transfer."""
    there = set(workers_of(client))

    def come():
        _last_split.wait()
        while not (client.run_on_scheduler(n_runs) or _may_end.is_set()):
            pass
        client.cluster.scale(4)
        client.wait_for_workers(4, timeout=PATIENCE_S)
        _came.extend(set(workers_of(client)) - there)
        _may_end.set()

    _last_split.clear()
    _may_end.clear()
    _came.clear()
    _places.clear()
    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield _came
    finally:
        _last_split.set()
        _may_end.set()
        coming.join()


def exchange(merge=merge, **kwargs):
    return replace(kit.exchange(20, merge, **kwargs), split=split)


def sort(client, *args, **kwargs):
    layer = p2p.build(exchange(**kwargs), kit.name(), kit.sources(N_INPUTS), 20)
    _, outputs = run(client, layer, *args, poll_s=0.01)
    kit.check(outputs, N_INPUTS, n_parts=20)
    return outputs


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("answer_bytes", [2**24, 300])
def test_a_newcomer_makes_its_share(three, tmp_path, monkeypatch, spilled, answer_bytes):
    monkeypatch.setattr(p2p_lend, "_ANSWER_BYTES", answer_bytes)
    store = {"store_bytes": 1_000, "temp_dir": str(tmp_path)} if spilled else {}
    with newcomer(three) as came:
        sort(three, **store)
        assert sorted(part for part, _ in _places) == [*range(20)]
        assert sum(at == came[0] for _, at in _places) == 20 // 4
        assert_no_runs(three)
    assert list(tmp_path.iterdir()) == []


def lose(client, address):
    async def leave(dask_scheduler):
        await dask_scheduler.remove_worker(address, stimulus_id="test")

    client.run_on_scheduler(leave)


@pytest.mark.parametrize("lost", ["lender", "newcomer"])
def test_either_side_may_go_while_rows_are_lent(three, monkeypatch, lost):
    gone = []
    ask = Lender._ask

    def leaving(self, rows):
        if rows is not None and not gone:
            gone.append(self.address if lost == "lender" else came[0])
            lose(three, gone[0])
        return ask(self, rows)

    monkeypatch.setattr(Lender, "_ask", leaving)
    with newcomer(three) as came:
        sort(three)
    assert gone


def test_a_lender_out_of_reach_makes_the_partition_itself(three, monkeypatch):
    tried = []

    def unreachable(self, rows):
        tried.append(self._asked["part"])
        self.lost = True
        raise OSError("no route to host")

    monkeypatch.setattr(Lender, "_ask", unreachable)
    with newcomer(three) as came:
        sort(three)
        assert len(tried) == len(set(tried)) == 5
        assert came[0] not in [at for _, at in _places]


def damage(monkeypatch, n_times, *, with_rows=True):
    """Have the first so many answers, with rows or without, arrive with another bit."""
    left = [n_times]
    lend = p2p_lend._lend

    def damaged(found, part, rows):
        sent = lend(found, part, rows)
        if (rows is not None) == with_rows and left[0]:
            left[0] -= 1
            sent[-1] = sent[-1].copy()
            sent[-1][len(sent[-1]) // 2] ^= 1
        return sent

    monkeypatch.setattr(p2p_lend, "_lend", damaged)
    return left


@pytest.mark.parametrize("with_rows", [True, False])
def test_answers_that_arrive_damaged_are_asked_for_again(three, monkeypatch, with_rows):
    left = damage(monkeypatch, 2, with_rows=with_rows)
    with newcomer(three):
        sort(three)
    assert left == [0]


def split_evenly(source, context, input_id):
    """Give each partition ten rows, so that any row number of one is one of another."""
    if input_id == N_INPUTS - 1:
        _last_split.set()
        assert _may_end.wait(PATIENCE_S)
    part = np.repeat(np.arange(context), 10)
    table = kit.make_table(part, input_id, np.arange(len(part)))
    return kit.Split(table, np.arange(context + 1) * 10, None)


def merge_rows(shards, context, slot):
    table = pa.concat_tables(shards.read_all())
    return set(
        zip(*(table[name].to_pylist() for name in ("part", "input", "row")), strict=True)
    )


@pytest.mark.parametrize(
    "heard", ["another part", "another shard", "other rows", "another run"]
)
def test_a_request_that_arrives_damaged_is_asked_again(three, monkeypatch, heard):
    lend, answered = p2p_lend._lend, []

    def mishear(found, part, rows):
        if rows is None or answered:
            return lend(found, part, rows)
        answered.append(part)
        first, *others = rows
        if heard == "another part":
            return lend(found, part ^ 1, rows)
        if heard == "another shard":
            return lend(found, part, [(first[0] ^ 1, *first[1:]), *others])
        if heard == "other rows":
            return lend(found, part, [(first[0], 0, 1), *others])
        sent = unframe(lend(found, part, rows))
        told = json.loads(sent[0].starts.tobytes()) | {"run_id": 99}
        starts = np.frombuffer(json.dumps(told).encode(), np.uint8)
        return frame([sent[0]._replace(starts=starts), *sent[1:]])

    monkeypatch.setattr(p2p_lend, "_lend", mishear)
    with newcomer(three):
        made = replace(kit.exchange(20, merge_rows), split=split_evenly)
        layer = p2p.build(made, kit.name(), kit.sources(N_INPUTS), 20)
        _, outputs = run(three, layer, poll_s=0.01)
    assert answered
    assert outputs == [
        {(part, i, row) for i in range(N_INPUTS) for row in range(10 * part, 10 * part + 10)}
        for part in range(20)
    ]


def split_words(source, context, input_id):
    """Give each input a dictionary of its own that is larger than its rows."""
    if input_id == N_INPUTS - 1:
        _last_split.set()
        assert _may_end.wait(PATIENCE_S)
    words = pa.array([f"{input_id} {'x' * 90} {i}" for i in range(300)])
    part = np.repeat(np.arange(context), 5)
    codes = pa.array(np.arange(len(part)) % 300, pa.int32())
    coded = pa.DictionaryArray.from_arrays(codes, words)
    return kit.Split(pa.table({"w": coded}), np.arange(context + 1) * 5, None)


def merge_words(shards, context, slot):
    return [word for table in shards.read_all() for word in table["w"].to_pylist()]


def test_answers_are_bounded_where_dictionaries_are_large(three, monkeypatch):
    lend, sizes = p2p_lend._lend, []

    def measure(found, part, rows):
        sent = lend(found, part, rows)
        if rows is not None:
            sizes.append(sum(array.nbytes for array in sent))
        return sent

    one = 300 * 100  # a dictionary
    monkeypatch.setattr(p2p_lend, "_lend", measure)
    monkeypatch.setattr(p2p_lend, "_ANSWER_BYTES", 2 * one)
    with newcomer(three):
        made = replace(kit.exchange(20, merge_words), split=split_words)
        layer = p2p.build(made, kit.name(), kit.sources(N_INPUTS), 20)
        _, outputs = run(three, layer, poll_s=0.01)
    assert len(sizes) >= 5 * N_INPUTS / 3
    assert max(sizes) < 4 * one
    for part, words in enumerate(outputs):
        wanted = [
            f"{i} {'x' * 90} {(5 * part + j) % 300}" for i in range(N_INPUTS) for j in range(5)
        ]
        assert words == wanted


@pytest.mark.parametrize("n_lost", [1, 1_000])
def test_places_whose_answer_is_lost(three, monkeypatch, n_lost):
    on_scheduler, left = p2p_places._on_scheduler, [n_lost]

    def lose_answer(plugin, function, **kwargs):
        told = on_scheduler(plugin, function, **kwargs)
        if function is p2p_places._place_outputs and left[0]:
            left[0] -= 1
            raise OSError("connection reset")
        return told

    monkeypatch.setattr(p2p_places, "_on_scheduler", lose_answer)
    with newcomer(three) as came:
        sort(three)
        assert left[0] < n_lost
        assert sum(at == came[0] for _, at in _places) == 20 // 4


def test_a_link_that_damages_all_lent_rows_is_named(three, monkeypatch):
    damage(monkeypatch, 1_000)
    with newcomer(three) as came, pytest.raises(ShardsDamagedError, match="3 times") as told:
        sort(three)
    assert came[0] in str(told.value)


def test_a_newcomer_with_other_versions_is_named(three, monkeypatch):
    lend = p2p_lend._lend

    def older(found, part, rows):
        sent = lend(found, part, rows)
        if rows is not None:
            return sent
        head, *schemas = unframe(sent)
        told = json.loads(head.starts.tobytes())
        told["versions"] = {**installed(), "numpy": "1.0"}
        starts = np.frombuffer(json.dumps(told).encode(), np.uint8)
        return frame([head._replace(starts=starts), *schemas])

    monkeypatch.setattr(p2p_lend, "_lend", older)
    with newcomer(three), pytest.raises(VersionsDifferError, match=r"numpy .* 1\.0"):
        sort(three)


def test_own_errors_over_lent_rows_keep_their_type(three):
    with newcomer(three), pytest.raises(kit.CorruptFileError):
        sort(three, merge=merge_here)


def test_shards_are_lent_with_their_schemas_and_lengths(three):
    with newcomer(three):
        sort(three, merge=merge_in_pieces)
        assert len(_places) == 5


def test_tasks_that_may_not_run_anywhere_are_not_lent(three):
    workers = list(workers_of(three))
    with newcomer(three) as came:
        layer = p2p.build(exchange(), kit.name(), kit.sources(N_INPUTS), 20)
        keys = [*layer.transfer_keys, *layer.output_keys]
        futures = three.get(layer.graph, keys, sync=False, workers=workers)
        kit.check(three.gather(futures[N_INPUTS:]), N_INPUTS, n_parts=20)
        assert came[0] not in [at for _, at in _places]
