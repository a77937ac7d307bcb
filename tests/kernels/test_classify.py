import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort_kernels import Cells, build_cells, classify, group_rows, settle_ties, tied_rows
from patterns import MOST, PATTERNS

any_words = st.lists(
    st.one_of(st.integers(0, MOST), st.integers(0, 20), st.integers(MOST - 3, MOST)),
    max_size=50,
)


def neighbours(splitters: np.ndarray) -> np.ndarray:
    """Return words at, just below and just above each splitter, and at both ends."""
    one = np.uint64(1)
    ends = np.array([0, 1, MOST - 1, MOST], np.uint64)
    return np.concatenate([splitters, splitters - one, splitters + one, ends])


def assert_classifies(lead: np.ndarray, splitters: np.ndarray, cells: Cells) -> None:
    part, n_tied = classify(lead, splitters, cells)
    assert part.dtype == np.uint32
    assert (part == np.searchsorted(splitters, lead)).all()
    ties = np.isin(lead, splitters)
    assert n_tied == ties.sum()
    assert (tied_rows(lead, splitters, part) == np.flatnonzero(ties)).all()


@pytest.mark.parametrize("make", PATTERNS)
@pytest.mark.parametrize("n_splitters", [0, 1, 2, 15, 511, 3000])
def test_is_a_binary_search(make, n_splitters):
    rng = np.random.default_rng(n_splitters)
    splitters = np.sort(make(rng, n_splitters))
    lead = np.concatenate([make(rng, 20_000), neighbours(splitters)])
    assert_classifies(lead, splitters, build_cells(splitters))


@given(words=any_words, splitters=any_words)
@settings(deadline=None)
def test_is_a_binary_search_for_any_words(words, splitters):
    splitters = np.sort(np.array(splitters, np.uint64))
    lead = np.concatenate([np.array(words, np.uint64), neighbours(splitters)])
    assert_classifies(lead, splitters, build_cells(splitters))


@given(
    words=any_words,
    splitters=any_words,
    lo=st.integers(0, MOST),
    cell_bits=st.integers(0, 70),
    widening=st.booleans(),
)
@settings(deadline=None)
def test_hostile_cells_cost_time_only(words, splitters, lo, cell_bits, widening):
    splitters = np.sort(np.array(splitters, np.uint64))
    lead = np.concatenate([np.array(words, np.uint64), neighbours(splitters)])
    assert_classifies(lead, splitters, Cells(lo, cell_bits, widening))


def test_no_rows():
    splitters = np.array([5], np.uint64)
    part, n_tied = classify(np.empty(0, np.uint64), splitters, build_cells(splitters))
    assert len(part) == n_tied == 0


def test_widening_cells_are_chosen_for_heavy_tails():
    rng = np.random.default_rng(0)
    tails = np.sort(
        rng.integers(1, MOST, 500, dtype=np.uint64) >> rng.integers(0, 60, 500, dtype=np.uint64)
    )
    assert build_cells(tails).widening
    assert not build_cells(np.arange(0, 2**60, 2**51, dtype=np.uint64)).widening


def settled(lead, splitters, input_id) -> list[int]:
    """Return what `settle_ties` must do, by Python's comparison of tuples."""
    return [
        sum(splitter <= (word, input_id, row) for splitter in splitters)
        for row, word in enumerate(lead.tolist())
    ]


places = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 12)), max_size=20
).map(sorted)


@given(
    splitters=places,
    words=st.lists(st.integers(0, 3), max_size=15),
    input_id=st.integers(0, 3),
    shuffle=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_ties_are_settled_by_place(splitters, words, input_id, shuffle):
    lead = np.array(words, np.uint64)
    leads, parts, rows = (
        np.array([splitter[i] for splitter in splitters], dtype)
        for i, dtype in enumerate((np.uint64, np.int64, np.int64))
    )
    part, _ = classify(lead, leads, build_cells(leads))
    tied = tied_rows(lead, leads, part)
    expected = settled(lead, splitters, input_id)
    in_order = part.copy()
    settle_ties(in_order, tied, leads, parts, rows, input_id, lead)
    assert in_order.tolist() == expected
    tied = np.array(shuffle.sample(tied.tolist(), len(tied)), np.uint32)
    settle_ties(part, tied, leads, parts, rows, input_id, lead)
    assert part.tolist() == expected


def test_one_heavy_key_is_split_evenly():
    n, n_parts = 10_000, 16
    lead = np.full(n, 42, np.uint64)
    splitters = np.full(n_parts - 1, 42, np.uint64)
    rows = np.arange(1, n_parts) * (n // n_parts)
    part, n_tied = classify(lead, splitters, build_cells(splitters))
    assert n_tied == n
    tied = tied_rows(lead, splitters, part)
    settle_ties(part, tied, splitters, np.zeros(n_parts - 1, np.int64), rows, 0, lead)
    assert np.bincount(part, minlength=n_parts).tolist() == [n // n_parts] * n_parts


@given(parts=st.lists(st.integers(0, 9), max_size=60))
@settings(deadline=None)
def test_rows_are_grouped_in_input_order(parts):
    part = np.array(parts, np.uint32)
    order, starts = group_rows(part, 10)
    assert order.dtype == np.uint32
    assert (order == np.argsort(part, kind="stable")).all()
    assert starts.tolist() == [sum(p < limit for p in parts) for limit in range(11)]
