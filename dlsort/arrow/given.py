"""Values as callers give them: Python's objects, or text, as one value of a column's type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_bytes, is_nested, is_text
from dlsort.errors import BadOptionError, shown, type_of

__all__ = ["array_of_given", "array_of_text"]

_REFUSED = (pa.ArrowException, ValueError, TypeError, OverflowError, LookupError)


def array_of_given(value: Any, kind: pa.DataType, name: str) -> pa.Array:
    """Return a value as an array of one.

    Parameters
    ----------
    value : object
        A Python, NumPy or pandas object of the type, a scalar of pyarrow's, or None: null.
    kind : pyarrow.DataType
        The column's type.
    name : str
        The column, for messages.

    Raises
    ------
    BadOptionError
        If it is of another type, or one that the type can't hold exactly. Floats are rounded
        to the column's precision.
    """
    if isinstance(value, pa.Scalar):
        if value.type == kind:
            return _of_scalar(value)
        value = value.as_py()
    if value is None:
        return pa.nulls(1, kind)
    wanted = _wanted(value, kind)
    if wanted is not None:
        msg = f"{name} is compared with {shown(value)}, {type_of(value)}; expected {wanted}."
        raise BadOptionError(msg)
    try:
        if pt.is_timestamp(kind) or pt.is_time(kind) or pt.is_duration(kind):
            own = pa.scalar(_in_units(value))
            if pt.is_timestamp(kind) and own.type.tz != kind.tz:
                own = own.cast(pa.timestamp(own.type.unit, kind.tz))
            return _of_scalar(own.cast(kind))
        if is_text(kind):  # what is no text in a file is half characters in answers
            data = pa.array([value.encode("utf-8", "surrogateescape")], pa.binary())
            return data.view(pa.string())
        if pt.is_float16(kind) or pt.is_floating(kind):
            return pa.array([np.float16(value)] if pt.is_float16(kind) else [value], kind)
        if pt.is_integer(kind):
            value = int(value)
        return pa.array([value], kind)
    except _REFUSED as error:
        msg = f"{name} is compared with {shown(value)}, which is no {kind}: {_why(error)}."
        raise BadOptionError(msg) from error


def array_of_text(text: str, kind: pa.DataType, name: str) -> pa.Array:
    """Return what a text says as an array of one, as in ``2024-01-31`` or ``12.5``.

    Raises
    ------
    BadOptionError
        If it says no value of the type.
    """
    try:
        if is_bytes(kind):
            return pa.array([text if is_text(kind) else text.encode()], kind)
        if pt.is_time(kind):
            return array_of_given(dt.time.fromisoformat(text), kind, name)
        if pt.is_duration(kind):
            return pa.array([int(text)], kind)
        return _of_scalar(pa.scalar(text.strip()).cast(kind))
    except _REFUSED as error:
        if isinstance(error, BadOptionError):
            raise
        msg = f"can't read {shown(text)} as a value of {name}, {kind}: {_why(error)}."
        raise BadOptionError(msg) from error


def _in_units(value: Any) -> Any:
    """Return a time or duration of a unit that Arrow has, to the nanosecond."""
    for name in (
        "to_datetime64",
        "to_timedelta64",
    ):  # pandas' own
        value = getattr(value, name)() if hasattr(value, name) else value
    if isinstance(value, np.datetime64 | np.timedelta64):
        unit = np.datetime_data(value.dtype)[0]
        if unit not in ("s", "ms", "us", "ns"):
            return value.astype(f"{value.dtype.kind}8[s]")
    return value


def _of_scalar(value: pa.Scalar) -> pa.Array:
    return pa.repeat(value, 1)


def _why(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _wanted(value: Any, kind: pa.DataType) -> str | None:
    """Return what is expected, if a value is of another type than it."""
    is_flag = isinstance(value, bool | np.bool_)
    is_whole = isinstance(value, Integral) and not is_flag
    if pt.is_boolean(kind):
        return None if is_flag else "True or False"
    if pt.is_integer(kind):
        return None if is_whole else f"a whole number ({kind})"
    if pt.is_floating(kind):
        is_real = isinstance(value, Real) and not is_flag
        return None if is_real else f"a number ({kind})"
    if pt.is_decimal(kind):
        return None if is_whole or isinstance(value, Decimal) else f"a Decimal ({kind})"
    if is_text(kind):
        return None if isinstance(value, str) else "text"
    if is_binary(kind) or pt.is_fixed_size_binary(kind):
        return None if isinstance(value, bytes | bytearray | memoryview) else "bytes"
    if pt.is_date(kind):
        is_date = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
        return None if is_date else "a datetime.date"
    if pt.is_timestamp(kind):
        return _wanted_time(value, kind)
    if pt.is_time(kind):
        return (
            None if isinstance(value, dt.time) and value.tzinfo is None else "a datetime.time"
        )
    if pt.is_duration(kind):
        is_duration = isinstance(value, dt.timedelta | np.timedelta64)
        return None if is_duration else "a datetime.timedelta"
    if is_nested(kind):
        is_made = isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)
        return None if is_made else f"a {kind}"
    return "None"


def _wanted_time(value: Any, kind: pa.DataType) -> str | None:
    if kind.tz is None:
        is_time = isinstance(value, dt.datetime) and value.tzinfo is None
        is_time = is_time or isinstance(value, np.datetime64)
        return None if is_time else "a datetime.datetime without a time zone"
    is_time = isinstance(value, dt.datetime) and value.tzinfo is not None
    return None if is_time else "a datetime.datetime with a time zone"
