"""Random Arrow columns of every type, ways to hand them over, and the sorting oracle."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cmp_to_key, partial
from typing import Any

import numpy as np
import pyarrow as pa

from dlsort.arrow.paths import column_at
from dlsort.keys import SortKey

Make = Callable[[np.random.Generator, int], list[Any]]

WORDS = [
    "",
    "a",
    "ab",
    "abc",
    "b\0",
    "b",
    "b\0\0",
    "zoë",
    "日本",
    "prefix-12345678-x",
    "prefix-12345678-y",
    "p" * 40,
]


def _integers(kind: pa.DataType) -> Make:
    bits = kind.bit_width
    unsigned = str(kind).startswith("u")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def make(rng: np.random.Generator, n: int) -> list[Any]:
        wide = [int(rng.integers(0, 2**63)) * 2 + int(rng.integers(0, 2)) for _ in range(n)]
        wide = [low + w % (high - low + 1) for w in wide]
        near = [max(low, min(high, int(v))) for v in rng.integers(-3, 4, n)]
        edge = [low, high, 0]
        pick = rng.integers(0, 3, n)
        return [(wide, near, [edge[i % 3] for i in range(n)])[p][i] for i, p in enumerate(pick)]

    return make


def _floats(kind: pa.DataType) -> Make:
    special = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1.0, -1.0]

    def make(rng: np.random.Generator, n: int) -> list[Any]:
        normal = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)
        values = [
            special[i % len(special)] if rng.random() < 0.4 else float(v)
            for i, v in enumerate(normal)
        ]
        if kind == pa.float16():
            return [np.float16(v) for v in values]
        return values

    return make


def _bytes(rng: np.random.Generator, n: int) -> list[Any]:
    return [
        rng.integers(0, 3, int(rng.integers(0, 12)), dtype=np.uint8).tobytes() for _ in range(n)
    ]


def _strings(rng: np.random.Generator, n: int) -> list[Any]:
    shared = "common prefix of every value / " if rng.random() < 0.3 else ""
    return [shared + WORDS[i] for i in rng.integers(0, len(WORDS), n)]


def _decimals(precision: int, scale: int) -> Make:
    def make(rng: np.random.Generator, n: int) -> list[Any]:
        digits = rng.integers(1, precision + 1, n)
        out = []
        for d in digits:
            number = int("".join(map(str, rng.integers(0, 10, d))))
            out.append(Decimal(number * (-1 if rng.random() < 0.5 else 1)).scaleb(-scale))
        return out

    return make


def _from_integers(low: int, high: int) -> Make:
    def make(rng: np.random.Generator, n: int) -> list[Any]:
        return [int(v) for v in rng.integers(low, high, n)]

    return make


KEY_TYPES: dict[str, tuple[pa.DataType, Make]] = {
    **{
        str(k): (k, _integers(k))
        for k in (
            pa.int8(),
            pa.int16(),
            pa.int32(),
            pa.int64(),
            pa.uint8(),
            pa.uint16(),
            pa.uint32(),
            pa.uint64(),
        )
    },
    **{str(k): (k, _floats(k)) for k in (pa.float16(), pa.float32(), pa.float64())},
    "bool": (pa.bool_(), lambda rng, n: [bool(v) for v in rng.integers(0, 2, n)]),
    "date32": (pa.date32(), _from_integers(-5000, 40000)),
    "date64": (
        pa.date64(),
        lambda rng, n: [
            dt.date(1970, 1, 1) + dt.timedelta(int(v)) for v in rng.integers(-500, 500, n)
        ],
    ),
    "time32": (pa.time32("s"), _from_integers(0, 86400)),
    "time64": (pa.time64("us"), _from_integers(0, 86_400_000_000)),
    "timestamp": (pa.timestamp("us"), _from_integers(-(2**50), 2**50)),
    "timestamp_tz": (pa.timestamp("ms", "Europe/Paris"), _from_integers(-(2**40), 2**40)),
    "timestamp_ns": (pa.timestamp("ns"), _from_integers(-(2**60), 2**60)),
    "duration": (pa.duration("us"), _from_integers(-(2**40), 2**40)),
    "decimal32": (pa.decimal32(7, 2), _decimals(7, 2)),
    "decimal64": (pa.decimal64(15, 3), _decimals(15, 3)),
    "decimal128": (pa.decimal128(15, 2), _decimals(15, 2)),
    "decimal128_wide": (pa.decimal128(38, 4), _decimals(38, 4)),
    "decimal256": (pa.decimal256(70, 10), _decimals(70, 10)),
    "string": (pa.string(), _strings),
    "large_string": (pa.large_string(), _strings),
    "string_view": (pa.string_view(), _strings),
    "binary": (pa.binary(), _bytes),
    "large_binary": (pa.large_binary(), _bytes),
    "binary_view": (pa.binary_view(), _bytes),
    "fixed_size_binary": (
        pa.binary(5),
        lambda rng, n: [rng.integers(0, 2, 5, dtype=np.uint8).tobytes() for _ in range(n)],
    ),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), _strings),
    "dictionary_int": (pa.dictionary(pa.int32(), pa.int64()), _from_integers(-5, 5)),
    "null": (pa.null(), lambda rng, n: [None] * n),
}


def column(
    rng: np.random.Generator,
    name: str,
    n: int,
    *,
    nulls: float = 0.2,
    distinct: int | None = None,
) -> pa.Array:
    """Return ``n`` random values of a key type, some null, perhaps of few distinct values."""
    kind, make = KEY_TYPES[name]
    values = make(rng, n)
    if distinct and n:
        values = [values[i % min(distinct, n)] for i in rng.integers(0, n, n)]
    values = [None if rng.random() < nulls else v for v in values]
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    if kind in (pa.string_view(), pa.binary_view()):
        plain = pa.string() if kind == pa.string_view() else pa.binary()
        return pa.array(values, plain).cast(kind)
    if name in ("date32", "time32"):
        return pa.array(values, pa.int32()).cast(kind)
    if name in ("time64", "timestamp", "timestamp_tz", "timestamp_ns", "duration"):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def payload(n: int) -> pa.Table:
    """Return a column of every payload layout, each value telling its row."""
    ids = range(n)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "i8": pa.array([i % 100 for i in ids], pa.int8()),
            "i16": pa.array([i % 1000 for i in ids], pa.int16()),
            "f32": pa.array([i / 2 for i in ids], pa.float32()),
            "bits": pa.array([None if i % 7 == 0 else i % 3 == 0 for i in ids], pa.bool_()),
            "dec": pa.array([Decimal(i) for i in ids], pa.decimal128(20, 0)),
            "dec256": pa.array([Decimal(i) for i in ids], pa.decimal256(60, 0)),
            "fsb3": pa.array([i.to_bytes(3, "big") for i in ids], pa.binary(3)),
            "text": pa.array(
                [None if i % 5 == 0 else f"row {i}" * (i % 4) for i in ids], pa.string()
            ),
            "view": pa.array([f"a rather long text of row {i}" for i in ids], pa.string()).cast(
                pa.string_view()
            ),
            "list": pa.array(
                [[i] * (i % 3) if i % 4 else None for i in ids], pa.list_(pa.int32())
            ),
            "nested": pa.array(
                [[{"a": i, "b": [str(i)]}] for i in ids],
                pa.large_list(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
            ),
            "struct": pa.array(
                [{"x": i, "y": f"{i}"} if i % 6 else None for i in ids],
                pa.struct([("x", pa.int32()), ("y", pa.string())]),
            ),
            "map": pa.array([[(str(i), i)] for i in ids], pa.map_(pa.string(), pa.int64())),
            "fixed_list": pa.array([[i, i + 1] for i in ids], pa.list_(pa.int16(), 2)),
            "dict": pa.array([f"c{i % 5}" for i in ids], pa.string()).dictionary_encode(),
            "nothing": pa.nulls(n),
        }
    )


def is_missing(value: Any) -> bool:
    """Return whether a value counts as null: None or NaN."""
    return value is None or (isinstance(value, (float, np.floating)) and value != value)


def compare(left: Any, right: Any, key: SortKey) -> int:
    """Return −1, 0 or 1: where a value stands in the output beside another, nested ones too."""
    groups = [_group(left, key), _group(right, key)]
    if any(groups):
        return (groups[0] > groups[1]) - (groups[0] < groups[1])
    turn = -1 if key.descending else 1
    if isinstance(left, dict):
        left, right = list(left.values()), list(right.values())
    if isinstance(left, list | tuple):
        found = (compare(a, b, key) for a, b in zip(left, right, strict=False))
        by_length = turn * ((len(left) > len(right)) - (len(left) < len(right)))
        return next(filter(None, found), by_length)
    return turn * ((left > right) - (left < right))


def _group(value: Any, key: SortKey) -> int:
    """Return where a value's kind stands: nulls −2 or 2, NaN −1 or 1, others 0."""
    is_nan = isinstance(value, float | np.floating) and value != value
    if is_nan and key.nan_first is not None:
        return -1 if key.nan_first else 1
    return (-2 if key.nulls_first else 2) if value is None or is_nan else 0


