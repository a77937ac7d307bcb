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
from dlsort_kernels.prefix import load_big_endian
from dlsort_kernels.unaligned import store8

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

_ONE, _8, _16, _32, _64 = (np.uint64(n) for n in (1, 8, 16, 32, 64))
_BYTE, _HALF = np.uint64(0xFF), np.uint64(0xFFFFFFFF)
_ALL = np.uint64(2**64 - 1)
# Printable signs; a key has their digits in this base.
_BASE, _BASE_2, _BASE_4 = np.uint64(95), np.uint64(95**2), np.uint64(95**4)
_TWICE, _FOUR_TIMES = np.uint64(0x0101), np.uint64(0x01010101)
_SPACES = np.uint64(0x2020202020202020)
_LINE_END = np.uint64(0x0A0D << 48)
_ZEROS, _SIXES = np.uint64(0x3030303030303030), np.uint64(0x0606060606060606)
_ONES = np.uint64(0x0101010101010101)
_TO_LETTERS = np.uint64(ord("A") - ord("9") - 1)
_SKEWED_BITS = 48
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
        _binary(out, high, low, np.empty(KEY * (n + PARTS) + 6, np.uint8), _MASK)
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
        store8(keys, at, _swapped(high[i]))
        # Six bytes more than the key has, which the next one overwrites.
        store8(keys, at + _8, _swapped(low[i]))
        at += np.uint64(KEY)
    for i in range(out.size // RECORD):
        for j in range(RECORD):
            out[RECORD * i + j] = keys[KEY * i + j] ^ mask[j]


@inlined
def _swapped(word: Any) -> Any:
    """Return a word's bytes in the opposite order: one instruction for LLVM."""
    found = word >> np.uint64(56) | word << np.uint64(56)
    found |= (word >> np.uint64(40) & np.uint64(0xFF << 8)) | (
        word << np.uint64(40) & np.uint64(0xFF << 48)
    )
    found |= (word >> np.uint64(24) & np.uint64(0xFF << 16)) | (
        word << np.uint64(24) & np.uint64(0xFF << 40)
    )
    found |= (word >> _8 & np.uint64(0xFF << 24)) | (word << _8 & np.uint64(0xFF << 32))
    return found


@kernel(types.void(writes(types.uint8), *[reads(types.uint64)] * 2, *[types.uint64] * 2))
def _lines(out: Bytes, high: Words, low: Words, number_high: int, number_low: int) -> None:
    """Write records as lines of text, 8 signs at once, of which the first is the lowest byte.

    Some stores reach over what the next ones write.
    """
    upper, lower = np.uint64(number_high), np.uint64(number_low)
    first, second, third = _hex(upper >> _32), _hex(upper & _HALF), _hex(lower >> _32)
    at = np.uint64(0)
    for i in range(out.size // RECORD):
        left = low[i]
        store8(out, at, _digits_8(high[i]) + _SPACES)
        rest = left // _BASE
        two = left - rest * _BASE | (rest - rest // _BASE * _BASE) << _8
        store8(out, at + _8, two + (_SPACES & _HALF))
        store8(out, at + np.uint64(12), first)
        store8(out, at + np.uint64(20), second)
        store8(out, at + np.uint64(28), third)
        store8(out, at + np.uint64(36), _hex(lower & _HALF))
        store8(out, at + np.uint64(44), _SPACES)
        digits = _hex(left >> np.uint64(20) & _HALF)
        store8(out, at + np.uint64(46), _two_times_4(digits))
        store8(out, at + np.uint64(54), _two_times_4(digits >> _16))
        store8(out, at + np.uint64(62), _two_times_4(digits >> _32))
        store8(out, at + np.uint64(70), _two_times_4(digits >> np.uint64(48)))
        digits = _hex(left << np.uint64(12) & _HALF)
        store8(out, at + np.uint64(78), _two_times_4(digits))
        store8(out, at + np.uint64(86), _two_times_4(digits >> _16))
        last = (digits >> _32 & _BYTE) * _FOUR_TIMES
        end = (digits >> np.uint64(24) & _BYTE) * _TWICE | last << _16 | _LINE_END
        store8(out, at + np.uint64(92), end)
        at += np.uint64(RECORD)
        lower += _ONE
        if lower & _HALF == 0:
            upper += np.uint64(lower == 0)
            first, second, third = _hex(upper >> _32), _hex(upper & _HALF), _hex(lower >> _32)


@inlined
def _digits_8(word: Any) -> Any:
    """Return the 8 lowest digits in base 95, the lowest in the lowest byte."""
    rest = word // _BASE_4
    return _digits_4(word - rest * _BASE_4) | _digits_4(rest - rest // _BASE_4 * _BASE_4) << _32


@inlined
def _digits_4(word: Any) -> Any:
    """Return the 4 digits of what is below 95**4; divisions that wait for few others."""
    upper = word // _BASE_2
    lower = word - upper * _BASE_2
    second, fourth = lower // _BASE, upper // _BASE
    found = lower - second * _BASE | second << _8
    return found | (upper - fourth * _BASE) << _16 | fourth << np.uint64(24)


@inlined
def _hex(half: Any) -> Any:
    """Return the 8 hexadecimal digits of 32 bits, the first in the lowest byte."""
    word = half >> _16 | (half & np.uint64(0xFFFF)) << _32
    word = (
        word >> _8 & np.uint64(0x000000FF000000FF)
        | (word & np.uint64(0x000000FF000000FF)) << _16
    )
    word = (
        word >> np.uint64(4) & np.uint64(0x000F000F000F000F)
        | (word & np.uint64(0x000F000F000F000F)) << _8
    )
    is_letter = (word + _SIXES) >> np.uint64(4) & _ONES
    return word + _ZEROS + is_letter * _TO_LETTERS


@inlined
def _two_times_4(signs: Any) -> Any:
    """Return the two lowest bytes, each four times."""
    return (signs & _BYTE) * _FOUR_TIMES | (signs >> _8 & _BYTE) * _FOUR_TIMES << _32


@kernel(
    types.void(
        writes(types.uint8),
        reads(types.uint64),
        *[types.uint64] * 2,
        reads(types.uint64),
        *[types.uint64] * 2,
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
    at = np.uint64(0)
    for i in range(out.size // RECORD):
        n_bits = (low[i] >> _32 & np.uint64(drawn_bits)) * np.uint64(unit)
        if n_bits > np.uint64(_SKEWED_BITS):
            n_bits = np.uint64(0)
        key = load_big_endian(out, at)
        prefix = prefixes[_skew_index(upper, lower)] << _16
        # Two shifts, because a shift by 64 is undefined.
        skewed = _ALL << (np.uint64(63) - n_bits) << _ONE
        store8(out, at, _swapped(prefix & skewed | key & ~skewed))
        at += np.uint64(RECORD)
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
