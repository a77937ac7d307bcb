"""The text of a key, cut into its columns: names, and expressions that compute one.

An expression is what has parentheses that close, or an arithmetic sign between spaces. What is
a column's name exactly is that column all the same (:mod:`dlsort.keys` looks first).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "COMPUTED",
    "NAME",
    "expression_of",
    "is_expression",
    "quoted",
    "shown_name",
    "split",
    "wrapped",
]

# What begins the name of a column that is computed; the expression follows. No source has such.
COMPUTED = "\0dlsort:"

_QUOTED = r'\s*"((?:[^"]|"")*+)"'

_BEGINS = re.compile(_QUOTED)
NAME = re.compile(rf"{_QUOTED}\s*")
_MEETS = re.compile(r"[,(]")
_INSIDE = re.compile(r"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|[()]""")
_CALL = re.compile(r"\(.*\)", re.DOTALL)
_SIGN = re.compile(r"\s(?:[-+*/%]|\|\|)\s")


def split(text: str) -> Iterator[str]:
    """Yield what stands between commas that are in no quotes and no parentheses.

    Examples
    --------
    >>> list(split('"a,b":desc,coalesce(c, d),e'))
    ['"a,b":desc', 'coalesce(c, d)', 'e']
    """
    start = 0
    while True:
        begun = _BEGINS.match(text, start)
        at = begun.end() if begun else start
        while (met := _MEETS.search(text, at)) is not None and met[0] == "(":
            at = max(_closing(text, met.start()), met.end())
        yield text[start : met.start() if met else len(text)]
        if met is None:
            return
        start = met.end()


def _closing(text: str, at: int) -> int:
    """Return where the parenthesis ends that opens here; -1 if it does not."""
    depth = 0
    for found in _INSIDE.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return -1


def is_expression(text: str) -> bool:
    """Return whether a text without marks computes a column, if it is not one's name.

    Examples
    --------
    >>> [is_expression(each) for each in ("lower(a)", "a + b", "a-b", '"a (b)"', "a (b")]
    [True, True, False, False, False]
    """
    if NAME.fullmatch(text):
        return False
    return bool(_CALL.search(text) or _SIGN.search(text))


def expression_of(column: str) -> str | None:
    """Return the expression of a key column that is computed; None of any other."""
    return column.removeprefix(COMPUTED) if column.startswith(COMPUTED) else None


def shown_name(column: str) -> str:
    """Return what to call a key column in messages: its name, or its expression."""
    return column.removeprefix(COMPUTED)


def quoted(column: str) -> str:
    """Return a column's name as ``--by`` writes it: in quotes, if it needs them.

    Examples
    --------
    >>> print(quoted("day"), quoted("a,b"), quoted("sum(x)"), quoted(COMPUTED + "lower(x)"))
    day "a,b" "sum(x)" lower(x)
    """
    if (expression := expression_of(column)) is not None:
        return expression
    is_plain = column and column == column.strip() and not column.startswith('"')
    if is_plain and not set(",:()") & set(column) and not is_expression(column):
        return column
    return '"' + column.replace('"', '""') + '"'


def wrapped(column: str, function: str) -> str:
    """Return the name of the column that a function computes of another, which may be such.

    Examples
    --------
    >>> quoted(wrapped("name", "casefold"))
    'casefold("name")'
    """
    inner = expression_of(column)
    inner = '"' + column.replace('"', '""') + '"' if inner is None else inner
    return f"{COMPUTED}{function}({inner})"
