from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import learned, natural_runs, sort, sort_source
from dlsort_kernels import learned_groups as groups
from dlsort_kernels import threads as kernel_threads
from dlsort_kernels.learned import FLOAT, LINEAR, LOG
from patterns import MOST, PATTERNS, constant, normal, outliers, uniform
from word_sources import SomeWords, expected, sort_words, tied_runs

BOTH = [False, True]
NAMES = {"ids": lambda make: make.__name__}


def assert_sorts(words: np.ndarray) -> None:
    before = words.copy()
    order, starts, ends = sort_words(words)
    assert (words == before).all()
    assert order.dtype == np.uint32
    assert (order == np.argsort(words, kind="stable")).all()
    assert (starts.tolist(), ends.tolist()) == tied_runs(words[order])
    again, *runs = sort_words(words, runs=False)
    assert (again == order).all()
    assert [len(each) for each in runs] == [0, 0]


# Whether runs are wanted, whether row numbers have 64 bits, and threads.
EVERY_WAY = list(itertools.product(BOTH, BOTH, (1, 2, 3)))
SOME_WAYS = [(True, False, 1), (True, True, 3), (False, True, 1)]


def assert_sorts_source(
    source: SomeWords, *, nulls_first: bool = False, ways: list = SOME_WAYS
) -> None:
    """Compare with NumPy's order; all ways give the same bytes."""
    want, tied = expected(source, nulls_first=nulls_first)
    for with_runs, wide, threads in ways:
        order, runs = sort_source(
            source, runs=with_runs, wide=wide, nulls_first=nulls_first, threads=threads
        )[:2]
        assert order.dtype == (np.int64 if wide else np.uint32)
        assert (order == want).all()
        found = runs.starts.tolist(), runs.ends.tolist()
        assert found == (tied if with_runs else ([], []))


# ---------------------------------------------------------------- as it is


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 5_000, 300_000])
def test_sorts_stably(make, n):
    assert_sorts(make(np.random.default_rng(n), n))


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_threads_and_row_width_change_nothing(make):
    words = make(np.random.default_rng(6), 300_000)
    assert_sorts_source(SomeWords(words, block_rows=50_000), ways=[*SOME_WAYS, (True, True, 2)])


def test_the_same_words_give_the_same_order_and_runs():
    words = outliers(np.random.default_rng(4), 300_000)
    for first, again in zip(sort_words(words), sort_words(words), strict=True):
        assert (first == again).all()


# ---------------------------------------------------------------- each path, by few rows


def only(scale: int):
    """Return a choice among scales that leaves none; the linear one where it can't be."""
    fitted = learned._scalings

    def choose(sample, **floats):
        found = fitted(sample, **floats)
        return [each for each in found if each.scale == scale] or found[:1]

    return choose


def refuse(*arguments):
    raise AssertionError("not the path that this test is for")


def one_group(patch):
    patch.setattr(groups, "GROUP_ROWS", 1 << 20)


def few_groups(patch):
    patch.setattr(groups, "GROUP_ROWS", 64)
    patch.setattr(groups, "MOST_GROUPS", 5)


def group_map(scale: int):
    def force(patch):
        patch.setattr(groups, "GROUP_ROWS", 64)
        patch.setattr(groups, "REPEATED", 2.0)
        patch.setattr(groups, "SplitterGroups", refuse)
        patch.setattr(learned, "_scalings", only(scale))

    return force


def splitters_for_repeats(patch):
    patch.setattr(groups, "GROUP_ROWS", 64)
    patch.setattr(groups, "REPEATED", 0.0)


def splitters_for_crowds(patch):
    patch.setattr(groups, "GROUP_ROWS", 64)
    patch.setattr(groups, "CROWD", 0)


def splitters_without_heavy_words(patch):
    splitters_for_repeats(patch)
    patch.setattr(learned, "MOST_HEAVY", 2)


