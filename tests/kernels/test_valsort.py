from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import scan_records


@given(
    keys=st.lists(st.binary(min_size=1, max_size=2), min_size=0, max_size=40),
    at=st.sampled_from([0, 6, 7, 8]),
    seed=st.integers(0, 2**32),
)
def test_it_is_what_zlib_and_python_say(keys, at, seed):
    # keys that differ in the first word, in the second, or in both
    rng = np.random.default_rng(seed)
    records = [b"k" * at + key.ljust(10 - at, b"\x80") + rng.bytes(90) for key in keys]
    found = scan_records(np.frombuffer(b"".join(records), np.uint8))
    pairs = [(a[:10], b[:10]) for a, b in pairwise(records)]
    down = [i for i, (a, b) in enumerate(pairs, 1) if b < a]
    assert found.checksum == sum(map(zlib.crc32, records))
    assert found.duplicates == sum(a == b for a, b in pairs)
    assert found.unordered == len(down)
    assert found.first_unordered == (down[0] if down else 0)
