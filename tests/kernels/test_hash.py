import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlsort_kernels import (
    fold,
    hash_bytes,
    hash_limbs,
    hash_lists,
    hash_lookup,
    hash_raw,
    hash_words,
)
from dlsort_kernels import hash_fixed_width as fixed

MASK = 2**64 - 1


def hashed(function, n: int, *args, nulls=None, seed: int = 1) -> np.ndarray:
    """What a hash function adds to zeros."""
    acc = np.zeros(n, np.uint64)
    function(acc, *args, nulls, seed)
    return acc


def raw(values, dtype, **options) -> np.ndarray:
    array = np.array(values, dtype)
    return hashed(hash_raw, len(array), array, **options)


def texts(values: list[bytes], dtype=np.int32, **options) -> np.ndarray:
    offsets = np.cumsum([0, *map(len, values)]).astype(dtype)
    data = np.frombuffer(b"".join(values), np.uint8)
    return hashed(hash_bytes, len(values), offsets, data, **options)


# ---------------------------------------------------------------- fixed width


def test_words_hash_as_murmur3_does() -> None:
    def oracle(h: int) -> int:
        h ^= h >> 33
        h = h * 0xFF51AFD7ED558CCD & MASK
        h ^= h >> 33
        h = h * 0xC4CEB9FE1A85EC53 & MASK
        return h ^ h >> 33

    add, _ = fixed.constants(7)
    words = np.array([0, 1, 2**63, MASK], np.uint64)
    expected = [oracle((int(word) + int(add)) & MASK) for word in words]
    assert hashed(hash_words, 4, words, seed=7).tolist() == expected


@pytest.mark.parametrize("dtype", ["i1", "u8", "f4", "M8[us]"])
@pytest.mark.parametrize("with_nulls", [False, True])
def test_columns_hash_together_as_each_does_with_its_seed(dtype, with_nulls) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 100, (3, 7)).astype(dtype)
    nulls = rng.random((3, 7)) < 0.5 if with_nulls else None
    seeds = [5, MASK, 0]
    together = hashed(hash_raw, 7, values, nulls=nulls, seed=np.array(seeds, np.uint64))
    alone = [
        hashed(hash_raw, 7, values[c], nulls=None if nulls is None else nulls[c], seed=seed)
        for c, seed in enumerate(seeds)
    ]
    np.testing.assert_array_equal(together, np.sum(alone, axis=0, dtype=np.uint64))


@pytest.mark.parametrize(
    ("shape", "nulls", "seed"),
    [
        ((8,), None, 1),
        ((2, 4), 4, np.array([1, 2], np.uint64)),
        ((3, 4), None, np.arange(2, dtype=np.uint64)),
    ],
)
def test_values_that_are_not_a_row_for_each_hash_are_refused(shape, nulls, seed) -> None:
    values = np.zeros(shape, np.int64)
    flags = None if nulls is None else np.zeros(nulls, np.bool_)
    with pytest.raises(ValueError, match="of 4 rows"):
        hash_raw(np.zeros(4, np.uint64), values, flags, seed)


def test_hashes_add_to_what_is_there() -> None:
    words = np.array([3, 4], np.uint64)
    once, twice = hashed(hash_words, 2, words), np.array([10, MASK], np.uint64)
    hash_words(twice, words, None, 1)
    np.testing.assert_array_equal(twice, once + np.array([10, MASK], np.uint64))


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "u8", "m8[s]", "M8[D]"]
)
def test_a_whole_number_hashes_alike_in_every_width(dtype: str) -> None:
    np.testing.assert_array_equal(raw([0, 1, 1], dtype), raw([0, 1, 1], np.int64))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_negative_numbers_are_sign_extended(dtype: str) -> None:
    np.testing.assert_array_equal(raw([-1, -128, 127], dtype), raw([-1, -128, 127], np.int64))


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_a_float_hashes_alike_in_every_width(dtype: str) -> None:
    values = [0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan]
    np.testing.assert_array_equal(raw(values, dtype), raw(values, np.float64))


def test_all_nans_hash_alike_and_zeros_do_not() -> None:
    bits = np.array([0x7FF8 << 48, 0xFFF8 << 48, 0x7FF8 << 48 | 5, 0x7FF0 << 48 | 1], np.uint64)
    assert len(set(raw(bits.view(np.float64), np.float64))) == 1
    assert len(set(raw([0.0, -0.0], np.float64))) == 2
    signalling = np.array([0x7F80 << 16 | 1, 0x7FC0 << 16], np.uint32).view(np.float32)
    assert set(hashed(hash_raw, 2, signalling)) == set(raw([np.nan], np.float64))


