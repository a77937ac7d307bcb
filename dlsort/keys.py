"""The key: which columns to sort by, each with its direction and null place."""

from __future__ import annotations

import base64
import sys
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlsort.errors import BadKeyError, UnknownColumnError, shown
from dlsort.key_parts import (
    COMPUTED,
    NAME,
    expression_of,
    is_expression,
    quoted,
    split,
    wrapped,
)
from dlsort.wording import did_you_mean

__all__ = [
    "KEY_FORM",
    "By",
    "SortKey",
    "Texts",
    "check_columns",
    "format_by",
    "is_flag",
    "parse_by",
    "quoted",
    "read_by",
]

KEY_FORM = "COLUMN[:asc|:desc][:nulls_first|:nulls_last][:nan_first|:nan_last]"

# What may follow a name: the argument of a SortKey, and its value.
MARKS = {
    "asc": ("descending", False),
    "desc": ("descending", True),
    "nulls_first": ("nulls_first", True),
    "nulls_last": ("nulls_first", False),
    "nan_first": ("nan_first", True),
    "nan_last": ("nan_first", False),
    "ignore_case": ("ignore_case", True),
    "natural": ("natural", True),
    "numeric": ("numeric", True),
}

# Of these, what each has the name wrapped in, from the inside.
_FUNCTIONS = {"ignore_case": "casefold", "natural": "natural_key", "numeric": "numeric_key"}

_SAID = {
    "descending": "the direction",
    "nulls_first": "where nulls go",
    "nan_first": "where NaN goes",
    "ignore_case": "how text compares",
    "natural": "how text compares",
    "numeric": "how text compares",
}


@dataclass(frozen=True)
class SortKey:
    """One key column.

    Parameters
    ----------
    column : str
        Column name; or the path of a field of a struct, as in ``"event.time"``, where no
        column has that name. Of a key that is computed: what begins with
        :data:`dlsort.key_parts.COMPUTED`, and its expression.
    descending : bool
        Largest first.
    nulls_first : bool
        Nulls come before all values, in either direction.
    nan_first : bool or None
        Where NaN stands in the output: before all numbers, or (False) after all of them, in
        either direction, and never among the nulls. None: with the nulls, as one of them.
    """

    column: str
    descending: bool = False
    nulls_first: bool = False
    nan_first: bool | None = None

    def __str__(self) -> str:
        """Return the key as ``--by`` writes it."""
        marks = [":desc"] if self.descending else []
        marks += [":nulls_first"] if self.nulls_first else []
        if self.nan_first is not None:
            marks.append(":nan_first" if self.nan_first else ":nan_last")
        return quoted(self.column) + "".join(marks)

    def reversed(self) -> SortKey:
        """Return the key whose order is the other way round, nulls and NaN too."""
        nan_first = None if self.nan_first is None else not self.nan_first
        return SortKey(self.column, not self.descending, not self.nulls_first, nan_first)


class Texts(tuple[str, ...]):
    """Several texts, each of one column or more, as ``--by`` given again has them."""

    __slots__ = ()


# An element may also be an expression of pyarrow's, which has no types.
By = str | SortKey | Sequence[str | SortKey | tuple[str, ...]]


def is_flag(value: object) -> bool:
    """Return whether something is True or False, of Python or of NumPy."""
    numpy = sys.modules.get("numpy")
    return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool))


def read_by(by: Any) -> By:
    """Return a key that can be read more than once, its columns not looked at yet.

    Raises
    ------
    BadKeyError
        If it is neither a text nor a list.
    """
    return by if isinstance(by, str | SortKey | Texts) else _listed(by)


