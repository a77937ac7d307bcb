"""Thrift's compact protocol, as far as Parquet's footers and page headers need it.

Bytes are taken to be hostile: nothing is read beyond the end, nothing is allocated that the
bytes themselves do not hold, and what Parquet's C++ reader would take for something else
(a field that comes twice, a number that does not fit its type) is refused.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BINARY",
    "BOOLEAN",
    "I32",
    "I64",
    "LIST",
    "STRUCT",
    "Struct",
    "ThriftError",
    "field_of",
    "read_struct",
]

# A struct: kind and value of each field, by its number. A list: its elements' kind, and they.
Struct = dict[int, tuple[int, Any]]

BOOLEAN, _FALSE, _I8, _I16, I32, I64, _DOUBLE, BINARY, LIST, _SET, _MAP, STRUCT = range(1, 13)

_STOP = 0
_DOUBLE_BYTES = 8
_MOST_VARINT_BYTES = 10  # of 64 bits
_BITS = {_I16: 16, I32: 32, I64: 64}
_DEEPEST = 32  # structs inside of one another; Parquet's own have 8


class ThriftError(ValueError):
    """Bytes that are no struct of the compact protocol."""


def read_struct(data: bytes, start: int = 0) -> tuple[Struct, int]:
    """Return the struct that begins at a place, and where it ends.

    Raises
    ------
    ThriftError
        If there is none, or only the beginning of one.

    Notes
    -----
    Time and memory O(bytes of the struct).

    Examples
    --------
    >>> read_struct(bytes([0x15, 0x0E, 0x18, 2, 104, 105, 0]))
    ({1: (5, 7), 2: (8, b'hi')}, 7)
    """
    reader = _Reader(data, start)
    try:
        return reader.struct(0), reader.at
    except IndexError:
        msg = f"it ends in the middle of a struct, after {len(data):,} bytes"
        raise ThriftError(msg) from None


def field_of(struct: Struct, number: int, kind: int) -> Any:
    """Return a field's value, or None if it is not there.

    Raises
    ------
    ThriftError
        If it is of another kind.
    """
    entry = struct.get(number)
    if entry is None:
        return None
    if entry[0] != kind:
        msg = f"field {number} is of kind {entry[0]} where {kind} was expected"
        raise ThriftError(msg)
    return entry[1]


class _Reader:
    """Reads on from a place; an IndexError is the end of the bytes."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            msg = f"more than {_DEEPEST} structs lie inside of one another"
            raise ThriftError(msg)
        data = self.data
        fields: Struct = {}
        number = 0
        while True:
            head = data[self.at]
            self.at += 1
            if head == _STOP:
                return fields
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self.integer(_I16)
            if number in fields:
                msg = f"field {number} is there twice"
                raise ThriftError(msg)
            if kind in (I32, I64):
                byte = data[self.at]
                if byte < 128:  # as most are
                    self.at += 1
                    fields[number] = kind, (byte >> 1) ^ -(byte & 1)
                else:
                    fields[number] = kind, self.integer(kind)
            elif kind in (BOOLEAN, _FALSE):
                fields[number] = BOOLEAN, kind == BOOLEAN
            else:
                fields[number] = kind, self.value(kind, depth)

    def value(self, kind: int, depth: int) -> Any:
        if kind in _BITS:
            return self.integer(kind)
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, _SET):
            return self.list(depth)
        if kind == _DOUBLE:
            return self.take(_DOUBLE_BYTES)
        if kind == _MAP:
            return self.map(depth)
        if kind in (BOOLEAN, _FALSE, _I8):  # inside of a list; a field's own is in its head
            return self.take(1)[0]
        msg = f"there is no kind {kind}"
        raise ThriftError(msg)

    def list(self, depth: int) -> tuple[int, list[Any]]:
        head = self.data[self.at]
        self.at += 1
        kind, size = head & 15, head >> 4
        if size == 15:
            size = self.varint()
        self.check_fits(size)
        if depth > _DEEPEST:
            msg = f"more than {_DEEPEST} lists lie inside of one another"
            raise ThriftError(msg)
        return kind, [self.value(kind, depth + 1) for _ in range(size)]

    def map(self, depth: int) -> dict[Any, Any]:
        """Pass over a map: Parquet has none."""
        size = self.varint()
        self.check_fits(size)
        if depth > _DEEPEST:
            msg = f"more than {_DEEPEST} maps lie inside of one another"
            raise ThriftError(msg)
        if size:
            kinds = self.take(1)[0]
            for _ in range(size):
                self.value(kinds >> 4, depth + 1)
                self.value(kinds & 15, depth + 1)
        return {}

    def take(self, size: int) -> bytes:
        self.check_fits(size)
        self.at += size
        return self.data[self.at - size : self.at]

    def check_fits(self, size: int) -> None:
        """Raise unless there can be so many bytes, or elements of at least one byte."""
        if size > len(self.data) - self.at:
            msg = f"something of {size:,} bytes or elements is said to be in {len(self.data):,}"
            raise ThriftError(msg)

    def integer(self, kind: int) -> int:
        value = self.varint()
        number = (value >> 1) ^ -(value & 1)
        bits = _BITS[kind]
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            msg = f"the number {number:,} does not fit {bits} bits"
            raise ThriftError(msg)
        return number

    def varint(self) -> int:
        data, at = self.data, self.at
        byte = data[at]
        if byte < 128:  # as most are
            self.at = at + 1
            return byte
        value = byte & 127
        for n in range(1, _MOST_VARINT_BYTES):
            byte = data[at + n]
            value |= (byte & 127) << 7 * n
            if byte < 128:
                self.at = at + n + 1
                return value
        msg = "a number has no end"
        raise ThriftError(msg)
