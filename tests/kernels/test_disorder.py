import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlsort_kernels import compare_bytes, compare_words, disorder, first_descent

EDGES = st.sampled_from([0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1])


def oracle(words: np.ndarray) -> tuple[int, list[int]]:
    bad = next((i for i in range(len(words) - 1) if words[i] > words[i + 1]), -1)
    end = len(words) - 1 if bad < 0 else bad
    return bad, [i for i in range(end) if words[i] == words[i + 1]]


# ---------------------------------------------------------------- one sequence


@settings(deadline=None)
@given(st.lists(EDGES, max_size=20), st.booleans())
@example([], False)
@example([3], False)
@example([2**64 - 1, 0], False)
def test_finds_the_first_descent_and_the_ties_before_it(
    values: list[int], ordered: bool
) -> None:
    words = np.array(sorted(values) if ordered else values, np.uint64)
    words.flags.writeable = False
    bad, ties = first_descent(words)
    assert isinstance(bad, int)
    assert ties.dtype == np.int64
    assert (bad, ties.tolist()) == oracle(words)


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("blocks", [1, 2])
def test_sees_over_the_edges_of_blocks(shift: int, blocks: int) -> None:
    edge = blocks * disorder._BLOCK + shift
    words = np.arange(2 * disorder._BLOCK + 10, dtype=np.uint64) * 2
    words[5] = words[4]
    words[edge] = words[edge - 1]
    bad, ties = first_descent(words)
    assert (bad, ties.tolist()) == (-1, [4, edge - 1])
    words[edge] -= 1
    bad, ties = first_descent(words)
    assert (bad, ties.tolist()) == (edge - 1, [4])


def test_one_value_ties_throughout() -> None:
    bad, ties = first_descent(np.zeros(5, np.uint64))
    assert (bad, ties.tolist()) == (-1, [0, 1, 2, 3])


# ---------------------------------------------------------------- pairs


@settings(deadline=None)
@given(st.lists(st.tuples(EDGES, EDGES), max_size=20))
def test_compares_words(pairs: list[tuple[int, int]]) -> None:
    left, right = np.array(pairs, np.uint64).reshape(-1, 2).T.copy()
    signs = compare_words(left, right)
    assert signs.dtype == np.int8
    assert signs.tolist() == [(a > b) - (a < b) for a, b in pairs]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.text("ab\0ÿ", max_size=20).map(str.encode)),
        min_size=1,
        max_size=8,
    ),
    st.binary(max_size=9),
)
@example([b"", b"\0", b"a" * 8, b"a" * 8 + b"\0", b"a" * 7 + b"\x80", b"a" * 16], b"x")
def test_compares_values_byte_by_byte(dtype: type, values: list[bytes], before: bytes) -> None:
    offsets = np.cumsum([len(before), *map(len, values)]).astype(dtype)
    data = np.frombuffer(before + b"".join(values), np.uint8)
    left, right = (each.ravel() for each in np.indices((len(values), len(values))))
    signs = compare_bytes(offsets, data, left, right)
    assert signs.dtype == np.int8
    expected = [(a > b) - (a < b) for a in values for b in values]
    assert signs.tolist() == expected


def test_compares_no_pairs() -> None:
    none = np.empty(0, np.int64)
    assert compare_bytes(np.zeros(1, np.int32), np.empty(0, np.uint8), none, none).size == 0
    assert compare_words(np.empty(0, np.uint64), np.empty(0, np.uint64)).size == 0
