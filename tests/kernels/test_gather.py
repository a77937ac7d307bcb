import ctypes
import itertools
import mmap
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlsort_kernels import (
    gather_bits,
    gather_bytes,
    gather_bytes_into,
    gather_fixed,
    gather_lists,
    unpack_bits,
)
from dlsort_kernels import gather_fixed_width as fixed
from dlsort_kernels import gather_variable as variable

OFFSETS = [np.int32, np.int64]
NONE = np.empty(0, np.uint32)


def rows(n_rows: int, most: int = 40) -> st.SearchStrategy[np.ndarray]:
    numbers = st.integers(0, n_rows - 1) if n_rows else st.nothing()
    return st.lists(numbers, max_size=most if n_rows else 0).map(
        lambda picked: np.array(picked, np.uint32)
    )


def columns_of_bytes() -> st.SearchStrategy[tuple[list[bytes], bytes, bytes, np.ndarray]]:
    """Values, the bytes before the first and after the last, and rows to take."""
    values = st.lists(st.binary(max_size=50), max_size=12)
    return values.flatmap(
        lambda v: st.tuples(
            st.just(v), st.binary(max_size=20), st.binary(max_size=20), rows(len(v))
        )
    )


def laid_out(values: list[bytes], before: bytes, after: bytes, dtype: type) -> tuple:
    """Offsets and read-only data, as Arrow hands them over."""
    lengths = [len(before), *map(len, values)]
    offsets = np.cumsum(lengths).astype(dtype)
    return offsets, np.frombuffer(before + b"".join(values) + after, np.uint8)


def cut(offsets: np.ndarray, data: np.ndarray) -> list[bytes]:
    return [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]


@pytest.fixture
def guarded() -> Iterator:
    """Make arrays that end where the process may not read on."""
    if sys.platform == "win32":
        pytest.skip("needs mprotect")
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    made = []

    def place(content: bytes) -> np.ndarray:
        room = mmap.mmap(-1, 2 * page)
        whole = np.frombuffer(room, np.uint8)
        address = ctypes.c_void_p(whole.ctypes.data + page)
        assert libc.mprotect(address, ctypes.c_size_t(page), 0) == 0
        made.append((room, address))
        array = whole[page - len(content) : page]
        array[:] = np.frombuffer(content, np.uint8)
        return array

    yield place
    for _, address in made:
        libc.mprotect(address, ctypes.c_size_t(page), mmap.PROT_READ | mmap.PROT_WRITE)


# ---------------------------------------------------------------- fixed width


@pytest.mark.parametrize(
    "dtype",
    [
        "?",
        "i1",
        "u2",
        "f2",
        "i4",
        "f4",
        "u8",
        "f8",
        "c16",
        "M8[ns]",
        "S3",
        "S7",
        "V16",
        "V32",
        "V45",
    ],
)
@pytest.mark.parametrize("n_taken", [0, 1, 1000])
def test_takes_values_of_any_width(dtype: str, n_taken: int) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 2, 500 * np.dtype(dtype).itemsize, dtype=np.uint8)
    src = raw.view(dtype)
    src.flags.writeable = False
    order = rng.integers(0, 500, n_taken).astype(np.uint32)
    taken = gather_fixed(src, order)
    assert taken.dtype == src.dtype
    assert taken.flags.writeable
    assert taken.tobytes() == src[order].tobytes()


@pytest.mark.parametrize("width", [*range(20), 24, 31, 32, 33, 48, 100])
def test_takes_rows_of_a_byte_matrix(width: int) -> None:
    rng = np.random.default_rng(width)
    src = rng.integers(0, 256, (7, width), dtype=np.uint8)
    order = np.array([6, 6, 0, 3, 5, 6], np.uint32)
    np.testing.assert_array_equal(gather_fixed(src, order), src[order])
    assert gather_fixed(src, NONE).shape == (0, width)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_takes_rows_of_words(k: int) -> None:
    src = np.arange(10 * k, dtype=np.uint64).reshape(10, k)
    order = np.array([9, 0, 4, 4], np.uint32)
    np.testing.assert_array_equal(gather_fixed(src, order), src[order])


def test_takes_nothing_from_nothing() -> None:
    assert gather_fixed(np.empty(0, np.float32), NONE).shape == (0,)
    assert gather_fixed(np.empty((0, 16), np.uint8), NONE).shape == (0, 16)
    assert gather_fixed(np.empty((5, 0), np.uint8), np.array([4], np.uint32)).shape == (1, 0)


