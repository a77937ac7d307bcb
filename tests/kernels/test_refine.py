import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort_kernels import prefix_words, refine, refine_bytes, run_rows, sort
from patterns import PATTERNS
from word_sources import sort_words

OFFSETS = [np.int32, np.int64]


def groups_of(keys: list) -> list[tuple[int, int]]:
    """Return where runs of two or more equal keys start and end."""
    starts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    ends = [*starts[1:], len(keys)][: len(starts)]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if end - start > 1]


def assert_refines(first: np.ndarray, second: np.ndarray) -> None:
    order, starts, ends = sort_words(first)
    next_words = second[run_rows(order, starts, ends)]
    before = next_words.copy()
    starts, ends = refine(order, starts, ends, next_words)
    assert (next_words == before).all()
    assert (order == np.lexsort((second, first))).all()
    keys = list(zip(first[order].tolist(), second[order].tolist(), strict=True))
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == groups_of(keys)


@pytest.mark.parametrize("make", PATTERNS)
@pytest.mark.parametrize("rows_in_a_run", [2, 10, 300, 20_000])
def test_sorts_runs_by_the_next_word(make, rows_in_a_run):
    rng = np.random.default_rng(rows_in_a_run)
    first = rng.integers(0, max(20_000 // rows_in_a_run, 1), 20_000, dtype=np.uint64)
    assert_refines(first, make(rng, 20_000))


@pytest.mark.parametrize("make", PATTERNS)
def test_sorts_short_medium_and_long_runs_together(make, monkeypatch):
    monkeypatch.setattr(sort, "LONG_BITS", 8)
    monkeypatch.setattr(sort, "BATCH", 256)
    rng = np.random.default_rng(1)
    first = rng.zipf(1.3, 20_000).astype(np.uint64)
    assert_refines(first, make(rng, 20_000))


words = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3), st.just(2**64 - 1)),
    ),
    max_size=120,
)


@given(rows=words)
@settings(deadline=None)
def test_sorts_any_runs(rows):
    first, second = (np.array([row[i] for row in rows], np.uint64) for i in range(2))
    assert_refines(first, second)


def test_nothing_tied_is_nothing_to_do():
    order, none = np.arange(3, dtype=np.uint32), np.empty(0, np.int64)
    starts, ends = refine(order, none, none, np.empty(0, np.uint64))
    assert len(starts) == len(ends) == 0
    assert run_rows(order, none, none).tolist() == []
    starts, ends = refine_bytes(order, none, none, np.zeros(4, np.int32), np.empty(0, np.uint8))
    assert len(starts) == len(ends) == 0
    assert order.tolist() == [0, 1, 2]


def laid_out(values: list[bytes], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([4, *map(len, values)]).astype(dtype)
    return offsets, np.frombuffer(b"head" + b"".join(values), np.uint8)


def assert_refines_bytes(
    values: list[bytes], dtype: type = np.int32, *, depth: int = 0, descending: bool = False
) -> None:
    n = len(values)
    offsets, data = laid_out(values, dtype)
    order = np.arange(n, dtype=np.uint32)
    # Every row ties so far: a single run, if there are two rows.
    starts, ends = np.array([0][: n > 1], np.int64), np.array([n][: n > 1], np.int64)
    starts, ends = refine_bytes(
        order, starts, ends, offsets, data, depth=depth, descending=descending
    )
    # sorted() keeps the order of equal values in both directions, as is promised here.
    expected = sorted(range(n), key=values.__getitem__, reverse=descending)
    assert order.tolist() == expected
    runs = list(zip(starts.tolist(), ends.tolist(), strict=True))
    assert runs == groups_of([values[row] for row in expected])


alphabets = st.sampled_from([b"\0", b"\0a", b"ab", bytes(range(256))])
any_values = alphabets.flatmap(
    lambda letters: st.lists(
        st.lists(st.sampled_from(list(letters)), max_size=30).map(bytes), max_size=60
    )
)


@pytest.mark.parametrize("dtype", OFFSETS)
@given(values=any_values, start=st.binary(max_size=20), descending=st.booleans())
@settings(deadline=None)
def test_sorts_runs_by_bytes(dtype, values, start, descending):
    values = [start + value for value in values]
    assert_refines_bytes(values, dtype, descending=descending)
    assert_refines_bytes(values, dtype, depth=len(start), descending=descending)


@given(values=any_values)
@settings(deadline=None)
def test_goes_on_where_prefix_words_tie(values):
    # A value that ends within the word ties with one that goes on with zero bytes.
    offsets, data = laid_out(values, np.int64)
    order, starts, ends = sort_words(prefix_words(offsets, data, 0))
    refine_bytes(order, starts, ends, offsets, data, depth=8)
    assert order.tolist() == sorted(range(len(values)), key=values.__getitem__)


def test_a_value_sorts_before_its_continuations():
    chain = [b"\0" * i for i in range(40)] + [b"a" * i for i in range(40)]
    assert_refines_bytes(chain[::-1] * 2)
    assert_refines_bytes(chain * 2, descending=True)


def test_values_that_leave_the_others_one_by_one():
    long = b"x" * 20_000
    values = [long[: 100 * i] + b"y" + long[100 * i :] for i in range(100)]
    assert_refines_bytes(values)
    assert_refines_bytes(values[::-1])


def test_long_equal_values():
    assert_refines_bytes([b"z" * 1_000_000] * 20 + [b"z" * 999_999] * 3)
    assert_refines_bytes([b"z" * 1_000_000] * 3, descending=True)


def test_a_large_input_of_a_few_words():
    rng = np.random.default_rng(6)
    words = [b"furiously", b"final", b"deposits", b"even", b"the", b"th", b"slyly bold"]
    values = [b" ".join(words[i] for i in row) for row in rng.integers(0, 7, (20_000, 4))]
    assert_refines_bytes(values)
    assert_refines_bytes(values, np.int64, descending=True)
