import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import longest_text, shared_bytes_of


def as_bytes(data):
    return np.frombuffer(bytes(data), np.uint8)


def plain(texts):
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


@given(st.lists(st.binary(max_size=20)), st.binary(max_size=3))
def test_the_longest_text(texts, after):
    page = as_bytes(plain(texts) + after)
    assert longest_text(page, len(texts)) == max(map(len, texts), default=0)
    assert longest_text(page, len(texts) + 1) == -1


@given(st.binary(max_size=300), st.integers(0, 100))
def test_any_bytes_are_texts_or_none(data, n_values):
    assert -1 <= longest_text(as_bytes(data), n_values) <= max(len(data) - 4, 0)


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value):
    return varint((value << 1) ^ (value >> 63))


def packed(lengths, block=128, minis=4):
    """Return numbers as DELTA_BINARY_PACKED, by the book."""
    deltas = np.diff(np.array(lengths, np.int64))
    out = varint(block) + varint(minis) + varint(len(lengths))
    out += zigzag(lengths[0] if lengths else 0)
    for at in range(0, len(deltas), block):
        of_block = deltas[at : at + block]
        least = int(of_block.min())
        parts = [
            of_block[i : i + block // minis] - least for i in range(0, block, block // minis)
        ]
        widths = [int(part.max()).bit_length() if len(part) else 0 for part in parts]
        out += zigzag(least) + bytes(widths)
        for part, width in zip(parts, widths, strict=True):
            if len(part):
                number = sum(int(v) << i * width for i, v in enumerate(part))
                out += number.to_bytes(block // minis * width // 8, "little")
    return out


@pytest.mark.parametrize(("block", "minis"), [(128, 4), (256, 4), (128, 1), (64, 8)])
@given(lengths=st.lists(st.integers(0, 2**31 - 1), max_size=300), before=st.binary(max_size=5))
def test_shared_bytes_are_added_up(block, minis, lengths, before):
    page = as_bytes(before + packed(lengths, block, minis) + b"texts")
    assert shared_bytes_of(page, len(before)) == sum(lengths)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_lengths_or_none(data, start):
    # a read beyond the bytes would be told with NUMBA_DISABLE_JIT=1
    assert shared_bytes_of(as_bytes(data), start) >= -1


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_lengths_that_end_too_soon(cut):
    data = packed(list(range(0, 2000, 7)))
    assert shared_bytes_of(as_bytes(data[:-cut]), 0) == -1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        varint(0) + varint(4) + varint(9) + zigzag(1),  # blocks of nothing
        varint(128) + varint(0) + varint(9) + zigzag(1),
        varint(128) + varint(100) + varint(9) + zigzag(1),  # that cannot be cut
        varint(128) + varint(4) + varint(2**40) + zigzag(1),
        varint(128) + varint(4) + varint(1) + zigzag(-1),  # a length below zero
        varint(128) + varint(4) + varint(3) + zigzag(1) + zigzag(-5) + bytes(4),
        varint(128)
        + varint(4)
        + varint(3)
        + zigzag(1)
        + zigzag(0)
        + bytes([33, 0, 0, 0] + [0] * 200),
    ],
)
def test_what_is_no_lengths(data):
    assert shared_bytes_of(as_bytes(data), 0) == -1
