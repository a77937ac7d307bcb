"""Thrift's compact protocol, of bytes that may be anything.

Each reader returns where it has ended, and -1 if it has not found what it reads. Nothing is
read beyond the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined

__all__ = ["count", "field", "integer", "items", "put", "skip", "text", "varint", "varint64"]

# Kinds of Thrift's compact protocol.
TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

DEEPEST = 16  # structs and lists inside of one another that are followed
_NONE = (0,) * DEEPEST


@inlined
def varint(data: Bytes, at: Any) -> tuple[Any, Any]:
    """Return an unsigned number, and where it ends, which is -1 if there is none."""
    found = np.uint64(0)
    if at < 0:
        return found, np.int64(-1)
    for n in range(9):  # of 63 bits, as all are that make sense
        if at >= len(data):
            return found, np.int64(-1)
        byte = np.uint64(data[at])
        at += 1
        found |= (byte & np.uint64(127)) << np.uint64(7 * n)
        if byte < 128:
            return found, np.int64(at)
    return found, np.int64(-1)


@inlined
def varint64(data: Bytes, at: Any) -> tuple[Any, Any]:
    """Return an unsigned number of up to 64 bits, and where it ends, -1 if there is none."""
    found = np.uint64(0)
    for n in range(10):
        if at < 0 or at >= len(data):
            return found, np.int64(-1)
        byte = np.uint64(data[at])
        at += 1
        found |= (byte & np.uint64(127)) << np.uint64(7 * n)
        if byte < 128:
            return found, np.int64(at)
    return found, np.int64(-1)


@inlined
def integer(data: Bytes, at: Any) -> tuple[Any, Any]:
    """Return a signed number, and where it ends, -1 if there is none."""
    found, at = varint(data, at)
    return np.int64(found >> np.uint64(1)) ^ -np.int64(found & np.uint64(1)), at


@inlined
def count(data: Bytes, at: Any, kind: Any, wanted: Any) -> tuple[Any, Any]:
    """Return a number of a kind that is not negative, and where it ends, else -1."""
    found, at = integer(data, at)
    if kind != wanted or found < 0 or (wanted == I32 and found >= 1 << 31):
        return found, np.int64(-1)
    return found, at


@inlined
def text(data: Bytes, at: Any, kind: Any) -> tuple[Any, Any]:
    """Return where a text begins and ends; -1 if there is none."""
    size, at = varint(data, at)
    if kind != BINARY or at < 0 or size > np.uint64(len(data) - at):
        return np.int64(-1), np.int64(-1)
    return at, at + np.int64(size)


@inlined
def items(data: Bytes, at: Any, kind: Any) -> tuple[Any, Any, Any]:
    """Return the kind and number of a list's items, and where they begin; -1 if it is none."""
    if kind not in (LIST, SET) or at < 0 or at >= len(data):
        return np.int64(0), np.int64(0), np.int64(-1)
    inner, size = np.int64(data[at] & 15), np.uint64(data[at] >> 4)
    at += 1
    if size == 15:
        size, at = varint(data, at)
    if at < 0 or size > np.uint64(len(data) - at):
        return np.int64(0), np.int64(0), np.int64(-1)
    return inner, np.int64(size), np.int64(at)


@inlined
def field(data: Bytes, at: Any, number: Any) -> tuple[Any, Any, Any]:
    """Return kind and number of the next field, and where its value begins.

    The kind is 0 at the end of the struct. -1 where fields don't ascend, so none comes twice.
    """
    if at < 0 or at >= len(data):
        return np.int64(0), np.int64(0), np.int64(-1)
    head = np.int64(data[at])
    if head == 0:
        return np.int64(0), np.int64(0), np.int64(at + 1)
    if head >> 4 == 0:
        return np.int64(0), np.int64(0), np.int64(-1)
    return head & 15, number + (head >> 4), np.int64(at + 1)


def put(values: tuple[int, ...], at: Any, value: Any) -> tuple[int, ...]:
    """Return a tuple with another value at a place: memory that needs no allocator."""
    return (*values[:at], value, *values[at + 1 :])


@inlined
def skip(data: Bytes, at: Any, kind: Any) -> Any:
    """Return where the value of a field ends, -1 if it makes no sense."""
    if kind in (TRUE, FALSE):
        return at
    inner = _NONE  # the kind of a list's items, or STRUCT + 1
    left = _NONE  # its items, or the number of the last field
    depth = 0
    while at >= 0:
        if kind in (I16, I32, I64):
            found, at = integer(data, at)
            bits = 15 if kind == I16 else 31 if kind == I32 else 62
            if found >> bits not in (0, -1):
                return np.int64(-1)
        elif kind == BINARY:
            _, at = text(data, at, kind)
        elif kind == DOUBLE:
            at += 8
        elif kind in (TRUE, FALSE, I8):  # inside of a list
            at += 1
        elif kind in (STRUCT, LIST, SET):
            if depth == DEEPEST:
                return np.int64(-1)
            of, n = np.int64(STRUCT + 1), np.int64(0)
            if kind != STRUCT:
                of, n, at = items(data, at, kind)
            inner, left = put(inner, depth, of), put(left, depth, n)
            depth += 1
        else:
            return np.int64(-1)
        if at > len(data):
            return np.int64(-1)
        while at >= 0:  # find the next value
            if depth == 0:
                return at
            if inner[depth - 1] == STRUCT + 1:
                kind, n, at = field(data, at, left[depth - 1])
                left = put(left, depth - 1, n)
                if kind == 0:
                    depth -= 1
                elif kind not in (TRUE, FALSE):
                    break
            elif left[depth - 1] == 0:
                depth -= 1
            else:
                left = put(left, depth - 1, left[depth - 1] - 1)
                kind = inner[depth - 1]
                break
    return np.int64(-1)
