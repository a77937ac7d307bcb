"""The tree of an expression: columns, values and calls; and its text, which is read again."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = [
    "ARROW",
    "OPERATORS",
    "Arrow",
    "Call",
    "Column",
    "Node",
    "Value",
    "names_in",
    "text_of",
]

# The function that holds an expression of pyarrow's.
ARROW = "arrow_expression"
# What stands between its two arguments.
OPERATORS = frozenset(
    {"+", "-", "*", "/", "%", "||", "=", "<>", "<", "<=", ">", ">=", "and", "or"}
)

_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*")
# Names that SQL reads as something else where a column is expected; a test finds those missing.
_WORDS = """
    all alter and any array as asc between by case cast cluster collate create cross
    current_catalog current_date current_time current_timestamp current_user desc describe
    distinct distribute drop else end escape except exists extract false fetch for force from
    glob grant group grouping having ilike in inner insert install intersect interval into is
    join lateral like limit localtime localtimestamp map natural not notnull null of offset on
    only or order outer over partition partitioned_by positional qualify regexp returning revoke
    rlike rollback row select session_user set some sort struct summarize table tablesample then
    true uncache union unnest using values when where window with within xor
"""
_TAKEN = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Column:
    """A column, or by its path a field of a struct."""

    name: str


@dataclass(frozen=True)
class Value:
    """A value that is written out: text, a number, True, False or None."""

    value: Any


@dataclass(frozen=True)
class Call:
    """A function (:mod:`dlsort.key_expressions.functions`), or operator, and its arguments."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Arrow:
    """An expression of pyarrow's, as it writes it itself, in base64."""

    data: str

    @cached_property
    def expression(self) -> Any:
        """The expression.

        Raises
        ------
        ValueError
            If it is none: pyarrow's errors are such, too.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.Expression._deserialize(
            pa.py_buffer(base64.b64decode(self.data, validate=True))
        )


Node = Column | Value | Call | Arrow


def names_in(node: Node) -> Iterator[str]:
    """Yield the columns that an expression names, but for those of pyarrow's expressions."""
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Call):
        for each in node.args:
            yield from names_in(each)


def text_of(node: Node) -> str:
    """Return an expression as ``--by`` has it.

    Examples
    --------
    >>> text_of(Call("+", (Call("length", (Column("a b"),)), Value(1))))
    '(length("a b") + 1)'
    """
    if isinstance(node, Column):
        is_simple = _SIMPLE.fullmatch(node.name) and _TAKEN.isdisjoint(
            node.name.lower().split(".")
        )
        return node.name if is_simple else '"' + node.name.replace('"', '""') + '"'
    if isinstance(node, Value):
        return _text_of_value(node.value)
    if isinstance(node, Arrow):
        return f"{ARROW}('{node.data}')"
    args = [text_of(each) for each in node.args]
    if node.name in OPERATORS:
        return f"({args[0]} {node.name} {args[1]})"
    if node.name == "cast":
        kind = node.args[1]
        assert isinstance(kind, Value)
        return f"cast({args[0]} as {kind.value})"
    if node.name == "case":
        pairs = zip(args[:-1:2], args[1:-1:2], strict=True)
        cases = " ".join(f"when {condition} then {value}" for condition, value in pairs)
        return f"(case {cases} else {args[-1]} end)"
    if node.name == "in":
        return f"({args[0]} in ({', '.join(args[1:])}))"
    if node.name == "is null":
        return f"({args[0]} is null)"
    if node.name in ("not", "negative"):
        return f"({'not ' if node.name == 'not' else '-'}{args[0]})"
    return f"{node.name}({', '.join(args)})"


def _text_of_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