def test_limbs_hash_as_columns_of_words_with_seeds_of_their_own() -> None:
    rng = np.random.default_rng(1)
    nulls = np.array([False, True, False])
    for flags in (None, nulls):
        for k in (0, 1, 2, 4):
            limbs = rng.integers(0, MASK, (3, k), np.uint64, endpoint=True)
            expected = np.zeros(3, np.uint64)
            for limb in range(k):
                hash_words(expected, np.ascontiguousarray(limbs[:, limb]), flags, 7 + limb)
            np.testing.assert_array_equal(
                hashed(hash_limbs, 3, limbs, nulls=flags, seed=7), expected
            )


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?"]
)
def test_every_width_hashes_as_64_bits(dtype: str) -> None:
    kind = np.dtype(dtype)
    bits = np.random.default_rng(2).integers(0, 256, 40 * kind.itemsize, np.uint8)
    values = (bits % 2 if kind.kind == "b" else bits).view(kind)
    wide = np.float64 if kind.kind == "f" else np.int64
    with np.errstate(all="ignore"):
        words = values.astype(wide)
    if kind.kind == "f":
        words[np.isnan(words)] = np.nan
    nulls = np.arange(40) % 3 == 0
    for flags in (None, nulls):
        expected = hashed(hash_words, 40, words.view(np.uint64), nulls=flags)
        np.testing.assert_array_equal(hashed(hash_raw, 40, values, nulls=flags), expected)


def test_nulls_and_lookups_of_narrow_values() -> None:
    n = 70_005
    values = np.arange(n, dtype=np.int32)
    nulls = values % 7 == 0
    wide = hashed(hash_words, n, values.astype(np.uint64), nulls=nulls)
    np.testing.assert_array_equal(hashed(hash_raw, n, values, nulls=nulls), wide)
    table = hashed(hash_words, n, np.arange(n, dtype=np.uint64))
    np.testing.assert_array_equal(hashed(hash_lookup, n, table, values, nulls=nulls), wide)


def test_takes_read_only_and_strided_columns() -> None:
    values = np.arange(10, dtype=np.int64)
    values.flags.writeable = False
    np.testing.assert_array_equal(hashed(hash_raw, 5, values[::2]), raw([0, 2, 4, 6, 8], "i8"))
    narrow = values.astype(np.int16)[::2]
    np.testing.assert_array_equal(hashed(hash_raw, 5, narrow), raw([0, 2, 4, 6, 8], "i8"))


@pytest.mark.parametrize("dtype", ["c16", "S4", "O", "V8"])
def test_refuses_what_it_cannot_hash(dtype: str) -> None:
    with pytest.raises(TypeError, match="cannot hash"):
        hash_raw(np.zeros(1, np.uint64), np.zeros(1, dtype), None, 1)


# ---------------------------------------------------------------- nulls and seeds


def test_a_null_is_neither_zero_nor_empty_and_hides_its_value() -> None:
    null = np.array([True])
    zero = np.zeros(1, np.int64)
    offsets = np.array([0, 0])
    none = np.empty(0, np.uint8)
    children = np.empty(0, np.uint64)
    null_hash = raw([0], np.int64, nulls=null)
    assert null_hash != 0
    assert null_hash != raw([0], np.int64)
    assert raw([9], np.int8, nulls=null) == null_hash
    assert raw([1.5], np.float32, nulls=null) == null_hash
    assert texts([b""]) != null_hash
    assert texts([b""], nulls=null) == texts([b"abc"], nulls=null) == null_hash
    assert hashed(hash_bytes, 1, offsets, none, nulls=null) == null_hash
    assert hashed(hash_lists, 1, offsets, children) != null_hash
    assert hashed(hash_lists, 1, offsets, children, nulls=null) == null_hash
    # An index under a null may be anything: it is not looked up.
    assert hashed(hash_lookup, 1, children, zero + 2**40, nulls=null) == null_hash


@given(st.integers(-5, 2**64), st.integers(-5, 2**64))
@settings(deadline=None)
def test_seeds_tell_columns_apart(one: int, other: int) -> None:
    alike = (one - other) % 2**64 == 0
    assert (raw([7], np.int64, seed=one) == raw([7], np.int64, seed=other)).all() == alike
    assert (texts([b"a"], seed=one) == texts([b"a"], seed=other)).all() == alike
    null = np.array([True])
    ones = raw([7], np.int64, seed=one, nulls=null)
    assert (ones == raw([7], np.int64, seed=other, nulls=null)).all() == alike


def test_the_constant_added_to_words_is_odd() -> None:
    assert all(int(fixed.constants(seed)[0]) % 2 for seed in range(100))


# ---------------------------------------------------------------- variable length


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=10))
@example([b"", b"\0", b"\0\0", b"\0" * 8, b"\0" * 9, b"\0" * 16])
@example([b"a" * 8, b"a" * 7 + b"\0", b"a" * 7, b"b" + b"a" * 7])
def test_values_hash_alike_exactly_if_they_are_alike(values: list[bytes]) -> None:
    hashes = texts(values).tolist()
    for (one, first), (other, second) in itertools.combinations(
        zip(values, hashes, strict=True), 2
    ):
        assert (one == other) == (first == second)


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=40), max_size=10),
    st.binary(max_size=20),
    st.binary(max_size=20),
)
def test_a_value_hashes_alike_wherever_it_stands(
    values: list[bytes], before: bytes, after: bytes
) -> None:
    expected = texts(values)
    np.testing.assert_array_equal(texts(values, np.int64), expected)
    np.testing.assert_array_equal(texts([before, *values, after])[1:-1], expected)
    offsets = np.cumsum([len(before), *map(len, values)]).astype(np.int32)
    data = np.frombuffer(before + b"".join(values) + after, np.uint8)
    np.testing.assert_array_equal(hashed(hash_bytes, len(values), offsets, data), expected)