def parse_by(by: By, names: Iterable[str] = ()) -> tuple[SortKey, ...]:
    """Read a key from text or from a list of columns.

    Parameters
    ----------
    by : str, SortKey or a sequence of these and of tuples of text
        ``"a,b:desc,c:asc:nulls_first"``: columns by comma, each followed by
        an optional direction (``asc``, ``desc``), an optional null place
        (``nulls_first``, ``nulls_last``) and one of NaN (``nan_first``,
        ``nan_last``). A name that holds a comma or a colon stands in double
        quotes, and one of these in it is doubled: ``'"a,b":desc,c'``. In a
        sequence each element is one column: written the same way, where a comma
        needs no quotes; a tuple of its name, which is not read, and marks, as in
        ``("a,b", "desc")``; a :class:`SortKey`; or an expression of pyarrow's, in the
        place of a name too. What has parentheses, or an arithmetic sign between spaces,
        is an expression: it is read later, with the columns' types
        (:mod:`dlsort.key_expressions`). The marks ``ignore_case``, ``natural`` and
        ``numeric`` say how text compares.
    names : iterable of str
        The columns that there are. What is one's name exactly, alone or before marks,
        is that column, whatever else it could be read as.

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
    >>> [k.column for k in parse_by([" id", ("a:b", "desc")], ["id", " id", "a:b"])]
    [' id', 'a:b']
    """
    known = frozenset(names)
    found: list[SortKey] = []
    if isinstance(by, str):
        found = _parse_text(by, known)
    elif isinstance(by, Texts):
        found = [key for text in by for key in _parse_text(text, known)]
    else:
        for item in [by] if isinstance(by, SortKey) else _listed(by):
            found.append(_checked(item) if isinstance(item, SortKey) else _parse(item, known))
    keys = tuple(found)
    if not keys:
        msg = "the key names no column; give at least one, as in by='day,price:desc'."
        raise BadKeyError(msg)
    seen: set[str] = set()
    for key in keys:
        if key.column in seen:
            name = shown(expression_of(key.column) or key.column)
            msg = f"the key names column {name} twice; name each column once."
            raise BadKeyError(msg)
        seen.add(key.column)
    return keys


def _parse_text(text: str, names: Container[str]) -> list[SortKey]:
    """Return the keys of a text: one column's name, or several by comma."""
    exact = _exact(text, names)
    return [exact] if exact else [_parse(item, names) for item in split(text)]


def _exact(text: str, names: Container[str]) -> SortKey | None:
    """Return the key whose name is all of a text, or all before its marks, if there is one."""
    name, marks = text, list[str]()
    while True:
        for each in (name, name.strip()):
            if each in names:
                return _marked(each, marks, text)
        name, colon, mark = name.rpartition(":")
        if not colon or mark.strip() not in MARKS:
            return None
        marks.insert(0, mark.strip())


def _listed(by: object) -> list[Any]:
    if _is_arrows(by):
        return [by]
    # a set has no order, and bytes are numbers
    if isinstance(by, Iterable) and not isinstance(by, Set | Mapping | bytes):
        with suppress(TypeError):  # an array of no dimension only looks like one
            return list(by)
    msg = f"the key (by) is {shown(by)}; expected a text such as 'day,price:desc', or a list."
    raise BadKeyError(msg)


def _checked(key: SortKey) -> SortKey:
    """Return a key of a column name and booleans."""
    column: object = key.column
    flags = [key.descending, key.nulls_first]
    flags += [] if key.nan_first is None else [key.nan_first]
    if not isinstance(column, str) or not all(map(is_flag, flags)):
        msg = (
            f"a key column is {shown(key)}; expected a SortKey of a column name, and True or "
            "False for descending and nulls_first, and for nan_first if it is given."
        )
        raise BadKeyError(msg)
    return SortKey(column, *map(bool, flags))


def _parse(item: object, names: Container[str]) -> SortKey:
    """Return the key of one column, from its text or a tuple of its name and marks."""
    if _is_arrows(item):
        return SortKey(_arrows(item))
    if isinstance(item, tuple) and item and all(isinstance(part, str) for part in item[1:]):
        if isinstance(item[0], str):
            return _marked(item[0], item[1:], item)
        if _is_arrows(item[0]):
            return _marked(_arrows(item[0]), item[1:], item)
    if not isinstance(item, str):
        msg = (
            f"a key column is {shown(item)}; expected a column name, a SortKey, or a tuple of "
            'a name and what is to be done with it, as in ("price", "desc").'
        )
        raise BadKeyError(msg)
    if (exact := _exact(item, names)) is not None:
        return exact
    expression, *marks = _unmarked(item)
    if is_expression(expression):
        return _marked(COMPUTED + expression.strip(), marks, item)
    if (name := NAME.match(item)) is not None:
        column = name[1].replace('""', '"')
        junk, *marks = (part.strip() for part in item[name.end() :].split(":"))
        marks = [junk, *marks] if junk else marks
    else:
        column, *marks = (part.strip() for part in item.split(":"))
        _check_plain(column, item)
    return _marked(column, marks, item)


