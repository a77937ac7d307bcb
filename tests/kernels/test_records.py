"""Records' keys as words, their hash, and records from their places."""

from __future__ import annotations

import numpy as np
import pytest

from dlsort_kernels import gather_records, read_records

N = 50
RNG = np.random.default_rng(3)
RECORDS = RNG.integers(0, 256, N * 100, np.uint8)


def read(records, first=0, step=0):
    word, tail = np.empty((2, len(records) // 100), np.uint64)
    return read_records(records, word, tail, first, step), word, tail


def test_words_are_the_keys_bytes_and_places():
    _, word, tail = read(RECORDS, 7, 100)
    rows = RECORDS.reshape(-1, 100)
    assert word.tolist() == [int.from_bytes(row[:8].tobytes(), "big") for row in rows]
    rest = [int.from_bytes(row[8:10].tobytes(), "big") for row in rows]
    assert tail.tolist() == [(r << 48) + 7 + 100 * i for i, r in enumerate(rest)]


def test_every_bit_counts_and_the_order_does_not():
    whole = read(RECORDS)[0][:2]
    turned = np.ascontiguousarray(RECORDS.reshape(-1, 100)[::-1]).reshape(-1)
    assert read(turned)[0][:2] == whole
    seen = {whole}
    for bit in range(800):
        other = RECORDS.copy()
        other[1700 + bit // 8] ^= 1 << bit % 8
        seen.add(read(other)[0][:2])
    assert len(seen) == 801


def test_bytes_that_change_places_are_seen():
    rows = RECORDS.reshape(-1, 100)
    whole = read(RECORDS)[0][:2]
    for one, other in ((0, 8), (8, 16), (16, 88), (32, 64), (3, 92), (0, 32)):
        turned = rows.copy()
        turned[5, one : one + 8], turned[5, other : other + 8] = (
            rows[5, other : other + 8],
            rows[5, one : one + 8],
        )
        assert read(turned.reshape(-1))[0][:2] != whole
    slipped = rows.copy()  # a tail beside another's head
    slipped[[3, 4], 50:] = rows[[4, 3], 50:]
    assert read(slipped.reshape(-1))[0][:2] != whole


@pytest.mark.parametrize("place", [0, 7, 8, 9])
def test_the_first_that_is_less_is_told(place):
    rows = np.zeros((9, 100), np.uint8)
    rows[:, place] = [1, 1, 2, 2, 3, 2, 3, 1, 1]
    assert read(rows.reshape(-1))[0].first_unordered == 5
    rows[:, place] = 1
    assert read(rows.reshape(-1))[0].first_unordered == 9
    assert read(rows[:0].reshape(-1))[0] == (0, 0, 0)


def test_records_are_fetched_from_any_place():
    places = RNG.integers(0, N * 100 - 99, 77)
    places[:2] = [0, N * 100 - 100]
    out = np.full(7700, 99, np.uint8)
    tail = places.astype(np.uint64) | np.uint64(0xABCD << 48)
    gather_records(RECORDS, tail, out)
    assert out.tobytes() == b"".join(RECORDS[p : p + 100].tobytes() for p in places)