def test_short_values_do_not_collide() -> None:
    alphabet = bytes([0, 1, 2, 97, 98, 128, 255])
    values = [bytes(v) for n in range(4) for v in itertools.product(alphabet, repeat=n)]
    assert len(set(texts(values).tolist())) == len(values)


def test_one_bit_changes_about_half_of_the_hash() -> None:
    rng = np.random.default_rng(0)
    base = bytearray(rng.bytes(27))
    values = [bytes(base)]
    for bit in range(27 * 8):
        flipped = bytearray(base)
        flipped[bit // 8] ^= 1 << bit % 8
        values.append(bytes(flipped))
    hashes = texts(values)
    changed = np.bitwise_count(hashes[1:] ^ hashes[0])
    assert ((changed > 10) & (changed < 54)).all()
    assert 30 < changed.mean() < 34


# ---------------------------------------------------------------- dictionaries and lists


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_a_dictionary_hashes_as_its_values_do(dtype: str) -> None:
    values = [b"low", b"", b"a much higher value", b"mid"]
    indices = np.array([3, 0, 0, 2, 1, 3], dtype)
    nulls = np.array([False, True, False, False, False, True])
    for flags in (None, nulls):
        found = hashed(hash_lookup, 6, texts(values), indices, nulls=flags)
        np.testing.assert_array_equal(found, texts([values[i] for i in indices], nulls=flags))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_lists_differ_by_length_order_and_items(dtype: type) -> None:
    lists = [[], [1], [1, 2], [2, 1], [1, 2, 0], [0], [0, 0], [1, 2]]
    offsets = np.cumsum([0, *map(len, lists)]).astype(dtype)
    child = np.array([item for each in lists for item in each], np.uint64)
    hashes = hashed(hash_lists, len(lists), offsets, child)
    assert hashes[2] == hashes[-1]
    assert len(set(hashes[:-1].tolist())) == len(lists) - 1
    np.testing.assert_array_equal(hashed(hash_lists, 3, offsets[2:6], child), hashes[2:5])
    wide = hashed(hash_lists, len(lists), offsets.astype(np.int64), child)
    np.testing.assert_array_equal(hashes, wide)


# ---------------------------------------------------------------- checksum


def checksum(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    acc = np.zeros(len(first), np.uint64)
    hash_raw(acc, first, None, 1)
    hash_raw(acc, second, None, 2)
    return fold(acc)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_the_checksum_knows_rows_and_not_their_order(table, random, data) -> None:
    before = checksum(*np.array(table).T)
    shuffled = random.sample(table, len(table))
    assert checksum(*np.array(shuffled).T) == before
    at = data.draw(st.integers(0, len(table)))
    pieces = [np.array(piece).reshape(-1, 2).T for piece in (shuffled[:at], shuffled[at:])]
    sums = [checksum(*piece) for piece in pieces]
    assert tuple(sum(lane) % 2**64 for lane in zip(*sums, strict=True)) == before
    changed = list(table)
    row = data.draw(st.integers(0, len(table) - 1))
    changed[row] = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
    both = zip(checksum(*np.array(changed).T), before, strict=True)
    assert all((a == b) == (sorted(changed) == sorted(table)) for a, b in both)


def test_a_value_that_moved_to_another_row_shows() -> None:
    first, second = np.array([1, 2, 3]), np.array([10, 20, 30])
    for a, b in zip(
        checksum(first, second), checksum(first, np.array([20, 10, 30])), strict=True
    ):
        assert a != b


def test_a_value_that_moved_to_another_column_shows() -> None:
    first, second = np.array([1, 2, 3]), np.array([10, 20, 30])
    assert checksum(first, second) != checksum(second, first)


def test_every_row_counts_even_one_of_zeros() -> None:
    assert fold(np.empty(0, np.uint64)) == (0, 0)
    sums = [fold(np.zeros(n, np.uint64)) for n in range(5)]
    assert len({lane for pair in sums for lane in pair}) == 9  # and two zeros


def test_empty_columns_hash_to_nothing() -> None:
    acc = np.empty(0, np.uint64)
    none = np.empty(0, np.bool_)
    hash_words(acc, acc, none, 1)
    hash_raw(acc, np.empty(0, np.float32), none, 1)
    hash_bytes(acc, np.zeros(1, np.int32), np.empty(0, np.uint8), none, 1)
    hash_lookup(acc, acc, np.empty(0, np.int8), none, 1)
    hash_lists(acc, np.zeros(1, np.int64), acc, None, 1)
    assert fold(acc) == (0, 0)