def test_takes_from_slices_that_are_strided_or_not_aligned() -> None:
    order = np.array([2, 0], np.uint32)
    strided = np.arange(10)[::3]
    np.testing.assert_array_equal(gather_fixed(strided, order), strided[order])
    shifted = np.arange(33, dtype=np.uint8)[1:].view(np.int64)
    assert not shifted.flags.aligned
    np.testing.assert_array_equal(gather_fixed(shifted, order), shifted[order])
    matrix = np.arange(33, dtype=np.uint8)[1:].reshape(4, 8)
    np.testing.assert_array_equal(gather_fixed(matrix, order), matrix[order])


def test_refuses_python_objects() -> None:
    with pytest.raises(TypeError, match="cannot gather object values"):
        gather_fixed(np.array(["a"], object), np.array([0], np.uint32))


@pytest.mark.parametrize("width", [3, 9, 16, 17, 24, 32])
def test_fixed_width_never_reads_past_the_source(width: int, guarded) -> None:
    content = bytes(range(5 * width))
    src = guarded(content).reshape(5, width)
    taken = gather_fixed(src, np.array([4, 3, 4, 0], np.uint32))
    np.testing.assert_array_equal(taken, src[[4, 3, 4, 0]])


@pytest.mark.parametrize("width", [3, 9, 17, 24, 45])
def test_fixed_width_writes_only_into_its_room(width: int) -> None:
    src = np.zeros(50 * width, np.uint8)
    order = np.zeros(3, np.uint32)
    out = np.full(3 * width + 100, 0xAA, np.uint8)
    fixed._take_wide(out[: 3 * width], src, width, order)
    assert (out[: 3 * width] == 0).all()
    assert (out[3 * width :] == 0xAA).all()


# ---------------------------------------------------------------- bits


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=30), st.data())
@example(b"\x80", None)
def test_takes_and_unpacks_bits(content: bytes, data) -> None:
    bitmap = np.frombuffer(content, np.uint8)
    bits = np.unpackbits(bitmap, bitorder="little").astype(bool)
    offset = data.draw(st.integers(0, len(bits))) if data else 7
    n = data.draw(st.integers(0, len(bits) - offset)) if data else 1
    np.testing.assert_array_equal(unpack_bits(bitmap, offset, n), bits[offset : offset + n])
    order = data.draw(rows(n)) if data else np.zeros(9, np.uint32)
    taken, n_unset = gather_bits(bitmap, offset, order)
    expected = bits[offset : offset + n][order]
    # packbits pads with zeros too.
    np.testing.assert_array_equal(taken, np.packbits(expected, bitorder="little"))
    assert n_unset == int((~expected).sum())
    assert isinstance(n_unset, int)


def test_unpacked_bits_are_booleans() -> None:
    assert unpack_bits(np.array([255], np.uint8), 3, 4).dtype == np.bool_


# ---------------------------------------------------------------- variable length


@pytest.mark.parametrize("dtype", OFFSETS)
@settings(deadline=None)
@given(columns_of_bytes())
@example(([], b"", b"", NONE))
@example(([b""], b"", b"", np.array([0, 0], np.uint32)))
@example(([b"x" * 16, b"y" * 17, b""], b"", b"", np.array([1, 0, 2, 1], np.uint32)))
def test_takes_values(dtype: type, column) -> None:
    values, before, after, order = column
    offsets, data = laid_out(values, before, after, dtype)
    out_offsets, out = gather_bytes(offsets, data, order)
    assert out_offsets.dtype == dtype
    assert out_offsets[0] == 0
    assert out.size == out_offsets[-1]
    assert cut(out_offsets, out) == [values[row] for row in order]


@pytest.mark.parametrize("dtype", OFFSETS)
def test_takes_values_from_a_slice_of_a_column(dtype: type) -> None:
    offsets, data = laid_out([b"one", b"", b"three", b"four"], b"", b"", dtype)
    out_offsets, out = gather_bytes(offsets[1:4], data, np.array([1, 0, 1], np.uint32))
    assert cut(out_offsets, out) == [b"three", b"", b"three"]


def test_takes_many_values_of_mixed_lengths() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.choice([0, 1, 7, 8, 15, 16, 17, 100, 3000], 400)
    values = [rng.bytes(n) for n in lengths]
    order = rng.permutation(400).astype(np.uint32)
    out_offsets, out = gather_bytes(*laid_out(values, b"", b"", np.int32), order)
    assert cut(out_offsets, out) == [values[row] for row in order]


