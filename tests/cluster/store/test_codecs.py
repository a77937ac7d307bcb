from collections import Counter

import pytest

from dlsort_cluster.store import codecs as module
from dlsort_cluster.store.codecs import Codecs


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that goes on only when it is told."""
    now = [0.0]
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "thread_time", lambda: 0.0)
    return now


def chosen(codecs, clock, ns, n_runs):
    """Return how often each way was chosen, where a run takes so many nanoseconds a byte."""
    found = Counter()
    for _ in range(n_runs):
        with codecs.choose(1_000) as codec:
            clock[0] += ns[codec] * 1e-6
        found[codec] += 1
    return found


@pytest.mark.parametrize("best", [None, "lz4"])
def test_what_takes_less_is_chosen_and_the_other_tried_now_and_then(clock, best):
    ns = {None: 5, "lz4": 5} | {best: 1}
    found = chosen(Codecs(), clock, ns, 160)
    assert found[best] == 160 - 1 - 10 - 2


def test_a_disk_that_becomes_slow_is_noticed(clock):
    codecs = Codecs()
    chosen(codecs, clock, {None: 1, "lz4": 3}, 40)
    assert chosen(codecs, clock, {None: 9, "lz4": 3}, 64)["lz4"] > 50
    assert chosen(codecs, clock, {None: 1, "lz4": 3}, 160)[None] > 100


def test_a_run_that_fails_tells_nothing(clock):
    codecs = Codecs()
    with pytest.raises(ZeroDivisionError), codecs.choose(1_000):
        clock[0] /= 0
    assert chosen(codecs, clock, {None: 1, "lz4": 3}, 40)[None] > 30


def test_one_way_is_the_only_one(clock):
    assert chosen(Codecs(("lz4",)), clock, {"lz4": 1}, 40) == {"lz4": 40}
