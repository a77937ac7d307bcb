import numpy as np
import pytest

from dlsort_kernels import lowest, lowest_rows
from patterns import PATTERNS
from word_sources import SomeWords, expected


@pytest.mark.parametrize("make", PATTERNS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("nulls_first", [False, True])
def test_the_first_rows_are_among_those_kept(make, nulls_first):
    rng = np.random.default_rng(0)
    n = 20_000
    source = SomeWords(make(rng, n), null=rng.random(n) < 0.1)
    order, _ = expected(source, nulls_first=nulls_first)
    for k in (1, 10, 1_000, 5_000):
        rows = lowest_rows(source, k, nulls_first=nulls_first)
        if rows is not None:
            assert (np.diff(rows.astype(int)) > 0).all()
            assert set(order[:k].tolist()) <= set(rows.tolist())


def test_few_rows_too_many_are_kept_of_even_words():
    words = np.random.default_rng(1).permutation(200_000).astype(np.uint64)
    assert 100 <= len(lowest_rows(SomeWords(words), 100, nulls_first=False)) < 2_000


def test_a_sample_that_misleads_is_told(monkeypatch):
    words = np.arange(1_000, dtype=np.uint64)
    source = SomeWords(words)
    monkeypatch.setattr(source, "take", lambda rows: np.zeros(len(rows), np.uint64))
    assert lowest_rows(source, 50, nulls_first=False) is None
    assert lowest.SAMPLE > 1_000


def test_rows_without_a_word_that_come_last_may_be_needed():
    source = SomeWords(np.zeros(100, np.uint64), null=np.arange(100) > 10)
    assert lowest_rows(source, 50, nulls_first=False) is None
