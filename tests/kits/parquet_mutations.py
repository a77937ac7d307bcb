"""Parquet files as nobody should write them: bytes flipped, footers and page headers that lie.

Files are made from a seed and a number, the same each time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.io.parquet.thrift import (
    BINARY,
    BOOLEAN,
    I32,
    I64,
    LIST,
    STRUCT,
    Struct,
    read_struct,
)

Rng = np.random.Generator

TAIL = 8  # the footer's length and the magic bytes
N_ROWS = 300


class Base(NamedTuple):
    """A sound file, and keys to sort it by."""

    name: str
    data: bytes
    keys: tuple[str, ...]


# ---------------------------------------------------------------- Thrift, written


def write_struct(struct: Struct) -> bytes:
    """Return a struct as :func:`dlsort.io.parquet.thrift.read_struct` has read it."""
    out = bytearray()
    last = 0
    for number, (kind, value) in struct.items():
        tag = (1 if value else 2) if kind == BOOLEAN else kind
        if 0 < number - last < 16:
            out.append((number - last) << 4 | tag)
        else:
            out.append(tag)
            out += _zigzag(number)
        last = number
        if kind != BOOLEAN:
            out += _written(kind, value)
    return bytes(out) + b"\0"


def _written(kind: int, value: Any) -> bytes:
    if kind in (I32, I64, 4):
        return _zigzag(value)
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind == STRUCT:
        return write_struct(value)
    if kind in (LIST, 10):
        inner, items = value
        size = len(items)
        short = bytes([min(size, 15) << 4 | inner])
        head = short if size < 15 else short + _varint(size)
        return head + b"".join(_written(inner, item) for item in items)
    if kind in (1, 2, 3):
        return bytes([value & 255])
    return b"\0" if kind == 11 else bytes(value)  # a map is empty; a double is its bytes


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63) if -(2**63) <= value < 2**63 else value)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return a sound file's data and its footer."""
    size = int.from_bytes(data[-TAIL:-4], "little")
    return data[: -TAIL - size], data[-TAIL - size : -TAIL]


def joined(body: bytes, footer: bytes) -> bytes:
    """Return a file of data and a footer."""
    return body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def with_footer(data: bytes, change: Callable[[Struct], object]) -> bytes:
    """Return a file whose footer was changed in place by a function."""
    body, footer = split(data)
    found = read_struct(footer)[0]
    change(found)
    return joined(body, write_struct(found))


# ---------------------------------------------------------------- sound files


@cache
def bases() -> tuple[Base, ...]:
    """Return sound files of all types, encodings and codecs, small ones."""
    return tuple(_bases())


