"""The key: which columns to sort by, each with its direction and null place."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace

from dlsort.errors import BadKeyError, UnknownColumnError, shown
from dlsort.wording import did_you_mean

__all__ = ["By", "SortKey", "check_columns", "format_by", "is_flag", "parse_by", "quoted"]

DIRECTIONS = {"asc": False, "desc": True}
NULL_PLACES = {"nulls_first": True, "nulls_last": False}

_QUOTED = r'\s*"((?:[^"]|"")*+)"'
_NAME = re.compile(rf"{_QUOTED}\s*")
_KEY = re.compile(rf"{_QUOTED}[^,]*|[^,]*")


@dataclass(frozen=True)
class SortKey:
    """One key column.

    Parameters
    ----------
    column : str
        Column name.
    descending : bool
        Largest first.
    nulls_first : bool
        Nulls and NaN come before all values, in either direction.
    """

    column: str
    descending: bool = False
    nulls_first: bool = False

    def __str__(self) -> str:
        """Return the key as ``--by`` writes it."""
        direction = ":desc" if self.descending else ""
        return f"{quoted(self.column)}{direction}{':nulls_first' if self.nulls_first else ''}"


By = str | SortKey | Sequence[str | SortKey]


def is_flag(value: object) -> bool:
    """Return whether something is True or False, of Python or of NumPy."""
    numpy = sys.modules.get("numpy")
    return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool))


def parse_by(by: By) -> tuple[SortKey, ...]:
    """Read a key from text or from a list of columns.

    Parameters
    ----------
    by : str, SortKey or a sequence of these
        ``"a,b:desc,c:asc:nulls_first"``: columns by comma, each followed by
        an optional direction (``asc``, ``desc``) and an optional null place
        (``nulls_first``, ``nulls_last``). A name that holds a comma or a colon
        stands in double quotes, and one of these in it is doubled:
        ``'"a,b":desc,c'``. In a sequence each element is one column, written
        the same way; a comma needs no quotes there.

    Returns
    -------
    tuple of SortKey
        In order of significance.

    Raises
    ------
    BadKeyError
        If the text can't be read, is empty, or names a column twice.

    Examples
    --------
    >>> [str(k) for k in parse_by("day, price:desc , note:asc:nulls_first")]
    ['day', 'price:desc', 'note:nulls_first']
    """
    items: Iterable[str | SortKey]
    if isinstance(by, str):
        items = _split(by)
    elif isinstance(by, SortKey):
        items = [by]
    else:
        items = _listed(by)
    keys = tuple(_checked(i) if isinstance(i, SortKey) else _parse_one(i) for i in items)
    if not keys:
        msg = "the key names no column; give at least one, as in by='day,price:desc'."
        raise BadKeyError(msg)
    seen: set[str] = set()
    for key in keys:
        if key.column in seen:
            msg = f"the key names column {shown(key.column)} twice; name each column once."
            raise BadKeyError(msg)
        seen.add(key.column)
    return keys


def _split(by: str) -> Iterable[str]:
    """Yield what stands between commas that are in no quotes."""
    end = -1
    while end < len(by):
        match = _KEY.match(by, end + 1)
        assert match is not None  # it may be empty
        yield match[0]
        end = match.end()


def _listed(by: object) -> Iterable[str | SortKey]:
    # a set has no order, and bytes are numbers
    if isinstance(by, Iterable) and not isinstance(by, Set | Mapping | bytes):
        with suppress(TypeError):  # an array of no dimension only looks like one
            return list(by)
    msg = f"the key (by) is {shown(by)}; expected a text such as 'day,price:desc', or a list."
    raise BadKeyError(msg)


def _checked(key: SortKey) -> SortKey:
    """Return a key of a column name and two booleans."""
    column: object = key.column
    flags = key.descending, key.nulls_first
    if not isinstance(column, str) or not all(map(is_flag, flags)):
        msg = (
            f"a key column is {shown(key)}; expected a SortKey of a column name, and True or "
            "False for descending and nulls_first."
        )
        raise BadKeyError(msg)
    return replace(key, descending=bool(key.descending), nulls_first=bool(key.nulls_first))


def _parse_one(text: object) -> SortKey:
    if not isinstance(text, str):
        msg = f"a key column is {shown(text)}; expected a column name or a SortKey."
        raise BadKeyError(msg)
    if (name := _NAME.match(text)) is not None:
        column = name[1].replace('""', '"')
        junk, *marks = (part.strip() for part in text[name.end() :].split(":"))
        marks = [junk, *marks] if junk else marks
    else:
        column, *marks = (part.strip() for part in text.split(":"))
        _check_plain(column, text)
    key = SortKey(column)
    given: set[str] = set()
    for mark in marks:
        if mark in DIRECTIONS and "direction" not in given:
            key = replace(key, descending=DIRECTIONS[mark])
            given.add("direction")
        elif mark in NULL_PLACES and "nulls" not in given:
            key = replace(key, nulls_first=NULL_PLACES[mark])
            given.add("nulls")
        else:
            msg = (
                f"can't read {shown(mark)} in the key {shown(text)}; "
                "expected one of asc, desc and one of nulls_first, nulls_last."
            )
            raise BadKeyError(msg)
    return key


def _check_plain(column: str, text: str) -> None:
    """Raise unless a name without quotes is one."""
    if not column:
        msg = (
            f"the key {shown(text)} has no column name; "
            "write COLUMN[:asc|:desc][:nulls_first|:nulls_last], by comma."
        )
        raise BadKeyError(msg)
    if column.startswith('"'):
        msg = (
            f"the key {shown(text)} has no closing quote; put one after the name, and write "
            "each that is in the name twice."
        )
        raise BadKeyError(msg)


def quoted(column: str) -> str:
    """Return a column's name as ``--by`` writes it: in quotes, if it needs them.

    Examples
    --------
    >>> print(quoted("day"), quoted("a,b"))
    day "a,b"
    """
    is_plain = column and column == column.strip() and not column.startswith('"')
    if is_plain and not {",", ":"} & set(column):
        return column
    return '"' + column.replace('"', '""') + '"'


def format_by(keys: Iterable[SortKey]) -> str:
    """Return keys as ``--by`` writes them.

    Examples
    --------
    >>> format_by(parse_by("a:desc,b"))
    'a:desc,b'
    """
    return ",".join(map(str, keys))


def check_columns(keys: Iterable[SortKey], names: Sequence[str]) -> None:
    """Raise unless each key column is in the data exactly once.

    Raises
    ------
    UnknownColumnError
        If a column is missing, or its name stands there twice.
    """
    for key in keys:
        count = list(names).count(key.column)
        if count == 1:
            continue
        name = shown(key.column)
        if count > 1:
            msg = f"{count} columns are named {name}; a key column must be the only one."
            raise UnknownColumnError(msg)
        hint = did_you_mean(key.column, names, quoted)
        listed = ", ".join(map(quoted, names[:40])) + (", …" if len(names) > 40 else "")
        msg = f"there is no column {name}.{hint} The columns are: {listed}."
        raise UnknownColumnError(msg)
