from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import sort_source
from dlsort_kernels.natural_runs import (
    MOST_MERGED,
    MOST_RUNS,
    WIDTH,
    WINDOWS,
    find_runs,
    ordered,
    worth_a_look,
)
from patterns import MOST, Words, uniform
from word_sources import SomeWords

FLIPS = [0, MOST, 1 << 63]


def runs_of(words: list[int]) -> tuple[list[int], list[int]]:
    """Return the first row of each run, and 1 where it goes up, −1 down, 0 for one row."""
    starts, directions = [0], [0]
    for i in range(1, len(words)):
        goes = 1 if words[i - 1] <= words[i] else -1
        if directions[-1] == 0:
            directions[-1] = goes
        elif directions[-1] != goes:
            starts.append(i)
            directions.append(0)
    return starts, directions


def found_runs(
    words: Words, block_rows: int, flip: int = 0, room: int = 1000
) -> tuple[list[int], list[int]] | None:
    """Return what `find_runs` finds block by block."""
    starts, directions = np.zeros(room, np.int64), np.zeros(room, np.int8)
    n_runs, direction = 1, 0
    for start in range(0, len(words), block_rows):
        before = max(start - 1, 0)
        block = words[before : start + block_rows] ^ np.uint64(flip)
        n_runs, direction = find_runs(
            block, np.uint64(flip), before, n_runs, direction, starts, directions
        )
        if n_runs < 0:
            return None
    return starts[:n_runs].tolist(), directions[:n_runs].tolist()


# Values that go on in a direction, stay, or jump.
walks = st.lists(st.integers(-1, 1), max_size=80).map(
    lambda steps: (100 + np.cumsum([0, *steps])).astype(np.uint64)
)


@given(words=walks, block_rows=st.integers(1, 30), flip=st.sampled_from(FLIPS))
def test_runs_are_those_that_a_plain_loop_finds(words, block_rows, flip):
    assert found_runs(words, block_rows, flip) == runs_of(words.tolist())


@pytest.mark.parametrize("block_rows", [1, 700, 1024, 1025, 5000])
@pytest.mark.parametrize("first", [1, 2, 1023, 1024, 1025, 2048, 3000])
def test_runs_end_anywhere_in_a_block_of_the_kernel(first, block_rows):
    up, down = np.arange(first), np.arange(4000 - first, 0, -1)
    for words in (np.append(up, down), np.append(down, up), np.append(up, up), 5 + 0 * up):
        assert found_runs(words.astype(np.uint64), block_rows) == runs_of(words.tolist())


def test_too_many_runs_are_given_up():
    words = np.tile(np.array([1, 2, 0], np.uint64), 9)
    n_runs = len(runs_of(words.tolist())[0])
    assert found_runs(words, 4, room=n_runs) is not None
    assert found_runs(words, 4, room=n_runs - 1) is None


def order_of_runs(words: Words, block_rows: int, flip: int, kind: type) -> np.ndarray | None:
    starts, directions = runs_of(words.tolist())
    source = SomeWords(words, flip=flip, block_rows=block_rows)
    return ordered(source, np.array(starts), np.array(directions, np.int8), kind)


def assert_orders(words: Words, flip: int = 0) -> None:
    """Compare with NumPy's stable order; sorting has to find the same whatever is merged."""
    want = np.argsort(words, kind="stable")
    for kind in (np.uint32, np.int64):
        order = order_of_runs(words, 50, flip, kind)
        if order is None:
            assert len(runs_of(words.tolist())[0]) > MOST_MERGED
        else:
            assert order.dtype == kind
            assert (order == want).all()
    assert (sort_source(SomeWords(words, flip=flip, block_rows=50))[0] == want).all()


pieces = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12), min_size=1, max_size=25), st.sampled_from(["up", "down"])
    ),
    min_size=1,
    max_size=5,
)


def joined(pieces: list[tuple[list[int], str]]) -> Words:
    """Return runs of given values one after another; those that go down have no equal ones."""
    runs = [
        sorted(values) if way == "up" else sorted(set(values), reverse=True)
        for values, way in pieces
    ]
    return np.array([value for run in runs for value in run], np.uint64)


@given(pieces=pieces, flip=st.sampled_from(FLIPS))
def test_up_to_five_runs_with_equal_words_among_them(pieces, flip):
    assert_orders(joined(pieces), flip)


@given(
    edges=st.lists(st.integers(0, 40), min_size=2, max_size=9),
    ways=st.lists(st.sampled_from(["up", "down"]), min_size=8, max_size=8),
    data=st.data(),
)
def test_runs_that_lie_apart_in_any_order_with_equal_edges(edges, ways, data):
    edges = sorted(edges)
    runs = [
        ([low, *data.draw(st.lists(st.integers(low, high), max_size=6)), high], way)
        for low, high, way in zip(edges[:-1], edges[1:], ways[: len(edges) - 1], strict=True)
    ]
    assert_orders(joined(data.draw(st.permutations(runs))))


@pytest.mark.parametrize("width", [90, 100])
def test_many_runs_that_lie_apart_are_only_put_in_order(width):
    # Those of 100 have the next one's lowest word as their highest.
    runs = [np.arange(99 * i, 99 * i + width) for i in range(MOST_RUNS)]
    for words in (np.concatenate(runs[::-1]), np.concatenate([run[::-1] for run in runs])):
        words = words.astype(np.uint64)
        assert len(runs_of(words.tolist())[0]) == MOST_RUNS
        order = order_of_runs(words, 1000, 0, np.int64)
        if width < 100:
            assert (order == np.argsort(words, kind="stable")).all()
        assert_orders(words)


@pytest.mark.parametrize("ways", ["uu", "ud", "du", "dd", "uuu", "udu", "dddd", "uudd"])
@pytest.mark.parametrize("distinct", [50, 10**6])
def test_long_runs_that_lie_over_one_another(ways, distinct):
    rng = np.random.default_rng(1)
    runs = [np.sort(rng.integers(0, distinct, n)) for n in (3_000, 1, 2_500, 40)]
    runs = [
        run if way == "u" else np.unique(run)[::-1]
        for run, way in zip(runs, ways, strict=False)
    ]
    assert_orders(np.concatenate(runs).astype(np.uint64), flip=MOST)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_without_a_word_are_sorted_not_merged(threads):
    words = np.arange(5_000, dtype=np.uint64)
    null = words % 1000 == 999
    order, runs = sort_source(SomeWords(words, null=null), threads=threads)[:2]
    assert (order == np.argsort(null, kind="stable")).all()
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([4_995], [5_000])


def test_a_look_at_a_few_windows():
    up = np.arange(WINDOWS * WIDTH, dtype=np.uint64).reshape(WINDOWS, WIDTH)
    assert worth_a_look(up)
    assert worth_a_look(up[:, ::-1])
    assert worth_a_look(np.full_like(up, 7))
    bent = up.copy()
    bent[:2, 1] = 0
    bent[0, 0] = 1
    assert worth_a_look(bent)
    bent[2:4, 1] = 0
    assert not worth_a_look(bent)
    assert not worth_a_look(uniform(np.random.default_rng(0), up.size).reshape(up.shape))
