"""Operators: comparisons, arithmetic, intervals, and the types that CAST names."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from sqlglot import exp

from dlsort.errors import shown
from dlsort.sql.values import Interval, Refused, Value, as_kind

__all__ = [
    "ARITHMETIC",
    "COMPARED",
    "arguments_of",
    "interval_of",
    "names_of",
    "type_named",
]

_TYPES: Mapping[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "TEXT": pa.string(),
    "VARCHAR": pa.string(),
    "CHAR": pa.string(),
    "VARBINARY": pa.binary(),
    "BINARY": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}

_SPANS = {"WEEK": 604_800, "DAY": 86_400, "HOUR": 3_600, "MINUTE": 60, "SECOND": 1}
_MONTHS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}


def type_named(node: Any) -> pa.DataType:
    """Return the type that a CAST names.

    Raises
    ------
    Refused
        If there is no such type here.
    """
    wanted = node.to.this.name
    if wanted == "DECIMAL":
        sizes = [int(each.name) for each in node.to.expressions] or [38, 10]
        return pa.decimal128(*(sizes if len(sizes) > 1 else [sizes[0], 0]))
    if wanted in _TYPES and not isinstance(node, exp.TryCast):
        return _TYPES[wanted]
    names = ", ".join(_TYPES).lower()
    raise Refused(f"{shown(node.sql())} is not known here; types are {names}, decimal")


def interval_of(node: Any) -> Interval:
    """Return the interval that a node is.

    Raises
    ------
    Refused
        If it has no whole number, or no unit that is known.
    """
    unit = node.args["unit"].name.upper().removesuffix("S") if node.args.get("unit") else ""
    try:
        amount = int(node.this.name)
    except (ValueError, AttributeError) as error:
        msg = f"{shown(node.sql())}: an interval has a whole number, as in interval '3' day"
        raise Refused(msg) from error
    if unit in _MONTHS:
        return Interval(amount * _MONTHS[unit], datetime.timedelta())
    if unit in _SPANS:
        return Interval(0, datetime.timedelta(seconds=amount * _SPANS[unit]))
    units = ", ".join([*_MONTHS, *_SPANS]).lower()
    raise Refused(f"{shown(node.sql())}: an interval is of {units}")


def names_of(node: Any) -> list[str]:
    """Return the parts of a column's name, as dots part them."""
    if isinstance(node, exp.Dot):
        return [*names_of(node.this), *names_of(node.expression)]
    return [part.name for part in node.parts] if isinstance(node, exp.Column) else [node.name]


def arguments_of(node: Any) -> list[Any]:
    """Return the arguments of a function, in order."""
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    found = (node.args.get(name) for name in node.arg_types)
    return [each for each in found if isinstance(each, exp.Expression)]


def _divided(left: Value, right: Value) -> Any:
    """Return the quotient as a float; what is divided by 0 is infinite, or no number."""
    double = pa.float64()
    return pc.divide(as_kind(left, double).made, as_kind(right, double).made)


def _remainder(left: Value, right: Value) -> Any:
    """Return what is left of a division, of the sign of what is divided; null by 0."""
    nothing = pc.scalar(pa.scalar(None, right.kind))
    is_zero = right.made == as_kind(Value.of(0), right.kind).made
    divisor = pc.if_else(is_zero, nothing, right.made)
    quotient = pc.divide(left.made, divisor)
    if not pt.is_integer(left.kind) or not pt.is_integer(right.kind):
        quotient = pc.trunc(quotient)
    return left.made - quotient * divisor


COMPARED: Mapping[Any, Callable[[Any, Any], Any]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
}
ARITHMETIC: Mapping[Any, Callable[[Value, Value], Any]] = {
    exp.Add: lambda a, b: a.made + b.made,
    exp.Sub: lambda a, b: a.made - b.made,
    exp.Mul: lambda a, b: a.made * b.made,
    exp.Div: _divided,
    exp.Mod: _remainder,
}
