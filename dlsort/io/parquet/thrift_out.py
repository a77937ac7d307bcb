"""Thrift's compact protocol, written: what :mod:`dlsort.io.parquet.thrift` reads."""

from __future__ import annotations

from typing import Any

from dlsort.io.parquet.thrift import BINARY, BOOLEAN, LIST, STRUCT, Struct

__all__ = ["struct_bytes"]

_FALSE, _I8, _DOUBLE = 2, 3, 7
_STOP = b"\0"
_LONG = 15  # what no longer fits four bits


def struct_bytes(struct: Struct) -> bytes:
    """Return a struct as bytes, its fields by ascending number.

    A struct in it may be bytes already.

    Examples
    --------
    >>> struct_bytes({1: (5, 7), 2: (8, b"hi")}).hex(" ")
    '15 0e 18 02 68 69 00'
    """
    out = bytearray()
    last = 0
    for number, (kind, value) in sorted(struct.items()):
        head = _FALSE if kind == BOOLEAN and not value else kind
        step = number - last
        if 0 < step <= _LONG:
            out.append(step << 4 | head)
        else:
            out.append(head)
            out += _integer(number)
        if kind != BOOLEAN:
            out += _value(kind, value)
        last = number
    return bytes(out + _STOP)


def _value(kind: int, value: Any) -> bytes:
    if kind == STRUCT:
        return value if isinstance(value, bytes) else struct_bytes(value)
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind == LIST:
        inner, values = value
        size = len(values)
        head = bytes([size << 4 | inner]) if size < _LONG else bytes([_LONG << 4 | inner])
        long = b"" if size < _LONG else _varint(size)
        return head + long + b"".join(_value(inner, each) for each in values)
    if kind == _DOUBLE:
        return bytes(value)
    if kind in (BOOLEAN, _FALSE, _I8):
        return bytes([value])
    return _integer(value)


def _integer(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
