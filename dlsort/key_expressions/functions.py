"""The functions that an expression may call, on Arrow's values; as DuckDB has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_text
from dlsort.errors import KeyTypeError
from dlsort.key_expressions.casefold import casefold
from dlsort.key_expressions.collation import collation_keys
from dlsort.key_expressions.natural import natural_keys
from dlsort.key_expressions.numeric import numeric_keys

__all__ = ["FUNCTIONS", "TYPES", "UNITS", "Function"]

MANY = 10_000

UNITS = (
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
)

TYPES: Mapping[str, pa.DataType] = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "utinyint": pa.uint8(),
    "usmallint": pa.uint16(),
    "uinteger": pa.uint32(),
    "ubigint": pa.uint64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "decimal": pa.decimal128(18, 3),
    "text": pa.string(),
    "blob": pa.binary(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Function:
    """A function.

    Parameters
    ----------
    of : callable
        Of arrays and scalars, one of them an array.
    least, most : int
        How many arguments it has.
    of_values : bool
        Whether it makes of each value of its first argument another, of null null: then of
        a dictionary's values, too.
    """

    of: Callable[..., Any]
    least: int = 1
    most: int = 0
    of_values: bool = False

    @property
    def n_args(self) -> tuple[int, int]:
        """How many arguments it has: at least, and at most."""
        return self.least, self.most or self.least


# ---------------------------------------------------------------- what they are made of


def _text(values: Any, name: str) -> Any:
    """Return text; nulls of no type count as such."""
    if pt.is_null(values.type):
        return values.cast(pa.string())
    if not is_text(values.type):
        msg = f"{name} needs text; found {values.type}"
        raise KeyTypeError(msg)
    return values


def _of_text(name: str, make: Callable[..., Any], n_args: tuple[int, int] = (1, 1)) -> Function:
    return Function(lambda v, *more: make(_text(v, name), *more), *n_args, of_values=True)


def _whole(scalar: Any, name: str) -> int:
    """Return a whole number that is written out."""
    value = scalar.as_py() if isinstance(scalar, pa.Scalar) else None
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{name} needs a whole number that is written out"
        raise KeyTypeError(msg)
    return value


def _substr(text: Any, start: Any, length: Any = None) -> Any:
    first = _whole(start, "substr")
    count = None if length is None else _whole(length, "substr")
    if first == 0 or (count is not None and count < 0):
        msg = "substr counts signs from 1, or back from -1, and takes no less than 0"
        raise KeyTypeError(msg)
    first -= first > 0
    stop = None if count is None else first + count
    if first < 0 and stop is not None and stop >= 0:
        stop = None
    return pc.utf8_slice_codeunits(text, first, stop)


def _left(text: Any, count: Any) -> Any:
    return pc.utf8_slice_codeunits(text, 0, _whole(count, "left"))


def _right(text: Any, count: Any) -> Any:
    n = _whole(count, "right")
    return pc.utf8_slice_codeunits(text, -n if n > 0 else 2**31 - 1, None)


def _replace(text: Any, old: Any, new: Any) -> Any:
    pattern, replacement = (
        each.as_py() if isinstance(each, pa.Scalar) else None for each in (old, new)
    )
    if not isinstance(pattern, str) or not isinstance(replacement, str) or not pattern:
        msg = "replace needs two texts that are written out"
        raise KeyTypeError(msg)
    return pc.replace_substring(text, pattern, replacement)


def _collate(text: Any, locale: Any) -> Any:
    name = locale.as_py() if isinstance(locale, pa.Scalar) else None
    if not isinstance(name, str):
        msg = "collation_key needs a locale that is written out"
        raise KeyTypeError(msg)
    return collation_keys(text, name)


def _joined(parts: tuple[Any, ...], nulls: str) -> Any:
    texts = [each.cast(pa.large_string()) for each in parts]
    empty = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(*texts, empty, null_handling=nulls)


def _alike(one: Any, other: Any) -> tuple[Any, Any]:
    """Return both as one type, where one is text that is written out."""
    for a, b in ((one, other), (other, one)):
        if isinstance(a, pa.Scalar) and is_text(a.type) and not is_text(b.type):
            return (a.cast(b.type), b) if a is one else (b, a.cast(b.type))
    return one, other


def _compared(compare: Callable[..., Any]) -> Function:
    return Function(lambda a, b: compare(*_alike(a, b)), 2)


def _divided(a: Any, b: Any) -> Any:
    return pc.divide(a.cast(pa.float64()), b.cast(pa.float64()))


def _rest(a: Any, b: Any) -> Any:
    """Return what is left of a division, of the sign of the dividend."""
    if not pt.is_floating(b.type):  # of 0 there is no rest
        zero = pa.scalar(0).cast(b.type)
        b = pc.if_else(pc.equal(b, zero), pa.scalar(None, b.type), b)
    whole = pc.divide(a, b)
    whole = whole if pt.is_integer(whole.type) else pc.trunc(whole)
    return pc.subtract(a, pc.multiply(whole, b))


def _rounded(values: Any, digits: Any = None) -> Any:
    n = 0 if digits is None else _whole(digits, "round")
    return pc.round(values, ndigits=n, round_mode="half_towards_infinity")


def _nullif(values: Any, other: Any) -> Any:
    is_other = pc.fill_null(pc.equal(*_alike(values, other)), fill_value=False)
    return pc.if_else(is_other, pa.scalar(None, values.type), values)


def _in(values: Any, *choices: Any) -> Any:
    return reduce(pc.or_kleene, [pc.equal(*_alike(values, each)) for each in choices])


def _case(*args: Any) -> Any:
    *pairs, default = args
    kinds = [each.type for each in (*pairs[1::2], default)]
    kind = next((each for each in kinds if not pt.is_null(each)), kinds[0])
    *values, default = (
        each.cast(kind) if pt.is_null(each.type) else each for each in (*pairs[1::2], default)
    )
    conditions = [pc.fill_null(each, fill_value=False) for each in pairs[::2]]
    if all(isinstance(each, pa.Scalar) for each in conditions):
        pick = next((i for i, each in enumerate(conditions) if each.as_py()), len(conditions))
        return (*values, default)[pick]
    n = max(len(each) for each in conditions if not isinstance(each, pa.Scalar))
    columns = [
        pa.repeat(each, n) if isinstance(each, pa.Scalar) else each for each in conditions
    ]
    names = [str(i) for i in range(len(columns))]
    return pc.case_when(pc.make_struct(*columns, field_names=names), *values, default)


def _cast(values: Any, to: Any) -> Any:
    name, _, size = to.as_py().partition("(")
    kind = TYPES[name]
    if size:
        kind = pa.decimal128(*map(int, size.rstrip(")").split(",")))
    if pt.is_floating(values.type) and pt.is_integer(kind):
        values = pc.round(values)
    return values.cast(kind)


def _date_trunc(unit: Any, values: Any) -> Any:
    return pc.floor_temporal(values, unit=unit.as_py())


def _of_times(make: Callable[..., Any], **how: Any) -> Function:
    return Function(lambda values: make(values, **how), of_values=True)


FUNCTIONS: Mapping[str, Function] = {
    # text
    "lower": _of_text("lower", pc.utf8_lower),
    "upper": _of_text("upper", pc.utf8_upper),
    "length": _of_text("length", pc.utf8_length),
    "trim": _of_text("trim", pc.utf8_trim_whitespace),
    "ltrim": _of_text("ltrim", pc.utf8_ltrim_whitespace),
    "rtrim": _of_text("rtrim", pc.utf8_rtrim_whitespace),
    "reverse": _of_text("reverse", pc.utf8_reverse),
    "substr": _of_text("substr", _substr, (2, 3)),
    "left": _of_text("left", _left, (2, 2)),
    "right": _of_text("right", _right, (2, 2)),
    "replace": _of_text("replace", _replace, (3, 3)),
    "concat": Function(lambda *parts: _joined(parts, "skip"), 1, MANY),
    "||": Function(lambda *parts: _joined(parts, "emit_null"), 2),
    "casefold": _of_text("casefold", casefold),
    "natural_key": _of_text("natural_key", natural_keys),
    "numeric_key": _of_text("numeric_key", numeric_keys),
    "collation_key": _of_text("collation_key", _collate, (2, 2)),
    # numbers
    "+": Function(pc.add_checked, 2),
    "-": Function(pc.subtract_checked, 2),
    "*": Function(pc.multiply_checked, 2),
    "/": Function(_divided, 2),
    "%": Function(_rest, 2),
    "negative": Function(pc.negate_checked, of_values=True),
    "abs": Function(pc.abs_checked, of_values=True),
    "sign": Function(pc.sign, of_values=True),
    "round": Function(_rounded, 1, 2, of_values=True),
    "floor": Function(pc.floor, of_values=True),
    "ceil": Function(pc.ceil, of_values=True),
    "sqrt": Function(pc.sqrt, of_values=True),
    "greatest": Function(pc.max_element_wise, 1, MANY),
    "least": Function(pc.min_element_wise, 1, MANY),
    # dates and times
    "date_trunc": Function(_date_trunc, 2),
    "year": _of_times(pc.year),
    "quarter": _of_times(pc.quarter),
    "month": _of_times(pc.month),
    "week": _of_times(pc.iso_week),
    "day": _of_times(pc.day),
    "dayofweek": _of_times(pc.day_of_week, count_from_zero=True, week_start=7),
    "dayofyear": _of_times(pc.day_of_year),
    "hour": _of_times(pc.hour),
    "minute": _of_times(pc.minute),
    "second": _of_times(pc.second),
    # what is true, and nulls
    "=": _compared(pc.equal),
    "<>": _compared(pc.not_equal),
    "<": _compared(pc.less),
    "<=": _compared(pc.less_equal),
    ">": _compared(pc.greater),
    ">=": _compared(pc.greater_equal),
    "and": Function(pc.and_kleene, 2),
    "or": Function(pc.or_kleene, 2),
    "not": Function(pc.invert),
    "in": Function(_in, 2, MANY),
    "is null": Function(pc.is_null),
    "nullif": Function(_nullif, 2),
    "coalesce": Function(pc.coalesce, 1, MANY),
    "case": Function(_case, 3, MANY),
    "cast": Function(_cast, 2, of_values=True),
}
