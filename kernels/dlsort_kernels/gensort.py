"""Records of the sort benchmark, as gensort 1.5 makes them.

A record has 100 bytes, of which the first 10 are its key: the upper 80 bits of a random number
of its own (:mod:`dlsort_kernels.lcg`). In a binary record the other parts of 10 bytes are the
keys of the nine records that follow, each xor a constant of its place; so a record is 100 bytes
of all keys one after the other, xor a mask. An ASCII record is a line: the key in printable
signs, the record's number, and filler of the random number's lower bits.

A skewed key shares its first bits with all keys whose number has as many bits: these are the
first bytes of the key of the record of that number.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Words
from dlsort_kernels.bits import bit_length
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.lcg import draw_numbers, jump

__all__ = ["make_records"]

RECORD = 100
KEY = 10
PARTS = RECORD // KEY

# What gensort takes the other parts of a binary record xor; the key stays as it is.
_MASK = np.frombuffer(
    bytes(KEY)
    + bytes.fromhex(
        "f0e8e4e2e1d8d4d2d1cc cac9c6c5c3b8b4b2b1ac aaa9a6a5a39c9a999695 938e8d8b87787472716c"
        "6a696665635c5a595655 534e4d4b473c3a393635 332e2d2b271e1d1b170f c8c4c2c1989492918ce0"
        "170f332e2d2b271e1d1b"
    ),
    np.uint8,
)

_32, _64 = np.uint64(32), np.uint64(64)
_ONE = np.uint64(1)
_BASE = np.uint64(95)  # printable signs
_SKEWED = 48  # bits at the most
_LOW = 2**64 - 1


def make_records(
    out: Bytes, first: int, state: int | None = None, *, ascii: bool = False, skew: bool = False
) -> int:
    """Write records that follow one another.

    Parameters
    ----------
    out : (100 n,) uint8
        Written: n records.
    first : int
        The number of the first, below 2**128.
    state : int, optional
        Its random number, as the records before it were given back; else it is jumped to.
    ascii, skew : bool
        Lines of text; keys of which many begin alike.

    Returns
    -------
    int
        The random number of the record that follows.

    Notes
    -----
    Time O(n + log first).

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import make_records
    >>> out = np.empty(200, np.uint8)
    >>> _ = make_records(out, 0, ascii=True)
    >>> bytes(out[:44]).decode()
    'AsfAGHM5om  00000000000000000000000000000000'
    """
    n = len(out) // RECORD
    high, low = np.empty(n + PARTS, np.uint64), np.empty(n + PARTS, np.uint64)
    draw_numbers(jump(first + 1) if state is None else state, high, low)
    if ascii:
        _lines(out, high, low, first >> 64, first & _LOW)
    else:
        _binary(out, high, low, np.empty(KEY * (n + PARTS), np.uint8), _MASK)
    if skew:
        _skew(
            out,
            low,
            first >> 64,
            first & _LOW,
            _prefixes(is_ascii=ascii),
            *((7, 8) if ascii else (63, 1)),
        )
    return int(high[n]) << 64 | int(low[n])


@functools.cache
def _prefixes(*, is_ascii: bool) -> Words:
    """Return the 6 bytes that skewed keys begin with, in a word's lower bits."""
    out = np.empty(RECORD * 129, np.uint8)
    make_records(out, 0, ascii=is_ascii)
    keys = out.reshape(-1, RECORD)[:, :6]
    return np.array([int.from_bytes(bytes(key), "big") for key in keys], np.uint64)


