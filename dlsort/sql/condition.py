"""Conditions in SQL, as ``--where`` has them, made to expressions of Arrow's.

They are read with sqlglot. Types come to one as in SQL: a text in quotes becomes a date beside
a date, a number a decimal beside a decimal. A comparison with null is neither true nor false,
also under NOT. NaN is compared as in Arrow, NumPy and pandas: it equals nothing, not itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from dlsort.arrow.evaluate import plain_schema, type_of
from dlsort.arrow.kinds import is_text
from dlsort.arrow.paths import field_at, find_path
from dlsort.errors import BadOptionError, UnknownColumnError, shown
from dlsort.sql.functions import NAMES, call, part_of, truncated
from dlsort.sql.operators import (
    ARITHMETIC,
    COMPARED,
    arguments_of,
    interval_of,
    names_of,
    type_named,
)
from dlsort.sql.values import NO_VALUE, Interval, Refused, Value, as_kind, family, paired
from dlsort.wording import did_you_mean

__all__ = ["Condition", "read_condition"]

_MOSTCOMPARED = 16  # values of a list that are compared one by one
_UNKNOWN = pc.scalar(pa.scalar(None, pa.bool_()))

# What nodes may have: with anything else they would mean something else.
_ARGUMENTS = frozenset(
    [
        "this",
        "expression",
        "expressions",
        "low",
        "high",
        "to",
        "unit",
        "negate",
        "typed",
        "safe",
        "table",
        "db",
        "catalog",
        "quoted",
        "is_string",
        "start",
        "length",
        "decimals",
        "value_constructor",
    ]
)


class Condition(NamedTuple):
    """A condition.

    Attributes
    ----------
    expression : pyarrow.compute.Expression
        Of columns in plain types (:mod:`dlsort.arrow.evaluate`).
    columns : tuple of str
        Those that it needs.
    """

    expression: Any
    columns: tuple[str, ...]


def read_condition(text: str, schema: pa.Schema) -> Condition:
    """Return the condition in a text.

    Parameters
    ----------
    text : str
        As behind WHERE in SQL.
    schema : pyarrow.Schema
        The columns that there are.

    Raises
    ------
    BadOptionError, UnknownColumnError
        If it can't be read, or names what is not there.

    Examples
    --------
    >>> schema = pa.schema([("day", pa.date32()), ("n", pa.int64())])
    >>> read_condition("day >= '2024-01-01' and n in (1, 2)", schema).columns
    ('day', 'n')
    """
    try:
        tree = parse_one(text, into=exp.Condition)
    except SqlglotError as error:
        (told, *_) = getattr(error, "errors", None) or [{}]
        near = told.get("highlight", "")
        what = f" near {shown(near)}" if near else ""
        msg = (
            f"where (--where) is {shown(text)}, which can't be read{what}; expected a "
            "condition as behind WHERE in SQL, such as \"day >= date '2024-01-01' and n > 10\"."
        )
        raise BadOptionError(msg) from error
    reader = _Reader(schema)
    try:
        value = reader.condition(tree)
    except Refused as error:
        msg = f"where (--where) {shown(text)} can't be used: {error}."
        raise BadOptionError(msg) from error
    except pa.ArrowException as error:
        why = str(error).partition("\n")[0].rstrip(".")
        msg = f"where (--where) {shown(text)} can't be used: {why}."
        raise BadOptionError(msg) from error
    return Condition(value.made, tuple(reader.columns))


class _Reader:
    """Makes expressions of a tree."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.columns: dict[str, None] = {}

    def condition(self, node: Any) -> Value:
        """Return what must be a truth value."""
        value = self.value(node)
        if pt.is_null(value.kind):
            return Value(_UNKNOWN, pa.bool_())
        if not pt.is_boolean(value.kind):
            msg = f"{node.sql()} is {family(value.kind)}; expected a condition"
            raise Refused(msg)
        return value

    def value(self, node: Any) -> Value:
        """Return what must be a value."""
        made = self.read(node)
        if isinstance(made, Interval):
            msg = f"{node.sql()} stands alone; an interval is added to a date or a timestamp"
            raise Refused(msg)
        return made

    def read(self, node: Any) -> Value | Interval:
        """Return the value of a node."""
        more = {name for name, given in node.args.items() if given} - _ARGUMENTS
        if more:
            msg = f"{shown(node.sql())} is not known here, for its {', '.join(sorted(more))}"
            raise Refused(msg)
        for kind in type(node).__mro__:
            if kind in _NODES:
                made = _NODES[kind](self, node)
                if isinstance(made, Value) and node.args.get("negate"):  # as NOT LIKE has it
                    return Value(~made.made, made.kind)
                return made
        if isinstance(node, exp.Func) and not isinstance(node, exp.Case):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_names()[0]
            return self._typed(call(name.lower(), list(map(self.value, arguments_of(node)))))
        msg = f"{shown(node.sql())} is not known here; expected comparisons, AND, OR, NOT, "
        raise Refused(msg + f"IN, BETWEEN, LIKE, IS NULL, arithmetic, or {', '.join(NAMES)}")

    def _typed(self, made: Any) -> Value:
        fields = [self.schema.field(name) for name in self.columns]
        return Value(made, type_of(made, pa.schema(fields)))

    def column(self, node: Any) -> Value:
        parts = names_of(node)
        path = self._path(parts)
        top = self.schema.field(path[0])
        names, kind = [top.name], plain_schema(pa.schema([top])).field(0).type
        for i in path[1:]:
            names.append(kind.field(i).name)
            kind = kind.field(i).type
        self.columns[top.name] = None
        made = pc.field(*names) if len(names) > 1 else pc.field(names[0])
        return Value(made, kind)

    def _path(self, parts: list[str]) -> tuple[int, ...]:
        name = ".".join(parts)
        alike = [n for n in self.schema.names if n.lower() == parts[0].lower()]
        tried = [name]
        if len(alike) == 1:
            tried.append(".".join([alike[0], *parts[1:]]))
        for each in tried:
            try:
                field_at(self.schema, each)
            except UnknownColumnError:
                continue
            return find_path(self.schema, each)
        hint = did_you_mean(name, self.schema.names)
        listed = ", ".join(self.schema.names[:40])
        more = ", …" if len(self.schema.names) > 40 else ""
        msg = (
            f"where (--where) names {shown(name)}, which is no column.{hint} The columns are: "
            f"{listed}{more}."
        )
        raise UnknownColumnError(msg)

    def literal(self, node: Any) -> Value:
        if node.is_string:
            return Value.of(node.name)
        text = node.name
        if text.isdecimal() and int(text) < 2**63:
            return Value.of(int(text))
        return Value.of(float(text) if "e" in text.lower() else Decimal(text))

    def compare(self, node: Any) -> Value:
        left, right = paired(self.value(node.this), self.value(node.expression))
        return Value(COMPARED[type(node)](left.made, right.made), pa.bool_())

    def between(self, node: Any) -> Value:
        low = exp.GTE(this=node.this, expression=node.args["low"])
        high = exp.LTE(this=node.this, expression=node.args["high"])
        return self.condition(exp.And(this=low, expression=high))

    def both(self, node: Any) -> Value:
        left, right = self.condition(node.this), self.condition(node.expression)
        is_and = isinstance(node, exp.And)
        return Value(left.made & right.made if is_and else left.made | right.made, pa.bool_())

    def negated(self, node: Any) -> Value:
        return Value(~self.condition(node.this).made, pa.bool_())

    def is_one(self, node: Any) -> Value:
        value, other = self.value(node.this), node.expression
        if isinstance(other, exp.Null):
            return Value(value.made.is_null(), pa.bool_())
        if not isinstance(other, exp.Boolean):
            msg = f"{shown(node.sql())} is not known here; expected IS NULL, TRUE or FALSE"
            raise Refused(msg)
        made = self.condition(node.this).made
        made = made if other.this else ~made
        return Value(pc.coalesce(made, pc.scalar(False)), pa.bool_())

    def among(self, node: Any) -> Value:
        if not node.expressions:
            msg = f"{shown(node.sql())} is not known here; expected a list of values after IN"
            raise Refused(msg)
        value = self.value(node.this)
        others = [self.value(each) for each in node.expressions]
        known = [each for each in others if not pt.is_null(each.kind)]
        pairs = [paired(value, each) for each in known]
        same = {left.kind for left, _ in pairs} | {right.kind for _, right in pairs}
        literals = all(right.literal is not None for _, right in pairs)
        if len(known) > _MOSTCOMPARED and literals and len(same) == 1:
            left = pairs[0][0]
            listed = pa.array([right.literal for _, right in pairs], left.kind)
            found = pc.if_else(left.made.is_valid(), left.made.isin(listed), _UNKNOWN)
        elif pairs:
            found = reduce(or_, (left.made == right.made for left, right in pairs))
        else:
            found = _UNKNOWN
        return Value(found | _UNKNOWN if len(known) < len(others) else found, pa.bool_())

    def like(self, node: Any) -> Value:
        value, pattern = self.value(node.this), self.value(node.expression)
        if not is_text(value.kind) or not isinstance(pattern.literal, str):
            msg = f"{shown(node.sql())}: LIKE compares text with a pattern in quotes"
            raise Refused(msg)
        is_any_case = isinstance(node, exp.ILike)
        made = pc.match_like(value.made, pattern.literal, ignore_case=is_any_case)
        return Value(made, pa.bool_())

    def arithmetic(self, node: Any) -> Value:
        left, right = self.read(node.this), self.read(node.expression)
        sign = -1 if isinstance(node, exp.Sub) else 1
        if isinstance(left, Interval) and isinstance(node, exp.Add):
            left, right = right, left
        if isinstance(left, Interval):
            msg = f"{shown(node.sql())}: an interval is added to a date or a timestamp"
            raise Refused(msg)
        if isinstance(right, Interval):
            if not isinstance(node, exp.Add | exp.Sub):
                msg = f"{shown(node.sql())}: an interval is added or subtracted"
                raise Refused(msg)
            return self._moved(left, right, sign)
        left, right = paired(left, right)
        if family(left.kind) == "a date" and sign < 0:
            return Value(pc.days_between(right.made, left.made), pa.int64())
        if family(left.kind) not in ("a number", "null"):
            msg = f"{shown(node.sql())}: arithmetic is of numbers, not of {family(left.kind)}"
            raise Refused(msg)
        return self._typed(ARITHMETIC[type(node)](left, right))

    def _moved(self, value: Value, by: Interval, sign: int) -> Value:
        if isinstance(value.literal, datetime.date):
            return Value.of(by.after(value.literal, sign))
        if family(value.kind) not in ("a date", "a timestamp") or by.months:
            what = "months" if by.months else "an interval"
            msg = f"{what} can't be added to {family(value.kind)} of a column"
            raise Refused(msg)
        is_whole = not by.length % datetime.timedelta(days=1)
        unit = "us" if pt.is_date(value.kind) else value.kind.unit
        made = value.made.cast(pa.timestamp(unit)) if pt.is_date(value.kind) else value.made
        moved = made + pc.scalar(pa.scalar(sign * by.length, pa.duration(unit)))
        if pt.is_date(value.kind) and is_whole:
            return Value(moved.cast(pa.date32()), pa.date32())
        return self._typed(moved)

    def cast(self, node: Any) -> Value:
        value, kind = self.value(node.this), type_named(node)
        if value.literal is not None or value.kind == kind:
            return as_kind(value, kind)
        made = value.made
        if pt.is_integer(kind) and (pt.is_floating(value.kind) or pt.is_decimal(value.kind)):
            made = pc.round(made)
        elif pt.is_decimal(kind) and family(value.kind) == "a number":
            made = pc.round(made, ndigits=kind.scale)
        elif pt.is_date(kind) and pt.is_timestamp(value.kind):
            made = pc.floor_temporal(made, unit="day")
        return self._typed(made.cast(kind))

    def coalesce(self, node: Any) -> Value:
        values = [self.value(each) for each in (node.this, *node.expressions)]
        first = next(
            (v for v in values if v.literal is None and v.kind != pa.null()), values[0]
        )
        made = []
        for each in values:
            left, right = paired(first, each)
            made.append(right.made if left.kind == first.kind else each.made)
        return self._typed(pc.coalesce(*made))

    def nullif(self, node: Any) -> Value:
        value = self.value(node.this)
        left, right = paired(value, self.value(node.expression))
        is_other = pc.coalesce(left.made != right.made, pc.scalar(True))
        nothing = pc.scalar(pa.scalar(None, value.kind))
        return Value(pc.if_else(is_other, value.made, nothing), value.kind)

    def extract(self, node: Any) -> Value:
        return self._typed(part_of(node.this.name.lower(), self.value(node.expression)))

    def part(self, node: Any) -> Value:
        return self._typed(part_of(node.key.replace("_", ""), self.value(node.this)))

    def truncate(self, node: Any) -> Value:
        unit = node.args["unit"].name.lower()
        return self._typed(truncated(unit, self.value(node.this)))

    def joined(self, node: Any) -> Value:
        left, right = self.value(node.this), self.value(node.expression)
        if family(left.kind) != "text" or family(right.kind) != "text":
            msg = f"{shown(node.sql())}: || joins text"
            raise Refused(msg)
        return self._typed(pc.binary_join_element_wise(left.made, right.made, ""))

    def minus(self, node: Any) -> Value:
        value = self.value(node.this)
        if isinstance(value.literal, int | float | Decimal):
            return Value.of(-value.literal)
        return self._typed(pc.negate_checked(value.made))


