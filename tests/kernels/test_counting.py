import numpy as np
import pytest

from dlsort_kernels import pool
from dlsort_kernels.counting import order_by_counting
from word_sources import SomeWords, expected


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [np.uint32, np.int64])
@pytest.mark.parametrize("nulls_first", [False, True])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_rows_are_counted_in_stable_order(share, nulls_first, kind, threads):
    rng = np.random.default_rng(0)
    n = 5_000
    source = SomeWords(
        rng.integers(0, 256, n, dtype=np.uint64),
        null=rng.random(n) < share if share else None,
        block_rows=700,
    )
    source.bits = 8
    with pool(threads) as workers:
        order, starts = order_by_counting(source, kind, workers, nulls_first=nulls_first)
    want, _ = expected(source, nulls_first=nulls_first)
    assert order.dtype == kind
    assert (order == want).all()
    words = source.words[order]
    null = np.zeros(n, bool) if source.null is None else source.null[order]
    for value in range(256):
        at = value + nulls_first
        rows = slice(starts[at], starts[at + 1])
        assert (words[rows] == value).all()
        assert not null[rows].any()
    assert len(starts) == 258
    assert (starts[0], starts[-1]) == (0, n)
