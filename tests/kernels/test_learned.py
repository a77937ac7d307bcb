from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import float_words, learned
from dlsort_kernels.learned import (
    EVERY_CELL,
    FLOAT,
    LINEAR,
    LOG,
    N_CELLS,
    GroupMap,
    OneGroup,
    Scaling,
    SplitterGroups,
)
from patterns import MOST, PATTERNS, constant, few_distinct, log_uniform, normal, uniform

NAMES = {"ids": lambda make: make.__name__}
TURNS = [0, MOST]
U0 = np.uint64(0)

LIMITS = [-np.inf, -1.8e308, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, 1.8e308, np.inf, np.nan]


def extremes() -> np.ndarray:
    """Return words at and beside the ends, each power of two, and the limits of floats."""
    at = np.concatenate(
        [
            np.array([0, MOST], np.uint64),
            np.uint64(1) << np.arange(64, dtype=np.uint64),
            float_words(np.array(LIMITS))[0],
        ]
    )
    at = np.concatenate([at, ~at])
    return np.concatenate([at, at - np.uint64(1), at + np.uint64(1)])


def groups_of(placer, words: np.ndarray, flip: int = 0) -> np.ndarray:
    ids = np.empty(len(words), np.uint16)
    placer.find(words ^ np.uint64(flip), np.uint64(flip), ids)
    return ids


def assert_places(placer, words: np.ndarray) -> None:
    """Check that groups never decrease with the word, and that their bounds hold."""
    words = np.sort(words)
    ids = groups_of(placer, words)
    assert (ids[1:] >= ids[:-1]).all()
    assert ids[-1] < placer.n_groups
    for lo, hi in ((0, MOST), (int(words[0]), int(words[-1]))):
        lowest, highest = placer.bounds(lo, hi)
        assert len(lowest) == len(highest) == placer.n_groups
        assert (lowest[ids] <= words).all()
        assert (words <= highest[ids]).all()
        assert (lowest[1:] >= lowest[:-1]).all()
        assert lo <= min(lowest)
        assert max(highest) <= hi
    for flip in (MOST, 1 << 63, 0x123456789ABCDEF):
        assert (groups_of(placer, words, flip) == ids).all()


scalings = st.builds(
    Scaling,
    scale=st.sampled_from([LINEAR, LOG, FLOAT]),
    lo=st.integers(0, MOST).map(np.uint64),
    shift=st.integers(0, 52).map(np.uint64),
    origin=st.floats(allow_nan=False, allow_infinity=False).map(np.float64),
    factor=st.floats(allow_nan=False, allow_infinity=False, min_value=5e-324).map(np.float64),
    turn=st.just(U0),
)


@given(scaling=scalings, words=st.lists(st.integers(0, MOST), max_size=30), turn=st.booleans())
def test_every_cell_scale_is_monotone(scaling, words, turn):
    if turn:  # the floats decrease as the words increase
        scaling = scaling._replace(turn=np.uint64(MOST), factor=-scaling.factor)
    words = np.concatenate([np.array(words, np.uint64), extremes()])
    assert_places(GroupMap(scaling, EVERY_CELL), words)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_fitted_maps_are_monotone_and_their_bounds_hold(make, floats, turn):
    rng = np.random.default_rng(0)
    for sample in (make(rng, 500), make(rng, 1), extremes()):
        sample = np.sort(sample)
        words = np.concatenate([make(rng, 2_000), sample, extremes()])
        for scaling in learned._scalings(sample, floats=floats, turn=np.uint64(turn)):
            assert_places(GroupMap(scaling, EVERY_CELL), words)
        for n_groups in (2, 60):
            placer = GroupMap.fit(sample, n_groups, floats=floats, turn=np.uint64(turn))
            assert 1 <= placer.n_groups <= n_groups
            assert_places(placer, words)


