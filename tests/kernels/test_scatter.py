import itertools

import numpy as np
import pytest

from dlsort_kernels import (
    SERIAL,
    Scratch,
    gather_slots,
    places_of,
    pool,
    rows_of,
    scatter_bytes,
    scatter_fixed,
    scatter_slots,
    slot_bytes,
    sort_source,
)
from dlsort_kernels import learned_groups as kernel_groups
from dlsort_kernels import threads as kernel_threads
from word_sources import SomeWords


@pytest.fixture(params=[1, 3])
def spread(request, monkeypatch):
    """Return how rows are spread, by one thread or several, and that many threads."""
    monkeypatch.setattr(kernel_groups, "GROUP_ROWS", 40)
    monkeypatch.setattr(kernel_threads, "THREAD_ROWS", 1)
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64 - 1, 1_000, dtype=np.uint64)
    source = SomeWords(words, null=rng.random(1_000) < 0.1)
    return sort_source(source, threads=request.param)[2], request.param


def test_places_and_rows_are_each_others_inverse(spread):
    how, threads = spread
    with pool(threads) as workers:
        places, rows = places_of(how, workers), rows_of(how, workers)
    assert (places[rows] == np.arange(1_000)).all()
    # rows keep their order inside a group
    group = how.group[rows]
    same = group[1:] == group[:-1]
    assert (np.diff(rows.astype(int))[same] > 0).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "u8", "V16"])
def test_values_stand_at_their_places(spread, dtype):
    how, threads = spread
    values = np.arange(1_000 * 16, dtype=np.uint8)[: 1_000 * np.dtype(dtype).itemsize]
    values = values.view(dtype)
    with pool(threads) as workers:
        places = places_of(how, workers)
        out = scatter_fixed(values, how, workers, Scratch())
    assert out[places].tobytes() == values.tobytes()


def test_a_width_without_a_kernel_is_left_to_the_gather(spread):
    how, threads = spread
    with pool(threads) as workers:
        values = np.zeros((1_000, 3), np.uint8)
        assert scatter_fixed(values, how, workers, Scratch()) is None


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("most", [0, 1, 16, 40])
def test_strings_stand_whole_at_their_places(spread, kind, most):
    how, threads = spread
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, most + 1, 1_000)
    offsets = (np.concatenate([[0], np.cumsum(lengths)]) + 5).astype(kind)
    data = rng.integers(0, 256, int(offsets[-1]), dtype=np.uint8)
    scratch = Scratch()
    with pool(threads) as workers:
        places = places_of(how, workers)
        for _ in range(2):  # memory that was used before changes nothing
            out_offsets, out = scatter_bytes(offsets, data, how, workers, scratch)
            assert out_offsets.dtype == kind
            assert (out_offsets[0], len(out)) == (0, lengths.sum())
            for row, place in enumerate(places.tolist()):
                found = out[out_offsets[place] : out_offsets[place + 1]].tobytes()
                assert found == data[offsets[row] : offsets[row + 1]].tobytes()


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize(("most", "width"), [(0, 8), (7, 8), (8, 16), (15, 16), (16, 0)])
def test_short_strings_are_gathered_from_slots(spread, kind, most, width):
    how, threads = spread
    rng = np.random.default_rng(most)
    lengths = rng.integers(0, most + 1, 1_000)
    lengths[-1] = most
    offsets = (np.concatenate([[0], np.cumsum(lengths)]) + 5).astype(kind)
    data = rng.integers(0, 256, int(offsets[-1]), dtype=np.uint8)
    assert slot_bytes(offsets) == width
    if not width:
        return
    order = rng.integers(0, 1_000, 700).astype(np.uint32)
    scratch = Scratch()
    with pool(threads) as workers:
        for _ in range(2):  # memory that was used before changes nothing
            slots = scatter_slots(offsets, data, width, how, workers, scratch)
            out_offsets, out = gather_slots(slots, width, order, kind, workers)
        rows = rows_of(how, workers)[order]
    assert out_offsets.dtype == kind
    found = [out[a:b].tobytes() for a, b in itertools.pairwise(out_offsets.tolist())]
    assert found == [data[offsets[r] : offsets[r + 1]].tobytes() for r in rows.tolist()]
    assert len(out) == out_offsets[-1]


def test_offsets_that_cannot_count_what_is_gathered_are_told():
    slots = np.full(17 * 16, 15, np.uint8)
    order = np.zeros(1, np.uint32)
    with pytest.raises(OverflowError, match="135 bytes are more than int8"):
        gather_slots(slots, 16, np.tile(order, 9), np.int8, SERIAL)


def test_what_a_larger_column_has_left_is_given_once_and_what_is_kept_stays():
    scratch = Scratch()
    assert scratch.spare("values", 8, 8) is None  # nothing is held yet
    whole = scratch.room("values", 1_600)
    spare = scratch.spare("values", 800, 800)
    assert spare is not None
    kept = scratch.room("values", 800)
    kept[:], spare[:] = 1, 2
    assert (whole[:800] == 1).all()
    assert not np.shares_memory(kept, spare)
    assert spare.ctypes.data % 64 == whole.ctypes.data % 64
    assert scratch.spare("values", 800, 800) is None  # no more than is kept is left
