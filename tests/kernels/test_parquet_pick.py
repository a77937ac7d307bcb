"""Single values of pages: what any bytes give is within them, or none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import copy_values, delta_values, find_pages, pick_values, text_ends

NO_TEXTS = np.empty((0, 2), np.int64)
PLAIN, DICTIONARY = 0, 8
ANY_BYTES = st.binary(max_size=200).map(lambda data: np.frombuffer(data, np.uint8))


def as_bytes(*parts):
    return np.frombuffer(b"".join(map(bytes, parts)), np.uint8)


def picked(page, levels, start, n_values, encoding, width, n_entries, texts, rows):
    ends = np.full((len(rows), 2), -7, np.int64)
    how = n_values, encoding, width, n_entries, texts, np.array(rows, np.int64), ends
    n_valid = pick_values(page, levels, (start, len(page)), *how)
    return n_valid, ends.tolist()


def test_rows_without_a_value_are_told():
    # a run of two values, then eight rows by their bits: 0 1 0 0 0 0 0 1
    levels = [2 << 1, 1, 1 << 1 | 1, 0b10000010]
    page = as_bytes(levels, range(40))
    n_valid, ends = picked(page, (0, 4), 4, 10, PLAIN, 4, 0, NO_TEXTS, [0, 1, 2, 3, 9])
    assert n_valid == 4
    assert ends == [[4, 8], [8, 12], [-1, -1], [12, 16], [16, 20]]


def test_indices_are_looked_up_in_runs_of_both_kinds():
    # width 3: three times entry 5, then 8 entries: 0 to 7
    packed = int("111110101100011010001000", 2).to_bytes(3, "little")
    page = as_bytes([3, 3 << 1, 5, 1 << 1 | 1], packed)
    n_valid, ends = picked(page, (0, 0), 0, 11, DICTIONARY, 4, 8, NO_TEXTS, [0, 2, 3, 7, 10])
    assert n_valid == 5
    assert [start // 4 for start, _ in ends] == [5, 5, 0, 4, 7]
    texts = np.array([[i, i + 1] for i in range(8)], np.int64)
    assert picked(page, (0, 0), 0, 11, DICTIONARY, 0, 8, texts, [7])[1] == [[4, 5]]
    assert picked(page, (0, 0), 0, 11, DICTIONARY, 4, 7, NO_TEXTS, [10])[0] == -1


def test_texts_are_walked():
    page = as_bytes([2, 0, 0, 0], b"hi", [0, 0, 0, 0], [3, 0, 0, 0], b"you")
    assert picked(page, (0, 0), 0, 3, PLAIN, 0, 0, NO_TEXTS, [0, 2])[1] == [[4, 6], [14, 17]]
    assert picked(page, (0, 0), 0, 4, PLAIN, 0, 0, NO_TEXTS, [3])[0] == -1
    ends = text_ends(page, 3)
    assert ends.tolist() == [[4, 6], [10, 10], [14, 17]]
    assert text_ends(page, 4) is None
    assert bytes(copy_values(page, ends, has_lengths=False)) == b"hiyou"
    assert bytes(copy_values(page, ends, has_lengths=True)) == page.tobytes()
    with pytest.raises(ValueError, match="outside"):
        copy_values(page, ends + 1, has_lengths=True)


@given(ANY_BYTES, st.integers(0, 300))
def test_any_bytes_are_pages_or_none(data, n_values):
    pages = find_pages(data, n_values)
    if pages is not None:
        assert (pages[:, 0] >= 0).all()
        assert (pages[:, 0] + pages[:, 2] <= len(data)).all()
        assert pages[pages[:, 1] != 2, 4].sum() == n_values


@given(
    ANY_BYTES,
    st.tuples(st.integers(-2, 210), st.integers(-2, 210)),
    st.integers(-2, 210),
    st.integers(0, 300),
    st.sampled_from([PLAIN, 2, DICTIONARY, 5, 9]),
    st.sampled_from([0, 1, 4, 16]),
    st.integers(0, 20),
    st.sets(st.integers(0, 320), max_size=9),
)
def test_values_of_any_bytes_lie_within_them(
    data, levels, start, n_values, encoding, width, n_entries, rows
):
    texts = np.tile(np.array([[0, 1]], np.int64), (n_entries if not width else 0, 1))
    how = n_values, encoding, width, n_entries, texts, sorted(rows)
    n_valid, ends = picked(data, levels, start, *how)
    if n_valid < 0:
        return
    stop = max(1, n_entries * width) if encoding in (2, DICTIONARY) else len(data)
    for begin, end in ends:
        assert (begin, end) == (-1, -1) or 0 <= begin <= end <= stop
    assert sum(begin >= 0 for begin, _ in ends) == n_valid


@given(ANY_BYTES, st.integers(-1, 210), st.integers(-1, 210), st.integers(0, 300))
def test_any_bytes_are_deltas_or_none(data, start, stop, n_values):
    values, end = delta_values(data, start, stop, n_values)
    assert len(values) <= n_values
    assert end == -1 or start <= end <= stop