def _file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _bases() -> Iterator[Base]:
    rng = np.random.default_rng(1)
    n = N_ROWS
    null = rng.random(n) < 0.1
    words = [f"w{v}" * int(v % 3 + 1) for v in rng.integers(0, 40, n)]
    numbers = pa.array(rng.integers(-1000, 1000, n), mask=null)
    usual = pa.table({"i": numbers, "s": words, "f": rng.normal(size=n)})
    yield Base("usual", _file(usual, row_group_size=120), ("i", "s:desc,i", "f,i:desc"))
    plain = {"use_dictionary": False, "data_page_size": 512}
    yield Base(
        "plain pages of version 2",
        _file(usual, compression="none", data_page_version="2.0", **plain),
        ("i", "s"),
    )
    deltas = pa.table(
        {
            "i": pa.array(rng.integers(0, 2**40, n), mask=null),
            "d": rng.integers(0, 9, n).astype(np.int32),
            "a": words,
            "l": words,
            "b": rng.normal(size=n),
        }
    )
    yield Base(
        "other encodings",
        _file(
            deltas,
            use_dictionary=False,
            compression="zstd",
            column_encoding={
                "i": "DELTA_BINARY_PACKED",
                "d": "DELTA_BINARY_PACKED",
                "a": "DELTA_BYTE_ARRAY",
                "l": "DELTA_LENGTH_BYTE_ARRAY",
                "b": "BYTE_STREAM_SPLIT",
            },
        ),
        ("i", "a,d", "l:desc", "b"),
    )
    lists = [None if v == 0 else list(range(int(v) - 1)) for v in rng.integers(0, 5, n)]
    nested = pa.table(
        {
            "k": rng.integers(0, 50, n).astype(np.int16),
            "l": pa.array(lists, pa.list_(pa.int32())),
            "t": pa.array([{"x": int(v), "y": f"{v}"} for v in rng.integers(0, 9, n)]),
            "m": pa.array(
                [[("a", int(v))] for v in rng.integers(0, 9, n)],
                pa.map_(pa.string(), pa.int64()),
            ),
        }
    )
    yield Base("nested", _file(nested, compression="gzip", row_group_size=200), ("k", "k:desc"))
    day = rng.integers(0, 20_000, n)
    stamps = pa.array(day.astype(np.int64) * 10**9, pa.timestamp("us", "Europe/Berlin"))
    kinds = pa.table(
        {
            "c": pa.array([Decimal(int(v)) / 100 for v in day], pa.decimal128(12, 2)),
            "w": pa.array([Decimal(int(v)) for v in day], pa.decimal256(50)),
            "t": stamps,
            "d": pa.array(day.astype(np.int32), pa.date32()),
            "h": rng.normal(size=n).astype(np.float16),
            "x": pa.array([v.tobytes() for v in rng.integers(0, 255, n)], pa.binary(8)),
            "b": rng.random(n) < 0.5,
            "u": rng.integers(0, 2**63, n, dtype=np.uint64),
        }
    )
    yield Base(
        "types",
        _file(kinds, write_page_checksum=True, write_page_index=True),
        ("c", "w", "t:desc", "d", "h", "x", "b,d", "u"),
    )
    layouts = pa.table(
        {
            "v": pa.array(words).cast(pa.string_view()),
            "l": pa.array(words).cast(pa.large_string()),
            "c": pa.array(words).dictionary_encode(),
            "z": pa.nulls(n),
            "o": [w.encode() for w in words],
        }
    )
    yield Base("layouts", _file(layouts, compression="brotli"), ("v", "l", "c:desc", "o"))
    in_order = pa.table({"k": np.arange(n), "v": rng.integers(0, 9, n)})
    claim = [pq.SortingColumn(0)]
    yield Base(
        "in order",
        _file(in_order, row_group_size=20, sorting_columns=claim, compression="lz4"),
        ("k", "k:desc", "v"),
    )
    late = in_order.take(np.argsort(np.arange(n) + rng.integers(0, 30, n)))
    yield Base("late rows", _file(late, row_group_size=25), ("k", "k,v"))
    floats = pa.table({"f": np.where(null, np.nan, rng.normal(size=n)), "g": numbers})
    yield Base("NaN", _file(floats, row_group_size=100, compression="none"), ("f", "f:desc,g"))


# ---------------------------------------------------------------- mutations

_NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 63, 64, 127, 128, 1 << 15, 1 << 20, (1 << 31) - 1)
_LARGE = (1 << 31, -(1 << 31), 1 << 32, 1 << 40, (1 << 62) + 1, (1 << 63) - 1, -(1 << 63))


def mutated(seed: int, number: int) -> tuple[Base, str, bytes]:
    """Return a sound file, a key, and what has become of the file."""
    rng = np.random.default_rng([seed, number])
    base = bases()[rng.integers(len(bases()))]
    key = base.keys[rng.integers(len(base.keys))]
    data = base.data
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        way = _WAYS[rng.integers(len(_WAYS))]
        data = way(rng, data, base)
    return base, key, data


def _flip(rng: Rng, data: bytes, base: Base) -> bytes:
    return _flip_in(rng, data, 0, len(data))


def _flip_in(rng: Rng, data: bytes, start: int, stop: int) -> bytes:
    out = bytearray(data)
    if stop > start:
        for at in rng.integers(start, stop, rng.integers(1, 6)):
            bit = 1 << int(rng.integers(8))
            out[at] = int(rng.integers(256)) if rng.random() < 0.3 else out[at] ^ bit
    return bytes(out)


def _flip_data(rng: Rng, data: bytes, base: Base) -> bytes:
    """Flip one bit of the rows, which often makes other rows."""
    out = bytearray(data)
    if len(data) > 8:
        at = int(rng.integers(4, min(len(data), len(split(base.data)[0]))))
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _flip_footer(rng: Rng, data: bytes, base: Base) -> bytes:
    size = len(split(base.data)[1])
    return _flip_in(rng, data, max(0, len(data) - TAIL - size), len(data))


def _flip_page_header(rng: Rng, data: bytes, base: Base) -> bytes:
    start = min(_page_start(rng, base), len(data))
    return _flip_in(rng, data, start, min(start + 24, len(data)))


@cache
def _page_starts(base: Base) -> tuple[int, ...]:
    footer = pq.ParquetFile(io.BytesIO(base.data)).metadata
    found = []
    for g in range(footer.num_row_groups):
        for i in range(footer.num_columns):
            chunk = footer.row_group(g).column(i)
            found += [chunk.data_page_offset, chunk.dictionary_page_offset]
    return tuple(start for start in found if start is not None)


def _page_start(rng: Rng, base: Base) -> int:
    starts = _page_starts(base)
    return starts[rng.integers(len(starts))]


