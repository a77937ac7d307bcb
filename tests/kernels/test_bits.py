from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bit_kernels import as_kernels_see_them
from dlsort_kernels.bits import bit_length, float_of, mul_high
from patterns import MOST


@given(words=st.lists(st.integers(0, MOST), max_size=20))
def test_compiled_and_plain_agree_with_python_and_numpy(words):
    words = np.array([0, 1, MOST, 1 << 63, 0x7FF0 << 48, 0x7FF8 << 48, *words], np.uint64)
    lengths, values = np.empty(len(words), np.uint64), np.empty(len(words))
    as_kernels_see_them(words, lengths, values)
    want = [int(word).bit_length() for word in words]
    assert lengths.tolist() == want
    assert [int(bit_length(word)) for word in words] == want
    # As bits, so that one NaN is told from another.
    assert (values.view(np.uint64) == words).all()
    plain = np.array([float_of(word) for word in words])
    np.testing.assert_array_equal(plain, words.view(np.float64))


@given(a=st.integers(0, MOST), b=st.integers(0, MOST))
def test_upper_halves_of_products(a, b):
    assert int(mul_high(np.uint64(a), np.uint64(b))) == a * b >> 64
