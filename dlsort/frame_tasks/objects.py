"""Key columns of Python objects: what they hold, and one Arrow type for all of it.

Partitions of an object column may hold strings here and only nulls there, or
decimals with other scales. So each partition takes a :class:`Census` of its
whole column, and :func:`agree` finds the type that holds them all. Numbers of
several types are compared as Python does, by their exact values (:func:`number_bytes`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dlsort.errors import KeyTypeError

__all__ = ["AWARE", "Census", "ObjectKey", "agree", "nanoseconds_of", "take_census"]

Objects = npt.NDArray[np.object_]

# The first that fits counts: a bool is an int too, a datetime a date.
KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((bool, np.bool_), "bool"),
    ((int, np.integer), "int"),
    ((float, np.float16, np.float32), "float"),
    (str, "str"),
    (bytes, "bytes"),
    (Decimal, "Decimal"),
    (dt.datetime, "datetime"),
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "timedelta"),
)
AWARE = "datetime with time zone"
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EPOCH = dt.datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=dt.UTC)
DECIMAL128_DIGITS, DECIMAL256_DIGITS = 38, 76
MOST = 10**DECIMAL256_DIGITS


@dataclass(frozen=True)
class Census:
    """What the values of an object column are.

    Parameters
    ----------
    kinds : frozenset of str
        Their types, nulls left out.
    low, high : int
        Range of those that are compared as integers.
    digits, scale : int
        Most digits before and behind the point of decimals.
    """

    kinds: frozenset[str] = frozenset()
    low: int = 0
    high: int = 0
    digits: int = 0
    scale: int = 0

    def __or__(self, other: Census) -> Census:
        """Return the census of both together."""
        return Census(
            self.kinds | other.kinds,
            min(self.low, other.low),
            max(self.high, other.high),
            max(self.digits, other.digits),
            max(self.scale, other.scale),
        )


def take_census(values: Objects) -> Census:
    """Return what an object column holds; time O(n), in Python."""
    present = values[~pd.isna(values)]
    kinds = {_kind(kind) for kind in set(map(type, present))}
    if "datetime" in kinds:
        kinds.discard("datetime")
        kinds |= {
            "datetime" if v.tzinfo is None else AWARE for v in _of_type(present, dt.datetime)
        }
    if "time" in kinds and any(v.tzinfo is not None for v in _of_type(present, dt.time)):
        kinds = kinds - {"time"} | {"time with time zone"}
    if "Decimal" in kinds and any(v.is_infinite() for v in _of_type(present, Decimal)):
        kinds |= {"infinite Decimal"}
    if len(kinds) != 1:
        return Census(frozenset(kinds))
    (kind,) = kinds
    if kind in AS_INT:
        numbers = [AS_INT[kind](v) for v in present]
        return Census(frozenset(kinds), min(numbers), max(numbers))
    if kind == "Decimal":
        with contextlib.suppress(pa.ArrowInvalid, TypeError):  # more digits than it has
            found = pa.infer_type(present)
            if pa.types.is_decimal(found):
                digits, scale = found.precision - found.scale, found.scale
                return Census(frozenset(kinds), 0, 0, max(digits, 0), max(scale, 0))
        parts = [v.as_tuple() for v in present]
        digits = max(max(0, len(p.digits) + p.exponent) for p in parts)
        return Census(frozenset(kinds), 0, 0, digits, max(max(0, -p.exponent) for p in parts))
    return Census(frozenset(kinds))


def _of_type(values: Objects, kind: type) -> Iterable[Any]:
    return (value for value in values if isinstance(value, kind))


def _kind(kind: type) -> str:
    for types, name in KINDS:
        if issubclass(kind, types):
            return name
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _nanoseconds(value: Any) -> int:
    if isinstance(value, dt.datetime):
        finer = getattr(value, "nanosecond", 0)  # of a pandas Timestamp
        plain = value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value
        since = plain - (EPOCH if plain.tzinfo is None else EPOCH_UTC)
    else:
        since, finer = value, getattr(value, "nanoseconds", 0)  # of a pandas Timedelta
    return ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1000 + finer


def nanoseconds_of(value: pd.Timestamp) -> int:
    """Return a timestamp of any unit as nanoseconds; they may need more than 64 bits."""
    return int(value.asm8.view(np.int64)) * NANOSECONDS[value.unit]


def _microsecond_of_day(value: dt.time) -> int:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * 10**6 + value.microsecond


# Kinds that are compared as integers.
AS_INT: dict[str, Callable[[Any], int]] = {
    "int": int,
    "datetime": _nanoseconds,
    AWARE: _nanoseconds,
    "time": _microsecond_of_day,
    "timedelta": _nanoseconds,
}
# Kinds that Arrow itself converts, without a loop in Python.
DIRECT = {"Decimal", "date"}
PLAIN: dict[str, tuple[pa.DataType, Callable[[Any], Any]]] = {
    "bool": (pa.bool_(), bool),
    "float": (pa.float64(), float),
    "bytes": (pa.large_binary(), bytes),
    "str": (pa.large_binary(), lambda text: text.encode("utf-8", "surrogatepass")),
    "number": (pa.large_binary(), lambda number: number_bytes(number)),
}
# Kinds that Python compares with each other.
NUMBERS = {"bool", "int", "float", "Decimal", "infinite Decimal"}

LOWEST, NEGATIVE, ZERO, POSITIVE, HIGHEST = (bytes([i]) for i in range(5))
DIGIT = bytes((i + 1) % 256 for i in range(256))  # none is the end's
TURNED = bytes(255 - i for i in range(256))


def number_bytes(number: Any) -> bytes:
    """Return a number as bytes that compare as numbers do, exactly, whatever holds them.

    Sign, number of digits before the point, digits, end. Of negative numbers all is turned.

    Examples
    --------
    >>> number_bytes(1) == number_bytes(1.0) == number_bytes(Decimal("1.00"))
    True
    >>> number_bytes(-2) < number_bytes(0.1) < number_bytes(Decimal("0.1000000000000000056"))
    True
    """
    if not isinstance(number, Decimal):
        whole = isinstance(number, bool | np.bool_ | int | np.integer)
        number = Decimal(int(number) if whole else float(number))
    sign, digits, exponent = number.as_tuple()
    if exponent == "F":
        return LOWEST if sign else HIGHEST
    if not any(digits):
        return ZERO
    before = len(digits) + exponent + 2**62
    body = before.to_bytes(8, "big") + bytes(digits).rstrip(b"\0").translate(DIGIT) + b"\0"
    return NEGATIVE + body.translate(TURNED) if sign else POSITIVE + body


@dataclass(frozen=True)
class ObjectKey:
    """How the objects of one key column become Arrow values that sort as they do.

    Parameters
    ----------
    kind : str or None
        What they all are; None if there are only nulls.
    type : pyarrow.DataType
        What they become.
    """

    kind: str | None
    type: pa.DataType

    def encode(self, values: Objects) -> pa.Array:
        """Return the values, or those of some rows, as Arrow; time O(n), in Python."""
        if self.kind is None:
            return pa.nulls(len(values), self.type)
        missing = pd.isna(values)
        if self.kind in DIRECT:
            return pa.array(values, self.type, mask=missing)
        convert = self._convert()
        converted = [None if m else convert(v) for v, m in zip(values, missing, strict=True)]
        return pa.array(converted, self.type)

    def _convert(self) -> Callable[[Any], Any]:
        kind = self.kind or ""
        if kind in PLAIN:
            return PLAIN[kind][1]
        as_int = AS_INT[kind]
        if pa.types.is_decimal(self.type):
            return lambda value: Decimal(as_int(value))
        return as_int


def agree(censuses: Sequence[Census], label: Any) -> ObjectKey:
    """Return the Arrow type for a key column, from every partition's census.

    Raises
    ------
    KeyTypeError
        If the column holds several kinds of values that are not all numbers, or one that
        can't be a key.
    """
    total = Census()
    for census in censuses:
        total |= census
    if not total.kinds:
        return ObjectKey(None, pa.null())
    if total.kinds <= NUMBERS and (len(total.kinds) > 1 or not _fits(total)):
        return ObjectKey("number", PLAIN["number"][0])
    if len(total.kinds) > 1:
        where = [
            f"{kind} in partition {next(i for i, c in enumerate(censuses) if kind in c.kinds)}"
            for kind in sorted(total.kinds)
        ]
        msg = (
            f"cannot sort by {label!r}: it holds objects of several types "
            f"({', '.join(where)}); expected one, or numbers. Convert it to one type first."
        )
        raise KeyTypeError(msg)
    (kind,) = total.kinds
    if kind in PLAIN:
        return ObjectKey(kind, PLAIN[kind][0])
    if kind == "date":
        return ObjectKey(kind, pa.date32())
    if kind == "Decimal":
        return ObjectKey(kind, _decimal(total.digits + total.scale, total.scale))
    if kind in AS_INT:
        return ObjectKey(kind, _integer(total.low, total.high))
    msg = (
        f"cannot sort by {label!r}: it holds {kind} objects. Objects in a key column can be "
        "str, bytes, bool, int, float, Decimal, date, datetime, time or timedelta."
    )
    raise KeyTypeError(msg)


def _fits(census: Census) -> bool:
    """Return whether integers or decimals have no more digits than Arrow's."""
    largest = max(-census.low, census.high)
    return census.digits + census.scale <= DECIMAL256_DIGITS and largest < MOST


def _integer(low: int, high: int) -> pa.DataType:
    if low >= -(2**63) and high < 2**63:
        return pa.int64()
    if low >= 0 and high < 2**64:
        return pa.uint64()
    return _decimal(len(str(max(-low, high))), 0)


def _decimal(digits: int, scale: int) -> pa.DataType:
    precision = max(1, digits)
    if precision <= DECIMAL128_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale)
