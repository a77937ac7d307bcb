from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

import exchange_kit as kit
from dlsort_cluster.clusters.connect import run
from dlsort_cluster.p2p import build as p2p
from dlsort_cluster.p2p import link as module
from dlsort_cluster.p2p import run as p2p_run
from dlsort_cluster.p2p.link import Link
from dlsort_cluster.store.codecs import Codecs
from dlsort_cluster.wire import Unit, unpack
from p2p_kit import assert_no_runs

ROWS = np.repeat(np.arange(100), 1_000)  # of which LZ4 makes little
UNIT = Unit(pa.table({"x": ROWS}), np.array([0, len(ROWS)]))
N_BYTES = UNIT.table.nbytes


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that goes on only when it is told."""
    now = [0.0]
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    return now


def chosen(link, clock, monkeypatch, wire_ns, pack_ns, n_units):
    """Return how often units were compressed, by nanoseconds a byte of link and LZ4."""
    found = Counter()
    worked = [0.0]
    monkeypatch.setattr(module, "thread_time", lambda: worked[0])
    real = module.pack

    def pack(unit, codec):
        found[codec] += 1
        worked[0] += pack_ns * N_BYTES * 1e-9 if codec else 0.0
        return real(unit, codec)

    with monkeypatch.context() as patch:
        patch.setattr(module, "pack", pack)
        for i in range(n_units):
            packed = link.pack("b", (i,), UNIT, N_BYTES)
            with link.sending("b", [packed]):
                clock[0] += wire_ns * packed.stream.nbytes * 1e-9
    return found


@pytest.mark.parametrize(("wire_ns", "best"), [(8.0, "lz4"), (0.3, None)])
def test_a_slow_link_is_worth_a_codec(clock, monkeypatch, wire_ns, best):
    link = Link({"b"}, 1)
    assert chosen(link, clock, monkeypatch, wire_ns, 2.0, 64)[best] >= 56
    assert not link._packed


def test_a_link_that_becomes_slow_is_noticed(clock, monkeypatch):
    link = Link({"b"}, 1)
    chosen(link, clock, monkeypatch, 0.3, 2.0, 40)
    assert chosen(link, clock, monkeypatch, 20.0, 2.0, 64)["lz4"] > 40


def test_messages_that_share_the_link_share_its_time(clock):
    taken = []

    class Told(Codecs):
        def took(self, codec, n_bytes, seconds):
            taken.append(seconds)

    link = Link({"b", "c"}, 1, Told((None,)))
    one, two = ([link.pack(to, (0,), UNIT, N_BYTES)] for to in ("b", "c"))
    with link.sending("b", one), link.sending("c", two):
        clock[0] += 10.0
    assert taken == [pytest.approx(5.0, abs=0.5)] * 2


def test_what_is_not_sent_tells_nothing(clock):
    link = Link({"b"}, 1)
    packed = link.pack("b", (0,), UNIT, N_BYTES)
    with pytest.raises(ZeroDivisionError), link.sending("b", [packed]):
        clock[0] /= 0
    assert not link._packed
    assert link._codecs._taken == {}


@pytest.mark.parametrize("codec", [None, "lz4"])
def test_a_unit_comes_as_it_was(codec):
    _, starts, stream = Link({"b"}, 1, Codecs((codec,))).pack("b", (0,), UNIT, N_BYTES)
    assert (stream.nbytes < N_BYTES / 4) == (codec is not None)
    table, found = unpack(starts, stream)
    assert table.equals(UNIT.table)
    assert found.tolist() == UNIT.starts.tolist()
    small = Link({"b"}, 1, Codecs((codec,))).pack("b", (0,), UNIT, 1_000).stream
    near = Link(set(), 1, Codecs((codec,))).pack("b", (0,), UNIT, N_BYTES).stream
    assert small.nbytes == near.nbytes > N_BYTES


def test_workers_of_other_hosts_get_rows_that_are_compressed(three_workers, monkeypatch):
    codecs = []

    def pack(unit, codec=None):
        codecs.append(codec)
        return real(unit, codec)

    real = module.pack
    monkeypatch.setattr(module, "pack", pack)
    monkeypatch.setattr(module, "_FEWEST_BYTES", 0)
    monkeypatch.setattr(module, "Codecs", lambda: Codecs(("lz4",)))
    monkeypatch.setattr(p2p_run, "get_address_host", lambda address: address)
    _, outputs = run(three_workers, p2p.build(kit.exchange(), kit.name(), kit.sources(9), 6))
    kit.check(outputs, 9)
    assert set(codecs) == {"lz4"}
    assert_no_runs(three_workers)