@kernel(
    types.void(
        writes(types.uint8),
        *[reads(types.uint64)] * 2,
        writes(types.uint8),
        reads(types.uint8),
    )
)
def _binary(out: Bytes, high: Words, low: Words, keys: Bytes, mask: Bytes) -> None:
    """Write the keys of some numbers one after the other, and records of these."""
    at = np.uint64(0)
    for i in range(high.size):
        _store(keys, at, high[i])
        keys[at + np.uint64(8)] = np.uint8(low[i] >> np.uint64(56))
        keys[at + np.uint64(9)] = np.uint8(low[i] >> np.uint64(48))
        at += np.uint64(KEY)
    for i in range(out.size // RECORD):
        for j in range(RECORD):
            out[RECORD * i + j] = keys[KEY * i + j] ^ mask[j]


@inlined
def _store(out: Bytes, at: Any, word: Any) -> None:
    """Write a word at any address, its first byte the uppermost; one store for LLVM."""
    out[at] = np.uint8(word >> np.uint64(56))
    out[at + np.uint64(1)] = np.uint8(word >> np.uint64(48))
    out[at + np.uint64(2)] = np.uint8(word >> np.uint64(40))
    out[at + np.uint64(3)] = np.uint8(word >> np.uint64(32))
    out[at + np.uint64(4)] = np.uint8(word >> np.uint64(24))
    out[at + np.uint64(5)] = np.uint8(word >> np.uint64(16))
    out[at + np.uint64(6)] = np.uint8(word >> np.uint64(8))
    out[at + np.uint64(7)] = np.uint8(word)


@inlined
def _store_4(out: Bytes, at: Any, word: Any) -> None:
    """Write a word's lower half as `_store` does."""
    out[at] = np.uint8(word >> np.uint64(24))
    out[at + np.uint64(1)] = np.uint8(word >> np.uint64(16))
    out[at + np.uint64(2)] = np.uint8(word >> np.uint64(8))
    out[at + np.uint64(3)] = np.uint8(word)


@inlined
def _hex(half: Any) -> Any:
    """Return the 8 hexadecimal digits of 32 bits, as the bytes of a word."""
    word = (half | half << np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    word = (word | word << np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    word = (word | word << np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    letters = (word + np.uint64(0x0606060606060606)) >> np.uint64(4)
    letters &= np.uint64(0x0101010101010101)
    return word + np.uint64(0x3030303030303030) + letters * np.uint64(ord("A") - ord("0") - 10)


@kernel(types.void(writes(types.uint8), *[reads(types.uint64)] * 2, types.uint64, types.uint64))
def _lines(out: Bytes, high: Words, low: Words, number_high: int, number_low: int) -> None:
    """Write records as lines of text."""
    upper, lower = np.uint64(number_high), np.uint64(number_low)
    half = np.uint64(0xFFFFFFFF)
    at = np.uint64(0)
    for i in range(out.size // RECORD):
        left = high[i]
        signs = np.uint64(0)
        for _ in range(8):
            rest = left // _BASE
            signs = signs << np.uint64(8) | (left - rest * _BASE)
            left = rest
        _store(out, at, signs + np.uint64(0x2020202020202020))
        rest = low[i] // _BASE
        out[at + np.uint64(8)] = np.uint8(low[i] - rest * _BASE + np.uint64(32))
        out[at + np.uint64(9)] = np.uint8(rest % _BASE + np.uint64(32))
        out[at + np.uint64(10)] = np.uint8(32)
        out[at + np.uint64(11)] = np.uint8(32)
        _store(out, at + np.uint64(12), _hex(upper >> _32))
        _store(out, at + np.uint64(20), _hex(upper & half))
        _store(out, at + np.uint64(28), _hex(lower >> _32))
        _store(out, at + np.uint64(36), _hex(lower & half))
        out[at + np.uint64(44)] = np.uint8(32)
        out[at + np.uint64(45)] = np.uint8(32)
        digits = _hex(low[i] >> np.uint64(20) & half)
        place = at + np.uint64(46)
        for n in range(8):
            sign = digits >> np.uint64(56 - 8 * n) & np.uint64(255)
            _store_4(out, place, sign * np.uint64(0x01010101))
            place += np.uint64(4)
        digits = _hex(low[i] & np.uint64(0xFFFFF))
        for n in range(3, 8):
            sign = digits >> np.uint64(56 - 8 * n) & np.uint64(255)
            _store_4(out, place, sign * np.uint64(0x01010101))
            place += np.uint64(4)
        out[at + np.uint64(98)] = np.uint8(13)
        out[at + np.uint64(99)] = np.uint8(10)
        at += np.uint64(RECORD)
        lower += _ONE
        upper += np.uint64(lower == 0)


@kernel(
    types.void(
        writes(types.uint8),
        reads(types.uint64),
        types.uint64,
        types.uint64,
        reads(types.uint64),
        types.int64,
        types.int64,
    )
)
def _skew(
    out: Bytes,
    low: Words,
    number_high: int,
    number_low: int,
    prefixes: Words,
    drawn_bits: int,
    unit: int,
) -> None:
    """Have keys begin with as many bits of a prefix as their random number says.

    These are some of its bits, ``drawn_bits``, in units of so many; keys for which they are
    more than a prefix has are left alone.
    """
    upper, lower = np.uint64(number_high), np.uint64(number_low)
    for i in range(out.size // RECORD):
        n_bits = (np.int64(low[i] >> _32) & drawn_bits) * unit
        if 0 < n_bits <= _SKEWED:
            prefix = prefixes[_skew_index(upper, lower)]
            place = RECORD * i
            while n_bits > 0:
                kept = np.uint64(0xFF) >> np.uint64(n_bits if n_bits < 8 else 8)
                byte = prefix >> np.uint64(40) & np.uint64(0xFF)
                out[place] = np.uint8(byte & ~kept | np.uint64(out[place]) & kept)
                prefix <<= np.uint64(8)
                n_bits -= 8
                place += 1
        lower += _ONE
        upper += np.uint64(lower == 0)


@inlined
def _skew_index(upper: Any, lower: Any) -> Any:
    """Return how many bits a record's number has; gensort takes 60 bits of a word for all."""
    word = upper if upper else lower
    n_bits = bit_length(word)
    if n_bits > np.uint64(60):
        n_bits = _64
    return n_bits + _64 if upper else n_bits
