import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlsort_kernels import (
    common_prefix,
    decimal_words,
    float_words,
    int_words,
    limb_words,
    prefix_words,
)

INTEGERS = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
OFFSETS = [np.int32, np.int64]


def ranks(values: list) -> list[int]:
    """Return each value's place among the distinct ones."""
    place = {value: i for i, value in enumerate(sorted(set(values)))}
    return [place[value] for value in values]


def shared(values: list[bytes]) -> int:
    """Return how many leading bytes all values have in common."""
    columns = zip(*values, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def laid_out(values: list[bytes], dtype: type, before: bytes = b"", after: bytes = b""):
    offsets = np.cumsum([len(before), *map(len, values)]).astype(dtype)
    return offsets, np.frombuffer(before + b"".join(values) + after, np.uint8)


@given(st.sampled_from(INTEGERS).flatmap(lambda t: hnp.arrays(t, st.integers(0, 30))))
@settings(deadline=None)
def test_int_words_sort_as_the_integers(a):
    words = int_words(a)
    assert words.dtype == np.uint64
    assert ranks(words.tolist()) == ranks(a.tolist())


def test_int_words_of_one_type_compare_with_those_of_a_wider_one():
    narrow, wide = np.array([-128, -1, 127], np.int8), np.array([-128, -1, 127], np.int64)
    assert (int_words(narrow) == int_words(wide)).all()


@given(
    st.sampled_from(["f2", "f4", "f8"]).flatmap(
        lambda t: hnp.arrays(t, st.integers(0, 30), elements={"allow_subnormal": True})
    )
)
@settings(deadline=None)
def test_float_words_sort_as_the_floats(a):
    words, nan = float_words(a)
    if nan is None:
        assert not np.isnan(a).any()
        nan = np.zeros(len(a), bool)
    assert (nan == np.isnan(a)).all()
    assert ranks(words[~nan].tolist()) == ranks(a[~nan].tolist())
    assert len(set(words[nan].tolist())) <= 1


def test_float_words_at_the_edges():
    edges = [-np.inf, -1.7e308, -5e-324, -0.0, 0.0, 5e-324, 1.7e308, np.inf]
    words, nan = float_words(np.array(edges))
    assert nan is None
    assert ranks(words.tolist()) == [0, 1, 2, 3, 3, 4, 5, 6]


def test_every_nan_has_one_word():
    bits = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF]
    words, nan = float_words(np.array(bits, np.uint64).view(np.float64))
    assert nan is not None
    assert nan.all()
    assert len(set(words.tolist())) == 1


def test_float_words_of_strided_floats():
    a = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert np.argsort(float_words(a[:, 0])[0]).tolist() == [1, 2, 0]


wide_integers = st.one_of(
    st.integers(-(2**255), 2**255 - 1),
    st.integers(-(2**64), 2**64),
    st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63, -1, 0]),
)


def limbs_of(values: list[int], k: int) -> np.ndarray:
    data = b"".join(value.to_bytes(8 * k, "little", signed=True) for value in values)
    return np.frombuffer(data, np.uint64).reshape(-1, k)


@given(st.lists(wide_integers, max_size=20))
@settings(deadline=None)
def test_limb_words_sort_as_the_integers(values):
    words = np.stack(limb_words(limbs_of(values, 4)))
    assert ranks([tuple(column) for column in words.T.tolist()]) == ranks(values)


@pytest.mark.parametrize("k", [2, 4])
@given(values=st.lists(wide_integers, max_size=20))
@settings(deadline=None)
def test_decimal_words_tell_what_does_not_fit(k, values):
    half = 2 ** (64 * k - 1)
    values = [min(max(value, -half), half - 1) for value in values]
    words, outside = decimal_words(limbs_of(values, k))
    side = [(value >= 2**63) - (value < -(2**63)) for value in values]
    assert (outside is None) == (not any(side))
    assert outside is None or outside.tolist() == side
    clipped = [min(max(value, -(2**63)), 2**63 - 1) for value in values]
    assert words.tolist() == [value + 2**63 for value in clipped]


values_of_bytes = st.lists(st.binary(max_size=30), max_size=12)


@pytest.mark.parametrize("dtype", OFFSETS)
@given(values=values_of_bytes, depth=st.integers(0, 12), tail=st.binary(max_size=9))
@settings(deadline=None)
def test_prefix_words_are_eight_bytes_padded_with_zeros(dtype, values, depth, tail):
    offsets, data = laid_out(values, dtype, b"head", tail)
    expected = [
        int.from_bytes(value[depth : depth + 8].ljust(8, b"\0"), "big") for value in values
    ]
    assert prefix_words(offsets, data, depth).tolist() == expected
    rows = np.arange(len(values), dtype=np.uint32)[::-2].copy()
    assert prefix_words(offsets, data, depth, rows).tolist() == expected[::-2]


def test_prefix_words_of_nothing():
    offsets, data = laid_out([], np.int32)
    assert prefix_words(offsets, data, 0).tolist() == []
    offsets, data = laid_out([b"one"], np.int32)
    assert prefix_words(offsets, data, 0, np.empty(0, np.uint32)).tolist() == []


@pytest.mark.parametrize("dtype", OFFSETS)
@given(
    start=st.sampled_from([b"", b"a", b"12345678", b"\0" * 19]),
    values=values_of_bytes,
    data=st.data(),
)
@settings(deadline=None)
def test_common_prefix_is_that_of_the_valid_values(dtype, start, values, data):
    values = [start + value for value in values]
    valid = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    kept = [value for value, ok in zip(values, valid, strict=True) if ok]
    offsets, bytes_ = laid_out(values, dtype, b"head")
    expected = shared(values)
    assert common_prefix(offsets, bytes_) == expected
    expected = shared(kept)
    assert common_prefix(offsets, bytes_, np.array(valid, bool)) == expected
