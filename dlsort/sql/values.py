"""Values: what a part of a condition is, and how two of them come to one type, as in SQL."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text
from dlsort.errors import DlsortError, shown

__all__ = ["NO_VALUE", "Interval", "Refused", "Value", "as_kind", "family", "paired"]


class Refused(DlsortError):
    """Why a condition can't be used; whoever reads it names it."""


@dataclass(frozen=True)
class Value:
    """A part of a condition that has a value for each row.

    Parameters
    ----------
    made : pyarrow.compute.Expression
        Its value.
    kind : pyarrow.DataType
        Its type.
    literal : object
        What stands there, if it is a text, a number, a date or a timestamp; else None.
    """

    made: Any
    kind: pa.DataType
    literal: Any = None

    @classmethod
    def of(cls, value: Any, kind: pa.DataType | None = None) -> Value:
        """Return a constant."""
        scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value, kind)
        literal = value.as_py() if isinstance(value, pa.Scalar) else value
        return cls(pc.scalar(scalar), scalar.type, literal)


@dataclass(frozen=True)
class Interval:
    """A span of time: calendar months, and a length."""

    months: int
    length: datetime.timedelta

    def after(self, moment: datetime.date, sign: int) -> datetime.date:
        """Return the date or timestamp so much later, or earlier if the sign is −1."""
        month = moment.year * 12 + moment.month - 1 + sign * self.months
        year, month = divmod(month, 12)
        first = moment.replace(year=year, month=month + 1, day=1)
        last = (first.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
        days = (last - datetime.timedelta(days=1)).day
        found = first.replace(day=min(moment.day, days))
        is_whole = not self.length % datetime.timedelta(days=1)
        if not isinstance(found, datetime.datetime) and not is_whole:
            found = datetime.datetime.combine(found, datetime.time())
        return found + sign * self.length


NO_VALUE = Value(pc.scalar(pa.scalar(None, pa.null())), pa.null())

_FAMILIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("null", pt.is_null),
    ("a truth value", pt.is_boolean),
    ("a number", lambda kind: pt.is_integer(kind) or pt.is_floating(kind)),
    ("a number", pt.is_decimal),
    ("text", is_text),
    ("bytes", lambda kind: is_binary(kind) or pt.is_fixed_size_binary(kind)),
    ("a date", pt.is_date),
    ("a timestamp", pt.is_timestamp),
    ("a time of day", pt.is_time),
    ("a duration", pt.is_duration),
)


def family(kind: pa.DataType) -> str:
    """Return what to call values of a type; those of one family compare."""
    return next((name for name, is_kind in _FAMILIES if is_kind(kind)), str(kind))


def as_kind(value: Value, kind: pa.DataType) -> Value:
    """Return a value in another type; a constant is converted at once.

    Raises
    ------
    Refused
        If a constant has no value of the type.
    """
    if value.kind == kind:
        return value
    if pt.is_null(value.kind):
        return Value(pc.scalar(pa.scalar(None, kind)), kind)
    if value.literal is None:
        return Value(value.made.cast(kind), kind)
    try:
        return Value.of(_converted(value, kind))
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        msg = f"{shown(value.literal)} is no value of type {kind}"
        raise Refused(msg) from error


def _converted(value: Value, kind: pa.DataType) -> pa.Scalar:
    literal = value.literal
    if pt.is_floating(kind) and isinstance(literal, int | Decimal | float):
        return pa.scalar(float(literal), kind)
    if pt.is_decimal(kind) and isinstance(literal, int | Decimal):
        return pa.scalar(Decimal(literal), kind)
    if family(kind) == "bytes" and isinstance(literal, str):
        return pa.scalar(literal.encode(), kind)
    scalar = pa.scalar(literal, value.kind)
    if pt.is_timestamp(kind) and kind.tz is not None:
        try:
            return scalar.cast(kind)
        except pa.ArrowInvalid:  # it tells no zone: UTC
            return scalar.cast(pa.timestamp(kind.unit)).cast(kind)
    return scalar.cast(kind)


def paired(left: Value, right: Value) -> tuple[Value, Value]:
    """Return two values in types that compare.

    Raises
    ------
    Refused
        If there are none.
    """
    left, right = _fitted(left, right), _fitted(right, left)
    left, right = _fitted(left, right), _fitted(right, left)  # the first has its type now
    one, other = family(left.kind), family(right.kind)
    if one == other == "a timestamp" and (left.kind.tz is None) != (right.kind.tz is None):
        zone = left.kind.tz or right.kind.tz
        left, right = (as_kind(v, pa.timestamp(v.kind.unit, zone)) for v in (left, right))
    if {one, other} == {"a date", "a timestamp"}:
        kind = left.kind if one == "a timestamp" else right.kind
        left, right = as_kind(left, kind), as_kind(right, kind)
    elif one != other:
        msg = f"{one} does not compare with {other}; convert one, as in cast(x as bigint)"
        raise Refused(msg)
    return left, right


def _fitted(value: Value, other: Value) -> Value:
    """Return a constant in the type of what it is put beside, where it has a value there."""
    kind = other.kind
    if pt.is_null(value.kind) and not pt.is_null(kind):
        return as_kind(value, kind)
    if isinstance(value.literal, str) and is_text(value.kind):
        is_same = is_text(kind) or pt.is_null(kind)
        return value if is_same else as_kind(value, kind)
    is_number = isinstance(value.literal, int | Decimal | float) and family(kind) == "a number"
    if is_number and not isinstance(value.literal, bool) and other.literal is None:
        try:
            return as_kind(value, kind)
        except Refused:  # as 1.5 beside whole numbers
            wide = pt.is_integer(kind) and not isinstance(value.literal, float)
            return as_kind(value, pa.decimal128(38, 9)) if wide else value
    return value
