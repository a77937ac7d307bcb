from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sort_records
from dlsort_kernels import jump, make_records
from dlsort_kernels.lcg import A, C

# Around what changes in a record's number: words, and what skewed keys take for many bits.
EDGES = [0, 1, 2**32 - 3, 2**60 - 2, 2**61, 2**63 - 1, 2**64 - 3, 2**100, 2**124 - 1, 2**127]


def made(n: int, first: int, **how: bool) -> bytes:
    out = np.empty(100 * n, np.uint8)
    make_records(out, first, **how)
    return bytes(out)


@pytest.mark.parametrize("skew", [False, True])
@pytest.mark.parametrize("ascii", [False, True])
@given(first=st.sampled_from(EDGES) | st.integers(0, 2**128 - 40), n=st.integers(1, 20))
def test_they_are_what_python_makes(ascii, skew, first, n):
    how = {"ascii": ascii, "skew": skew}
    assert made(n, first, **how) == sort_records.records(n, first, **how)


# MD5 of 1,000 records of gensort 1.5, as it is published, compiled by gcc.
OF_GENSORT = {
    ("", 2**40): "b1bc92f9e641944ac74162f47a54658b",
    ("skew", 10**12): "08afd325f860560bc98d2c22e36ee583",
    ("ascii skew", 0): "89960ab7739e354d3e52c908c0f242e8",
}


@pytest.mark.parametrize(("how", "first"), OF_GENSORT)
def test_they_are_what_gensort_makes(how, first):
    data = made(1000, first, **dict.fromkeys(how.split(), True))
    assert hashlib.md5(data).hexdigest() == OF_GENSORT[how, first]


def test_the_first_lines_are_those_that_everybody_shows():
    assert made(2, 0, ascii=True).decode().splitlines() == [
        "AsfAGHM5om  00000000000000000000000000000000  "
        "0000222200002222000022220000222200002222000000001111",
        "~sHd0jDv6X  00000000000000000000000000000001  "
        "77779999444488885555CCCC777755555555BBBB666644446666",
    ]


def test_random_numbers_are_those_of_terasort():
    # org.apache.hadoop.examples.terasort.Random16, which was taken from gensort's rand16.c
    assert jump(1) == C
    assert jump(2) == (A * C + C) % 2**128
    for step in (3, 2**64 + 5):
        assert jump(step + 1) == (A * jump(step) + C) % 2**128


@given(cut=st.integers(1, 99))
def test_what_follows_goes_on_from_what_is_given_back(cut):
    whole = made(100, 7, skew=True)
    out = np.empty(10_000, np.uint8)
    state = make_records(out[: 100 * cut], 7, skew=True)
    make_records(out[100 * cut :], 7 + cut, state, skew=True)
    assert bytes(out) == whole