@pytest.mark.parametrize("make", PATTERNS, **NAMES)
def test_splitters_are_monotone_and_their_bounds_hold(make):
    rng = np.random.default_rng(0)
    for sample in (make(rng, 600), make(rng, 1), extremes(), np.zeros(9), np.full(9, MOST)):
        sample = np.sort(sample.astype(np.uint64))
        words = np.concatenate([make(rng, 2_000), sample, sample + np.uint64(1), extremes()])
        for n_groups in (1, 2, 60):
            placer = SplitterGroups(sample, n_groups)
            n_heavy = len(np.unique(sample[1:][sample[1:] == sample[:-1]]))
            assert placer.n_groups <= 2 * n_groups + n_heavy + 1
            assert_places(placer, words)


def test_no_more_groups_than_numbers_of_16_bits():
    sample = np.repeat(np.arange(3, 70_000, dtype=np.uint64), 2)
    assert SplitterGroups(sample, 1024).n_groups <= 2 * 1024
    assert SplitterGroups(sample[: 2 * 8192], 1024).n_groups <= 8192 + 2 * 1024


def test_a_heavy_word_is_the_lowest_of_its_group():
    sample = np.sort(few_distinct(np.random.default_rng(1), 200))
    placer = SplitterGroups(sample, 5)
    lowest, _ = placer.bounds(int(sample[0]), int(sample[-1]))
    assert (lowest[groups_of(placer, sample)] == sample).all()


def test_one_group():
    assert_places(OneGroup(), extremes())


# ---------------------------------------------------------------- the choice of a scale


def as_words(values: np.ndarray) -> np.ndarray:
    return float_words(values)[0]


@pytest.mark.parametrize("turn", TURNS)
def test_the_scale_is_chosen_that_spreads_the_sample_best(turn):
    rng = np.random.default_rng(2)
    for values, scale in ((rng.random(9_000) - 0.5, FLOAT), (rng.random(9_000) + 1e6, LINEAR)):
        words = np.sort(as_words(values) ^ np.uint64(turn))
        found = GroupMap.fit(words, 64, floats=True, turn=np.uint64(turn))
        assert found.scaling.scale == scale
    for words, scale in ((uniform(rng, 9_000), LINEAR), (log_uniform(rng, 9_000), LOG)):
        assert GroupMap.fit(np.sort(words), 64).scaling.scale == scale


# Long tails upwards: there is no scale for those that go down, and splitters serve them.
@pytest.mark.parametrize(
    ("make", "turn"),
    [(uniform, 0), (uniform, MOST), (normal, 0), (normal, MOST), (log_uniform, 0)],
)
def test_groups_are_even(make, turn):
    rng = np.random.default_rng(3)
    words = make(rng, 60_000) ^ np.uint64(turn)
    sample = np.sort(words[:4_000])
    for placer in (
        GroupMap.fit(sample, 64, floats=make is normal, turn=np.uint64(turn)),
        SplitterGroups(sample, 64),
    ):
        sizes = np.bincount(groups_of(placer, words))
        assert sizes.max() < 2 * len(words) / 64


def test_floats_that_are_no_numbers_leave_the_other_scales():
    for values in ([np.nan] * 9, [-np.inf, 0.0, np.inf], [-1.7e308, 1.7e308], [5.0, 5.0]):
        sample = np.sort(as_words(np.array(values)))
        assert_places(GroupMap.fit(sample, 4, floats=True), extremes())


@given(
    counts=st.lists(st.integers(0, 2**40), min_size=N_CELLS // 64, max_size=N_CELLS // 64),
    n_groups=st.integers(1, 2**16),
)
def test_cells_are_merged_in_order(counts, n_groups):
    group = learned._balanced(np.repeat(np.array(counts), 64), n_groups)
    assert group.dtype == np.uint16
    assert len(group) == N_CELLS
    assert (np.diff(group.astype(int)) >= 0).all()
    assert group[-1] < n_groups


def test_one_word_only():
    words = constant(np.random.default_rng(0), 50)
    for placer in (GroupMap.fit(words, 9), SplitterGroups(words, 9)):
        assert len(set(groups_of(placer, words))) == 1
