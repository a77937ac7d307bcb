import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort_kernels import add_code

MOST = 2**64 - 1


def expected_code(word, null, outside, lo, hi, *, descending, nulls_first, has_nulls):
    span = hi - lo
    if outside < 0 or (outside == 0 and word < lo):
        code = 0
    elif outside > 0 or word > hi:
        code = span + 2
    else:
        code = word - lo + 1
    if descending:
        code = span + 2 - code
    if has_nulls:
        if null:
            return 0 if nulls_first else span + 3
        code += nulls_first
    return code


@st.composite
def columns(draw):
    lo = draw(st.one_of(st.integers(0, 20), st.integers(0, MOST)))
    span = draw(st.one_of(st.integers(0, 10), st.just(2**63), st.integers(0, 2**63)))
    hi = min(lo + span, MOST)
    near = [w for w in (0, lo - 1, lo, lo + 1, hi - 1, hi, hi + 1, MOST) if 0 <= w <= MOST]
    words = draw(st.lists(st.one_of(st.sampled_from(near), st.integers(0, MOST)), max_size=20))
    n = len(words)
    nulls = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    outside = draw(st.none() | st.lists(st.integers(-1, 1), min_size=n, max_size=n))
    return lo, hi, words, nulls, outside


@given(
    column=columns(),
    descending=st.booleans(),
    nulls_first=st.booleans(),
    has_nulls=st.booleans(),
    wide=st.booleans(),
    drop=st.integers(0, 63),
    before=st.integers(0, MOST),
)
@settings(deadline=None, max_examples=300)
def test_codes_are_those_of_the_rule(
    column, descending, nulls_first, has_nulls, wide, drop, before
):
    lo, hi, words, nulls, outside = column
    bits = 64 if wide else max(0, (hi - lo + 3).bit_length() - drop)
    lead = np.full(len(words), before, np.uint64)
    add_code(
        lead,
        np.array(words, np.uint64),
        None if nulls is None else np.array(nulls, bool),
        None if outside is None else np.array(outside, np.int8),
        lo=lo,
        hi=hi,
        bits=bits,
        drop=drop,
        descending=descending,
        nulls_first=nulls_first,
        has_nulls=has_nulls,
    )
    codes = [
        expected_code(
            word,
            nulls is not None and nulls[i],
            0 if outside is None else outside[i],
            lo,
            hi,
            descending=descending,
            nulls_first=nulls_first,
            has_nulls=has_nulls,
        )
        for i, word in enumerate(words)
    ]
    kept = 0 if bits == 64 else before << bits
    assert lead.tolist() == [(kept | code >> drop) & MOST for code in codes]


@pytest.mark.parametrize("descending", [False, True])
def test_columns_packed_one_after_another_sort_as_their_rows(descending):
    rng = np.random.default_rng(0)
    dates, times = (rng.integers(0, 9, 200, dtype=np.uint64) for _ in range(2))
    lead = np.zeros(200, np.uint64)
    for column in (dates, times):
        add_code(
            lead,
            column,
            None,
            None,
            lo=0,
            hi=8,
            bits=4,
            drop=0,
            descending=descending,
            nulls_first=False,
            has_nulls=False,
        )
    turn = (lambda a: 8 - a) if descending else (lambda a: a)
    expected = np.lexsort((turn(times), turn(dates)))
    assert (np.argsort(lead, kind="stable") == expected).all()
