from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels.radix import COUNTS, list_ties, sort_groups, sort_packed
from word_sources import tied_runs

ROW_BITS = 17


def one_outlier(rng, n):
    """All but one code tie in the digits that are looked at first."""
    codes = rng.integers(0, 2**16, n)
    codes[n // 2 : n // 2 + 1] = 2**46
    return codes


def two_clusters(rng, n):
    """Two narrow clusters far apart: the touch-up would have to move rows too far."""
    return rng.integers(0, 2, n) * 2**45 + rng.integers(0, 2**20, n)


def late_descents(rng, n):
    """In order but for a few rows that belong far ahead: insertion gives up half-way."""
    codes = np.sort(rng.integers(0, 2**46, n))
    codes[n - n // 20 :] = rng.integers(0, 2**46, n // 20)
    return codes


CODES = {
    "uniform": lambda rng, n: rng.integers(0, 2**47, n),
    "few bits": lambda rng, n: rng.integers(0, 2**5, n),
    "ten bits": lambda rng, n: rng.integers(0, 2**10, n),
    "all equal": lambda rng, n: np.full(n, 77),
    "one outlier": one_outlier,
    "two clusters": two_clusters,
    "two values": lambda rng, n: rng.integers(0, 2, n) * (2**47 - 1),
    "in order": lambda rng, n: np.sort(rng.integers(0, 2**47, n)),
    "reversed": lambda rng, n: np.sort(rng.integers(0, 2**47, n))[::-1],
    "late descents": late_descents,
    "neighbours swapped": lambda rng, n: np.arange(n) ^ 1,
    "low bits alike": lambda rng, n: rng.integers(0, 2**7, n) << 40,
    "powers of two": lambda rng, n: 1 << rng.integers(0, 47, n),
}
SIZES = [0, 1, 2, 31, 32, 33, 255, 256, 300, 5_000, 20_000]


def pack(codes: np.ndarray, row_bits: int = ROW_BITS) -> np.ndarray:
    rows = np.arange(len(codes), dtype=np.uint64)
    return (codes.astype(np.uint64) << np.uint64(row_bits)) | rows


def scratch(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty(n, np.uint64), np.empty(COUNTS, np.uint32)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CODES)
def test_packed_rows_are_sorted(name, n):
    packed = pack(CODES[name](np.random.default_rng(n), n))
    want = np.sort(packed)
    sort_packed(packed, ROW_BITS, *scratch(n))
    assert (packed == want).all()


@given(
    codes=st.lists(st.one_of(st.integers(0, 2**50 - 1), st.integers(0, 3)), max_size=100),
    repeats=st.integers(1, 9),
    row_bits=st.integers(10, 14),
)
def test_any_codes_are_sorted(codes, repeats, row_bits):
    codes = np.tile(np.array(codes, np.uint64), repeats)
    np.random.default_rng(len(codes)).shuffle(codes)
    packed = pack(codes, row_bits)
    want = np.sort(packed)
    sort_packed(packed, row_bits, *scratch(len(codes)))
    assert (packed == want).all()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("with_lowest", [False, True])
@pytest.mark.parametrize("name", CODES)
def test_groups_are_sorted_and_their_ties_listed(name, with_lowest, wide):
    rng = np.random.default_rng(3)
    sizes = [0, 1, 2, 700, 0, 40, 3_000, 0]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    packed = pack(CODES[name](rng, sum(sizes)))
    bounds = list(itertools.pairwise(starts))
    groups = [np.sort(packed[start:stop]) for start, stop in bounds]
    # Where the lowest words are told apart by nothing else, code 0 is no tie that matters.
    least = 0 if with_lowest else 1 << ROW_BITS
    look = np.array([True, True, True, True, True, False, True, True])
    mask = np.uint64((1 << ROW_BITS) - 1)
    want = np.concatenate(groups) & mask
    tied = [tied_runs(group[group >= least] >> np.uint64(ROW_BITS)) for group in groups]
    passed = [int((group < least).sum()) for group in groups]

    order = packed.view(np.int64) if wide else np.full(sum(sizes), 9, np.uint32)
    n_runs, n_tied = np.zeros(8, np.int64), np.zeros(8, np.int64)
    for first, last in ((0, 5), (5, 8)):
        sort_groups(
            packed,
            starts,
            first,
            last,
            ROW_BITS,
            look,
            np.full(8, least, np.uint64),
            *scratch(3_000),
            order,
            n_runs,
            n_tied,
        )
    assert n_runs.tolist() == [
        len(runs[0]) if seen else 0 for runs, seen in zip(tied, look, strict=True)
    ]
    assert n_tied.tolist() == [
        sum(runs[1]) - sum(runs[0]) if seen else 0
        for runs, seen in zip(tied, look, strict=True)
    ]
    for (start, stop), runs in zip(bounds, n_runs, strict=True):
        if not runs:
            assert (order[start:stop] == want[start:stop]).all()

    which = np.flatnonzero(n_runs)
    places = [np.empty(n_runs.sum() + 1, np.int64) for _ in range(2)]
    lowest = np.empty(n_runs.sum() + 1, np.bool)
    list_ties(packed, starts, which, ROW_BITS, least, order, *places, lowest)
    assert (order == want).all()
    for found, side in zip(places, (0, 1), strict=True):
        assert found[:-1].tolist() == [
            start + passed[g] + place
            for g, start in enumerate(starts[:-1].tolist())
            if look[g]
            for place in tied[g][side]
        ]
    codes = np.concatenate(groups) >> np.uint64(ROW_BITS)
    assert (lowest[:-1] == (codes[places[0][:-1]] == 0)).all()
