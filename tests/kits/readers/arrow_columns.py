"""Columns of Arrow's types, four values each, of which the second is null."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["ARROW", "ONLY_PYARROW"]

_AT = dt.datetime(2024, 1, 1, 1, 2, 3)
_FAR = [dt.datetime(1, 1, 1), None, _AT.replace(1600), dt.datetime(9999, 12, 31)]
_NEAR = [dt.datetime(1700, 1, 1), None, _AT, dt.datetime(2262, 1, 1)]
_TEXTS = ["", None, "zoë", "日本"]
_BYTES = [b"", None, b"\0\xff", b"a"]
_FLOATS = [float("nan"), None, -0.0, 1.5]


def _array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.array(values, kind)


def _integers() -> dict[str, pa.Array]:
    found = {}
    for bits in (8, 16, 32, 64):
        signed, unsigned = getattr(pa, f"int{bits}")(), getattr(pa, f"uint{bits}")()
        high = 2 ** (bits - 1)
        found[str(signed)] = _array(signed, [-high, None, 0, high - 1])
        found[str(unsigned)] = _array(unsigned, [1, None, 0, 2 * high - 1])
    return found


def _decimals() -> dict[str, pa.Array]:
    kinds = [(pa.decimal128, 9, 2), (pa.decimal128, 18, 4), (pa.decimal128, 38, 10)]
    kinds += [(pa.decimal32, 9, 2), (pa.decimal64, 18, 4), (pa.decimal256, 76, 10)]
    values = [Decimal("-9999.9"), None, Decimal(0), Decimal("1.5")]
    return {str(k(p, s)): _array(k(p, s), values) for k, p, s in kinds}


def _times() -> dict[str, pa.Array]:
    stamps = {
        str(pa.timestamp(unit, zone)): _array(
            pa.timestamp(unit, zone), _NEAR if unit == "ns" or zone == "+05:30" else _FAR
        )
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC")
    }
    for zone in ("Europe/Berlin", "+05:30"):
        stamps[f"timestamp[us, tz={zone}]"] = _array(pa.timestamp("us", zone), _NEAR)
    times = [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
    spans = [pa.duration(unit) for unit in ("s", "ms", "us", "ns")]
    dates = [pa.date32(), pa.date64()]
    return {
        **{str(k): _array(k, [d and d.date() for d in _FAR]) for k in dates},
        **{str(k): _array(k, [1, None, 0, 86_399]) for k in times},
        **stamps,
        **{str(k): _array(k, [-5, None, 0, 10**9]) for k in spans},
    }


def _nested() -> dict[str, pa.Array]:
    pair = pa.struct([("a", pa.int64()), ("b", pa.string())])
    kinds = {
        pa.list_(pa.int64()): [[1, None], None, [], [3]],
        pa.large_list(pa.string()): [["a", None], None, [], ["b"]],
        pa.list_(pa.int32(), 2): [[1, None], None, [2, 3], [4, 5]],
        pa.list_(pa.list_(pa.string())): [[["a"], None], None, [], [[]]],
        pair: [{"a": 1}, None, {}, {"a": 2, "b": "x"}],
        pa.map_(pa.string(), pa.int64()): [[("a", 1), ("b", None)], None, [], [("c", 2)]],
        pa.list_(pa.struct([("t", pa.timestamp("us")), ("d", pa.decimal128(9, 2))])): [
            [{"t": _FAR[0], "d": Decimal("1.5")}], None, [], [None]],
        pa.map_(pa.int32(), pa.list_(pair)): [[(1, [{"a": 1}])], None, [], [(2, None)]],
    }  # fmt: skip
    return {str(kind): _array(kind, values) for kind, values in kinds.items()}


def _coded() -> dict[str, pa.Array]:
    texts, numbers = ["b", None, "a", "b"], [7, None, 5, 7]
    columns = [
        (pa.dictionary(pa.int32(), pa.string()), texts),
        (pa.dictionary(pa.int32(), pa.large_string()), texts),
        (pa.dictionary(pa.int8(), pa.string(), ordered=True), texts),
        (pa.dictionary(pa.int32(), pa.int64()), numbers),
    ]
    return {str(kind): _array(kind, values) for kind, values in columns}


#: Of types that every writer of Arrow tables has.
ARROW: dict[str, pa.Array] = {
    "bool": _array(pa.bool_(), [True, None, False, True]),
    **_integers(),
    "halffloat": _array(pa.float16(), [v if v is None else np.float16(v) for v in _FLOATS]),
    "float": _array(pa.float32(), _FLOATS),
    "double": _array(pa.float64(), _FLOATS),
    **_decimals(),
    **_times(),
    **{str(k): _array(k, _TEXTS) for k in (pa.string(), pa.large_string(), pa.string_view())},
    **{str(k): _array(k, _BYTES) for k in (pa.binary(), pa.large_binary(), pa.binary_view())},
    "fixed_size_binary[3]": _array(pa.binary(3), [b"abc", None, b"\0\0\xff", b"zzz"]),
    **_coded(),
    **_nested(),
    "null": pa.nulls(4),
}
_UUIDS = _array(pa.binary(16), [b"\5" * 16, None, b"\3" * 16, b"\xff" * 16])
#: Of types that are pyarrow's own.
ONLY_PYARROW: dict[str, pa.Array] = {
    "extension arrow.uuid": pa.ExtensionArray.from_storage(pa.uuid(), _UUIDS),
    "extension arrow.json": pa.ExtensionArray.from_storage(
        pa.json_(), pa.array(['{"a": 1}', None, "[]", "null"])
    ),
    "extension arrow.bool8": pa.ExtensionArray.from_storage(
        pa.bool8(), pa.array([1, None, 0, 1], pa.int8())
    ),
    "list_view<item: int64>": _array(pa.list_view(pa.int64()), [[1, None], None, [], [3]]),
}