def oracle(table: pa.Table, keys: Sequence[SortKey]) -> list[int]:
    """Return the stable order of a table's rows, by Python's own sort, one key at a time.

    Nulls and NaN stand together at their end; from the last key to the first,
    each pass keeps the order of the one before it. Structs and lists, and keys with a place
    for NaN, are compared value by value.
    """
    order = list(range(table.num_rows))
    for key in reversed(keys):
        column = column_at(table, key.column)
        values = column.to_pylist()
        if key.nan_first is not None or pa.types.is_nested(column.type):
            by_value = cmp_to_key(partial(compare, key=key))
            order.sort(key=lambda i, v=values, by=by_value: by(v[i]))
            continue
        missing = [i for i in order if is_missing(values[i])]
        present = [i for i in order if not is_missing(values[i])]
        present.sort(key=values.__getitem__, reverse=key.descending)
        order = missing + present if key.nulls_first else present + missing
    return order


def same_as_before(table: pa.Table, order: Sequence[int]) -> list[bool]:
    """Return for each row of an order whether its key is that of the row before it."""
    columns = [column.to_pylist() for column in table.columns]
    keys = [
        tuple(None if is_missing(v) else v for v in row) for row in zip(*columns, strict=True)
    ]
    return [i > 0 and keys[row] == keys[order[i - 1]] for i, row in enumerate(order)]


class Stream:
    """Nothing but the Arrow C stream interface."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Array:
    """Nothing but the Arrow C array interface."""

    def __init__(self, array: pa.RecordBatch | pa.Array) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._array.__arrow_c_array__(requested_schema)


def batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def chunked(table: pa.Table) -> pa.Table:
    third = table.num_rows // 3
    pieces = [table.slice(0, third), table.slice(0, 0), table.slice(third)]
    return pa.concat_tables(pieces)


class PlainType(pa.ExtensionType):
    """A type as people write them, which can't be hashed."""

    def __init__(self):
        super().__init__(pa.int64(), "dlsort.test.plain")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, data):
        return cls()