_NODES: Mapping[Any, Callable[[_Reader, Any], Value | Interval]] = {
    exp.Paren: lambda reader, node: reader.read(node.this),
    exp.Column: _Reader.column,
    exp.Dot: _Reader.column,
    exp.Literal: _Reader.literal,
    exp.Boolean: lambda _, node: Value.of(bool(node.this)),
    exp.Null: lambda *_: NO_VALUE,
    exp.And: _Reader.both,
    exp.Or: _Reader.both,
    exp.Not: _Reader.negated,
    exp.Is: _Reader.is_one,
    exp.In: _Reader.among,
    exp.Between: _Reader.between,
    exp.Like: _Reader.like,
    exp.ILike: _Reader.like,
    exp.Interval: lambda _, node: interval_of(node),
    exp.Cast: _Reader.cast,
    exp.Coalesce: _Reader.coalesce,
    exp.Nullif: _Reader.nullif,
    exp.Extract: _Reader.extract,
    exp.DateTrunc: _Reader.truncate,
    exp.TimestampTrunc: _Reader.truncate,
    exp.DPipe: _Reader.joined,
    exp.Neg: _Reader.minus,
    exp.Date: lambda reader, node: as_kind(reader.value(node.this), pa.date32()),
    **dict.fromkeys(COMPARED, _Reader.compare),
    **dict.fromkeys(ARITHMETIC, _Reader.arithmetic),
    **dict.fromkeys(
        (exp.Year, exp.Quarter, exp.Month, exp.Week, exp.Day, exp.DayOfWeek, exp.DayOfYear),
        _Reader.part,
    ),
    **dict.fromkeys((exp.Hour, exp.Minute, exp.Second), _Reader.part),
}
