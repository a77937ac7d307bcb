"""Rows and columns that a result is to have, as callers give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlsort.errors import BadOptionError, shown

__all__ = ["read_columns", "read_rename", "read_where"]

_NAME = r'(?:"((?:[^"]|"")*+)"|([^",=]*+))'
_ONE = re.compile(rf"\s*{_NAME}\s*(?:,|$)")
_PAIR = re.compile(rf"\s*{_NAME}\s*=\s*{_NAME}\s*(?:,|$)")


def read_columns(value: Any, name: str) -> tuple[str, ...] | None:
    """Return the names of columns, from a text with commas or a sequence.

    Raises
    ------
    BadOptionError
        If it is neither, or names none.

    Examples
    --------
    >>> read_columns('day, "a,b"', "columns"), read_columns(["x"], "columns")
    (('day', 'a,b'), ('x',))
    """
    if value is None:
        return None
    found: list[Any] = []
    if isinstance(value, str):
        found = [_name(*match) for match in _all(_ONE, value)]
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        found = list(value)
    if not found or not all(isinstance(each, str) and each for each in found):
        msg = f"{name} is {shown(value)}; expected names such as 'day,price', or a list."
        raise BadOptionError(msg)
    if len(set(found)) < len(found):
        msg = f"{name} is {shown(value)}, which names a column twice; name it once."
        raise BadOptionError(msg)
    return tuple(found)


def read_rename(value: Any, name: str) -> dict[str, str] | None:
    """Return new names by the old ones, from a text with commas or a mapping.

    Raises
    ------
    BadOptionError
        If it is neither, names none, or a new name can't be one.

    Examples
    --------
    >>> read_rename('l_tax=tax,"a=b"=c', "rename")
    {'l_tax': 'tax', 'a=b': 'c'}
    """
    if value is None:
        return None
    found: list[tuple[Any, Any]] = []
    if isinstance(value, str):
        found = [(_name(*m[:2]), _name(*m[2:])) for m in _all(_PAIR, value)]
    elif isinstance(value, Mapping):
        found = list(value.items())
    names = [each for pair in found for each in pair]
    if not found or not all(isinstance(each, str) and each for each in names):
        msg = f"{name} is {shown(value)}; expected pairs such as 'old=new', or a mapping."
        raise BadOptionError(msg)
    if any("\0" in new for _, new in found) or len(dict(found)) < len(found):
        msg = f"{name} is {shown(value)}; expected each column once, and new names without NUL."
        raise BadOptionError(msg)
    return dict(found)


def read_where(value: Any, name: str) -> Any:
    """Return a condition: a text, whose columns are not known yet, or one of pyarrow's.

    Raises
    ------
    BadOptionError
        If it is neither.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    from pyarrow.compute import Expression

    if isinstance(value, Expression):
        return value
    msg = (
        f"{name} is {shown(value)}; expected a condition such as 'price > 10', or a "
        "pyarrow.compute.Expression."
    )
    raise BadOptionError(msg)


def _all(pattern: re.Pattern[str], text: str) -> list[tuple[str | None, ...]]:
    """Return what a pattern finds, one after the other, if that is all of a text."""
    found, end = [], 0
    while end < len(text):
        match = pattern.match(text, end)
        if match is None:
            return []
        found.append(match.groups())
        end = match.end()
    return [] if text.rstrip().endswith(",") else found


def _name(quoted: str | None, plain: str | None) -> str:
    return (plain or "").strip() if quoted is None else quoted.replace('""', '"')
