import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import encode, encode_bytes, estimate_distinct, pool


def laid_out(values: list[bytes], kind: type = np.int32) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, values)]).astype(kind)
    return offsets, np.frombuffer(b"".join(values), np.uint8)


short = st.binary(max_size=3)
long = st.builds(lambda a, b: b"sixteen bytes and" + a + b, short, st.binary(max_size=20))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
@given(values=st.lists(st.one_of(short, long), max_size=60))
def test_equal_values_have_one_code_in_each_part(kind, threads, values):
    with pool(threads) as workers:
        found = encode_bytes(*laid_out(values, kind), None, 100, workers=workers)
    for (start, stop), rows in zip(found.parts, found.first_rows, strict=True):
        codes = found.codes[start:stop]
        assert [values[rows[code]] for code in codes] == values[start:stop]
        assert len({values[row] for row in rows}) == len(rows)


def test_nulls_are_passed_over_and_a_table_grows(monkeypatch):
    monkeypatch.setattr(encode, "SMALLEST_TABLE", 4)
    values = [b"%d" % (i % 300) for i in range(3_000)]
    null = np.arange(3_000) % 3 == 1
    found = encode_bytes(*laid_out(values), null, 1_000)
    for row in np.flatnonzero(~null):
        assert values[found.first_rows[0][found.codes[row]]] == values[row]
    assert len(found.first_rows[0]) == len({values[row] for row in np.flatnonzero(~null)})


def test_more_kinds_than_asked_for_are_given_up(monkeypatch):
    monkeypatch.setattr(encode, "SMALLEST_TABLE", 4)
    values = [b"%d" % i for i in range(1_000)]
    assert encode_bytes(*laid_out(values), None, 50) is None


def test_values_that_collide_are_given_up(monkeypatch):
    # every value looks at more slots than it may
    monkeypatch.setattr(encode, "SMALLEST_TABLE", 1 << 10)
    if not hasattr(encode._encode, "py_func"):
        pytest.skip("without the JIT constants are read when called")
    values = [b"%d" % i for i in range(100)]
    slots = np.full((1 << 10, encode.SLOT), 1, np.uint64)
    hashes = np.empty(encode.BLOCK, np.uint64)
    rows, codes = np.empty(0, np.uint32), np.empty(100, np.uint32)
    no_null, first_rows = np.empty(0, np.bool), np.empty(512, np.uint32)
    how = no_null, rows, slots, first_rows, codes, hashes, 0, 0
    assert encode._encode(*laid_out(values), *how) == (-1, 0)


@pytest.mark.parametrize(("distinct", "low", "high"), [(1, 1, 1.1), (500, 450, 550)])
def test_the_number_of_kinds_is_estimated(distinct, low, high):
    values = [b"%d" % (i % distinct) for i in range(50_000)]
    assert low <= estimate_distinct(*laid_out(values), None) <= high


def test_no_repeat_or_no_value_at_all_is_beyond_any_estimate():
    values = [b"%d" % i for i in range(10_000_000, 10_200_000)]
    offsets, data = laid_out(values)
    rng_finds_no_pair = estimate_distinct(offsets[:3], data, None)
    assert rng_finds_no_pair <= 2.1
    assert estimate_distinct(offsets, data, np.ones(len(values), bool)) == np.inf
    assert estimate_distinct(offsets, data, None) > 50_000
