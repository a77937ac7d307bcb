import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort_kernels import learned, sort, sort_words
from patterns import MOST, PATTERNS, outliers, uniform


def tied_runs(words: np.ndarray) -> tuple[list[int], list[int]]:
    """Return where runs of two or more equal words start and end among sorted ones."""
    same = np.concatenate([[False], words[1:] == words[:-1], [False]])
    edge = np.diff(same.astype(int))
    return np.flatnonzero(edge == 1).tolist(), (np.flatnonzero(edge == -1) + 1).tolist()


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


@pytest.mark.parametrize("make", PATTERNS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 5_000, 300_000])
def test_sorts_stably(make, n):
    assert_sorts(make(np.random.default_rng(n), n))


@pytest.fixture
def always_learned(monkeypatch):
    monkeypatch.setattr(sort, "LEARN_FROM", 2)
    monkeypatch.setattr(sort, "worth_learning", lambda sample, n, shift: True)


@pytest.mark.parametrize("make", PATTERNS)
def test_sorts_stably_by_learned_codes(make, always_learned):
    assert_sorts(make(np.random.default_rng(1), 20_000))


@pytest.mark.parametrize("make", PATTERNS)
def test_a_sample_that_lies_costs_time_only(make, always_learned, monkeypatch):
    rng = np.random.default_rng(2)
    words = make(rng, 20_000)
    for lie in (uniform(rng, 4096), np.full(4096, words[0]), words[:2]):
        # A curve reaches from the lowest word to the highest, whatever the sample holds.
        sample = np.sort(np.clip(lie, words.min(), words.max()))
        monkeypatch.setattr(sort, "draw", lambda words, sample=sample: sample)
        assert_sorts(words)


@pytest.mark.parametrize("make", PATTERNS)
def test_sorts_stably_when_most_bits_do_not_fit(make, monkeypatch):
    # Few rows leave many bits to their codes; runs this short reach every way of sorting.
    monkeypatch.setattr(sort, "SHORT", 2)
    monkeypatch.setattr(sort, "LONG_BITS", 5)
    monkeypatch.setattr(sort, "BATCH", 64)
    assert_sorts(make(np.random.default_rng(3), 20_000))


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
@settings(deadline=None)
def test_sorts_any_words(words, repeats):
    assert_sorts(np.tile(np.array(words, np.uint64), repeats))


@given(words=words, repeats=st.integers(1, 40))
@settings(deadline=None)
def test_learned_codes_never_decrease(words, repeats):
    words = np.sort(np.tile(np.array(words, np.uint64), repeats))
    if not len(words):
        return
    code_bits = 40
    # A sample that misses most of the words.
    curve = learned.fit_curve(words[::3], int(words[0]), int(words[-1]), code_bits)
    packed = np.empty(len(words), np.uint64)
    learned.pack_learned(words, curve, 24, packed)
    codes, rows = packed >> np.uint64(24), packed & np.uint64(2**24 - 1)
    assert (rows == np.arange(len(words))).all()
    assert (codes[1:] >= codes[:-1]).all()
    assert codes.max() < 2**code_bits
    # Tied codes mean equal words where the lowest bit says that codes are exact.
    tied = (codes[1:] == codes[:-1]) & (codes[1:] & np.uint64(1) == 0)
    assert (words[1:][tied] == words[:-1][tied]).all()


def test_the_same_words_give_the_same_order_and_runs():
    words = outliers(np.random.default_rng(4), 300_000)
    for first, again in zip(sort_words(words), sort_words(words), strict=True):
        assert (first == again).all()


def test_a_plain_shift_is_kept_where_it_ties_little():
    rng = np.random.default_rng(5)
    n = 1 << 18
    assert not learned.worth_learning(learned.draw(uniform(rng, n)), n, 18)
    assert learned.worth_learning(learned.draw(outliers(rng, n)), n, 16)
