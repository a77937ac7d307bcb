"""Functions: those of SQL that conditions may use, each as functions of Arrow's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.errors import shown
from dlsort.sql.values import Refused, Value, as_kind, family
from dlsort.wording import did_you_mean

__all__ = ["NAMES", "PARTS", "call", "part_of", "truncated"]

Made = Callable[..., Any]  # of the arguments' expressions


def _slice(text: Any, start: Any, length: Any = None) -> Any:
    first = int(start.literal) - 1
    last = None if length is None else first + int(length.literal)
    return pc.utf8_slice_codeunits(text.made, start=max(first, 0), stop=last)


def _round(number: Any, digits: Any = None) -> Any:
    n = 0 if digits is None else int(digits.literal)
    return pc.round(number.made, ndigits=n, round_mode="half_towards_infinity")


# Its name in SQL: the family of its first argument, and how it is made of all of them.
_OF_ONE: Mapping[str, tuple[str, Made]] = {
    "lower": ("text", lambda a: pc.utf8_lower(a.made)),
    "upper": ("text", lambda a: pc.utf8_upper(a.made)),
    "length": ("text", lambda a: pc.utf8_length(a.made).cast(pa.int64())),
    "trim": ("text", lambda a: pc.utf8_trim_whitespace(a.made)),
    "substring": ("text", _slice),
    "starts_with": ("text", lambda a, b: pc.starts_with(a.made, pattern=_constant(b))),
    "abs": ("a number", lambda a: pc.abs_checked(a.made)),
    "ceil": ("a number", lambda a: pc.ceil(a.made)),
    "floor": ("a number", lambda a: pc.floor(a.made)),
    "round": ("a number", _round),
}

#: What ``extract`` takes of a date or a timestamp.
PARTS: Mapping[str, Callable[[Any], Any]] = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "dow": lambda a: pc.day_of_week(a, count_from_zero=True, week_start=7),
    "isodow": lambda a: pc.day_of_week(a, count_from_zero=False, week_start=1),
    "doy": pc.day_of_year,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
}
_ALIASES = {"dayofweek": "dow", "dayofyear": "doy", "weekofyear": "week", "dayofmonth": "day"}
_OF_TIMES = ("hour", "minute", "second")
_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")

NAMES = (*_OF_ONE, "coalesce", "nullif", "extract", "date_trunc", "cast", *PARTS)


def _constant(value: Value) -> str:
    if not isinstance(value.literal, str):
        msg = "a pattern is a text in quotes"
        raise Refused(msg)
    return value.literal


def call(name: str, arguments: list[Value]) -> Any:
    """Return the expression of a function.

    Raises
    ------
    Refused
        If there is no such function, or not of such arguments.
    """
    if name not in _OF_ONE:
        msg = f"there is no function {shown(name)} here.{did_you_mean(name, NAMES)} Those that "
        raise Refused(msg + f"there are: {', '.join(NAMES)}")
    wanted, make = _OF_ONE[name]
    if not arguments or family(arguments[0].kind) not in (wanted, "null"):
        found = family(arguments[0].kind) if arguments else "nothing"
        msg = f"{name} is of {wanted.removeprefix('a ')}; it is given {found}"
        raise Refused(msg)
    if pt.is_null(arguments[0].kind):
        arguments[0] = as_kind(arguments[0], pa.string() if wanted == "text" else pa.int64())
    try:
        return make(*arguments)
    except (TypeError, ValueError) as error:
        msg = f"{name} is given other arguments than it takes"
        raise Refused(msg) from error


def part_of(name: str, value: Value) -> Any:
    """Return the expression of a part of a date or a timestamp, as a whole number.

    Raises
    ------
    Refused
        If there is no such part, or it is of something else.
    """
    name = _ALIASES.get(name, name)
    if name not in PARTS:
        msg = f"extract has no {shown(name)}.{did_you_mean(name, PARTS)} It has"
        raise Refused(f"{msg} {', '.join(PARTS)}")
    _check_time(name, value)
    made = value.made
    if pt.is_date(value.kind) and name in _OF_TIMES:
        made = made.cast(pa.timestamp("s"))
    return PARTS[name](made).cast(pa.int64())


def truncated(unit: str, value: Value) -> Any:
    """Return the expression of a date or a timestamp at the begin of a unit of the calendar.

    Raises
    ------
    Refused
        If there is no such unit, or it is of something else.
    """
    if unit not in _UNITS:
        msg = f"date_trunc has no {shown(unit)}.{did_you_mean(unit, _UNITS)} It has"
        raise Refused(f"{msg} {', '.join(_UNITS)}")
    _check_time("date_trunc", value)
    return pc.floor_temporal(value.made, unit=unit)


def _check_time(name: str, value: Value) -> None:
    if family(value.kind) not in ("a date", "a timestamp"):
        found = family(value.kind)
        msg = f"{name} is of a date or a timestamp; it is given {found}"
        raise Refused(msg)
