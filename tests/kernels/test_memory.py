import numpy as np
import pytest

from dlsort_kernels import gather_fixed, memory
from word_sources import sort_words


@pytest.fixture
def taken(monkeypatch):
    """Return the sizes asked of an allocator that hands out memory with rubbish in it."""
    sizes = []

    def allocate(n_bytes):
        sizes.append(n_bytes)
        return np.full(n_bytes, 0xAA, np.uint8)

    monkeypatch.setattr(memory, "_allocate", allocate)
    monkeypatch.setattr(memory, "LARGE_BYTES", 64)
    return sizes


def test_small_arrays_are_numpys_own_and_large_ones_the_allocators(taken):
    assert memory.empty(63, np.uint8).shape == (63,)
    assert taken == []
    array = memory.empty(16, np.uint32)
    assert (array.dtype, array.shape, array.flags.writeable) == (np.uint32, (16,), True)
    assert taken == [64]


def test_what_was_in_the_memory_does_not_matter(taken):
    words = np.random.default_rng(0).integers(0, 2**64 - 1, 100_000, dtype=np.uint64)
    order, *_ = sort_words(words)
    assert (order == np.argsort(words, kind="stable")).all()
    assert (gather_fixed(words, order) == np.sort(words)).all()
    assert taken


def test_without_an_allocator_arrays_are_numpys(monkeypatch):
    before = memory._allocate
    try:
        memory.use_allocator(None)
        assert memory.empty(1 << 22, np.uint8).base is None
    finally:
        memory.use_allocator(before)