def _splice(rng: Rng, data: bytes, base: Base) -> bytes:
    if len(data) < 4:
        return data
    a, b = sorted(rng.integers(0, len(data), 2).tolist())
    b = min(b, a + int(2 ** rng.integers(1, 12)))
    at = int(rng.integers(0, len(data)))
    piece = data[a:b]
    way = rng.integers(5)
    if way == 0:  # over something else, of this file or another
        other = bases()[rng.integers(len(bases()))].data
        source = data if rng.random() < 0.5 else other
        piece = source[a:b]
        return data[:at] + piece + data[at + len(piece) :]
    if way == 1:
        return data[:a] + data[b:]
    if way == 2:
        return data[:at] + piece + data[at:]
    return data[:a] + (b"\0" if way == 3 else b"\xff") * (b - a) + data[b:]


def _cut(rng: Rng, data: bytes, base: Base) -> bytes:
    """Cut the end off, or bytes before the footer, which then tells of what is gone."""
    if rng.random() < 0.3:
        return data[: rng.integers(0, len(data) + 1)]
    body, footer = split(base.data)
    return joined(body[: rng.integers(4, len(body))], footer)


def _change_footer(rng: Rng, data: bytes, base: Base) -> bytes:
    """Change numbers, texts and lists of the footer, which stays one that can be read."""
    try:
        body, footer = split(data)
        found = read_struct(footer)[0]
    except ValueError:  # what was done before has left none
        return data
    for _ in range(rng.integers(1, 4)):
        _change(rng, found)
    return joined(body, write_struct(found))


def _change_page_header(rng: Rng, data: bytes, base: Base) -> bytes:
    start = _page_start(rng, base)
    try:
        found, stop = read_struct(data, start)
    except ValueError:
        return data
    for _ in range(20):
        changed = read_struct(data, start)[0]
        _change(rng, changed)
        written = write_struct(changed)
        if len(written) == stop - start and changed != found:
            return data[:start] + written + data[stop:]
    return data


def _places(struct: Struct) -> Iterator[tuple[Any, Any, int]]:
    """Yield every value: where it is (a dict or a list), its key there, its kind."""
    for number, (kind, value) in struct.items():
        yield struct, number, kind
        yield from _inside(kind, value)


def _inside(kind: int, value: Any) -> Iterator[tuple[Any, Any, int]]:
    if kind == STRUCT:
        yield from _places(value)
    elif kind == LIST:
        inner, items = value
        for i, item in enumerate(items):
            yield items, i, inner
            yield from _inside(inner, item)


def _change(rng: Rng, struct: Struct) -> None:
    places = list(_places(struct))
    if not places:
        return
    where, key, kind = places[rng.integers(len(places))]
    value = where[key][1] if isinstance(where, dict) else where[key]
    if rng.random() < 0.05 and isinstance(where, dict):
        del where[key]
        return
    if kind in (I32, I64):
        others = [
            w[k][1] if isinstance(w, dict) else w[k] for w, k, other in places if other == kind
        ]
        value = _number(rng, value, others)
        limit = 1 << (31 if kind == I32 else 63)
        value = (value + limit) % (2 * limit) - limit
    elif kind == BINARY:
        value = _text(rng, value)
    elif kind == BOOLEAN:
        value = not value
    elif kind == LIST:
        inner, items = value
        value = inner, _items(rng, items)
    if isinstance(where, dict):
        where[key] = kind, value
    else:
        where[key] = value


def _number(rng: Rng, value: int, others: list[int]) -> int:
    way = rng.integers(5)
    if way == 0:
        return int(rng.choice(_NUMBERS))
    if way == 1:
        return _LARGE[rng.integers(len(_LARGE))]
    if way == 2:
        return others[rng.integers(len(others))]
    if way == 3:
        return value + int(rng.integers(-3, 4))
    return value ^ 1 << int(rng.integers(40))


def _text(rng: Rng, value: bytes) -> bytes:
    way = rng.integers(5)
    if way == 0:
        return value[: rng.integers(0, len(value) + 1)]
    if way == 1:
        return value + bytes(rng.integers(0, 256, 4).astype(np.uint8))
    if way == 2:
        return b"../" * 3 + value
    if way == 3:
        return b""
    return _flip_in(rng, value, 0, len(value))


def _items(rng: Rng, items: list[Any]) -> list[Any]:
    if not items:
        return items
    at = int(rng.integers(len(items)))
    way = rng.integers(4)
    if way == 0:
        return items[:at] + items[at + 1 :]
    if way == 1:
        return [*items, items[at]]
    if way == 2:
        return items[::-1]
    return []


_WAYS = (
    _flip,
    _flip_data,
    _flip_data,
    _flip_footer,
    _flip_page_header,
    _splice,
    _cut,
    _change_footer,
    _change_footer,
    _change_page_header,
)