@pytest.mark.parametrize("length", [*range(18), 31, 32, 33, 100])
def test_variable_length_never_reads_past_the_source(length: int, guarded) -> None:
    values = [bytes([k]) * length for k in range(3)]
    offsets, data = laid_out(values, b"before", b"", np.int32)
    order = np.array([2, 1, 2, 0, 2], np.uint32)
    out_offsets, out = gather_bytes(offsets, guarded(data.tobytes()), order)
    assert cut(out_offsets, out) == [values[row] for row in order]


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 40])
def test_variable_length_writes_only_into_its_room(length: int) -> None:
    data = np.zeros(1000, np.uint8)
    out_offsets = np.arange(4) * length
    out = np.full(3 * length + 100, 0xAA, np.uint8)
    variable._copy_values(out[: 3 * length], out_offsets, data, np.zeros(3, np.int64), 16)
    assert (out[: 3 * length] == 0).all()
    assert (out[3 * length :] == 0xAA).all()


def test_says_when_int32_offsets_would_overflow() -> None:
    offsets = np.array([0, 2**29], np.int32)
    order = np.zeros(4, np.uint32)
    # Found from the offsets alone: nothing of that size is allocated.
    data = np.empty(0, np.uint8)
    with pytest.raises(OverflowError, match="4 taken values need 2,147,483,648 bytes"):
        gather_bytes(offsets, data, order)
    with pytest.raises(OverflowError, match="int32 offsets count to 2,147,483,647"):
        gather_lists(offsets, order)


def test_offsets_that_just_fit_are_placed() -> None:
    offsets = np.array([0, 2**29, 2**30 - 1], np.int32)
    placed, starts = variable.place_values(offsets, np.array([0, 1, 0, 1, 1], np.uint32)[:4])
    assert placed[-1] == 2**31 - 2
    assert starts.tolist() == [0, 2**29, 0, 2**29]


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize("dtype", OFFSETS)
@settings(deadline=None)
@given(
    st.lists(st.integers(0, 13), max_size=12).flatmap(
        lambda lengths: st.tuples(st.just(lengths), st.integers(0, 9), rows(len(lengths)))
    )
)
@example(([], 0, NONE))
@example(([0, 4, 5], 2**31 - 20, np.array([2, 1, 0, 2], np.uint32)))
def test_takes_lists(dtype: type, column) -> None:
    lengths, first, order = column
    offsets = np.cumsum([first, *lengths]).astype(dtype)
    out_offsets, children = gather_lists(offsets, order)
    expected = [range(offsets[row], offsets[row + 1]) for row in order]
    assert out_offsets.dtype == dtype
    assert children.dtype == np.uint32
    assert out_offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert children.tolist() == [row for each in expected for row in each]


def test_numbers_children_to_the_last_uint32() -> None:
    offsets = np.array([2**32 - 3, 2**32])
    _, children = gather_lists(offsets, np.array([0], np.uint32))
    assert children.tolist() == [2**32 - 3, 2**32 - 2, 2**32 - 1]
    with pytest.raises(OverflowError, match="row numbers are uint32"):
        gather_lists(offsets + 1, np.array([0], np.uint32))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 16, 24, 32])
def test_fixed_width_values_go_where_they_are_wanted(width: int) -> None:
    src = np.random.default_rng(0).integers(0, 256, (20, width), np.uint8)
    order = np.array([3, 19, 3, 0], np.uint32)
    room = np.zeros((6, width), np.uint8)
    assert gather_fixed(src, order, into=room[1:5]) is not None
    np.testing.assert_array_equal(room[1:5], src[order])
    assert not room[[0, 5]].any()


@pytest.mark.parametrize("dtype", OFFSETS)
@settings(max_examples=50)
@given(column=columns_of_bytes(), first=st.integers(0, 40))
def test_values_go_after_others(dtype: type, column: tuple, first: int) -> None:
    values, before, after, order = column
    offsets, data = laid_out(values, before, after, dtype)
    taken = [values[row] for row in order]
    out = np.full(first + sum(map(len, taken)) + 20, 255, np.uint8)
    end = len(out) - 20
    out_offsets = np.zeros(len(order) + 1, dtype)
    out_offsets[0] = first
    gather_bytes_into(offsets, data, order, out_offsets, out[:end])
    assert out_offsets.tolist() == [first, *(first + np.cumsum(list(map(len, taken)))).tolist()]
    assert out[first:end].tobytes() == b"".join(taken)
    assert (out[:first] == 255).all()
    assert (out[end:] == 255).all()