def _unmarked(text: str) -> list[str]:
    """Return what is before all marks, or what stands in their place, and these."""
    marks: list[str] = []
    while True:
        head, colon, mark = text.rpartition(":")
        mark = mark.strip()
        if not colon or head.endswith(":") or not (mark.isidentifier() and head.strip()):
            return [text, *marks]
        text = head
        marks.insert(0, mark)


def _is_arrows(item: object) -> bool:
    """Return whether something is an expression of pyarrow's."""
    kind = type(item)
    return kind.__name__ == "Expression" and kind.__module__.startswith("pyarrow")


def _arrows(item: Any) -> str:
    """Return the name of the column that an expression of pyarrow's computes."""
    _, (data,) = item.__reduce__()  # as it writes itself, in Arrow's own format
    return f"{COMPUTED}arrow_expression('{base64.b64encode(data).decode()}')"


def _marked(column: str, marks: Iterable[str], item: object) -> SortKey:
    """Return the key of a column with marks; ``item`` is what was given, for messages."""
    given: dict[str, bool] = {}
    for mark in marks:
        argument, value = MARKS.get(mark, (None, False))
        if argument in given:
            msg = (
                f"the key {shown(item)} says {_SAID[argument]} twice; leave {shown(mark)} out."
            )
            raise BadKeyError(msg)
        if argument is None:
            msg = (
                f"can't read {shown(mark)} in the key {shown(item)}; expected one of asc, "
                "desc, one of nulls_first, nulls_last, one of nan_first, nan_last, and for "
                "text natural, numeric or ignore_case. A name that holds a colon stands in "
                "double quotes."
            )
            raise BadKeyError(msg)
        given[argument] = value
    if "numeric" in given and len(given.keys() & _FUNCTIONS.keys()) > 1:
        msg = f"the key {shown(item)} is numeric, which nothing else of text goes with."
        raise BadKeyError(msg)
    for mark, function in _FUNCTIONS.items():
        column = wrapped(column, function) if given.pop(mark, False) else column
    return SortKey(column, **given)


def _check_plain(column: str, text: str) -> None:
    """Raise unless a name without quotes is one."""
    if not column:
        msg = (
            f"the key {shown(text)} has no column name; write {KEY_FORM}, several separated by "
            "commas."
        )
        raise BadKeyError(msg)
    if column.startswith('"'):
        msg = (
            f"the key {shown(text)} has no closing quote; put one after the name, and write "
            "each that is in the name twice."
        )
        raise BadKeyError(msg)


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
    BadKeyError
        If one would have to be computed first.
    """
    for key in keys:
        count = list(names).count(key.column)
        if count == 1:
            continue
        if (expression := expression_of(key.column)) is not None:
            hint = did_you_mean(expression, names, quoted)
            msg = (
                f"the key {shown(expression)} is computed, and a key can only be a column "
                f"here.{hint} Add it to the data as a column; sorts of datasets and tables "
                "compute it themselves."
            )
            raise BadKeyError(msg)
        name = shown(key.column)
        if not names:
            raise UnknownColumnError(f"there is no column {name}: the source has no columns.")
        if count > 1:
            msg = f"{count} columns are named {name}; a key column must be the only one."
            raise UnknownColumnError(msg)
        hint = did_you_mean(key.column, names, quoted)
        listed = ", ".join(map(quoted, names[:40])) + (", …" if len(names) > 40 else "")
        msg = f"there is no column {name}.{hint} The columns are: {listed}."
        raise UnknownColumnError(msg)