PATHS = {
    "one group": one_group,
    "few groups": few_groups,
    "linear scale": group_map(LINEAR),
    "logarithmic scale": group_map(LOG),
    "float scale": group_map(FLOAT),
    "splitters for repeats": splitters_for_repeats,
    "splitters for crowds": splitters_for_crowds,
    "splitters without heavy words": splitters_without_heavy_words,
}


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Take one path, with threads, and with no look for runs that are in order."""
    PATHS[request.param](monkeypatch)
    monkeypatch.setattr(kernel_threads, "THREAD_ROWS", 1)
    monkeypatch.setattr(natural_runs, "few_runs", lambda source, kind: None)


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_every_path_sorts_stably(make, path):
    words = make(np.random.default_rng(1), 2_000)
    assert_sorts(words)
    assert_sorts_source(SomeWords(words, flip=MOST >> 7, floats=True, block_rows=700))


@pytest.mark.parametrize("nulls_first", BOTH)
@pytest.mark.parametrize("share", [0.001, 0.5, 0.99, 1.0])
def test_rows_without_a_word_keep_their_order_at_one_end(share, nulls_first, path):
    rng = np.random.default_rng(8)
    for make, ways in ((normal, EVERY_WAY), (constant, SOME_WAYS), (outliers, SOME_WAYS)):
        # Whatever stands where there is no word must not matter.
        words, null = make(rng, 2_000), rng.random(2_000) < share
        words[null] = uniform(rng, int(null.sum()))
        source = SomeWords(words, null=null, floats=True, turn=MOST, block_rows=300)
        assert_sorts_source(source, nulls_first=nulls_first, ways=ways)


@pytest.mark.parametrize("nulls_first", BOTH)
def test_one_row_without_a_word(nulls_first):
    for n in (1, 2, 70):
        null = np.arange(n) == n // 2
        source = SomeWords(np.arange(n, dtype=np.uint64), null=null)
        assert_sorts_source(source, nulls_first=nulls_first)


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_a_sample_that_lies_costs_time_only(make, path, monkeypatch):
    rng = np.random.default_rng(2)
    words = make(rng, 1_000)
    source = SomeWords(words, floats=True, block_rows=700)
    for lie in (uniform(rng, 500), words[:2], np.full(300, MOST), np.zeros(300)):
        sample = np.sort(lie.astype(np.uint64))
        monkeypatch.setattr(groups, "_draw", lambda source, size, sample=sample: sample)
        assert_sorts_source(source, ways=[(True, False, 1), (False, True, 2)])


@pytest.mark.parametrize("shared", [1, 9, 31, 60])
def test_low_bits_that_all_words_share_need_no_place_in_a_code(shared, path):
    rng = np.random.default_rng(9)
    words = (uniform(rng, 3_000) >> np.uint64(shared)) % np.uint64(2**63 - 25)
    words[::3] = words[0]
    low = np.uint64(2**shared // 3)
    words = (words << np.uint64(shared)) | low
    assert_sorts_source(SomeWords(words, block_rows=500))


def test_words_that_differ_between_blocks_only_are_told_apart(path):
    # The first block holds multiples of 16, the lowest and the highest word among them; all
    # words of the others are off by 4.
    for width in (56, 59, 62):
        words = uniform(np.random.default_rng(width), 3_000) >> np.uint64(64 - width)
        words = words // np.uint64(16) * np.uint64(16)
        words[1000:] |= np.uint64(4)
        words[0] = 0
        words[1000::2] = words[:1000] | np.uint64(4)
        words[1001::2] = words[:1000] - np.uint64(12)
        words[1001] = 4
        words[1] = (1 << width) - 16
        assert_sorts_source(SomeWords(words))


@pytest.mark.parametrize("width", range(49, 55))
def test_the_highest_word_fits_the_codes_of_the_last_group(width, path, monkeypatch):
    # 12 bits of 3,000 rows leave 52 for codes.
    lowest = np.uint64(MOST - 2**width)
    words = np.full(3_000, lowest)
    words[::5] = MOST
    words[1::7] = MOST - 1
    monkeypatch.setattr(groups, "_draw", lambda source, size: np.full(300, lowest))
    assert_sorts_source(SomeWords(words))


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_sorts_stably_when_most_bits_do_not_fit(make, monkeypatch):
    # Few rows leave many bits to their codes; runs this short reach every way of sorting.
    monkeypatch.setattr(sort, "SHORT", 2)
    monkeypatch.setattr(sort, "LONG_BITS", 5)
    monkeypatch.setattr(sort, "BATCH", 64)
    assert_sorts(make(np.random.default_rng(3), 20_000))


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
@pytest.mark.parametrize("long_bits", [2, 16])
def test_sorts_stably_when_codes_are_short(make, long_bits, path, monkeypatch):
    # Codes of 12 bits: most rows tie and are sorted by their words.
    monkeypatch.setattr(groups, "_shift", lambda span, bits: max(0, span.bit_length() - 11))
    monkeypatch.setattr(sort, "SHORT", 3)
    monkeypatch.setattr(sort, "LONG_BITS", long_bits)
    monkeypatch.setattr(sort, "BATCH", 300)
    assert_sorts(make(np.random.default_rng(7), 3_000))


# ---------------------------------------------------------------- any words

words = st.lists(
    st.one_of(
        st.integers(0, MOST),
        st.integers(0, 5),
        st.integers(MOST - 5, MOST),
        st.builds(lambda base, bit: base ^ (1 << bit), st.integers(0, 3), st.integers(0, 63)),
    ),
    max_size=200,
)


@given(words=words, repeats=st.integers(1, 40))
def test_sorts_any_words(words, repeats):
    assert_sorts(np.tile(np.array(words, np.uint64), repeats))


@given(
    words=words,
    repeats=st.integers(1, 8),
    nulls=st.integers(0, 2),
    flip=st.integers(0, MOST),
    floats=st.booleans(),
    turn=st.sampled_from([0, MOST]),
    block_rows=st.integers(1, 100),
    path=st.sampled_from(sorted(PATHS)),
    seed=st.integers(0, 2**32),
)
def test_every_path_sorts_any_words(
    words, repeats, nulls, flip, floats, turn, block_rows, path, seed
):
    rng = np.random.default_rng(seed)
    words = rng.permutation(np.tile(np.array(words, np.uint64), repeats))
    null = rng.integers(0, 3, len(words)) < nulls if nulls else None
    source = SomeWords(
        words, null=null, flip=flip, floats=floats, turn=turn, block_rows=block_rows
    )
    with pytest.MonkeyPatch.context() as patch:
        PATHS[path](patch)
        patch.setattr(groups, "GROUP_ROWS", 8)
        patch.setattr(kernel_threads, "THREAD_ROWS", 1)
        assert_sorts_source(source, nulls_first=bool(seed % 2))
