from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import word_range
from dlsort_kernels.spread import count_groups, pack_all, place_rows, set_nulls
from patterns import MOST

any_words = st.lists(st.one_of(st.integers(0, MOST), st.integers(0, 9)), max_size=60)
NO_GROUP = np.uint64(MOST)


@given(words=any_words, flip=st.integers(0, MOST))
def test_the_range_of_words_and_the_bits_in_which_they_differ(words, flip):
    given_words = np.array(words, np.uint64)
    lo, hi, differs = map(int, word_range(given_words, np.uint64(flip)))
    turned = [word ^ flip for word in words]
    want = 0
    for word in words:
        want |= word ^ words[0]
    assert (lo, hi, differs) == (min(turned, default=MOST), max(turned, default=0), want)


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60),
    before=st.integers(0, 9),
)
def test_rows_are_counted_by_group_and_nulls_in_their_own(rows, before):
    group = np.array([g for g, _ in rows], np.uint16)
    set_nulls(group, np.array([null for _, null in rows], np.bool), 5)
    groups = [5 if null else g for g, null in rows]
    assert group.tolist() == groups
    counts = np.full(6, before)
    count_groups(group, counts)
    assert counts.tolist() == [before + groups.count(g) for g in range(6)]


def code(word: int, lowest: int, shift: int) -> int:
    return -(-(word - lowest) // 2**shift)


@given(
    data=st.data(),
    flip=st.integers(0, MOST),
    row_bits=st.integers(8, 20),
    by_place=st.booleans(),
)
def test_rows_are_placed_in_their_groups_in_input_order(data, flip, row_bits, by_place):
    # Two groups of words, and one of rows without a word.
    lowest, shift = [1000, 2**40, 0], [0, data.draw(st.integers(0, 20)), 0]
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**30)), max_size=60))
    group = np.array([g for g, _ in rows], np.uint16)
    words = [MOST - above if g == 2 else lowest[g] + above for g, above in rows]
    first_row = 100
    starts = np.cumsum([0, *np.bincount(group, minlength=3)[:2]]).astype(np.uint64)
    packed = np.full(len(rows), MOST, np.uint64)
    at = starts.copy()
    place_rows(
        np.array([word ^ flip for word in words], np.uint64),
        np.uint64(flip),
        group,
        2,
        first_row,
        int(by_place),
        np.array(lowest, np.uint64),
        np.array(shift, np.uint64),
        row_bits,
        at,
        packed,
    )
    in_groups = [(g, i) for g in range(3) for i in np.flatnonzero(group == g).tolist()]
    want = [
        (0 if g == 2 else code(words[i], lowest[g], shift[g])) << row_bits
        | (place if by_place else first_row + i)
        for place, (g, i) in enumerate(in_groups)
    ]
    assert packed.tolist() == want
    assert (at == starts + np.bincount(group, minlength=3).astype(np.uint64)).all()


@given(words=any_words, flip=st.integers(0, MOST), first_row=st.integers(0, 100))
def test_one_group_is_packed_where_it_stands(words, flip, first_row):
    lowest = min(words, default=0)
    shift = 9
    packed = np.empty(len(words), np.uint64)
    given_words = np.array([word ^ flip for word in words], np.uint64)
    pack_all(given_words, np.uint64(flip), first_row, lowest, shift, 8, packed)
    assert packed.tolist() == [
        code(word, lowest, shift) << 8 | first_row + i for i, word in enumerate(words)
    ]


@pytest.mark.parametrize("shift", [0, 1, 7, 40])
def test_code_0_is_the_lowest_word_alone_and_codes_never_decrease(shift):
    lowest = 12345
    above = np.unique(np.concatenate([np.arange(300), 2 ** np.arange(50)])).astype(np.uint64)
    packed = np.empty(len(above), np.uint64)
    pack_all(above + np.uint64(lowest), np.uint64(0), 0, lowest, shift, 9, packed)
    codes = packed >> np.uint64(9)
    assert np.flatnonzero(codes == 0).tolist() == [0]
    assert (codes[1:] >= codes[:-1]).all()
